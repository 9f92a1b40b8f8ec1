# SPDX-License-Identifier: GPL-3.0-or-later
"""Ten minutes onto five meshes of 52 keys each, against keyframe_insert; and the same onto visemes.

    python -m benchmarks.long_take

keyframe_insert is measured over one minute of one mesh, and so at a rate that it no longer has at the end of ten.
"""

import bpy

from blender_demo.scene.bake import BakeOptions, bake
from blender_demo.scene.character import Character, find_character
from blender_demo.scene.detect import detect_character
from tools.dressed_head import dressed_head

from .keys import FPS, bake_clip, head_in_a_new_scene, insert_keys_per_second
from .motion import speech_like_clip
from .report import Row, publish

SECONDS = 600
MESHES = 5


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
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.data.scenes[0]
    scene.render.fps = FPS
    character = dressed_head(scene, "Oculus visemes")
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


if __name__ == "__main__":
    main()
