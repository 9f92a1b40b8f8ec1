# SPDX-License-Identifier: GPL-3.0-or-later
"""Work out a RigProfile from the names and the geometry of a character.

Shape keys are told by their names, else by what they move; what turns, by names, places and skin. Nothing is silent:
each channel is carried, with how it was found and how sure that is, or has a reason why it is not.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import RigError
from ..backend.mapping.names import recognize
from ..backend.motion.factors import ARKIT_NAMES, CHANNELS
from .character import Character, find_character
from .face_frame import face_frame, frames_from_normals, turning_space, usual_frame
from .face_points import KeyedMesh, read_mesh
from .key_bindings import bind_by_name, bind_by_shape, key_names, without_doubles
from .plan import JAW_OPEN_RAD
from .rig_profile import ROLE_CHANNELS, KeyBinding, RigProfile, RotationBinding
from .skin import points_of
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

_WHOLE_JAW: Final = 0.15
"""How far a key lowers a jaw, over how far its bone would, if it opens the jaw and not just the lips."""

_BACKWARDS: Final = 0.5
"""Cosine from which skin looks clearly another way."""

_SKIN: Final = 12
"""Vertices from which a mesh is skin, the normals of which say something."""

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
    read = _read(character, named)
    still = {b.key for b in named if not read[b.object].energy_of(b.key).any()}
    named = tuple(b for b in named if read[b.object].energy_of(b.key).any())
    still -= {b.key for b in named}
    told = find_turning(character, _place(named, read, None)) if character.armature or named else None
    frame, notes = _told_frame(character, named, read, told), []
    if frame is not None and _faces_backwards(frame, character, read):
        frame, named = frame * (-1.0, 1.0, -1.0), tuple(map(_other_side, named))
        notes.append(f"What is called left on '{character.name}' is its right side, and the speech goes by that.")
    shaped = bind_by_shape(character, named, frame, _named_head(told))
    bindings = without_doubles([*named, *shaped.bindings])
    frame = frame if frame is not None else shaped.frame
    if frame is None:
        frame = _frame_of_skin(character, read)
    if frame is None:
        frame = usual_frame(character)
        notes.append("No eyes were found that tell which way the face looks, so it is taken to look along -Y.")
    read = _read(character, bindings)
    found = find_turning(character, _place(bindings, read, frame))
    turnings, bindings = _without_double_jaw(found.turnings, bindings, read, frame, notes)
    turnings, keys = _without_double_gaze(turnings, bindings, read, notes)
    rotations = tuple(_rotation(turning, frame) for turning in sorted(turnings, key=lambda t: _ORDER.index(t.role)))
    if not keys and not any(binding.role == "jaw" for binding in rotations):
        raise RigError(_refusal(character, rotations, still))
    carried = RigProfile(keys, rotations).carried
    missing = {name: _reason(name, character, found.missing, still) for name in CHANNELS if name not in carried}
    return RigProfile(keys, rotations, missing=missing, notes=(*notes, *found.notes))


def _read(character: Character, bindings: Iterable[KeyBinding]) -> dict[str, KeyedMesh]:
    """The meshes by name, with the keys that are bound."""
    return {mesh.name: read_mesh(mesh, {b.key for b in bindings if b.object == mesh.name}) for mesh in character.meshes}


def _named_head(found: Found | None) -> tuple[bpy.types.Object, str] | None:
    """Armature and bone of a head that is called one."""
    heads = [t for t in found.turnings if t.role == "head" and t.bone and t.source == "name"] if found else []
    return (heads[0].object, heads[0].bone) if heads else None


def _frame_of_skin(character: Character, read: Mapping[str, KeyedMesh]) -> NDArray[np.float64] | None:
    """The head frame as the skin that keys move looks; None where no key moves skin."""
    most = max(read.values(), key=lambda keyed: len(keyed.vertices), default=None)
    return frames_from_normals(most, character)[0] if most is not None and len(most.vertices) >= _SKIN else None


def _faces_backwards(frame: NDArray[np.float64], character: Character, read: Mapping[str, KeyedMesh]) -> bool:
    """Whether the skin that keys move looks against the head frame, as sides that are called wrongly make it."""
    told = [keyed for keyed in read.values() if keyed.deltas.any()] or [read_mesh(m) for m in character.meshes[:1]]
    looks = sum((keyed.looks for keyed in told), np.zeros(3))
    return bool(looks @ frame[:, 2] < -_BACKWARDS * max(float(np.linalg.norm(looks)), 1e-9))


def _other_side(binding: KeyBinding) -> KeyBinding:
    """The binding with left for right."""
    sides = {"Left": "Right", "Right": "Left"}
    return replace(
        binding,
        channels={re.sub("Left$|Right$", lambda side: sides[side[0]], c): w for c, w in binding.channels.items()},
    )


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
    read = _read(character, named)
    frame = _told_frame(character, named, read, find_turning(character, _place(named, read, None)))
    return frame if frame is not None else usual_frame(character)


def _without_double_jaw(
    turnings: Sequence[Turning],
    bindings: Sequence[KeyBinding],
    read: Mapping[str, KeyedMesh],
    frame: NDArray[np.float64],
    notes: list[str],
) -> tuple[list[Turning], tuple[KeyBinding, ...]]:
    """What turns, and the keys, of which only one opens the jaw: keys that lower all of it, else its bone.

    Keys that are called as if they opened the mouth, but leave the chin to the bone, show the rest of their shape.
    """
    opening = [binding for binding in bindings if "jawOpen" in binding.carried]
    jaws = [turning for turning in turnings if turning.role == "jaw"]
    held = [_held_by(jaw, read, opening) for jaw in jaws]
    parts = [b for b in opening if any(_share(by[b.object], read[b.object], b.key) > _SAME_SKIN for by in held)]

    def opens_whole(b: KeyBinding) -> bool:
        keyed = read[b.object]
        lowered = (_lowered(jaw, by[b.object], keyed, b.key, frame) for jaw, by in zip(jaws, held, strict=True))
        return max(lowered) > _WHOLE_JAW

    whole = any(map(opens_whole, parts))
    if whole:
        names = " and ".join(f"'{jaw.bone or jaw.object.name}'" for jaw in jaws)
        notes.append(f"Shape keys open the mouth, so {names} {'rest' if len(jaws) > 1 else 'rests'}.")
        return [turning for turning in turnings if turning.role != "jaw"], tuple(bindings)
    rest = ((b, {c: w for c, w in b.channels.items() if b not in parts or c != "jawOpen"}) for b in bindings)
    return list(turnings), tuple(replace(b, channels=channels) for b, channels in rest if channels)


def _held_by(
    turning: Turning, read: Mapping[str, KeyedMesh], bindings: Iterable[KeyBinding]
) -> dict[str, NDArray[np.float32]]:
    """For each mesh of the bindings how much of each vertex (V,), 0..1, hangs on what turns."""
    held = {}
    for name in dict.fromkeys(binding.object for binding in bindings):
        mesh = read[name].object
        if turning.bone and mesh.find_armature() == turning.object:
            held[name] = deformed_vertices(mesh, turning.object, turning.bone)
        else:
            held[name] = np.full(len(mesh.data.vertices), float(turning.object == mesh), np.float32)
    return held


def _lowered(jaw: Turning, held: NDArray[np.float32], keyed: KeyedMesh, key: str, frame: NDArray[np.float64]) -> float:
    """How far a key lowers what hangs on a jaw, over how far the jaw, when it turns, would."""
    if not jaw.bone:
        return float(jaw.object == keyed.object)
    before = np.clip((points_of(keyed.object) - jaw.position) @ frame[:, 2], 0.0, None)
    lowered = -keyed.deltas[keyed.names.index(key)] @ frame[:, 1]
    return float(held[keyed.vertices] @ lowered) / max(JAW_OPEN_RAD * float(held @ before), 1e-9)


def _share(held: NDArray[np.float32], keyed: KeyedMesh, key: str) -> float:
    """The part of a key's motion that happens to what is held."""
    return float(held[keyed.vertices] @ keyed.energy_of(key))


def _without_double_gaze(
    turnings: Sequence[Turning], bindings: Sequence[KeyBinding], read: Mapping[str, KeyedMesh], notes: list[str]
) -> tuple[list[Turning], tuple[KeyBinding, ...]]:
    """What turns, and the keys, of which only one turns an eyeball: the bone or object, unless it turns it by half.

    Keys that move nothing but lids stay.
    """
    eyes = [turning for turning in turnings if turning.role == "eye"]
    looking = [binding for binding in bindings if set(binding.channels) <= _EYE_LOOK]
    held = [_held_by(eye, read, looking) for eye in eyes]
    doubled = {
        b.object for b in looking if any(_share(by[b.object], read[b.object], b.key) > _SAME_SKIN for by in held)
    }
    if not doubled:
        return list(turnings), tuple(bindings)
    firmest = [
        by[name].max(initial=0.0) if eye.bone else 1.0
        for eye, by in zip(eyes, held, strict=True) for name in doubled
    ]  # fmt: skip
    if max(firmest) < _FULL_HOLD:
        notes.append("The eye bones hold their eyes only by half, so they rest and the eyeLook keys turn the eyes.")
        return [turning for turning in turnings if turning.role != "eye"], tuple(bindings)
    notes.append(f"The gaze turns the eyes themselves, so the eyeLook keys of {', '.join(sorted(doubled))} rest.")
    return list(turnings), tuple(b for b in bindings if not (b in looking and b.object in doubled))


def _refusal(character: Character, rotations: Sequence[RotationBinding], still: Collection[str]) -> str:
    """Why nothing of a face can be animated, and what to do."""
    names = [name for mesh in character.meshes for name in key_names(mesh)]
    listed = ", ".join(f"'{name}'" for name in names[:_MANY]) + (" ..." if len(names) > _MANY else "")
    what = (
        f"its shape keys ({listed}) move nothing" if still
        else f"none of its {len(names)} shape keys ({listed}) is named like, or moves, a part of a face"
        if names else "it has no shape keys and no jaw bone"
    )  # fmt: skip
    turns = {"head": "head", "neck": "head", "eye": "eyes"}
    also = " and ".join(dict.fromkeys(turns[binding.role] for binding in rotations if binding.role in turns))
    return (
        f"The face of '{character.name}' cannot be animated: {what}. Give its face mesh shape keys, ARKit ones such "
        f"as jawOpen or mouth shapes such as A, I, U, E, O, or its armature a jaw bone."
        + (f" Only its {also} could turn." if also else "")
    )


def _reason(channel: str, character: Character, reasons: Mapping[str, str], still: Collection[str]) -> str:
    """Why nothing carries a channel, in an artist's words."""
    if channel in ("headX", "headY", "headZ"):
        return _TRANSLATION_REASON
    if channel in ROLE_CHANNELS["head"]:
        return reasons.get("head", "Nothing turns the head.")
    if channel.startswith("gaze"):
        return "There are no eyeLook shape keys, and no eyes turn: " + reasons.get("eyes", "none were found.")
    called = [key for key, known in recognize(still).items() if channel in known.channels]
    if called:
        return f"The shape key '{called[0]}' moves nothing."
    meshes = ", ".join(f"'{mesh.name}'" for mesh in character.meshes) or "the character"
    return f"No shape key of {meshes} is named like {channel}, or moves like it."
