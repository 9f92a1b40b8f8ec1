# SPDX-License-Identifier: GPL-3.0-or-later
"""ARKit names are recognized in the spellings that artists and exporters use, and nothing else is taken for one."""

import pytest

from blender_demo.backend.motion.factors import ARKIT_NAMES
from blender_demo.scene.key_names import arkit_channel, match_names


@pytest.mark.parametrize(
    "name",
    ["eyeBlinkLeft", "EyeBlinkLeft", "eyeBlink_L", "eyeBlink.L", "eye_blink_left", "eye_blink_l", "EYE_BLINK_LEFT",
     "eyeblinkleft", "eyeBlinkL", "L_eyeBlink", "Face.eyeBlinkLeft", "ARKit_eyeBlink_L", "head:eyeBlinkLeft",
     "blendShape1.eyeBlinkLeft", "eyeBlinkLeft.001"],
)  # fmt: skip
def test_common_spellings_are_recognized(name: str) -> None:
    match = arkit_channel(name)
    assert match is not None
    assert match[0] == "eyeBlinkLeft"


@pytest.mark.parametrize("name", ["Basis", "viseme_aa", "Blink", "Fcl_MTH_A", "Key 1", "", "JawOpenCorrective", "brow"])
def test_other_names_are_not(name: str) -> None:
    assert arkit_channel(name) is None


@pytest.mark.parametrize(
    "spell", [str, str.upper, lambda n: n.replace("Left", "_L").replace("Right", "_R"), lambda n: f"x.{n}"]
)
def test_all_52_are_told_apart(spell) -> None:
    assert [match[0] for name in ARKIT_NAMES if (match := arkit_channel(spell(name)))] == list(ARKIT_NAMES)


def test_the_plainest_of_two_names_wins() -> None:
    assert match_names(["CTRL_jawOpen", "jawOpen"]) == {"jawOpen": "jawOpen"}
