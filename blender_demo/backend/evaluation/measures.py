# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured on a generated clip. Numpy only; opening and rounding of the mouth are taken on the head model."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..head.head_model import load_head
from ..motion.clip import MotionClip
from ..motion.factors import ARKIT_NAMES, CHANNEL_INDEX, channel_slice

__all__ = ["aperture", "blinks_per_minute", "closure_recall", "jerk", "pearson", "rounding"]

_ARKIT_COLUMNS: Final = [CHANNEL_INDEX[name] for name in ARKIT_NAMES]
_CLOSING: Final = ("P", "B", "M")
_CLOSED_SHARE: Final = 0.10
_CLOSURE_SLACK_S: Final = 0.04
_LIDS_SHUT: Final = 0.5

Floats = NDArray[np.float32]


def aperture(channels: Floats) -> Floats:
    """Inner-lip distance over mouth width at rest, (T,), for full channels (T, 60)."""
    return load_head().aperture(channels[:, _ARKIT_COLUMNS])


def rounding(channels: Floats) -> Floats:
    """One minus lip width over its width at rest, (T,), for full channels (T, 60)."""
    return load_head().rounding(channels[:, _ARKIT_COLUMNS])


def pearson(a: Floats, b: Floats) -> float:
    """Correlation of two tracks; 0 where one of them does not move."""
    return float(np.corrcoef(a, b)[0, 1]) if min(a.std(), b.std()) > 1e-6 else 0.0


def closure_recall(opening: Floats, phones: list[tuple[str, float, float]], fps: float) -> tuple[int, int]:
    """How many P, B and M segments the lips shut for, and how many there are.

    Shut is an opening under a tenth of the clip's 95th percentile within 40 ms of the segment.
    """
    threshold = _CLOSED_SHARE * np.percentile(opening, 95)
    times = np.arange(len(opening)) / fps
    segments = [(start, end) for phone, start, end in phones if phone in _CLOSING]
    shut = 0
    for start, end in segments:
        there = (times >= start - _CLOSURE_SLACK_S) & (times <= end + _CLOSURE_SLACK_S)
        shut += bool(there.any() and opening[there].min() <= threshold)
    return shut, len(segments)


def blinks_per_minute(clip: MotionClip) -> float:
    """Closings of the left lid past one half, per minute."""
    shut = clip["eyeBlinkLeft"] > _LIDS_SHUT
    return float((shut[1:] & ~shut[:-1]).sum() / clip.duration_s * 60.0)


def jerk(channels: Floats, fps: float, factor: str = "lip") -> float:
    """Mean absolute third difference of a factor's channels, per second cubed."""
    return float(np.abs(np.diff(channels[:, channel_slice(factor)], n=3, axis=0)).mean() * fps**3)
