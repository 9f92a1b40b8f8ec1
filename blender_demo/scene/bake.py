# SPDX-License-Identifier: GPL-3.0-or-later
"""Bake a MotionClip onto a character.

All is computed and checked before anything is written, so that a refusal leaves the scene as it was.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import bpy
import numpy as np

from ..backend.errors import BakeError
from ..backend.motion.clip import MotionClip
from ..backend.motion.reduce import reduce_curves
from ..backend.motion.resample import resample
from .actions import (
    Curve,
    CurveId,
    Layer,
    TakeRange,
    active_paths,
    cut_edge,
    edge_values,
    hidden_by_solo,
    nla_paths,
    own_tracks,
    remove_takes,
    rest_values,
    takes,
    write_rest,
    write_take,
)
from .character import Character, half_linked_meshes
from .plan import BakeOptions, FactorBake, Plan, Samples, make_plan
from .rig_profile import RigProfile

__all__ = ["BakeOptions", "BakeReport", "FactorBake", "bake", "remove_bake", "scene_fps"]

_FRAME_LIMIT: Final = 1_000_000
"""Blender's own limit for frames."""


@dataclass(frozen=True)
class BakeReport:
    """What a bake wrote. `warnings` are what the artist should act on, `notes` what is good to know; sentences both."""

    curves: int
    keys: int
    seconds: float
    action: str
    tracks: tuple[str, ...]
    first_frame: float
    last_frame: float
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def scene_fps(scene: bpy.types.Scene) -> float:
    """Frames per second of a scene; 23.976 is 24 over a base of 1.001."""
    return scene.render.fps / scene.render.fps_base


def bake(
    clip: MotionClip, character: Character, profile: RigProfile, options: BakeOptions, scene: bpy.types.Scene
) -> BakeReport:
    """Write a clip onto a character as one take. Raises DemoError, with the scene unchanged, where it cannot."""
    started = time.perf_counter()
    _check_options(clip, options)
    clip = resample(clip, scene_fps(scene))
    plan, warnings = make_plan(clip, character, profile, options)
    if not plan:
        raise BakeError(
            f"Nothing of '{character.name}' can be baked: its factors are switched off, or drivers hold what they move."
        )
    _check_libraries(character, profile)
    for block, _ in plan:
        _check_block(block)
    start = options.start_frame
    end = start + max(len(clip) - 1, 1)
    blocks = list(character.data_blocks())
    existing = takes(blocks)
    replaced = {take.name for take in existing if take.name == options.take or (take.start < end and take.end > start)}
    sides = _sides(
        start, end, options.ease_s * scene_fps(scene), [take for take in existing if take.name not in replaced]
    )
    rest = _rest_values(plan)
    layers = [_layer(block, factor, samples, rest, options, sides) for (block, factor), samples in plan.items()]
    warnings += _hindrances(layers)

    remove_takes(blocks, replaced)
    for side in sides:
        if side.neighbor:
            cut_edge(blocks, side.neighbor, side.before)
    write_rest(character.name, _without_artists(rest), start)
    actions = write_take(options.take, layers, start, end)
    return BakeReport(
        curves=sum(len(layer.curves) for layer in layers),
        keys=sum(len(curve.frames) for layer in layers for curve in layer.curves),
        seconds=time.perf_counter() - started,
        action=actions[0].name,
        tracks=tuple(dict.fromkeys(track.name for layer in layers for track in own_tracks(layer.block))),
        first_frame=start,
        last_frame=end,
        warnings=tuple(dict.fromkeys(warnings)),
        notes=profile.notes,
    )


def remove_bake(character: Character) -> int:
    """Remove every take from a character and put its properties back; the number of strips removed."""
    blocks = list(character.data_blocks())
    before = [(block, rest_values(block)) for block in blocks]
    count = remove_takes(blocks)
    for block, values in before:
        for (path, index), value in values.items():
            _set(block, path, index, value)
    return count


def _check_options(clip: MotionClip, options: BakeOptions) -> None:
    if len(clip) == 0:
        raise BakeError("The motion clip is empty. Generate it again from a longer recording.")
    if not options.take:
        raise BakeError("The take needs a name.")
    if not (np.isfinite(options.tolerance) and 0.0 <= options.tolerance <= 0.1):
        raise BakeError(f"The key tolerance must be between 0 and 0.1, not {options.tolerance}.")
    if not (np.isfinite(options.start_frame) and abs(options.start_frame) < _FRAME_LIMIT):
        raise BakeError(f"The start frame must be a frame of the scene, not {options.start_frame}.")


def _check_libraries(character: Character, profile: RigProfile) -> None:
    """Raise BakeError where what the profile drives may only be changed in another file."""
    driven = {binding.object for binding in (*profile.keys, *profile.rotations)}
    for part in character.parts:
        if part.name in driven and part.library is not None:
            raise BakeError(
                f"'{part.name}' is linked from {part.library.filepath} and cannot be animated here. "
                "Make a library override of it: Object > Library Override > Make."
            )
    for mesh in half_linked_meshes(character):
        raise BakeError(
            f"The shape keys of '{mesh.name}' are still linked, as library overrides leave them out. "
            "Press 'Make Shape Keys Editable' in the sidebar."
        )


def _check_block(block: Any) -> None:
    """Raise BakeError where a data-block cannot be animated."""
    animation = block.animation_data
    if animation is not None and animation.use_tweak_mode:
        raise BakeError(f"'{block.name}' is in tweak mode. Leave it (Tab over the NLA Editor), then bake again.")
    if isinstance(block, bpy.types.Key) and not block.use_relative:
        raise BakeError(
            f"The shape keys of '{block.name}' are absolute. Switch them to Relative in the Shape Keys panel."
        )


@dataclass(frozen=True)
class _Side:
    """The way into a take (`before`) or out of it.

    frames: how long it is. neighbor: the take that it comes from or leads to; rest if empty.
    """

    before: bool
    frames: float
    neighbor: str = ""


def _sides(start: float, end: float, frames: float, others: Sequence[TakeRange]) -> tuple[_Side, _Side]:
    """Both ways. Where another take is so close that the ways to rest would overlap, the takes lead to each other."""
    lead, tail = _Side(True, frames), _Side(False, frames)
    for take in others:
        if 0.0 <= start - take.end < min(lead.frames + take.tail, lead.frames if lead.neighbor else np.inf):
            lead = _Side(True, start - take.end, take.name)
        if 0.0 <= take.start - end < min(tail.frames + take.lead, tail.frames if tail.neighbor else np.inf):
            tail = _Side(False, take.start - end, take.name)
    return lead, tail


def _layer(
    block: Any,
    factor: str,
    samples: Sequence[Samples],
    rest: dict[Any, dict[CurveId, float]],
    options: BakeOptions,
    sides: Sequence[_Side],
) -> Layer:
    """Choose the keys of one factor on one data-block, and add those on the ways from rest and back to it."""
    blend = options.factors.get(factor, FactorBake()).blend
    if any(s.path.endswith("axis_angle") for s in samples):
        blend = "REPLACE"  # two axes cannot be added
    edges = [edge_values(block, side.neighbor, side.before) if side.neighbor else {} for side in sides]
    kept = reduce_curves(np.stack([s.values for s in samples], axis=1), [s.tolerance for s in samples])
    curves = []
    for s, indices in zip(samples, kept, strict=True):
        frames, values = options.start_frame + indices.astype(np.float64), s.values[indices]
        if len(frames) == 1:
            frames, values = np.append(frames, frames + 1.0), np.append(values, values)
        away = s.neutral if blend == "COMBINE" else rest[block][s.path, s.index]
        for side, edge in zip(sides, edges, strict=True):
            at = 0 if side.before else len(frames)
            frame = frames[0] - side.frames if side.before else frames[-1] + side.frames
            if side.frames > 0.0:
                frames, values = np.insert(frames, at, frame), np.insert(values, at, edge.get((s.path, s.index), away))
        curves.append(Curve(s.path, s.index, frames, values))
    return Layer(block, factor, tuple(curves), blend)


def _rest_values(plan: Plan) -> dict[Any, dict[CurveId, float]]:
    """For each data-block what its properties are without a take: as they are now, unless something animates them."""
    rest: dict[Any, dict[CurveId, float]] = {}
    for (block, _), samples in plan.items():
        before, animated = rest_values(block), nla_paths(block) | active_paths(block)
        values = rest.setdefault(block, dict(before))
        for s in samples:
            values.setdefault(
                (s.path, s.index), s.neutral if (s.path, s.index) in animated else _get(block, s.path, s.index)
            )
    return rest


def _without_artists(rest: dict[Any, dict[CurveId, float]]) -> list[tuple[Any, dict[CurveId, float]]]:
    """What the rest tracks may hold: not what the artist's own tracks animate, which they would hide."""
    return [
        (block, {key: value for key, value in values.items() if key not in nla_paths(block)})
        for block, values in rest.items()
    ]


def _get(block: Any, path: str, index: int) -> float:
    value = block.path_resolve(path)
    return float(value[index] if hasattr(value, "__len__") else value)


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


def _hindrances(layers: Iterable[Layer]) -> list[str]:
    """Sentences on what of the artist's will keep a take from showing."""
    paths: dict[Any, set[CurveId]] = defaultdict(set)
    for layer in layers:
        paths[layer.block] |= {(curve.path, curve.index) for curve in layer.curves}
    sentences = []
    for block, own in paths.items():
        animation = block.animation_data
        if animation is None:
            continue
        if hidden := own & active_paths(block):
            sentences.append(
                f"The active Action '{animation.action.name}' of '{block.name}' hides {len(hidden)} of its curves. "
                "Push it down into the NLA to see both."
            )
        if not animation.use_nla:
            sentences.append(f"The NLA of '{block.name}' is switched off, so the take does not show.")
        if hidden_by_solo(block):
            sentences.append(f"A track of '{block.name}' is solo in the NLA, so the take does not show.")
    return sentences
