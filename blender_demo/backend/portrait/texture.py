# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture laid onto the head: each texel of the head model's UVs seen through the fitted camera, then completed.

A texture (S, S, 3) has u to the right and v up: texel (row, column) lies at u = (column + 0.5) / S and
v = 1 - (row + 0.5) / S. Left and right edge meet at the back of the head; u above 1 goes on at the left.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import grey_erosion, map_coordinates
from scipy.spatial import KDTree

from ..head.head_model import HeadModel, load_head
from .fill import diffuse, smoothstep
from .fit import HeadFit
from .landmarks import Landmarks

__all__ = ["FaceTexture", "cover", "depth_map", "lay_on_head", "sampled", "texture_size"]

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

_TEXELS_PER_PIXEL: Final = 2.0
"""Texels for each pixel of the picture, so that drawing from the texture loses nothing visible."""
_SIZES: Final = (512, 1024, 2048)
_FACING: Final = (0.25, 0.5)
"""Cosine to the line of sight below which a texel is not taken from the picture, and above which it counts fully."""
_PERSON: Final = (0.6, 1.0)
"""Share of the person in a pixel below which it is background, and from which it counts fully."""
_PERSON_RIM: Final = 0.02
"""What blurs over the outline of the person, in distances between the eyes."""
_BEHIND_M: Final = 0.004
"""How far behind the nearest surface a texel is hidden; less would hide what lies between two pixels of a slope."""
_DEPTH_SCALE: Final = 2
"""Pixels of the depth map for each of the picture."""
_HOLES: Final = (range(60, 68), range(36, 42), range(42, 48))
"""Inner lips and both lids among the 68 iBUG landmarks: skin ends there."""
_RIM: Final = 0.012
"""What blurs over the border of lips and lids, in distances between the eyes; not less than half a pixel."""


@dataclass(frozen=True)
class FaceTexture:
    """What lies on each texel of the head model's UVs."""

    color: Floats  # (S, S, 3) complete
    seen: Floats  # (S, S) how well the picture shows it, 0..1
    normals: Floats  # (S, S, 3) head frame, zero where there is no skin


@dataclass(frozen=True)
class Texels:
    """Where the skin lies in a texture: of N texels the row, the column, the skin's triangle and its weights (N, 3)."""

    row: Ints
    column: Ints
    corners: Ints  # (N, 3) vertices
    weights: Floats  # (N, 3)


def cover(corners: Floats, height: int, width: int) -> tuple[Ints, Ints, Ints, Floats]:
    """Which pixel centers lie in which triangles: row (N,), column (N,), triangle (N,), barycentric weights (N, 3).

    corners: (F, 3, 2) pixel coordinates x, y. A pixel comes once for each triangle that covers it.
    """
    low = np.ceil(corners.min(1) - 0.5).clip(0)
    count = (np.floor(corners.max(1) - 0.5).clip(-1, (width - 1, height - 1)) - low + 1).clip(0).astype(np.int64)
    boxes = count.prod(1)
    triangle = np.repeat(np.arange(len(corners), dtype=np.int32), boxes)
    within = np.arange(len(triangle)) - np.repeat(boxes.cumsum() - boxes, boxes)
    across = count[triangle, 0]
    column = (low[triangle, 0] + within % across).astype(np.int32)
    row = (low[triangle, 1] + within // across).astype(np.int32)
    a, b, c = np.moveaxis(corners, 1, 0)
    area = _cross(b - a, c - a)
    sides = np.stack([b - a, c - a]) / np.where(area == 0, np.inf, area)[:, None]
    off = np.stack([column, row], axis=1).astype(np.float32) + np.float32(0.5) - a[triangle]
    weights = np.empty((len(triangle), 3), np.float32)
    weights[:, 1] = _cross(off, sides[1][triangle])
    weights[:, 2] = -_cross(off, sides[0][triangle])
    weights[:, 0] = 1 - weights[:, 1] - weights[:, 2]
    inside = (weights >= -1e-6).all(1) & (area != 0)[triangle]
    return row[inside], column[inside], triangle[inside], weights[inside]


def depth_map(corners: Floats, height: int, width: int) -> Floats:
    """Depth (height, width) of the nearest triangle; inf where there is none. corners: (F, 3, 3) pixel x, y, depth."""
    row, column, triangle, weights = cover(corners[..., :2], height, width)
    depth = np.full((height, width), np.inf, np.float32)
    np.minimum.at(depth, (row, column), 1 / (weights / corners[triangle, :, 2]).sum(1))
    return depth


def sampled(picture: Floats, pixels: Floats, order: int = 3) -> Floats:
    """Values (..., C) of a picture (H, W, C) at pixel coordinates (..., 2), by splines of that order."""
    at = np.moveaxis(pixels, -1, 0)[::-1] - 0.5
    channels = [map_coordinates(channel, at, order=order, mode="nearest") for channel in np.moveaxis(picture, -1, 0)]
    return np.stack(channels, axis=-1).astype(np.float32)


def texture_size(fit: HeadFit) -> int:
    """Texels along a side that hold all the picture shows of this head."""
    round_head_m = 2 * np.pi * 0.09
    pixels = round_head_m * fit.focal_px / fit.translation[2]
    return next((size for size in _SIZES if size >= _TEXELS_PER_PIXEL * pixels), _SIZES[-1])


def lay_on_head(picture: Floats, fit: HeadFit, landmarks: Landmarks, person: Floats) -> FaceTexture:
    """The texture of a fitted head from its picture (H, W, 3), in which `person` (H, W) is 1 on the person.

    Seen is what faces the camera, lies in the picture and is skin: what shows between the lips or the lids is cut.
    The rest comes from the other side of the face, brought to the light of this side, and from around.
    """
    head = load_head()
    size = texture_size(fit)
    texels = skin_texels(size)
    vertices = fit.vertices()
    normals = vertex_normals(vertices, triangles_of(head.faces_of("skin")))
    positions, directions = (
        np.einsum("nk,nkx->nx", texels.weights, values[texels.corners]) for values in (vertices, normals)
    )
    pixels = fit.project(positions).astype(np.float32)
    seen = _facing(fit, positions, directions) * _unhidden(fit, head, vertices, positions, pixels)
    inner = grey_erosion(person, 2 * round(_PERSON_RIM * landmarks.eye_distance) + 3)
    seen *= _on_skin(pixels, fit, landmarks) * smoothstep(*_PERSON, sampled(inner[..., None], pixels, order=1)[:, 0])
    seen *= ((pixels > 0.5) & (pixels < np.array([fit.width, fit.height]) - 0.5)).all(1)

    def spread(values: Floats) -> Floats:
        whole = np.zeros((size, size, values.shape[-1]), np.float32)
        whole[texels.row, texels.column] = values
        return whole

    weight = spread(seen[:, None])
    color = _completed(spread(sampled(picture, pixels).clip(0, 1)), weight)
    return FaceTexture(color, weight[..., 0], spread(directions))


@cache
def skin_texels(size: int) -> Texels:
    """The texels of the head model's skin in a texture of that size."""
    head = load_head()
    skin = head.material == head.materials.index("skin")
    uv = head.uv[skin].astype(np.float32)
    places: Floats = triangles_of(np.stack([uv[..., 0], 1 - uv[..., 1]], axis=-1)) * np.float32(size)
    row, column, triangle, weights = cover(places, size, size + size // 2)
    return Texels(row, column % size, triangles_of(head.quads[skin])[triangle], weights)


def triangles_of(quads: NDArray[Any]) -> NDArray[Any]:
    """(2 Q, 3, ...) of (Q, 4, ...)."""
    return np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]])


def skin_border(head: HeadModel) -> Ints:
    """Vertices (n,) at which the skin ends: the inner lips, the lid lines, and the bust below."""
    quads = head.faces_of("skin")
    edges = np.sort(np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    ends, count = np.unique(edges, axis=0, return_counts=True)
    return np.unique(ends[count == 1])


def vertex_normals(vertices: Floats, triangles: Ints) -> Floats:
    """Unit normals (V, 3); zero for vertices of no triangle."""
    a, b, c = np.moveaxis(vertices[triangles], 1, 0)
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, triangles[:, k], np.cross(b - a, c - a))
    return normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-12)


def _completed(color: Floats, weight: Floats) -> Floats:
    """The texture with what is not seen from the mirrored side, at the light of its own, and from around."""
    mirrored, mirrored_weight = color[:, ::-1], weight[:, ::-1]
    difference = diffuse(color - mirrored, np.minimum(weight, mirrored_weight)[..., 0] > 0.5, around=True)
    other = (1 - weight) * mirrored_weight
    total = weight + other
    blended = (weight * color + other * (mirrored + difference)) / total.clip(1e-6)
    return diffuse(blended, total[..., 0] > 0.5, around=True).clip(0, 1)


def _facing(fit: HeadFit, positions: Floats, normals: Floats) -> Floats:
    sight = -fit.camera_points(positions)
    turned = normals @ fit.rotation.T
    return smoothstep(*_FACING, (turned * sight).sum(1) / np.linalg.norm(sight, axis=1))


def _unhidden(fit: HeadFit, head: HeadModel, vertices: Floats, positions: Floats, pixels: Floats) -> NDArray[np.bool_]:
    corners = np.concatenate([fit.project(vertices) * _DEPTH_SCALE, fit.camera_points(vertices)[:, 2:]], axis=1)
    triangles = triangles_of(head.faces_of("skin"))
    nearest = depth_map(corners[triangles], _DEPTH_SCALE * fit.height, _DEPTH_SCALE * fit.width)
    column, row = (pixels * _DEPTH_SCALE).astype(np.int32).T
    inside = nearest[row.clip(0, nearest.shape[0] - 1), column.clip(0, nearest.shape[1] - 1)]
    return fit.camera_points(positions)[:, 2] < inside + _BEHIND_M


def _on_skin(pixels: Floats, fit: HeadFit, landmarks: Landmarks) -> Floats:
    """1 outside lips and lids, 0 inside and on their rims (N,), both as the landmarks and as the head have them."""
    head = load_head()
    rim = max(0.5, _RIM * landmarks.eye_distance)
    away, _ = KDTree(fit.project(fit.vertices()[skin_border(head)])).query(pixels, distance_upper_bound=2 * rim)
    outside = smoothstep(rim / 2, 1.5 * rim, away.clip(0, 2 * rim).astype(np.float32))
    for hole in _HOLES:
        outside *= smoothstep(rim / 2, 1.5 * rim, polygon_distance(pixels, landmarks.points[hole], 2 * rim))
    return outside


def polygon_distance(points: Floats, polygon: Floats, reach: float) -> Floats:
    """Distance (N,) of points (N, 2) from a polygon (n, 2), negative inside; a lower bound where it is over `reach`."""
    away = np.maximum(polygon.min(0) - points, points - polygon.max(0)).max(1).astype(np.float32)
    near = away < reach
    p = points[near, None]
    start, along = polygon, np.roll(polygon, -1, axis=0) - polygon
    t = (((p - start) * along).sum(-1) / (along**2).sum(-1).clip(1e-12)).clip(0, 1)
    distance = np.linalg.norm(p - start - t[..., None] * along, axis=-1).min(1)
    end = start + along
    straddles = (start[:, 1] > p[..., 1]) != (end[:, 1] > p[..., 1])
    crossing = start[:, 0] + (p[..., 1] - start[:, 1]) * along[:, 0] / np.where(along[:, 1] == 0, 1, along[:, 1])
    inside = (straddles & (p[..., 0] < crossing)).sum(1) % 2 == 1
    away[near] = np.where(inside, -distance, distance)
    return away


def _cross(a: Floats, b: Floats) -> Floats:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
