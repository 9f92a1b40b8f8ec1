# SPDX-License-Identifier: GPL-3.0-or-later
"""The geometry of shape keys as arrays: points at rest, what each key moves, and which way the skin looks."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import RigError
from .character import rest_matrix, shape_keys

__all__ = ["KeyedMesh", "read_mesh"]

_STANDSTILL: Final = 1e-5
"""Part of a mesh's size below which a vertex has not moved but been rounded."""


@dataclass(frozen=True)
class KeyedMesh:
    """The V vertices of a mesh that its K shape keys move, in world space at rest.

    names: of the keys, the basis left out. vertices: (V,) their indices. points: (V, 3). deltas: (K, V, 3) motion from
    the key that each is relative to. normals: (V, 3), outward.
    """

    object: bpy.types.Object
    names: tuple[str, ...]
    vertices: NDArray[np.intp]
    points: NDArray[np.float32]
    deltas: NDArray[np.float32]
    normals: NDArray[np.float32]

    def energy_of(self, name: str) -> NDArray[np.float64]:
        """How much a key moves each vertex, squared and adding up to one, (V,); zeros for a key that moves nothing."""
        energy = np.sum(self.deltas[self.names.index(name)].astype(np.float64) ** 2, axis=1)
        return energy / max(float(energy.sum()), 1e-30)

    @property
    def looks(self) -> NDArray[np.float64]:
        """Which way the skin looks (3,), by how far keys move it; longer where more is moved."""
        motion = np.linalg.norm(self.deltas, axis=2).max(axis=0, initial=0.0)
        return (self.normals * motion[:, None]).sum(axis=0).astype(np.float64)

    def center_of(self, name: str) -> NDArray[np.float64] | None:
        """The middle (3,) of what a key moves, by how far; None for a key that moves nothing."""
        energy = self.energy_of(name)
        return energy @ self.points if energy.any() else None


def read_mesh(mesh: bpy.types.Object, names: Collection[str] | None = None) -> KeyedMesh:
    """The shape keys of one mesh as arrays: all, or those named. Raises RigError for a mesh that is nowhere."""
    matrix = np.array(rest_matrix(mesh), np.float32)
    if not np.isfinite(matrix).all():
        raise RigError(f"The place of '{mesh.name}' is no number. Clear its transforms and those of its parents.")
    keys = shape_keys(mesh)
    blocks = list(keys.key_blocks)
    rest: dict[str, NDArray[np.float32]] = {}

    def points(block: Any) -> NDArray[np.float32]:
        if block.name not in rest:
            flat = np.empty(3 * len(block.data), np.float32)
            block.data.foreach_get("co", flat)
            rest[block.name] = flat.reshape(-1, 3)
        return rest[block.name]

    base = points(keys.reference_key)
    size = float(np.ptp(base, axis=0).max()) if len(base) else 0.0
    read, moved, deltas = [], np.zeros(len(base), bool), []
    for block in blocks:
        if block == keys.reference_key or (names is not None and block.name not in names):
            continue
        delta = points(block) - points(block.relative_key)
        moves = np.abs(delta).max(axis=1, initial=0.0) > _STANDSTILL * size
        read.append(block.name)
        deltas.append(np.where(moves[:, None], delta, np.float32(0.0)))
        moved |= moves
    vertices = np.flatnonzero(moved)
    return KeyedMesh(
        mesh, tuple(read), vertices,
        base[vertices] @ matrix[:3, :3].T + matrix[:3, 3],
        np.stack([delta[vertices] for delta in deltas]) @ matrix[:3, :3].T
        if deltas else np.zeros((0, len(vertices), 3), np.float32),
        _normals(mesh)[vertices] @ np.linalg.pinv(matrix[:3, :3]),
    )  # fmt: skip


def _normals(mesh: bpy.types.Object) -> NDArray[np.float32]:
    data: Any = mesh.data
    flat = np.empty(3 * len(data.vertices), np.float32)
    data.vertices.foreach_get("normal", flat)
    return flat.reshape(-1, 3)
