# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles that stay with a character: kept in the add-on's settings of the scene, found again by the character's root.

The text of a kept profile calls objects by the names they had; pointers beside it say which objects those are, so that
renaming, appending and overriding change nothing. Without the registered add-on every profile is detected.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from ..backend.errors import RigError
from ..backend.motion.factors import CHANNELS
from .character import Character
from .detect import detect_character
from .rig_profile import KeyBinding, RigProfile, RotationBinding

__all__ = [
    "ChannelRow",
    "fit_profile",
    "forget_profile",
    "gone",
    "has_stored",
    "look_at",
    "profile_of",
    "shown_profile",
    "shown_rows",
    "store_profile",
]

Binding = KeyBinding | RotationBinding
_Renamed = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ChannelRow:
    """What the list of channels says about one.

    state: how what carries it was found; the least sure decides.
    carriers: keys and bones, by name. found: where that is from, and how sure it is, in two words.
    """

    state: Literal["missing", "guessed", "named", "artist"]
    carriers: tuple[str, ...]
    found: str


def profile_of(scene: Any, character: Character) -> RigProfile:
    """What drives a character: the profile that the artist edited or loaded for it in this scene, else a detected one.

    Raises RigError where nothing of it can be driven, or where keys, bones or objects of the artist's profile are gone.
    """
    if not has_stored(scene, character):
        return detect_character(character)
    profile = _read(_entry(scene, character))
    names = gone(character, profile)
    if names:
        raise RigError(
            f"The mapping of '{character.name}' names what is gone: {', '.join(names)}. "
            "Choose others in the Mapping panel, or press Detect there."
        )
    return profile


def has_stored(scene: Any, character: Character) -> bool:
    """Whether the artist edited or loaded a profile for this character."""
    entry = _entry(scene, character)
    return entry is not None and entry.is_artists


def store_profile(scene: Any, character: Character, profile: RigProfile) -> None:
    """Keep the artist's profile of a character with the scene, in place of any before. Needs the registered add-on."""
    _write(scene, character, profile, is_artists=True)


def forget_profile(scene: Any, character: Character) -> None:
    """Let the character be detected again."""
    mapping = _mapping(scene)
    for index in reversed(range(len(mapping.profiles) if mapping is not None else 0)):
        if mapping.profiles[index].root in (character.root, None):
            mapping.profiles.remove(index)


def look_at(scene: Any, character: Character) -> RigProfile:
    """`profile_of`, and what it gives is kept for the panel to show. A character of which nothing was recognized
    can still be mapped by hand, so an empty profile is kept then; the RigError is raised all the same."""
    try:
        profile = profile_of(scene, character)
    except RigError as error:
        if not has_stored(scene, character):
            _write(scene, character, RigProfile(missing=dict.fromkeys(CHANNELS, str(error))), is_artists=False)
        raise
    if not has_stored(scene, character):
        _write(scene, character, profile, is_artists=False)
    return profile


def shown_profile(scene: Any) -> RigProfile | None:
    """The profile that the panel shows: what `look_at` kept of the character looked at last. Quick enough to draw."""
    entry = _shown_entry(scene)
    return None if entry is None else _read(entry)


def shown_rows(scene: Any) -> Mapping[str, ChannelRow]:
    """For each channel its row of the list; empty where no character is looked at."""
    entry = _shown_entry(scene)
    return {} if entry is None else _rows(entry.text, _renamed(entry))


def gone(character: Character, profile: RigProfile) -> list[str]:
    """What a profile names that the character does not have, in words."""
    return list(dict.fromkeys(_words(b) for b in (*profile.keys, *profile.rotations) if not _is_there(character, b)))


def fit_profile(profile: RigProfile, character: Character) -> tuple[RigProfile, list[str]]:
    """A profile from a file, on a character whose objects may have other names, and what of it found no place.

    A key goes to the first mesh that has one of its name, a bone to the armature. Raises RigError where nothing fits.
    """
    fitted = replace(
        profile,
        keys=tuple(k for binding in profile.keys if (k := _placed(character, binding)) is not None),
        rotations=tuple(r for binding in profile.rotations if (r := _placed(character, binding)) is not None),
    )
    if not fitted.keys and not fitted.rotations:
        raise RigError(f"The mapping does not fit '{character.name}': it has none of the keys and bones it names.")
    left_out = [_words(b) for b in (*profile.keys, *profile.rotations) if _placed(character, b) is None]
    return fitted, left_out


def _placed(character: Character, binding: Any) -> Any:
    """The binding on the object that has its key or bone: the one it names, else another; None where none has."""
    places = (binding, *(replace(binding, object=part.name) for part in (*character.meshes, *character.parts)))
    named = isinstance(binding, KeyBinding) or bool(binding.bone)
    return next((place for place in (places if named else places[:1]) if _is_there(character, place)), None)


def _is_there(character: Character, binding: Binding) -> bool:
    part: Any = character.object(binding.object)
    if part is None:
        return False
    if isinstance(binding, KeyBinding):
        keys = getattr(part.data, "shape_keys", None)
        return keys is not None and binding.key in keys.key_blocks
    return not binding.bone or (part.pose is not None and binding.bone in part.pose.bones)


def _words(binding: Binding) -> str:
    if isinstance(binding, KeyBinding):
        return f"the shape key '{binding.key}' of '{binding.object}'"
    return f"the bone '{binding.bone}' of '{binding.object}'" if binding.bone else f"the object '{binding.object}'"


def _mapping(scene: Any) -> Any:
    settings = getattr(scene, "demo", None)
    return None if settings is None else settings.mapping


def _entry(scene: Any, character: Character) -> Any:
    mapping = _mapping(scene)
    return None if mapping is None else next((e for e in mapping.profiles if e.root == character.root), None)


def _shown_entry(scene: Any) -> Any:
    mapping = _mapping(scene)
    if mapping is None or mapping.root is None:
        return None
    return next((entry for entry in mapping.profiles if entry.root == mapping.root), None)


def _write(scene: Any, character: Character, profile: RigProfile, is_artists: bool) -> None:
    entry = _entry(scene, character) or _mapping(scene).profiles.add()
    entry.root, entry.is_artists = character.root, is_artists
    entry.text = json.dumps(profile.to_json())
    entry.parts.clear()
    for name in dict.fromkeys(binding.object for binding in (*profile.keys, *profile.rotations)):
        part = entry.parts.add()
        part.name, part.object = name, character.object(name)


def _renamed(entry: Any) -> _Renamed:
    """From the names in the text to those of the objects now."""
    return tuple((part.name, part.object.name) for part in entry.parts if part.object is not None)


def _read(entry: Any) -> RigProfile:
    return _parsed(entry.text, _renamed(entry))


@lru_cache(maxsize=16)
def _parsed(text: str, renamed: _Renamed) -> RigProfile:
    profile, names = RigProfile.from_json(json.loads(text)), dict(renamed)
    return replace(
        profile,
        keys=tuple(replace(binding, object=names.get(binding.object, binding.object)) for binding in profile.keys),
        rotations=tuple(replace(b, object=names.get(b.object, b.object)) for b in profile.rotations),
    )


@lru_cache(maxsize=16)
def _rows(text: str, renamed: _Renamed) -> Mapping[str, ChannelRow]:
    profile = _parsed(text, renamed)
    return {channel: _row(profile.bindings_of(channel)) for channel in CHANNELS}


def _row(bindings: tuple[Binding, ...]) -> ChannelRow:
    if not bindings:
        return ChannelRow("missing", (), "")
    names = tuple(dict.fromkeys(b.key if isinstance(b, KeyBinding) else b.bone or b.object for b in bindings))
    if any(binding.source == "artist" for binding in bindings):
        return ChannelRow("artist", names, "yours")
    least = min(bindings, key=lambda binding: binding.confidence)
    found = {"name": "name", "geometry": "shape"}[least.source]
    if least.confidence == 1.0:
        return ChannelRow("named" if least.source == "name" else "guessed", names, found)
    return ChannelRow("guessed", names, f"{found} {least.confidence:.0%}".replace("%", " %"))
