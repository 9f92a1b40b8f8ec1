# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that would keep a take from being seen is found before, without changing anything, and mended."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import pytest

from blender_demo.backend.motion.clip import MotionClip
from blender_demo.scene.actions import own_tracks
from blender_demo.scene.bake import BakeOptions, bake
from blender_demo.scene.character import Character, find_character, shape_keys
from blender_demo.scene.detect import detect_character
from blender_demo.scene.preflight import Finding, preflight

pytestmark = pytest.mark.matrix

Spoil = Callable[[Character], object]


def _check(character: Character, clip: MotionClip | None = None, **options: Any) -> list[Finding]:
    return preflight(character, detect_character(character), BakeOptions(**options), bpy.context.scene, clip)


def _kinds(found: list[Finding]) -> set[str]:
    return {finding.kind for finding in found if finding.severity != "INFO"}


def _keys(character: Character) -> bpy.types.Key:
    return shape_keys(character.meshes[0])


def _key_jaw(character: Character) -> None:
    _keys(character).key_blocks["jawOpen"].keyframe_insert("value", frame=1)


def _solo(character: Character) -> None:
    _key_jaw(character)
    animation = _keys(character).animation_data
    track = animation.nla_tracks.new()
    track.strips.new("mine", 1, animation.action)
    animation.action = None
    track.is_solo = True


def _hide_collection(character: Character) -> None:
    collection = bpy.data.collections.new("Cast")
    bpy.context.scene.collection.children.link(collection)
    bpy.context.scene.collection.objects.unlink(character.meshes[0])
    collection.objects.link(character.meshes[0])
    bpy.context.view_layer.layer_collection.children["Cast"].exclude = True


def _tweak(character: Character) -> None:
    _solo(character)
    animation = _keys(character).animation_data
    animation.nla_tracks[0].is_solo = False
    animation.nla_tracks[0].strips[0].select = True
    animation.use_tweak_mode = True


def _edit(character: Character) -> None:
    bpy.context.view_layer.objects.active = character.meshes[0]
    bpy.ops.object.mode_set(mode="EDIT")


def _mute_group(character: Character) -> None:
    _key_jaw(character)
    action = _keys(character).animation_data.action
    from blender_demo.scene.actions import active_curves

    curve = next(iter(active_curves(_keys(character)).values()))
    assert action is not None
    curve.mute = True


def _lock(character: Character) -> None:
    from blender_demo.scene.actions import active_curves

    _key_jaw(character)
    next(iter(active_curves(_keys(character)).values())).lock = True


def _cycle(character: Character) -> None:
    from blender_demo.scene.actions import active_curves

    _key_jaw(character)
    next(iter(active_curves(_keys(character)).values())).modifiers.new("CYCLES")


HINDRANCES: dict[str, tuple[Spoil, dict[str, Any]]] = {
    "active_action": (_key_jaw, {}),
    "nla_off": (lambda c: (_keys(c).animation_data_create(), setattr(_keys(c).animation_data, "use_nla", False)), {}),
    "solo_track": (_solo, {}),
    "muted_key": (lambda c: setattr(_keys(c).key_blocks["jawOpen"], "mute", True), {}),
    "only_shape_key": (lambda c: setattr(c.meshes[0], "show_only_shape_key", True), {}),
    "key_limits": (lambda c: setattr(_keys(c).key_blocks["jawOpen"], "slider_max", 0.5), {}),
    "rest_position": (lambda c: setattr(c.armature.data, "pose_position", "REST"), {}),
    "hidden": (lambda c: setattr(c.meshes[0], "hide_viewport", True), {}),
    "hidden ": (lambda c: setattr(c.meshes[0], "hide_render", True), {}),
    "hidden  ": (lambda c: c.meshes[0].hide_set(True), {}),
    "hidden   ": (_hide_collection, {}),
    "scene_range": (lambda _: setattr(bpy.context.scene, "frame_end", 20), {}),
    "modifier_off": (lambda c: setattr(c.meshes[0].modifiers[0], "show_viewport", False), {}),
    "tweak_mode": (_tweak, {}),
    "edit_mode": (_edit, {}),
    "muted_curves": (_mute_group, {"target": "ACTIVE"}),
    "locked_curves": (_lock, {"target": "ACTIVE"}),
    "curve_modifiers": (_cycle, {"target": "ACTIVE"}),
    "absolute_keys": (lambda c: setattr(_keys(c), "use_relative", False), {}),
}


@pytest.mark.parametrize("kind", HINDRANCES)
def test_each_hindrance_is_found_and_mended(rigged: Character, lively_clip: MotionClip, kind: str) -> None:
    spoil, options = HINDRANCES[kind]
    assert not _kinds(_check(rigged, lively_clip, **options))
    spoil(rigged)
    found = [finding for finding in _check(rigged, lively_clip, **options) if finding.kind == kind.strip()]
    assert len(found) == 1
    assert found[0].remedy is not None
    assert found[0].target
    found[0].remedy.apply()
    assert kind.strip() not in _kinds(_check(rigged, lively_clip, **options))


def test_a_muted_track_of_ours_is_found_and_mended(rigged: Character, lively_clip: MotionClip) -> None:
    bake(lively_clip, rigged, detect_character(rigged), BakeOptions(), bpy.context.scene)
    for track in own_tracks(_keys(rigged)):
        track.mute = track.name == "DEMO lip"
    finding = next(finding for finding in _check(rigged) if finding.kind == "muted_track")
    assert "'DEMO lip'" in finding.text
    finding.remedy.apply()  # pyright: ignore[reportOptionalMemberAccess]
    assert not _kinds(_check(rigged))


def test_drivers_are_respected_and_said(rigged: Character, lively_clip: MotionClip) -> None:
    _keys(rigged).key_blocks["jawOpen"].driver_add("value").driver.expression = "0.2"
    found = _check(rigged, lively_clip)
    assert any("'jawOpen'" in finding.text and "driver" in finding.text for finding in found)


def test_locked_curves_are_left_alone(rigged: Character, lively_clip: MotionClip) -> None:
    from blender_demo.scene.actions import active_curves

    _lock(rigged)
    curve = next(iter(active_curves(_keys(rigged)).values()))
    before = [tuple(point.co) for point in curve.keyframe_points]
    report = bake(lively_clip, rigged, detect_character(rigged), BakeOptions(target="ACTIVE"), bpy.context.scene)
    assert [tuple(point.co) for point in curve.keyframe_points] == before
    assert any("locked" in text for text in report.warnings)


@pytest.mark.parametrize("target", ["NLA", "NEW", "ACTIVE"])
def test_the_outlook_tells_what_a_bake_then_does(rigged: Character, lively_clip: MotionClip, target: str) -> None:
    told = " ".join(f.text for f in _check(rigged, lively_clip, target=target, start_frame=11) if f.severity == "INFO")
    report = bake(
        lively_clip, rigged, detect_character(rigged), BakeOptions(target=target, start_frame=11), bpy.context.scene
    )
    assert f"Writes {report.keys} keys on {report.curves} curves, frames 11 to 100." in told
    assert f"Animates {len(detect_character(rigged).keys)} shape keys and 4 rotations" in told
    again = " ".join(finding.text for finding in _check(rigged, lively_clip, target=target, start_frame=11))
    assert "Replaces the take 'take'" in again


def test_looking_changes_nothing(rigged: Character, lively_clip: MotionClip) -> None:
    _key_jaw(rigged)

    def state() -> list[Any]:
        return [
            [(block.name, bool(block.animation_data)) for block in rigged.data_blocks()],
            [(action.name, action.users, tuple(action.frame_range)) for action in bpy.data.actions],
            [key.value for key in _keys(rigged).key_blocks],
            bpy.context.scene.frame_current,
        ]

    before = state()
    for target in ("NLA", "NEW", "ACTIVE"):
        _check(rigged, lively_clip, target=target, interpolation="BEZIER")
        _check(rigged)
    assert state() == before


def test_what_cannot_be_baked_is_a_finding_not_an_error(rigged: Character, lively_clip: MotionClip) -> None:
    found = _check(rigged, lively_clip, first=9000.0)
    assert [finding.kind for finding in found if finding.severity == "ERROR"] == ["refused"]


def test_linked_characters_are_found(rigged: Character, lively_clip: MotionClip, tmp_path: Path) -> None:
    library = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(library))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene: Any = bpy.context.scene
    with bpy.data.libraries.load(str(library), link=True) as (found, wanted):  # pyright: ignore
        wanted.objects = list(found.objects)
    for obj in wanted.objects:
        scene.collection.objects.link(obj)
    rig = next(obj for obj in wanted.objects if obj.type == "ARMATURE")
    assert "linked" in {f.kind for f in _check(find_character(rig), lively_clip) if f.severity == "ERROR"}
    overridden = rig.override_hierarchy_create(scene, bpy.context.view_layer, do_fully_editable=True)
    half = next(f for f in _check(find_character(overridden), lively_clip) if f.kind == "half_linked")
    half.remedy.apply()  # pyright: ignore[reportOptionalMemberAccess]
    assert "half_linked" not in _kinds(_check(find_character(overridden), lively_clip))
