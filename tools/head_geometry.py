# SPDX-License-Identifier: GPL-3.0-or-later
"""Small pieces of mesh geometry that the head is built with. Points (n, 3) in centimetres, quads (n, 4)."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = [
    "Array",
    "Ints",
    "affine_fits",
    "border_loops",
    "cap",
    "closest_on_triangles",
    "flat_uv",
    "rigid_fit",
    "smoothstep",
    "strip",
]

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


def closest_on_triangles(points: Array, vertices: Array, triangles: Ints, candidates: int = 24) -> tuple[Ints, Array]:
    """Closest triangle (P,) and barycentric coordinates (P, 3) of points (P, 3) (Ericson 2004, 5.1.5)."""
    corners = vertices[triangles]
    near = cKDTree(corners.mean(axis=1)).query(points, k=candidates)[1]
    a, b, c = (corners[near, i] for i in range(3))
    p = points[:, None]
    ab, ac = b - a, c - a
    d1, d2 = (ab * (p - a)).sum(-1), (ac * (p - a)).sum(-1)
    d3, d4 = (ab * (p - b)).sum(-1), (ac * (p - b)).sum(-1)
    d5, d6 = (ab * (p - c)).sum(-1), (ac * (p - c)).sum(-1)
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    tiny = 1e-20
    total = va + vb + vc + tiny
    on_bc = (d4 - d3) / (d4 - d3 + d5 - d6 + tiny)
    zero, one = np.zeros_like(va), np.ones_like(va)
    regions = [  # last match wins
        ((va <= 0) & (d4 >= d3) & (d5 >= d6), 1 - on_bc, on_bc),
        ((vb <= 0) & (d2 >= 0) & (d6 <= 0), zero, d2 / (d2 - d6 + tiny)),
        ((vc <= 0) & (d1 >= 0) & (d3 <= 0), d1 / (d1 - d3 + tiny), zero),
        ((d6 >= 0) & (d5 <= d6), zero, one),
        ((d3 >= 0) & (d4 <= d3), one, zero),
        ((d1 <= 0) & (d2 <= 0), zero, zero),
    ]
    v, w = vb / total, vc / total
    for where, v_there, w_there in regions:
        v, w = np.where(where, v_there, v), np.where(where, w_there, w)
    distance = np.linalg.norm(a + v[..., None] * ab + w[..., None] * ac - p, axis=-1)
    best = distance.argmin(axis=1)
    rows = np.arange(len(points))
    return near[rows, best], np.stack([1 - v - w, v, w], axis=-1)[rows, best]


def border_loops(quads: Ints) -> list[Ints]:
    """Closed border loops, each in the order of its faces' winding."""
    directed = [(a, b) for quad in quads.tolist() for a, b in zip(quad, quad[1:] + quad[:1], strict=True)]
    count = Counter(tuple(sorted(edge)) for edge in directed)
    following = {a: b for a, b in directed if count[(min(a, b), max(a, b))] == 1}
    loops = []
    while following:
        loop = [next(iter(following))]
        while loop[-1] in following:
            loop.append(following.pop(loop[-1]))
        loops.append(np.array(loop[:-1]))
    return loops


def cap(ring: Ints, centre: int) -> Ints:
    """Quads that close a ring with an even number of vertices by one central vertex."""
    return np.array(
        [(ring[i], ring[(i + 1) % len(ring)], ring[(i + 2) % len(ring)], centre) for i in range(0, len(ring), 2)]
    )


def strip(first: Ints, second: Ints, closed: bool = True) -> Ints:
    """Quads between two rings of equal length."""
    n = len(first) if closed else len(first) - 1
    i, j = np.arange(n), (np.arange(n) + 1) % len(first)
    return np.stack([first[i], first[j], second[j], second[i]], axis=1)


def smoothstep(low: float, high: float, x: Array) -> Array:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def rigid_fit(before: Array, after: Array) -> tuple[Array, Array]:
    """Rotation R and translation t with after = before @ R.T + t (Kabsch)."""
    u, _, vt = np.linalg.svd((before - before.mean(0)).T @ (after - after.mean(0)))
    u[:, -1] *= np.sign(np.linalg.det(u @ vt))
    rotation = (u @ vt).T
    return rotation, after.mean(0) - rotation @ before.mean(0)


def affine_fits(points: Array, moves: Array) -> tuple[Array, Array]:
    """Maps A (K, 3, 3) and shifts b (K, 1, 3) with moves (K, n, 3) = points @ A + b, by least squares."""
    fitted = np.linalg.lstsq(np.c_[points, np.ones(len(points))], np.concatenate(moves, axis=1), rcond=None)[0]
    fitted = fitted.reshape(4, len(moves), 3).transpose(1, 0, 2)
    return fitted[:, :3], fitted[:, 3:]


def flat_uv(count: int, point: tuple[float, float] = (0.02, 0.02)) -> Array:
    return np.tile(np.array(point), (count, 4, 1))
