# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on comes and goes without a trace, quickly, and without PyTorch."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import pytest

import blender_demo

pytestmark = pytest.mark.matrix
REPO = Path(__file__).resolve().parents[1]


def _traces() -> dict[str, Any]:
    """What a registration may leave behind."""
    handlers = {
        name: len(found) for name in dir(bpy.app.handlers) if isinstance(found := getattr(bpy.app.handlers, name), list)
    }
    classes = sorted(name for name in dir(bpy.types) if "DEMO_" in name or name.startswith("Demo"))
    operators = sorted(dir(bpy.ops.demo))
    return {"handlers": handlers, "classes": classes, "operators": operators, "scene": hasattr(bpy.types.Scene, "demo")}


@pytest.fixture
def clean() -> Iterator[None]:
    """Whatever a test does, the add-on is off in the end."""
    yield
    if hasattr(bpy.types.Scene, "demo"):
        blender_demo.unregister()


@pytest.mark.usefixtures("clean")
def test_registering_again_and_again_leaves_nothing() -> None:
    before = _traces()
    blender_demo.register()
    during = _traces()
    blender_demo.unregister()
    assert _traces() == before
    blender_demo.register()
    assert _traces() == during
    blender_demo.unregister()
    assert _traces() == before
    assert during["classes"]
    assert during["scene"]


@pytest.mark.usefixtures("clean")
def test_no_timer_outlives_the_add_on() -> None:
    from blender_demo.operators.session import SESSION

    blender_demo.register()
    blender_demo.unregister()
    assert SESSION.worker is None
    assert SESSION.job is None


def _in_a_new_python(code: str) -> str:
    """The last line that a program prints. It leaves without the wheel's own clearing up: in 4.2 that may crash."""
    code += "; sys.stdout.flush(); import os; os._exit(0)"
    run = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    return run.stdout.strip().splitlines()[-1]


def test_backend_needs_no_blender() -> None:
    code = (
        "import sys, blender_demo.backend.motion.clip, blender_demo.backend.worker.client;"
        "print('bpy' in sys.modules, 'torch' in sys.modules)"
    )
    assert _in_a_new_python(code) == "False False"


def test_registering_takes_less_than_a_tenth_of_a_second_and_loads_only_what_is_drawn() -> None:
    code = (
        "import sys, time, bpy; start = time.process_time(); import blender_demo; blender_demo.register();"
        "seconds = time.process_time() - start; blender_demo.unregister();"
        "print(seconds, {'torch', 'blender_demo.scene', 'blender_demo.backend.worker'} & set(sys.modules))"
    )
    fastest = min((_in_a_new_python(code).split() for _ in range(3)), key=lambda words: float(words[0]))
    assert fastest[1] == "set()"
    assert float(fastest[0]) < 0.1


@pytest.mark.usefixtures("clean")
def test_blender_has_nothing_to_complain_of(capfd: pytest.CaptureFixture[str]) -> None:
    blender_demo.register()
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("clean")
def test_disabling_a_second_time_is_quick() -> None:
    blender_demo.register()
    start = time.perf_counter()
    blender_demo.unregister()
    assert time.perf_counter() - start < 0.5
