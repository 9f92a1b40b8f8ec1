# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys per second: a bake of the project's head against Blender's keyframe_insert over as many frames, in one run.

    python -m benchmarks.keys

keyframe_insert moves all later keys for each new one, so it gets slower with the length of the curve; a bake does not.
"""

import time

import bpy
from tqdm import tqdm

from blender_demo.backend.motion.clip import MotionClip
from blender_demo.scene.bake import BakeOptions, BakeReport, bake
from blender_demo.scene.character import Character, find_character, shape_keys
from blender_demo.scene.detect import detect_character
from blender_demo.scene.head import add_head

from .motion import speech_like_clip
from .report import Row, publish

FPS = 30
LENGTHS_S = (2, 10, 60)


def main() -> None:
    """Measure and publish."""
    rows = []
    for seconds in LENGTHS_S:
        _, character = head_in_a_new_scene()
        inserted = insert_keys_per_second(character, seconds * FPS)
        scene, character = head_in_a_new_scene()
        baked = bake_clip(speech_like_clip(seconds), scene, character, tolerance=0.0)
        reduced = bake_clip(speech_like_clip(seconds), scene, character, tolerance=BakeOptions().tolerance)
        rows += [
            Row(f"{seconds} s: keyframe_insert, keys per second", inserted),
            Row(f"{seconds} s: bake of every key, keys per second", baked.keys / baked.seconds),
            Row(f"{seconds} s: bake over keyframe_insert, ratio", baked.keys / baked.seconds / inserted),
            Row(f"{seconds} s: bake of every key, keys", baked.keys),
            Row(f"{seconds} s: bake with key reduction, keys", reduced.keys),
            Row(f"{seconds} s: bake with key reduction, seconds", reduced.seconds),
        ]
    publish("Keys", rows)


def head_in_a_new_scene() -> tuple[bpy.types.Scene, Character]:
    """A scene at the model's rate that holds the project's head alone."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.data.scenes[0]
    scene.render.fps, scene.render.fps_base = FPS, 1.0
    return scene, find_character(add_head(scene).meshes[0])


def bake_clip(clip: MotionClip, scene: bpy.types.Scene, character: Character, tolerance: float) -> BakeReport:
    """Bake with every key that `tolerance` asks for; 0 keeps all but those on straight lines."""
    return bake(clip, character, detect_character(character), BakeOptions(take="bench", tolerance=tolerance), scene)


def insert_keys_per_second(character: Character, frames: int) -> float:
    """What a loop of keyframe_insert over all shape keys of the head reaches."""
    blocks = shape_keys(character.meshes[0]).key_blocks[1:]
    started = time.perf_counter()
    for frame in tqdm(range(frames), desc="keyframe_insert", unit="frame", leave=False):
        for block in blocks:
            block.value = (frame % 7) / 7.0
            block.keyframe_insert("value", frame=frame)
    return frames * len(blocks) / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
