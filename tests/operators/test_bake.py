# SPDX-License-Identifier: GPL-3.0-or-later
"""A kept take can be baked again, and everything can be taken back."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNELS

pytestmark = pytest.mark.matrix


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A clip on disk that holds the jaw open."""
    channels = np.zeros((30, len(CHANNELS)), np.float32)
    channels[:, CHANNELS.index("jawOpen")] = 0.8
    MotionClip(30.0, channels).save(tmp_path / "take.npz")
    return tmp_path / "take.npz"


def _jaw(face: Any, frame: int) -> float:
    bpy.context.scene.frame_set(frame)
    return face.data.shape_keys.key_blocks["jawOpen"].value


def test_a_clip_from_anywhere_can_be_baked(addon: Any, face: Any, kept: Path) -> None:
    addon.clip_path = str(kept)
    assert bpy.ops.demo.bake() == {"FINISHED"}
    assert _jaw(face, 10) == pytest.approx(0.8, abs=0.003)


def test_gain_needs_no_new_generation(addon: Any, face: Any, kept: Path) -> None:
    addon.clip_path, addon.lip.gain = str(kept), 0.5
    bpy.ops.demo.bake()
    assert _jaw(face, 10) == pytest.approx(0.4, abs=0.003)


def test_remove_takes_everything_back(addon: Any, face: Any, kept: Path) -> None:
    addon.clip_path = str(kept)
    bpy.ops.demo.bake()
    assert bpy.ops.demo.remove_bake() == {"FINISHED"}
    assert _jaw(face, 10) == 0.0
    assert len(bpy.data.actions) == 0
    assert bpy.ops.demo.remove_bake() == {"CANCELLED"}


def test_a_damaged_clip_is_named(addon: Any, face: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"PK nothing")
    addon.clip_path = str(tmp_path / "broken.npz")
    with pytest.raises(RuntimeError, match=r"broken\.npz"):
        bpy.ops.demo.bake()
    assert len(bpy.data.actions) == 0


def test_my_action_can_be_pushed_down(addon: Any, face: Any, kept: Path) -> None:
    jaw = face.data.shape_keys.key_blocks["jawOpen"]
    jaw.keyframe_insert("value", frame=1)
    addon.clip_path = str(kept)
    bpy.ops.demo.bake()
    assert _jaw(face, 10) == 0.0
    assert bpy.ops.demo.push_down() == {"FINISHED"}
    assert _jaw(face, 10) == pytest.approx(0.8, abs=0.003)


def test_nothing_to_bake_is_said(addon: Any, face: Any) -> None:
    with pytest.raises(RuntimeError, match="Generate a take"):
        bpy.ops.demo.bake()


def test_a_check_lists_what_hides_the_take_and_mends_it(addon: Any, face: Any, kept: Path) -> None:
    keys = face.data.shape_keys
    keys.key_blocks["jawOpen"].keyframe_insert("value", frame=1)
    keys.key_blocks["mouthPucker"].mute = True
    face.show_only_shape_key = True
    addon.clip_path = str(kept)
    assert bpy.ops.demo.check() == {"FINISHED"}
    kinds = {finding.kind for finding in addon.findings}
    assert {"active_action", "muted_key", "only_shape_key", "outlook"} - kinds == {"active_action"} - kinds
    bpy.ops.demo.mend(kind="muted_key", target="Face: mouthPucker")
    assert not keys.key_blocks["mouthPucker"].mute
    assert face.show_only_shape_key
    bpy.ops.demo.bake()
    assert "active_action" in {finding.kind for finding in addon.findings}
    assert bpy.ops.demo.mend() == {"FINISHED"}
    assert not face.show_only_shape_key
    assert {finding.severity for finding in addon.findings} == {"INFO"}
    assert _jaw(face, 10) == pytest.approx(0.8, abs=0.003)


def test_the_take_goes_to_the_other_selected_characters(addon: Any, face: Any, kept: Path) -> None:
    other = face.copy()
    other.data = face.data.copy()
    bpy.context.scene.collection.objects.link(other)
    addon.clip_path = str(kept)
    bpy.ops.demo.bake()
    other.select_set(True)
    with bpy.context.temp_override(selected_objects=[other]):
        assert bpy.ops.demo.retarget() == {"FINISHED"}
    assert _jaw(other, 10) == pytest.approx(0.8, abs=0.003)


def test_everything_can_be_removed_from_the_scene(addon: Any, face: Any, kept: Path) -> None:
    addon.clip_path = str(kept)
    addon.target = "NEW"
    bpy.ops.demo.bake()
    assert bpy.ops.demo.remove_bake(scope="SCENE") == {"FINISHED"}
    assert len(bpy.data.actions) == 0
    assert (addon.clip_path, len(addon.findings)) == ("", 0)
    assert face.data.shape_keys.animation_data is None


def test_the_panel_says_everything_that_the_options_know(addon: Any, face: Any) -> None:
    addon.target, addon.interpolation, addon.step, addon.ease_s = "ACTIVE", "CONSTANT", 3, 0.5
    addon.use_range, addon.first, addon.last, addon.tolerance = True, 7, 77, 0.01
    addon.lip.offset_ms, addon.lip.smoothing_ms, addon.lip.blend = -40.0, 60.0, "COMBINE"
    options = addon.bake_options("line", 5.0)
    assert (options.target, options.interpolation, options.step, options.ease_s) == ("ACTIVE", "CONSTANT", 3, 0.5)
    assert (options.first, options.last, options.tolerance) == (7, 77, pytest.approx(0.01))
    lip = options.factors["lip"]
    assert (lip.offset_ms, lip.smoothing_ms, lip.blend) == (-40.0, 60.0, "COMBINE")
    assert options.factors["pose"].blend == "COMBINE"
    assert options.factors["eyes"].blend == "REPLACE"
