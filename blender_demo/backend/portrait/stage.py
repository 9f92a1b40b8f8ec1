# SPDX-License-Identifier: GPL-3.0-or-later
"""The head of a portrait before its camera, posed frame by frame, in torch. Lengths in metres."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from ..fcme.landmarks import rotation
from ..head.head_model import load_head
from ..motion.factors import ARKIT_NAMES
from .fit import HeadFit
from .performance import Performance

__all__ = ["PosedHead", "triangles"]

_CHIN: Final = 8
_EYES: Final = ("eyeLeft", "eyeRight")
_LOOK_REACH_M: Final = 0.030
"""How far from an eye its gaze moves skin."""
_WIDER: Final = 1.12
"""Teeth over those of the head model, from side to side."""

Floats = NDArray[np.float32]


def triangles(quads: NDArray) -> NDArray:
    """Two triangles (2Q, 3, ...) for each quad (Q, 4, ...) of vertices, or of anything at corners."""
    parts = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return parts.astype(np.int64) if np.issubdtype(parts.dtype, np.integer) else parts


class PosedHead:
    """The fitted head in a frame of `width` x `height` pixels, for any performance."""

    def __init__(self, fit: HeadFit, width: int, height: int, device: str) -> None:
        def tensor(values: NDArray) -> Tensor:
            return torch.as_tensor(np.asarray(values, np.float32), device=device)

        head = load_head()
        person = _without_gaps(fit.person.vertices, head.faces_of("teeth"))
        self.device = device
        self.base, self.deltas = tensor(person), tensor(fit.person.deltas).clone()
        away = torch.cdist(self.base, tensor(head.eye_centres)).amin(1)
        for look in (i for i, name in enumerate(ARKIT_NAMES) if name.startswith("eyeLook")):
            self.deltas[look, away > _LOOK_REACH_M] = 0  # the model's last traces, down to the lips
        self.eyes = [torch.as_tensor(head.vertices_of(part), device=device) for part in _EYES]
        for eye in self.eyes:
            self.deltas[:, eye] = 0  # eyeballs turn
        balls = [head.vertices_of(part) for part in _EYES]
        self.eye_centres = tensor(
            head.eye_centres + np.stack([(person[ball] - head.vertices[ball]).mean(axis=0) for ball in balls])
        )
        self.rotation, self.translation = tensor(fit.rotation), tensor(fit.translation)
        self.focal = fit.focal_px * tensor(np.array([width / fit.width, height / fit.height]))
        self.center = tensor(np.array([width / 2, height / 2]))
        self.pivot = tensor(head.head_pivot)
        skin = person[head.vertices_of("skin"), 1]
        self.head_height = float(skin.max() - person[head.landmarks[_CHIN], 1])

    def shaped(self, part: Performance) -> Tensor:
        """Vertices (B, V, 3) before the head turns."""
        weights, gaze = self._tensor(part.weights), self._tensor(part.gaze)
        points = self.base + (weights @ self.deltas.flatten(1)).view(len(part), -1, 3)
        turns = rotation(torch.cat([gaze, torch.zeros_like(gaze[..., :1])], dim=-1))
        for eye, indices in enumerate(self.eyes):
            centre = self.eye_centres[eye]
            points[:, indices] = (self.base[indices] - centre) @ turns[:, eye].transpose(1, 2) + centre
        return points

    def turned(self, points: Tensor, part: Performance) -> Tensor:
        """Points (B, V, 3) of the head frame, moved as the head moves."""
        turn, shift = rotation(self._tensor(part.angles)), self._tensor(part.shift) * self.head_height
        return (points - self.pivot) @ turn.transpose(1, 2) + (self.pivot + shift[:, None])

    def projected(self, points: Tensor) -> Tensor:
        """Pixel x and y, and depth, (..., 3) of points of the head frame."""
        seen = points @ self.rotation.T + self.translation
        return torch.cat([seen[..., :2] / seen[..., 2:] * self.focal + self.center, seen[..., 2:]], dim=-1)

    def behind(self, pixels: Tensor, depth: Tensor) -> Tensor:
        """Points (..., 3) of the head frame seen at pixels (..., 2) in a depth (...): the inverse of `projected`."""
        plane = (pixels - self.center) / self.focal * depth[..., None]
        return (torch.cat([plane, depth[..., None]], dim=-1) - self.translation) @ self.rotation

    def _tensor(self, values: NDArray) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)


def _without_gaps(vertices: Floats, teeth: NDArray[np.integer]) -> Floats:
    """Vertices (V, 3) with each tooth wider, so that no dark lines lie between teeth where pictures show none."""
    ways = np.stack([teeth, np.roll(teeth, -1, axis=1)], axis=-1).reshape(-1, 2)
    links = coo_array((np.ones(len(ways)), ways.T), (len(vertices),) * 2)
    _, tooth = connected_components(links, directed=False)
    used = np.unique(teeth)
    _, tooth = np.unique(tooth[used], return_inverse=True)
    x = vertices[used, 0]
    middle = (np.bincount(tooth, x) / np.bincount(tooth))[tooth]
    wider = vertices.copy()
    wider[used, 0] = middle + _WIDER * (x - middle)
    return wider
