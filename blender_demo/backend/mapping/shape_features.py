# SPDX-License-Identifier: GPL-3.0-or-later
"""What a shape key moves, as numbers that can be compared between characters with other vertices.

Two views: how the common face moves near fixed places of it (where a key acts), and how the moved part moves in its own
proportions, whatever its place and size (what it does). Each is a unit vector, so that their products are cosines.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["key_amplitudes", "local_features", "place_features", "unit"]

Floats = NDArray[np.float32]

_PLACE_SIGMA: Final = 0.007
"""Meters on the common face that one place sees."""

_PLACE_FLOOR: Final = 0.02
_LOCAL_FLOOR: Final = 0.5
"""Vertices' worth of standstill at each place, so that a place with hardly a vertex near says little."""

_GRID: Final = np.stack(np.meshgrid(*2 * [np.linspace(-1.6, 1.6, 7)]), axis=-1).reshape(-1, 2).astype(np.float32)
"""Places in the moved part's own proportions, in standard deviations from its middle."""

_LOCAL_SIGMA: Final = 0.45
_LEAST_MOTION: Final = 0.03
"""Part of a key's largest motion from which a vertex counts as moved."""


def unit(rows: Floats) -> Floats:
    """Rows of length one; rows of zeros stay."""
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True).clip(1e-12)


def key_amplitudes(deltas: Floats) -> Floats:
    """The largest motion of each key (K,), in the units of `deltas` (K, V, 3)."""
    return np.sqrt(np.max(np.sum(deltas**2, axis=2), axis=1, initial=0.0))


def _near(places: Floats, centers: Floats, sigma: float, floor: float) -> Floats:
    """Weights (A, V) with which each center sees the places; they add up to one where there are many."""
    squares = (centers[:, :1] - places[:, 0]) ** 2 + (centers[:, 1:] - places[:, 1]) ** 2
    weights = np.exp(squares * (-0.5 / sigma**2))
    return weights / (weights.sum(axis=1, keepdims=True) + floor)


def place_features(places: Floats, deltas: Floats, anchors: Floats) -> Floats:
    """Mean motion (K, 3 A) near each anchor (A, 2), in meters, from places (V, 2) and motions (K, V, 3)."""
    keys, vertices, _ = deltas.shape
    seen = _near(places, anchors, _PLACE_SIGMA, _PLACE_FLOOR)
    motion = seen @ deltas.transpose(1, 0, 2).reshape(vertices, 3 * keys)
    return motion.reshape(len(anchors), keys, 3).transpose(1, 0, 2).reshape(keys, -1)


def local_features(places: Floats, deltas: Floats) -> Floats:
    """Unit vectors (K, 147): the motion of what each key moves, in that part's own proportions."""
    features = np.zeros((len(deltas), 3 * len(_GRID)), np.float32)
    energy = np.sum(deltas**2, axis=2)
    for key in range(len(deltas)):
        moved = energy[key] > _LEAST_MOTION**2 * max(energy[key].max(initial=0.0), 1e-20)
        if not moved.any():
            continue
        weights = np.sqrt(energy[key, moved])
        weights /= weights.sum()
        middle = weights @ places[moved]
        spread = np.sqrt(weights @ (places[moved] - middle) ** 2) + 1e-6
        seen = _near((places[moved] - middle) / spread, _GRID, _LOCAL_SIGMA, _LOCAL_FLOOR)
        features[key] = (seen @ deltas[key, moved]).ravel()
    return unit(features)
