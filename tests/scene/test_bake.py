# SPDX-License-Identifier: GPL-3.0-or-later
"""Baking writes what the clip says, where it says, and touches nothing of the artist's."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Matrix, Vector

from blender_demo import compat
from blender_demo.backend.errors import BakeError
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNEL_INDEX
from blender_demo.scene.actions import MARKER, own_tracks, push_down, takes
from blender_demo.scene.bake import BakeOptions, FactorBake, bake, remove_bake
from blender_demo.scene.character import Character, find_character, override_meshes, rest_matrix, shape_keys
from blender_demo.scene.detect import detect_character
from blender_demo.scene.rig_profile import RigProfile

pytestmark = pytest.mark.matrix

Clip = Callable[..., MotionClip]


def _bake(clip: MotionClip, character: Character, **options: object):
    return bake(clip, character, detect_character(character), BakeOptions(**options), bpy.context.scene)  # pyright: ignore


def _value(character: Character, key: str, frame: int) -> float:
    """A shape key's value as the dependency graph evaluates it."""
    bpy.context.scene.frame_set(frame)
    mesh = character.meshes[0].evaluated_get(bpy.context.evaluated_depsgraph_get())
    return mesh.data.shape_keys.key_blocks[key].value


def _facing(character: Character, part: str, frame: int) -> tuple[Vector, Vector]:
    """Where a bone's rest forward (-Y of the world) and left (+X) point on a frame, in world space."""
    rig = character.armature
    assert rig is not None
    bpy.context.scene.frame_set(frame)
    posed = rig.evaluated_get(bpy.context.evaluated_depsgraph_get())
    turn = (posed.matrix_world @ posed.pose.bones[part].matrix).to_3x3() @ (
        rest_matrix(rig) @ rig.data.bones[part].matrix_local
    ).to_3x3().inverted()
    return (turn @ Vector((0, -1, 0))).normalized(), (turn @ Vector((1, 0, 0))).normalized()


def _snapshot(block: bpy.types.ID) -> list[object]:
    """What the artist has on a data-block, down to each key."""
    animation = block.animation_data
    if animation is None:
        return []
    own = {track.name for track in own_tracks(block)}

    def curves(owner: object, action: bpy.types.Action) -> list[object]:
        return [
            (c.data_path, c.array_index, [(*p.co, p.interpolation) for p in c.keyframe_points])
            for c in compat.action_curves(action, compat.slot_of(owner))
        ]

    tracks = [
        (t.name, t.mute, [(s.name, s.frame_start, s.frame_end, s.action.name, curves(s, s.action)) for s in t.strips])
        for t in animation.nla_tracks
        if t.name not in own
    ]
    active = (animation.action.name, curves(animation, animation.action)) if animation.action else None
    return [active, tracks]


def _key_by_hand(
    block: bpy.types.ID, path: str, keys: dict[int, float | bool], owner: bpy.types.bpy_struct | None = None
) -> bpy.types.Action:
    for frame, value in keys.items():
        setattr(owner or block, path.rpartition(".")[2], value)
        (owner or block).keyframe_insert(path.rpartition(".")[2], frame=frame)
    assert block.animation_data is not None
    assert block.animation_data.action is not None
    return block.animation_data.action


def test_shape_keys_follow_the_clip_within_the_tolerance(rigged: Character, lively_clip: MotionClip) -> None:
    report = _bake(lively_clip, rigged, start_frame=10, tolerance=0.003)
    profile = detect_character(rigged)
    for row in range(0, 90, 7):
        for binding in profile.keys:
            assert _value(rigged, binding.key, 10 + row) == pytest.approx(lively_clip[binding.channel][row], abs=0.0031)
    assert report.keys < report.curves * 90
    assert (report.first_frame, report.last_frame) == (10, 99)


def test_curves_themselves_hold_the_clip(rigged: Character, lively_clip: MotionClip) -> None:
    _bake(lively_clip, rigged, start_frame=1, tolerance=0.0)
    jaw = shape_keys(rigged.meshes[0]).key_blocks["jawOpen"].path_from_id("value")
    strip = next(t for t in own_tracks(shape_keys(rigged.meshes[0])) if t.name == "DEMO lip").strips[0]
    curve = next(c for c in compat.action_curves(strip.action, compat.slot_of(strip)) if c.data_path == jaw)
    evaluated = [curve.evaluate(1 + row) for row in range(90)]
    assert np.allclose(evaluated, lively_clip["jawOpen"], atol=1e-5)


@pytest.mark.parametrize(("fps", "base", "seconds"), [(24, 1.0, 1.0), (24, 1.001, 1.0), (60, 1.0, 1.0)])
def test_takes_last_as_long_as_the_voice_at_any_frame_rate(
    rigged: Character, lively_clip: MotionClip, fps: int, base: float, seconds: float
) -> None:
    bpy.context.scene.render.fps, bpy.context.scene.render.fps_base = fps, base
    _bake(lively_clip, rigged, start_frame=1)
    frame = 1 + round(seconds * fps / base)
    assert _value(rigged, "browInnerUp", frame) == pytest.approx(
        lively_clip["browInnerUp"][round(seconds * 30)], abs=0.03
    )


@pytest.mark.parametrize("roll", [0.0, 0.7, -2.0])
@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ", "ZXY", "AXIS_ANGLE"])
def test_head_turns_the_right_way_for_any_bone_roll_and_mode(
    armature: Callable[..., bpy.types.Object],
    face_mesh: Callable[..., bpy.types.Object],
    steady_clip: Clip,
    roll: float,
    mode: str,
) -> None:
    rig, face = armature(roll=roll), face_mesh()
    face.parent = rig
    for bone in rig.pose.bones:
        bone.rotation_mode = mode
    character = find_character(face)
    _bake(steady_clip(headYaw=0.5), character)
    assert _facing(character, "head", 10)[0].to_tuple(4) == pytest.approx((-np.sin(0.5), -np.cos(0.5), 0.0), abs=2e-3)
    _bake(steady_clip(headPitch=0.4), character)
    assert _facing(character, "head", 10)[0].to_tuple(4) == pytest.approx((0.0, -np.cos(0.4), -np.sin(0.4)), abs=2e-3)
    _bake(steady_clip(headRoll=0.3), character)
    assert _facing(character, "head", 10)[1].to_tuple(4) == pytest.approx((np.cos(0.3), 0.0, np.sin(0.3)), abs=2e-3)


def test_neck_takes_part_of_the_turn(rigged: Character, steady_clip: Clip) -> None:
    _bake(steady_clip(headYaw=0.5), rigged)
    neck, head = (_facing(rigged, bone, 10)[0] for bone in ("neck", "head"))
    assert np.arctan2(-neck.x, -neck.y) == pytest.approx(0.2, abs=2e-3)
    assert np.arctan2(-head.x, -head.y) == pytest.approx(0.5, abs=2e-3)


def test_head_stays_on_the_neck(rigged: Character, steady_clip: Clip) -> None:
    before = rigged.armature.pose.bones["head"].head.copy()
    _bake(steady_clip(headX=0.3, headY=0.3, headZ=0.3), rigged)
    bpy.context.scene.frame_set(10)
    assert (rigged.armature.pose.bones["head"].head - before).length < 1e-6


def test_eyes_look_where_the_gaze_says(rigged: Character, steady_clip: Clip) -> None:
    _bake(steady_clip(gazeYaw=0.4, gazePitch=0.2), rigged)
    for eye in ("eye.L", "eye.R"):
        forward = _facing(rigged, eye, 10)[0]
        assert forward.x < -0.3
        assert forward.z < -0.15


def test_a_rig_that_lies_down_scaled_under_a_parent_still_turns_in_its_own_frame(
    rigged: Character, steady_clip: Clip
) -> None:
    rig = rigged.root
    holder = bpy.data.objects.new("Holder", None)
    bpy.context.scene.collection.objects.link(holder)
    holder.matrix_world = Matrix.Rotation(1.1, 4, "Z") @ Matrix.Scale(2.5, 4)
    rig.parent = holder
    rig.matrix_basis = Matrix.Rotation(-np.pi / 2, 4, "X")
    bpy.context.view_layer.update()
    character = find_character(rig)
    rest = rest_matrix(rig).to_3x3().normalized()
    _bake(steady_clip(headYaw=0.5), character)
    bpy.context.scene.frame_set(10)
    posed = rig.evaluated_get(bpy.context.evaluated_depsgraph_get())
    turn = posed.pose.bones["head"].matrix.to_3x3() @ rig.data.bones["head"].matrix_local.to_3x3().inverted()
    assert (turn @ Vector((0, -1, 0))).to_tuple() == pytest.approx((-np.sin(0.5), -np.cos(0.5), 0.0), abs=2e-3)
    assert rest.determinant() == pytest.approx(1.0)


def test_each_factor_has_its_own_track_and_can_be_muted(rigged: Character, steady_clip: Clip) -> None:
    clip = steady_clip(jawOpen=0.7, browInnerUp=0.6, eyeBlinkLeft=0.9)
    report = _bake(clip, rigged)
    assert {"DEMO lip", "DEMO pose", "DEMO eyes", "DEMO expression"} <= set(report.tracks)
    assert _value(rigged, "jawOpen", 10) == pytest.approx(0.7, abs=0.003)
    tracks = shape_keys(rigged.meshes[0]).animation_data.nla_tracks
    tracks["DEMO lip"].mute = True
    assert _value(rigged, "jawOpen", 10) == pytest.approx(0.0, abs=1e-6)
    assert _value(rigged, "browInnerUp", 10) == pytest.approx(0.6, abs=0.003)
    tracks["DEMO lip"].mute = False
    assert _value(rigged, "jawOpen", 10) == pytest.approx(0.7, abs=0.003)


def test_outside_the_take_the_face_is_as_the_artist_left_it(rigged: Character, steady_clip: Clip) -> None:
    keys = shape_keys(rigged.meshes[0]).key_blocks
    keys["mouthSmileLeft"].value = 0.3
    _bake(steady_clip(jawOpen=0.7, mouthSmileLeft=0.8), rigged, start_frame=50)
    assert _value(rigged, "mouthSmileLeft", 60) == pytest.approx(0.8, abs=0.003)
    for frame in (1, 300):
        assert _value(rigged, "mouthSmileLeft", frame) == pytest.approx(0.3, abs=1e-6)
        assert _value(rigged, "jawOpen", frame) == pytest.approx(0.0, abs=1e-6)


def test_the_face_eases_into_the_take_and_out_of_it(rigged: Character, steady_clip: Clip) -> None:
    _bake(steady_clip(jawOpen=0.6), rigged, start_frame=50, ease_s=0.2)
    assert 0.1 < _value(rigged, "jawOpen", 47) < 0.5
    assert 0.1 < _value(rigged, "jawOpen", 82) < 0.5


def test_a_second_bake_replaces_the_first(rigged: Character, lively_clip: MotionClip) -> None:
    first = _bake(lively_clip, rigged)
    actions, tracks = (
        len(bpy.data.actions),
        [len(block.animation_data.nla_tracks) for block in rigged.data_blocks() if block.animation_data],
    )
    second = _bake(lively_clip, rigged)
    assert replace(second, seconds=0.0) == replace(first, seconds=0.0)
    assert len(bpy.data.actions) == actions
    assert [len(block.animation_data.nla_tracks) for block in rigged.data_blocks() if block.animation_data] == tracks


def test_takes_one_after_the_other_stay_side_by_side(rigged: Character, steady_clip: Clip) -> None:
    _bake(steady_clip(jawOpen=0.4), rigged, take="one", start_frame=1)
    _bake(steady_clip(jawOpen=0.8), rigged, take="two", start_frame=32)
    _bake(steady_clip(jawOpen=0.2), rigged, take="zero", start_frame=-31)
    assert [take.name for take in takes(rigged.data_blocks())] == ["zero", "one", "two"]
    for frame, value in (
        (-15, 0.2),
        (-2, 0.2),
        (0, 0.333),
        (1, 0.4),
        (15, 0.4),
        (30, 0.4),
        (31, 0.6),
        (32, 0.8),
        (45, 0.8),
        (61, 0.8),
    ):
        assert _value(rigged, "jawOpen", frame) == pytest.approx(value, abs=0.004)
    assert {track.name for track in own_tracks(shape_keys(rigged.meshes[0]))} == {
        f"DEMO {name}" for name in ("rest", "lip", "eyes", "expression")
    }


def test_a_take_in_the_same_place_gives_way(rigged: Character, steady_clip: Clip) -> None:
    _bake(steady_clip(jawOpen=0.4), rigged, take="one", start_frame=1)
    _bake(steady_clip(jawOpen=0.8), rigged, take="two", start_frame=15)
    assert [take.name for take in takes(rigged.data_blocks())] == ["two"]


def test_removing_leaves_nothing(rigged: Character, lively_clip: MotionClip) -> None:
    keys = shape_keys(rigged.meshes[0]).key_blocks
    keys["mouthSmileLeft"].value = 0.25
    _bake(lively_clip, rigged)
    bpy.context.scene.frame_set(40)
    remove_bake(rigged)
    bpy.context.scene.frame_set(41)
    assert len(bpy.data.actions) == 0
    assert all(block.animation_data is None for block in rigged.data_blocks())
    assert keys["mouthSmileLeft"].value == pytest.approx(0.25)
    assert keys["jawOpen"].value == 0.0
    assert np.allclose(rigged.armature.pose.bones["head"].matrix_basis, Matrix(), atol=1e-6)


def test_the_artists_action_and_tracks_are_untouched(rigged: Character, lively_clip: MotionClip) -> None:
    rig, keys = rigged.root, shape_keys(rigged.meshes[0])
    body = _key_by_hand(rig, "hide_render", {1: False, 50: True})
    strip_of = rig.animation_data.nla_tracks.new()
    strip_of.name = "Walk"
    strip = strip_of.strips.new("walk", 1, body)
    compat.assign_slot(strip, compat.slot_of(rig.animation_data))
    _key_by_hand(keys, "value", {1: 0.1, 20: 0.9}, keys.key_blocks["browInnerUp"])
    before = [_snapshot(block) for block in (rig, keys)]
    _bake(lively_clip, rigged)
    assert [_snapshot(block) for block in (rig, keys)] == before
    _bake(lively_clip, rigged)
    remove_bake(rigged)
    assert [_snapshot(block) for block in (rig, keys)] == before


def test_an_action_that_hides_the_take_is_told_and_can_be_pushed_down(rigged: Character, steady_clip: Clip) -> None:
    keys = shape_keys(rigged.meshes[0])
    action = _key_by_hand(keys, "value", {1: 0.1, 20: 0.1}, keys.key_blocks["jawOpen"])
    report = _bake(steady_clip(jawOpen=0.8), rigged)
    assert any(action.name in sentence and "Push it down" in sentence for sentence in report.warnings)
    assert _value(rigged, "jawOpen", 10) == pytest.approx(0.1, abs=1e-6)
    assert push_down(keys) == action.name
    assert _value(rigged, "jawOpen", 10) == pytest.approx(0.8, abs=0.003)
    assert _value(rigged, "jawOpen", 200) == pytest.approx(0.1, abs=1e-6)


def test_head_motion_adds_to_what_the_artist_animated_beneath(rigged: Character, steady_clip: Clip) -> None:
    rig = rigged.root
    head = rig.pose.bones["head"]
    head.rotation_mode = "QUATERNION"
    head.rotation_quaternion = Matrix.Rotation(
        0.3, 4, Vector(rig.data.bones["head"].matrix_local.inverted().to_3x3() @ Vector((0, 0, 1)))
    ).to_quaternion()
    head.keyframe_insert("rotation_quaternion", frame=1)
    push_down(rig)
    alone = _facing(rigged, "head", 10)[0].copy()
    _bake(steady_clip(headYaw=0.4), rigged)
    both = _facing(rigged, "head", 10)[0]
    turned = [np.arctan2(-direction.x, -direction.y) for direction in (alone, both)]
    assert turned[1] - turned[0] == pytest.approx(0.4, abs=5e-3)


def test_driven_keys_are_left_alone_and_told(rigged: Character, steady_clip: Clip) -> None:
    keys = shape_keys(rigged.meshes[0])
    keys.key_blocks["jawOpen"].driver_add("value").driver.expression = "0.2"
    report = _bake(steady_clip(jawOpen=0.8, mouthPucker=0.5), rigged)
    assert any("'jawOpen'" in sentence and "driver" in sentence for sentence in report.warnings)
    assert _value(rigged, "mouthPucker", 10) == pytest.approx(0.5, abs=0.003)
    assert _value(rigged, "jawOpen", 10) != pytest.approx(0.8, abs=0.1)


def test_a_factor_can_be_left_out_or_made_stronger(rigged: Character, steady_clip: Clip) -> None:
    factors = {**BakeOptions().factors, "lip": FactorBake(include=False), "expression": FactorBake(gain=0.5)}
    report = _bake(steady_clip(jawOpen=0.8, browInnerUp=0.6), rigged, factors=factors)
    assert "DEMO lip" not in report.tracks
    assert _value(rigged, "jawOpen", 10) == 0.0
    assert _value(rigged, "browInnerUp", 10) == pytest.approx(0.3, abs=0.003)


def test_one_action_holds_the_whole_take(rigged: Character, lively_clip: MotionClip) -> None:
    _bake(lively_clip, rigged)
    of_take = [action for action in bpy.data.actions if action.get(MARKER) == "take"]
    assert len(of_take) == (1 if compat.HAS_SLOTS else 5)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"tolerance": -1.0}, "tolerance"), ({"start_frame": float("nan")}, "start frame"), ({"take": ""}, "name")],
)
def test_wrong_options_change_nothing(
    rigged: Character, lively_clip: MotionClip, options: dict[str, object], words: str
) -> None:
    with pytest.raises(BakeError, match=words):
        _bake(lively_clip, rigged, **options)
    assert len(bpy.data.actions) == 0
    assert all(block.animation_data is None for block in rigged.data_blocks())


def test_a_profile_of_another_character_is_refused(rigged: Character, lively_clip: MotionClip) -> None:
    profile = detect_character(rigged)
    stranger = RigProfile(keys=(replace(profile.keys[0], key="no such key"),))
    with pytest.raises(BakeError, match="no shape key"):
        bake(lively_clip, rigged, stranger, BakeOptions(), bpy.context.scene)
    assert len(bpy.data.actions) == 0


def test_keys_with_quotes_in_their_names_are_baked(
    face_mesh: Callable[..., bpy.types.Object], steady_clip: Clip
) -> None:
    face = face_mesh(keys=('we"ird\\.jawOpen', "eyeBlinkLeft", "eyeBlinkRight"))
    character = find_character(face)
    _bake(steady_clip(jawOpen=0.6), character)
    assert _value(character, 'we"ird\\.jawOpen', 10) == pytest.approx(0.6, abs=0.003)


def test_a_clip_of_one_frame_is_baked(rigged: Character, steady_clip: Clip) -> None:
    _bake(steady_clip(frames=1, jawOpen=0.6), rigged)
    assert _value(rigged, "jawOpen", 1) == pytest.approx(0.6, abs=0.003)


def test_a_minute_on_a_real_character_takes_less_than_a_second(
    open_character: Callable[[str, str], Character], lively_clip: MotionClip
) -> None:
    character = open_character("mpfb_cc0_arkit.blend", "Human")
    rng = np.random.default_rng(1)
    channels = np.clip(np.cumsum(rng.normal(0.0, 0.05, (1800, len(CHANNEL_INDEX))), axis=0) % 1.0, 0.0, 1.0).astype(
        np.float32
    )
    report = _bake(MotionClip(30.0, channels), character, tolerance=0.002)
    assert report.seconds < 1.0


def test_eyes_that_are_objects_turn_with_the_gaze(
    open_character: Callable[[str, str], Character], steady_clip: Clip
) -> None:
    character = open_character("facecap_eyes_as_objects.blend", "EyeLeft")
    _bake(steady_clip(gazeYaw=0.4), character)
    bpy.context.scene.frame_set(10)
    for name in ("EyeLeft", "EyeRight"):
        eye = bpy.data.objects[name].evaluated_get(bpy.context.evaluated_depsgraph_get())
        forward = eye.matrix_world.to_3x3().normalized() @ Vector((0, -1, 0))
        assert forward.to_tuple() == pytest.approx((-np.sin(0.4), -np.cos(0.4), 0.0), abs=2e-3)
    assert tuple(bpy.data.objects["EyeLeft"].rotation_euler) == (0.0, 0.0, 0.0)
    assert (
        _value(
            character,
            "eyeLookInLeft" if "eyeLookInLeft" in shape_keys(character.meshes[0]).key_blocks else "eyeLookIn_L",
            10,
        )
        == 0.0
    )


def test_a_linked_character_is_refused_and_its_override_is_baked(
    rigged: Character, steady_clip: Clip, tmp_path: Path
) -> None:
    library = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(library))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene: Any = bpy.context.scene
    with bpy.data.libraries.load(str(library), link=True) as (found, wanted):  # pyright: ignore
        wanted.objects = list(found.objects)
    for obj in wanted.objects:
        scene.collection.objects.link(obj)
    rig = next(obj for obj in wanted.objects if obj.type == "ARMATURE")
    with pytest.raises(BakeError, match="Library Override > Make"):
        _bake(steady_clip(jawOpen=0.6), find_character(rig))
    overridden = rig.override_hierarchy_create(scene, bpy.context.view_layer, do_fully_editable=True)
    with pytest.raises(BakeError, match="Make Shape Keys Editable"):
        _bake(steady_clip(jawOpen=0.6), find_character(overridden))
    assert len(bpy.data.actions) == 0
    assert override_meshes(find_character(overridden)) == 1
    character = find_character(overridden)
    _bake(steady_clip(jawOpen=0.6, headYaw=0.3), character)
    assert _value(character, "jawOpen", 10) == pytest.approx(0.6, abs=0.003)
    assert _facing(character, "head", 10)[0].x == pytest.approx(-np.sin(0.3), abs=3e-3)
