# SPDX-License-Identifier: GPL-3.0-or-later
"""What animates a character, in all its factors, as one clip."""

import bpy
import numpy as np

from ..backend.errors import RigError
from ..backend.motion.clip import MotionClip
from ..backend.motion.factors import FACTORS
from .character import Character
from .read_keys import KeyedTrack, read_keys
from .rig_profile import RigProfile

__all__ = ["read_clip"]


def read_clip(
    character: Character, profile: RigProfile, scene: bpy.types.Scene, start_frame: float
) -> tuple[MotionClip, tuple[str, ...]]:
    """The clip from `start_frame` to the end of the scene, at its rate, and why each factor that is at rest is.

    Raises RigError where no factor can be read.
    """
    tracks: list[KeyedTrack] = []
    notes: list[str] = []
    for factor in FACTORS:
        try:
            tracks.append(read_keys(character, profile, factor.name, scene, start_frame))
        except RigError as error:
            notes.append(str(error))
    if not tracks:
        raise RigError(notes[0])
    names = tuple(name for track in tracks for name in track.clip.names)
    channels = np.concatenate([track.clip.channels for track in tracks], axis=1)
    return MotionClip(tracks[0].clip.fps, channels, names).completed(), tuple(notes)
