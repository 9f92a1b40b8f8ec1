# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture of the head model of which everything is known: texture, camera, background, and who is in front of it."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.motion.factors import ARKIT_NAMES
from blender_demo.backend.portrait.fit import HeadFit
from blender_demo.backend.portrait.landmarks import Landmarks
from blender_demo.backend.portrait.texture import cover, triangles_of

Floats = NDArray[np.float32]

INSIDE = np.array([0.9, 0.0, 0.9], np.float32)
"""Color of teeth, gums, tongue and eyeballs: no skin is like it."""
IRIS = np.array([0.1, 0.3, 0.7], np.float32)
_FINER = 2


@dataclass(frozen=True)
class Scene:
    """A rendered picture (H, W, 3), and what it was rendered from; person (H, W) is 1 on head, hair and clothes."""

    picture: Floats
    fit: HeadFit
    landmarks: Landmarks
    background: Floats
    person: Floats


def skin_color(u: Floats, v: Floats) -> Floats:
    """The known texture (..., 3) at places in the UVs: alike left and right."""
    return np.stack(
        [
            0.70 + 0.10 * np.cos(8 * np.pi * u),
            0.55 + 0.10 * np.cos(6 * np.pi * v),
            0.40 + 0.08 * np.cos(4 * np.pi * u) * np.cos(4 * np.pi * v),
        ],
        axis=-1,
    )


def known_texture(size: int) -> Floats:
    """`skin_color` at all texels (size, size, 3)."""
    place = (np.arange(size, dtype=np.float32) + 0.5) / size
    return skin_color(*np.meshgrid(place, 1 - place))


@cache
def scene(yaw: float = 0.0, jaw_open: float = 0.25, size: int = 256, light_from_left: float = 0.0) -> Scene:
    """The head, turned by `yaw` radians, before a smooth background, with the mouth open.

    light_from_left: how much brighter skin is that faces the character's left.
    """
    head = load_head()
    expression = np.zeros(len(ARKIT_NAMES), np.float32)
    expression[ARKIT_NAMES.index("jawOpen")] = jaw_open
    fit = HeadFit(
        identity=np.zeros(len(head.identity), np.float32),
        expression=expression,
        rotation=(np.diag([1, -1, -1]) @ Rotation.from_rotvec([0, yaw, 0]).as_matrix()).astype(np.float32),
        translation=np.array([0, 0.01, 1.0], np.float32),
        focal_px=1.75 * size,
        width=size,
        height=size,
        residual_percent=0.0,
    )
    vertices = fit.vertices()
    place = (np.arange(_FINER * size, dtype=np.float32) + 0.5) / (_FINER * size)
    x, y = np.meshgrid(place, place)
    background = np.stack([0.2 + 0.1 * x, 0.35 + 0.2 * y, 0.6 - 0.2 * x * y], axis=-1)
    color, depth = background.copy(), np.full(x.shape, np.inf, np.float32)

    def draw(points: Floats, quads: NDArray, shade) -> None:
        triangles = triangles_of(quads)
        corners, far = fit.project(points)[triangles] * _FINER, fit.camera_points(points)[triangles][..., 2]
        row, column, triangle, weights = cover(corners.astype(np.float32), *x.shape)
        weights = weights / far[triangle]
        z = 1 / weights.sum(1)
        order = np.argsort(-z)
        order = order[z[order] < depth[row[order], column[order]]]
        at = row[order], column[order]
        color[at], depth[at] = shade(triangle[order], weights[order] * z[order, None]), z[order]

    def skin(triangle: NDArray, weights: Floats) -> Floats:
        uv = triangles_of(head.uv[head.material == 0].astype(np.float32))[triangle]
        u, v = np.einsum("nk,nkx->xn", weights, uv)
        across = np.einsum("nk,nk->n", weights, (vertices[:, 0] / 0.08)[triangles_of(head.faces_of("skin"))[triangle]])
        return skin_color(u, v) * (1 + light_from_left * across[:, None])

    draw(vertices, head.faces_of("skin"), skin)
    draw(vertices, head.faces_of("mouth", "gums", "teeth", "tongue", "sclera"), lambda *_: INSIDE)
    draw(vertices, head.faces_of("iris", "pupil"), lambda *_: IRIS)
    draw(head.hair_vertices, head.hair_quads, lambda *_: np.array([0.25, 0.15, 0.1], np.float32))
    draw(head.clothes_vertices, head.clothes_quads, lambda *_: np.array([0.75, 0.2, 0.15], np.float32))
    points = np.concatenate([head.landmarks, head.iris.ravel()])
    seen = fit.project(vertices[points]).astype(np.float32)

    def whole(fine: Floats) -> Floats:
        return fine.reshape(size, _FINER, size, _FINER, -1).mean((1, 3)).astype(np.float32)

    return Scene(
        whole(color),
        fit,
        Landmarks(seen[:68], seen[68:].reshape(2, 5, 2)),
        whole(background),
        whole(np.isfinite(depth).astype(np.float32))[..., 0],
    )
