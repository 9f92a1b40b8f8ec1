# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes the head a character: colors of the skin, eyebrows, lashes, hair, and a sweater (head frame, cm)."""

import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from tools.head_geometry import Array, Ints, smoothstep, strip

__all__ = ["clothes", "eyebrow", "hair", "skin_colors", "upper_lashes"]

SKULL = np.array([0.0, 5.0, 0.5])
"""From here rays reach every part of the scalp."""

BASE, BLUSH, LIPS, SHADE, BEARD = np.array(
    [(0.92, 0.73, 0.62), (0.88, 0.54, 0.46), (0.76, 0.42, 0.40), (0.56, 0.36, 0.31), (0.80, 0.64, 0.56)]
)
"""Tones of the skin, sRGB."""

HAIRLINE = np.array(
    [  # degrees from the front, height of the hair's edge seen from SKULL: degrees above the horizon
        (0, 34),
        (18, 35),
        (34, 36),
        (48, 28),
        (58, 10),
        (66, -14),
        (74, -24),
        (80, -8),
        (86, 6),
        (100, 8),
        (112, -6),
        (124, -28),
        (140, -40),
        (160, -46),
        (180, -47),
    ]
)


def skin_colors(vertices: Array, landmarks: Array, lid_loops: list[Array], rng: np.random.Generator) -> Array:
    """Colors (n, 3) in sRGB for skin vertices (n, 3), from the 68 landmarks (68, 3) and the borders of the lids."""

    def spot(centre: Array, reach: float, flatten: float = 1.0) -> Array:
        return np.exp(-(((vertices - centre) / reach * [1, flatten, 1]) ** 2).sum(1))[:, None]

    def mix(color: Array, toward: Array, amount: Array) -> Array:
        return color + (toward - color) * np.clip(amount, 0, 1)

    color = np.tile(BASE, (len(vertices), 1))
    for side in (-1, 1):
        color = mix(color, BLUSH, 0.42 * spot(np.array([side * 4.6, -0.3, 8.6]), 2.6))
        color = mix(color, BLUSH, 0.40 * spot(np.array([side * 8.6, 1.5, -1.0]), 2.2))
    color = mix(color, BLUSH, 0.45 * spot(np.array([0, 0.4, 12.6]), 1.6))
    color = mix(color, BEARD, 0.55 * smoothstep(-2.2, -5.0, vertices[:, 1:2]) * smoothstep(3.0, 6.0, vertices[:, 2:]))
    for loop in lid_loops:
        distance = np.linalg.norm(vertices[:, None] - loop, axis=-1).min(1)[:, None]
        color = mix(color, SHADE, 0.75 * np.exp(-((distance / 0.28) ** 2)) + 0.22 * np.exp(-((distance / 0.9) ** 2)))
    inside = signed_distance(landmarks[48:60, :2], vertices[:, :2])[:, None]
    color = mix(color, LIPS, 0.85 * smoothstep(-0.18, 0.30, inside) * smoothstep(9.0, 9.8, vertices[:, 2:]))
    nostril = landmarks[[31, 33, 35]].mean(0)
    for side in (-1, 1):
        color = mix(color, SHADE * 0.5, 0.8 * spot(nostril + np.array([side * 0.62, 0.25, -0.2]), 0.38))
    return np.clip(color * (1 + 0.012 * rng.standard_normal((len(vertices), 1))), 0, 1)


def signed_distance(polygon: Array, points: Array) -> Array:
    """Distance of points (n, 2) to a polygon's border, positive inside."""
    a, b = polygon, np.roll(polygon, -1, axis=0)
    along, away = b - a, points[:, None] - a
    t = np.clip((away * along).sum(-1) / (along**2).sum(-1), 0, 1)
    distance = np.linalg.norm(away - t[..., None] * along, axis=-1).min(1)
    crosses = (a[:, 1] > points[:, None, 1]) != (b[:, 1] > points[:, None, 1])
    at = a[:, 0] + along[:, 0] * (points[:, None, 1] - a[:, 1]) / np.where(along[:, 1] == 0, 1e-9, along[:, 1])
    return np.where((crosses & (points[:, None, 0] < at)).sum(1) % 2 == 1, distance, -distance)


def eyebrow(landmarks: Array, skin: BVHTree, rng: np.random.Generator) -> tuple[Array, Ints]:
    """A brow along five landmarks (5, 3), from the nose outwards: a thin, ragged pad on the skin."""
    steps, rows = 26, 5
    s = np.linspace(0, 1, steps)
    curve = np.stack([np.interp(s * 4, range(5), landmarks[:, i]) for i in range(3)], axis=1)
    curve[1:-1] = (curve[2:] + curve[1:-1] + curve[:-2]) / 3
    width = 0.34 * (1 - s) ** 0.45 * (0.55 + 0.45 * np.minimum(1, s / 0.12)) + 0.03
    level = -0.10 + 0.28 * s + 0.36 * s**3  # the landmarks alone slope down outwards, which looks sad
    points = []
    for k in range(rows):
        across = k / (rows - 1) * 2 - 1
        ragged = 1 + (0.12 * rng.standard_normal(steps) if abs(across) == 1 else 0)
        for i in range(steps):
            start = curve[i] + [0, across * width[i] * np.broadcast_to(ragged, steps)[i] + level[i], 0]
            hit, normal, _, _ = skin.ray_cast(Vector(start + np.array([0, 0, 4])), Vector((0, 0, -1)))
            lift = 0.015 + 0.10 * (1 - across**2) * min(1.0, 10 * s[i] + 0.4) * min(1.0, 4 * (1 - s[i]) + 0.2)
            points.append(np.array(hit) + np.array(normal) * (lift if abs(across) < 1 else -0.03))
    index = np.arange(rows * steps).reshape(rows, steps)
    quads = np.concatenate([strip(index[k], index[k + 1], closed=False) for k in range(rows - 1)])
    return np.array(points), quads if landmarks[4, 0] > landmarks[0, 0] else quads[:, ::-1]


def upper_lashes(margin: Array, centre: Array, rng: np.random.Generator) -> tuple[Array, Ints, Array]:
    """Lashes on the upper lid's margin (n, 3): points (2n, 3), quads, and how far each point tips over in a blink."""
    n = len(margin)
    along = np.sin(np.pi * np.linspace(0.04, 0.98, n))[:, None] ** 0.6
    outward = (margin - centre) / np.linalg.norm(margin - centre, axis=1, keepdims=True)
    length = (0.42 + 0.05 * rng.standard_normal((n, 1))) * along
    root = margin + outward * 0.02 - [0, 0.02, 0]
    open_tip = (outward * [1.15, 0.2, 0.75] + [0, 0.45, 0]) * length
    shut_tip = (outward * [1.0, 0.0, 0.8] - [0, 0.45, 0]) * length
    points = np.concatenate([root, root + open_tip])
    quads = strip(np.arange(n), np.arange(n, 2 * n), closed=False)
    return points, quads, np.concatenate([0 * root, shut_tip - open_tip])


def hair(skin: BVHTree) -> tuple[Array, Ints, Array]:
    """Short swept hair as a sculpted shell: points, quads, and brightness of each point (n,)."""
    around, rows = 192, 40
    turn = np.linspace(0, 2 * np.pi, around, endpoint=False)
    degrees = np.abs(np.degrees((turn + np.pi) % (2 * np.pi) - np.pi))
    edge = np.interp(degrees, HAIRLINE[:, 0], HAIRLINE[:, 1])
    edge = sum(np.roll(edge, k) for k in range(-3, 4)) / 7
    points, bright = [], []
    for t in np.linspace(0.03, 1, rows):
        flow = turn + 1.1 * (1 - t) + 0.5 * np.cos(turn)  # the whorl, and a sweep to one side
        clump = 0.5 * np.sin(17 * flow) + 0.3 * np.sin(31 * flow + 1.3) + 0.3 * np.sin(53 * flow + 0.4 + 2 * t)
        lift = np.radians(78 - (78 - edge + 2.2 * clump * t) * t)  # crown leans back: see `crown` below
        direction = np.stack([np.cos(lift) * np.sin(turn), np.sin(lift), np.cos(lift) * np.cos(turn)], axis=1)
        crown = np.array([0.0, np.cos(0.2), -np.sin(0.2)])
        direction = direction * t + crown * (1 - t) * 0.35
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        front = np.exp(-((degrees / 42) ** 2))
        side = np.exp(-(((degrees - 82) / 30) ** 2))
        body = 1.05 + 1.0 * front * smoothstep(0.25, 0.8, np.array(t)) - 0.55 * side * smoothstep(0.5, 0.9, np.array(t))
        thick = (
            body * np.sqrt(max(0.0, 1 - t**7)) * (1 + 0.16 * clump * smoothstep(0.1, 0.45, np.array(t)))
            + 0.10
            - 0.25 * (t == 1)
        )
        for ray, out, tone in zip(direction, thick, clump, strict=True):
            hit, _, _, _ = skin.ray_cast(Vector(SKULL + ray * 30), Vector(-ray))
            points.append(np.array(hit) + ray * out)
            bright.append(1.0 + 0.38 * tone)
    index = np.arange(around * rows).reshape(rows, around)
    quads = np.concatenate([strip(index[k + 1], index[k]) for k in range(rows - 1)])
    crown_at = len(points)
    points.append(np.mean(points[:around], axis=0))
    bright.append(1.0)
    first = index[0]
    closing = np.array(
        [(first[i], first[(i + 1) % around], first[(i + 2) % around], crown_at) for i in range(0, around, 2)]
    )
    return np.array(points), np.concatenate([quads, closing[:, ::-1]]), np.array(bright)


def clothes(skin: BVHTree) -> tuple[Array, Ints]:
    """A crew-neck sweater over the bust, from inside the collar down to the chest."""
    around = 64
    turn = np.linspace(0, 2 * np.pi, around, endpoint=False)
    cos, sin = np.cos(turn), np.sin(turn)
    # distance down the profile: radii in x and z, height, centre in z, and how much shoulders widen beyond the ellipse
    profile = np.array(
        [
            (6.9, 6.4, -11.6, -1.3),
            (6.7, 6.3, -10.6, -1.4),
            (7.1, 6.8, -10.35, -1.5),
            (7.6, 7.3, -10.7, -1.5),
            (7.7, 7.4, -11.5, -1.5),
            (8.0, 7.6, -12.0, -1.6),
            (11.0, 8.6, -13.1, -2.0),
            (15.0, 9.8, -14.6, -2.4),
            (18.5, 10.6, -16.8, -2.6),
            (20.8, 11.2, -20.0, -2.6),
            (21.8, 11.8, -25.0, -2.4),
            (22.0, 12.2, -32.0, -2.0),
        ]
    )
    points = []
    for wide, deep, height, middle in profile:
        drop = 1.9 * np.maximum(cos, 0) ** 1.5 * smoothstep(-14.0, -10.4, np.array(height))  # the collar dips in front
        square = 1 + 0.10 * smoothstep(-12.0, -18.0, np.array(height)) * np.sin(2 * turn) ** 2
        fold = 0.12 * np.sin(5 * turn + height) * smoothstep(-13.0, -20.0, np.array(height))
        ring = np.stack([wide * sin * square, height - drop + fold, middle + deep * cos * square], axis=1)
        for p in ring:
            axis = np.array([0.0, p[1], middle])
            away = (p - axis) / np.linalg.norm(p - axis)
            hit = skin.ray_cast(Vector(axis + away * 40), Vector(-away))[0]
            points.append(
                p
                if hit is None
                else axis + away * max(np.linalg.norm(p - axis), np.linalg.norm(np.array(hit) - axis) + 0.35)
            )
    index = np.arange(len(points)).reshape(len(profile), around)
    quads = np.concatenate([strip(index[k + 1], index[k]) for k in range(len(profile) - 1)])
    return np.array(points), quads
