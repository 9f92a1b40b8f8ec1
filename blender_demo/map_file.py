# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the characters in a file can be driven, for the command line: open or import it, look, change nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import bpy

from . import compat
from .backend.errors import RigError
from .scene.character import Character, find_character
from .scene.detect import detect_character
from .scene.rig_profile import RigProfile

__all__ = ["FORMATS", "Mapped", "characters_in", "map_file", "open_model"]

FORMATS: Final = (".blend", ".fbx", ".glb", ".gltf", ".vrm")


@dataclass(frozen=True)
class Mapped:
    """One character of a file: its profile, or why it has none."""

    name: str
    profile: RigProfile | None
    refusal: str = ""


def map_file(path: Path, object_name: str | None = None) -> list[Mapped]:
    """Each character of a file, the one with most channels first. Replaces what is open in this Blender.

    object_name: look at the character of this object alone. Raises RigError for a file that cannot be read.
    """
    open_model(path)
    mapped = [_mapped(character) for character in characters_in(path, object_name)]
    if not mapped:
        raise RigError(f"{path} has no mesh and no armature, so there is nothing to drive.")
    return sorted(mapped, key=lambda one: -len(one.profile.carried) if one.profile else 0)


def open_model(path: Path) -> None:
    """Open a .blend, or import another model into an empty scene. Raises RigError."""
    if path.suffix.lower() not in FORMATS:
        raise RigError(f"{path} cannot be looked at. Give a file that ends in {', '.join(FORMATS)}.")
    if not path.is_file():
        raise RigError(f"The file {path} does not exist.")
    try:
        if path.suffix.lower() == ".blend":
            bpy.ops.wm.open_mainfile(filepath=str(path.absolute()), load_ui=False)
            return
        bpy.ops.wm.read_factory_settings(use_empty=True)
        compat.import_model(path.absolute())
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].removeprefix("Error: ").rstrip(".")
        raise RigError(f"{path} cannot be read: {reason}. Export it again.") from error


def characters_in(path: Path, object_name: str | None = None) -> Iterator[Character]:
    """The characters of what is open now: those with shape keys, or all where none has any."""
    if object_name is not None:
        named = bpy.data.objects.get(object_name)
        if named is None:
            raise RigError(f"{path} has no object '{object_name}'.")
        yield find_character(named)
        return
    found: dict[str, Character] = {}
    for obj in bpy.data.objects:
        if obj.type not in {"MESH", "ARMATURE"}:
            continue
        try:
            character = find_character(obj)
        except RigError:
            continue  # a prop
        found.setdefault(character.name, character)
    keyed = [character for character in found.values() if character.meshes]
    yield from keyed or found.values()


def _mapped(character: Character) -> Mapped:
    try:
        return Mapped(character.name, detect_character(character))
    except RigError as error:
        return Mapped(character.name, None, str(error))
