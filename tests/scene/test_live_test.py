# SPDX-License-Identifier: GPL-3.0-or-later
"""The test slider shows what a bake would, and leaves no trace."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Quaternion

import blender_demo
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNELS, LIMITS
from blender_demo.scene.bake import bake
from blender_demo.scene.bake_options import BakeOptions
from blender_demo.scene.character import Character, find_character
from blender_demo.scene.detect import detect_character
from blender_demo.scene.live_test import is_signed
from blender_demo.scene.profiles import store_profile

pytestmark = pytest.mark.matrix


@pytest.fixture(autouse=True)
def registered(empty_scene: None) -> Iterator[None]:
    blender_demo.register()
    yield
    blender_demo.unregister()


def _mapping() -> Any:
    return bpy.context.scene.demo.mapping


def _try(channel: str, amount: float) -> None:
    mapping = _mapping()
    mapping.active = CHANNELS.index(channel)
    setattr(mapping, "turn" if is_signed(channel) else "weight", amount)


def _pose(character: Character) -> dict[str, Any]:
    """Every value that a bake may move, and everything of animation there is."""
    state: dict[str, Any] = {"actions": len(bpy.data.actions)}
    for block in character.data_blocks():
        animation = block.animation_data
        tracks = [(t.name, len(t.strips)) for t in animation.nla_tracks] if animation else []
        state[f"animation of {block.name}"] = (animation and animation.action, tracks)
        if isinstance(block, bpy.types.Key):
            state |= {f"{block.name} {key.name}": key.value for key in block.key_blocks}
            continue
        moved = (*block.delta_rotation_quaternion, *block.delta_rotation_euler, *block.rotation_euler)
        state[block.name] = (*moved, *block.location, *block.delta_location)
        for bone in block.pose.bones if block.pose else ():
            state[f"{block.name} {bone.name}"] = (
                *bone.rotation_quaternion,
                *bone.rotation_euler,
                *bone.rotation_axis_angle,
                *bone.location,
            )
    return state


def _baked(character: Character, profile: Any, clip: MotionClip) -> dict[str, Any]:
    """What a bake makes of the pose, in the middle of the clip."""
    scene = bpy.context.scene
    bake(clip, character, profile, BakeOptions(), scene)
    scene.frame_set(10)
    return {key: value for key, value in _pose(character).items() if not key.startswith(("animation", "actions"))}


def _without_twins(clip: MotionClip, channel: str) -> MotionClip:
    """A clip of gaze alone, which a bake completes with the lids that go with it."""
    names = tuple(name for name in clip.names if not (channel.startswith("gaze") and name.startswith("eyeLook")))
    return MotionClip(clip.fps, np.stack([clip[name] for name in names], axis=1), names)


@pytest.mark.parametrize(
    ("channel", "amount"),
    [
        ("jawOpen", 0.6),
        ("mouthSmileLeft", 1.0),
        ("headYaw", -0.5),
        ("headPitch", 1.0),
        ("gazeYaw", -1.0),
        ("gazePitch", 0.3),
    ],
)
@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ"])
def test_it_shows_exactly_what_a_bake_gives(
    rigged: Character, steady_clip: Callable[..., MotionClip], channel: str, amount: float, mode: str
) -> None:
    head = rigged.armature.pose.bones["head"]
    head.rotation_mode = mode
    head.rotation_quaternion = Quaternion((0.98, 0.1, 0.1, 0.1)).normalized()
    head.rotation_euler = (0.2, 0.0, 0.1)
    bpy.context.scene.demo.character = rigged.meshes[0]
    _try(channel, amount)
    shown = {key: value for key, value in _pose(rigged).items() if not key.startswith(("animation", "actions"))}
    _mapping().end_test()
    value = amount * LIMITS[channel][1]
    baked = _baked(rigged, detect_character(rigged), _without_twins(steady_clip(**{channel: value}), channel))
    for name, values in baked.items():
        assert shown[name] == pytest.approx(values, abs=2e-3), name


def test_channels_of_the_eyes_and_the_gaze_are_tried_as_one(rigged: Character) -> None:
    """A take carries both and they agree; so does the test, on eyes that only the gaze turns."""
    bpy.context.scene.demo.character = rigged.meshes[0]
    before = tuple(rigged.armature.pose.bones["eye.L"].rotation_quaternion)
    _try("eyeLookUpLeft", 1.0)
    assert tuple(rigged.armature.pose.bones["eye.L"].rotation_quaternion) != before


def test_gain_of_the_panel_and_of_the_mapping_count(rigged: Character) -> None:
    settings = bpy.context.scene.demo
    settings.character = rigged.meshes[0]
    settings.lip.gain, settings.lip.include = 0.5, False
    _try("jawOpen", 0.8)
    assert rigged.meshes[0].data.shape_keys.key_blocks["jawOpen"].value == pytest.approx(0.4)


def test_nothing_differs_after_a_session_over_every_channel(rigged: Character) -> None:
    rigged.meshes[0].data.shape_keys.key_blocks["jawOpen"].value = 0.25
    rigged.armature.pose.bones["head"].rotation_quaternion = (0.98, 0.1, 0.1, 0.1)
    bpy.context.scene.demo.character = rigged.meshes[0]
    before = _pose(rigged)
    moved = []
    for channel in CHANNELS:
        for amount in (0.3, 1.0, -0.7 if is_signed(channel) else 0.5):
            _try(channel, amount)
        moved.append(_pose(rigged) != before)
    assert sum(moved) >= len(CHANNELS) - 3
    _try(CHANNELS[0], 0.0)
    assert _pose(rigged) == before
    assert not _mapping().is_testing


def _done() -> None:
    bpy.ops.demo.mapping_done()


def _save(tmp_path: Path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))


ENDS: dict[str, Callable[[Path], Any]] = {
    "slider at zero": lambda _: setattr(_mapping(), "weight", 0.0),
    "another channel": lambda _: setattr(_mapping(), "active", CHANNELS.index("mouthFunnel")),
    "done": lambda _: _done(),
    "saving": _save,
    "no character": lambda _: setattr(bpy.context.scene.demo, "character", None),
    "rendering": lambda _: [handler(bpy.context.scene) for handler in bpy.app.handlers.render_init],
    "switched off": lambda _: (blender_demo.unregister(), blender_demo.register()),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_the_test_ends_with(rigged: Character, tmp_path: Path, end: Callable[[Path], Any]) -> None:
    bpy.context.scene.demo.character = rigged.meshes[0]
    before = _pose(rigged)
    _try("jawOpen", 0.8)
    assert _pose(rigged) != before
    end(tmp_path)
    assert _pose(rigged) == before
    assert not _mapping().is_testing
    assert _mapping().weight == 0.0


def test_a_file_stored_in_the_middle_of_a_test_opens_at_rest(rigged: Character, tmp_path: Path) -> None:
    """As copies are that Blender makes by itself, without telling add-ons."""
    bpy.context.scene.demo.character = rigged.meshes[0]
    _try("jawOpen", 0.8)
    handlers = list(bpy.app.handlers.save_pre)
    bpy.app.handlers.save_pre.clear()
    _save(tmp_path)
    bpy.app.handlers.save_pre[:] = handlers
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    assert bpy.data.objects["Face"].data.shape_keys.key_blocks["jawOpen"].value == 0.0
    assert not _mapping().is_testing


def test_what_the_artist_changes_meanwhile_stays(rigged: Character) -> None:
    jaw = rigged.meshes[0].data.shape_keys.key_blocks["jawOpen"]
    bpy.context.scene.demo.character = rigged.meshes[0]
    _try("jawOpen", 0.8)
    jaw.value = 0.5
    _done()
    assert jaw.value == 0.5


def test_animation_that_hides_the_test_is_told(rigged: Character) -> None:
    rigged.meshes[0].data.shape_keys.key_blocks["jawOpen"].keyframe_insert("value", frame=1)
    bpy.context.scene.demo.character = rigged.meshes[0]
    _try("mouthFunnel", 0.8)
    assert not _mapping().note
    _try("jawOpen", 0.8)
    assert "next frame" in _mapping().note


def test_a_channel_that_a_driver_holds_says_so(rigged: Character) -> None:
    rigged.meshes[0].data.shape_keys.key_blocks["jawOpen"].driver_add("value")
    bpy.context.scene.demo.character = rigged.meshes[0]
    _try("jawOpen", 0.8)
    assert "driver" in _mapping().note
    assert not _mapping().is_testing


def test_a_linked_character_is_refused_with_the_remedy(rigged: Character, tmp_path: Path) -> None:
    _save(tmp_path)
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "shot.blend"), link=True) as (_, wanted):
        wanted.objects = ["Face", "Rig"]
    face = bpy.data.objects["Face"]
    bpy.context.scene.collection.objects.link(face)
    bpy.context.scene.demo.character = face
    before = _pose(find_character(face))
    _try("jawOpen", 0.8)
    assert "override" in _mapping().note
    assert _pose(find_character(face)) == before


def test_a_mapping_that_fits_no_more_says_so(rigged: Character) -> None:
    store_profile(bpy.context.scene, rigged, detect_character(rigged))
    bpy.context.scene.demo.character = rigged.meshes[0]
    rigged.meshes[0].data.shape_keys.key_blocks["jawOpen"].name = "gape"
    before = _pose(rigged)
    _try("jawOpen", 0.8)
    assert "jawOpen" in _mapping().note
    assert _pose(rigged) == before


def test_eyes_that_are_objects_turn_and_come_back(open_character: Callable[[str, str], Character]) -> None:
    character = open_character("facecap_eyes_as_objects.blend", "EyeLeft")
    bpy.context.scene.demo.character = character.meshes[0]
    before = _pose(character)
    _try("gazeYaw", 0.8)
    assert _pose(character) != before
    _done()
    assert _pose(character) == before
