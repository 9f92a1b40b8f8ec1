# SPDX-License-Identifier: GPL-3.0-or-later
"""Characters that are lying, mirrored, mislabeled, made of plates, or beside things that are none."""

from collections.abc import Callable

import bpy
import numpy as np
import pytest
from mathutils import Matrix, Vector

from blender_demo.backend.errors import RigError
from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import ARKIT_NAMES
from blender_demo.scene.bake import bake
from blender_demo.scene.bake_options import BakeOptions
from blender_demo.scene.character import Character, find_character, shape_keys
from blender_demo.scene.detect import detect_character
from blender_demo.scene.head import add_head
from blender_demo.scene.rig_profile import RigProfile

pytestmark = pytest.mark.matrix

Make = Callable[..., bpy.types.Object]


@pytest.fixture
def own() -> Character:
    """The project's own head, keyed and rigged."""
    return find_character(add_head(bpy.context.scene).meshes[0])


def _keys(character: Character) -> bpy.types.Key:
    return shape_keys(character.meshes[0])


def _without_names(character: Character) -> dict[str, str]:
    """Number the keys; what each was called."""
    called = {}
    for number, block in enumerate(_keys(character).key_blocks[1:]):
        called[f"target_{number}"], block.name = block.name, f"target_{number}"
    return called


def _right(profile: RigProfile, called: dict[str, str]) -> float:
    """Part of the keys that are told by what they move, and told as what they were called."""
    return sum(called[b.key] in b.carried for b in profile.keys) / len(called)


def _seen(character: Character) -> np.ndarray:
    """The vertices of the character's face as they are seen, in world space."""
    graph = bpy.context.evaluated_depsgraph_get()
    face = character.meshes[0].evaluated_get(graph)
    mesh = face.to_mesh()
    points = np.array([face.matrix_world @ vertex.co for vertex in mesh.vertices])
    face.to_mesh_clear()
    return points


def test_a_nameless_face_is_told_where_it_lies(own: Character) -> None:
    called = _without_names(own)
    own.root.matrix_basis = Matrix.Rotation(0.7, 4, "Z") @ Matrix.Rotation(-np.pi / 2, 4, "X")
    for bone, name in zip(own.armature.data.bones, "abcde", strict=True):  # pyright: ignore
        bone.name = name
    for mesh in (part for part in own.parts if part.type == "MESH"):
        for group, name in zip(mesh.vertex_groups, mesh.vertex_groups.keys(), strict=True):
            group.name = name
    assert _right(detect_character(own), called) > 0.9


def test_body_shapes_beside_a_nameless_face_are_left_alone(own: Character) -> None:
    called = _without_names(own)
    random = np.random.default_rng(0)
    face = own.meshes[0]
    rest = np.array([vertex.co for vertex in face.data.vertices])  # pyright: ignore[reportAttributeAccessIssue]
    for number in range(60):
        block = face.shape_key_add(name=f"target_{100 + number}")
        block.value = 0.0
        block.data.foreach_set("co", (rest * (1.0 + 0.05 * random.normal(size=3))).astype(np.float32).ravel())
    profile = detect_character(own)
    assert sum(binding.key not in called for binding in profile.keys) <= 3, "of 60"
    assert _right(profile, called) > 0.9


def test_sides_go_by_the_face_and_not_by_what_they_are_called(own: Character) -> None:
    swapped = {"Left": "Right", "Right": "Left", ".L": ".R", ".R": ".L"}
    for blocks, ends in ((_keys(own).key_blocks, ("Left", "Right")), (own.armature.data.bones, (".L", ".R"))):  # pyright: ignore
        named = [(block, end) for block in blocks for end in ends if block.name.endswith(end)]
        names = [block.name.removesuffix(end) + swapped[end] for block, end in named]
        for number, (block, _) in enumerate(named):
            block.name = f"passing {number}"
        for (block, _), name in zip(named, names, strict=True):
            block.name = name
    profile = detect_character(own)
    assert any("called left" in note for note in profile.notes)
    blink = next(binding for binding in profile.keys if binding.key == "eyeBlinkLeft")
    assert set(blink.channels) == {"eyeBlinkRight"}
    model = load_head()
    lid = model.vertices[model.lid_upper[1, 0]]
    assert lid[0] < 0.0, "the right eye of a face that looks along -Y lies at negative x"


def test_a_mirrored_character_turns_and_speaks(own: Character, steady_clip: Callable[..., MotionClip]) -> None:
    called = _without_names(own)
    own.root.scale = (-1.0, 1.0, 1.0)
    profile = detect_character(own)
    assert len(profile.keys) >= 0.9 * len(called)
    rest = _seen(own)
    bake(steady_clip(jawOpen=1.0, headPitch=0.3), own, profile, BakeOptions(), bpy.context.scene)
    bpy.context.scene.frame_set(10)
    moved = _seen(own) - rest
    front = rest[:, 1] < np.quantile(rest[:, 1], 0.02)
    assert moved[front, 2].mean() < 0.0, "pitch looks down"


def test_keys_that_move_nothing_carry_nothing(own: Character) -> None:
    block = _keys(own).key_blocks["jawOpen"]
    rest = np.empty(3 * len(block.data), np.float32)
    _keys(own).reference_key.data.foreach_get("co", rest)
    block.data.foreach_set("co", rest)
    profile = detect_character(own)
    assert profile.missing["jawOpen"] == "The shape key 'jawOpen' moves nothing."


def test_a_mesh_without_vertices_is_passed_over(own: Character) -> None:
    empty = bpy.data.objects.new("Empty", bpy.data.meshes.new("Empty"))
    bpy.context.scene.collection.objects.link(empty)
    empty.parent = own.root
    for name in ("Basis", "jawOpen"):
        empty.shape_key_add(name=name)
    assert detect_character(find_character(own.root)).matched == 52


def _add_jaw(own: Character) -> None:
    """A bone that carries what jawOpen moves."""
    rig = own.armature
    assert rig is not None
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    bone = rig.data.edit_bones.new("jaw")  # pyright: ignore[reportAttributeAccessIssue]
    bone.head, bone.tail = Vector((0.0, -0.01, -0.02)), Vector((0.0, -0.08, -0.075))
    bone.parent = rig.data.edit_bones["head"]  # pyright: ignore[reportAttributeAccessIssue]
    bpy.ops.object.mode_set(mode="OBJECT")
    model, face = load_head(), own.meshes[0]
    moved = np.linalg.norm(model.deltas[ARKIT_NAMES.index("jawOpen")], axis=1)
    points = {tuple(np.round(p, 5)): m for p, m in zip(model.vertices.astype(float), moved, strict=True)}
    jaw = face.vertex_groups.new(name="jaw")
    for vertex in face.data.vertices:  # pyright: ignore[reportAttributeAccessIssue]
        x, y, z = vertex.co
        weight = min(points.get(tuple(np.round((x, z, -y), 5)), 0.0) / 0.03, 1.0)
        if weight > 0.1:
            for group in [group.group for group in vertex.groups]:
                face.vertex_groups[group].add([vertex.index], 1.0 - weight, "REPLACE")
            jaw.add([vertex.index], weight, "REPLACE")


def test_the_jaw_bone_opens_a_mouth_that_keys_only_shape(own: Character) -> None:
    _add_jaw(own)
    blocks = _keys(own).key_blocks
    blocks["mouthLowerDownLeft"].name = "V_Open"  # lips part, the chin stays
    own.meshes[0].shape_key_remove(blocks["jawOpen"])
    profile = detect_character(own)
    assert "jaw" in {binding.role for binding in profile.rotations}
    assert not any("jawOpen" in binding.channels for binding in profile.keys)


def test_the_jaw_bone_rests_where_a_key_lowers_the_chin(own: Character) -> None:
    _add_jaw(own)
    profile = detect_character(own)
    assert "jaw" not in {binding.role for binding in profile.rotations}


def test_a_puppet_of_plates_speaks_with_its_jaw() -> None:
    head, jaw = (bpy.data.objects.new(name, bpy.data.meshes.new(name)) for name in ("Robot", "Robot_Jaw"))
    for part in (head, jaw):
        part.data.from_pydata([(-1, -1, 0), (1, -1, 0), (0, 1, 0)], [], [(0, 1, 2)])
        bpy.context.scene.collection.objects.link(part)
    jaw.parent = head
    profile = detect_character(find_character(head))
    assert [(binding.object, binding.role) for binding in profile.rotations] == [("Robot_Jaw", "jaw")]
    assert profile.moves_lips


def test_a_waving_cloth_has_no_face() -> None:
    side = np.linspace(0.0, 1.0, 20)
    rest = np.stack([*np.meshgrid(side, side), np.zeros((20, 20))], axis=-1).reshape(-1, 3)
    mesh = bpy.data.meshes.new("Sheet")
    mesh.from_pydata(rest.tolist(), [], [])
    cloth = bpy.data.objects.new("Sheet", mesh)
    bpy.context.scene.collection.objects.link(cloth)
    cloth.shape_key_add(name="Basis")
    for frame in range(40):
        wave = 0.1 * np.sin(0.3 * frame + 6.0 * rest[:, 0] + 3.0 * rest[:, 1])
        cloth.shape_key_add(name=f"frame_{frame:04d}").data.foreach_set(
            "co", (rest + wave[:, None] * (0.0, 0.0, 1.0)).astype(np.float32).ravel()
        )
    with pytest.raises(RigError, match="none of its 40 shape keys"):
        detect_character(find_character(cloth))


def test_a_door_that_opens_does_not_speak(face_mesh: Make) -> None:
    with pytest.raises(RigError, match="cannot be animated"):
        detect_character(find_character(face_mesh("Door", ("open",))))


def test_a_character_that_is_nowhere_is_refused_with_the_remedy(own: Character) -> None:
    own.root.location.x = float("nan")
    with pytest.raises(RigError, match=r"is no number\. Clear its transforms"):
        detect_character(own)


def test_an_armature_that_was_never_in_a_scene_keeps_no_face_from_speaking(own: Character) -> None:
    fresh = bpy.data.objects.new("fresh", own.armature.data)  # pyright: ignore[reportOptionalMemberAccess]
    for part in own.parts:
        for modifier in (m for m in part.modifiers if m.type == "ARMATURE"):
            modifier.object = fresh  # pyright: ignore[reportAttributeAccessIssue]
        part.parent = fresh if part.parent == own.armature else part.parent
    assert fresh.pose is None
    profile = detect_character(find_character(own.meshes[0]))
    assert profile.moves_lips
    assert any("'fresh' was never in a scene" in note for note in profile.notes)


def test_a_muted_driver_holds_no_key(own: Character, steady_clip: Callable[..., MotionClip]) -> None:
    jaw = _keys(own).key_blocks["jawOpen"]
    jaw.driver_add("value").mute = True  # pyright: ignore[reportAttributeAccessIssue]
    report = bake(steady_clip(jawOpen=1.0), own, detect_character(own), BakeOptions(), bpy.context.scene)
    assert not any("driver" in warning for warning in report.warnings)
    bpy.context.scene.frame_set(10)
    assert jaw.value == pytest.approx(1.0)
