# SPDX-License-Identifier: GPL-3.0-or-later
"""What a known clip makes of the own head, as Blender evaluates it: to be compared between versions of Blender.

.venv/bin/python -m tools.evaluated_values tests/scene/evaluated_values.json     with the bpy package
blender --background --python tools/evaluated_values.py -- values.json           where the extension is installed
"""

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any, Final

import bpy
import numpy as np

__all__ = ["evaluated_values"]

_WAYS: Final = (
    {"target": "NLA"},
    {"target": "NLA", "interpolation": "BEZIER", "tolerance": 0.01},
    {"target": "NLA", "interpolation": "CONSTANT", "step": 2},
    {"target": "NEW", "tolerance": 0.0},
    {"target": "ACTIVE"},
)
_RATES: Final = (23.976, 30.0)
_FRAMES: Final = (3.0, 10.0, 17.5, 31.0, 44.0)
_KEYS: Final = ("jawOpen", "mouthClose", "eyeBlinkLeft", "browInnerUp", "mouthSmileRight")
_BONES: Final = ("neck", "head", "eye.L", "eye.R")


def evaluated_values() -> dict[str, list[float]]:
    """For each way to bake, each rate and each frame: five keys and the rotations of four bones."""
    package = _package()
    return {
        f"{' '.join(map(str, way.values()))} at {fps:g}, frame {frame:g}": values
        for way in _WAYS
        for fps in _RATES
        for frame, values in _baked(package, way, fps)
    }


def _package() -> str:
    """The add-on as a Python package, or as the extension that is installed."""
    if importlib.util.find_spec("blender_demo") is not None:
        return "blender_demo"
    return next(addon.module for addon in bpy.context.preferences.addons if addon.module.endswith(".blender_demo"))


def _baked(package: str, way: dict[str, Any], fps: float) -> list[tuple[float, list[float]]]:
    def part(name: str) -> Any:
        return importlib.import_module(f"{package}.{name}")

    for collection in (bpy.data.objects, bpy.data.meshes, bpy.data.armatures, bpy.data.actions):
        for block in list(collection):
            collection.remove(block)
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = int(np.ceil(fps)), np.ceil(fps) / fps
    made = part("scene.head").add_head(scene)
    character = part("scene.character").find_character(made.meshes[0])
    if way["target"] == "ACTIVE":
        made.meshes[0].data.shape_keys.key_blocks["jawOpen"].keyframe_insert("value", frame=1)
        made.armature.pose.bones["head"].keyframe_insert("rotation_quaternion", frame=1)
    profile = part("scene.detect").detect_character(character)
    part("scene.bake").bake(_clip(part), character, profile, part("scene.bake_options").BakeOptions(**way), scene)
    values = []
    for frame in _FRAMES:
        scene.frame_set(int(frame), subframe=frame % 1.0)
        blocks, bones = made.meshes[0].data.shape_keys.key_blocks, made.armature.pose.bones
        found = [blocks[name].value for name in _KEYS]
        found += [value for name in _BONES for value in bones[name].matrix_basis.to_quaternion()]
        values.append((frame, [round(float(value), 6) for value in found]))
    return values


def _clip(part: Any) -> Any:
    """Two seconds in which every channel moves."""
    factors = part("backend.motion.factors")
    seconds = np.arange(60) / 30.0
    channels = np.empty((60, len(factors.CHANNELS)), np.float32)
    for column, name in enumerate(factors.CHANNELS):
        low, high = factors.LIMITS[name]
        wave = np.sin(2.0 * np.pi * (0.4 + 0.1 * (column % 7)) * seconds + column)
        channels[:, column] = 0.5 + 0.5 * wave if low == 0.0 else 0.5 * high * wave
    return part("backend.motion.clip").MotionClip(30.0, channels)


if __name__ == "__main__":
    Path(sys.argv[-1]).write_text(json.dumps(evaluated_values(), indent=0) + "\n", encoding="utf-8")
