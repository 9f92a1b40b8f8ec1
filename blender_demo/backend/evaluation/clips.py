# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what a folder knows of its recordings: captured motion, timed phones, or sound alone."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from scipy.interpolate import PchipInterpolator

from ..errors import ClipError
from ..motion.clip import MotionClip
from ..motion.factors import CHANNELS
from .phones import Phones

__all__ = ["RECORDINGS", "Truth", "at_frames_of", "find_recordings", "read_truth"]

RECORDINGS: Final = (".flac", ".ogg", ".wav")


@dataclass(frozen=True)
class Truth:
    """What is known of a recording. captured: motion as captured, at its own rate, or None; phones: or None."""

    path: Path
    captured: MotionClip | None
    phones: Phones | None

    @property
    def name(self) -> str:
        """The clip's id."""
        return self.path.stem


def find_recordings(folder: Path, splits: Path | None = None) -> list[Path]:
    """The recordings of a folder in the order of their names; only the validation part if `splits` names the folder.

    Raises ClipError where there are none.
    """
    if not folder.is_dir():
        raise ClipError(f"{folder} is not a folder. Name one that holds recordings.")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in RECORDINGS)
    if splits:
        try:
            wanted = json.loads(splits.read_text("utf-8"))["val"].get(folder.name)
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise ClipError(f'{splits} cannot be read as {{"val": {{folder: [id, ...]}}}} ({error}).') from error
        paths = [path for path in paths if wanted is None or path.stem in wanted]
    if not paths:
        raise ClipError(f"{folder} has no recordings to measure. It must hold {', '.join(RECORDINGS)} files.")
    return paths


def read_truth(path: Path) -> Truth:
    """What lies beside a recording. Raises ClipError, with the remedy, for a companion that cannot be read."""
    return Truth(path, _read_motion(path.with_suffix(".motion.npz")), _read_phones(path.with_suffix(".phones.json")))


def at_frames_of(clip: MotionClip, captured: MotionClip) -> MotionClip:
    """Captured motion at the times of a clip's frames, as far as both go."""
    times = np.arange(len(clip)) / clip.fps
    times = times[times <= (len(captured) - 1) / captured.fps + 1e-6]
    values = PchipInterpolator(np.arange(len(captured)) / captured.fps, captured.channels, extrapolate=True)(times)
    return captured.with_channels(values, clip.fps)


def _read_motion(path: Path) -> MotionClip | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            names = [str(name) for name in stored["names"]]
            values, fps = stored["values"].astype(np.float32), float(stored["fps"])
        known = [i for i, name in enumerate(names) if name in CHANNELS]
        if values.ndim != 2 or values.shape[1] != len(names) or len(values) < 2 or not known:
            raise ClipError(f"values {values.shape} for {len(names)} names, {len(known)} of them known")
        return MotionClip(fps, values[:, known], tuple(names[i] for i in known))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, ClipError) as error:
        raise ClipError(f"{path} is not captured motion ({error}). Write names, values and fps again.") from error


def _read_phones(path: Path) -> Phones | None:
    if not path.is_file():
        return None
    try:
        rows = [
            (str(phone).upper().rstrip("012"), float(start), float(end))
            for phone, start, end in json.loads(path.read_text("utf-8"))
        ]
    except (OSError, ValueError, TypeError) as error:
        raise ClipError(f"{path} is not a list of [phone, start s, end s] ({error}). Align it again.") from error
    if not all(np.isfinite((start, end)).all() and 0 <= start <= end for _, start, end in rows):
        raise ClipError(f"{path} has a phone that ends before it starts, or at no time at all. Align it again.")
    return tuple(sorted(rows, key=lambda row: row[1]))
