# SPDX-License-Identifier: GPL-3.0-or-later
"""Put keys into an F-curve over a range, so that on every frame outside the curve evaluates as before.

The artist's keys outside are kept to the bit. Only the two next to the range are touched: their automatic handles are
freed, as they would follow the new neighbor, and where a Bezier segment is cut its inner handle is shortened, which
keeps its shape.
"""

from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.motion.bezier import auto_clamped, split

__all__ = ["Keys", "keyframe_number", "new_keys", "read_points", "splice", "write_points"]

Keys = dict[str, NDArray[Any]]
"""All of a curve's keyframe points: for each of their attributes one array, in the order of frames."""

_FIELDS: Final[dict[str, tuple[int, Any]]] = {
    "co": (2, np.float32),
    "handle_left": (2, np.float32),
    "handle_right": (2, np.float32),
    "handle_left_type": (1, np.int32),
    "handle_right_type": (1, np.int32),
    "interpolation": (1, np.int32),
    "easing": (1, np.int32),
    "type": (1, np.int32),
    "amplitude": (1, np.float32),
    "back": (1, np.float32),
    "period": (1, np.float32),
    "select_control_point": (1, bool),
    "select_left_handle": (1, bool),
    "select_right_handle": (1, bool),
}


def keyframe_number(attribute: str, name: str) -> int:
    """Blender's number for a choice of a keyframe point."""
    choices: Any = bpy.types.Keyframe.bl_rna.properties[attribute]
    return choices.enum_items[name].value


def read_points(curve: bpy.types.FCurve) -> Keys:
    """All keyframe points of a curve."""
    points, keys = curve.keyframe_points, {}
    for name, (width, kind) in _FIELDS.items():
        flat = np.empty(len(points) * width, kind)
        points.foreach_get(name, flat)
        keys[name] = flat.reshape(-1, 2) if width == 2 else flat
    return keys


def write_points(curve: bpy.types.FCurve, keys: Keys) -> None:
    """Replace all keyframe points of a curve. Handles are written twice: Blender computes automatic ones in between."""
    points = curve.keyframe_points
    points.clear()
    points.add(len(keys["co"]))
    for name in _FIELDS:
        points.foreach_set(name, keys[name].ravel())
    curve.update()
    for name in ("handle_left", "handle_right"):
        points.foreach_set(name, keys[name].ravel())


def new_keys(frames: NDArray[np.float64], values: NDArray[np.float64], interpolation: str) -> Keys:
    """New keys with aligned handles that lie as automatic ones would."""
    count = len(frames)
    left, right = auto_clamped(frames, values)
    aligned = np.full(count, keyframe_number("handle_left_type", "ALIGNED"), np.int32)
    return {
        "co": np.stack([frames, values], axis=1).astype(np.float32),
        "handle_left": left.astype(np.float32),
        "handle_right": right.astype(np.float32),
        "handle_left_type": aligned,
        "handle_right_type": aligned.copy(),
        "interpolation": np.full(count, keyframe_number("interpolation", interpolation), np.int32),
        "easing": np.full(count, keyframe_number("easing", "AUTO"), np.int32),
        "type": np.full(count, keyframe_number("type", "KEYFRAME"), np.int32),
        "amplitude": np.full(count, 0.8, np.float32),
        "back": np.full(count, 1.70158, np.float32),
        "period": np.full(count, 4.1, np.float32),
        "select_control_point": np.zeros(count, bool),
        "select_left_handle": np.zeros(count, bool),
        "select_right_handle": np.zeros(count, bool),
    }


def splice(
    curve: bpy.types.FCurve, frames: NDArray[np.float64], values: NDArray[np.float64], interpolation: str
) -> Keys:
    """The points of `curve` with keys at `frames`, `values` (K,) in place of those between the first and the last.

    The first and last of them are the seams, with the values that the curve has there. Reads only.
    """
    old, new = read_points(curve), new_keys(frames, values, interpolation)
    at = old["co"][:, 0].astype(np.float64)
    first, last = float(frames[0]), float(frames[-1])
    count_before, after = int(np.searchsorted(at, first, side="right")), int(np.searchsorted(at, last, side="left"))
    left, right = _cut(old, 0, count_before), _cut(old, after, len(at))
    if len(left["co"]):
        _free(left, -1)
    if len(right["co"]):
        _free(right, 0)
    keeps_first = count_before > 0 and at[count_before - 1] == first
    keeps_last = after < len(at) and at[after] == last
    before = [] if keeps_first else [_lead_in(curve, old, left, new)]
    behind = [] if keeps_last else [_lead_out(curve, old, new, right)]
    middle = _cut(new, int(keeps_first), len(frames) - int(keeps_last))
    parts = (left, *before, middle, *behind, right)
    return {name: np.concatenate([part[name] for part in parts]) for name in _FIELDS}


def _cut(keys: Keys, start: int, stop: int) -> Keys:
    return {name: array[start:stop].copy() for name, array in keys.items()}


def _free(keys: Keys, index: int) -> None:
    """Let a key's handles be where they are."""
    for side in ("handle_left_type", "handle_right_type"):
        keys[side][index] = keyframe_number(side, "FREE")


def _lead_in(curve: bpy.types.FCurve, old: Keys, left: Keys, new: Keys) -> Keys:
    """Keep the way from the last key of `left` to the first of `new`; the keys that have to be laid between them."""
    frame = float(new["co"][0, 0])
    _free(new, 0)
    new["interpolation"][0] = keyframe_number("interpolation", "BEZIER")
    shape = _shape(curve, old, frame)
    if shape is not None:
        new["handle_left"][0] = shape[0][2]
        if len(left["co"]):
            left["handle_right"][-1] = shape[0][1]
            if int(left["interpolation"][-1]) not in (*_plain(), keyframe_number("interpolation", "BEZIER")):
                left["interpolation"][-1] = keyframe_number(
                    "interpolation", "LINEAR"
                )  # a last key's had no effect before
        return _cut(new, 0, 0)
    if int(left["interpolation"][-1]) in _plain():
        return _cut(new, 0, 0)
    return _sampled(curve, float(left["co"][-1, 0]), frame)


def _lead_out(curve: bpy.types.FCurve, old: Keys, new: Keys, right: Keys) -> Keys:
    """Keep the way from the last key of `new` to the first of `right`; the keys that have to be laid between them."""
    frame = float(new["co"][-1, 0])
    _free(new, -1)
    shape = _shape(curve, old, frame)
    if shape is not None:
        new["interpolation"][-1] = keyframe_number("interpolation", "BEZIER")
        new["handle_right"][-1] = shape[1][1]
        if len(right["co"]):
            right["handle_left"][0] = shape[1][2]
        return _cut(new, 0, 0)
    kind = int(old["interpolation"][np.searchsorted(old["co"][:, 0], frame) - 1])
    if kind in _plain():
        new["interpolation"][-1] = kind
        return _cut(new, 0, 0)
    new["interpolation"][-1] = keyframe_number("interpolation", "LINEAR")
    return _sampled(curve, frame, float(right["co"][0, 0]))


def _plain() -> tuple[int, int]:
    """Interpolations of which a part is like the whole."""
    return keyframe_number("interpolation", "LINEAR"), keyframe_number("interpolation", "CONSTANT")


def _sampled(curve: bpy.types.FCurve, start: float, end: float) -> Keys:
    """A key on each whole frame between two, for what no other curve can show a part of, such as a bounce."""
    frames = np.arange(np.floor(start) + 1.0, np.ceil(end))
    return new_keys(frames, np.array([curve.evaluate(frame) for frame in frames]), "LINEAR")


def _shape(curve: bpy.types.FCurve, old: Keys, frame: float) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The old curve around `frame`, between two keys, as two cubics (4, 2) that meet there.

    Beyond the outer keys both are straight. None where the segment is no cubic, or too plain to need one.
    """
    at = old["co"][:, 0]
    after = int(np.searchsorted(at, frame))
    before = after - 1
    if before >= 0 and after < len(at):
        if int(old["interpolation"][before]) != keyframe_number("interpolation", "BEZIER"):
            return None
        ends = old["co"][before], old["handle_right"][before], old["handle_left"][after], old["co"][after]
        return split(np.array(ends, np.float64), frame)
    value = curve.evaluate(frame)
    slope = curve.evaluate(frame + 1.0) - value if before >= 0 else value - curve.evaluate(frame - 1.0)
    start = float(at[before]) if before >= 0 else frame - 1.0
    end = float(at[after]) if after < len(at) else frame + 1.0
    lines = (np.linspace(start, frame, 4), np.linspace(frame, end, 4))
    head, tail = (np.stack([line, value + slope * (line - frame)], axis=1) for line in lines)
    return head, tail
