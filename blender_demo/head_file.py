# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the head of a person into a Blender file and let it perform, for the command line."""

import math
from pathlib import Path

from .backend.motion.clip import MotionClip
from .backend.portrait.person_head import PersonHead
from .bake_file import registered
from .blend_file import open_scene, save_whole
from .scene.bake import BakeReport, bake
from .scene.bake_options import BakeOptions
from .scene.character import find_character
from .scene.draft import scene_fps, set_scene_fps
from .scene.head import add_person, add_stage
from .scene.profiles import profile_of

__all__ = ["put_head_into_file"]


def put_head_into_file(
    blend: Path, person: PersonHead, name: str, fps: float | None, clip: MotionClip | None, options: BakeOptions
) -> tuple[str, BakeReport | None]:
    """Add the head to a file's scene, and bake the clip onto it if there is one; the name of the face, and the report.

    fps: of the scene, None to leave it. A file that is made for it has a camera, lights, and the range of the take.
    Replaces what is open in this Blender. Raises DemoError, with the file unchanged.
    """
    there, report = blend.exists(), None
    with registered():
        scene = open_scene(blend if there else None)
        if fps is not None:
            set_scene_fps(scene, fps)
        head = add_person(scene, person, name)
        if not there:
            add_stage(scene)
        if clip is not None:
            character = find_character(head.meshes[0])
            if not there:  # a scene of its own is as long as the take
                scene.frame_start = math.floor(options.start_frame)
                scene.frame_end = math.ceil(options.start_frame + clip.duration_s * scene_fps(scene))
            report = bake(clip, character, profile_of(scene, character), options, scene)
        face = head.meshes[0].name
        save_whole(blend)
    return face, report
