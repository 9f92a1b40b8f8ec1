# SPDX-License-Identifier: GPL-3.0-or-later
"""From what animates a character back to the channels of one factor: the inverse of `plan`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import RigError
from ..backend.motion.clip import MotionClip
from ..backend.motion.factors import FACTOR_INDEX, FACTORS, LIMITS, eye_look_from_gaze, gaze_from_eye_look
from . import rotations
from .actions import TRACK_PREFIX, active_paths, nla_paths, own_tracks
from .bake import scene_fps
from .character import Character, shape_keys
from .rig_profile import KeyBinding, RigProfile, RotationBinding

__all__ = ["KeyedTrack", "read_keys"]

_ROLES: Final = {"pose": ("neck", "head"), "eyes": ("eye",)}
"""What turns with a factor; a neck before the head that it carries."""


@dataclass(frozen=True)
class KeyedTrack:
    """clip: the channels of one factor. is_artists: whether they come from the artist's own keys, not from a take."""

    clip: MotionClip
    is_artists: bool


@dataclass(frozen=True)
class _Source:
    """A binding with the data-block and the RNA path that it drives."""

    binding: KeyBinding | RotationBinding
    block: Any
    path: str

    @property
    def is_artists(self) -> bool:
        """Whether something that this add-on did not make animates it."""
        animation = self.block.animation_data
        drivers = {driver.data_path for driver in animation.drivers} if animation else set()
        return self.path in drivers | {path for path, _ in active_paths(self.block) | nla_paths(self.block)}


def read_keys(
    character: Character,
    profile: RigProfile,
    factor: str,
    scene: bpy.types.Scene,
    start_frame: float,
    speed: float = 1.0,
) -> KeyedTrack:
    """What a factor of the character does from `start_frame` to the end of the scene.

    The artist's own keys come before those of takes: if there are any, takes are left out. speed: how much faster than
    recorded the voice plays; the clip goes with the recording. Raises RigError where nothing animates the factor.
    """
    count = int(np.floor(scene.frame_end - start_frame)) + 1
    if count < 1:
        raise RigError(f"The voice begins on frame {start_frame:g}, but the scene ends on {scene.frame_end}. Extend it.")
    sources = _sources(character, profile, factor)
    is_artists = any(source.is_artists for source in sources)
    blocks = {source.block for source in sources}
    takes = [t for block in blocks for t in own_tracks(block) if t.name.split(".")[0] == TRACK_PREFIX + factor]
    if not is_artists and not takes:
        raise RigError(f"Nothing animates the {factor} of '{character.name}'. Key it first, or choose a motion clip.")
    with _frame_kept(scene), _muted(takes if is_artists else []):
        values = _sample(sources, scene, start_frame + np.arange(count))
    channels = _channels(factor, {source.binding: v for source, v in zip(sources, values, strict=True)})
    names = FACTORS[FACTOR_INDEX[factor]].channels
    low, high = np.array([LIMITS[name] for name in names]).T
    columns = np.stack([channels.get(name, np.zeros(count)) for name in names], axis=1)
    clip = MotionClip(scene_fps(scene) / speed, np.clip(columns, low, high).astype(np.float32), names)
    return KeyedTrack(clip, is_artists)


def _sources(character: Character, profile: RigProfile, factor: str) -> list[_Source]:
    """What carries a factor: one shape key for each channel, though several meshes may have it, and what turns."""
    names, found = FACTORS[FACTOR_INDEX[factor]].channels, []
    keys = {binding.channel: binding for binding in reversed(profile.keys) if binding.channel in names}
    if len({(binding.object, binding.key) for binding in keys.values()}) < len(keys) or any(
        binding.gain == 0.0 for binding in keys.values()
    ):
        raise RigError(f"Shape keys of '{character.name}' stand for several channels, so they cannot be read back.")
    for binding in keys.values():
        mesh = character.object(binding.object)
        block = shape_keys(mesh).key_blocks.get(binding.key) if mesh is not None else None
        if block is None:
            raise RigError(f"'{binding.object}' has no shape key '{binding.key}' any more. Pick the character again.")
        found.append(_Source(binding, shape_keys(mesh), block.path_from_id("value")))
    for role in _ROLES.get(factor, ()):
        for binding in (binding for binding in profile.rotations if binding.role == role):
            obj = character.object(binding.object)
            bone = obj.pose.bones.get(binding.bone) if binding.bone else None
            ...
    if not found:
        raise RigError(f"'{character.name}' has nothing that moves the {factor}.")
    return found
