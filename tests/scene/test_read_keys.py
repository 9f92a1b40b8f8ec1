# SPDX-License-Identifier: GPL-3.0-or-later
"""What is keyed on a character comes back as the channels that would bake to it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from blender_demo.backend.errors import RigError
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import FACTORS, LIMITS
from blender_demo.scene import rotations
from blender_demo.scene.actions import own_tracks, push_down
from blender_demo.scene.bake import BakeOptions, bake
from blender_demo.scene.character import Character, find_character, shape_keys
from blender_demo.scene.detect import detect_character
from blender_demo.scene.read_keys import KeyedTrack, read_keys

pytestmark = pytest.mark.matrix


def _bake(clip: MotionClip, character: Character, **options: Any) -> None:
    bake(clip, character, detect_character(character), BakeOptions(**options), bpy.context.scene)


def _read(character: Character, factor: str, start_frame: float = 1.0, speed: float = 1.0) -> KeyedTrack:
    return read_keys(character, detect_character(character), factor, bpy.context.scene, start_frame, speed)


def _turn_by_hand(character: Character, bone: str, angles: tuple[float, float, float]) -> None:
    """Key a bone's rotation over frames 1 to 60, from rest to some Euler angles."""
    posed = character.armature.pose.bones[bone]
    posed.rotation_mode = "XYZ"
    for frame, value in ((1, (0.0, 0.0, 0.0)), (60, angles)):
        posed.rotation_euler = value
        posed.keyframe_insert("rotation_euler", frame=frame)


@pytest.mark.parametrize("mode", ["QUATERNION", "AXIS_ANGLE", "XYZ", "ZXY"])
def test_angles_survive_any_rotation_mode(mode: str) -> None:
    random = np.random.default_rng(0)
    angles = random.uniform(-1.2, 1.2, (50, 3))
    values = rotations.to_mode(rotations.from_angles(*angles.T), mode)
    assert np.allclose(rotations.to_angles(rotations.from_mode(values, mode)), angles, atol=1e-5)


@pytest.mark.parametrize("factor", FACTORS, ids=lambda factor: factor.name)
def test_a_baked_take_is_read_back(rigged: Character, lively_clip: MotionClip, factor: Any) -> None:
    _bake(lively_clip, rigged, start_frame=5.5, tolerance=0.0)
    bpy.context.scene.frame_end = 94
    track = _read(rigged, factor.name, 5.5)
    assert not track.is_artists
    assert track.clip.names == factor.channels
    assert (track.clip.fps, len(track.clip)) == (30.0, 89)
    for name in factor.channels:
        expected = np.zeros(89) if name in ("headX", "headY", "headZ") else lively_clip[name][:89]
        if name.startswith("eyeLook"):
            continue  # the eyes turn on this character: they carry the gaze
        assert np.allclose(track.clip[name], expected, atol=2e-5), name


def test_gaze_comes_from_shape_keys_where_no_eyes_turn(
    face_mesh: Callable[..., bpy.types.Object], steady_clip: Callable[..., MotionClip]
) -> None:
    character = find_character(face_mesh())
    _bake(steady_clip(gazeYaw=0.3, eyeLookOutRight=0.5, eyeLookInLeft=0.5), character)
    clip = _read(character, "eyes").clip
    assert clip["gazeYaw"][5] == pytest.approx(0.3, abs=1e-4)


def test_keys_of_the_artist_come_before_those_of_a_take(
    rigged: Character, steady_clip: Callable[..., MotionClip]
) -> None:
    _turn_by_hand(rigged, "head", (0.0, 0.0, 0.3))
    push_down(rigged.armature)
    alone = _read(rigged, "pose")
    _bake(steady_clip(60, headPitch=0.4), rigged)
    beside = _read(rigged, "pose")
    assert alone.is_artists
    assert beside.is_artists
    assert np.ptp(alone.clip.channels) > 0.1
    assert np.allclose(beside.clip.channels, alone.clip.channels, atol=1e-6)


def test_reading_leaves_frame_and_tracks_as_they_were(
    rigged: Character, steady_clip: Callable[..., MotionClip]
) -> None:
    _turn_by_hand(rigged, "head", (0.3, 0.0, 0.0))
    push_down(rigged.armature)
    _bake(steady_clip(60, headYaw=0.4), rigged)
    own_tracks(rigged.armature)[-1].mute = True
    before = [(track.name, track.mute) for track in rigged.armature.animation_data.nla_tracks]
    bpy.context.scene.frame_set(17, subframe=0.25)
    _read(rigged, "pose")
    assert (bpy.context.scene.frame_current, bpy.context.scene.frame_subframe) == (17, 0.25)
    assert [(track.name, track.mute) for track in rigged.armature.animation_data.nla_tracks] == before


@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ"])
def test_a_take_is_read_without_the_pose_that_it_adds_to(
    rigged: Character, steady_clip: Callable[..., MotionClip], mode: str
) -> None:
    head = rigged.armature.pose.bones["head"]
    head.rotation_mode = mode
    head.matrix_basis = Matrix.Rotation(0.3, 4, "Z")
    _bake(steady_clip(60, headPitch=0.4), rigged)
    clip = _read(rigged, "pose").clip
    assert clip["headPitch"][5] == pytest.approx(0.4, abs=1e-3)
    assert clip["headYaw"][5] == pytest.approx(0.0, abs=1e-3)


def test_drivers_are_the_artists_too(rigged: Character) -> None:
    jaw = shape_keys(rigged.meshes[0]).key_blocks["jawOpen"]
    jaw.driver_add("value").driver.expression = "frame / 100"
    track = _read(rigged, "lip")
    assert track.is_artists
    assert track.clip["jawOpen"][19] == pytest.approx(0.2, abs=1e-5)


def test_the_clip_goes_with_a_recording_that_plays_faster(
    rigged: Character, steady_clip: Callable[..., MotionClip]
) -> None:
    _bake(steady_clip(60, jawOpen=0.5), rigged)
    bpy.context.scene.frame_end = 60
    track = _read(rigged, "lip", speed=2.0)
    assert track.clip.duration_s == pytest.approx(4.0)


def test_gain_and_offset_are_undone(rigged: Character, steady_clip: Callable[..., MotionClip]) -> None:
    profile = detect_character(rigged)
    keys = tuple(replace(b, gain=0.5, offset=0.25) if b.channel == "jawOpen" else b for b in profile.keys)
    profile = replace(profile, keys=keys)
    bake(steady_clip(60, jawOpen=0.6), rigged, profile, BakeOptions(), bpy.context.scene)
    clip = read_keys(rigged, profile, "lip", bpy.context.scene, 1.0).clip
    assert clip["jawOpen"][5] == pytest.approx(0.6, abs=1e-4)
    assert all(LIMITS[name][0] <= clip[name].min() <= clip[name].max() <= LIMITS[name][1] for name in clip.names)


def test_what_cannot_be_read_is_refused(rigged: Character, face_mesh: Callable[..., bpy.types.Object]) -> None:
    with pytest.raises(RigError, match="Nothing animates the lip"):
        _read(rigged, "lip")
    with pytest.raises(RigError, match="but the scene ends on 250"):
        _read(rigged, "lip", start_frame=300)
    bare = find_character(face_mesh("Bare", ("jawOpen",)))
    with pytest.raises(RigError, match="nothing that moves the expression"):
        _read(bare, "expression")
    profile = detect_character(rigged)
    shared = tuple(replace(b, key="jawOpen") if b.channel == "tongueOut" else b for b in profile.keys)
    with pytest.raises(RigError, match="several channels"):
        read_keys(rigged, replace(profile, keys=shared), "lip", bpy.context.scene, 1.0)
