# SPDX-License-Identifier: GPL-3.0-or-later
"""From what animates a character back to the channels of one factor, or of all: the inverse of `plan`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import RigError
from ..backend.motion.clip import MotionClip
from ..backend.motion.factors import FACTOR_INDEX, FACTORS, LIMITS, eye_look_from_gaze, gaze_from_eye_look
from . import rotations
from .actions import REST, TRACK_PREFIX, active_paths, nla_paths, own_tracks
from .character import Character, shape_keys
from .conditioning import EYE_LOOK
from .draft import scene_fps
from .key_values import channels_of_keys, factor_of
from .plan import JAW_ASIDE_RAD, JAW_OPEN_RAD, rotation_property
from .rig_profile import KeyBinding, RigProfile, RotationBinding

__all__ = ["KeyedTrack", "read_clip", "read_keys"]

_ROLES: Final = {"lip": ("jaw",), "pose": ("neck", "head"), "eyes": ("eye",)}
"""What turns with a factor; the neck before the head that it carries."""


_ROUNDING: Final = 1e-3
"""Frames by which an end may be off in Blender's single precision."""


@dataclass(frozen=True)
class KeyedTrack:
    """clip: the channels of one factor. is_artists: whether they come from the artist's own keys, not from a take."""

    clip: MotionClip
    is_artists: bool


@dataclass(frozen=True)
class _Source:
    """What a binding drives: the property at `path` of a data-block, in a rotation mode if it turns."""

    binding: KeyBinding | RotationBinding
    block: Any
    path: str
    mode: str = ""

    @property
    def is_artists(self) -> bool:
        """Whether something that this add-on did not make animates it."""
        animation = self.block.animation_data
        if animation is None:
            return False
        active = set() if animation.use_tweak_mode else active_paths(self.block)
        drivers = {driver.data_path for driver in animation.drivers if not driver.mute}
        return self.path in drivers | {path for path, _ in active | nla_paths(self.block)}

    def values(self) -> NDArray[np.float64]:
        """Now, (n,)."""
        return np.atleast_1d(np.array(self.block.path_resolve(self.path), np.float64))


@dataclass(frozen=True)
class _Order:
    """What is to be read of one factor, and the tracks to mute meanwhile."""

    factor: str
    sources: Sequence[_Source]
    is_artists: bool
    muted: Sequence[Any]


def read_keys(
    character: Character,
    profile: RigProfile,
    factor: str,
    scene: bpy.types.Scene,
    start_frame: float,
    speed: float = 1.0,
    end_frame: float | None = None,
) -> KeyedTrack:
    """What a factor of the character does from `start_frame` to `end_frame`, or to the end of the scene.

    The artist's own keys and drivers come before takes: where there are any, the takes are left out. speed: how much
    faster than recorded the voice plays; the clip goes with the recording. Raises RigError where nothing animates the
    factor, or where the profile cannot be read backwards.
    """
    frames = _frames(scene, start_frame, end_frame)
    (track,) = _read([_order(character, profile, factor)], profile, scene, frames, speed)
    return track


def read_clip(
    character: Character,
    profile: RigProfile,
    scene: bpy.types.Scene,
    start_frame: float,
    end_frame: float | None = None,
) -> tuple[MotionClip, tuple[str, ...]]:
    """`read_keys` for all factors as one clip at the scene's rate, and why each factor that is at rest is.

    Raises RigError where no factor can be read.
    """
    frames, orders, notes = _frames(scene, start_frame, end_frame), [], []
    for factor in FACTORS:
        try:
            orders.append(_order(character, profile, factor.name))
        except RigError as error:
            notes.append(str(error))
    if not orders:
        raise RigError(notes[0])
    clips = [track.clip for track in _read(orders, profile, scene, frames, 1.0)]
    channels = np.concatenate([clip.channels for clip in clips], axis=1)
    names = tuple(name for clip in clips for name in clip.names)
    return MotionClip(clips[0].fps, channels, names).completed(), tuple(notes)


def _frames(scene: bpy.types.Scene, start_frame: float, end_frame: float | None) -> NDArray[np.float64]:
    """The frames to read. Raises RigError where there are none."""
    end = scene.frame_end if end_frame is None else end_frame
    count = int(np.floor(end - start_frame + _ROUNDING)) + 1
    if count < 1:
        raise RigError(
            f"The voice begins on frame {start_frame:g}, but the scene ends on {scene.frame_end}. Extend it."
        )
    return start_frame + np.arange(count)


def _order(character: Character, profile: RigProfile, factor: str) -> _Order:
    """How to read a factor. Raises RigError where nothing animates it."""
    sources = _sources(character, profile, factor)
    is_artists = any(source.is_artists for source in sources)
    takes = _tracks(sources, factor)
    if not is_artists and not takes:
        raise RigError(f"Nothing animates the {factor} of '{character.name}'. Key it first, or choose a motion clip.")
    adds = any(strip.blend_type == "COMBINE" for track in takes for strip in track.strips)
    beneath = _tracks(sources, REST) if adds else []  # a new take will add to the same
    return _Order(factor, sources, is_artists, takes if is_artists else beneath)


def _read(
    orders: Sequence[_Order], profile: RigProfile, scene: bpy.types.Scene, frames: NDArray[np.float64], speed: float
) -> list[KeyedTrack]:
    """The tracks of the orders. Those for which nothing is muted are read in one pass over the frames."""
    passes = [[order for order in orders if not order.muted], *([order] for order in orders if order.muted)]
    tracks: dict[str, KeyedTrack] = {}
    for together in filter(None, passes):
        sources = [source for order in together for source in order.sources]
        with _without(together[0].muted, scene):
            values = [np.stack(column) for column in zip(*_rows(sources, scene, frames), strict=True)]
        read = iter(zip(sources, values, strict=True))
        for order in together:
            channels = _channels(list(islice(read, len(order.sources))))
            for name, gain in profile.gains.items():
                if name in channels and gain > 0.0:
                    channels[name] = channels[name] / gain
            names = FACTORS[FACTOR_INDEX[order.factor]].channels
            columns = [np.clip(channels.get(name, np.zeros(len(frames))), *LIMITS[name]) for name in names]
            clip = MotionClip(scene_fps(scene) / speed, np.stack(columns, axis=1).astype(np.float32), names)
            tracks[order.factor] = KeyedTrack(clip, order.is_artists)
    return [tracks[order.factor] for order in orders]


def _sources(character: Character, profile: RigProfile, factor: str) -> list[_Source]:
    """What carries a factor: one shape key for each thing shown, whichever meshes have it, and what turns."""
    of_factor = [binding for binding in profile.keys if factor_of(binding) == factor]
    keys = {tuple(sorted(binding.channels.items())): binding for binding in reversed(of_factor)}.values()
    if len({(b.object, b.key) for b in keys}) < len(keys) or any(b.gain == 0.0 for b in keys):
        raise RigError(f"A shape key of '{character.name}' stands for several channels, so it cannot be read back.")
    turning = [b for role in _ROLES.get(factor, ()) for b in profile.rotations if b.role == role]
    found = []
    for binding in (*keys, *turning):
        obj = character.object(binding.object)
        if obj is None:
            raise RigError(f"'{character.name}' has no part '{binding.object}' any more. Pick the character again.")
        if isinstance(binding, RotationBinding):
            found.append(_Source(binding, obj, *rotation_property(obj, binding)))
            continue
        block = shape_keys(obj).key_blocks.get(binding.key)
        if block is None:
            raise RigError(f"'{obj.name}' has no shape key '{binding.key}' any more. Pick the character again.")
        found.append(_Source(binding, shape_keys(obj), block.path_from_id("value")))
    if not found:
        raise RigError(f"'{character.name}' has nothing that moves the {factor}.")
    return found


def _tracks(sources: Sequence[_Source], name: str) -> list[Any]:
    """The tracks of this add-on for a factor, or for the rest, beneath what the sources drive."""
    tracks = [track for block in {source.block for source in sources} for track in own_tracks(block)]
    return [track for track in tracks if track.name.split(".")[0] == TRACK_PREFIX + name]


@contextmanager
def _without(tracks: Sequence[Any], scene: bpy.types.Scene) -> Iterator[None]:
    """With some tracks muted for a while. In the end they, and the frame of the scene, are what they were."""
    frame, subframe, muted = scene.frame_current, scene.frame_subframe, [track.mute for track in tracks]
    try:
        for track in tracks:
            track.mute = True
        yield
    finally:
        for track, mute in zip(tracks, muted, strict=True):
            track.mute = mute
        scene.frame_set(frame, subframe=subframe)


def _rows(
    sources: Sequence[_Source], scene: bpy.types.Scene, frames: NDArray[np.float64]
) -> Iterator[list[NDArray[np.float64]]]:
    """For each frame the values of each source."""
    for frame in frames:
        scene.frame_set(int(np.floor(frame)), subframe=float(frame % 1.0))
        yield [source.values() for source in sources]


def _channels(read: Sequence[tuple[_Source, NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
    """Channels (T,) by name from the values (T, n) of each source."""
    shown = [
        (source.binding, (values[:, 0] - source.binding.offset) / source.binding.gain)
        for source, values in read
        if isinstance(source.binding, KeyBinding)
    ]
    channels = channels_of_keys([binding for binding, _ in shown], [amounts for _, amounts in shown])
    head, eyes = None, []
    for source, values in read:
        binding = source.binding
        if isinstance(binding, KeyBinding):
            continue
        turned = rotations.from_mode(values, source.mode)
        turned = rotations.conjugate_by(turned, np.array(binding.frame).reshape(3, 3).T)
        if binding.role == "eye":
            eyes.append(rotations.to_angles(turned))
        elif binding.role == "jaw":
            yaw, pitch, _ = rotations.to_angles(turned).T
            aside = yaw / JAW_ASIDE_RAD
            jaw = {"jawOpen": pitch / JAW_OPEN_RAD, "jawRight": aside.clip(0.0), "jawLeft": (-aside).clip(0.0)}
            channels = {**jaw, **channels}
        else:
            head = turned if head is None else rotations.multiply(head, turned)
    if head is not None:
        channels.update(zip(("headYaw", "headPitch", "headRoll"), rotations.to_angles(head).T, strict=True))
    looks = [channels[name] for name in EYE_LOOK if name in channels]
    if eyes:
        gaze = np.mean(eyes, axis=0)[:, :2].astype(np.float32)
        channels = {**dict(zip(EYE_LOOK, eye_look_from_gaze(gaze).T, strict=True)), **channels}
        channels.update(zip(("gazeYaw", "gazePitch"), gaze.T, strict=True))
    elif len(looks) == len(EYE_LOOK):
        gaze = gaze_from_eye_look(np.stack(looks, axis=1).astype(np.float32))
        channels.update(zip(("gazeYaw", "gazePitch"), gaze.T, strict=True))
    return channels
