# SPDX-License-Identifier: GPL-3.0-or-later
"""A character is understood from its names and its shape, and what cannot be driven is given a reason."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from blender_demo.backend.errors import RigError
from blender_demo.backend.motion.factors import ARKIT_NAMES, CHANNELS, FACTOR_OF, FACTORS
from blender_demo.scene.character import Character, find_character, rest_matrix
from blender_demo.scene.detect import detect, detect_character
from blender_demo.scene.face_frame import UPRIGHT, face_frame
from blender_demo.scene.face_points import read_mesh
from blender_demo.scene.head import add_head
from blender_demo.scene.rig_profile import RigProfile
from tests.plainest_names import match_names

pytestmark = pytest.mark.matrix

Make = Callable[..., bpy.types.Object]

_EYE_LOOK = {name for name in ARKIT_NAMES if name.startswith("eyeLook")}


def _skin(mesh: bpy.types.Object, vertices: dict[str, int]) -> None:
    """Give vertices to bones; the eyeLook keys of the test's face move vertex 2."""
    for bone, vertex in vertices.items():
        mesh.vertex_groups.new(name=bone).add([vertex], 1.0, "REPLACE")


def _add_bone(rig: bpy.types.Object, name: str, head: tuple, tail: tuple, parent: str) -> None:
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    bone = rig.data.edit_bones.new(name)
    bone.head, bone.tail, bone.parent = head, tail, rig.data.edit_bones[parent]
    bpy.ops.object.mode_set(mode="OBJECT")


def _carried(profile: RigProfile) -> set[str]:
    return {channel for binding in profile.keys for channel in binding.carried}


def test_a_full_character_is_matched_whole(open_character: Callable[..., Character]) -> None:
    profile = detect_character(open_character("mpfb_cc0_arkit.blend", "Human"))
    assert profile.matched == 52
    assert [(binding.role, binding.share) for binding in profile.rotations] == [("neck", 0.4), ("head", 0.6)]
    assert len(profile.notes) == 2, "its eye and jaw bones share their skin with the head, so the keys move it"
    assert not any(key.startswith("viseme") for key in (binding.key for binding in profile.keys))


def test_eyes_that_are_objects_are_found(open_character: Callable[..., Character]) -> None:
    profile = detect_character(open_character("facecap_eyes_as_objects.blend", "Example"))
    assert profile.matched == 51
    assert "tongueOut" in profile.missing["tongueOut"]
    assert {binding.object for binding in profile.rotations if binding.role == "eye"} == {"EyeLeft", "EyeRight"}


def test_a_character_without_keys_is_refused_clearly(shared_data: Path, tmp_path: Path) -> None:
    shutil.copy(shared_data / "characters" / "no_keys.vrm", tmp_path / "no_keys.glb")
    bpy.ops.import_scene.gltf(filepath=str(tmp_path / "no_keys.glb"))
    with pytest.raises(RigError, match="no shape keys"):
        detect_character(find_character(bpy.data.objects["Body"]))


def test_any_object_of_a_character_leads_to_it(rigged: Character) -> None:
    assert find_character(rigged.root) == rigged
    assert find_character(rigged.meshes[0]) == rigged


def test_all_meshes_with_keys_belong_to_the_character(rigged: Character, face_mesh: Make) -> None:
    lashes = face_mesh("Lashes", ("eyeBlinkLeft", "eyeBlinkRight"))
    lashes.parent = rigged.meshes[0]
    character = find_character(rigged.root)
    assert [mesh.name for mesh in character.meshes] == ["Face", "Lashes"]
    keys = [(binding.object, binding.key) for binding in detect_character(character).keys]
    assert ("Lashes", "eyeBlinkLeft") in keys
    assert ("Face", "eyeBlinkLeft") in keys


def test_gaze_is_never_driven_twice(rigged: Character) -> None:
    face = rigged.meshes[0]
    assert _carried(detect_character(rigged)) >= _EYE_LOOK, "keys that move skin beside the turning eyes move the lids"
    _skin(face, {"eye.L": 2, "eye.R": 3})
    profile = detect_character(rigged)
    assert not _EYE_LOOK & _carried(profile)
    assert profile.carried >= _EYE_LOOK
    assert any("eyeLook keys of Face rest" in note for note in profile.notes)


def test_eye_bones_that_only_bend_the_eyes_rest(rigged: Character) -> None:
    face = rigged.meshes[0]
    _skin(face, {"eye.L": 2, "eye.R": 2})
    profile = detect_character(rigged)
    assert "eye" not in [binding.role for binding in profile.rotations]
    assert _carried(profile) >= _EYE_LOOK
    assert any("by half" in note for note in profile.notes)


def test_the_mouth_is_never_opened_twice(rigged: Character) -> None:
    face, rig = rigged.meshes[0], rigged.root
    _add_bone(rig, "jaw", (0, -0.03, 1.62), (0, -0.1, 1.58), "head")
    assert "jaw" in [binding.role for binding in detect_character(rigged).rotations], (
        "it moves other skin, such as teeth"
    )
    face.vertex_groups.new(name="jaw").add([2], 1.0, "REPLACE")
    profile = detect_character(rigged)
    assert "jaw" not in [binding.role for binding in profile.rotations]
    assert any("jaw" in note for note in profile.notes)


def test_a_jaw_bone_is_enough_to_speak(face_mesh: Make, armature: Make) -> None:
    rig = armature()
    _add_bone(rig, "jaw", (0, -0.03, 1.62), (0, -0.1, 1.58), "head")
    profile = detect([rig])
    assert not profile.keys
    assert profile.moves_lips
    assert {"jawOpen", "jawLeft", "jawRight"} <= profile.carried


def test_without_turning_eyes_the_keys_carry_the_gaze(face_mesh: Make, armature: Make) -> None:
    face, rig = face_mesh(), armature(eyes=False)
    face.parent = rig
    profile = detect([face])
    assert _carried(profile) >= _EYE_LOOK
    assert profile.matched == 52


def test_every_channel_is_carried_or_has_a_reason(rigged: Character, face_mesh: Make) -> None:
    for profile in (detect_character(rigged), detect([face_mesh("Other", ARKIT_NAMES[:20])])):
        assert not profile.carried & set(profile.missing)
        assert profile.carried | set(profile.missing) == set(CHANNELS)
        assert all(reason.endswith(".") for reason in profile.missing.values())


def test_keys_of_no_face_are_refused_with_a_count(face_mesh: Make) -> None:
    with pytest.raises(RigError, match=r"none of its 2 shape keys \('BreastSize', 'Muscles'\)"):
        detect([face_mesh(keys=("BreastSize", "Muscles"))])


def test_a_bone_held_by_a_constraint_is_passed_over(rigged: Character) -> None:
    held = rigged.root.pose.bones["neck"].constraints.new("COPY_ROTATION")
    held.target, held.subtarget = rigged.root, "spine"
    assert [binding.bone for binding in detect_character(rigged).rotations if binding.role != "eye"] == ["head"]


@pytest.mark.parametrize(
    "turn", [Matrix(), Matrix.Rotation(1.0, 4, "Z"), Matrix.Rotation(1.4, 4, "X") @ Matrix.Scale(3.0, 4)]
)
def test_the_face_is_found_however_the_character_stands(face_mesh: Make, turn: Matrix) -> None:
    face = face_mesh()
    face.matrix_world = turn
    bpy.context.view_layer.update()
    keyed = read_mesh(face, {"eyeBlinkLeft", "eyeBlinkRight", "mouthPucker"})
    places = [keyed.center_of(key) for key in ("eyeBlinkLeft", "eyeBlinkRight", "mouthPucker")]
    frame = face_frame(find_character(face), *places)
    assert np.allclose(frame, np.array(turn.to_3x3().normalized()) @ UPRIGHT, atol=1e-5)


def test_rest_does_not_depend_on_the_pose(rigged: Character) -> None:
    eye = bpy.data.objects.new("Monocle", None)
    bpy.context.scene.collection.objects.link(eye)
    eye.parent, eye.parent_type, eye.parent_bone = rigged.root, "BONE", "head"
    before = rest_matrix(eye)
    rigged.root.pose.bones["head"].rotation_mode = "XYZ"
    rigged.root.pose.bones["head"].rotation_euler = (0.5, 0.4, 0.3)
    bpy.context.view_layer.update()
    assert rest_matrix(eye) == before
    assert not np.allclose(np.array(eye.matrix_world), np.array(before), atol=1e-3)


def test_a_profile_survives_json(rigged: Character, tmp_path: Path) -> None:
    profile = detect_character(rigged)
    profile.save(tmp_path / "profile.json")
    assert RigProfile.load(tmp_path / "profile.json") == profile


@pytest.mark.parametrize(
    ("change", "words"),
    [({"keys": [{"object": "a", "key": "b", "channel": "noSuch"}]}, "noSuch"),
     ({"rotations": [{"object": "a", "bone": "b", "role": "tail", "share": 1.0, "frame": [0] * 9}]}, "tail"),
     ({"rotations": [{"object": "a", "bone": "b", "role": "eye", "share": 1.0, "frame": [2] * 9}]}, "rotation"),
     ({"keys": [{"wrong": 1}]}, "cannot be read"),
     ({"colour": 1}, "colour"),
     ({"version": 99}, "newer")],
)  # fmt: skip
def test_a_wrong_profile_is_refused(tmp_path: Path, change: dict, words: str) -> None:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({**RigProfile().to_json(), **change}), encoding="utf-8")
    with pytest.raises(RigError, match=words):
        RigProfile.load(path)


def test_a_file_that_is_no_profile_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("[1", encoding="utf-8")
    with pytest.raises(RigError, match=r"p\.json"):
        RigProfile.load(tmp_path / "p.json")


def _scrambled(character: Character, seed: int) -> dict[str, str]:
    """Give all keys names that say nothing; by the new name the old."""
    old = {}
    numbers = np.random.default_rng(seed).permutation(1000).tolist()
    for mesh in character.meshes:
        for block in mesh.data.shape_keys.key_blocks[1:]:
            name, block.name = block.name, f"target_{numbers.pop()}"
            old[block.name] = name
    return old


_SEEN_BY_ALL = {
    *FACTORS[0].channels, "browInnerUp",
    *(f"{stem}{side}" for stem in ("eyeBlink", "eyeSquint", "eyeWide", "browDown", "browOuterUp")
      for side in ("Left", "Right")),
}  # fmt: skip


def _check_scrambled(character: Character) -> None:
    truth = {channel: name for name, channel in _names_by_channel(character).items()}
    old = _scrambled(character, 7)
    profile = detect_character(character)
    found = {old[binding.key]: binding for binding in profile.keys}
    wanted = {channel: name for name, channel in truth.items() if channel in _SEEN_BY_ALL}
    right = [channel for channel, name in wanted.items() if name in found and found[name].channel == channel]
    assert len(right) >= 0.9 * len(wanted), set(wanted) - set(right)
    for name, binding in found.items():
        if name in truth:
            assert {FACTOR_OF[channel] for channel in binding.channels} == {FACTOR_OF[truth[name]]}, name
        assert binding.source == "geometry"
        assert 0.0 < binding.confidence < 1.0


def _names_by_channel(character: Character) -> dict[str, str]:
    return match_names([block.name for mesh in character.meshes for block in mesh.data.shape_keys.key_blocks])


@pytest.mark.parametrize(
    ("file", "face"), [("mpfb_cc0_arkit.blend", "Human"), ("facecap_eyes_as_objects.blend", "Example")]
)
def test_keys_without_meaningful_names_are_told_by_what_they_move(
    open_character: Callable[..., Character], file: str, face: str
) -> None:
    _check_scrambled(open_character(file, face))


@pytest.mark.parametrize("turn", [Matrix(), Matrix.Rotation(2.0, 4, "Z"), Matrix.Rotation(np.pi / 2, 4, "X")])
def test_the_own_face_is_told_without_names_and_without_bones(turn: Matrix) -> None:
    face = add_head(bpy.context.scene).meshes[0]
    face.parent, face.matrix_world = None, turn
    face.modifiers.clear()
    bpy.context.view_layer.update()
    _check_scrambled(find_character(face))


def test_a_cartoon_without_names_is_told_by_what_it_moves(shared_data: Path, tmp_path: Path) -> None:
    shutil.copy(shared_data / "characters" / "godette.vrm", tmp_path / "godette.glb")
    bpy.ops.import_scene.gltf(filepath=str(tmp_path / "godette.glb"))
    profile = detect_character(find_character(bpy.data.objects["Face"]))
    shown = {binding.key: set(binding.channels) for binding in profile.keys}
    assert shown["target_3"] == {"eyeBlinkLeft"}
    assert shown["target_4"] == {"eyeBlinkRight"}
    assert all(any(channel.startswith(("jaw", "mouth")) for channel in shown[f"target_{i}"]) for i in range(5, 10))
    looks = ["Up", "Up"], ["Down", "Down"], ["In", "Out"], ["In", "Out"]
    for i, ways in enumerate(looks, 10):
        assert sorted(re.sub("eyeLook|Left|Right", "", channel) for channel in shown[f"target_{i}"]) == ways
    assert shown["target_14"] == {"browDownLeft", "browDownRight"}
    assert not {"target_0", "target_1", "target_2"} & set(shown), "what hides hair and earrings is no face"
    assert [binding.role for binding in profile.rotations] == ["neck", "head"]
    assert all(np.array(binding.frame).reshape(3, 3)[2, 2] < -0.9 for binding in profile.rotations), "it faces +Y"
