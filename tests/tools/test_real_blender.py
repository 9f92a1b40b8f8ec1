# SPDX-License-Identifier: GPL-3.0-or-later
"""The built extension works in a whole Blender: installed, on the command line, and in its window."""

import json
from pathlib import Path

import pytest

from tools.check_real_blender import REPO, Check, check, runner

pytestmark = pytest.mark.real_blender


@pytest.fixture(scope="module")
def visit(shared_data: Path) -> Check:
    command = runner()
    if command is None:
        pytest.skip("needs a whole Blender: set REAL_BLENDER to a runner, see tools/check_real_blender.py")
    built = sorted((REPO / "dist").glob("*.zip"))
    if not built:
        pytest.skip("needs the extension's zip: make zip")
    character = shared_data / "characters" / "mpfb_cc0_arkit.blend"
    return check(
        command, built[-1], shared_data / "speech" / "test.wav", character, "Human", REPO / "build" / "real_blender"
    )


@pytest.mark.parametrize("command", ["install", "doctor", "generate", "bake", "map", "values"])
def test_the_command_line_works(visit: Check, command: str) -> None:
    assert visit.commands[command] == 0, visit.output


def test_the_button_generates_cancels_and_undoes(visit: Check) -> None:
    assert visit.window.get("passed"), visit.window


def test_a_take_is_evaluated_as_in_other_versions(visit: Check) -> None:
    kept = json.loads((REPO / "tests" / "scene" / "evaluated_values.json").read_text(encoding="utf-8"))
    assert visit.values.keys() == kept.keys()
    for name, expected in kept.items():
        assert visit.values[name] == pytest.approx(expected, abs=2e-5), name


def test_there_is_a_picture_of_the_panel(visit: Check) -> None:
    assert Path(visit.picture).is_file()
