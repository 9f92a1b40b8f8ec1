# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys on the character become a given track of the takes to come."""

from pathlib import Path
from typing import Any

import bpy
import pytest

from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNELS

pytestmark = pytest.mark.matrix


def _key(face: Any, name: str, keys: dict[int, float]) -> None:
    block = face.data.shape_keys.key_blocks[name]
    for frame, value in keys.items():
        block.value = value
        block.keyframe_insert("value", frame=frame)


def test_my_keys_are_given_and_stay(addon: Any, face: Any, fake_job: Any, recording: Path, tmp_path: Path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    addon, face = bpy.context.scene.demo, bpy.data.objects["Face"]
    _key(face, "browInnerUp", {20: 0.0, 50: 0.6})
    addon.audio_path, addon.start_frame = str(recording), 20
    addon.expression.lock = True
    assert bpy.ops.demo.use_keys(factor="expression") == {"FINISHED"}
    assert Path(addon.expression.given) == tmp_path / "demo_takes" / "line_one_expression_keys.npz"
    brow = MotionClip.load(Path(addon.expression.given))["browInnerUp"]
    assert (brow[0], brow[30]) == (0.0, pytest.approx(0.6))
    assert (addon.expression.lock, addon.expression.include) == (False, False)
    bpy.ops.demo.generate()
    assert fake_job.made[0].settings.control("expression").given == addon.expression.given
    bpy.context.scene.frame_set(50)
    assert face.data.shape_keys.key_blocks["browInnerUp"].value == pytest.approx(0.6)


def test_the_generator_reads_what_was_keyed(addon: Any, face: Any, recording: Path) -> None:
    pytest.importorskip("torch")
    from blender_demo.backend.flow.given_tracks import load_given

    bpy.context.scene.render.fps = 24
    bpy.context.scene.frame_end = 48
    _key(face, "eyeBlinkLeft", {1: 0.0, 25: 1.0})
    addon.audio_path = str(recording)
    bpy.ops.demo.use_keys(factor="eyes")
    given: Any = load_given(addon.generation("cpu"), 90)
    assert given.is_given.sum(axis=0).tolist() == [0, 0, 60, 0]
    assert given.channels[30, CHANNELS.index("eyeBlinkLeft")] == pytest.approx(1.0, abs=0.01)


def test_an_edited_take_is_given_and_baked_again(addon: Any, face: Any, fake_job: Any, recording: Path) -> None:
    addon.audio_path, addon.lip.gain = str(recording), 0.5
    bpy.ops.demo.generate()
    assert bpy.ops.demo.use_keys(factor="lip") == {"FINISHED"}
    assert (addon.lip.include, addon.lip.gain) == (True, 1.0)
    assert MotionClip.load(Path(addon.lip.given))["jawOpen"][5] == pytest.approx(0.3, abs=0.003)


def test_a_face_without_keys_is_told_and_nothing_changes(addon: Any, face: Any, recording: Path) -> None:
    addon.audio_path = str(recording)
    with pytest.raises(RuntimeError, match="Nothing animates the lip of 'Face'"):
        bpy.ops.demo.use_keys(factor="lip")
    assert addon.lip.given == ""
    assert addon.lip.include


def test_the_button_says_what_is_missing(addon: Any, face: Any) -> None:
    with pytest.raises(RuntimeError, match="Choose a recording"):
        bpy.ops.demo.use_keys(factor="lip")
