# SPDX-License-Identifier: GPL-3.0-or-later
"""A take goes where the artist wants it, with the keys the artist wants, and the artist's own animation stays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import bpy
import numpy as np
import pytest

from blender_demo import compat
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import FACTORS, LIMITS
from blender_demo.scene.actions import MARKER, active_curves, own_tracks, takes
from blender_demo.scene.bake import BakeOptions, BakeReport, FactorBake, bake, remove_all, remove_bake
from blender_demo.scene.bake_options import Target
from blender_demo.scene.character import Character, find_character, shape_keys
from blender_demo.scene.detect import detect_character
from blender_demo.scene.head import add_head
from blender_demo.scene.read_keys import read_keys

pytestmark = pytest.mark.matrix

Clip = Callable[..., MotionClip]


def _bake(clip: MotionClip, character: Character, **options: Any) -> BakeReport:
    return bake(clip, character, detect_character(character), BakeOptions(**options), bpy.context.scene)


def _points(curve: Any) -> list[Any]:
    return [
        (*p.co, *p.handle_left, *p.handle_right, p.interpolation, p.easing, p.handle_left_type, p.handle_right_type)
        for p in curve.keyframe_points
    ]


def _strip(strip: Any) -> list[Any]:
    names = ("name", "frame_start", "frame_end", "scale", "influence", "blend_type", "extrapolation", "mute")
    return [strip.action.name, *(getattr(strip, name) for name in names)]


def _snapshot(character: Character) -> dict[str, Any]:
    """Everything of the artist's: Actions down to each handle, tracks and strips, values, custom properties."""
    actions = {}
    for action in bpy.data.actions:
        if MARKER not in action:
            slots: list[Any] = list(action.slots) if compat.HAS_SLOTS else [None]
            curves = [c for slot in slots for c in compat.action_curves(action, slot)]
            actions[action.name] = [(c.data_path, c.array_index, c.extrapolation, _points(c)) for c in curves]
    blocks = {}
    for block in character.data_blocks():
        animation = block.animation_data
        own = {track.as_pointer() for track in own_tracks(block)}
        tracks = [
            (t.name, t.mute, t.is_solo, t.lock, [_strip(strip) for strip in t.strips])
            for t in (animation.nla_tracks if animation else ())
            if t.as_pointer() not in own
        ]
        active = animation.action.name if animation and animation.action else None
        blocks[block.name] = (active if active in actions else None, tracks, dict(block.items()))
    values = {
        (mesh.name, key.name): (key.value, key.slider_min, key.slider_max, key.mute)
        for mesh in character.meshes
        for key in shape_keys(mesh).key_blocks
    }
    return {"actions": actions, "blocks": blocks, "values": values}


def _key(owner: Any, path: str, values: dict[int, float], index: int = -1) -> None:
    for frame, value in values.items():
        if index < 0:
            setattr(owner, path, value)
        else:
            getattr(owner, path)[index] = value
        owner.keyframe_insert(path, index=index, frame=frame)


@pytest.fixture
def animated(rigged: Character) -> Character:
    """A character with a life of its own: keyed brows and jaw, a keyed head and root, a walk in the NLA."""
    rig, keys = rigged.root, shape_keys(rigged.meshes[0])
    _key(rig, "location", {1: 0.0, 90: 3.0}, 0)
    walk = rig.animation_data.nla_tracks.new()
    walk.name = "Walk"
    strip = walk.strips.new("walk", 1, rig.animation_data.action)
    compat.assign_slot(strip, compat.slot_of(rig.animation_data))
    rig.animation_data.action = None
    head = rig.pose.bones["head"]
    head.rotation_mode = "XYZ"
    _key(head, "rotation_euler", {1: 0.0, 40: 0.3, 80: -0.2, 130: 0.1}, 2)
    for name in ("jawOpen", "browInnerUp"):
        _key(keys.key_blocks[name], "value", {-10: 0.2, 25: 0.7, 50: 0.1, 120: 0.4})
    keys.key_blocks["cheekPuff"].value = 0.3
    rig["note"] = "mine"
    return rigged


def _evaluated(character: Character, frames: range) -> np.ndarray:
    """All shape key values and head rotations on some frames, as the dependency graph gives them."""
    rows = []
    for frame in frames:
        bpy.context.scene.frame_set(frame)
        graph = bpy.context.evaluated_depsgraph_get()
        blocks = character.meshes[0].evaluated_get(graph).data.shape_keys.key_blocks
        posed = character.armature.evaluated_get(graph).pose.bones["head"]  # pyright: ignore
        rows.append([*(key.value for key in blocks), *posed.rotation_euler])
    return np.array(rows)


@pytest.mark.parametrize("interpolation", ["LINEAR", "BEZIER", "CONSTANT"])
@pytest.mark.parametrize("ease_s", [0.0, 0.2])
def test_in_the_active_action_every_frame_outside_is_as_before(
    animated: Character, lively_clip: MotionClip, interpolation: str, ease_s: float
) -> None:
    frames = range(-20, 160)
    before = _evaluated(animated, frames)
    names = {block.animation_data.action.name for block in animated.data_blocks() if block.animation_data}
    report = _bake(lively_clip, animated, target="ACTIVE", start_frame=30, interpolation=interpolation, ease_s=ease_s)
    assert (report.first_frame, report.last_frame) == (30, 119)
    after = _evaluated(animated, frames)
    outside = np.array([not 30 <= frame <= 119 for frame in frames])
    assert np.allclose(after[outside], before[outside], atol=1e-5)
    assert np.abs(after[~outside] - before[~outside]).max() > 0.3
    assert {block.animation_data.action.name for block in animated.data_blocks() if block.animation_data} == names
    jaw = [key.name for key in shape_keys(animated.meshes[0]).key_blocks].index("jawOpen")
    assert after[list(frames).index(75), jaw] == pytest.approx(lively_clip["jawOpen"][45], abs=0.003)


def test_baking_again_into_the_active_action_changes_nothing_more(animated: Character, lively_clip: MotionClip) -> None:
    factors = {name: FactorBake() for name in BakeOptions().factors}
    _bake(lively_clip, animated, target="ACTIVE", start_frame=30, ease_s=0.0, factors=factors)
    curves = active_curves(shape_keys(animated.meshes[0]))
    once = {key: _points(curve) for key, curve in curves.items()}
    _bake(lively_clip, animated, target="ACTIVE", start_frame=30, ease_s=0.0, factors=factors)
    assert {key: _points(c) for key, c in active_curves(shape_keys(animated.meshes[0])).items()} == once


def test_added_to_the_active_action_the_take_goes_on_top(animated: Character, steady_clip: Clip) -> None:
    factors = {**BakeOptions().factors, "expression": FactorBake(blend="COMBINE")}
    before = _evaluated(animated, range(30, 60))
    clip, options = steady_clip(browInnerUp=0.2, headYaw=0.3), {"ease_s": 0.0, "tolerance": 0.0, "factors": factors}
    _bake(clip, animated, target="ACTIVE", start_frame=30, **options)
    names = [key.name for key in shape_keys(animated.meshes[0]).key_blocks]
    brow = names.index("browInnerUp")
    after = _evaluated(animated, range(30, 60))
    assert np.allclose(after[:, brow] - before[:, brow], 0.2, atol=1e-4)
    turned = after[:, -3:] - before[:, -3:]
    assert np.allclose(turned, turned[:1], atol=1e-4)
    assert np.abs(turned).max() > 0.1


def test_a_range_changes_its_own_frames_alone(animated: Character, lively_clip: MotionClip) -> None:
    frames = range(-20, 160)
    before = _evaluated(animated, frames)
    _bake(lively_clip, animated, target="ACTIVE", start_frame=1, first=20, last=40)
    changed = np.abs(_evaluated(animated, frames) - before).max(axis=1) > 1e-5
    assert set(np.array(frames)[changed]) <= set(range(20, 41))
    assert changed.any()


def test_a_new_action_becomes_the_active_one_and_mine_goes_on_beneath(
    animated: Character, lively_clip: MotionClip
) -> None:
    keys = shape_keys(animated.meshes[0])
    mine = keys.animation_data.action
    report = _bake(lively_clip, animated, target="NEW")
    assert keys.animation_data.action.name == report.action
    assert mine.name in bpy.data.actions
    assert any(mine.name in text and "pushed down" in text for text in report.warnings)
    assert [t.name for t in keys.animation_data.nla_tracks] == [mine.name]
    bpy.context.scene.frame_set(40)
    assert keys.key_blocks["jawOpen"].value == pytest.approx(lively_clip["jawOpen"][39], abs=0.003)
    assert [take.name for take in takes(animated.data_blocks())] == ["take"]
    again = _bake(lively_clip, animated, target="NEW")
    assert again.action == report.action
    assert len([action for action in bpy.data.actions if MARKER in action]) == (1 if compat.HAS_SLOTS else 2)


def test_from_a_new_action_to_the_nla_and_back_leaves_one_take(rigged: Character, lively_clip: MotionClip) -> None:
    for target in ("NEW", "NLA", "NEW", "NLA"):
        _bake(lively_clip, rigged, target=target)
        assert len(takes(rigged.data_blocks())) == 1
    assert remove_bake(rigged) > 0
    assert len(bpy.data.actions) == 0
    assert shape_keys(rigged.meshes[0]).key_blocks["jawOpen"].value == 0.0


@pytest.mark.parametrize("target", ["NLA", "NEW"])
@pytest.mark.parametrize("remove", [remove_bake, lambda _: remove_all(bpy.context.scene)])
def test_removing_leaves_nothing_and_gives_values_back(
    rigged: Character, lively_clip: MotionClip, target: str, remove: Callable[[Character], int]
) -> None:
    shape_keys(rigged.meshes[0]).key_blocks["cheekPuff"].value = 0.3
    before = _snapshot(rigged)
    _bake(lively_clip, rigged, target=target)
    bpy.context.scene.frame_set(40)
    assert remove(rigged) > 0
    assert _snapshot(rigged) == before
    assert len(bpy.data.actions) == 0


def test_nothing_of_the_artists_changes_through_bake_rebake_and_removal(
    animated: Character, lively_clip: MotionClip
) -> None:
    bpy.context.scene.frame_set(1)
    before = _snapshot(animated)
    stepped = {"step": 2, "interpolation": "CONSTANT"}
    for options in ({}, {"interpolation": "BEZIER"}, stepped, {"take": "other", "start_frame": 200}):
        _bake(lively_clip, animated, **options)
        bpy.context.scene.frame_set(1)
        now = _snapshot(animated)
        assert (now["actions"], now["blocks"]) == (before["actions"], before["blocks"])
    remove_all(bpy.context.scene)
    bpy.context.scene.frame_set(1)
    assert _snapshot(animated) == before


def test_a_muted_track_stays_muted_when_the_take_is_baked_again(rigged: Character, lively_clip: MotionClip) -> None:
    _bake(lively_clip, rigged)
    tracks = shape_keys(rigged.meshes[0]).animation_data.nla_tracks
    tracks["DEMO lip"].mute = True
    report = _bake(lively_clip, rigged)
    assert tracks["DEMO lip"].mute
    assert any("'DEMO lip'" in text and "muted" in text for text in report.warnings)


def _curve_of(character: Character, key: str) -> Any:
    keys = shape_keys(character.meshes[0])
    path = keys.key_blocks[key].path_from_id("value")
    strips = [strip for track in own_tracks(keys) for strip in track.strips if track.name != "DEMO rest"]
    found = (c for s in strips for c in compat.action_curves(s.action, compat.slot_of(s)) if c.data_path == path)
    return next(found)


@pytest.mark.parametrize("tolerance", [0.0005, 0.002, 0.02])
def test_bezier_curves_stay_within_the_tolerance(rigged: Character, lively_clip: MotionClip, tolerance: float) -> None:
    report = _bake(lively_clip, rigged, interpolation="BEZIER", tolerance=tolerance, start_frame=10)
    for key in ("jawOpen", "mouthPucker", "browInnerUp", "eyeBlinkLeft"):
        curve = _curve_of(rigged, key)
        error = [abs(curve.evaluate(10 + row) - lively_clip[key][row]) for row in range(90)]
        assert max(error) <= tolerance
        assert {p.interpolation for p in curve.keyframe_points} == {"BEZIER"}
        assert {p.handle_left_type for p in curve.keyframe_points} == {"AUTO_CLAMPED"}
    assert report.keys < report.curves * 90


def test_a_key_every_n_frames(rigged: Character, lively_clip: MotionClip) -> None:
    _bake(lively_clip, rigged, step=4, ease_s=0.0, start_frame=1)
    frames = [point.co[0] for point in _curve_of(rigged, "browInnerUp").keyframe_points]
    assert frames == [*range(1, 90, 4), 90]


def test_stepped_keys_hold(rigged: Character, lively_clip: MotionClip) -> None:
    _bake(lively_clip, rigged, step=3, interpolation="CONSTANT", start_frame=1)
    curve = _curve_of(rigged, "browInnerUp")
    for start in range(1, 88, 3):
        assert len({curve.evaluate(start + k) for k in range(3)}) == 1
        assert curve.evaluate(start) == pytest.approx(lively_clip["browInnerUp"][start], abs=1e-6)


@pytest.mark.parametrize("fps", [(24, 1.0), (24, 1.001), (25, 1.0), (30, 1.0), (60, 1.0)], ids=str)
def test_what_is_baked_onto_the_head_is_read_back(lively_clip: MotionClip, fps: tuple[int, float]) -> None:
    scene: Any = bpy.context.scene
    scene.render.fps, scene.render.fps_base = fps
    character = find_character(add_head(scene).meshes[0])
    profile = detect_character(character)
    clip = MotionClip(fps[0] / fps[1], lively_clip.channels)
    bake(clip, character, profile, BakeOptions(tolerance=0.0), scene)
    scene.frame_end = 90
    carried = profile.carried
    for factor in FACTORS:
        track = read_keys(character, profile, factor.name, scene, 1.0).clip
        for name in factor.channels:
            turns = name.startswith("eyeLook") and any(b.role == "eye" for b in profile.rotations)
            if name in carried and not turns and LIMITS[name] and name not in ("headX", "headY", "headZ"):
                assert np.allclose(track[name], clip[name][: len(track)], atol=1e-3), name


def test_saved_and_opened_again_it_bakes_the_same_to_the_bit(
    animated: Character, lively_clip: MotionClip, tmp_path: Path
) -> None:
    def baked(character: Character) -> list[Any]:
        _bake(lively_clip, character)
        curves = [
            (block.name, track.name, c.data_path, c.array_index, _points(c))
            for block in character.data_blocks()
            for track in own_tracks(block)
            for strip in track.strips
            for c in compat.action_curves(strip.action, compat.slot_of(strip))
        ]
        return sorted(curves, key=str)

    first = baked(animated)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "saved.blend"))
    assert baked(find_character(bpy.data.objects["Rig"])) == first


def test_sliders_beyond_one_and_below_zero_are_used(rigged: Character, steady_clip: Clip) -> None:
    from dataclasses import replace

    keys = shape_keys(rigged.meshes[0]).key_blocks
    keys["jawOpen"].slider_max, keys["mouthPucker"].slider_min = 2.0, -1.0
    profile = detect_character(rigged)
    gains = {"jawOpen": 2.0, "mouthPucker": -1.0}
    profile = replace(profile, keys=tuple(replace(b, gain=gains.get(b.key, b.gain)) for b in profile.keys))
    bake(steady_clip(jawOpen=0.8, mouthPucker=0.5), rigged, profile, BakeOptions(), bpy.context.scene)
    bpy.context.scene.frame_set(10)
    assert keys["jawOpen"].value == pytest.approx(1.6, abs=0.003)
    assert keys["mouthPucker"].value == pytest.approx(-0.5, abs=0.003)


@pytest.mark.parametrize("target", get_args(Target))
@pytest.mark.parametrize(("start_frame", "ease_s"), [(5.0, 0.0001), (5.0000001, 0.0), (5.005, 0.2), (4.995, 0.2)])
def test_no_two_keys_are_so_close_that_blender_drops_one(
    animated: Character, lively_clip: MotionClip, target: Target, start_frame: float, ease_s: float
) -> None:
    options = BakeOptions(start_frame=start_frame, ease_s=ease_s, target=target, interpolation="BEZIER")
    bake(lively_clip, animated, detect_character(animated), options, bpy.context.scene)


def test_a_take_whose_frames_an_artist_forgot_is_replaced(rigged: Character, lively_clip: MotionClip) -> None:
    profile = detect_character(rigged)
    bake(lively_clip, rigged, profile, BakeOptions(take="old"), bpy.context.scene)
    for action in bpy.data.actions:
        if "demo_frames" in action:
            del action["demo_frames"]
    bake(lively_clip, rigged, profile, BakeOptions(take="new"), bpy.context.scene)
    assert [take.name for take in takes(rigged.data_blocks())] == ["new"]
