# SPDX-License-Identifier: GPL-3.0-or-later
"""Setting up a Python for the generator: whole or not at all."""

import sys
import time
from pathlib import Path

import bpy
import pytest

from blender_demo.operators.environment import EnvironmentSetup


def _run(setup: EnvironmentSetup) -> None:
    deadline = time.monotonic() + 120.0
    while not setup.step():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


@pytest.mark.slow
def test_an_environment_without_packages_is_made(tmp_path: Path) -> None:
    setup = EnvironmentSetup(Path(sys.executable), tmp_path / "env", _python(tmp_path / "env"), ("pip",))
    _run(setup)
    assert setup.error is None
    assert _python(tmp_path / "env").is_file()


def test_a_failure_shows_the_log_and_leaves_no_environment(tmp_path: Path) -> None:
    folder = tmp_path / "env"
    folder.mkdir()
    setup = EnvironmentSetup(tmp_path / "no python", folder, _python(folder))
    _run(setup)
    assert "env.log" in str(setup.error)
    assert not folder.exists()


def test_cancelling_ends_the_child_and_leaves_no_environment(tmp_path: Path) -> None:
    setup = EnvironmentSetup(Path(sys.executable), tmp_path / "env", _python(tmp_path / "env"))
    setup.step()
    setup.cancel()
    assert "cancelled" in str(setup.error)
    assert not (tmp_path / "env").exists()


@pytest.mark.matrix
def test_nothing_is_downloaded_while_blender_is_offline(addon: object) -> None:
    if bpy.app.online_access:
        pytest.skip("this Blender may go online")
    with pytest.raises(RuntimeError, match="Online Access"):
        bpy.ops.demo.set_up_environment("EXEC_DEFAULT")
