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
