# SPDX-License-Identifier: GPL-3.0-or-later
"""The head in a scene: keys, rig, and the conventions that a rig profile relies on."""

import bpy
import numpy as np
import pytest

from blender_demo.backend.motion.factors import ARKIT_NAMES
from blender_demo.scene.head import HeadObjects, add_head, add_stage

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
