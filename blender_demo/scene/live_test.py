# SPDX-License-Identifier: GPL-3.0-or-later
"""Show one channel on a character at once, without a key, exactly as a bake would, and put everything back.

What it touches is remembered in the scene, beside the add-on's other settings: so undo, redo and copies of the file
always have the values to go back to together with the face that needs them.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from mathutils import Quaternion

from ..backend.errors import BakeError
from ..backend.motion.clip import MotionClip
from ..backend.motion.factors import CHANNELS, LIMITS, MODEL_FPS
from .actions import CurveId, active_paths, nla_paths, rest_values
from .bake_options import BakeOptions
from .character import Character, shape_keys
from .conditioning import EYE_LOOK, condition
from .plan import make_plan
from .rig_profile import RigProfile

__all__ = ["is_signed", "restore", "show"]

_GAZE = ("gazeYaw", "gazePitch")

_Values = tuple[float, ...]


@dataclass(frozen=True)
class _Planned:
    """The values of one property, and whether a bake adds them to what lies beneath."""

    values: _Values
    adds: bool


def is_signed(channel: str) -> bool:
    """Whether a channel goes both ways from rest."""
    return LIMITS[channel][0] < 0.0


def show(
    memory: Any, character: Character, profile: RigProfile, options: BakeOptions, channel: str, amount: float
) -> list[str]:
    """Move the character as a bake moves it on a frame where `channel` alone is not at rest.

    memory: a collection of DemoTouched with what was touched before, which is put back first. options: how a take
    would be baked; all factors count. amount: -1..1, the part of the channel's limit. Returns sentences for the artist.
    Raises DemoError, with everything put back.
    """
    restore(memory)
    if amount == 0.0:
        return []
    now = {name: replace(f, include=True, offset_ms=0.0, smoothing_ms=0.0) for name, f in options.factors.items()}
    options = replace(options, factors=now, first=None, last=None, step=0)
    planned, warnings = _planned(character, profile, options, channel, amount)
    still, _ = _planned(character, profile, options, channel, 0.0)
    moved = {place: new for place, new in planned.items() if still.get(place) != new}
    if not moved:
        return list(dict.fromkeys(warnings)) or [f"{channel} moves nothing on this character."]
    for block, _ in moved:
        if not block.is_editable:
            raise BakeError(f"'{block.name}' is linked and cannot be moved here. Make a library override of it first.")
    for (block, path), new in moved.items():
        _touch(memory.add(), character, block, path, new)
    if any(_is_animated(block, path) for block, path in moved):
        return ["Animation holds some of what moves here, so that jumps back on the next frame."]
    return []


def restore(memory: Any) -> None:
    """Put back what is remembered, and forget it. What the artist or a new frame changed since stays as it is."""
    for touched in memory:
        now = _get(touched.object, touched.path) if touched.object is not None else ()
        if now and now == tuple(touched.shown)[: len(now)]:
            _set(touched.object, touched.path, tuple(touched.before)[: len(now)])
    memory.clear()


def _planned(
    character: Character, profile: RigProfile, options: BakeOptions, channel: str, amount: float
) -> tuple[dict[tuple[Any, str], _Planned], list[str]]:
    """By data-block and RNA path what the bake's own plan gives for one frame, and the plan's warnings."""
    low, high = LIMITS[channel]
    twin = EYE_LOOK if channel in _GAZE else _GAZE if channel in EYE_LOOK else ()  # one is derived from the other
    names = tuple(name for name in CHANNELS if name not in twin)
    frame = np.zeros((1, len(names)), np.float32)
    frame[0, names.index(channel)] = amount * high if amount > 0.0 else -amount * low
    clip = condition(MotionClip(MODEL_FPS, frame, names), options, MODEL_FPS)
    plan, warnings = make_plan(clip, character, profile, options)
    found: dict[tuple[Any, str], _Planned] = {}
    for (block, factor), samples in plan.items():
        for path in dict.fromkeys(s.path for s in samples):
            ordered = sorted((s for s in samples if s.path == path), key=lambda s: s.index)
            adds = options.factors[factor].blend == "COMBINE" and not path.endswith("axis_angle")
            found[block, path] = _Planned(tuple(float(s.values[0]) for s in ordered), adds)
    return found, warnings


def _touch(touched: Any, character: Character, block: Any, path: str, new: _Planned) -> None:
    """Set a property, and remember what it was and what it became."""
    holder = next((m for m in character.meshes if shape_keys(m) == block), block)
    touched.object = holder
    touched.path = path if holder == block else f"data.shape_keys.{path}"
    before = _get(holder, touched.path)
    touched.before = _padded(before)
    beneath = rest_values(block)
    base = tuple(beneath.get((path, index), value) for index, value in enumerate(before))
    _set(holder, touched.path, _added(base, new.values) if new.adds else new.values)
    touched.shown = _padded(_get(holder, touched.path))


def _added(base: _Values, values: _Values) -> _Values:
    """What Blender's NLA makes of values in a strip that combines with those beneath."""
    if len(values) == 4:
        return tuple(Quaternion(base) @ Quaternion(values))
    return tuple(a + b for a, b in zip(base, values, strict=True))


def _is_animated(block: Any, path: str) -> bool:
    paths: set[CurveId] = active_paths(block) | nla_paths(block)
    return path in {p for p, _ in (*paths, *rest_values(block))}


def _padded(values: _Values) -> _Values:
    return (*values, *(0.0,) * (4 - len(values)))


def _get(obj: Any, path: str) -> _Values:
    """The values of a property; none where its key or bone is gone."""
    try:
        value = obj.path_resolve(path)
    except ValueError:
        return ()
    return tuple(value) if hasattr(value, "__len__") else (float(value),)


def _set(obj: Any, path: str, values: _Values) -> None:
    owner_path, _, name = path.rpartition(".")
    owner = obj.path_resolve(owner_path) if owner_path else obj
    first, *others = values
    setattr(owner, name, values if others else first)
