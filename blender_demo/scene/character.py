# SPDX-License-Identifier: GPL-3.0-or-later
"""A character: from any one of its objects to all its meshes with shape keys and its armature."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import bpy
from mathutils import Matrix

from ..backend.errors import RigError

__all__ = [
    "Character",
    "IdRef",
    "find_character",
    "half_linked_meshes",
    "override_meshes",
    "rest_matrix",
    "rig_bones",
    "shape_keys",
]


@dataclass(frozen=True)
class IdRef:
    """A data-block across undo and file loads, which invalidate every Python reference to it.

    collection: the name of its collection in `bpy.data`.
    """

    collection: str
    name: str
    session_uid: int

    @classmethod
    def of(cls, collection: str, block: bpy.types.ID) -> "IdRef":
        """A reference to `block`, which lies in that collection."""
        return cls(collection, block.name, block.session_uid)

    def resolve(self) -> Any:
        """The data-block, renamed or not, or None when it is gone; another one of its name is not taken for it."""
        blocks = getattr(bpy.data, self.collection)
        named = blocks.get(self.name)
        if named is not None and named.session_uid == self.session_uid:
            return named
        return next((block for block in blocks if block.session_uid == self.session_uid), None)


def shape_keys(mesh: bpy.types.Object) -> bpy.types.Key:
    """The shape keys of one of a character's meshes."""
    data: Any = mesh.data
    return data.shape_keys


def rig_bones(armature: bpy.types.Object) -> Any:
    """The bones of an armature at rest."""
    data: Any = armature.data
    return data.bones


@dataclass(frozen=True)
class Character:
    """The objects that belong together.

    root: the armature, or the topmost parent where there is none.
    meshes: those with shape keys, the one with most keys first.
    armature: what poses the head, or None.
    parts: every object of the character, root included.
    """

    root: bpy.types.Object
    meshes: tuple[bpy.types.Object, ...]
    armature: bpy.types.Object | None
    parts: tuple[bpy.types.Object, ...]

    @property
    def name(self) -> str:
        """What the artist calls it: the name of its root."""
        return self.root.name

    def object(self, name: str) -> bpy.types.Object | None:
        """The part of that name."""
        return next((part for part in self.parts if part.name == name), None)

    def data_blocks(self) -> Iterator[bpy.types.ID]:
        """Everything a bake may animate: the parts, and the shape keys of its meshes, each once."""
        yield from self.parts
        seen = set()
        for mesh in self.meshes:
            keys = shape_keys(mesh)
            if keys.session_uid not in seen:
                seen.add(keys.session_uid)
                yield keys


def _armature_of(obj: bpy.types.Object) -> bpy.types.Object | None:
    """The armature that deforms or carries an object."""
    found: bpy.types.Object | None = obj
    while found is not None:
        if found.type == "ARMATURE":
            return found
        deformer = found.find_armature() if found.type == "MESH" else None
        if deformer is not None:
            return deformer
        found = found.parent
    return None


def _topmost(obj: bpy.types.Object) -> bpy.types.Object:
    while obj.parent is not None:
        obj = obj.parent
    return obj


def _has_keys(obj: bpy.types.Object) -> bool:
    data: Any = obj.data
    keys = data.shape_keys if obj.type == "MESH" and len(data.vertices) else None  # without vertices keys are garbage
    return keys is not None and len(keys.key_blocks) > 1


def find_character(obj: bpy.types.Object) -> Character:
    """The character that `obj` (mesh, armature or root) belongs to. Raises RigError where nothing can be driven."""
    armature = _armature_of(obj)
    root = armature or _topmost(obj)
    members = {root: None, **dict.fromkeys(root.children_recursive)}
    if armature is not None:
        members.update((o, None) for o in bpy.data.objects if o.type == "MESH" and o.find_armature() == armature)
    elif not any(_has_keys(o) for o in members):
        armature = next((o for o in members if o.type == "ARMATURE"), None)
    parts = tuple(members)
    meshes = sorted((o for o in parts if _has_keys(o)), key=lambda o: -len(shape_keys(o).key_blocks))
    if not meshes and armature is None and len(parts) == 1:  # several may be a puppet of plates that turn
        raise RigError(f"'{obj.name}' has no shape keys and no armature. Pick the face mesh of a character.")
    return Character(root, tuple(meshes), armature, parts)


def half_linked_meshes(character: Character) -> list[bpy.types.Object]:
    """Meshes of a library override whose shape keys are still linked, as Blender overrides the objects alone."""
    return [mesh for mesh in character.meshes if mesh.library is None and shape_keys(mesh).library is not None]


def override_meshes(character: Character) -> int:
    """Make the shape keys of an overridden character editable; the number of meshes that needed it."""
    meshes = half_linked_meshes(character)
    for mesh in meshes:
        data: Any = mesh.data
        data.override_create(remap_local_usages=True)
    return len(meshes)


def rest_matrix(obj: bpy.types.Object) -> Matrix:
    """The object's matrix in world space with the armatures above it in rest position, whatever their pose is now."""
    parent = obj.parent
    if parent is None:
        return obj.matrix_basis.copy()
    above = rest_matrix(parent)
    if obj.parent_type == "BONE" and parent.type == "ARMATURE" and obj.parent_bone in rig_bones(parent):
        bone = rig_bones(parent)[obj.parent_bone]
        above = above @ bone.matrix_local @ Matrix.Translation((0.0, bone.length, 0.0))
    return above @ obj.matrix_parent_inverse @ obj.matrix_basis
