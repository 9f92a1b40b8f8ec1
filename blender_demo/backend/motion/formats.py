# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion files of all kinds, by their suffix."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ..errors import ClipError
from .arkit_json import read_arkit_json, write_arkit_json
from .clip import MotionClip
from .livelink import read_live_link, write_live_link
from .resample import resample

__all__ = ["FORMATS", "Format", "check_format", "read_motion", "write_motion"]


@dataclass(frozen=True)
class Format:
    """label: what an artist calls it. lacks: channels that have no place in it."""

    label: str
    read: Callable[[Path], MotionClip]
    write: Callable[[MotionClip, Path], None]
    lacks: tuple[str, ...] = ()


FORMATS: Final[dict[str, Format]] = {
    ".npz": Format("motion clip", MotionClip.load, MotionClip.save),
    ".csv": Format("Live Link Face recording", read_live_link, write_live_link, ("headX", "headY", "headZ")),
    ".json": Format("ARKit weights", read_arkit_json, write_arkit_json),
}
"""All formats by suffix."""


def check_format(path: Path) -> Format:
    """The format of a file name. Raises ClipError where there is none."""
    found = FORMATS.get(Path(path).suffix.lower())
    if found is None:
        known = ", ".join(f"{suffix} ({found.label})" for suffix, found in FORMATS.items())
        raise ClipError(f"{path} does not end like a motion file. The endings are {known}.")
    return found


def read_motion(path: Path) -> MotionClip:
    """The motion in a file; what the artist should know about it is in its settings under "notes". Raises ClipError."""
    return check_format(path).read(Path(path))


def write_motion(clip: MotionClip, path: Path, fps: float | None = None) -> tuple[str, ...]:
    """Write a clip, at `fps` frames per second if that is given, whole or not at all.

    Returns what the file could not hold, in sentences. Raises ClipError.
    """
    kind = check_format(path)
    if not len(clip):
        raise ClipError(f"{path} cannot be written: the motion has no frames. Choose another take.")
    settings = {name: value for name, value in clip.settings.items() if name != "notes"}  # of another file
    kind.write(replace(resample(clip, fps or clip.fps), settings=settings), Path(path))
    lost = [name for name in kind.lacks if name in clip.names and clip[name].any()]
    return (f"{Path(path).name} has no columns for {', '.join(lost)}, so these were left out.",) if lost else ()
