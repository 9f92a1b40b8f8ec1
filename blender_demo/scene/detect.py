# SPDX-License-Identifier: GPL-3.0-or-later
"""Work out a RigProfile from the names and the geometry of a character.

Shape keys are told by their names, else by what they move; what turns, by names, places and skin. Nothing is silent:
each channel is carried, with how it was found and how sure that is, or has a reason why it is not.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import RigError
from ..backend.motion.factors import ARKIT_NAMES, CHANNELS
from .character import Character, find_character
from .face_frame import face_frame, turning_space, usual_frame
from .face_points import KeyedMesh, read_mesh
from .key_bindings import bind_by_name, bind_by_shape, key_names, without_doubles
from .rig_profile import ROLE_CHANNELS, KeyBinding, RigProfile, RotationBinding
from .turning import FacePlace, Found, Turning, deformed_vertices, find_turning

__all__ = ["detect", "detect_character", "head_frame"]

_EYE_LOOK: Final = frozenset(name for name in ARKIT_NAMES if name.startswith("eyeLook"))
_MOUTH: Final = ("mouthFunnel", "mouthPucker", "mouthClose", "jawOpen")
_TRANSLATION_REASON: Final = "Head translation is left out: moving the head bone would tear it from the neck."
_MANY: Final = 3
"""Names that are listed in a sentence."""

_ORDER: Final = ("neck", "head", "eye", "jaw")
"""From what carries to what is carried."""

_SAME_SKIN: Final = 0.2
"""Part of a key's motion on the skin of a bone from which the two would move the same thing twice."""

_FULL_HOLD: Final = 0.8
"""Skin weight from which a bone turns an eyeball, and does not bend it."""


def detect(objects: list[bpy.types.Object]) -> RigProfile:
    """The profile of the character that the first of `objects` belongs to."""
    if not objects:
        raise RigError("Pick a character first.")
    return detect_character(find_character(objects[0]))


def detect_character(character: Character) -> RigProfile:
    """The profile of a character. Raises RigError where nothing of its face can be driven."""
    named = bind_by_name(character)
    read = {mesh.name: read_mesh(mesh, _landmark_keys(mesh, named)) for mesh in character.meshes}
    eyes = find_turning(character, _place(named, read, None)) if character.armature or named else None
    frame = _told_frame(character, named, read, eyes)
    shaped = bind_by_shape(character, named, frame)
    bindings = without_doubles([*named, *shaped.bindings])
    frame, notes = (frame if frame is not None else shaped.frame), []
    if frame is None:
        frame = usual_frame(character)
        notes.append("Neither eyes nor mouth were found, so the character is taken to face -Y.")
    read = {mesh.name: read_mesh(mesh, {b.key for b in bindings if b.object == mesh.name}) for mesh in character.meshes}
    found = find_turning(character, _place(bindings, read, frame))
    turnings = _without_jaw(found.turnings, bindings, read, notes)
    turnings, keys = _without_double_gaze(turnings, bindings, read, notes)
    rotations = tuple(_rotation(turning, frame) for turning in sorted(turnings, key=lambda t: _ORDER.index(t.role)))
    if not keys and not any(binding.role == "jaw" for binding in rotations):
        raise RigError(_refusal(character, rotations))
    carried = RigProfile(keys, rotations).carried
    missing = {name: _reason(name, character, found.missing) for name in CHANNELS if name not in carried}
    return RigProfile(keys, rotations, missing=missing, notes=(*notes, *found.notes))


def _landmark_keys(mesh: bpy.types.Object, bindings: Iterable[KeyBinding]) -> set[str]:
    """The keys that tell where eyes and mouth are."""
    return {b.key for b in bindings if b.object == mesh.name and b.carried & {"eyeBlinkLeft", "eyeBlinkRight", *_MOUTH}}


def _centers(
    bindings: Sequence[KeyBinding], read: Mapping[str, KeyedMesh], *channels: str
) -> NDArray[np.float64] | None:
    """The middle (3,) of what the first key moves that stands for one of the channels alone, else in a mixture."""
    for channel in channels:
        for binding in sorted((b for b in bindings if channel in b.carried), key=lambda b: len(b.channels)):
            keyed = read.get(binding.object)
            center = keyed.center_of(binding.key) if keyed is not None and binding.key in keyed.names else None
            if center is not None and (len(binding.channels) == 1 or channel in _MOUTH):
                return center
    return None


def _place(
    bindings: Sequence[KeyBinding], read: Mapping[str, KeyedMesh], frame: NDArray[np.float64] | None
) -> FacePlace:
    """Where the face is, as far as keys tell."""
    return FacePlace(
        _centers(bindings, read, *_MOUTH), _centers(bindings, read, "eyeBlinkLeft"),
        _centers(bindings, read, "eyeBlinkRight"), frame, {name: keyed.vertices for name, keyed in read.items()},
    )  # fmt: skip


def _told_frame(
    character: Character, named: Sequence[KeyBinding], read: Mapping[str, KeyedMesh], found: Found | None
) -> NDArray[np.float64] | None:
    """The head frame as eyes that were found by name, and keys of lids and mouth that were, tell it; or None."""
    eyes = {t.side: t.position for t in found.turnings if t.role == "eye" and t.source == "name"} if found else {}
    left, right = (
        eyes[side] if side in eyes else _centers(named, read, f"eyeBlink{side.title()}") for side in ("left", "right")
    )
    return face_frame(character, left, right, _centers(named, read, *_MOUTH))


def _rotation(turning: Turning, frame: NDArray[np.float64]) -> RotationBinding:
    """A binding with the head frame in the space in which the bone or object turns."""
    local = turning_space(turning.object, turning.bone).T @ frame
    values = tuple(round(float(value), 7) for value in local.reshape(-1))
    return RotationBinding(
        turning.object.name, turning.bone, turning.role, turning.share, values, turning.source, turning.confidence
    )


def head_frame(character: Character) -> NDArray[np.float64]:
    """The head frame in world space at rest, (3, 3), as eyes and mouth tell it, or as is the custom without them."""
    named = bind_by_name(character)
    read = {mesh.name: read_mesh(mesh, _landmark_keys(mesh, named)) for mesh in character.meshes}
    frame = _told_frame(character, named, read, find_turning(character, _place(named, read, None)))
    return frame if frame is not None else usual_frame(character)


def _without_jaw(
    turnings: Sequence[Turning], bindings: Sequence[KeyBinding], read: Mapping[str, KeyedMesh], notes: list[str]
) -> list[Turning]:
    """What turns, without a jaw bone that deforms skin which keys open as well."""
    opening = [binding for binding in bindings if "jawOpen" in binding.carried]
    kept = []
    for turning in turnings:
        if turning.role == "jaw" and any(_share(turning, read[b.object], b.key) > _SAME_SKIN for b in opening):
            notes.append(f"Shape keys open the mouth, so the bone '{turning.bone or turning.object.name}' rests.")
        else:
            kept.append(turning)
    return kept


def _share(turning: Turning, keyed: KeyedMesh, key: str) -> float:
    """The part of a key's motion that happens to skin of a bone, or to an object, that turns."""
    if not turning.bone:
        return float(turning.object == keyed.object)
    if keyed.object.find_armature() != turning.object:
        return 0.0
    return float(deformed_vertices(keyed.object, turning.object, turning.bone)[keyed.vertices] @ keyed.energy_of(key))


def _without_double_gaze(
    turnings: Sequence[Turning], bindings: Sequence[KeyBinding], read: Mapping[str, KeyedMesh], notes: list[str]
) -> tuple[list[Turning], tuple[KeyBinding, ...]]:
    """What turns, and the keys, of which only one turns an eyeball: the bone or object, unless it turns it by half.

    Keys that move nothing but lids stay.
    """
    eyes = [turning for turning in turnings if turning.role == "eye"]
    looking = [binding for binding in bindings if set(binding.channels) <= _EYE_LOOK]
    doubled = {b.object for b in looking if any(_share(eye, read[b.object], b.key) > _SAME_SKIN for eye in eyes)}
    if not doubled:
        return list(turnings), tuple(bindings)
    if max(_hold(eye, read[name].object) for eye in eyes for name in doubled) < _FULL_HOLD:
        notes.append("The eye bones hold their eyes only by half, so they rest and the eyeLook keys turn the eyes.")
        return [turning for turning in turnings if turning not in eyes], tuple(bindings)
    notes.append(f"The gaze turns the eyes themselves, so the eyeLook keys of {', '.join(sorted(doubled))} rest.")
    return list(turnings), tuple(b for b in bindings if not (b in looking and b.object in doubled))


def _hold(eye: Turning, mesh: bpy.types.Object) -> float:
    """How fast an eye bone holds the skin that it holds most."""
    return float(deformed_vertices(mesh, eye.object, eye.bone).max(initial=0.0)) if eye.bone else 1.0


def _refusal(character: Character, rotations: Sequence[RotationBinding]) -> str:
    """Why nothing of a face can be animated, and what to do."""
    names = [name for mesh in character.meshes for name in key_names(mesh)]
    listed = ", ".join(f"'{name}'" for name in names[:_MANY]) + (" ..." if len(names) > _MANY else "")
    what = (
        f"none of its {len(names)} shape keys ({listed}) is named like, or moves, a part of a face"
        if names else "it has no shape keys and no jaw bone"
    )  # fmt: skip
    turns = {"head": "head", "neck": "head", "eye": "eyes"}
    also = " and ".join(dict.fromkeys(turns[binding.role] for binding in rotations if binding.role in turns))
    return (
        f"The face of '{character.name}' cannot be animated: {what}. Give its face mesh shape keys, ARKit ones such "
        f"as jawOpen or mouth shapes such as A, I, U, E, O, or its armature a jaw bone."
        + (f" Only its {also} could turn." if also else "")
    )


def _reason(channel: str, character: Character, reasons: Mapping[str, str]) -> str:
    """Why nothing carries a channel, in an artist's words."""
    if channel in ("headX", "headY", "headZ"):
        return _TRANSLATION_REASON
    if channel in ROLE_CHANNELS["head"]:
        return reasons.get("head", "Nothing turns the head.")
    if channel.startswith("gaze"):
        return "There are no eyeLook shape keys, and no eyes turn: " + reasons.get("eyes", "none were found.")
    meshes = ", ".join(f"'{mesh.name}'" for mesh in character.meshes) or "the character"
    return f"No shape key of {meshes} is named like {channel}, or moves like it."
