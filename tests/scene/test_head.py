# SPDX-License-Identifier: GPL-3.0-or-later
"""The head in a scene: keys, rig, and the conventions that a rig profile relies on."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from blender_demo import compat
from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.motion.factors import ARKIT_NAMES
from blender_demo.backend.portrait.person_head import PersonHead
from blender_demo.scene.character import find_character
from blender_demo.scene.detect import detect_character
from blender_demo.scene.head import HeadObjects, add_head, add_person, add_stage

pytestmark = pytest.mark.matrix


@pytest.fixture
def head() -> HeadObjects:
    return add_head(bpy.context.scene)


def posed(thing: bpy.types.Object) -> np.ndarray:
    bpy.context.view_layer.update()
    mesh = thing.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    points = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", points)
    return points.reshape(-1, 3)


def test_keys_carry_the_arkit_names_in_order(head: HeadObjects) -> None:
    assert [key.name for key in head.meshes[0].data.shape_keys.key_blocks] == ["Basis", *ARKIT_NAMES]


def test_the_face_looks_along_minus_y(head: HeadObjects) -> None:
    nose = posed(head.meshes[0])[:, 1].argmin()
    point = posed(head.meshes[0])[nose]
    assert abs(point[0]) < 0.003
    assert -0.15 < point[1] < -0.10
    assert abs(point[2]) < 0.03


def test_bones(head: HeadObjects) -> None:
    assert {"neck", "head", "eye.L", "eye.R"} <= set(head.armature.data.bones.keys())
    assert head.armature.data.bones["eye.L"].head_local.x > 0.02
    assert head.armature.data.bones["head"].parent.name == "neck"


def test_turning_the_head_leaves_the_bust_and_takes_the_face(head: HeadObjects) -> None:
    before = posed(head.meshes[0])
    head.armature.pose.bones["head"].rotation_euler.y = 0.6
    moved = np.linalg.norm(posed(head.meshes[0]) - before, axis=1)
    assert moved[before[:, 2] < -0.155].max() < 1e-5
    assert moved[before[:, 1].argmin()] > 0.04
    edges = np.empty(2 * len(head.meshes[0].data.edges), np.int32)
    head.meshes[0].data.edges.foreach_get("vertices", edges)
    a, b = edges.reshape(-1, 2).T
    after = posed(head.meshes[0])
    stretch = np.linalg.norm(after[a] - after[b], axis=1) - np.linalg.norm(before[a] - before[b], axis=1)
    assert np.abs(stretch).max() < 0.006  # metres: nothing tears


def test_eye_bones_turn_the_eyeballs_and_keys_do_not(head: HeadObjects) -> None:
    eye = next(mesh for mesh in head.meshes if mesh.name == "DEMO eye.L")
    before = posed(eye)
    assert eye.data.shape_keys is None
    head.armature.pose.bones["eye.L"].rotation_euler.z = 0.3
    assert np.linalg.norm(posed(eye) - before, axis=1).max() > 0.003


def test_a_key_moves_the_mesh(head: HeadObjects) -> None:
    before = posed(head.meshes[0])
    head.meshes[0].data.shape_keys.key_blocks["jawOpen"].value = 1.0
    assert np.linalg.norm(posed(head.meshes[0]) - before, axis=1).max() > 0.02


def test_two_heads_and_a_stage_fit_one_scene() -> None:
    first, second = add_head(bpy.context.scene), add_head(bpy.context.scene)
    assert set(first.meshes).isdisjoint(second.meshes)
    assert bpy.context.scene.camera is None
    assert add_stage(bpy.context.scene) is bpy.context.scene.camera


@pytest.fixture
def person() -> HeadObjects:
    """A head with a texture that is red above and green below, at a cursor beside the origin."""
    bpy.context.scene.cursor.location = (0.5, 0.0, 1.6)
    texture = np.zeros((32, 32, 3), np.uint8)
    texture[:16, :, 0], texture[16:, :, 1] = 200, 200
    model = load_head()
    wider = replace(model, vertices=model.vertices * np.array([1.1, 1.0, 1.0], np.float32))
    return add_person(bpy.context.scene, PersonHead(wider, texture, {"iris": np.array([0.1, 0.5, 0.2])}), "Anna")


def test_a_person_has_keys_rig_and_shape_of_their_own(person: HeadObjects) -> None:
    face = person.meshes[0]
    assert [key.name for key in face.data.shape_keys.key_blocks] == ["Basis", *ARKIT_NAMES]
    assert np.ptp(posed(face)[:, 0]) == pytest.approx(1.1 * np.ptp(load_head().vertices[:, 0]), rel=1e-3)
    bpy.context.view_layer.update()
    assert face.matrix_world.translation[:] == pytest.approx((0.5, 0.0, 1.6))
    profile = detect_character(find_character(face))
    assert profile.summary() == "52 of 52 channels, head and neck turn, eyes turn"
    assert profile.moves_lips


def test_the_texture_of_a_person_lies_upright_and_stays_in_the_file(person: HeadObjects, tmp_path: Path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "anna.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "anna.blend"))
    material: Any = bpy.data.materials["Anna skin"]
    image = next(node for node in material.node_tree.nodes if node.type == "TEX_IMAGE").image
    assert image.packed_file is not None
    pixels = np.array(image.pixels[:]).reshape(32, 32, 4)  # row 0 below
    assert pixels[0, 0, :3] == pytest.approx([0, 200 / 255, 0], abs=0.01)
    assert pixels[-1, 0, :3] == pytest.approx([200 / 255, 0, 0], abs=0.01)


EXPORTS = {
    ".glb": "gltf(filepath={!r})",
    ".fbx": "fbx(filepath={!r}, path_mode='COPY', embed_textures=True)",
}
"""Run in a process of their own: beside torch, Blender's module cannot end once the glTF exporter was used."""


@pytest.mark.parametrize("ending", EXPORTS)
def test_a_person_can_be_exported_and_read_again(person: HeadObjects, tmp_path: Path, ending: str) -> None:
    path, blend = tmp_path / f"anna{ending}", tmp_path / "anna.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    export = f"import bpy; bpy.ops.wm.open_mainfile(filepath={str(blend)!r}); bpy.ops.export_scene.{EXPORTS[ending]}"
    subprocess.run([sys.executable, "-c", export.format(str(path))], check=True, timeout=120)
    bpy.ops.wm.read_homefile(use_empty=True, app_template="")
    compat.import_model(path)
    face = next(obj for obj in bpy.context.scene.objects if obj.name.startswith("Anna Head"))
    assert [key.name for key in face.data.shape_keys.key_blocks][1:] == list(ARKIT_NAMES)
    assert (32, 32) in {tuple(image.size) for image in bpy.data.images}
    assert detect_character(find_character(face)).moves_lips
