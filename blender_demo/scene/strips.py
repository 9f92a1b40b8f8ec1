# SPDX-License-Identifier: GPL-3.0-or-later
"""Sound strips of the video sequencer: which part of which file is heard, from which frame of the scene on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import bpy

from .. import compat
from ..backend.errors import AudioError
from .bake import scene_fps

__all__ = ["Heard", "add_sound", "heard", "sound_strip"]

_SAME_SPEED: Final = 0.01
"""Lengths that differ by less than this are one speed: a strip is cut to whole frames, a file is not."""


@dataclass(frozen=True)
class Heard:
    """The part of a recording that a strip plays.

    start_s, duration_s: seconds of the file, None up to its end. start_frame: scene frame of its beginning.
    speed: how much faster than recorded it plays.
    """

    name: str
    path: Path
    start_s: float
    duration_s: float | None
    start_frame: float
    speed: float = 1.0


def sound_strip(scene: bpy.types.Scene, name: str) -> Any:
    """The sound strip of that name. Raises AudioError."""
    for strip in compat.sound_strips(scene):
        if strip.name == name:
            return strip
    if not name:
        raise AudioError("Choose a sound strip of the sequencer first.")
    raise AudioError(f"The sequencer of '{scene.name}' has no sound strip '{name}'. Choose another one.")


def add_sound(scene: bpy.types.Scene, path: Path, start_frame: int) -> Any:
    """The sound strip that plays a file from a frame on; a new one on a channel of its own unless it is there already.

    Raises AudioError.
    """
    for strip in compat.sound_strips(scene):
        same_file = strip.sound is not None and Path(bpy.path.abspath(strip.sound.filepath)) == path
        if same_file and compat.strip_times(strip).content_start == start_frame:
            return strip
    strips = compat.strips_of(scene.sequence_editor or scene.sequence_editor_create())
    channel = 1 + max((strip.channel for strip in strips), default=0)
    try:
        return strips.new_sound(path.stem, str(path), channel, start_frame)
    except RuntimeError as error:
        raise AudioError(f"Blender cannot play {path}: {str(error).strip().rstrip('.')}.") from error


def heard(strip: Any, scene: bpy.types.Scene, unpack_folder: Path) -> Heard:
    """What a sound strip plays. A packed sound is written to `unpack_folder` first. Raises AudioError."""
    times = compat.strip_times(strip)
    if times.speeds > 1:
        raise AudioError(
            f"The strip '{strip.name}' plays at several speeds. Render it to a file (Render Audio) and use that."
        )
    path = _file_of(strip, unpack_folder)
    fps = scene_fps(scene)
    speed = _speed(path, times, fps)
    skipped = max(times.start - times.content_start, 0.0) + times.trim
    frames = min(times.end, times.content_start + times.content_frames) - max(times.start, times.content_start)
    if frames < 1.0:
        raise AudioError(f"The strip '{strip.name}' is trimmed to nothing. Give it some length.")
    start_frame = max(times.start, times.content_start)
    return Heard(strip.name, path, skipped * speed / fps, frames * speed / fps, start_frame, speed)


def _speed(path: Path, times: compat.StripTimes, fps: float) -> float:
    """How much faster than recorded a strip plays, from the length of its file."""
    seconds = compat.sound_seconds(path) if times.trim == 0.0 else None
    if seconds is None or times.content_frames <= 0.0:
        return 1.0
    speed = seconds * fps / times.content_frames
    slack = max(_SAME_SPEED, 1.5 / times.content_frames)
    return 1.0 if abs(speed - 1.0) < slack else speed


def _file_of(strip: Any, unpack_folder: Path) -> Path:
    sound = strip.sound
    if sound is None:
        raise AudioError(f"The strip '{strip.name}' has lost its sound. Load the file again.")
    path = Path(bpy.path.abspath(sound.filepath, library=sound.library))
    if sound.packed_file is None:
        if not path.is_file():
            raise AudioError(
                f"The file {path} of the strip '{strip.name}' does not exist. "
                "Find it with File > External Data > Find Missing Files."
            )
        return path
    unpacked = unpack_folder / f"{bpy.path.clean_name(sound.name)}{path.suffix}"
    try:
        unpacked.write_bytes(sound.packed_file.data)
    except OSError as error:
        raise AudioError(
            f"The packed sound '{sound.name}' cannot be written to {unpacked}: {error.strerror or error}."
        ) from error
    return unpacked
