# SPDX-License-Identifier: GPL-3.0-or-later
"""Characters and clips for the tests of the Blender layer."""

from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import ARKIT_NAMES, CHANNELS, LIMITS
from blender_demo.scene.character import Character, find_character

FACE = ((0.03, -0.1, 1.7), (-0.03, -0.1, 1.7), (0.0, -0.12, 1.6), (0.0, 0.0, 1.0))
"""Left eye, right eye, mouth, foot of a character that faces -Y."""


@pytest.fixture(autouse=True)
def empty_scene() -> None:
    """Each test starts in an empty file at 30 fps."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = 30
    bpy.context.scene.render.fps_base = 1.0


@pytest.fixture
def lively_clip() -> MotionClip:
    """Three seconds in which every channel moves within its limits."""
    seconds = np.arange(90) / 30.0
    channels = np.empty((90, len(CHANNELS)), np.float32)
    for column, name in enumerate(CHANNELS):
        low, high = LIMITS[name]
        wave = np.sin(2.0 * np.pi * (0.3 + 0.05 * (column % 7)) * seconds + column)
        channels[:, column] = 0.5 + 0.4 * wave if low == 0.0 else 0.4 * high * wave
    return MotionClip(30.0, channels)


@pytest.fixture
def steady_clip() -> Callable[..., MotionClip]:
    """A clip that holds some channels at a value, and all others at zero."""

    def make(frames: int = 30, **values: float) -> MotionClip:
        channels = np.zeros((frames, len(CHANNELS)), np.float32)
        for name, value in values.items():
            channels[:, CHANNELS.index(name)] = value
        return MotionClip(30.0, channels)

    return make


def _face_mesh(name: str, keys: tuple[str, ...]) -> bpy.types.Object:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([*FACE], [], [])
    face = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(face)
    face.shape_key_add(name="Basis")
    for key in keys:
        block = face.shape_key_add(name=key)
        block.value = 0.0
        moved = 0 if "blinkleft" in key.lower() else 1 if "blinkright" in key.lower() else 2
        block.data[moved].co.z -= 0.01
    return face


@pytest.fixture
def face_mesh() -> Callable[..., bpy.types.Object]:
    """Make a mesh of four points with shape keys; the ARKit ones unless others are named."""
    return lambda name="Face", keys=ARKIT_NAMES: _face_mesh(name, tuple(keys))


@pytest.fixture
def armature() -> Callable[..., bpy.types.Object]:
    """Make an armature of spine, neck, head and two eyes, with rolled bones, optionally turned as a whole."""

    def make(roll: float = 0.7, eyes: bool = True) -> bpy.types.Object:
        data = bpy.data.armatures.new("Rig")
        rig = bpy.data.objects.new("Rig", data)
        bpy.context.scene.collection.objects.link(rig)
        bpy.context.view_layer.objects.active = rig
        bpy.ops.object.mode_set(mode="EDIT")
        chain = (
            ("spine", (0, 0, 0), (0, 0, 1.3), None),
            ("neck", (0, 0, 1.3), (0, -0.02, 1.5), "spine"),
            ("head", (0, -0.02, 1.5), (0.0, -0.02, 1.8), "neck"),
        )
        sides = (("eye.L", FACE[0], (0.03, -0.15, 1.7), "head"), ("eye.R", FACE[1], (-0.03, -0.15, 1.7), "head"))
        for name, start, end, parent in (*chain, *(sides if eyes else ())):
            bone = data.edit_bones.new(name)
            bone.head, bone.tail, bone.roll = start, end, roll
            bone.parent = data.edit_bones[parent] if parent else None
        bpy.ops.object.mode_set(mode="OBJECT")
        return rig

    return make


@pytest.fixture
def rigged(face_mesh: Callable[..., bpy.types.Object], armature: Callable[..., bpy.types.Object]) -> Character:
    """A character with all 52 keys and an armature with eyes."""
    face, rig = face_mesh(), armature()
    face.parent = rig
    face.modifiers.new("Armature", "ARMATURE").object = rig
    return find_character(face)


@pytest.fixture
def open_character(shared_data: Path) -> Callable[[str, str], Character]:
    """Open one of the shared characters by the file's name and its object's."""

    def load(file: str, name: str) -> Character:
        bpy.ops.wm.open_mainfile(filepath=str(shared_data / "characters" / file))
        bpy.context.scene.render.fps = 30
        return find_character(bpy.data.objects[name])

    return load
