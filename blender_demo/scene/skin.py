# SPDX-License-Identifier: GPL-3.0-or-later
"""What hangs on which bone: skin weights, whole objects, and where the vertices are at rest."""

from collections.abc import Iterable
from dataclasses import dataclass

import bpy
import numpy as np
from numpy.typing import NDArray

from .character import rest_matrix, rig_bones, shape_keys

__all__ = ["Points", "Skin", "carrying_bone", "deformed_vertices", "moved_by_keys", "points_of", "skin_of"]

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Skin:
    """The weights of one mesh: for each entry its vertex, vertex group and share of the vertex's whole weight."""

    vertex: NDArray[np.intp]
    group: NDArray[np.intp]
    share: NDArray[np.float32]
    names: tuple[str, ...]
    count: int

    def of(self, bones: Iterable[str]) -> NDArray[np.float32]:
        """How much of each vertex hangs on these bones, (V,)."""
        wanted = set(bones)
        chosen = np.isin(self.group, [i for i, name in enumerate(self.names) if name in wanted])
        return np.bincount(self.vertex[chosen], self.share[chosen], self.count).astype(np.float32)

    def by_bone(self, vertices: NDArray[np.intp]) -> dict[str, float]:
        """How many of these vertices hang on each bone, as a sum of shares."""
        among = np.isin(self.vertex, vertices)
        sums = np.bincount(self.group[among], self.share[among], len(self.names))
        return {name: float(weight) for name, weight in zip(self.names, sums, strict=True) if weight > 0.0}


def _is_deformed_by(mesh: bpy.types.Object, armature: bpy.types.Object) -> bool:
    return mesh.find_armature() == armature or any(
        modifier.type == "ARMATURE" and getattr(modifier, "object", None) == armature for modifier in mesh.modifiers
    )


def carrying_bone(obj: bpy.types.Object | None, armature: bpy.types.Object) -> str:
    """The bone that an object hangs on as a whole, through parents; empty where there is none."""
    while obj is not None and obj.parent is not None:
        if obj.parent == armature and obj.parent_type == "BONE":
            return obj.parent_bone
        obj = obj.parent
    return ""


def skin_of(mesh: bpy.types.Object, armature: bpy.types.Object) -> Skin:
    """The weights of a mesh for the bones of an armature; a mesh parented to a bone hangs on it with all its weight."""
    vertices = mesh.data.vertices
    bones = rig_bones(armature)
    if _is_deformed_by(mesh, armature):
        used = {g.index: g.name for g in mesh.vertex_groups if g.name in bones and bones[g.name].use_deform}
        entries = [(v.index, g.group, g.weight) for v in vertices for g in v.groups if g.group in used and g.weight > 0]
        names = tuple(used.get(i, "") for i in range(len(mesh.vertex_groups)))
    else:
        bone = carrying_bone(mesh, armature)
        entries = [(i, 0, 1.0) for i in range(len(vertices))] if bone else []
        names = (bone,)
    vertex, group, weight = np.array(entries, np.float64).reshape(-1, 3).T
    vertex = vertex.astype(np.intp)
    whole = np.bincount(vertex, weight, len(vertices))
    return Skin(vertex, group.astype(np.intp), (weight / whole[vertex]).astype(np.float32), names, len(vertices))


def deformed_vertices(mesh: bpy.types.Object, armature: bpy.types.Object, bone: str) -> NDArray[np.float32]:
    """How much of each vertex of a mesh hangs on a bone and its children, 0..1, (V,)."""
    bones = rig_bones(armature)
    if bone not in bones:
        return np.zeros(len(mesh.data.vertices), np.float32)
    return skin_of(mesh, armature).of({bone, *(child.name for child in bones[bone].children_recursive)})


def points_of(mesh: bpy.types.Object) -> Points:
    """The vertices of a mesh in world space at rest, (V, 3)."""
    keys = shape_keys(mesh)
    source = mesh.data.vertices if keys is None else keys.reference_key.data
    values = np.empty(3 * len(source), np.float32)
    source.foreach_get("co", values)
    matrix = np.array(rest_matrix(mesh))
    return values.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]


def moved_by_keys(mesh: bpy.types.Object) -> NDArray[np.intp]:
    """The vertices that the shape keys of a mesh move."""
    keys = shape_keys(mesh)
    base, values = (np.empty(3 * len(keys.reference_key.data), np.float32) for _ in range(2))
    keys.reference_key.data.foreach_get("co", base)
    moved = np.zeros(len(base) // 3, bool)
    for block in keys.key_blocks:
        block.data.foreach_get("co", values)
        moved |= np.abs(values - base).reshape(-1, 3).max(axis=1) > 1e-6
    return np.flatnonzero(moved)
