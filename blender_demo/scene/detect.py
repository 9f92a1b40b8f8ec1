# SPDX-License-Identifier: GPL-3.0-or-later
"""Work out a RigProfile from the names and the geometry of a character."""

from collections.abc import Mapping
from typing import Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import RigError
from ..backend.motion.factors import ARKIT_NAMES, CHANNELS
from .character import Character, find_character, rest_matrix, rig_bones, shape_keys
from .face_frame import face_frame, rotation_of
from .key_names import match_names
from .rig_profile import KeyBinding, RigProfile, RotationBinding
from .turning import Turning, find_turning

__all__ = ["EYE_LOOK_PROPERTY", "detect", "detect_character"]

EYE_LOOK_PROPERTY: Final = "demo_eye_look"
"""Custom property of a mesh object: "lids" says that its eyeLook keys move only the lids, so go with turning eyes."""

_EYE_LOOK: Final = tuple(name for name in ARKIT_NAMES if name.startswith("eyeLook"))
_TRANSLATION_REASON: Final = "Head translation is left out: moving the head bone would tear it from the neck."


def _bone_frame(armature: bpy.types.Object, bone: str, frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """The head frame in a bone's rest space."""
    rest = rotation_of(rest_matrix(armature)) @ rotation_of(rig_bones(armature)[bone].matrix_local)
    return rest.T @ frame


def _object_frame(obj: bpy.types.Object, frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """The head frame in the space in which an object's own rotation acts."""
    above = rest_matrix(obj) @ obj.matrix_basis.inverted_safe()
    return rotation_of(above).T @ frame


def _binding(turning: Turning, frame: NDArray[np.float64]) -> RotationBinding:
    obj, bone = turning.object, turning.bone
    local = _bone_frame(obj, bone, frame) if bone else _object_frame(obj, frame)
    axes = tuple(round(float(v), 7) for v in local.reshape(-1))
    return RotationBinding(obj.name, bone, turning.role, turning.share, axes, turning.source, turning.confidence)


def _keys(character: Character, eyes_turn: bool) -> list[KeyBinding]:
    """The shape keys of all meshes that are named like a channel; eyeLook only where nothing else turns the eyes."""
    bindings: list[KeyBinding] = []
    done = set()
    for mesh in character.meshes:
        keys = shape_keys(mesh)
        if keys.session_uid in done:
            continue
        done.add(keys.session_uid)
        lids_only = mesh.get(EYE_LOOK_PROPERTY) == "lids"
        for channel, key in match_names(_key_names(mesh)).items():
            if channel not in _EYE_LOOK or not eyes_turn or lids_only:
                bindings.append(KeyBinding(mesh.name, key, {channel: 1.0}))
    return bindings


def _reason(channel: str, character: Character, fixed: Mapping[str, str]) -> str:
    """Why nothing carries a channel, in an artist's words."""
    if channel in ("headX", "headY", "headZ"):
        return _TRANSLATION_REASON
    if channel.startswith("head"):
        return fixed["head"]
    if channel.startswith("gaze"):
        return f"{fixed['eyes']} There are no eyeLook shape keys either."
    meshes = ", ".join(f"'{mesh.name}'" for mesh in character.meshes)
    return f"No shape key of {meshes} is named like {channel}."


def detect_character(character: Character) -> RigProfile:
    """The profile of a character. Raises RigError where nothing of it can be driven."""
    found = find_turning(character)
    eyes = {turning.side: turning.position for turning in found.turnings if turning.role == "eye"}
    keys = _keys(character, bool(eyes))
    if not keys:
        others = sum(len(_key_names(mesh)) for mesh in character.meshes)
        what = f"none of its {others} shape keys has an ARKit name" if others else "it has no shape keys"
        raise RigError(
            f"The face of '{character.name}' cannot be animated: {what}. "
            "Give its face mesh ARKit shape keys such as jawOpen."
        )
    frame, told = face_frame(character, eyes)
    notes = (
        list(found.notes)
        if told
        else [*found.notes, "Neither eyes nor mouth were found, so the character is taken to face -Y."]
    )
    bound = {binding.object for binding in keys if binding.channel in _EYE_LOOK}
    resting = [
        m.name for m in character.meshes if m.name not in bound and set(match_names(_key_names(m))) & set(_EYE_LOOK)
    ]
    if resting:
        notes.append(
            f"The gaze turns the eyes themselves, so the eyeLook keys of {', '.join(resting)} rest. If they move only "
            f"lids, give the object the custom property {EYE_LOOK_PROPERTY} = 'lids'."
        )
    rotations = [_binding(turning, frame) for turning in found.turnings if turning.role != "jaw"]
    carried = RigProfile(tuple(keys), tuple(rotations)).carried
    missing = {channel: _reason(channel, character, found.missing) for channel in CHANNELS if channel not in carried}
    return RigProfile(tuple(keys), tuple(rotations), missing=missing, notes=tuple(notes))


def _key_names(mesh: bpy.types.Object) -> list[str]:
    """Names of a mesh's shape keys, the basis left out."""
    return [block.name for block in shape_keys(mesh).key_blocks[1:]]


def detect(objects: list[bpy.types.Object]) -> RigProfile:
    """The profile of the character that the first of `objects` belongs to."""
    if not objects:
        raise RigError("Pick a character first.")
    return detect_character(find_character(objects[0]))
