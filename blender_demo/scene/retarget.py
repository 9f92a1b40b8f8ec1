# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the takes of one character to another, without generating anything."""

from dataclasses import replace
from pathlib import Path

import bpy

from ..backend.errors import RigError
from ..backend.motion.clip import MotionClip
from ..backend.motion.formats import read_motion
from .actions import TakeRange, takes
from .bake import BakeReport, bake
from .bake_options import BakeOptions
from .character import Character
from .profiles import profile_of
from .read_keys import read_clip
from .rig_profile import RigProfile

__all__ = ["retarget"]


def retarget(
    source: Character,
    target: Character,
    scene: bpy.types.Scene,
    options: BakeOptions | None = None,
    source_profile: RigProfile | None = None,
    target_profile: RigProfile | None = None,
) -> list[BakeReport]:
    """Bake every take of one character onto another, where it lies in time; what animates it where it has no take.

    The clip comes from its file where that is known and still there, else it is read back from the curves. `options`
    say how it is baked; names and frames are those of the takes. Profiles are detected where none are given. Raises
    DemoError where there is nothing to bring, or no way to show it.
    """
    if source.root == target.root:
        raise RigError(f"'{source.name}' is the character that the take comes from. Select another one.")
    options, source_profile = options or BakeOptions(), source_profile or profile_of(scene, source)
    target_profile = target_profile or profile_of(scene, target)
    there = takes(source.data_blocks()) or [TakeRange(options.take, scene.frame_start, scene.frame_end)]
    clips = [_clip_of(take, source, source_profile, scene, options) for take in there]
    return [bake(clip, target, target_profile, how, scene) for clip, how in clips]


def _clip_of(
    take: TakeRange, source: Character, profile: RigProfile, scene: bpy.types.Scene, options: BakeOptions
) -> tuple[MotionClip, BakeOptions]:
    """The motion of a take, and how to bake it."""
    origin, path = take.origin, Path(bpy.path.abspath(take.origin.clip_path))
    if origin.clip_path and path.is_file():
        clip = read_motion(path)
        how = replace(
            options,
            take=take.name,
            start_frame=origin.start_frame,
            first=take.start,
            last=take.end,
            clip_path=origin.clip_path,
            clip_speed=origin.speed,
        )
        return replace(clip, fps=clip.fps * origin.speed), how
    clip, _ = read_clip(source, profile, scene, take.start, take.end)
    return clip, replace(options, take=take.name, start_frame=take.start, first=None, last=None, clip_path="")
