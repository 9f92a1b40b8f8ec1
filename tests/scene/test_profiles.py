# SPDX-License-Identifier: GPL-3.0-or-later
"""An artist's mapping stays with the character, whatever happens to the file and to names."""

import json
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import bpy
import pytest

import blender_demo
from blender_demo.backend.errors import RigError
from blender_demo.backend.motion.factors import ARKIT_NAMES, CHANNELS
from blender_demo.scene.character import Character, find_character
from blender_demo.scene.detect import detect_character
from blender_demo.scene.edit_profile import add_key, add_rotation, edit, remove, rows_of, set_gain
from blender_demo.scene.profiles import (
    fit_profile,
    forget_profile,
    gone,
    has_stored,
    look_at,
    profile_of,
    store_profile,
)
from blender_demo.scene.rig_profile import (
    MOST_GAIN,
    PROFILE_VERSION,
    KeyBinding,
    RigProfile,
    Role,
    RotationBinding,
    Source,
)
from tests.conftest import REPO

pytestmark = pytest.mark.matrix


@pytest.fixture(autouse=True)
def registered(empty_scene: None) -> Iterator[None]:
    blender_demo.register()
    yield
    blender_demo.unregister()


def _scene() -> Any:
    return bpy.context.scene


def _edited(character: Character, gain: float = 0.5) -> RigProfile:
    return set_gain(detect_character(character), "jawOpen", gain)


def test_a_character_without_a_stored_profile_is_detected(rigged: Character) -> None:
    assert not has_stored(_scene(), rigged)
    assert profile_of(_scene(), rigged) == detect_character(rigged)


def test_looking_at_a_character_makes_no_profile_the_artist_s(rigged: Character) -> None:
    look_at(_scene(), rigged)
    assert not has_stored(_scene(), rigged)
    rigged.meshes[0].shape_key_add(name="more")
    assert profile_of(_scene(), rigged) == detect_character(rigged)


def test_a_profile_survives_saving_and_opening(rigged: Character, tmp_path: Path) -> None:
    store_profile(_scene(), rigged, _edited(rigged))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    character = find_character(bpy.data.objects["Face"])
    assert has_stored(_scene(), character)
    assert profile_of(_scene(), character) == _edited(character)


def test_a_profile_survives_new_names_of_root_and_mesh(rigged: Character) -> None:
    store_profile(_scene(), rigged, _edited(rigged))
    rigged.root.name, rigged.meshes[0].name = "Rig of another name", "Face of another name"
    profile = profile_of(_scene(), rigged)
    assert profile.gains == {"jawOpen": 0.5}
    assert not gone(rigged, profile)
    assert {b.object for b in profile.keys} == {"Face of another name"}


def test_a_profile_comes_along_when_its_scene_is_appended(rigged: Character, tmp_path: Path) -> None:
    store_profile(_scene(), rigged, _edited(rigged))
    _scene().name = "Shot"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    taken = bpy.data.objects.new("Rig", None)
    with bpy.data.libraries.load(str(tmp_path / "shot.blend")) as (_, wanted):
        wanted.scenes = ["Shot"]
    scene = bpy.data.scenes["Shot"]
    character = find_character(next(obj for obj in scene.objects if obj.type == "MESH"))
    assert character.root.name != taken.name
    assert has_stored(scene, character)
    assert not gone(character, profile_of(scene, character))
    assert profile_of(scene, character).gains == {"jawOpen": 0.5}


@pytest.mark.parametrize("override", [False, True], ids=["linked", "overridden"])
def test_a_linked_character_has_its_profile_in_the_shot(rigged: Character, tmp_path: Path, override: bool) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "character.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "character.blend"), link=True) as (_, wanted):
        wanted.objects = ["Face", "Rig"]
    objects = [bpy.data.objects[name] for name in ("Rig", "Face")]
    if override:
        objects = [obj.override_create(remap_local_usages=True) for obj in objects]
    for obj in objects:
        _scene().collection.objects.link(obj)
    character = find_character(objects[1])
    store_profile(_scene(), character, _edited(character))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    face = next(obj for obj in _scene().objects if obj.type == "MESH")
    assert (face.override_library is not None) == override
    assert profile_of(_scene(), find_character(face)).gains == {"jawOpen": 0.5}


def test_two_characters_keep_their_own(face_mesh: Callable[..., Any]) -> None:
    first, second, third = (find_character(face_mesh(name)) for name in ("A", "B", "C"))
    store_profile(_scene(), first, _edited(first, 0.5))
    store_profile(_scene(), second, _edited(second, 2.0))
    store_profile(_scene(), first, _edited(first, 0.25))
    assert [profile_of(_scene(), one).gains.get("jawOpen", 1.0) for one in (first, second, third)] == [0.25, 2.0, 1.0]
    forget_profile(_scene(), first)
    assert [has_stored(_scene(), one) for one in (first, second, third)] == [False, True, False]


def test_a_key_that_is_gone_is_named_with_the_remedy(rigged: Character) -> None:
    store_profile(_scene(), rigged, _edited(rigged))
    rigged.meshes[0].data.shape_keys.key_blocks["mouthSmileLeft"].name = "grin"
    with pytest.raises(RigError, match=r"mouthSmileLeft.*Detect"):
        profile_of(_scene(), rigged)
    forget_profile(_scene(), rigged)
    assert profile_of(_scene(), rigged) == detect_character(rigged)


def test_a_bone_that_is_gone_is_named(rigged: Character) -> None:
    store_profile(_scene(), rigged, _edited(rigged))
    rigged.armature.data.bones["neck"].name = "throat"
    with pytest.raises(RigError, match="the bone 'neck'"):
        profile_of(_scene(), rigged)


def test_a_deleted_object_is_named(rigged: Character) -> None:
    store_profile(_scene(), rigged, _edited(rigged))
    rig = rigged.armature
    bpy.data.objects.remove(rigged.meshes[0])
    with pytest.raises(RigError, match="'Face'"):
        profile_of(_scene(), find_character(rig))


def test_a_saved_profile_fits_a_character_of_other_names(rigged: Character) -> None:
    saved = detect_character(rigged)
    rigged.meshes[0].name, rigged.armature.name = "Face.001", "Rig.001"
    profile, left_out = fit_profile(saved, rigged)
    assert not left_out
    assert not gone(rigged, profile)
    assert profile.carried == saved.carried


def test_what_a_saved_profile_names_in_vain_is_told(rigged: Character, face_mesh: Callable[..., Any]) -> None:
    saved = detect_character(rigged)
    other = find_character(face_mesh("Other", ("jawOpen", "mouthSmileLeft")))
    profile, left_out = fit_profile(saved, other)
    assert {binding.key for binding in profile.keys} == {"jawOpen", "mouthSmileLeft"}
    assert any("mouthPucker" in words for words in left_out)
    with pytest.raises(RigError, match="does not fit"):
        fit_profile(saved, find_character(face_mesh("Foreign", ("a", "b"))))


def test_without_the_add_on_a_character_is_detected(rigged: Character) -> None:
    blender_demo.unregister()
    try:
        assert profile_of(_scene(), rigged) == detect_character(rigged)
    finally:
        blender_demo.register()


def test_an_edited_binding_is_the_artist_s(rigged: Character) -> None:
    profile = detect_character(rigged)
    (old,) = rows_of(profile, "jawOpen")
    changed = edit(profile, rigged, old, "jawOpen", gain=0.7, share=0.5)
    (new,) = rows_of(changed, "jawOpen")
    assert new == replace(old, gain=0.7, channels={"jawOpen": 0.5}, source="artist")
    assert changed.bindings_of("mouthFunnel") == profile.bindings_of("mouthFunnel")


def test_a_removed_binding_leaves_a_reason_and_an_added_one_takes_it_away(rigged: Character) -> None:
    profile = detect_character(rigged)
    without = remove(profile, rows_of(profile, "jawOpen")[0], "jawOpen")
    assert "removed" in without.missing["jawOpen"]
    assert without.matched == profile.matched - 1
    again = add_key(without, rigged, "jawOpen")
    assert rows_of(again, "jawOpen")[0].key == "jawOpen"
    assert again.matched == profile.matched
    assert "jawOpen" not in again.missing


def test_one_key_is_bound_once_even_if_it_shows_several_channels(rigged: Character) -> None:
    profile = detect_character(rigged)
    changed = edit(profile, rigged, rows_of(profile, "jawOpen")[0], "jawOpen", key="mouthFunnel")
    (both,) = (binding for binding in changed.keys if binding.key == "mouthFunnel")
    assert both.channels == {"jawOpen": 1.0, "mouthFunnel": 1.0}
    alone = remove(changed, both, "jawOpen")
    assert rows_of(alone, "mouthFunnel")[0].channels == {"mouthFunnel": 1.0}


def test_a_channel_of_little_weight_can_still_be_edited() -> None:
    profile = RigProfile((KeyBinding("Face", "oo", {"mouthPucker": 1.0, "jawOpen": 0.1}),))
    assert rows_of(profile, "jawOpen") == profile.keys


def test_another_bone_turns_the_same_way(rigged: Character) -> None:
    """The head frame is worked out anew for a bone of other axes: as detection does for that bone."""
    profile = detect_character(rigged)
    by_bone = {binding.bone: binding for binding in profile.rotations}
    swapped = edit(profile, rigged, by_bone["head"], "headYaw", bone="neck")
    frames = [binding.frame for binding in swapped.rotations if binding.bone == "neck"]
    assert len(frames) == 2
    assert frames[1] == pytest.approx(by_bone["neck"].frame, abs=1e-5)


def test_a_jaw_bone_can_be_added_by_hand(rigged: Character) -> None:
    profile = add_rotation(detect_character(rigged), rigged, "jawOpen")
    (jaw,) = (binding for binding in profile.rotations if binding.role == "jaw")
    assert jaw.bone in rigged.armature.data.bones
    assert jaw.source == "artist"
    with pytest.raises(RigError, match="shape keys only"):
        add_rotation(profile, rigged, "mouthFunnel")


def test_a_key_or_bone_that_is_not_there_cannot_be_chosen(rigged: Character) -> None:
    profile = detect_character(rigged)
    with pytest.raises(RigError, match="no shape key ''"):
        edit(profile, rigged, rows_of(profile, "jawOpen")[0], "jawOpen", key="")
    with pytest.raises(RigError, match="no bone ''"):
        edit(profile, rigged, rows_of(profile, "headYaw")[0], "headYaw", bone="")


def test_a_share_leaves_the_axes_of_a_bone_alone(rigged: Character) -> None:
    profile = detect_character(rigged)
    old = rows_of(profile, "headYaw")[0]
    (new,) = (b for b in edit(profile, rigged, old, "headYaw", share=0.1).rotations if b.bone == old.bone)
    assert new == replace(old, share=0.1, source="artist")


def test_the_schema_names_what_a_profile_holds() -> None:
    schema = json.loads((REPO / "docs" / "rig_profile.schema.json").read_text(encoding="utf-8"))

    def names(kind: type) -> set[str]:
        return {f.name for f in fields(kind)}

    assert set(schema["properties"]) == names(RigProfile)
    assert schema["properties"]["version"]["const"] == PROFILE_VERSION
    assert schema["properties"]["gains"]["additionalProperties"]["maximum"] == MOST_GAIN
    assert schema["properties"]["gains"]["propertyNames"]["enum"] == list(CHANNELS)
    key, rotation = schema["$defs"]["key"], schema["$defs"]["rotation"]
    assert set(key["properties"]) == names(KeyBinding)
    assert key["properties"]["channels"]["propertyNames"]["enum"] == list(ARKIT_NAMES)
    assert set(rotation["properties"]) == names(RotationBinding)
    assert set(rotation["properties"]["role"]["enum"]) == set(get_args(Role))
    assert set(key["properties"]["source"]["enum"]) == set(get_args(Source))
