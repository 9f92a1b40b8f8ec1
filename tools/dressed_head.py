# SPDX-License-Identifier: GPL-3.0-or-later
"""The own head as others build theirs: with visemes, vowels, names that say nothing, or a jaw bone alone."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import bpy
import numpy as np

from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.mapping.names import recognize
from blender_demo.backend.motion.factors import ARKIT_NAMES
from blender_demo.scene.character import Character, find_character, shape_keys
from blender_demo.scene.head import KEYED_PARTS, add_head

__all__ = ["CONVENTIONS", "OCULUS", "VRM", "dressed_head"]

OCULUS: Final = tuple(
    f"viseme_{name}" for name in ("PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U")
)
VRM: Final = ("A", "I", "U", "E", "O", "Blink", "LookUp", "LookDown")

_HINGE: Final = (0.0, -0.017, -0.009)
_CHIN: Final = (0.0, -0.095, -0.075)
"""Where the jaw bone begins and ends, in metres."""


def dressed_head(scene: bpy.types.Scene, convention: str) -> Character:
    """Put the head into a scene, dressed as one of CONVENTIONS."""
    made = add_head(scene)
    CONVENTIONS[convention](made.meshes[0], made.armature)
    return find_character(made.meshes[0])


def _mixed(names: Sequence[str]) -> Callable[[Any, Any], None]:
    """In place of the head's keys those of a convention, mixed of them."""

    def dress(face: Any, _armature: Any) -> None:
        blocks = shape_keys(face).key_blocks
        for name, known in recognize(names).items():
            for block in blocks:
                block.value = known.channels.get(block.name, 0.0)
            face.shape_key_add(name=name, from_mix=True)
        for block in list(blocks)[1:]:
            if block.name not in names:
                face.shape_key_remove(block)
        for block in blocks:
            block.value = 0.0

    return dress


def _nameless(face: Any, _armature: Any) -> None:
    blocks = list(shape_keys(face).key_blocks)[1:]
    for number, place in enumerate(np.random.default_rng(3).permutation(len(blocks))):
        blocks[place].name = f"target_{number}"


def _jaw(face: Any, armature: Any) -> None:
    """A bone that holds what jawOpen moves, and no keys."""
    head = load_head()
    motion = np.linalg.norm(head.deltas[ARKIT_NAMES.index("jawOpen")], axis=1)
    lower = motion[head.vertices_of("teethLower")].mean()
    face.shape_key_clear()
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    bone = armature.data.edit_bones.new("jaw")
    bone.head, bone.tail, bone.parent = _HINGE, _CHIN, armature.data.edit_bones["head"]
    bpy.ops.object.mode_set(mode="OBJECT")
    keyed = head.vertices_of(*KEYED_PARTS)
    jaw, others = face.vertex_groups.new(name="jaw"), {g.index: g for g in face.vertex_groups}
    for vertex, weight in enumerate(np.clip(motion[keyed] / lower, 0.0, 1.0).tolist()):
        for group in list(face.data.vertices[vertex].groups) if weight > 0.01 else ():
            others[group.group].add([vertex], group.weight * (1.0 - weight), "REPLACE")
        if weight > 0.01:
            jaw.add([vertex], weight, "REPLACE")


CONVENTIONS: Final[dict[str, Callable[[Any, Any], None]]] = {
    "ARKit": lambda _face, _armature: None,
    "no names": _nameless,
    "Oculus visemes": _mixed(OCULUS),
    "VRM": _mixed(VRM),
    "jaw bone": _jaw,
}
