# SPDX-License-Identifier: GPL-3.0-or-later
"""Work out a RigProfile from the names and the geometry of a character."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import RigError
from ..backend.mapping.names import match_names, plain
from ..backend.motion.factors import ARKIT_NAMES, CHANNELS
from .character import Character, find_character, rest_matrix, rig_bones, shape_keys
from .face_frame import face_frame, rotation_of
from .rig_profile import KeyBinding, RigProfile, Role, RotationBinding

__all__ = ["EYE_LOOK_PROPERTY", "detect", "detect_character"]

EYE_LOOK_PROPERTY: Final = "demo_eye_look"
"""Custom property of a mesh object: "lids" says that its eyeLook keys move only the lids, so go with turning eyes."""

NECK_SHARE: Final = 0.4
"""Part of a head turn that the neck takes where there is one; the usual split of animators is 40 to 60."""

_EYE_LOOK: Final = tuple(name for name in ARKIT_NAMES if name.startswith("eyeLook"))
_TRANSLATION_REASON: Final = "Head translation is left out: moving the head bone would tear it from the neck."
_POSE_BY_CONSTRAINT: Final = {
    "COPY_ROTATION",
    "COPY_TRANSFORMS",
    "DAMPED_TRACK",
    "TRACK_TO",
    "LOCKED_TRACK",
    "ARMATURE",
}


@cache
def _bone_names() -> dict[str, tuple[str, ...]]:
    with (Path(__file__).parent / "bone_names.toml").open("rb") as stream:
        return {role: tuple(plain(name) for name in names) for role, names in tomllib.load(stream).items()}


def _find_named(candidates: dict[str, Any], role: str) -> str | None:
    """The candidate that carries a role by its name: whole names first, then names that end so."""
    by_plain: dict[str, str] = {}
    for name in candidates:
        by_plain.setdefault(plain(name), name)
    for wanted in _bone_names()[role]:
        if wanted in by_plain:
            return by_plain[wanted]
    endings = [
        (len(found), name)
        for found, name in by_plain.items()
        if any(found.endswith(w) for w in _bone_names()[role] if len(w) > 3)
    ]
    return min(endings)[1] if endings else None


def _free_bones(armature: bpy.types.Object) -> dict[str, Any]:
    """Bones whose rotation is theirs to set: no constraint writes it."""
    pose: Any = armature.pose
    return {
        bone.name: bone
        for bone in pose.bones
        if not any(c.type in _POSE_BY_CONSTRAINT and not c.mute for c in bone.constraints)
    }


def _bone_frame(armature: bpy.types.Object, bone: str, frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """The head frame in a bone's rest space."""
    rest = rotation_of(rest_matrix(armature)) @ rotation_of(rig_bones(armature)[bone].matrix_local)
    return rest.T @ frame


def _object_frame(obj: bpy.types.Object, frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """The head frame in the space in which an object's own rotation acts."""
    above = rest_matrix(obj) @ obj.matrix_basis.inverted_safe()
    return rotation_of(above).T @ frame


def _binding(obj: bpy.types.Object, bone: str, role: Role, share: float, frame: NDArray[np.float64]) -> RotationBinding:
    local = _bone_frame(obj, bone, frame) if bone else _object_frame(obj, frame)
    return RotationBinding(obj.name, bone, role, share, tuple(round(float(v), 7) for v in local.reshape(-1)))


def _eyes(character: Character) -> dict[str, tuple[bpy.types.Object, str, NDArray[np.float64]]]:
    """For "left" and "right" the object and bone (empty for an object alone) that turn, and their place at rest."""
    found: dict[str, tuple[bpy.types.Object, str, NDArray[np.float64]]] = {}
    armature = character.armature
    bones = _free_bones(armature) if armature else {}
    loose = {
        part.name: part
        for part in character.parts
        if part.type in {"MESH", "EMPTY"} and part != character.root and part not in character.meshes
    }
    for side in ("left", "right"):
        bone = _find_named(bones, f"eye_{side}")
        if armature is not None and bone is not None:
            position = rest_matrix(armature) @ rig_bones(armature)[bone].head_local
            found[side] = (armature, bone, np.array(position))
        elif (name := _find_named(loose, f"eye_{side}")) is not None and not _deformed(loose[name]):
            found[side] = (loose[name], "", np.array(rest_matrix(loose[name]).translation))
    return found if len(found) == 2 else {}


def _deformed(obj: bpy.types.Object) -> bool:
    """Whether an armature deforms the object, so that its own rotation is not what turns it."""
    return any(modifier.type == "ARMATURE" for modifier in obj.modifiers)


def _head(character: Character, frame: NDArray[np.float64]) -> list[RotationBinding]:
    """What turns with the head: head and neck bones, or a head-only object as a whole."""
    if character.armature is None:
        root = character.root
        return [_binding(root, "", "head", 1.0, frame)] if _is_head_only(character, frame) else []
    bones = _free_bones(character.armature)
    head, neck = _find_named(bones, "head"), _find_named(bones, "neck")
    if head is None:
        return []
    if neck is None or bones[neck] not in bones[head].parent_recursive:
        return [_binding(character.armature, head, "head", 1.0, frame)]
    return [
        _binding(character.armature, neck, "neck", NECK_SHARE, frame),
        _binding(character.armature, head, "head", 1.0 - NECK_SHARE, frame),
    ]


def _is_head_only(character: Character, frame: NDArray[np.float64]) -> bool:
    """Whether the face is most of what there is, so that turning the whole object turns a head and not a body."""
    mesh = character.meshes[0]
    basis = shape_keys(mesh).reference_key.data
    base = np.empty(3 * len(basis), np.float32)
    basis.foreach_get("co", base)
    moved = np.zeros(len(basis), bool)
    values = np.empty_like(base)
    for block in shape_keys(mesh).key_blocks:
        block.data.foreach_get("co", values)
        moved |= np.abs(values - base).reshape(-1, 3).max(axis=1) > 1e-6
    height = base.reshape(-1, 3) @ (rotation_of(rest_matrix(mesh)).T @ frame[:, 1]).astype(np.float32)
    return bool(moved.any() and np.ptp(height[moved]) > 0.25 * np.ptp(height))


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


def _reason(channel: str, character: Character) -> str:
    """Why nothing carries a channel, in an artist's words."""
    if channel in ("headX", "headY", "headZ"):
        return _TRANSLATION_REASON
    if channel.startswith("head"):
        return "No bone is named like a head, so the head does not turn."
    if channel.startswith("gaze"):
        return "There are neither eyes that turn nor eyeLook shape keys."
    meshes = ", ".join(f"'{mesh.name}'" for mesh in character.meshes)
    return f"No shape key of {meshes} is named like {channel}."


def detect_character(character: Character) -> RigProfile:
    """The profile of a character. Raises RigError where nothing of it can be driven."""
    eyes = _eyes(character)
    keys = _keys(character, bool(eyes))
    if not keys:
        others = sum(len(_key_names(mesh)) for mesh in character.meshes)
        what = f"none of its {others} shape keys has an ARKit name" if others else "it has no shape keys"
        raise RigError(
            f"The face of '{character.name}' cannot be animated: {what}. "
            "Give its face mesh ARKit shape keys such as jawOpen."
        )
    frame, told = face_frame(character, {side: position for side, (_, _, position) in eyes.items()})
    notes = [] if told else ["Neither eyes nor mouth were found, so the character is taken to face -Y."]
    bound = {binding.object for binding in keys if binding.channel in _EYE_LOOK}
    resting = [
        m.name for m in character.meshes if m.name not in bound and set(match_names(_key_names(m))) & set(_EYE_LOOK)
    ]
    if resting:
        notes.append(
            f"The gaze turns the eyes themselves, so the eyeLook keys of {', '.join(resting)} rest. If they move only "
            f"lids, give the object the custom property {EYE_LOOK_PROPERTY} = 'lids'."
        )
    rotations = [*_head(character, frame), *(_binding(obj, bone, "eye", 1.0, frame) for obj, bone, _ in eyes.values())]
    carried = RigProfile(tuple(keys), tuple(rotations)).carried
    missing = {channel: _reason(channel, character) for channel in CHANNELS if channel not in carried}
    return RigProfile(tuple(keys), tuple(rotations), missing=missing, notes=tuple(notes))


def _key_names(mesh: bpy.types.Object) -> list[str]:
    """Names of a mesh's shape keys, the basis left out."""
    return [block.name for block in shape_keys(mesh).key_blocks[1:]]


def detect(objects: list[bpy.types.Object]) -> RigProfile:
    """The profile of the character that the first of `objects` belongs to."""
    if not objects:
        raise RigError("Pick a character first.")
    return detect_character(find_character(objects[0]))
