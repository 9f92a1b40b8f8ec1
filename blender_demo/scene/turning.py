# SPDX-License-Identifier: GPL-3.0-or-later
"""What turns on a character: head, neck, eyes and jaw, as bones or as objects.

By name first (`bone_names.toml`), then by position, skin weights and hierarchy. Nothing here changes the scene.
"""

import re
import tomllib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from .character import Character, rest_matrix, rig_bones, shape_keys
from .face_frame import UPRIGHT, rotation_of
from .rig_profile import Role, Source

__all__ = ["NECK_SHARE", "FacePlace", "Found", "Turning", "deformed_vertices", "find_turning"]

NECK_SHARE: Final = 0.4
"""Part of a head turn that the neck takes where there is one; the usual split of animators is 40 to 60."""

Points = NDArray[np.float64]


@dataclass(frozen=True)
class FacePlace:
    """Where the face is, as far as shape keys told; world space at rest, any part may be None.

    mouth, eye_left, eye_right: positions (3,).
    frame: head frame (3, 3), columns x to the character's left, y up, z forward.
    vertices: by mesh object name, the vertices that shape keys move.
    """

    mouth: NDArray[Any] | None
    eye_left: NDArray[Any] | None
    eye_right: NDArray[Any] | None
    frame: NDArray[Any] | None
    vertices: Mapping[str, NDArray[np.intp]]


@dataclass(frozen=True)
class Turning:
    """One bone, or a whole object, that turns.

    bone: its name; empty when the object itself turns.
    side: "left" or "right" for eyes, else empty.
    share: the part of the whole rotation that it takes.
    source, confidence (0..1): how it was found, and how sure that is.
    position: its pivot in world space at rest, (3,).
    """

    object: bpy.types.Object
    bone: str
    role: Role
    side: str
    share: float
    source: Source
    confidence: float
    position: Points


@dataclass(frozen=True)
class Found:
    """What turns; under "head", "eyes" and "jaw" the reason where nothing does; what the artist should know."""

    turnings: tuple[Turning, ...]
    missing: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Limits:
    """Measures for telling parts of a head by their place. Lengths are shares of the distance between the eyes."""

    same_place: float = 0.02  # of the rig's extent: pivots this close are one joint
    head_weight: float = 0.7  # of the skin that shape keys move, upper and lower face each, hangs on the head
    named_weight: float = 0.2  # less than this contradicts a name
    eye_distance: float = 0.6  # lids lie before the eyeball
    mirror: float = 0.2  # two eyes are alike to this
    roundness: float = 0.3  # spread of the distances from the pivot, over their mean: corneas bulge
    openness: float = 0.7  # length of the mean direction from the pivot: 0 for a ball, 0.5 for half, 0.9 for a lid
    jaw_middle: float = 0.25  # a jaw hinges in the middle of the face
    head_height: float = 0.25  # of an object's height that shape keys move, if it is a head and no body


LIMITS: Final = Limits()

_HOLDS: Final = {"DAMPED_TRACK", "TRACK_TO", "LOCKED_TRACK", "STRETCH_TO", "IK", "SPLINE_IK", "TRANSFORM_CACHE"}
"""Constraints that leave no rotation of the owner's own."""

_COPIES: Final = {"COPY_ROTATION", "COPY_TRANSFORMS"}
_MIXES: Final = {**dict.fromkeys(_COPIES, "mix_mode"), "ACTION": "mix_mode", "TRANSFORM": "mix_mode_rot"}
"""Constraints that take the owner's rotation away only if they do not mix with it, and the property that says so."""

_LOOKS: Final = {"DAMPED_TRACK", "TRACK_TO", "LOCKED_TRACK", "STRETCH_TO", "IK"}
"""Constraints whose target turns the owner by moving, not by turning."""


# --- names -----------------------------------------------------------------------------------------------------------

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+|\d+")
_DUPLICATE: Final = re.compile(r"\.\d{3}$")


def _words(name: str) -> list[str]:
    """The words of a name in lower case, without accents and name space; digits are words too."""
    name = re.split(r"[:|]", _DUPLICATE.sub("", name))[-1]
    bare = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return [word.lower() for word in _WORD.findall(bare)]


@dataclass(frozen=True)
class _Names:
    """The tables of `bone_names.toml`.

    roles: for each role ("eye_left", "eye_part_left" with sides) and joined phrase its rank.
    """

    roles: Mapping[str, Mapping[str, int]]
    exact: Mapping[str, Mapping[str, int]]
    around: frozenset[str]
    never: frozenset[str]
    machinery: frozenset[str]


def _joined(phrase: str) -> str:
    return "".join(_words(phrase))


@cache
def _names() -> _Names:
    with (Path(__file__).parent / "bone_names.toml").open("rb") as stream:
        table = tomllib.load(stream)
    roles: dict[str, dict[str, int]] = {}
    for role, phrases in table["roles"].items():
        ranked = {_joined(phrase): rank for rank, phrase in enumerate(phrases)}
        if not role.startswith("eye"):
            roles[role] = ranked
            continue
        for side, words in table["sides"].items():
            sides = [_joined(word) for word in words]
            roles[f"{role}_{side}"] = {
                joined: rank for stem, rank in ranked.items() for s in sides for joined in (stem + s, s + stem)
            }
    words = {kind: frozenset(map(_joined, table["words"][kind])) for kind in ("around", "never", "machinery")}
    exact = {role: {name.lower(): i for i, name in enumerate(names)} for role, names in table["exact"].items()}
    return _Names(roles, exact, **words)


def _common_words(names: Iterable[str], *owners: str) -> frozenset[str]:
    """Words that say nothing in these names, as a third of them carries them, or their owner does."""
    names = list(names)
    counts = Counter(word for name in names for word in set(_words(name)))
    known = {phrase for ranked in _names().roles.values() for phrase in ranked}
    common = {word for word, count in counts.items() if count >= max(3, len(names) / 3)}
    common |= {word for owner in owners for word in _words(owner)}
    return frozenset(common - known - _names().never) - {"l", "r", "left", "right"}


def _name_rank(name: str, role: str, common: frozenset[str]) -> tuple[int, int] | None:
    """How badly a name says a role: words that say nothing, then rank of the phrase; None where it does not."""
    if name.lower() in _names().exact.get(role, {}):
        return 1, len(_names().roles[role]) + _names().exact[role][name.lower()]
    phrases = _names().roles[role]
    words = _words(name)
    kept = [word for word in words if not word.isdigit()]
    if (joined := "".join(kept)) in phrases:
        return 0, phrases[joined]
    bare = [word for word in kept if word not in _names().around | common]
    if (joined := "".join(bare)) in phrases:
        return len(kept) - len(bare), phrases[joined]
    return None


def _is_machinery(name: str) -> bool:
    return not _names().machinery.isdisjoint(_words(name))


# --- skin ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Skin:
    """The weights of one mesh: for each entry its vertex, vertex group and share of the vertex's whole weight."""

    vertex: NDArray[np.intp]
    group: NDArray[np.intp]
    share: NDArray[np.float32]
    names: tuple[str, ...]
    count: int

    def of(self, bones: Iterable[str]) -> NDArray[np.float32]:
        """How much of each vertex hangs on these bones, (V,)."""
        chosen = np.isin(self.group, [i for i, name in enumerate(self.names) if name in set(bones)])
        return np.bincount(self.vertex[chosen], self.share[chosen], self.count).astype(np.float32)


def _is_deformed_by(mesh: bpy.types.Object, armature: bpy.types.Object) -> bool:
    return mesh.find_armature() == armature or any(
        modifier.type == "ARMATURE" and getattr(modifier, "object", None) == armature for modifier in mesh.modifiers
    )


def _carrying_bone(obj: bpy.types.Object | None, armature: bpy.types.Object) -> str:
    """The bone that an object hangs on as a whole, through parents; empty where there is none."""
    while obj is not None and obj.parent is not None:
        if obj.parent == armature and obj.parent_type == "BONE":
            return obj.parent_bone
        obj = obj.parent
    return ""


def _skin(mesh: bpy.types.Object, armature: bpy.types.Object) -> _Skin:
    """The weights of a mesh for the bones of an armature; a mesh parented to a bone hangs on it with all its weight."""
    vertices = mesh.data.vertices
    bones = rig_bones(armature)
    if _is_deformed_by(mesh, armature):
        used = {g.index: g.name for g in mesh.vertex_groups if g.name in bones and bones[g.name].use_deform}
        entries = [(v.index, g.group, g.weight) for v in vertices for g in v.groups if g.group in used and g.weight > 0]
        names = tuple(used.get(i, "") for i in range(len(mesh.vertex_groups)))
    else:
        bone = _carrying_bone(mesh, armature)
        entries = [(i, 0, 1.0) for i in range(len(vertices))] if bone else []
        names = (bone,)
    vertex, group, weight = np.array(entries, np.float64).reshape(-1, 3).T
    vertex = vertex.astype(np.intp)
    whole = np.bincount(vertex, weight, len(vertices))
    return _Skin(vertex, group.astype(np.intp), (weight / whole[vertex]).astype(np.float32), names, len(vertices))


def deformed_vertices(mesh: bpy.types.Object, armature: bpy.types.Object, bone: str) -> NDArray[np.float32]:
    """How much of each vertex of a mesh hangs on a bone and its children, 0..1, (V,)."""
    bones = rig_bones(armature)
    if bone not in bones:
        return np.zeros(len(mesh.data.vertices), np.float32)
    return _skin(mesh, armature).of({bone, *(child.name for child in bones[bone].children_recursive)})


def _points(mesh: bpy.types.Object) -> Points:
    """The vertices of a mesh in world space at rest, (V, 3)."""
    keys = shape_keys(mesh)
    source = mesh.data.vertices if keys is None else keys.reference_key.data
    values = np.empty(3 * len(source), np.float32)
    source.foreach_get("co", values)
    matrix = np.array(rest_matrix(mesh))
    return values.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]


def _moved(mesh: bpy.types.Object) -> NDArray[np.intp]:
    """The vertices that the shape keys of a mesh move."""
    keys = shape_keys(mesh)
    base, values = (np.empty(3 * len(keys.reference_key.data), np.float32) for _ in range(2))
    keys.reference_key.data.foreach_get("co", base)
    moved = np.zeros(len(base) // 3, bool)
    for block in keys.key_blocks:
        block.data.foreach_get("co", values)
        moved |= np.abs(values - base).reshape(-1, 3).max(axis=1) > 1e-6
    return np.flatnonzero(moved)


# --- what is free to turn --------------------------------------------------------------------------------------------


def _holding(owner: Any) -> Any | None:
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


def _driven(obj: bpy.types.Object, prefix: str) -> bool:
    animation = obj.animation_data
    return animation is not None and any(
        driver.data_path.startswith(prefix) and not driver.mute for driver in animation.drivers
    )


def _said(constraint: Any) -> str:
    """What a constraint does, in words: follows 'hip' (constraint 'Copy Rotation')."""
    target = getattr(constraint, "subtarget", "") or getattr(getattr(constraint, "target", None), "name", "")
    verb = "looks at" if constraint.type in _LOOKS else "follows"
    return f"{verb} '{target}' (constraint '{constraint.name}')" if target else f"is held by '{constraint.name}'"


@dataclass(frozen=True)
class _Rig:
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
        return LIMITS.same_place * float(np.ptp(np.array(list(self.pivots.values())), axis=0).max()) + 1e-6

    @cached_property
    def common(self) -> frozenset[str]:
        """Words of the bones' names that say nothing."""
        return _common_words(self.pivots, self.armature.name, self.armature.data.name)

    @cached_property
    def holders(self) -> dict[str, Any]:
        """The constraint, or None for a driver, that sets the rotation of each bone that is not free."""
        held: dict[str, Any] = {}
        for bone in self.pose:
            constraint = _holding(bone)
            if constraint is not None:
                held[bone.name] = constraint
                if constraint.type in {"IK", "SPLINE_IK"}:
                    chain = bone.parent_recursive[: constraint.chain_count - 1 if constraint.chain_count else None]
                    held.update((above.name, constraint) for above in chain)
            elif _driven(self.armature, bone.path_from_id() + ".rotation_"):
                held[bone.name] = None
        return held

    @cached_property
    def looked_at(self) -> set[str]:
        """Bones that others look at: they turn those by moving."""
        return {c.subtarget for b in self.pose for c in b.constraints if c.type in _LOOKS and c.subtarget}

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
    def skins(self) -> dict[str, _Skin]:
        """By mesh object name, the skin of each mesh that hangs on these bones."""
        meshes = (part for part in self.character.parts if part.type == "MESH")
        skins = {mesh.name: _skin(mesh, self.armature) for mesh in meshes}
        return {name: skin for name, skin in skins.items() if len(skin.vertex)}

    @cached_property
    def hung(self) -> set[str]:
        """Bones that something visible hangs on: skin, or a whole object."""
        weighted = {skin.names[i] for skin in self.skins.values() for i in np.unique(skin.group)}
        carried = {_carrying_bone(part, self.armature) for part in self.character.parts if part.type != "EMPTY"}
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
        while _is_machinery(bone) and parent is not None and self.same_place(bone, parent.name):
            if parent.name in self.holders or bone not in self.turns.get(parent.name, ()):
                break
            if not _is_machinery(parent.name):
                return parent.name
            bone, parent = parent.name, parent.parent
        return bone

    def reason(self, bone: str) -> str:
        """Why a bone cannot be turned."""
        holder = self.holders.get(bone)
        what = "is set by a driver" if holder is None else _said(holder)
        return f"'{bone}' {what}, so its own rotation is not seen. Mute that to let the speech turn it."

    def named(self, role: str) -> list[tuple[str, int]]:
        """The bones that a name gives a role, best first, with the number of words around it."""
        ranks = {name: _name_rank(name, role, self.common) for name in self.pivots if name not in self.looked_at}
        found = [(rank, name) for name, rank in ranks.items() if rank is not None]

        def order(entry: tuple[tuple[int, int], str]) -> tuple[bool, bool, int, int, int]:
            rank, name = entry
            deforms = name in self.hung or (not self.hung and self.pose[name].bone.use_deform)
            return (not self.moves_something(name), role.startswith("eye") and not deforms, rank[1], rank[0], len(name))

        return [(name, rank[0]) for rank, name in sorted(found, key=order)]


@dataclass
class _Answer:
    """What has been found so far."""

    turnings: list[Turning] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


# --- head and neck ---------------------------------------------------------------------------------------------------


def _up(place: FacePlace | None, character: Character) -> Points:
    """The direction in which the head stands, in world space."""
    if place is not None and place.frame is not None:
        return np.asarray(place.frame)[:, 1]
    return (rotation_of(rest_matrix(character.root)) @ UPRIGHT)[:, 1]


def _halves(character: Character, vertices: Mapping[str, NDArray[np.intp]], up: Points) -> list[dict[str, Any]]:
    """The vertices of the upper and of the lower half of the face, by mesh."""
    heights = {mesh.name: _points(mesh)[vertices[mesh.name]] @ up for mesh in character.meshes if mesh.name in vertices}
    middle = np.median(np.concatenate(list(heights.values()))) if heights else 0.0
    return [{name: vertices[name][above(h)] for name, h in heights.items()}
            for above in (lambda h: h >= middle, lambda h: h <= middle)]  # fmt: skip


def _heaviest(rig: _Rig, vertices: Mapping[str, NDArray[np.intp]], up: Points) -> str | None:
    """The bone that turns upper and lower face, with the least besides."""
    halves = _halves(rig.character, vertices, up)
    fitting = []
    for bone in rig.pivots:
        weights = [rig.weight(bone, half) or 0.0 for half in halves]
        if min(weights) >= LIMITS.head_weight:
            fitting.append((len(rig.reach(bone)), bone))
    return min(fitting)[1] if fitting else None


def _head_bone(rig: _Rig, place: FacePlace | None, answer: _Answer) -> tuple[str, Source, float] | None:
    """The bone that turns the head. Leaves a reason where none does."""
    vertices = place.vertices if place is not None else {m.name: _moved(m) for m in rig.character.meshes}
    reason = ""
    for name, around in rig.named("head"):
        control = rig.control(name)
        if control is None:
            reason = reason or rig.reason(name)
            continue
        weight = rig.weight(control, vertices)
        if rig.moves_something(control) and (weight is None or weight >= LIMITS.named_weight):
            return control, "name", 1.0 if around == 0 else 0.9
    heaviest = _heaviest(rig, vertices, _up(place, rig.character)) if rig.skins else None
    control = rig.control(heaviest) if heaviest is not None and rig.pose[heaviest].parent is not None else None
    if control is not None:
        return control, "geometry", 0.7
    answer.missing["head"] = reason or (
        f"No bone of '{rig.armature.name}' is named like a head, and none carries the whole face. Rename it to 'head'."
    )
    return None


def _is_neck(rig: _Rig, bone: str, head: str) -> bool:
    """Whether a bone of unknown name is a neck: below the head, above a body, with no arms of its own."""
    pose = rig.pose[bone]
    others = [child for child in pose.children if child.name != head and head not in
              {below.name for below in child.children_recursive}]  # fmt: skip
    return pose.parent is not None and len(others) <= 2 and all(len(o.children_recursive) < 2 for o in others)


def _neck_bones(rig: _Rig, head: str, source: Source) -> list[tuple[str, Source]]:
    """The free bones of the neck, lowest first."""
    above = [bone.name for bone in rig.pose[head].parent_recursive]
    necks = [name for name in above if _name_rank(name, "neck", rig.common) is not None]
    if not necks and source == "geometry" and above and _is_neck(rig, above[0], head):
        return [(above[0], "geometry")] if rig.control(above[0]) == above[0] else []
    controls = [rig.control(name) for name in reversed(necks)]
    return [(name, "name") for name in dict.fromkeys(controls) if name is not None and name != head]


def _inherited(rig: _Rig, head: str, neck: str) -> float:
    """How much of the neck's rotation reaches the head, 0..1: rigs may keep a head upright by constraints."""
    reaching, bone = 1.0, rig.pose[head]
    while bone is not None and bone.name != neck:
        constraint = _holding(bone)
        reaching *= 0.0 if not bone.bone.use_inherit_rotation else 1.0 - (constraint.influence if constraint else 0.0)
        bone = bone.parent
    return reaching


def _add_head(rig: _Rig, place: FacePlace | None, answer: _Answer) -> str | None:
    """Add what turns the head; the head's bone."""
    found = _head_bone(rig, place, answer)
    if found is None:
        return None
    head, source, confidence = found
    necks = _neck_bones(rig, head, source)
    each = NECK_SHARE / len(necks) if necks else 0.0
    rest = 1.0
    for neck, how in necks:
        answer.turnings.append(_bone_turning(rig, neck, "neck", "", each, how, confidence))
        rest -= each * _inherited(rig, head, neck)
    answer.turnings.append(_bone_turning(rig, head, "head", "", rest, source, confidence))
    return head


def _bone_turning(
    rig: _Rig, bone: str, role: Role, side: str, share: float, source: Source, confidence: float
) -> Turning:
    return Turning(rig.armature, bone, role, side, share, source, confidence, rig.pivots[bone])


def _object_turning(obj: bpy.types.Object, role: Role, side: str, source: Source, confidence: float) -> Turning:
    return Turning(obj, "", role, side, 1.0, source, confidence, np.array(rest_matrix(obj).translation))


def _add_head_object(character: Character, place: FacePlace | None, answer: _Answer) -> None:
    """Add the object that is a head and nothing else, with all that hangs on it, where there is one."""
    if not character.meshes:
        answer.missing["head"] = f"'{character.name}' has neither an armature nor shape keys to tell its face by."
        return
    face, up = character.meshes[0], _up(place, character)
    moved = place.vertices.get(face.name) if place is not None else None
    heights = _points(face)[_moved(face) if moved is None else moved] @ up
    chosen: bpy.types.Object | None = None
    candidate: bpy.types.Object | None = face
    while candidate is not None and candidate in character.parts and len(heights):
        meshes = [o for o in (candidate, *candidate.children_recursive) if o.type == "MESH" and len(o.data.vertices)]
        whole = np.ptp(np.concatenate([_points(mesh) @ up for mesh in meshes]))
        if np.ptp(heights) <= LIMITS.head_height * whole:
            break
        chosen, candidate = candidate, candidate.parent
    held = _holding(chosen) if chosen is not None else None
    if chosen is None:
        answer.missing["head"] = (
            f"'{face.name}' is more than a head and has no armature, so turning it would turn the body too."
        )
    elif held is not None or _driven(chosen, "delta_rotation"):
        what = _said(held) if held is not None else "is turned by a driver"
        answer.missing["head"] = f"'{chosen.name}' {what}, so its own rotation is not seen. Mute that to let it turn."
    else:
        answer.turnings.append(_object_turning(chosen, "head", "", "geometry", 0.8))


# --- eyes ------------------------------------------------------------------------------------------------------------

SIDES: Final = ("left", "right")
_EYE_TYPES: Final = {"MESH", "EMPTY", "SURFACE", "META", "CURVE"}


def _named_eye_bone(rig: _Rig, side: str, reasons: list[str]) -> Turning | None:
    for name, around in rig.named(f"eye_{side}"):
        control = rig.control(name)
        if control is None:
            reasons.append(rig.reason(name))
        elif not rig.moves_something(control):
            reasons.append(f"The bone '{name}' carries no part of a mesh, so turning it would not be seen.")
        else:
            return _bone_turning(rig, control, "eye", side, 1.0, "name", 1.0 if around == 0 else 0.9)
    return None


def _loose(character: Character) -> Iterator[bpy.types.Object]:
    """The objects that turn by themselves: neither the face nor deformed by an armature."""
    face = character.meshes[:1]
    for part in character.parts:
        deformed = any(modifier.type == "ARMATURE" for modifier in part.modifiers)
        if part != character.root and part not in face and part.type in _EYE_TYPES and not deformed:
            yield part


def _object_trouble(obj: bpy.types.Object) -> str:
    """Why an eye object cannot turn; empty if it can."""
    held = _holding(obj)
    if held is not None:
        return f"'{obj.name}' {_said(held)}, so its own rotation is not seen. Mute that to let the speech turn it."
    if _driven(obj, "delta_rotation"):
        return f"A driver turns '{obj.name}'. Mute it to let the speech turn it."
    if obj.type == "MESH" and len(obj.data.vertices):
        points = _points(obj)
        middle, size = 0.5 * (points.min(axis=0) + points.max(axis=0)), np.ptp(points, axis=0).max()
        if np.linalg.norm(middle - np.array(rest_matrix(obj).translation)) > 0.5 * size:
            return (
                f"The origin of '{obj.name}' is not in its middle, so it would swing out of its socket. "
                "Set its origin to its geometry."
            )
    return ""


def _named_eye_object(character: Character, side: str, reasons: list[str]) -> list[Turning]:
    """The eye of one side and the parts of it that do not hang on it."""
    loose = list(_loose(character))
    common = _common_words((part.name for part in character.parts), character.name)
    ranks = [(rank, part) for part in loose if (rank := _name_rank(part.name, f"eye_{side}", common)) is not None]
    for rank, part in sorted(ranks, key=lambda entry: (entry[0], len(entry[1].name))):
        trouble = _object_trouble(part)
        if trouble:
            reasons.append(trouble)
            continue
        found = [_object_turning(part, "eye", side, "name", 1.0 if rank[0] == 0 else 0.9)]
        around = set(part.children_recursive)
        for other in loose:
            inside = _name_rank(other.name, f"eye_part_{side}", common) is not None and other not in around
            if inside and other.parent not in {o.object for o in found} and not _object_trouble(other):
                found.append(_object_turning(other, "eye", side, "name", 0.8))
        return found
    return []


def _is_ball(points: Points, pivot: Points) -> bool:
    """Whether points lie round about a pivot, as those of an eyeball or of its front half."""
    offsets = points - pivot
    radii = np.linalg.norm(offsets, axis=1)
    if len(points) < 8 or radii.min() < 1e-9:
        return False
    directions = offsets / radii[:, None]
    return bool(
        radii.std() < LIMITS.roundness * radii.mean() and np.linalg.norm(directions.mean(axis=0)) < LIMITS.openness
    )


def _balls(rig: _Rig | None, character: Character, head: str | None) -> Iterator[tuple[Any, str, Points]]:
    """Bones and objects with something round about their pivot: object, bone, pivot."""
    for part in _loose(character):
        pivot = np.array(rest_matrix(part).translation)
        if part.type == "MESH" and not _object_trouble(part) and _is_ball(_points(part), pivot):
            yield part, "", pivot
    if rig is None:
        return
    points = {part.name: _points(part) for part in character.parts if part.name in rig.skins}
    for bone in rig.reach(head) - {head} if head is not None else rig.pivots:
        if rig.control(bone) is None:
            continue
        reached = rig.reach(bone)
        skinned = [points[name][skin.of(reached) > 0.5] for name, skin in rig.skins.items()]
        if _is_ball(np.concatenate(skinned), rig.pivots[bone]):
            yield rig.armature, rig.control(bone) or bone, rig.pivots[bone]


def _eyes_by_place(rig: _Rig | None, character: Character, head: str | None, place: FacePlace | None) -> list[Turning]:
    """Two round things near the eyes that mirror each other."""
    if place is None or place.eye_left is None or place.eye_right is None:
        return []
    places = np.stack([place.eye_left, place.eye_right])
    apart = float(np.linalg.norm(places[0] - places[1]))
    x = (places[0] - places[1]) / max(apart, 1e-9)
    middle = places.mean(axis=0)
    balls = list(_balls(rig, character, head))
    sides = [[b for b in balls if np.linalg.norm(b[2] - at) < LIMITS.eye_distance * apart] for at in places]
    pairs = []
    for left in sides[0]:
        for right in sides[1]:
            mirrored = right[2] - 2.0 * ((right[2] - middle) @ x) * x
            error = float(np.linalg.norm(left[2] - mirrored))
            if error < LIMITS.mirror * apart and bool(left[1]) == bool(right[1]) and left[:2] != right[:2]:
                pairs.append((error, left, right))
    if not pairs:
        return []
    _, *best = min(pairs, key=lambda pair: (pair[0], pair[1][1], pair[1][0].name))
    return [
        Turning(obj, bone, "eye", side, 1.0, "geometry", 0.7, pivot)
        for side, (obj, bone, pivot) in zip(SIDES, best, strict=True)
    ]


def _add_eyes(
    rig: _Rig | None, character: Character, head: str | None, place: FacePlace | None, answer: _Answer
) -> None:
    reasons: list[str] = []
    if rig is not None:
        bones = [_named_eye_bone(rig, side, reasons) for side in SIDES]
        eyes = [bone for bone in bones if bone is not None]
        if len(eyes) == 2 and eyes[0].bone != eyes[1].bone:
            answer.turnings += eyes
            answer.notes += _look_at_notes(rig, eyes)
            return
    objects = [_named_eye_object(character, side, reasons) for side in SIDES]
    eyes = objects[0] + objects[1] if all(objects) else _eyes_by_place(rig, character, head, place)
    answer.turnings += eyes
    if not eyes:
        answer.missing["eyes"] = " ".join(dict.fromkeys(reasons)) or (
            "No two bones or objects are named like eyes, or lie round about their pivots where eyes are."
        )


def _look_at_notes(rig: _Rig, eyes: list[Turning]) -> list[str]:
    """A word on targets that the eyes look at beside what turns them."""
    targets = []
    for eye in eyes:
        holders = [rig.holders.get(above.name) for above in rig.pose[eye.bone].parent_recursive[:2]]
        targets += [h.subtarget for h in holders if h is not None and h.type in _LOOKS and h.subtarget]
    names = ", ".join(f"'{name}'" for name in dict.fromkeys(targets))
    return [f"The eyes go on looking at {names}; the gaze of the speech is added to that."] if names else []


# --- jaw -------------------------------------------------------------------------------------------------------------


def _jaw_by_place(rig: _Rig, head: str | None, place: FacePlace | None) -> str | None:
    """The bone under the head that carries the lower face alone and hinges in the middle, behind the mouth."""
    if head is None or place is None or place.frame is None or place.mouth is None:
        return None
    if place.eye_left is None or place.eye_right is None:
        return None
    frame, mouth = np.asarray(place.frame), np.asarray(place.mouth)
    eyes = 0.5 * (place.eye_left + place.eye_right)
    apart = float(np.linalg.norm(place.eye_left - place.eye_right))
    points = {part.name: _points(part) for part in rig.character.parts if part.name in rig.skins}
    best, most = None, 0
    for bone in rig.reach(head) - {head}:
        control = rig.control(bone)
        x, y, z = frame.T @ (rig.pivots[bone] - mouth)
        hinges = abs(x) < LIMITS.jaw_middle * apart and z < -0.2 * apart and y < frame[:, 1] @ (eyes - mouth)
        if control is None or not hinges:
            continue
        reached = rig.reach(bone)
        carried = np.concatenate([points[name][skin.of(reached) > 0.5] for name, skin in rig.skins.items()])
        heights = (carried - mouth) @ frame[:, 1]
        lower = int((heights < 0.0).sum())
        if lower > most and lower > 0.5 * len(carried) and heights.max() < frame[:, 1] @ (eyes - mouth):
            best, most = control, lower
    return best


def _add_jaw(rig: _Rig, head: str | None, place: FacePlace | None, answer: _Answer) -> None:
    reasons: list[str] = []
    for name, around in rig.named("jaw"):
        control = rig.control(name)
        if control is None:
            reasons.append(rig.reason(name))
        elif not rig.moves_something(control):
            reasons.append(f"The bone '{name}' carries no part of a mesh, so turning it would not be seen.")
        elif control != head:
            confidence = 1.0 if around == 0 else 0.9
            answer.turnings.append(_bone_turning(rig, control, "jaw", "", 1.0, "name", confidence))
            return
    found = _jaw_by_place(rig, head, place) if rig.skins else None
    if found is not None:
        answer.turnings.append(_bone_turning(rig, found, "jaw", "", 1.0, "geometry", 0.6))
        return
    answer.missing["jaw"] = next(iter(reasons), "No bone is named like a jaw, or carries the lower face alone.")


def find_turning(character: Character, place: FacePlace | None = None) -> Found:
    """What turns on a character, and why not where nothing does.

    place: where its face is; without it, only names and the skin of what shape keys move tell.
    """
    answer = _Answer()
    rig, head = None, None
    if character.armature is not None and len(rig_bones(character.armature)):
        rig = _Rig(character.armature, character)
        head = _add_head(rig, place, answer)
        _add_jaw(rig, head, place, answer)
    else:
        _add_head_object(character, place, answer)
        answer.missing["jaw"] = f"'{character.name}' has no armature with a jaw."
    _add_eyes(rig, character, head, place, answer)
    order = {"neck": 0, "head": 1, "eye": 2, "jaw": 3}
    turnings = sorted(answer.turnings, key=lambda turning: order[turning.role])
    return Found(tuple(turnings), answer.missing, tuple(answer.notes))
