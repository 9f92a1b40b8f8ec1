# SPDX-License-Identifier: GPL-3.0-or-later
"""Ten minutes onto five meshes of 52 keys each, against keyframe_insert; and the same onto visemes.

    python -m benchmarks.long_take

keyframe_insert is measured over one minute of one mesh, and so at a rate that it no longer has at the end of ten.
"""

import bpy

from blender_demo.backend.mapping.names import recognize
from blender_demo.scene.bake import BakeOptions, bake
from blender_demo.scene.character import Character, find_character, shape_keys
from blender_demo.scene.detect import detect_character

from .keys import FPS, bake_clip, head_in_a_new_scene, insert_keys_per_second
from .motion import speech_like_clip
from .report import Row, publish

SECONDS = 600
MESHES = 5
VISEMES = ("PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U")


def main() -> None:
    """Measure and publish."""
    inserted = insert_keys_per_second(head_in_a_new_scene()[1], 60 * FPS)
    clip = speech_like_clip(SECONDS)
    rows = [Row("frames", len(clip)), Row("keyframe_insert, keys per second", inserted)]
    for label, tolerance in (("default tolerance", BakeOptions().tolerance), ("every key", 0.0)):
        scene, character = _many_meshes()
        report = bake_clip(clip, scene, character, tolerance)
        rows += [
            Row(f"5 meshes, {label}: curves", report.curves),
            Row(f"5 meshes, {label}: keys", report.keys),
            Row(f"5 meshes, {label}: seconds", report.seconds),
            Row(f"5 meshes, {label}: keys per second over keyframe_insert", report.keys / report.seconds / inserted),
        ]
    scene, character = _visemes()
    report = bake(clip, character, detect_character(character), BakeOptions(take="bench"), scene)
    publish("Long take", [*rows, Row("converted to 14 visemes: seconds", report.seconds)])


def _many_meshes() -> tuple[bpy.types.Scene, Character]:
    """The head with its keyed mesh five times over, each with keys of its own."""
    scene, character = head_in_a_new_scene()
    face = character.meshes[0]
    for _ in range(MESHES - 1):
        copy = face.copy()
        copy.data = face.data.copy()
        scene.collection.objects.link(copy)
    return scene, find_character(face)


def _visemes() -> tuple[bpy.types.Scene, Character]:
    """The head with visemes in place of its keys."""
    scene, character = head_in_a_new_scene()
    face = character.meshes[0]
    keys = shape_keys(face)
    names = [f"viseme_{name}" for name in VISEMES]
    for name, known in recognize(names).items():
        for block in keys.key_blocks[1:]:
            block.value = known.channels.get(block.name, 0.0)
        face.shape_key_add(name=name, from_mix=True)
    for block in list(keys.key_blocks[1:]):
        if block.name not in names:
            face.shape_key_remove(block)
    return scene, find_character(face)


if __name__ == "__main__":
    main()
