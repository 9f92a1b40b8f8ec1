# SPDX-License-Identifier: GPL-3.0-or-later
"""Which shape keys of a character show which channels: by their names, else by what they move."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.mapping.by_shape import find_face_in, read_shapes
from ..backend.mapping.names import Recognized, is_of_body, recognize
from ..backend.motion.factors import FACTOR_OF
from .character import Character, shape_keys
from .face_frame import frames_from_normals
from .face_points import KeyedMesh, read_mesh
from .key_values import factor_of
from .rig_profile import KeyBinding
from .skin import deformed_vertices

__all__ = ["KeysFound", "bind_by_name", "bind_by_shape", "key_names", "without_doubles"]

_MEANINGLESS: Final = re.compile(
    r"[\W\d_]*(target|morph|key|shape|blend ?shape|shape ?key|mesh|frame|value|new|node|expression|pose)?[\W\d_]*",
    re.IGNORECASE,
)
"""Names that programs give: numbers, and what they put in front of them."""

_FEW: Final = 3
"""Names of a face from which the names of a character are taken to mean something."""

_ON_HEAD: Final = 0.5
"""Part of its motion that a key of a face has on what hangs on the head."""

_ENOUGH_READ, _ENOUGH_PART = 12, 0.25
"""Things of a face that keys show, and their part of all keys, from which there is a face and no waving cloth."""

_DOUBTED: Final = 0.5
"""Confidence up to which the name of a key says nothing on a prop: a door opens too."""

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


def _is_prop(mesh: bpy.types.Object, character: Character) -> bool:
    """Whether a mesh is called something that is no part of a face, and hangs on no armature that tells better."""
    return character.armature is None and is_of_body(mesh.name)


def bind_by_name(character: Character) -> tuple[KeyBinding, ...]:
    """The keys of all meshes whose names tell what they show, all that there are."""
    meshes = _keyed_once(character)
    known = recognize([name for mesh in meshes for name in key_names(mesh)])
    return tuple(
        KeyBinding(mesh.name, name, dict(known[name].channels), low=_low(mesh, name, known[name]),
                   confidence=known[name].confidence, convention=known[name].convention)
        for mesh in meshes for name in key_names(mesh)
        if name in known and known[name].channels
        and (known[name].confidence > _DOUBTED or not _is_prop(mesh, character))
    )  # fmt: skip


def _low(mesh: bpy.types.Object, name: str, known: Recognized) -> float:
    """A key that goes both ways does so only where its slider allows it."""
    block = shape_keys(mesh).key_blocks[name]
    return max(known.low, -1.0) if block.slider_min < 0.0 else 0.0


def bind_by_shape(
    character: Character,
    named: Sequence[KeyBinding],
    frame: NDArray[np.float64] | None,
    head: tuple[bpy.types.Object, str] | None = None,
) -> KeysFound:
    """The keys whose names tell nothing, by what they move.

    frame: the head frame (3, 3) where it is known. head: armature and bone of the head where a name tells it; what
    keys move elsewhere is a body.
    """
    spoken = {binding.key for binding in named}
    means = len(spoken) >= _FEW
    read: dict[str, KeyedMesh] = {}
    nameless: dict[str, list[str]] = {}
    for mesh in (mesh for mesh in _keyed_once(character) if not _is_prop(mesh, character)):
        said_nothing = _MEANINGLESS.fullmatch if means else lambda name: not is_of_body(name)
        if any(name not in spoken and said_nothing(name) for name in key_names(mesh)):
            keyed = _of_head(read_mesh(mesh), head)
            read[mesh.name] = keyed
            nameless[mesh.name] = [name for name in keyed.names if name not in spoken and said_nothing(name)]
    if not any(nameless.values()):
        return KeysFound(())
    main = max(read.values(), key=lambda keyed: len(nameless[keyed.object.name]))
    frames = [frame] if frame is not None else frames_from_normals(main, character)
    found = find_face_in(frames, main.points, main.deltas)
    if found is None:
        return KeysFound(())
    face, frame = found
    bindings: list[KeyBinding] = []
    for mesh, keyed in read.items():
        taken = {channel for b in named if b.object == mesh for channel in b.carried}
        rows = [keyed.names.index(name) for name in nameless[mesh]]
        readings = read_shapes(keyed.points @ frame, keyed.deltas[rows] @ frame, face.face, taken)
        bindings += [
            KeyBinding(mesh, name, dict(reading.channels), source="geometry", confidence=reading.confidence)
            for name, reading in zip(nameless[mesh], readings, strict=True) if reading is not None
        ]  # fmt: skip
    kinds = {frozenset(binding.carried) for binding in bindings}
    if len(kinds) < min(_ENOUGH_READ, _ENOUGH_PART * sum(map(len, nameless.values()))):
        return KeysFound(())
    return KeysFound(tuple(bindings), frame)


def _of_head(keyed: KeyedMesh, head: tuple[bpy.types.Object, str] | None) -> KeyedMesh:
    """The keys that move what hangs on the head more than all else; all of them where it is not known what does."""
    held = deformed_vertices(keyed.object, *head)[keyed.vertices] if head is not None else np.zeros(0)
    if not held.any():
        return keyed
    rows = [row for row, name in enumerate(keyed.names) if held @ keyed.energy_of(name) >= _ON_HEAD]
    return replace(keyed, names=tuple(keyed.names[row] for row in rows), deltas=keyed.deltas[rows])


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
