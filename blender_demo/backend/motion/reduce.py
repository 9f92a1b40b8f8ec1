# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the frames of a curve that need a key, with a bound on the error of linear interpolation between them.

A swinging door (Bristol 1990) runs over all curves side by side: from a key, the slopes that keep every frame so far
within tolerance form a narrowing door, and the last frame before it shuts becomes the next key. Curves are cut into
blocks, so that one step of the loop serves hundreds of doors at once. Then keys that their neighbors can do without are
dropped, most of all those at the seams.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ClipError

__all__ = ["reduce_curves", "reduce_keys"]

_BLOCK: Final = 512
"""Most frames in one block of the swinging door."""

_MARGIN: Final = 1.0 - 1e-9
"""Part of the tolerance that is used, so that rounding never exceeds it."""


def reduce_keys(values: NDArray[np.floating], tolerance: float) -> NDArray[np.intp]:
    """Frames of `values` (T,) to be keyed, ascending, the first and the last among them.

    Linear interpolation between the keys differs from `values` by at most `tolerance` on every frame.
    """
    return reduce_curves(np.asarray(values)[:, None], tolerance)[0]


def reduce_curves(values: NDArray[np.floating], tolerance: ArrayLike) -> list[NDArray[np.intp]]:
    """`reduce_keys` for each column of `values` (T, C), with one tolerance for all of them or one each (C,)."""
    curves = np.ascontiguousarray(np.asarray(values, dtype=np.float64).T)
    allowed = np.broadcast_to(np.asarray(tolerance, dtype=np.float64), len(curves))
    if not (np.isfinite(curves).all() and np.isfinite(allowed).all() and (allowed >= 0.0).all()):
        raise ClipError("Keys can only be reduced for numbers, with a tolerance of zero or more.")
    if curves.shape[1] <= 2 or not len(curves):
        return [np.arange(curves.shape[1]) for _ in curves]
    keyed = _swinging_door(curves, allowed)
    keyed[_straight(curves, allowed)] = False
    keyed[:, [0, -1]] = True
    for parity in (1, 0):
        _drop_needless(curves, allowed, keyed, parity)
    return [np.flatnonzero(row) for row in keyed]


def _straight(curves: NDArray[np.float64], allowed: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the curves (C, T) their two ends suffice for: most often those of channels at rest."""
    way = np.linspace(0.0, 1.0, curves.shape[1])
    line = curves[:, :1] + (curves[:, -1:] - curves[:, :1]) * way
    return np.abs(curves - line).max(axis=1) <= allowed * _MARGIN


def _swinging_door(curves: NDArray[np.float64], allowed: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Keys (C, T) of the curves (C, T), among them both ends of every block."""
    count, frames = curves.shape
    length = min(_BLOCK, frames)
    blocks = -(-frames // length)
    padded = np.pad(curves, ((0, 0), (0, blocks * length - frames)), mode="edge")
    doors = np.ascontiguousarray(padded.reshape(count * blocks, length).T)
    slack = np.repeat(allowed, blocks) * _MARGIN
    keyed = np.zeros((length, count * blocks), dtype=bool)
    keyed[[0, -1]] = True
    key_frame = np.zeros(count * blocks)
    key_value = doors[0].copy()
    lowest, highest = np.full(count * blocks, -np.inf), np.full(count * blocks, np.inf)
    for frame in range(1, length):
        value = doors[frame]
        slope = (value - key_value) / (frame - key_frame)
        shut = (slope < lowest) | (slope > highest)
        keyed[frame - 1] |= shut
        key_frame[shut] = frame - 1
        key_value[shut] = doors[frame - 1][shut]
        lowest[shut], highest[shut] = -np.inf, np.inf
        run = frame - key_frame
        rise = value - key_value
        np.maximum(lowest, (rise - slack) / run, out=lowest)
        np.minimum(highest, (rise + slack) / run, out=highest)
    return np.ascontiguousarray(keyed.T).reshape(count, blocks * length)[:, :frames].copy()


def _drop_needless(
    curves: NDArray[np.float64], allowed: NDArray[np.float64], keyed: NDArray[np.bool_], parity: int
) -> None:
    """Take from `keyed` (C, T), among every other key, those that their neighbors can do without."""
    frames = curves.shape[1]
    keys = np.flatnonzero(keyed)
    first_of_curve = np.searchsorted(keys, np.arange(len(curves)) * frames)
    rank = np.arange(len(keys)) - first_of_curve[keys // frames]
    inner = (keys % frames > 0) & (keys % frames < frames - 1)
    candidates = np.flatnonzero(inner & (rank % 2 == parity))
    if not len(candidates):
        return
    before, after = keys[candidates - 1], keys[candidates + 1]
    flat = curves.ravel()
    lengths = after - before
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    offset = np.arange(lengths.sum()) - np.repeat(starts, lengths)
    slope = (flat[after] - flat[before]) / lengths
    line = np.repeat(flat[before], lengths) + np.repeat(slope, lengths) * offset
    error = np.maximum.reduceat(np.abs(flat[np.repeat(before, lengths) + offset] - line), starts)
    needless = error <= allowed[keys[candidates] // frames] * _MARGIN
    keyed.ravel()[keys[candidates[needless]]] = False
