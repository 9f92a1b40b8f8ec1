# SPDX-License-Identifier: GPL-3.0-or-later
"""A take goes from one character to another without the model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from blender_demo.backend.errors import RigError
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.scene.actions import takes
from blender_demo.scene.bake import BakeOptions, bake
from blender_demo.scene.character import Character, find_character, shape_keys
from blender_demo.scene.detect import detect_character
from blender_demo.scene.retarget import retarget

pytestmark = pytest.mark.matrix


@pytest.fixture
def other(face_mesh: Callable[..., bpy.types.Object]) -> Character:
    """Another face, without bones."""
    return find_character(face_mesh("Other"))


def _values(character: Character, key: str) -> list[float]:
    found = []
    for frame in range(5, 95):
        bpy.context.scene.frame_set(frame)
        found.append(shape_keys(character.meshes[0]).key_blocks[key].value)
    return found


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("target", ["NLA", "NEW"])
def test_the_other_character_does_the_same(
    rigged: Character, other: Character, lively_clip: MotionClip, tmp_path: Path, known: bool, target: Any
) -> None:
    path = tmp_path / "take.npz"
    lively_clip.save(path)
    options = BakeOptions(
        start_frame=5, take="line", tolerance=0.0, target=target, clip_path=str(path) if known else ""
    )
    bake(lively_clip, rigged, detect_character(rigged), options, bpy.context.scene)
    reports = retarget(rigged, other, bpy.context.scene, BakeOptions(tolerance=0.0))
    assert len(reports) == 1
    assert [(take.name, take.start, take.end) for take in takes(other.data_blocks())] == [("line", 5, 94)]
    for key in ("jawOpen", "browInnerUp", "eyeBlinkLeft"):
        assert np.allclose(_values(other, key), _values(rigged, key), atol=2e-3), key


def test_a_take_that_was_moved_goes_where_it_lies_now(
    rigged: Character, other: Character, lively_clip: MotionClip, tmp_path: Path
) -> None:
    lively_clip.save(tmp_path / "take.npz")
    options = BakeOptions(start_frame=5, clip_path=str(tmp_path / "take.npz"))
    bake(lively_clip, rigged, detect_character(rigged), options, bpy.context.scene)
    for block in rigged.data_blocks():
        for track in block.animation_data.nla_tracks if block.animation_data else ():
            for strip in track.strips if track.name != "DEMO rest" else ():
                strip.frame_end += 40
                strip.frame_start += 40
                strip.scale = 1.0
    retarget(rigged, other, bpy.context.scene)
    assert [(take.start, take.end) for take in takes(other.data_blocks())] == [(45, 134)]


def test_what_the_artist_keyed_goes_along_where_there_is_no_take(rigged: Character, other: Character) -> None:
    jaw = shape_keys(rigged.meshes[0]).key_blocks["jawOpen"]
    for frame, value in ((1, 0.0), (60, 0.9), (120, 0.1)):
        jaw.value = value
        jaw.keyframe_insert("value", frame=frame)
    retarget(rigged, other, bpy.context.scene)
    assert np.allclose(_values(other, "jawOpen"), _values(rigged, "jawOpen"), atol=3e-3)


def test_nothing_to_bring_is_said(rigged: Character, other: Character) -> None:
    with pytest.raises(RigError, match="Nothing animates"):
        retarget(rigged, other, bpy.context.scene)
    with pytest.raises(RigError, match="Select another one"):
        retarget(rigged, rigged, bpy.context.scene)
    assert len(bpy.data.actions) == 0
