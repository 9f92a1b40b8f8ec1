# SPDX-License-Identifier: GPL-3.0-or-later
"""From the 52 channels to shapes that show mixtures of them: visemes, vowels, smiles of both sides, keys of two ways.

For each frame the shapes are chosen that come nearest to the channels' own motion of the head model: a least-squares
problem with a box around each shape, the non-negative least squares of Lawson and Hanson (1974) with upper limits. It
is strictly convex, so its solution is unique and follows the channels without jumps: a smooth clip stays smooth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..motion.factors import ARKIT_NAMES

__all__ = ["FACE_MOTION_FILE", "FaceMotion", "convert", "face_motion", "least_squares_in_box", "meanings_matrix"]

FACE_MOTION_FILE: Final = Path(__file__).with_name("face_motion.npz")

_RIDGE: Final = 0.001
"""Cost of a shape, over that of missing it: of two shapes that do the same, both do half."""

_GAP_WEIGHT: Final = 5.0
"""What the opening between the lips counts, over all other motion of the lips: whether they shut is seen first."""

_EYEBALL_WEIGHT: Final = 1.0
"""What the turn of an eyeball counts, over the mean motion of a channel: lids hardly tell where an eye looks."""

_OWN_WEIGHT: Final = 0.01
"""What a channel counts by itself, over the mean motion of a channel: a tongue does not move the skin at all."""

_EYE_TURNS: Final = (("eyeLookUp", 0, 1.0), ("eyeLookDown", 0, -1.0), ("eyeLookIn", 1, 1.0), ("eyeLookOut", 1, -1.0))
"""Stem of a channel, the axis about which it turns its eye, and which way."""

_SWEEPS: Final = 400
_STILL: Final = 1e-5
"""Sweeps end when no weight changes by more."""


@dataclass(frozen=True)
class FaceMotion:
    """How the channels move the head model. Built by `tools/build_face_motion.py`.

    products: (52, 52) inner products of the channels' motions over the skin, relative to the mean motion of one.
    lips: (52, 3) what each channel does to the lips in widths of the mouth: opening, widening, lift of the corners.
    """

    products: NDArray[np.float64]
    lips: NDArray[np.float64]

    def costs(self) -> NDArray[np.float64]:
        """Products (52, 52) in which the opening between the lips counts more, and the turn of the eyeballs too."""
        gap, turns = self.lips[:, :1], _eye_turns()
        counted = _GAP_WEIGHT * (gap @ gap.T) / np.mean(gap**2) + _EYEBALL_WEIGHT * (turns @ turns.T)
        counted += _OWN_WEIGHT * np.eye(len(counted))
        return self.products + counted * np.mean(np.diag(self.products))


def _eye_turns() -> NDArray[np.float64]:
    """How each channel turns the eyeballs (52, 4): left up, left in, right up, right in."""
    turns = np.zeros((len(ARKIT_NAMES), 4))
    for stem, axis, way in _EYE_TURNS:
        for eye, side in enumerate(("Left", "Right")):
            turns[ARKIT_NAMES.index(stem + side), 2 * eye + axis] = way
    return turns


@cache
def face_motion(path: Path = FACE_MOTION_FILE) -> FaceMotion:
    """The motion of the head model's channels."""
    with np.load(path, allow_pickle=False) as data:
        return FaceMotion(data["products"].astype(np.float64), data["lips"].astype(np.float64))


def meanings_matrix(meanings: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
    """Channel weights (K, 52) of shapes given as channel to weight."""
    matrix = np.zeros((len(meanings), len(ARKIT_NAMES)))
    for row, channels in enumerate(meanings):
        for channel, weight in channels.items():
            matrix[row, ARKIT_NAMES.index(channel)] = weight
    return matrix


def least_squares_in_box(
    products: NDArray[np.float64], wanted: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    """For each column the x (K, T) between `low` and `high` (K,) with the least xGx / 2 - xb.

    products: G (K, K), positive definite. wanted: b (K, T). Solved by coordinate descent, all columns side by side.
    """
    diagonal = np.diag(products)
    x = np.clip(np.linalg.solve(products, wanted), low[:, None], high[:, None])
    for _ in range(_SWEEPS):
        largest = 0.0
        for k in range(len(x)):
            better = np.clip(x[k] + (wanted[k] - products[k] @ x) / diagonal[k], low[k], high[k])
            largest = max(largest, float(np.abs(better - x[k]).max(initial=0.0)))
            x[k] = better
        if largest < _STILL:
            break
    return x


def convert(
    channels: NDArray[np.floating],
    meanings: Sequence[Mapping[str, float]],
    low: NDArray[np.floating],
    high: NDArray[np.floating],
) -> NDArray[np.float64]:
    """How much of each of K shapes to show (T, K) for the channels (T, 52), within `low` and `high` (K,)."""
    costs, matrix = face_motion().costs(), meanings_matrix(meanings)
    products = matrix @ costs @ matrix.T
    products += _RIDGE * np.diag(np.diag(products))
    wanted = matrix @ costs @ np.asarray(channels, dtype=np.float64).T
    return least_squares_in_box(products, wanted, np.asarray(low, np.float64), np.asarray(high, np.float64)).T
