# SPDX-License-Identifier: GPL-3.0-or-later
"""Other programs' mouth cues as motion, so that they go through the same measures.

A peer's file: {"peer": its name, "clips": {folder: {id: {"cues": [[start s, end s, shape], ...], "seconds": what it
took, "audio": length in seconds}}}}, shapes being those of Rhubarb Lip Sync.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..errors import ClipError
from ..motion.clip import MotionClip
from ..motion.factors import FACTORS, MODEL_FPS

__all__ = ["SHAPES", "Peer", "cues_to_motion"]

SHAPES: Final[dict[str, dict[str, float]]] = {
    "A": {"mouthPress": 0.3, "mouthRollLower": 0.1, "mouthRollUpper": 0.1},
    "B": {"jawOpen": 0.06, "mouthLowerDown": 0.2, "mouthUpperUp": 0.12, "mouthStretch": 0.2},
    "C": {"jawOpen": 0.28, "mouthLowerDown": 0.2, "mouthUpperUp": 0.1},
    "D": {"jawOpen": 0.5, "mouthLowerDown": 0.25, "mouthUpperUp": 0.1},
    "E": {"jawOpen": 0.25, "mouthFunnel": 0.35, "mouthPucker": 0.15},
    "F": {"jawOpen": 0.1, "mouthFunnel": 0.25, "mouthPucker": 0.7},
    "G": {"jawOpen": 0.06, "mouthRollLower": 0.5, "mouthUpperUp": 0.2},
    "H": {"jawOpen": 0.38, "mouthLowerDown": 0.2, "mouthUpperUp": 0.1},
    "X": {},
}
"""Rhubarb's shapes as its README describes them: A lips pressed shut, B slightly open over clenched teeth, C open,
D wide open, E slightly rounded and no wider open than C, F puckered, G upper teeth on the lower lip, H between C and D,
X at rest, shut. A name without a side stands for both.
"""

_BLEND_S: Final = 0.08
_LIPS: Final = FACTORS[0].channels


@dataclass(frozen=True)
class Peer:
    """A peer's cues for clips: {folder: {id: entry}}."""

    name: str
    clips: dict[str, dict[str, dict[str, Any]]]

    @classmethod
    def read(cls, name: str, path: Path) -> "Peer":
        """Raises ClipError for a file that is none."""
        try:
            clips = json.loads(path.read_text("utf-8"))["clips"]
            return cls(name, {folder: dict(entries) for folder, entries in clips.items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ClipError(f"{path} holds no cues of a peer ({error}). Write them again.") from error

    def take(self, path: Path) -> tuple[MotionClip, float] | None:
        """Its motion for a recording and the seconds that took; None where it has none.

        Looked up in the recording's folder, then in all others.
        """
        entries = self.clips.get(path.parent.name, {})
        if path.stem not in entries:
            entries = next((others for others in self.clips.values() if path.stem in others), {})
        entry = entries.get(path.stem)
        if entry is None:
            return None
        try:
            return cues_to_motion(entry["cues"], float(entry["audio"])), float(entry["seconds"])
        except (KeyError, TypeError, ValueError) as error:
            raise ClipError(f"The cues of {self.name} for {path.stem} cannot be read ({error}).") from error


def cues_to_motion(cues: list[tuple[float, float, str]], duration_s: float) -> MotionClip:
    """Lip channels at the model's rate. From one cue to the next they blend linearly over 80 ms around the border, or
    over the shorter of the two cues if that is less, so that every shape is reached.
    """
    starts, ends = np.array([cue[:2] for cue in cues], np.float64).T
    targets = np.array([[SHAPES[shape].get(_stem(name, shape), 0.0) for name in _LIPS] for _, _, shape in cues])
    lengths = ends - starts
    half = 0.5 * np.minimum(_BLEND_S, np.minimum(lengths[:-1], lengths[1:]))
    blends = np.stack([starts[1:] - half, starts[1:] + half], axis=1).ravel()
    knots, values = np.concatenate([starts[:1], blends, ends[-1:]]), np.repeat(targets, 2, axis=0)
    times = np.arange(round(duration_s * MODEL_FPS)) / MODEL_FPS
    channels = np.stack([np.interp(times, knots, column) for column in values.T], axis=1)
    return MotionClip(MODEL_FPS, channels.astype(np.float32), _LIPS)


def _stem(name: str, shape: str) -> str:
    return name if name in SHAPES[shape] else name.removesuffix("Left").removesuffix("Right")
