# SPDX-License-Identifier: GPL-3.0-or-later
"""The light on a face and the colors of its eyes, from the picture."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..head.head_model import load_head
from .fit import HeadFit
from .landmarks import Landmarks
from .texture import FaceTexture, polygon_distance, sampled, skin_texels

__all__ = ["estimate_light", "eye_colors", "from_srgb", "to_srgb"]

Floats = NDArray[np.floating]

_CHEEKS: Final = ((0.35, 0.65), (0.50, 0.64))
"""Box in u and v over cheeks and nose, where there is neither hair nor beard on most faces."""
_LIDS: Final = (range(42, 48), range(36, 42))
"""Left and right, as `Landmarks.iris`."""
_IRIS_RING: Final = (0.5, 0.9)
"""From the pupil to the dark rim of the iris, in its radii."""
_IRIS_COLOR: Final = (0.30, 0.22, 0.17)
"""Where no iris shows."""
_SCLERA: Final = (0.85, 0.82, 0.80)
"""Of an eye in white light: what shows between lids is never pure white."""

_EVEN: Final = 0.03
"""How much light from one side has to explain before it is believed; else the light is even."""
_OUTLIER: Final = 2.5
_ROUNDS: Final = 4


def from_srgb(color: Floats) -> Floats:
    """Linear light of sRGB-encoded values."""
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_srgb(light: Floats) -> Floats:
    """sRGB-encoded values of linear light, clipped to 0..1."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)


def estimate_light(texture: FaceTexture) -> Floats:
    """The light (4, 3): white with normal n (head frame) shows the linear color light[0] + n @ light[1:].

    First-order spherical harmonics, fitted to the cheeks and the nose against the head model's own skin, so the
    person's complexion counts as light. Robust: what is far from the fit (hair, glasses, shine) is left out.
    """
    head, texels, size = load_head(), skin_texels(len(texture.seen)), len(texture.seen)
    (left, right), (low, high) = _CHEEKS
    u, v = (texels.column + 0.5) / size, 1 - (texels.row + 0.5) / size
    chosen = (u > left) & (u < right) & (v > low) & (v < high) & (texture.seen[texels.row, texels.column] > 0.9)
    row, column = texels.row[chosen], texels.column[chosen]
    if not len(row):
        return np.array([[1, 1, 1]] + [[0, 0, 0]] * 3, np.float32)
    corners, weights = texels.corners[chosen], texels.weights[chosen]
    skin = from_srgb(np.einsum("nk,nkc->nc", weights, head.skin_colors[corners] / np.float32(255)))
    seen = from_srgb(texture.color[row, column]) / skin
    basis = np.concatenate([np.ones((len(row), 1), np.float32), texture.normals[row, column]], axis=1)
    kept = np.ones(len(row), bool)
    for _ in range(_ROUNDS):
        basis_kept = basis[kept]
        even = np.diag([0, *[_EVEN * kept.sum()] * 3])
        light = np.linalg.solve(basis_kept.T @ basis_kept + even, basis_kept.T @ seen[kept])
        off = np.abs(seen - basis @ light).mean(1)
        kept = off <= _OUTLIER * np.median(off)
    return light.astype(np.float32)


def eye_colors(picture: Floats, fit: HeadFit, landmarks: Landmarks, light: Floats) -> tuple[Floats, Floats]:
    """sRGB colors (3,) of the iris and of the white of the eyes, as they show in the picture between the lids."""
    head = load_head()
    iris = fit.project(fit.vertices()[head.iris]) if landmarks.iris is None else landmarks.iris
    rings, whites = [], []
    for (center, *rim), lids in zip(iris, _LIDS, strict=True):
        radius = np.linalg.norm(rim - center, axis=1).mean()
        across = np.linspace(-4, 4, 65, dtype=np.float32) * radius
        places = (center + np.stack(np.meshgrid(across, across), axis=-1)).reshape(-1, 2)
        places = places[polygon_distance(places, landmarks.points[lids], 1.0) < -min(0.5, 0.15 * radius)]
        away = np.linalg.norm(places - center, axis=1) / radius
        colors = sampled(picture, places, order=1)
        rings.append(colors[(away > _IRIS_RING[0]) & (away < _IRIS_RING[1])])
        whites.append(colors[away > 1.25])
    ring, white = np.concatenate(rings), np.concatenate(whites)
    in_light = to_srgb(from_srgb(np.array(_SCLERA, np.float32)) * light[0].clip(0.05, 1.2))
    return (
        _middle(ring, 20, 70) if len(ring) else np.array(_IRIS_COLOR, np.float32),
        _middle(white, 60, 95) if len(white) else in_light,
    )


def _middle(colors: Floats, low: float, high: float) -> Floats:
    """Mean (3,) of the colors (N, 3) whose brightness lies between two percentiles."""
    gray = colors.mean(1)
    between = (gray >= np.percentile(gray, low)) & (gray <= np.percentile(gray, high))
    return colors[between].mean(0).astype(np.float32)
