# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bones are free to turn, and what turns with them: hierarchy, constraints, drivers and skin as one tree."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from .bone_names import common_words, is_machinery, name_rank
from .character import Character, rest_matrix, rig_bones
from .skin import Points, Skin, carrying_bone, skin_of

__all__ = ["AIMS", "Rig", "holding", "is_driven", "said"]

_SAME_PLACE: Final = 0.02
"""Pivots closer than this share of the rig's extent are one joint."""

_COPIES: Final = {"COPY_ROTATION", "COPY_TRANSFORMS"}
_MIXES: Final = {**dict.fromkeys(_COPIES, "mix_mode"), "ACTION": "mix_mode", "TRANSFORM": "mix_mode_rot"}
"""Constraints that take the owner's rotation away only if they do not mix with it, and the property that says so."""

AIMS: Final = {"DAMPED_TRACK", "TRACK_TO", "LOCKED_TRACK"}
"""Constraints whose target turns the owner by moving, not by turning."""

_HOLDS: Final = AIMS | {"STRETCH_TO", "IK", "SPLINE_IK", "TRANSFORM_CACHE"}
"""Constraints that leave no rotation of the owner's own."""


def holding(owner: Any) -> Any | None:
    """The constraint that sets the rotation of a pose bone or object, so that its own is not seen; the last counts."""
    for constraint in reversed(owner.constraints):
        kind = constraint.type
        if constraint.mute or constraint.influence < 0.5 or not constraint.is_valid:
            continue
        if "target" in constraint.bl_rna.properties and constraint.target is None:
            continue
        if kind == "TRANSFORM" and constraint.map_to != "ROTATION":
            continue
        if kind == "COPY_ROTATION" and constraint.use_x + constraint.use_y + constraint.use_z < 2:
            continue
        if kind in _HOLDS or (kind in _MIXES and getattr(constraint, _MIXES[kind], "") == "REPLACE"):
            return constraint
    return None


def is_driven(obj: bpy.types.Object, prefix: str) -> bool:
    animation = obj.animation_data
    return animation is not None and any(
        driver.data_path.startswith(prefix) and not driver.mute for driver in animation.drivers
    )


def said(constraint: Any) -> str:
    """What a constraint does, in words: follows 'hip' (constraint 'Copy Rotation')."""
    target = getattr(constraint, "subtarget", "") or getattr(getattr(constraint, "target", None), "name", "")
    verb = "looks at" if constraint.type in AIMS else "follows"
    return f"{verb} '{target}' (constraint '{constraint.name}')" if target else f"is held by '{constraint.name}'"


@dataclass(frozen=True)
class Rig:
    """An armature: who turns with whom, what is free, and what hangs on it."""

    armature: bpy.types.Object
    character: Character

    @cached_property
    def pose(self) -> Any:
        """Its pose bones."""
        pose: Any = self.armature.pose
        return pose.bones

    @cached_property
    def pivots(self) -> dict[str, Points]:
        """Where each bone turns, in world space at rest."""
        matrix = rest_matrix(self.armature)
        return {bone.name: np.array(matrix @ bone.head_local) for bone in rig_bones(self.armature)}

    @cached_property
    def near(self) -> float:
        """Pivots closer than this are the same joint."""
        return _SAME_PLACE * float(np.ptp(np.array(list(self.pivots.values())), axis=0).max()) + 1e-6

    @cached_property
    def common(self) -> frozenset[str]:
        """Words of the bones' names that say nothing."""
        return common_words(self.pivots, self.armature.name, self.armature.data.name)

    @cached_property
    def holders(self) -> dict[str, Any]:
        """The constraint, or None for a driver, that sets the rotation of each bone that is not free."""
        held: dict[str, Any] = {}
        for bone in self.pose:
            constraint = holding(bone)
            if constraint is not None:
                held[bone.name] = constraint
                if constraint.type in {"IK", "SPLINE_IK"}:
                    chain = bone.parent_recursive[: constraint.chain_count - 1 if constraint.chain_count else None]
                    held.update((above.name, constraint) for above in chain)
            elif is_driven(self.armature, bone.path_from_id() + ".rotation_"):
                held[bone.name] = None
        return held

    @cached_property
    def looked_at(self) -> set[str]:
        """Bones that others look at."""
        return {c.subtarget for b in self.pose for c in b.constraints if c.type in AIMS and c.subtarget}

    @cached_property
    def turns(self) -> dict[str, list[str]]:
        """For each bone those that turn when it turns, one step down."""
        below: dict[str, list[str]] = defaultdict(list)
        for bone in self.pose:
            holder = self.holders.get(bone.name)
            if bone.name in self.holders:
                if holder is not None and holder.type in _COPIES and holder.target == self.armature:
                    below[holder.subtarget].append(bone.name)
            elif bone.parent is not None and bone.bone.use_inherit_rotation:
                below[bone.parent.name].append(bone.name)
        return below

    def reach(self, bone: str) -> set[str]:
        """The bone and all that turn with it."""
        reached, todo = set(), [bone]
        while todo:
            name = todo.pop()
            if name not in reached:
                reached.add(name)
                todo += self.turns.get(name, ())
        return reached

    @cached_property
    def skins(self) -> dict[str, Skin]:
        """By mesh object name, the skin of each mesh that hangs on these bones."""
        meshes = (part for part in self.character.parts if part.type == "MESH")
        skins = {mesh.name: skin_of(mesh, self.armature) for mesh in meshes}
        return {name: skin for name, skin in skins.items() if len(skin.vertex)}

    @cached_property
    def hung(self) -> set[str]:
        """Bones that something visible hangs on: skin, or a whole object."""
        weighted = {skin.names[i] for skin in self.skins.values() for i in np.unique(skin.group)}
        carried = {carrying_bone(part, self.armature) for part in self.character.parts if part.type != "EMPTY"}
        return (weighted | carried) - {""}

    def moves_something(self, bone: str) -> bool:
        """Whether anything is seen to move when the bone turns; taken for granted in a rig that nothing hangs on."""
        return not self.hung or not self.hung.isdisjoint(self.reach(bone))

    def weight(self, bone: str, vertices: Mapping[str, NDArray[np.intp]]) -> float | None:
        """How much of these vertices turns with a bone, 0..1; None where none of them has a skin."""
        reached = self.reach(bone)
        shares = [self.skins[mesh].of(reached)[chosen] for mesh, chosen in vertices.items() if mesh in self.skins]
        values = np.concatenate(shares) if shares else np.empty(0)
        return float(values.mean()) if len(values) else None

    def same_place(self, bone: str, other: str) -> bool:
        return float(np.linalg.norm(self.pivots[bone] - self.pivots[other])) < self.near

    def control(self, bone: str) -> str | None:
        """What an artist turns to turn a bone: itself, or what it copies at the same joint. None if it is held."""
        seen: set[str] = set()
        while bone not in seen and bone in self.holders:
            seen.add(bone)
            holder = self.holders[bone]
            if holder is None or holder.type not in _COPIES or holder.target != self.armature:
                return None
            if holder.subtarget not in self.pivots or not self.same_place(bone, holder.subtarget):
                return None
            bone = holder.subtarget
        if bone in self.holders:
            return None
        parent = self.pose[bone].parent
        while is_machinery(bone) and parent is not None and self.same_place(bone, parent.name):
            if parent.name in self.holders or bone not in self.turns.get(parent.name, ()):
                break
            if not is_machinery(parent.name):
                return parent.name
            bone, parent = parent.name, parent.parent
        return bone

    def reason(self, bone: str) -> str:
        """Why a bone cannot be turned."""
        holder = self.holders.get(bone)
        what = "is set by a driver" if holder is None else said(holder)
        return f"'{bone}' {what}, so its own rotation is not seen. Mute that to let the speech turn it."

    def named(self, role: str) -> list[tuple[str, int]]:
        """The bones that a name gives a role, best first, with the number of words around it."""
        eye = role.startswith("eye")
        ranks = {
            name: name_rank(name, role, self.common) for name in self.pivots if not (eye and name in self.looked_at)
        }
        found = [(rank, name) for name, rank in ranks.items() if rank is not None]

        def order(entry: tuple[tuple[int, int], str]) -> tuple[bool, bool, int, int, int]:
            rank, name = entry
            deforms = name in self.hung or (not self.hung and self.pose[name].bone.use_deform)
            return (not self.moves_something(name), eye and not deforms, rank[1], rank[0], len(name))

        return [(name, rank[0]) for rank, name in sorted(found, key=order)]
