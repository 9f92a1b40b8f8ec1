# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything a bake will write, computed before anything is written: keys, frames, and the takes that give way."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import BakeError
from ..backend.motion.bezier import reduce_bezier
from ..backend.motion.clip import MotionClip
from ..backend.motion.reduce import reduce_curves
from . import rotations
from .actions import (
    Curve,
    CurveId,
    Layer,
    Origin,
    TakeRange,
    active_curves,
    active_paths,
    edge_values,
    nla_paths,
    own_active,
    rest_values,
    takes,
)
from .bake_options import BakeOptions
from .character import Character
from .conditioning import condition
from .plan import Plan, Samples, make_plan
from .rig_profile import RigProfile

__all__ = ["Draft", "Side", "draft_bake", "scene_fps", "set_scene_fps"]

_LEAST_GAP: Final = 0.01
"""Frames below which Blender takes two keys of a curve for one, and drops one of them."""

_COARSE: Final = 4.0
"""Bezier keys are begun with those that straight lines need at so many times the tolerance."""


@dataclass(frozen=True)
class Side:
    """The way into a take (`before`) or out of it.

    frames: how long it is. neighbor: the take that it comes from or leads to; rest if empty.
    """

    before: bool
    frames: float
    neighbor: str = ""


@dataclass(frozen=True)
class Draft:
    """take: what will be there. layers: its keys. replaced: the takes that give way. sides: the ways in and out.

    rest: for each data-block what its properties are without a take. warnings: what had to be left alone, sentences.
    locked: what is left alone as its curve in the active Action is locked.
    """

    take: TakeRange
    layers: tuple[Layer, ...]
    replaced: frozenset[str]
    sides: tuple[Side, Side]
    rest: dict[Any, dict[CurveId, float]]
    warnings: tuple[str, ...]
    locked: frozenset[tuple[Any, CurveId]]

    @property
    def keys(self) -> int:
        """How many keys there will be."""
        return sum(len(curve.frames) for layer in self.layers for curve in layer.curves)

    @property
    def curves(self) -> int:
        """How many curves."""
        return sum(len(layer.curves) for layer in self.layers)


def scene_fps(scene: bpy.types.Scene) -> float:
    """Frames per second of a scene; 23.976 is 24 over a base of 1.001."""
    return scene.render.fps / scene.render.fps_base


def set_scene_fps(scene: bpy.types.Scene, fps: float) -> None:
    """Let a scene run at any number of frames per second."""
    scene.render.fps = math.ceil(fps - 1e-6)
    scene.render.fps_base = scene.render.fps / fps


def draft_bake(
    clip: MotionClip, character: Character, profile: RigProfile, options: BakeOptions, scene: bpy.types.Scene
) -> Draft:
    """What a bake will write. Reads the scene and writes nothing. Raises BakeError where there is nothing to write."""
    if len(clip) == 0:
        raise BakeError("The motion clip is empty. Generate it again from a longer recording.")
    fps = scene_fps(scene)
    whole = max(round(len(clip) * fps / clip.fps), 1)
    clip = condition(clip, options, fps)
    plan, warnings = make_plan(clip, character, profile, options)
    locked = _locked(plan) if options.target == "ACTIVE" else frozenset()
    plan = _without(plan, locked)
    if not plan:
        raise BakeError(
            f"Nothing of '{character.name}' can be baked: its factors are switched off, or drivers and locked curves "
            "hold what they move."
        )
    start = options.start_frame + options.rows(whole).start
    end = start + max(len(clip) - 1, 1)
    origin = Origin(options.clip_path, options.start_frame, options.clip_speed)
    take = TakeRange(options.take, start, end, origin=origin)
    existing = takes(character.data_blocks())
    replaced = {one.name for one in existing if one.name == take.name or (one.start < end and one.end > start)}
    ease = options.ease_s * fps
    if options.target == "NLA":
        sides = _sides(start, end, ease, [one for one in existing if one.name not in replaced])
    elif options.target == "NEW":
        sides = Side(True, ease or 1.0), Side(False, ease or 1.0)
    else:  # whole frames right before and after, which keep the values that the artist's curves have there
        lead, tail = start - np.ceil(start - _LEAST_GAP) + 1.0, np.floor(end + _LEAST_GAP) + 1.0 - end
        sides = Side(True, lead), Side(False, tail)
    rest = _rest_values(plan)
    layers, made = [], {}
    for (block, factor), samples in plan.items():
        blend = options.factor(factor).blend
        if any(s.path.endswith("axis_angle") for s in samples):
            blend = "REPLACE"  # two axes cannot be added
        edges = _edges(block, samples, rest[block], blend, take, sides, options.target)
        over = samples
        if options.target != "NLA":
            over = _over_active(block, samples, rest[block], blend, start, ease, options.target)
        layers.append(Layer(block, factor, _curves(over, edges, start, sides, options, made), blend))
    return Draft(take, tuple(layers), frozenset(replaced), sides, rest, tuple(warnings), locked)


def _sides(start: float, end: float, frames: float, others: Sequence[TakeRange]) -> tuple[Side, Side]:
    """Both ways. Where another take is so close that the ways to rest would overlap, the takes lead to each other."""
    lead, tail = Side(True, frames), Side(False, frames)
    for take in others:
        if 0.0 <= start - take.end < min(lead.frames + take.tail, lead.frames if lead.neighbor else np.inf):
            lead = Side(True, start - take.end, take.name)
        if 0.0 <= take.start - end < min(tail.frames + take.lead, tail.frames if tail.neighbor else np.inf):
            tail = Side(False, take.start - end, take.name)
    return lead, tail


def _locked(plan: Plan) -> frozenset[tuple[Any, CurveId]]:
    """What of a plan is locked in the active Actions. Raises BakeError where such an Action is not of this file."""
    found: set[tuple[Any, CurveId]] = set()
    for (block, _), samples in plan.items():
        animation = block.animation_data
        if animation is not None and animation.action is not None and animation.action.library is not None:
            raise BakeError(
                f"The active Action '{animation.action.name}' of '{block.name}' is linked and cannot be changed here. "
                "Make it local, or bake into the NLA or a new Action."
            )
        curves = active_curves(block)
        for key in {(s.path, s.index) for s in samples} & set(curves):
            if curves[key].lock or (curves[key].group is not None and curves[key].group.lock):
                found.add((block, key))
    return frozenset(found)


def _without(plan: Plan, locked: frozenset[tuple[Any, CurveId]]) -> Plan:
    kept = {
        (block, factor): [s for s in samples if (block, (s.path, s.index)) not in locked]
        for (block, factor), samples in plan.items()
    }
    return {key: samples for key, samples in kept.items() if samples}


def _edges(
    block: Any,
    samples: Sequence[Samples],
    rest: dict[CurveId, float],
    blend: str,
    take: TakeRange,
    sides: Sequence[Side],
    target: str,
) -> list[dict[CurveId, float]]:
    """For each side what the properties are at its far end."""
    curves = {} if target == "NLA" else _beneath(block, blend, target)
    found = []
    for side in sides:
        away = {
            (s.path, s.index): s.neutral if target == "NLA" and blend == "COMBINE" else rest[s.path, s.index]
            for s in samples
        }
        frame = take.start - side.frames if side.before else take.end + side.frames
        away |= {key: curves[key].evaluate(frame) for key in away if key in curves}
        found.append(away | (edge_values(block, side.neighbor, side.before) if side.neighbor else {}))
    return found


def _beneath(block: Any, blend: str, target: str) -> dict[CurveId, bpy.types.FCurve]:
    """The curves of the active Action that a take goes over; in an Action of its own only those that it adds to."""
    if target == "NEW" and (blend == "REPLACE" or own_active(block)):
        return {}
    return active_curves(block)


def _over_active(
    block: Any,
    samples: Sequence[Samples],
    rest: dict[CurveId, float],
    blend: str,
    start: float,
    ease: float,
    target: str,
) -> list[Samples]:
    """The samples over what the active Action has there: added to it, or in its place.

    Within it the take fades in and out over `ease` frames of its own; before it and after it the artist's stays.
    """
    curves = _beneath(block, blend, target)
    count = len(samples[0].values)
    frames = start + np.arange(count)
    share = np.ones(count)
    if target == "ACTIVE" and ease > 0.0:
        share = np.clip(
            np.minimum(np.arange(count), np.arange(count)[::-1]) / min(ease, max(count / 2.0, 1.0)), 0.0, 1.0
        )
    new = {(s.path, s.index): s for s in samples}
    seen = np.flatnonzero(share < 1.0) if blend == "REPLACE" else np.arange(count)
    old = {key: np.full(count, rest[key]) for key in new}
    for key in set(new) & set(curves):
        old[key][seen] = [curves[key].evaluate(frame) for frame in frames[seen]]
    values: dict[CurveId, NDArray[np.float64]] = {}
    for path in dict.fromkeys(s.path for s in samples):
        of_path = [key for key in new if key[0] == path]
        beneath = np.stack([old[key] for key in of_path], axis=1)
        take = np.stack([new[key].values for key in of_path], axis=1)
        neutral = np.array([new[key].neutral for key in of_path])
        if path.endswith("rotation_quaternion") and len(of_path) == 4:
            take = _joined_quaternions(beneath, take, blend, share)
        elif blend == "COMBINE":
            take = beneath + share[:, None] * (take - neutral)
        else:
            take = beneath + share[:, None] * (take - beneath)
        values.update(zip(of_path, take.T, strict=True))
    return [Samples(s.path, s.index, values[s.path, s.index], s.tolerance, s.neutral) for s in samples]


def _joined_quaternions(
    beneath: NDArray[np.float64], take: NDArray[np.float64], blend: str, share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Quaternions (T, 4) of a take over those beneath, `share` (T,) of it."""
    length = np.linalg.norm(beneath, axis=1, keepdims=True)
    beneath = np.where(length > 0.0, beneath / np.maximum(length, 1e-12), rotations.NEUTRAL["QUATERNION"])
    goal = rotations.continuous(rotations.multiply(beneath, take) if blend == "COMBINE" else take)
    goal = -goal if goal[0] @ beneath[0] < 0.0 else goal
    beneath = np.where((beneath * goal).sum(axis=1, keepdims=True) < 0.0, -beneath, beneath)
    mixed = beneath + share[:, None] * (goal - beneath)
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


def _curves(
    samples: Sequence[Samples],
    edges: Sequence[dict[CurveId, float]],
    start: float,
    sides: Sequence[Side],
    options: BakeOptions,
    made: dict[tuple[Any, ...], Curve],
) -> tuple[Curve, ...]:
    """Choose the keys of one factor on one data-block, with those on the ways in and out.

    made: curves by what they show, to be added to: several meshes with the same keys show the same.
    """
    shown = [(s.values.tobytes(), s.tolerance, *(edge[s.path, s.index] for edge in edges)) for s in samples]
    new = {key: s for key, s in zip(shown, samples, strict=True) if key not in made}
    values = np.stack([s.values for s in new.values()], axis=1) if new else np.zeros((0, 0))
    chosen = _chosen_rows(values, [s.tolerance for s in new.values()], options) if new else []
    for (key, s), rows in zip(new.items(), chosen, strict=True):
        frames, values = start + np.arange(len(s.values), dtype=np.float64), s.values.astype(np.float64)
        keyed = np.zeros(len(frames), dtype=bool)
        keyed[rows] = True
        if len(frames) == 1:
            frames, values, keyed = np.append(frames, start + 1.0), np.repeat(values, 2), np.ones(2, dtype=bool)
        for side, edge in zip(sides, edges, strict=True):
            if side.frames > _LEAST_GAP:
                at = 0 if side.before else len(frames)
                frame = frames[0] - side.frames if side.before else frames[-1] + side.frames
                frames = np.insert(frames, at, frame)
                values, keyed = np.insert(values, at, edge[s.path, s.index]), np.insert(keyed, at, True)
        if options.interpolation == "BEZIER" and options.step == 0:
            keyed[reduce_bezier(frames, values, s.tolerance, keyed)] = True
        made[key] = Curve(s.path, s.index, frames[keyed], values[keyed], options.interpolation)
    return tuple(replace(made[key], path=s.path, index=s.index) for key, s in zip(shown, samples, strict=True))


def _chosen_rows(
    values: NDArray[np.float64], tolerances: Sequence[float], options: BakeOptions
) -> list[NDArray[np.intp]]:
    """Which rows of `values` (T, C) are keyed in each column, both ends among them. Bezier curves may need more."""
    count = len(values)
    if options.step > 0:
        return [np.union1d(np.arange(0, count, options.step), [count - 1])] * values.shape[1]
    if options.interpolation == "CONSTANT":
        return [_held_rows(column, tolerance) for column, tolerance in zip(values.T, tolerances, strict=True)]
    coarse = _COARSE if options.interpolation == "BEZIER" else 1.0
    return reduce_curves(values, [coarse * tolerance for tolerance in tolerances])


def _held_rows(column: NDArray[np.float64], tolerance: float) -> NDArray[np.intp]:
    """The rows of `column` (T,) that differ from the value held so far by more than `tolerance`, and both ends."""
    rows, held = [0], column[0]
    for row, value in enumerate(column.tolist()):
        if abs(value - held) > tolerance:
            rows.append(row)
            held = value
    return np.union1d(rows, [len(column) - 1])


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


def _get(block: Any, path: str, index: int) -> float:
    value = block.path_resolve(path)
    return float(value[index] if hasattr(value, "__len__") else value)
