# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes an artist makes to a profile. Each gives a new profile; what was changed has the source "artist"."""

from dataclasses import replace
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend.errors import RigError
from ..backend.motion.factors import ARKIT_NAMES, CHANNELS
from .character import Character, rig_bones
from .detect import head_frame
from .face_frame import turning_space
from .key_bindings import key_names
from .rig_profile import ROLE_CHANNELS, KeyBinding, RigProfile, Role, RotationBinding

__all__ = ["add_key", "add_rotation", "edit", "remove", "role_of", "rows_of", "set_gain"]

Binding = KeyBinding | RotationBinding


def rows_of(profile: RigProfile, channel: str) -> tuple[Binding, ...]:
    """What can be edited of a channel: all that shows it, however little."""
    faint = [b for b in profile.keys if channel in b.channels and channel not in b.carried]
    return (*profile.bindings_of(channel), *faint)


def role_of(channel: str) -> Role | None:
    """What turns with a channel, where something can."""
    return next((role for role, channels in ROLE_CHANNELS.items() if channel in channels), None)


def set_gain(profile: RigProfile, channel: str, gain: float) -> RigProfile:
    """How strongly a channel is shown. Raises RigError for a gain out of range."""
    others = {name: value for name, value in profile.gains.items() if name != channel}
    return replace(profile, gains=others if gain == 1.0 else {**others, channel: gain})


def edit(
    profile: RigProfile, character: Character, old: Binding, channel: str, share: float | None = None, **changes: Any
) -> RigProfile:
    """Change fields of a binding, or `share`: how much of `channel` it shows. Raises RigError for what cannot be.

    A key that another binding drives already is driven by both together from then on, as one.
    """
    if isinstance(old, RotationBinding):
        new = replace(old, source="artist", confidence=1.0, **({} if share is None else {"share": share}))
        if changes:
            obj = changes.get("object", old.object)
            bone = changes.get("bone", _bone_like(character, obj, old.bone))
            new = _rotation(profile, character, obj, bone, old.role, new.share)
        return _with(profile, old, new)
    if share is not None:
        changes["channels"] = {**old.channels, channel: share}
    if "object" in changes and "key" not in changes:
        changes["key"] = _key_like(character, changes["object"], old.key)
    new = replace(old, source="artist", confidence=1.0, **changes)
    if new.key != old.key and new.key not in _keys_of(character, new.object):
        raise RigError(f"'{new.object}' has no shape key '{new.key}'. Choose one, or remove the row.")
    other = _binding_of(profile, new.object, new.key, besides=old)
    if other is None:
        return _with(profile, old, new)
    if channel in other.channels:
        raise RigError(f"'{new.key}' shows {channel} already.")
    both = replace(new, channels={**other.channels, **new.channels})
    return _with(_with(profile, other, None), old, both)


def remove(profile: RigProfile, old: Binding, channel: str) -> RigProfile:
    """A key no longer shows a channel, or something no longer turns."""
    if isinstance(old, KeyBinding) and len(old.channels) > 1 and channel in old.channels:
        rest = {name: weight for name, weight in old.channels.items() if name != channel}
        return _with(profile, old, replace(old, channels=rest, source="artist", confidence=1.0))
    return _with(profile, old, None)


def add_key(profile: RigProfile, character: Character, channel: str) -> RigProfile:
    """Let a key show a channel: of those that show nothing yet the likest by name. Raises RigError."""
    if channel not in ARKIT_NAMES:
        raise RigError(f"{channel} is no shape. Add a bone.")
    free = [
        (mesh.name, key)
        for mesh in character.meshes
        for key in _keys_of(character, mesh.name)
        if _binding_of(profile, mesh.name, key) is None
    ]
    if not free:
        raise RigError(f"Every shape key of '{character.name}' shows something already. Remove another one first.")
    obj, key = max(free, key=lambda place: _likeness(channel, place[1]))
    new = KeyBinding(obj, key, {channel: 1.0}, source="artist")
    return _told(replace(profile, keys=(*profile.keys, new)))


def add_rotation(profile: RigProfile, character: Character, channel: str) -> RigProfile:
    """Let a bone turn with a channel: of those that turn with nothing yet the likest by name. Raises RigError."""
    role, armature = role_of(channel), character.armature
    if role is None:
        raise RigError(f"{channel} is shown by shape keys only. Add a shape key.")
    if armature is None:
        new = _rotation(profile, character, character.root.name, "", role, 1.0)
    else:
        taken = {binding.bone for binding in profile.rotations if binding.object == armature.name}
        free = [bone.name for bone in rig_bones(armature) if bone.name not in taken]
        if not free:
            raise RigError(f"Every bone of '{armature.name}' turns with something already. Remove another one first.")
        bone = max(free, key=lambda name: _likeness(role, name))
        new = _rotation(profile, character, armature.name, bone, role, 1.0)
    return _told(replace(profile, rotations=(*profile.rotations, new)))


def _likeness(wanted: str, name: str) -> float:
    return SequenceMatcher(None, wanted.lower(), name.lower()).ratio()


def _binding_of(profile: RigProfile, obj: str, key: str, besides: Binding | None = None) -> KeyBinding | None:
    return next((b for b in profile.keys if (b.object, b.key) == (obj, key) and b != besides), None)


def _keys_of(character: Character, obj: str) -> list[str]:
    """Names of the shape keys of a mesh, the basis left out. Raises RigError where it is none of the character's."""
    part = character.object(obj)
    if part is None or part not in character.meshes:
        raise RigError(f"'{obj}' is no part of '{character.name}' with shape keys.")
    return key_names(part)


def _key_like(character: Character, obj: str, key: str) -> str:
    """The key of that name on another mesh, else its first one."""
    names = _keys_of(character, obj)
    return key if key in names else names[0]


def _bone_like(character: Character, obj: str, bone: str) -> str:
    """The bone of that name in another armature, else its first one; none for what has no bones."""
    part = character.object(obj)
    if part is None or part.type != "ARMATURE":
        return ""
    bones = rig_bones(part)
    return bone if bone in bones else next(iter(bones.keys()), "")


def _rotation(
    profile: RigProfile, character: Character, obj: str, bone: str, role: Role, share: float
) -> RotationBinding:
    """What turns, with the head frame in its own space. Raises RigError where there is no such object or bone."""
    part = character.object(obj)
    if part is None:
        raise RigError(f"'{obj}' is no part of '{character.name}'.")
    if part.type != "ARMATURE":
        bone = ""
    elif bone not in rig_bones(part):
        raise RigError(f"'{obj}' has no bone '{bone}'. Choose one, or remove the row.")
    frame = turning_space(part, bone).T @ _head_frame(profile, character)
    values = tuple(round(float(value), 7) for value in frame.reshape(-1))
    return RotationBinding(part.name, bone, role, share, values, source="artist")


def _head_frame(profile: RigProfile, character: Character) -> NDArray[np.float64]:
    """The head frame in world space at rest, (3, 3): as what turns already knows it, else as the face tells it."""
    for binding in profile.rotations:
        part = character.object(binding.object)
        if part is not None and (not binding.bone or binding.bone in rig_bones(part)):
            return turning_space(part, binding.bone) @ np.array(binding.frame).reshape(3, 3)
    return head_frame(character)


def _with(profile: RigProfile, old: Binding, new: Any) -> RigProfile:
    """With a binding in the place of another, or none."""
    keys, rotations = (
        tuple(new if b == old else b for b in bindings if b != old or new is not None)
        for bindings in (profile.keys, profile.rotations)
    )
    return _told(replace(profile, keys=keys, rotations=rotations))


def _told(profile: RigProfile) -> RigProfile:
    """With a reason for each channel that nothing carries now."""
    carried = profile.carried
    missing = {
        channel: profile.missing.get(channel, "What showed it was removed. Add what does.")
        for channel in CHANNELS
        if channel not in carried
    }
    return replace(profile, missing=missing)
