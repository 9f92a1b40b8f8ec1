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
from .rotations import ROTATION_PATHS
from .skin import Points, Skin, carrying_bone, points_of, skin_of

__all__ = ["AIMS", "Rig", "holding", "is_active", "is_driven", "said", "takes_rotation"]

_SAME_PLACE: Final = 0.02
"""Pivots closer than this share of the rig's extent are one joint."""

_COPIES: Final = {"COPY_ROTATION", "COPY_TRANSFORMS"}
_MIXES: Final = {**dict.fromkeys(_COPIES, "mix_mode"), "ACTION": "mix_mode", "TRANSFORM": "mix_mode_rot"}
"""Constraints that take the owner's rotation away only if they do not mix with it, and the property that says so."""

AIMS: Final = {"DAMPED_TRACK", "TRACK_TO", "LOCKED_TRACK"}
"""Constraints whose target turns the owner by moving, not by turning."""

_HOLDS: Final = AIMS | {"STRETCH_TO", "IK", "SPLINE_IK", "TRANSFORM_CACHE"}
"""Constraints that leave no rotation of the owner's own."""


def is_active(constraint: Any) -> bool:
    """Whether a constraint does most of what it says."""
    aimless = "target" in constraint.bl_rna.properties and constraint.target is None
    return constraint.is_valid and not constraint.mute and constraint.influence >= 0.5 and not aimless


def takes_rotation(constraint: Any) -> bool:
    """Whether a constraint sets its owner's rotation, so that its own is not seen."""
    kind = constraint.type
    if kind == "TRANSFORM" and constraint.map_to != "ROTATION":
        return False
    if kind == "COPY_ROTATION" and constraint.use_x + constraint.use_y + constraint.use_z < 2:
        return False
    return kind in _HOLDS or (kind in _MIXES and getattr(constraint, _MIXES[kind], "") == "REPLACE")


def holding(owner: Any) -> Any | None:
    """The constraint that sets the rotation of a pose bone or object; the last counts. None where its own is seen."""
    return next((c for c in reversed(owner.constraints) if is_active(c) and takes_rotation(c)), None)


def is_driven(obj: bpy.types.Object, bone: Any = None) -> bool:
    """Whether a driver sets the rotation of a pose bone; without one, the delta rotation by which an object turns."""
    rotation = ROTATION_PATHS.get((bone or obj).rotation_mode, "rotation_euler")
    path = f"delta_{rotation}" if bone is None else bone.path_from_id(rotation)
    animation = obj.animation_data
    return animation is not None and any(d.data_path == path and not d.mute for d in animation.drivers)


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
            elif is_driven(self.armature, bone):
                held[bone.name] = None
        return held

    @cached_property
    def looked_at(self) -> set[str]:
        """Bones that others look at."""
        return {c.subtarget for b in self.pose for c in b.constraints if c.type in AIMS and c.subtarget}

    @cached_property
    def carriers(self) -> dict[str, list[set[str]]]:
        """For each bone, the sets of bones of which one must turn as a whole to turn it, its own rotation aside."""
        return {bone.name: self._carriers(bone) for bone in self.pose}

    def _carriers(self, bone: Any) -> list[set[str]]:
        parent = {bone.parent.name} if bone.parent is not None and bone.bone.use_inherit_rotation else set()
        sets, holder = [parent], None
        for constraint in bone.constraints:
            if not is_active(constraint):
                continue
            target = {constraint.subtarget} if getattr(constraint, "target", None) == self.armature else {""}
            if constraint.type in _COPIES and takes_rotation(constraint):
                sets = [*sets, target] if constraint.owner_space == "LOCAL" else [target]
            elif constraint.type == "CHILD_OF":
                sets.append(target)
            elif constraint.type == "ARMATURE":
                sets += [{entry.subtarget} for entry in constraint.targets if entry.target == self.armature]
            elif takes_rotation(constraint):
                holder = target
        if holder is not None:  # it goes on pointing at something, so that has to come along
            sets = [carriers | holder for carriers in sets]
        return [carriers for carriers in sets if carriers]

    @cached_property
    def _dependents(self) -> dict[str, set[str]]:
        below: dict[str, set[str]] = defaultdict(set)
        for bone, sets in self.carriers.items():
            for carrier in set().union(*sets):
                below[carrier].add(bone)
        return below

    def reach(self, bone: str) -> set[str]:
        """The bone and all that turn with it."""
        reached, todo = {bone}, [bone]
        while todo:
            for name in self._dependents.get(todo.pop(), set()) - reached:
                if any(carriers <= reached for carriers in self.carriers[name]):
                    reached.add(name)
                    todo.append(name)
        return reached

    @cached_property
    def skins(self) -> dict[str, Skin]:
        """By mesh object name, the skin of each mesh that hangs on these bones."""
        meshes = (part for part in self.character.parts if part.type == "MESH")
        skins = {mesh.name: skin_of(mesh, self.armature) for mesh in meshes}
        return {name: skin for name, skin in skins.items() if len(skin.vertex)}

    @cached_property
    def _skinned_points(self) -> dict[str, Points]:
        return {part.name: points_of(part) for part in self.character.parts if part.name in self.skins}

    def carried_points(self, bone: str, least: float) -> Points:
        """Where the vertices are that hang on a bone, and all that turns with it, by more than `least`, (N, 3)."""
        reached = self.reach(bone)
        chosen = [self._skinned_points[name][skin.of(reached) > least] for name, skin in self.skins.items()]
        return np.concatenate(chosen) if chosen else np.empty((0, 3))

    @cached_property
    def hung(self) -> set[str]:
        """Bones that something visible hangs on: skin, or a whole object."""
        weighted = {skin.names[i] for skin in self.skins.values() for i in np.unique(skin.group)}
        carried = {carrying_bone(part, self.armature) for part in self.character.parts if part.type != "EMPTY"}
        return (weighted | carried) - {""}

    def moves_something(self, bone: str) -> bool:
        """Whether anything is seen to move when the bone turns; taken for granted in a rig that nothing hangs on."""
        return not self.hung or not self.hung.isdisjoint(self.reach(bone))

    def carried(self, vertices: Mapping[str, NDArray[np.intp]]) -> dict[str, float]:
        """What part of these vertices hangs on each bone, 0..1; empty where none of them has a skin."""
        sums: dict[str, float] = defaultdict(float)
        skinned = [mesh for mesh in vertices if mesh in self.skins]
        count = sum(len(vertices[mesh]) for mesh in skinned)
        for mesh in skinned:
            for name, weight in self.skins[mesh].by_bone(vertices[mesh]).items():
                sums[name] += weight / count
        return sums

    def weight(self, bone: str, carried: Mapping[str, float]) -> float:
        """How much of what is carried turns with a bone."""
        return sum(carried.get(name, 0.0) for name in self.reach(bone))

    def same_place(self, bone: str, other: str) -> bool:
        """Whether two bones turn about one joint."""
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
            if parent.name in self.holders or {parent.name} not in self.carriers[bone]:
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
