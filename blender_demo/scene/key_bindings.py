# SPDX-License-Identifier: GPL-3.0-or-later
"""Which shape keys of a character show which channels: by their names, else by what they move."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.mapping.by_shape import FaceFound, find_face, read_shapes
from ..backend.mapping.names import Recognized, recognize
from ..backend.motion.factors import FACTOR_OF
from .character import Character, shape_keys
from .face_frame import frames_from_normals
from .face_points import KeyedMesh, read_mesh
from .key_values import factor_of
from .rig_profile import KeyBinding

__all__ = ["KeysFound", "bind_by_name", "bind_by_shape", "key_names", "without_doubles"]

_MEANINGLESS: Final = re.compile(
    r"[\W\d_]*(target|morph|key|shape|blend ?shape|shape ?key|mesh|frame|value|new|node|expression|pose)?[\W\d_]*",
    re.IGNORECASE,
)
"""Names that programs give: numbers, and what they put in front of them."""

_FEW: Final = 3
"""Names of a face from which the names of a character are taken to mean something."""

_SAYS_NOTHING: Final = 0.25
"""Mean likeness of keys to those of a face below which the face is looked for in other directions."""

_ENOUGH_LIP_CHANNELS: Final = 12
"""Keys for single channels of the lips from which visemes are left at rest."""

_VISEME_PARTS: Final = 3
"""Channels from which a key of the lips is a viseme, and not one of both sides."""


@dataclass(frozen=True)
class KeysFound:
    """The bindings, and the head frame (3, 3) where the geometry of keys told it."""

    bindings: tuple[KeyBinding, ...]
    frame: NDArray[np.float64] | None = None


def key_names(mesh: bpy.types.Object) -> list[str]:
    """Names of a mesh's shape keys, the basis left out."""
    keys = shape_keys(mesh)
    return [block.name for block in keys.key_blocks if block != keys.reference_key]


def _keyed_once(character: Character) -> list[bpy.types.Object]:
    """The meshes with shape keys, one of those that share their keys."""
    return list({shape_keys(mesh).session_uid: mesh for mesh in reversed(character.meshes)}.values())[::-1]


def bind_by_name(character: Character) -> tuple[KeyBinding, ...]:
    """The keys of all meshes whose names tell what they show, all that there are."""
    meshes = _keyed_once(character)
    known = recognize([name for mesh in meshes for name in key_names(mesh)])
    return tuple(
        KeyBinding(mesh.name, name, dict(known[name].channels), low=_low(mesh, name, known[name]),
                   confidence=known[name].confidence, convention=known[name].convention)
        for mesh in meshes for name in key_names(mesh) if name in known and known[name].channels
    )  # fmt: skip


def _low(mesh: bpy.types.Object, name: str, known: Recognized) -> float:
    """A key that goes both ways does so only where its slider allows it."""
    block = shape_keys(mesh).key_blocks[name]
    return max(known.low, -1.0) if block.slider_min < 0.0 else 0.0


def bind_by_shape(character: Character, named: Sequence[KeyBinding], frame: NDArray[np.float64] | None) -> KeysFound:
    """The keys whose names tell nothing, by what they move. frame: the head frame (3, 3) where it is known."""
    spoken = {binding.key for binding in named}
    means = len(spoken) >= _FEW
    meshes: dict[bpy.types.Object, list[str]] = {}
    for mesh in _keyed_once(character):
        names = [n for n in key_names(mesh) if n not in spoken and (not means or _MEANINGLESS.fullmatch(n))]
        if names:
            meshes[mesh] = names
    if not meshes:
        return KeysFound(())
    read = {mesh: read_mesh(mesh) for mesh in meshes}
    main = max(read.values(), key=lambda keyed: len(meshes[keyed.object]))
    frames = [frame] if frame is not None else frames_from_normals(main, character)
    found, frame = _find(main, frames)
    if found is None:
        return KeysFound(())
    bindings: list[KeyBinding] = []
    for mesh, keyed in read.items():
        taken = {channel for b in named if b.object == mesh.name for channel in b.carried}
        rows = [keyed.names.index(name) for name in meshes[mesh]]
        readings = read_shapes(keyed.points @ frame, keyed.deltas[rows] @ frame, found.face, taken)
        bindings += [
            KeyBinding(mesh.name, name, dict(reading.channels), source="geometry", confidence=reading.confidence)
            for name, reading in zip(meshes[mesh], readings, strict=True) if reading is not None
        ]  # fmt: skip
    return KeysFound(tuple(bindings), frame)


def _find(keyed: KeyedMesh, frames: Iterable[NDArray[np.float64]]) -> tuple[FaceFound | None, NDArray[np.float64]]:
    """The face that the keys of a mesh speak for, and the head frame of `frames` in which they do so most."""
    best, best_frame = None, np.eye(3)
    moving = int((np.abs(keyed.deltas).max(axis=(1, 2), initial=0.0) > 0.0).sum())
    for frame in frames:
        found = find_face(keyed.points @ frame, keyed.deltas @ frame)
        if found is not None and (best is None or found.likeness > best.likeness):
            best, best_frame = found, frame
        if best is not None and best.likeness >= _SAYS_NOTHING * moving:
            break
    return best, best_frame


def without_doubles(bindings: Sequence[KeyBinding]) -> tuple[KeyBinding, ...]:
    """The bindings that show each motion once on each mesh.

    Of keys for the same channel the surest stays, and an ARKit set of the lips makes visemes needless. Among several
    sets of visemes the largest stays.
    """
    kept: list[KeyBinding] = []
    by_mesh: dict[str, list[KeyBinding]] = defaultdict(list)
    for binding in bindings:
        by_mesh[binding.object].append(binding)
    for found in by_mesh.values():
        single = _surest([b for b in found if b.channel is not None and b.channels[b.channel] == 1.0 and b.low == 0.0])
        carried = set(single)
        both = [b for b in found if b not in single.values() and len(b.channels) < _VISEME_PARTS]
        both = [b for b in _surest_of_each(both) if not b.carried <= carried]
        lips = sum(FACTOR_OF[channel] == "lip" for channel in carried)
        visemes = [b for b in found if len(b.channels) >= _VISEME_PARTS]
        spoken = [b for b in visemes if factor_of(b) == "lip"]
        others = [b for b in _surest_of_each([b for b in visemes if b not in spoken]) if not b.carried <= carried]
        kept += [*single.values(), *both, *others]
        if spoken and lips < _ENOUGH_LIP_CHANNELS:
            set_name = Counter(b.convention for b in spoken).most_common(1)[0][0]
            kept += [b for b in spoken if b.convention == set_name]
    order = {id(binding): place for place, binding in enumerate(bindings)}
    return tuple(sorted(kept, key=lambda binding: order[id(binding)]))


def _surest(bindings: Iterable[KeyBinding]) -> dict[str, KeyBinding]:
    """For each channel the key that stands for it with most confidence."""
    best: dict[str, KeyBinding] = {}
    for binding in bindings:
        channel = binding.channel or ""
        if channel not in best or binding.confidence > best[channel].confidence:
            best[channel] = binding
    return best


def _surest_of_each(bindings: Iterable[KeyBinding]) -> list[KeyBinding]:
    """Of keys that show the same mixture the one with most confidence."""
    best: dict[tuple[tuple[str, float], ...], KeyBinding] = {}
    for binding in bindings:
        shown = tuple(sorted(binding.channels.items()))
        if shown not in best or binding.confidence > best[shown].confidence:
            best[shown] = binding
    return list(best.values())
