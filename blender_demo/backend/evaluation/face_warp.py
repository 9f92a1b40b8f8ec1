# SPDX-License-Identifier: GPL-3.0-or-later
"""What a portrait is measured against: the picture's own pixels moved as landmarks move; and regions of a face."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import ConvexHull, Delaunay

from ..portrait.texture import polygon_distance

__all__ = ["REGIONS", "region_masks", "warped"]

Floats = NDArray[np.floating]

REGIONS: Final = {"face": (range(68),), "mouth": (range(48, 60),), "eyes": (range(36, 42), range(42, 48))}
"""Landmarks whose convex hulls are the regions."""
_MARGIN: Final = 0.06
"""How far the regions reach past the landmarks, in distances of the eyes."""
_BORDER_POINTS: Final = 7
"""Fixed points along each side of the picture."""


def region_masks(points: Floats, height: int, width: int) -> dict[str, NDArray[np.bool_]]:
    """Masks (H, W) of the regions of a face with these landmarks (68, 2), each a little larger than its landmarks."""
    places = _centers(height, width)
    margin = _MARGIN * float(np.linalg.norm(points[42:48].mean(0) - points[36:42].mean(0)))

    def inside(group: Floats) -> NDArray[np.bool_]:
        outline = group[ConvexHull(group).vertices]
        return (polygon_distance(places, outline, margin + 1) <= margin).reshape(height, width)

    return {name: np.any([inside(points[list(rows)]) for rows in groups], axis=0) for name, groups in REGIONS.items()}


def warped(picture: Floats, points: Floats, moved: Floats) -> Floats:
    """The picture (H, W, 3) with its landmarks (n, 2) moved: piecewise affine over their Delaunay triangles.

    The border of the picture stays. Sampled by cubic splines.
    """
    height, width = picture.shape[:2]
    border = _border(height, width)
    source, target = np.concatenate([points, border]), np.concatenate([moved, border])
    mesh, places = Delaunay(target), _centers(height, width)
    triangle = mesh.find_simplex(places)
    transform = mesh.transform[triangle]
    shares = np.einsum("nij,nj->ni", transform[:, :2], places - transform[:, 2])
    shares = np.concatenate([shares, 1 - shares.sum(1, keepdims=True)], axis=1)
    at = np.einsum("nk,nkc->cn", shares, source[mesh.simplices[triangle]])[::-1] - 0.5
    channels = [map_coordinates(channel, at, order=3, mode="nearest") for channel in np.moveaxis(picture, -1, 0)]
    return np.stack(channels, axis=-1).reshape(picture.shape).clip(0, 1)


def _centers(height: int, width: int) -> NDArray[np.float32]:
    rows, columns = np.mgrid[:height, :width].astype(np.float32) + 0.5
    return np.stack([columns.ravel(), rows.ravel()], axis=1)


def _border(height: int, width: int) -> Floats:
    along = np.linspace(0, 1, _BORDER_POINTS)
    sides = [np.stack(side, axis=1) for end in (0 * along, 1 + 0 * along) for side in ((along, end), (end, along))]
    return np.unique(np.concatenate(sides), axis=0) * (width, height)
