# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's Bezier curves, so that what they do between keys is known before there is one.

Handles are those of the type 'Auto Clamped' without smoothing: each points along the mean of the slopes on both sides,
lies flat on a highest or lowest key and on the two ends, and does not go past the next key's value.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["auto_clamped", "evaluate", "reduce_bezier", "split"]

_REACH: Final = 1.0 / 2.5614
"""Length of an automatic handle over the distance of the next key. Blender's own number; with it four curves make a
circle."""

_MOST_UNEVEN: Final = 5.0
"""A handle is cut to so many times the distance of the key on its other side."""

_NEWTON_STEPS: Final = 12

_CLOSE: Final = 1e-7
"""Frames by which the place in a segment may be off."""

_ROUNDING: Final = 4e-6
"""What Blender's single precision may add to an error, at the values of shape keys and rotations."""


def auto_clamped(
    frames: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Left and right handles, (K, 2) each, of keys at `frames` and `values` (K,)."""
    keys = np.stack([frames, values], axis=1)
    gaps = np.diff(frames)
    if not len(gaps):
        return keys.copy(), keys.copy()
    before, after = np.concatenate([gaps[:1], gaps]), np.concatenate([gaps, gaps[-1:]])
    rises = np.diff(values)
    rise_in, rise_out = np.concatenate([[0.0], rises]), np.concatenate([rises, [0.0]])
    slope = 0.5 * (rise_in / before + rise_out / after)
    slope[(rise_in * rise_out <= 0.0)] = 0.0
    reach_in = np.minimum(before, _MOST_UNEVEN * after)
    reach_out = np.minimum(after, _MOST_UNEVEN * reach_in)
    reach_in, reach_out = reach_in * _REACH, reach_out * _REACH
    over_in = np.abs(slope) * reach_in > np.abs(rise_in)
    over_out = ~over_in & (np.abs(slope) * reach_out > np.abs(rise_out))
    slope = np.where(over_in, rise_in / reach_in, np.where(over_out, rise_out / reach_out, slope))
    left = keys - np.stack([reach_in, slope * reach_in], axis=1)
    right = keys + np.stack([reach_out, slope * reach_out], axis=1)
    return _single(left), _single(right)


def _single(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rounded to Blender's single precision, which at frame 18000 is coarse enough to be seen in a steep curve."""
    return values.astype(np.float32).astype(np.float64)


def evaluate(frames: NDArray[np.float64], values: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """The curve through keys (K,) with auto-clamped handles, at frames (N,) from the first key to the last: (N,)."""
    left, right = auto_clamped(frames, values)
    segment = np.clip(np.searchsorted(frames, at, side="right") - 1, 0, max(len(frames) - 2, 0))
    if len(frames) < 2:
        return np.full(len(at), values[0])
    points = np.stack(
        [
            np.stack([frames[segment], values[segment]], axis=1),
            right[segment],
            left[segment + 1],
            np.stack([frames[segment + 1], values[segment + 1]], axis=1),
        ]
    )
    return _point(points[..., 1], _parameter(points[..., 0], at))


def reduce_bezier(
    frames: NDArray[np.float64], values: NDArray[np.float64], tolerance: float, keyed: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """Indices of the points (N,) to be keyed, ascending: those of `keyed` (N,), both ends, and what is missing.

    The evaluated curve leaves no point by more than `tolerance`. Keys are added where it is worst, until it holds.
    """
    keyed = keyed.copy()
    keyed[[0, -1]] = True
    allowed = tolerance - _ROUNDING
    error = np.zeros(len(frames))
    stale = ~keyed
    while True:
        keys = np.flatnonzero(keyed)
        at = np.flatnonzero(stale & ~keyed)
        error[keys] = 0.0
        error[at] = np.abs(evaluate(frames[keys], values[keys], frames[at]) - values[at])
        worst = np.maximum.reduceat(error, keys)
        missing = (error > allowed) & ~keyed & (error == np.repeat(worst, np.diff([*keys, len(frames)])))
        if not missing.any():
            return keys
        keyed |= missing
        stale = _around(np.flatnonzero(keyed), missing)


def _around(keys: NDArray[np.intp], added: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which points (N,) lie where keys that were `added` (N,) change the curve: two keys to either side."""
    position = np.flatnonzero(added[keys])
    edges = np.zeros(len(added) + 1, dtype=np.intp)
    np.add.at(edges, keys[np.maximum(position - 2, 0)], 1)
    np.add.at(edges, keys[np.minimum(position + 2, len(keys) - 1)] + 1, -1)
    return np.cumsum(edges[:-1]) > 0


def split(segment: NDArray[np.float64], frame: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cut a segment (4, 2), key, handle, handle, key, at `frame` into two (4, 2) of the same shape (de Casteljau)."""
    points = _within(segment)
    t = float(_parameter(points[:, 0], np.array(frame)))
    first, second = [points[0]], [points[3]]
    while len(points) > 1:
        points = points[:-1] + t * (points[1:] - points[:-1])
        first.append(points[0])
        second.append(points[-1])
    return np.stack(first), np.stack(second[::-1])


def _within(segment: NDArray[np.float64]) -> NDArray[np.float64]:
    """The segment (4, 2) with handles cut as Blender cuts them, so that none goes past the other key's frame."""
    cut = segment.copy()
    length = segment[3, 0] - segment[0, 0]
    for key, handle in ((0, 1), (3, 2)):
        reach = abs(segment[handle, 0] - segment[key, 0])
        if reach > length:
            cut[handle] = segment[key] + (segment[handle] - segment[key]) * length / reach
    return cut


def _point(points: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Value of a cubic with control points (4, N) at t (N,)."""
    s = 1.0 - t
    return points[0] * s**3 + 3.0 * points[1] * s * s * t + 3.0 * points[2] * s * t * t + points[3] * t**3


def _parameter(points: NDArray[np.float64], frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where cubics with rising control points (4, N) reach `frames` (N,), by Newton steps kept between bounds."""
    low, high = np.zeros_like(frames), np.ones_like(frames)
    t = (frames - points[0]) / (points[3] - points[0])
    for _ in range(_NEWTON_STEPS):
        miss = _point(points, t) - frames
        if not np.any(np.abs(miss) > _CLOSE):
            break
        low, high = np.where(miss <= 0.0, t, low), np.where(miss >= 0.0, t, high)
        s = 1.0 - t
        speed = 3.0 * (
            s * s * (points[1] - points[0]) + 2.0 * s * t * (points[2] - points[1]) + t * t * (points[3] - points[2])
        )
        newton = t - miss / np.maximum(speed, 1e-12)
        t = np.where((newton >= low) & (newton <= high), newton, 0.5 * (low + high))
    return t
