# SPDX-License-Identifier: GPL-3.0-or-later
"""Bake a MotionClip onto a character, and take everything away again.

All is computed and checked before anything is written, so that a refusal leaves the scene as it was.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import bpy

from ..backend.errors import BakeError
from ..backend.motion.clip import MotionClip
from .actions import (
    MARKER,
    CurveId,
    cut_edge,
    nla_paths,
    own_tracks,
    remove_active,
    remove_empty_tracks,
    remove_takes,
    rest_values,
    write_into_active,
    write_new_active,
    write_rest,
    write_take,
)
from .bake_options import BakeOptions, FactorBake
from .character import Character
from .draft import Draft, draft_bake, scene_fps
from .preflight import Finding, blockers, hindrances, left_alone
from .rig_profile import RigProfile

__all__ = ["BakeOptions", "BakeReport", "FactorBake", "bake", "remove_all", "remove_bake", "scene_fps"]


@dataclass(frozen=True)
class BakeReport:
    """What a bake wrote. `findings` are what the artist should know or act on, `notes` what is good to know of the
    character, sentences."""

    curves: int
    keys: int
    seconds: float
    action: str
    tracks: tuple[str, ...]
    first_frame: float
    last_frame: float
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The findings as sentences, each once."""
        return tuple(dict.fromkeys(finding.text for finding in self.findings))


def bake(
    clip: MotionClip, character: Character, profile: RigProfile, options: BakeOptions, scene: bpy.types.Scene
) -> BakeReport:
    """Write a clip onto a character as one take. Raises DemoError, with the scene unchanged, where it cannot."""
    started = time.perf_counter()
    for finding in blockers(character, profile):
        raise BakeError(finding.text)
    draft = draft_bake(clip, character, profile, options, scene)
    action, pushed = _write(draft, character, options)
    findings = [*left_alone(draft), *hindrances(character, profile, draft, options, scene)]
    for name in pushed:
        text = f"Your Action '{name}' was pushed down into the NLA, where it plays beneath the take."
        findings.append(Finding("pushed_down", name, "INFO", text))
    return BakeReport(
        curves=draft.curves,
        keys=draft.keys,
        seconds=time.perf_counter() - started,
        action=action,
        tracks=tuple(dict.fromkeys(track.name for layer in draft.layers for track in own_tracks(layer.block))),
        first_frame=draft.take.start,
        last_frame=draft.take.end,
        findings=tuple(findings),
        notes=profile.notes,
    )


def _write(draft: Draft, character: Character, options: BakeOptions) -> tuple[str, list[str]]:
    """Put a draft into the scene. Returns the name of its Action, and of the artist's that were pushed down."""
    blocks = list(character.data_blocks())
    remove_takes(blocks, set(draft.replaced), keep_tracks=options.target == "NLA")
    if options.target == "ACTIVE":
        return write_into_active(draft.take, draft.layers)[0].name, []
    remove_active(blocks, set(draft.replaced))
    if options.target == "NEW":
        actions, pushed = write_new_active(draft.take, draft.layers)
        return actions[0].name, pushed
    for side in draft.sides:
        if side.neighbor:
            cut_edge(blocks, side.neighbor, side.before)
    write_rest(character.name, _without_artists(draft.rest), draft.take.start)
    action = write_take(draft.take, draft.layers)[0]
    remove_empty_tracks(blocks)
    return action.name, []


def remove_bake(character: Character) -> int:
    """Remove every take from a character and put its properties back; how many strips and Actions were removed.

    Keys baked into an Action of the artist's are the artist's, and stay.
    """
    return _remove(list(character.data_blocks()))


def remove_all(scene: bpy.types.Scene) -> int:
    """Remove every take from everything in a scene, and what was left of such; how many were removed."""
    blocks: dict[Any, None] = {}
    for obj in scene.objects:
        keys = getattr(obj.data, "shape_keys", None)
        blocks |= dict.fromkeys((obj, keys) if keys is not None else (obj,))
    count = _remove(blocks)
    for action in [action for action in bpy.data.actions if MARKER in action and action.users == 0]:
        bpy.data.actions.remove(action)
        count += 1
    return count


def _remove(blocks: Iterable[Any]) -> int:
    before = [(block, rest_values(block)) for block in blocks if block.library is None]
    count = remove_takes(block for block, _ in before) + remove_active(block for block, _ in before)
    for block, values in before:
        for (path, index), value in values.items():
            _set(block, path, index, value)
    return count


def _without_artists(rest: dict[Any, dict[CurveId, float]]) -> list[tuple[Any, dict[CurveId, float]]]:
    """What the rest tracks may hold: not what the artist's own tracks animate, which they would hide."""
    return [
        (block, {key: value for key, value in values.items() if key not in nla_paths(block)})
        for block, values in rest.items()
    ]


def _set(block: Any, path: str, index: int, value: float) -> None:
    """Set an animated property; nothing where its bone or key is gone since."""
    owner_path, _, name = path.rpartition(".")
    try:
        owner = block.path_resolve(owner_path) if owner_path else block
    except ValueError:
        return
    if hasattr(getattr(owner, name), "__len__"):
        getattr(owner, name)[index] = value
    else:
        setattr(owner, name, value)
