# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys per second: a bake of the project's head against Blender's keyframe_insert, in one run.

    python -m benchmarks.keys
"""

import time

import bpy

from blender_demo.backend.motion.clip import MotionClip
from blender_demo.scene.bake import BakeOptions, BakeReport, bake
from blender_demo.scene.character import Character, find_character, shape_keys
from blender_demo.scene.detect import detect_character
from blender_demo.scene.head import add_head

from .motion import speech_like_clip
from .report import Row, publish

INSERTED_FRAMES = 60
SECONDS = 60.0


def main() -> None:
    """Measure and publish."""
    scene, character = head_in_a_new_scene()
    inserted = insert_keys_per_second(character)
    scene, character = head_in_a_new_scene()
    every = bake_clip(speech_like_clip(SECONDS), scene, character, tolerance=0.0)
    reduced = bake_clip(speech_like_clip(SECONDS), scene, character, tolerance=BakeOptions().tolerance)
    publish("Keys", [
        Row("keyframe_insert, keys per second", inserted),
        Row("bake of every key, keys", every.keys),
        Row("bake of every key, seconds", every.seconds),
        Row("bake of every key, keys per second", every.keys / every.seconds),
        Row("bake over keyframe_insert, ratio", every.keys / every.seconds / inserted),
        Row("bake with key reduction, keys", reduced.keys),
        Row("bake with key reduction, seconds", reduced.seconds),
        Row("bake with key reduction, curve-frames per second", every.keys / reduced.seconds),
    ])


def head_in_a_new_scene() -> tuple[bpy.types.Scene, Character]:
    """A scene at the model's rate that holds the project's head alone."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.data.scenes[0]
    scene.render.fps, scene.render.fps_base = 30, 1.0
    return scene, find_character(add_head(scene).meshes[0])


def bake_clip(clip: MotionClip, scene: bpy.types.Scene, character: Character, tolerance: float) -> BakeReport:
    """Bake with every key that `tolerance` asks for; 0 keeps all but those on straight lines."""
    return bake(clip, character, detect_character(character), BakeOptions(take="bench", tolerance=tolerance), scene)


def insert_keys_per_second(character: Character) -> float:
    """What a loop of keyframe_insert over the head's shape keys reaches, first keys included."""
    blocks = shape_keys(character.meshes[0]).key_blocks[1:]
    started = time.perf_counter()
    for frame in range(INSERTED_FRAMES):
        for block in blocks:
            block.value = (frame % 7) / 7.0
            block.keyframe_insert("value", frame=frame)
    return INSERTED_FRAMES * len(blocks) / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
