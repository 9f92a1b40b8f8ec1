# SPDX-License-Identifier: GPL-3.0-or-later
"""What turns on a character: head, neck, eyes and jaw, as bones or as objects.

By name first (`bone_names.toml`), then by position, skin weights and hierarchy. Nothing here changes the scene.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from .bone_names import common_words, name_rank
from .character import Character, rest_matrix, rig_bones
from .face_frame import usual_frame
from .free_bones import AIMS, Rig, holding, is_active, is_driven, said, takes_rotation
from .rig_profile import Role, Source
from .skin import Points, deformed_vertices, moved_by_keys, points_of

__all__ = ["NECK_SHARE", "FacePlace", "Found", "Turning", "deformed_vertices", "find_turning"]

NECK_SHARE: Final = 0.4
"""Part of a head turn that the neck takes where there is one; the usual split of animators is 40 to 60."""


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

    head_weight: float = 0.7  # of the skin that shape keys move, upper and lower face each, hangs on the head
    own_weight: float = (
        0.4  # a vertex that hangs on a bone by this share moves with it, even where the head has the rest
    )
    named_weight: float = 0.2  # less than this contradicts a name
    eye_distance: float = 0.6  # lids lie before the eyeball
    mirror: float = 0.2  # two eyes are alike to this
    roundness: float = 0.3  # spread of the distances from the pivot, over their mean: corneas bulge
    openness: float = 0.7  # length of the mean direction from the pivot: 0 for a ball, 0.5 for half, 0.9 for a lid
    jaw_middle: float = 0.25  # a jaw hinges in the middle of the face
    head_height: float = 0.25  # of an object's height that shape keys move, if it is a head and no body


LIMITS: Final = Limits()


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
    return usual_frame(character)[:, 1]


def _halves(character: Character, vertices: Mapping[str, NDArray[np.intp]], up: Points) -> list[dict[str, Any]]:
    """The vertices of the upper and of the lower half of the face, by mesh."""
    heights = {
        mesh.name: points_of(mesh)[vertices[mesh.name]] @ up for mesh in character.meshes if mesh.name in vertices
    }
    middle = np.median(np.concatenate(list(heights.values())))
    return [{name: vertices[name][above(h)] for name, h in heights.items()}
            for above in (lambda h: h >= middle, lambda h: h <= middle)]  # fmt: skip


def _heaviest(rig: Rig, vertices: Mapping[str, NDArray[np.intp]], up: Points) -> str | None:
    """The bone that turns upper and lower face, with the least besides."""
    halves = [rig.carried(half) for half in _halves(rig.character, vertices, up)]
    fitting = [
        (len(rig.reach(bone)), bone)
        for bone in rig.pivots
        if min(rig.weight(bone, half) for half in halves) >= LIMITS.head_weight
    ]
    return min(fitting)[1] if fitting else None


def _head_bone(rig: Rig, place: FacePlace | None, answer: _Answer) -> tuple[str, Source, float] | None:
    """The bone that turns the head. Leaves a reason where none does."""
    vertices = place.vertices if place is not None else {m.name: moved_by_keys(m) for m in rig.character.meshes}
    reason, carried = "", rig.carried(vertices)
    for name, around in rig.named("head"):
        control = rig.control(name)
        if control is None:
            reason = reason or rig.reason(name)
            continue
        believed = not carried or rig.weight(control, carried) >= LIMITS.named_weight
        if believed and rig.moves_something(control):
            return control, "name", 1.0 if around == 0 else 0.9
    heaviest = _heaviest(rig, vertices, _up(place, rig.character)) if carried else None
    control = rig.control(heaviest) if heaviest is not None and rig.pose[heaviest].parent is not None else None
    if control is not None:
        return control, "geometry", 0.7
    answer.missing["head"] = reason or (
        f"No bone of '{rig.armature.name}' is named like a head, and none carries the whole face. Rename it to 'head'."
    )
    return None


def _is_neck(rig: Rig, bone: str, head: str) -> bool:
    """Whether a bone of unknown name is a neck: below the head, above a body, with no arms of its own."""
    pose = rig.pose[bone]
    others = [child for child in pose.children if child.name != head and head not in
              {below.name for below in child.children_recursive}]  # fmt: skip
    return pose.parent is not None and len(others) <= 2 and all(len(o.children_recursive) < 2 for o in others)


def _neck_bones(rig: Rig, head: str, source: Source) -> list[tuple[str, Source]]:
    """The free bones of the neck, lowest first."""
    above = [bone.name for bone in rig.pose[head].parent_recursive]
    necks = [name for name in above if name_rank(name, "neck", rig.common) is not None]
    if not necks and source == "geometry" and above and _is_neck(rig, above[0], head):
        return [(above[0], "geometry")] if rig.control(above[0]) == above[0] else []
    controls = [rig.control(name) for name in reversed(necks)]
    return [(name, "name") for name in dict.fromkeys(controls) if name is not None and name != head]


def _inherited(rig: Rig, head: str, neck: str) -> float:
    """How much of the neck's rotation reaches the head, 0..1: rigs may keep a head upright by constraints."""
    reaching, bone = 1.0, rig.pose[head]
    while bone is not None and bone.name != neck:
        if not bone.bone.use_inherit_rotation:
            return 0.0
        for constraint in bone.constraints:
            if is_active(constraint) and takes_rotation(constraint) and constraint.owner_space != "LOCAL":
                reaching *= 1.0 - constraint.influence
        bone = bone.parent
    return reaching


def _add_head(rig: Rig, place: FacePlace | None, answer: _Answer) -> str | None:
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
    rig: Rig, bone: str, role: Role, side: str, share: float, source: Source, confidence: float
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
    heights = points_of(face)[moved_by_keys(face) if moved is None else moved] @ up
    chosen: bpy.types.Object | None = None
    candidate: bpy.types.Object | None = face
    while candidate is not None and candidate in character.parts and len(heights):
        meshes = [o for o in (candidate, *candidate.children_recursive) if o.type == "MESH" and len(o.data.vertices)]
        whole = np.ptp(np.concatenate([points_of(mesh) @ up for mesh in meshes]))
        if np.ptp(heights) <= LIMITS.head_height * whole:
            break
        chosen, candidate = candidate, candidate.parent
    held = holding(chosen) if chosen is not None else None
    if chosen is None:
        answer.missing["head"] = (
            f"'{face.name}' is more than a head and has no armature, so turning it would turn the body too."
        )
    elif held is not None or is_driven(chosen):
        what = said(held) if held is not None else "is turned by a driver"
        answer.missing["head"] = f"'{chosen.name}' {what}, so its own rotation is not seen. Mute that to let it turn."
    else:
        answer.turnings.append(_object_turning(chosen, "head", "", "geometry", 0.8))


# --- eyes ------------------------------------------------------------------------------------------------------------

SIDES: Final = ("left", "right")
_EYE_TYPES: Final = {"MESH", "EMPTY", "SURFACE", "META", "CURVE"}


def _named_eye_bone(rig: Rig, side: str, reasons: list[str]) -> Turning | None:
    named = rig.named(f"eye_{side}")
    seen = {name for name, _ in named} & rig.hung
    for name, around in named:
        control = rig.control(name)
        if control is None:
            reasons.append(rig.reason(name))
        elif rig.hung and seen.isdisjoint(rig.reach(control)):  # lids that go with it make no eye
            reasons.append(f"The bone '{name}' carries no eye, so turning it would not be seen.")
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
    held = holding(obj)
    if held is not None:
        return f"'{obj.name}' {said(held)}, so its own rotation is not seen. Mute that to let the speech turn it."
    if is_driven(obj):
        return f"A driver turns '{obj.name}'. Mute it to let the speech turn it."
    if obj.type == "MESH" and len(obj.data.vertices):
        points = points_of(obj)
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
    common = common_words((part.name for part in character.parts), character.name)
    ranks = [(rank, part) for part in loose if (rank := name_rank(part.name, f"eye_{side}", common)) is not None]
    for rank, part in sorted(ranks, key=lambda entry: (entry[0], len(entry[1].name))):
        trouble = _object_trouble(part)
        if trouble:
            reasons.append(trouble)
            continue
        found = [_object_turning(part, "eye", side, "name", 1.0 if rank[0] == 0 else 0.9)]
        around = set(part.children_recursive)
        for other in loose:
            inside = name_rank(other.name, f"eye_part_{side}", common) is not None and other not in around
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


def _balls(rig: Rig | None, character: Character, head: str | None) -> Iterator[tuple[Any, str, Points]]:
    """Bones and objects with something round about their pivot: object, bone, pivot."""
    for part in _loose(character):
        pivot = np.array(rest_matrix(part).translation)
        if part.type == "MESH" and not _object_trouble(part) and _is_ball(points_of(part), pivot):
            yield part, "", pivot
    if rig is None:
        return
    for bone in rig.reach(head) - {head} if head is not None else rig.pivots:
        control = rig.control(bone)
        if control is not None and _is_ball(rig.carried_points(bone, LIMITS.own_weight), rig.pivots[bone]):
            yield rig.armature, control, rig.pivots[bone]


def _eyes_by_place(rig: Rig | None, character: Character, head: str | None, place: FacePlace | None) -> list[Turning]:
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
    rig: Rig | None, character: Character, head: str | None, place: FacePlace | None, answer: _Answer
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


def _look_at_notes(rig: Rig, eyes: list[Turning]) -> list[str]:
    """A word on targets that the eyes look at beside what turns them."""
    targets = []
    for eye in eyes:
        holders = [rig.holders.get(above.name) for above in rig.pose[eye.bone].parent_recursive[:2]]
        targets += [h.subtarget for h in holders if h is not None and h.type in AIMS and h.subtarget]
    names = ", ".join(f"'{name}'" for name in dict.fromkeys(targets))
    return [f"The eyes go on looking at {names}; the gaze of the speech is added to that."] if names else []


# --- jaw -------------------------------------------------------------------------------------------------------------


def _jaw_by_place(rig: Rig, head: str | None, place: FacePlace | None) -> str | None:
    """The bone under the head that carries the lower face alone and hinges in the middle, behind the mouth."""
    if head is None or place is None or place.frame is None or place.mouth is None:
        return None
    if place.eye_left is None or place.eye_right is None:
        return None
    frame, mouth = np.asarray(place.frame), np.asarray(place.mouth)
    eyes = 0.5 * (place.eye_left + place.eye_right)
    apart = float(np.linalg.norm(place.eye_left - place.eye_right))
    best, most = None, 0
    for bone in rig.reach(head) - {head}:
        control = rig.control(bone)
        x, y, z = frame.T @ (rig.pivots[bone] - mouth)
        hinges = abs(x) < LIMITS.jaw_middle * apart and z < -0.2 * apart and y < frame[:, 1] @ (eyes - mouth)
        if control is None or not hinges:
            continue
        carried = rig.carried_points(bone, LIMITS.own_weight)
        heights = (carried - mouth) @ frame[:, 1]
        lower = int((heights < 0.0).sum())
        if lower > most and lower > 0.5 * len(carried) and heights.max() < frame[:, 1] @ (eyes - mouth):
            best, most = control, lower
    return best


def _add_jaw(rig: Rig, head: str | None, place: FacePlace | None, answer: _Answer) -> None:
    reasons: list[str] = []
    for name, around in rig.named("jaw"):
        control = rig.control(name)
        if control is None:
            reasons.append(rig.reason(name))
        elif not rig.moves_something(control):
            reasons.append(f"The bone '{name}' carries no part of a mesh, so turning it would not be seen.")
        elif control != head:
            confidence = 1.0 if around == 0 else 0.9
            parts = [other for other, _ in rig.named("jaw_part") if rig.same_place(control, other)]
            for bone in (control, *(part for part in parts if rig.control(part) == part)):
                answer.turnings.append(_bone_turning(rig, bone, "jaw", "", 1.0, "name", confidence))
            return
    found = _jaw_by_place(rig, head, place) if rig.skins else None
    if found is not None:
        answer.turnings.append(_bone_turning(rig, found, "jaw", "", 1.0, "geometry", 0.6))
        return
    answer.missing["jaw"] = next(iter(reasons), "No bone is named like a jaw, or carries the lower face alone.")


def _add_jaw_object(character: Character, answer: _Answer) -> None:
    """Add the object that is called a jaw; it turns about its origin, wherever that lies."""
    common = common_words((part.name for part in character.parts), character.name)
    for part in _loose(character):
        rank = name_rank(part.name, "jaw", common)
        held = holding(part)
        if rank is None:
            continue
        if held is None and not is_driven(part):
            answer.turnings.append(_object_turning(part, "jaw", "", "name", 1.0 if rank[0] == 0 else 0.9))
            return
        what = said(held) if held is not None else "is turned by a driver"
        answer.missing["jaw"] = f"'{part.name}' {what}, so its own rotation is not seen. Mute that to let it turn."
    answer.missing.setdefault("jaw", f"'{character.name}' has no armature with a jaw, and no object that is one.")


def find_turning(character: Character, place: FacePlace | None = None) -> Found:
    """What turns on a character, and why not where nothing does.

    place: where its face is; without it, only names and the skin of what shape keys move tell.
    """
    answer = _Answer()
    rig, head, armature = None, None, character.armature
    if armature is not None and armature.pose is None:  # Blender poses what has been in a scene
        answer.notes.append(f"The armature '{armature.name}' was never in a scene, so it has no pose. Link it to one.")
    elif armature is not None and len(rig_bones(armature)):
        rig = Rig(armature, character)
        head = _add_head(rig, place, answer)
        _add_jaw(rig, head, place, answer)
    if rig is None:
        _add_head_object(character, place, answer)
        _add_jaw_object(character, answer)
    _add_eyes(rig, character, head, place, answer)
    order = {"neck": 0, "head": 1, "eye": 2, "jaw": 3}
    turnings = sorted(answer.turnings, key=lambda turning: order[turning.role])
    return Found(tuple(turnings), answer.missing, tuple(answer.notes))
