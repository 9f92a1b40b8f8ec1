# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the characters in a file can be driven, for the command line: open or import it, look, change nothing."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import bpy
import numpy as np

from . import compat
from .backend.errors import DemoError, RigError
from .backend.motion.clip import MotionClip
from .backend.motion.factors import CHANNELS, MODEL_FPS
from .scene.bake_options import BakeOptions
from .scene.character import Character, find_character
from .scene.detect import detect_character
from .scene.plan import make_plan
from .scene.preflight import blockers
from .scene.rig_profile import RigProfile

__all__ = ["FORMATS", "Mapped", "characters_in", "map_file", "open_model"]

_MANY: Final = 3
"""Sentences of one kind that are told one by one."""

_STARTS: Final = {
    ".blend": (b"BLENDER", b"\x28\xb5\x2f\xfd", b"\x1f\x8b"),  # as it is, or compressed
    ".fbx": (b"Kaydara FBX Binary",),
    ".glb": (b"glTF",),
    ".vrm": (b"glTF",),
}
"""The first bytes of binary files, by their suffix."""

FORMATS: Final = (".blend", ".fbx", ".glb", ".gltf", ".vrm")


@dataclass(frozen=True)
class Mapped:
    """One character of a file: its profile, or why it has none.

    refusal: why it has no profile, or why its lips cannot move now although it has one; empty if they can.
    """

    name: str
    profile: RigProfile | None
    refusal: str = ""

    @property
    def speaks(self) -> bool:
        """Whether a bake would move the lips."""
        return self.profile is not None and self.profile.moves_lips and not self.refusal


def map_file(path: Path, object_name: str | None = None) -> list[Mapped]:
    """Each character of a file, the one with most channels first. Replaces what is open in this Blender.

    object_name: look at the character of this object alone. Raises RigError for a file that cannot be read.
    """
    open_model(path)
    mapped = [_mapped(character) for character in characters_in(path, object_name)]
    if not mapped:
        refusal = f"{path} has neither shape keys nor an armature, so there is nothing to drive. Choose another."
        return [Mapped(path.stem, None, refusal)]
    return sorted(mapped, key=lambda one: (not one.speaks, -len(one.profile.carried) if one.profile else 0))


def open_model(path: Path) -> None:
    """Open a .blend, or import another model into an empty scene. Raises RigError."""
    if path.suffix.lower() not in FORMATS:
        raise RigError(f"{path} cannot be looked at. Give a file that ends in {', '.join(FORMATS)}.")
    _check_content(path)
    try:
        if path.suffix.lower() == ".blend":
            bpy.ops.wm.open_mainfile(filepath=str(path.absolute()), load_ui=False)
            return
        bpy.ops.wm.read_factory_settings(use_empty=True)
        with contextlib.redirect_stderr(io.StringIO()):  # an importer prints its traceback besides
            compat.import_model(path.absolute())
    except RuntimeError as error:
        raise RigError(f"{path} cannot be read: {_reason(error)}. Export it again.") from error


def _reason(error: RuntimeError) -> str:
    """What an operator of Blender complained about, without the places in code that it adds."""
    if "Traceback" in str(error):
        return "Blender's importer stumbles over what it holds"
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Location: ")]
    return lines[-1].strip().removeprefix("Error: ").rstrip(".")


def _check_content(path: Path) -> None:
    """Raise RigError for a file that cannot be read, or is not what its name says."""
    if path.is_dir():
        raise RigError(f"{path} is a folder. Give the file of a character.")
    try:
        with path.open("rb") as stream:
            start = stream.read(32)
    except FileNotFoundError as error:
        raise RigError(f"The file {path} does not exist.") from error
    except OSError as error:
        raise RigError(f"{path} cannot be opened: {error.strerror or error}. Ask for leave to read it.") from error
    if not start:
        raise RigError(f"{path} is empty. Export it again.")
    suffix = path.suffix.lower()
    if start.startswith(b"; FBX"):
        raise RigError(f"{path} is an FBX file written as text. Export it as binary FBX.")
    if suffix in _STARTS and not start.startswith(_STARTS[suffix]):
        true = next((other for other, starts in _STARTS.items() if start.startswith(starts)), None)
        raise RigError(
            f"{path} holds a {true} file. Rename it to end in {true}."
            if true else f"{path} is damaged, or no {suffix} file. Export it again."
        )  # fmt: skip


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
        if obj.type not in {"MESH", "ARMATURE"} or not obj.users_collection:
            continue  # what lies in no collection is left over from something deleted
        try:
            character = find_character(obj)
        except RigError:
            continue  # a prop
        found.setdefault(character.name, character)
    keyed = [character for character in found.values() if character.meshes]
    yield from keyed or found.values()


def _mapped(character: Character) -> Mapped:
    try:
        profile = detect_character(character)
        forbidden = [finding.text for finding in blockers(character, profile)]
        still = MotionClip(MODEL_FPS, np.zeros((2, len(CHANNELS)), np.float32))
        plan, left_alone = make_plan(still, character, profile, BakeOptions())
    except DemoError as error:
        return Mapped(character.name, None, str(error))
    refusal = " ".join(forbidden)
    if not refusal and profile.moves_lips and not any(factor == "lip" for _, factor in plan):
        refusal = f"Drivers hold all that moves the lips of '{character.name}'. Mute them to let the speech move it."
    return Mapped(
        character.name,
        replace(profile, notes=(*profile.notes, *_few(left_alone))),
        refusal,
    )


def _few(sentences: Sequence[str]) -> list[str]:
    """The sentences, or the first of many and how many there are."""
    more = len(sentences) - _MANY
    return [*sentences[:_MANY], *([f"The same holds for {more} more."] if more > 0 else [])]
