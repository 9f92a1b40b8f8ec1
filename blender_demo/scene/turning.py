# SPDX-License-Identifier: GPL-3.0-or-later
"""What turns on a character: head, neck, eyes, jaw. (A first version; being deepened.)"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.mapping.names import plain
from .character import Character, rest_matrix, rig_bones
from .rig_profile import Role, Source

__all__ = ["FacePlace", "Found", "Turning", "deformed_vertices", "find_turning"]
NECK_SHARE: Final = 0.4
_POSE_BY_CONSTRAINT: Final = {"COPY_ROTATION", "COPY_TRANSFORMS", "DAMPED_TRACK", "TRACK_TO", "LOCKED_TRACK", "ARMATURE"}


@dataclass(frozen=True)
class FacePlace:
    mouth: NDArray | None = None
    eye_left: NDArray | None = None
    eye_right: NDArray | None = None
    frame: NDArray | None = None
    vertices: Mapping[str, NDArray] = field(default_factory=dict)


@dataclass(frozen=True)
class Turning:
    object: bpy.types.Object
    bone: str
    role: Role
    side: str
    share: float
    source: Source
    confidence: float
    position: NDArray


@dataclass(frozen=True)
class Found:
    turnings: tuple[Turning, ...]
    missing: dict[str, str]
    notes: tuple[str, ...] = ()


@cache
def _bone_names():
    with (Path(__file__).parent / "bone_names.toml").open("rb") as stream:
        return {role: tuple(plain(name) for name in names) for role, names in tomllib.load(stream).items()}


def _find_named(candidates, role):
    by_plain = {}
    for name in candidates:
        by_plain.setdefault(plain(name), name)
    for wanted in _bone_names()[role]:
        if wanted in by_plain:
            return by_plain[wanted]
    endings = [(len(f), n) for f, n in by_plain.items() if any(f.endswith(w) for w in _bone_names()[role] if len(w) > 3)]
    return min(endings)[1] if endings else None


def _free_bones(armature):
    return {b.name: b for b in armature.pose.bones if not any(c.type in _POSE_BY_CONSTRAINT and not c.mute for c in b.constraints)}


def find_turning(character: Character, place: FacePlace | None = None) -> Found:
    out, missing = [], {}
    armature = character.armature
    bones: Any = _free_bones(armature) if armature else {}
    loose = {p.name: p for p in character.parts if p.type in {"MESH", "EMPTY"} and p != character.root and p not in character.meshes}
    eyes = []
    for side in ("left", "right"):
        bone = _find_named(bones, f"eye_{side}")
        if armature is not None and bone is not None:
            eyes.append(Turning(armature, bone, "eye", side, 1.0, "name", 1.0, np.array(rest_matrix(armature) @ rig_bones(armature)[bone].head_local)))
        elif (name := _find_named(loose, f"eye_{side}")) is not None and not any(m.type == "ARMATURE" for m in loose[name].modifiers):
            eyes.append(Turning(loose[name], "", "eye", side, 1.0, "name", 1.0, np.array(rest_matrix(loose[name]).translation)))
    if len(eyes) == 2:
        out += eyes
    else:
        missing["eyes"] = "No bone or object is named like an eye."
    if armature is None:
        out.append(Turning(character.root, "", "head", "", 1.0, "name", 1.0, np.zeros(3)))
    else:
        head, neck = _find_named(bones, "head"), _find_named(bones, "neck")
        if head is None:
            missing["head"] = "No bone is named like a head, so the head does not turn."
        else:
            has_neck = neck is not None and bones[neck] in bones[head].parent_recursive
            if has_neck:
                out.append(Turning(armature, neck, "neck", "", NECK_SHARE, "name", 1.0, np.zeros(3)))
            out.append(Turning(armature, head, "head", "", 1.0 - NECK_SHARE * has_neck, "name", 1.0, np.zeros(3)))
    return Found(tuple(out), missing)


def deformed_vertices(mesh, armature, bone):
    names = {bone, *(b.name for b in rig_bones(armature)[bone].children_recursive)}
    groups = {g.index for g in mesh.vertex_groups if g.name in names}
    return np.array([sum(g.weight for g in v.groups if g.group in groups) for v in mesh.data.vertices], np.float32)
