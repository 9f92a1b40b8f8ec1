# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured on motion: plain functions of tracks. Opening and rounding of the mouth are taken on the head model.

Tracks of full channels are (T, 60) in the order of `factors.CHANNELS`.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ..head.head_model import load_head
from ..motion.clip import MotionClip
from ..motion.factors import ARKIT_NAMES, CHANNEL_INDEX
from .phones import CLOSED, CLOSED_OR_TUCKED, GRID_S, Phones, expected_aperture, frame_phones

__all__ = [
    "LAGS_S", "aperture", "auc", "blinks", "blinks_per_minute", "closure_precision", "closure_recall", "concordance",
    "energy_split", "full_channels", "jerk", "lag_moments", "lag_of_best_correlation", "lip_vertex_error", "pearson",
    "rounding",
]  # fmt: skip

_ARKIT_COLUMNS: Final = [CHANNEL_INDEX[name] for name in ARKIT_NAMES]
_CLOSED_SHARE: Final = 0.10
_CLOSURE_SLACK_S: Final = 0.04
_TOUCH_SLACK_S: Final = 0.06
_LIDS_SHUT: Final = 0.5
_FAST_HZ: Final = 10.0
_STILL: Final = 1e-6

LAGS_S: Final = np.arange(-50, 51) * GRID_S
"""Lags at which lips and phones are correlated: -250 to 250 ms."""

Floats = NDArray[np.floating]


def aperture(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner-lip distance over mouth width at rest, (T,), for full channels (T, 60)."""
    return load_head().aperture(channels[:, _ARKIT_COLUMNS])


def rounding(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """One minus lip width over its width at rest, (T,), for full channels (T, 60)."""
    return load_head().rounding(channels[:, _ARKIT_COLUMNS])


def lip_vertex_error(ours: NDArray[np.float32], truth: NDArray[np.float32]) -> Floats:
    """Distance of the worst lip vertex in each frame, (T,), in % of the mouth's width at rest.

    The maximum over vertices is that of MeshTalk's and CodeTalker's LVE, which squares the distance.
    """
    head = load_head()
    lips = np.unique(np.concatenate([head.lip_upper.ravel(), head.lip_lower.ravel(), head.lip_loop]))
    deltas = head.deltas[:, lips].reshape(len(ARKIT_NAMES), -1)
    offsets = (ours - truth)[:, _ARKIT_COLUMNS] @ deltas
    return 100 * np.linalg.norm(offsets.reshape(len(ours), -1, 3), axis=-1).max(axis=1) / head.mouth_width


def pearson(a: Floats, b: Floats) -> float:
    """Correlation of two tracks; 0 where one of them does not move."""
    return float(np.corrcoef(a, b)[0, 1]) if min(a.std(), b.std()) > _STILL else 0.0


def concordance(a: Floats, b: Floats) -> float:
    """Lin's concordance correlation (1989): 1 only if the tracks are equal; 0 where both are still."""
    covariance = np.mean((a - a.mean()) * (b - b.mean()))
    spread = a.var() + b.var() + (a.mean() - b.mean()) ** 2
    return float(2 * covariance / spread) if spread > _STILL**2 else 0.0


def auc(high: Floats, low: Floats) -> float | None:
    """Probability that a score of `high` lies over one of `low`, ties counting half (Mann and Whitney 1947); None where
    one of them is empty.
    """
    if not (len(high) and len(low)):
        return None
    ranks = rankdata(np.concatenate([high, low]))[: len(high)].sum()
    return float((ranks / len(high) - (len(high) + 1) / 2) / len(low))


def _shut(opening: Floats) -> NDArray[np.bool_]:
    """Frames in which the lips are shut: opening under a tenth of the clip's 95th percentile."""
    return opening < _CLOSED_SHARE * np.percentile(opening, 95)


def closure_recall(opening: Floats, phones: Phones, fps: float) -> tuple[int, int]:
    """How many P, B and M segments the lips shut for, within 40 ms, and how many there are."""
    shut = np.concatenate([[0], np.cumsum(_shut(opening))])
    segments = np.array([(start, end) for phone, start, end in phones if phone in CLOSED]).reshape(-1, 2)
    first = np.ceil((segments[:, 0] - _CLOSURE_SLACK_S) * fps - 1e-6).astype(int).clip(0, len(opening))
    stop = (np.floor((segments[:, 1] + _CLOSURE_SLACK_S) * fps + 1e-6).astype(int) + 1).clip(0, len(opening))
    return int((shut[stop.clip(first)] > shut[first]).sum()), len(segments)


def closure_precision(opening: Floats, phones: Phones, fps: float) -> tuple[int, int]:
    """How many intervals of shut lips inside speech touch a P, B, M, F or V within 60 ms, and how many there are.

    Inside speech are those with no frame in silence: lips that rest before or after a word are no closures.
    """
    speech = frame_phones(phones, len(opening), fps) != "SIL"
    edges = np.diff(np.concatenate([[0], _shut(opening), [0]]).astype(int))
    first, last = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    quiet = np.concatenate([[0], np.cumsum(~speech)])
    inside = quiet[last + 1] == quiet[first]
    reach = [(start - _TOUCH_SLACK_S, end + _TOUCH_SLACK_S) for name, start, end in phones if name in CLOSED_OR_TUCKED]
    starts, ends = np.array(reach).reshape(-1, 2).T
    touched = ends.searchsorted(first / fps - 1e-9) < starts.searchsorted(last / fps + 1e-9, side="right")
    return int((touched & inside).sum()), int(inside.sum())


def lag_moments(opening: Floats, phones: Phones, fps: float) -> Floats:
    """Sums (lags, 6) of 1, a, e, a^2, e^2 and a e over the frames, for an opening a and the phones' expected one e,
    later by each of LAGS_S. They add up over clips.
    """
    times = np.arange(len(opening)) / fps
    expected = expected_aperture(phones, len(opening) / fps)
    grid = np.arange(len(expected)) * GRID_S
    e = np.interp(times - LAGS_S[:, None], grid, expected)
    a = np.broadcast_to(opening.astype(np.float64), e.shape)
    return np.stack([np.ones_like(e), a, e, a * a, e * e, a * e], axis=-1).sum(axis=1)


def lag_of_best_correlation(moments: Floats) -> float | None:
    """The lag, in seconds, at which opening and expected opening correlate best; positive where the lips come late.
    None where nothing moves.
    """
    n, a, e, aa, ee, ae = moments.T
    spread = np.sqrt(np.maximum(aa / n - (a / n) ** 2, 0) * np.maximum(ee / n - (e / n) ** 2, 0))
    if spread.max() < _STILL**2:
        return None
    return float(LAGS_S[np.argmax((ae / n - a * e / n**2) / np.maximum(spread, _STILL**2))])


def blinks(lid: Floats) -> int:
    """Closings of a lid (T,) past one half."""
    shut = lid > _LIDS_SHUT
    return int((shut[1:] & ~shut[:-1]).sum())


def blinks_per_minute(clip: MotionClip) -> float:
    """Closings of the left lid past one half, per minute."""
    return blinks(clip["eyeBlinkLeft"]) / clip.duration_s * 60.0


def jerk(tracks: Floats, fps: float) -> Floats:
    """Absolute third differences (T - 3, n) of tracks (T, n), per second cubed."""
    return np.abs(np.diff(tracks, n=3, axis=0)) * fps**3


def energy_split(tracks: Floats, fps: float) -> tuple[float, float]:
    """Energy of tracks (T, n), mean removed, above 10 Hz and altogether."""
    power = (np.abs(np.fft.rfft(tracks - tracks.mean(axis=0), axis=0)) ** 2).sum(axis=1)
    return float(power[np.fft.rfftfreq(len(tracks), 1 / fps) > _FAST_HZ].sum()), float(power.sum())


def full_channels(clip: MotionClip, names: Iterable[str]) -> NDArray[np.float32]:
    """Full channels (T, 60) of a clip in which only `names` move."""
    out = np.zeros((len(clip), len(CHANNEL_INDEX)), np.float32)
    for name in names:
        out[:, CHANNEL_INDEX[name]] = clip[name]
    return out
