# SPDX-License-Identifier: GPL-3.0-or-later
"""A person that is the head model itself, before a camera and a striped wall: each pixel is known exactly."""

import numpy as np
import torch

from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import ARKIT_NAMES, CHANNEL_INDEX, CHANNELS
from blender_demo.backend.portrait.fit import HeadFit
from blender_demo.backend.portrait.portrait import Portrait
from blender_demo.backend.portrait.rasterize import rasterize
from blender_demo.backend.portrait.stage import triangles

SIZE = 192
COLORS = {
    "skin": (0.8, 0.6, 0.5), "sclera": (0.9, 0.9, 0.9), "iris": (0.3, 0.4, 0.5), "pupil": (0.0, 0.0, 0.0),
    "teeth": (0.9, 0.9, 0.8),
}  # fmt: skip
MOUTH = (0.4, 0.15, 0.15)


def clip_of(*frames: dict[str, float]) -> MotionClip:
    channels = np.zeros((len(frames), len(CHANNELS)), np.float32)
    for row, values in zip(channels, frames, strict=True):
        for name, value in values.items():
            row[CHANNEL_INDEX[name]] = value
    return MotionClip(24.0, channels)


def both(name: str, value: float) -> dict[str, float]:
    return {f"{name}Left": value, f"{name}Right": value}


def fit_with(**expression: float) -> HeadFit:
    weights = np.array([expression.get(name, 0.0) for name in ARKIT_NAMES], np.float32)
    nobody = np.zeros(len(load_head().identity), np.float32)
    rotation, translation = np.diag([1.0, -1.0, -1.0]).astype(np.float32), np.array([0.0, 0.02, 0.8], np.float32)
    return HeadFit(nobody, weights, rotation, translation, 480.0, SIZE, SIZE, 0.0)


def portrait_of(fit: HeadFit) -> Portrait:
    """The picture of a fit, taken apart as `build_portrait` would, but exactly."""
    head, vertices = load_head(), fit.vertices().astype(np.float32)
    drawn = ~np.isin(head.material, [head.materials.index(name) for name in ("brows", "lashes")])
    faces = torch.as_tensor(triangles(head.quads[drawn]))
    corners = np.concatenate([fit.project(vertices), fit.camera_points(vertices)[:, 2:]], axis=1)
    raster = rasterize(torch.as_tensor(corners, dtype=torch.float32)[None], faces, SIZE, SIZE)
    by_material = torch.tensor([COLORS.get(name, MOUTH) for name in head.materials])
    color = by_material[torch.as_tensor(np.tile(head.material[drawn], 2).astype(int))]
    x, y, _ = (raster.interpolate(torch.as_tensor(vertices)[faces]) * 300).sin().unbind(1)
    seen = color[raster.face] * (0.85 + 0.15 * x * y)[:, None]
    person = raster.resolve(torch.cat([seen, torch.ones_like(seen[:, :1])], dim=1))[0].permute(1, 2, 0).numpy()

    stripes = np.indices((SIZE, SIZE)).sum(0)[..., None] // 6 % 2
    wall = (np.array([0.1, 0.3, 0.6]) + stripes * [0.0, 0.3, 0.0]).astype(np.float32)
    picture = person[..., :3] + (1 - person[..., 3:]) * wall
    chin = fit.project(vertices[head.landmarks[8]])[1]
    falls = np.clip(1 - (np.arange(SIZE, dtype=np.float32) + 0.5 - chin) / 60, 0, 1)[:, None]
    plate = np.where(falls[..., None] < 0.97, picture, wall)
    texture = np.broadcast_to(np.float32(COLORS["skin"]), (64, 64, 3)).copy()
    light = np.array([[1, 1, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]], np.float32)
    iris, sclera = np.float32(COLORS["iris"]), np.float32(COLORS["sclera"])
    seen_all = np.ones((64, 64), np.float32)
    return Portrait(fit, texture, seen_all, plate, person[..., 3] * falls, iris, sclera, light, picture, person)
