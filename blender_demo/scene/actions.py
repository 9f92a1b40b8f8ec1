# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions and NLA tracks that this add-on makes, finds again and removes.

A take in the NLA is one Action with a slot for each pair of data-block and factor (before Blender 4.4 one Action for
each pair), laid out as one strip on the data-block's track of that factor. Beneath lies one rest track, which holds
what the properties were before the first take, so that a muted factor goes back to that. A take may also be the active
Action, with one slot for each data-block, or lie within the artist's, in the frames of the take alone. What carries no
marker of this add-on is not changed otherwise. With `compat` and `splice` this is the only place that knows how
Blender stores animation.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from .. import compat
from .splice import keyframe_number, splice, write_points

__all__ = [
    "MARKER",
    "REST",
    "TRACK_PREFIX",
    "Curve",
    "CurveId",
    "Layer",
    "Origin",
    "TakeRange",
    "active_curves",
    "active_paths",
    "cut_edge",
    "edge_values",
    "nla_paths",
    "own_active",
    "own_tracks",
    "push_down",
    "remove_active",
    "remove_empty_tracks",
    "remove_takes",
    "rest_values",
    "solo_of_artist",
    "takes",
    "write_into_active",
    "write_new_active",
    "write_rest",
    "write_take",
]

MARKER: Final = "demo_take"
"""Custom property of each Action this add-on makes: the name of its take."""

_SPAN: Final = "demo_frames"
"""Custom property beside it: first and last frame of the clip in the Action, without the way from rest and back."""

_CLIP: Final = "demo_clip"
"""Custom property beside it: the file of the clip, where that is known."""

_CLIP_TIME: Final = "demo_clip_time"
"""Custom property beside it: frame of the Action at which the clip's own first frame lies, and how fast it plays."""

TRACK_PREFIX: Final = "DEMO "
REST: Final = "rest"

CurveId = tuple[str, int]
"""RNA path and array index of an animated property."""


@dataclass(frozen=True)
class Curve:
    """Keys of one property: `frames` and `values`, both (K,), joined as `interpolation` says in Blender's words."""

    path: str
    index: int
    frames: NDArray[np.float64]
    values: NDArray[np.float64]
    interpolation: str = "LINEAR"


@dataclass(frozen=True)
class Layer:
    """One factor on one data-block: what becomes one slot and one strip.

    blend: how the strip goes over the tracks beneath it; 'REPLACE' or 'COMBINE'.
    """

    block: Any
    factor: str
    curves: tuple[Curve, ...]
    blend: str = "REPLACE"


@dataclass(frozen=True)
class Origin:
    """Where a take comes from: the file of its clip (empty if unknown), the scene frame of the clip's first frame, and
    how much faster than recorded it plays."""

    clip_path: str = ""
    start_frame: float = 1.0
    speed: float = 1.0


@dataclass(frozen=True)
class TakeRange:
    """A take on a character, or to be put there.

    start, end: scene frames of the clip itself.
    lead, tail: frames in which the face comes from rest before, and goes back after.
    """

    name: str
    start: float
    end: float
    lead: float = 0.0
    tail: float = 0.0
    origin: Origin = field(default_factory=Origin)


def _id_type(block: bpy.types.ID) -> str:
    return "KEY" if isinstance(block, bpy.types.Key) else "OBJECT"


def _fill(curve: bpy.types.FCurve, data: Curve) -> None:
    """Write all keys of a curve at once."""
    points, count = curve.keyframe_points, len(data.frames)
    points.add(count)
    flat = np.empty(2 * count, np.float32)
    flat[0::2], flat[1::2] = data.frames, data.values
    points.foreach_set("co", flat)
    points.foreach_set("interpolation", np.full(count, keyframe_number("interpolation", data.interpolation), np.int32))
    if data.interpolation == "BEZIER":
        curve.auto_smoothing = "NONE"  # the keys were chosen for these handles
        for side in ("handle_left_type", "handle_right_type"):
            points.foreach_set(side, np.full(count, keyframe_number(side, "AUTO_CLAMPED"), np.int32))
    curve.update()


def _new_action(name: str, take: str) -> bpy.types.Action:
    action = bpy.data.actions.new(name)
    action[MARKER] = take
    return action


def _take_action(take: TakeRange, suffix: str) -> bpy.types.Action:
    """A new Action for a take, which it can be found by. Before Blender 4.4, where it is one of many, with a suffix."""
    action = _new_action(f"{TRACK_PREFIX}{take.name}" + ("" if compat.HAS_SLOTS else f" {suffix}"), take.name)
    action[_SPAN] = (take.start, take.end)
    action[_CLIP] = take.origin.clip_path
    action[_CLIP_TIME] = (take.origin.start_frame, take.origin.speed)
    return action


def _lay_strip(
    track: bpy.types.NlaTrack, name: str, action: bpy.types.Action, slot: Any, span: tuple[float, float]
) -> bpy.types.NlaStrip:
    """One strip over `span`, whose Action keeps its own frame numbers.

    Everything is set: Blender measured the range before it knew the slot.
    """
    strip = track.strips.new(name, int(np.floor(span[0])), action)
    compat.assign_slot(strip, slot)
    strip.use_sync_length = False
    strip.scale = strip.repeat = 1.0
    strip.action_frame_end = max(
        span[1], strip.action_frame_start + 1.0
    )  # Blender keeps the end behind the start at every step
    strip.action_frame_start, strip.action_frame_end = span
    strip.frame_end = max(span[1], strip.frame_start + 1.0)
    strip.frame_start, strip.frame_end = span
    strip.scale = 1.0
    strip.use_auto_blend = False
    strip.blend_in = strip.blend_out = 0.0
    strip.influence = 1.0
    return strip


def own_tracks(block: Any) -> list[Any]:
    """The NLA tracks of a data-block that this add-on made: named so, and holding its Actions only."""
    animation = block.animation_data
    if animation is None:
        return []
    return [
        t
        for t in animation.nla_tracks
        if t.name.startswith(TRACK_PREFIX) and all(s.action and MARKER in s.action for s in t.strips)
    ]


def _track(block: Any, factor: str, span: tuple[float, float]) -> Any:
    """This add-on's track for a factor with room for a strip over `span`; a new one on top where there is none."""
    for track in own_tracks(block):
        same = track.name.split(".")[0] == TRACK_PREFIX + factor
        if same and all(strip.frame_end <= span[0] or strip.frame_start >= span[1] for strip in track.strips):
            return track
    track = block.animation_data.nla_tracks.new()
    track.name = TRACK_PREFIX + factor
    return track


def _span(curves: Iterable[Curve]) -> tuple[float, float]:
    frames = [curve.frames for curve in curves]
    return min(float(f[0]) for f in frames), max(float(f[-1]) for f in frames)


def write_take(take: TakeRange, layers: Sequence[Layer]) -> list[bpy.types.Action]:
    """Put a take into the NLA of its data-blocks.

    Returns the Actions made: one, or one per layer before Blender 4.4.
    """
    actions: list[bpy.types.Action] = []
    slots: list[tuple[bpy.types.Action, Any]] = []
    for layer in layers:
        if not actions or not compat.HAS_SLOTS:
            actions.append(_take_action(take, f"{layer.factor} {layer.block.name}"))
        slots.append((actions[-1], _write_curves(actions[-1], layer)))
    for layer, (action, slot) in zip(layers, slots, strict=True):
        if layer.block.animation_data is None:
            layer.block.animation_data_create()
        span = _span(layer.curves)
        track = _track(layer.block, layer.factor, span)
        strip = _lay_strip(track, f"{take.name} {layer.factor}", action, slot, span)
        strip.extrapolation = "NOTHING"
        strip.blend_type = layer.blend
    return actions


def _write_curves(action: bpy.types.Action, layer: Layer) -> Any:
    """Fill an Action's curves for one layer; the slot they lie in."""
    curves, slot = compat.new_curves(action, _id_type(layer.block), f"{layer.block.name} {layer.factor}")
    for curve in layer.curves:
        _fill(curves.new(curve.path, index=curve.index), curve)
    return slot


def _write_active(take: TakeRange, layers: Sequence[Layer]) -> list[bpy.types.Action]:
    """Make a take the active Action of its data-blocks, with one slot for each. Returns the Actions made."""
    actions: list[bpy.types.Action] = []
    for block in dict.fromkeys(layer.block for layer in layers):
        if not actions or not compat.HAS_SLOTS:
            actions.append(_take_action(take, block.name))
        curves, slot = compat.new_curves(actions[-1], _id_type(block), block.name)
        for layer in layers:
            for curve in layer.curves if layer.block == block else ():
                _fill(curves.new(curve.path, index=curve.index), curve)
        animation = block.animation_data or block.animation_data_create()
        animation.action = actions[-1]
        compat.assign_slot(animation, slot)
    return actions


def write_new_active(take: TakeRange, layers: Sequence[Layer]) -> tuple[list[bpy.types.Action], list[str]]:
    """Make a take the active Action of its data-blocks; the artist's goes on beneath it in the NLA.

    Returns the Actions made, and the names of those pushed down.
    """
    pushed = {}
    for block in dict.fromkeys(layer.block for layer in layers):
        if own_active(block):
            remove_active([block])
        elif name := push_down(block):
            pushed[name] = None
    return _write_active(take, layers), list(pushed)


def write_into_active(take: TakeRange, layers: Sequence[Layer]) -> list[bpy.types.Action]:
    """Put the keys of a take into the active Actions, between the first and the last key of each of its curves.

    A data-block without an active Action gets one. Returns the Actions written to.
    """
    bare = [layer for layer in layers if layer.block.animation_data is None or not layer.block.animation_data.action]
    written: dict[bpy.types.Action, None] = {}
    for layer in layers:
        if layer in bare:
            continue
        animation = layer.block.animation_data
        written[animation.action] = None
        curves = compat.curves_of_active(animation, _id_type(layer.block), layer.block.name)
        for curve in layer.curves:
            known = curves.find(curve.path, index=curve.index) or curves.new(curve.path, index=curve.index)
            write_points(known, splice(known, curve.frames, curve.values, curve.interpolation))
    return [*written, *(_write_active(take, bare) if bare else ())]


def own_active(block: Any) -> bool:
    """Whether the active Action of a data-block is a take."""
    animation = block.animation_data
    return animation is not None and animation.action is not None and MARKER in animation.action


def remove_active(blocks: Iterable[Any], names: set[str] | None = None) -> int:
    """Remove the takes of these names, or all, that are active Actions; from how many data-blocks."""
    count = 0
    for block in blocks:
        if own_active(block) and (names is None or str(block.animation_data.action[MARKER]) in names):
            action, block.animation_data.action = block.animation_data.action, None
            count += 1
            if action.users == 0:
                bpy.data.actions.remove(action)
            _clear_if_empty(block)
    return count


def active_curves(block: Any) -> dict[CurveId, bpy.types.FCurve]:
    """The curves of a data-block's active Action."""
    animation = block.animation_data
    if animation is None or animation.action is None:
        return {}
    return {(c.data_path, c.array_index): c for c in compat.action_curves(animation.action, compat.slot_of(animation))}


def write_rest(name: str, values: Sequence[tuple[Any, dict[CurveId, float]]], frame: float) -> None:
    """Lay the rest track of each data-block, holding `values` for all time; before `write_take`, to lie beneath."""
    for track in [_rest_track(block) for block, _ in values]:
        for strip in list(track.strips):
            _remove_strip(track, strip)
    action: bpy.types.Action | None = None
    for block, by_id in values:
        if not by_id:
            continue
        if action is None or not compat.HAS_SLOTS:
            action = _new_action(f"{TRACK_PREFIX}{REST} {name}", REST)
        span = (frame, frame + 1.0)
        keys = tuple(Curve(path, index, np.array(span), np.full(2, value)) for (path, index), value in by_id.items())
        slot = _write_curves(action, Layer(block, REST, keys))
        _lay_strip(_rest_track(block), REST, action, slot, span).extrapolation = "HOLD"


def _rest_track(block: Any) -> Any:
    """The rest track of a data-block; a new one where there is none yet."""
    animation: Any = block.animation_data or block.animation_data_create()
    track = next((track for track in own_tracks(block) if _is_rest(track)), None)
    if track is None:
        track = animation.nla_tracks.new()
        track.name = TRACK_PREFIX + REST
    return track


def _is_rest(track: bpy.types.NlaTrack) -> bool:
    return track.name.split(".")[0] == TRACK_PREFIX + REST


def rest_values(block: Any) -> dict[CurveId, float]:
    """What the properties of a data-block were before its takes: what its rest track holds, or a take that is active
    comes from. Empty where there is neither."""
    before = {key: c.keyframe_points[0].co[1] for key, c in active_curves(block).items()} if own_active(block) else {}
    return before | {
        (curve.data_path, curve.array_index): curve.evaluate(strip.frame_start)
        for track in own_tracks(block)
        if _is_rest(track)
        for strip in track.strips
        for curve in compat.action_curves(strip.action, compat.slot_of(strip))
    }


def _take_strips(block: Any, name: str | None = None) -> Iterator[Any]:
    """The strips of one take, or of all, on a data-block."""
    for track in own_tracks(block):
        if not _is_rest(track):
            yield from (strip for strip in track.strips if name is None or strip.action[MARKER] == name)


def _frames_of(action: Any) -> tuple[float, float]:
    """First and last frame of the clip in an Action; all of its keys where an artist removed what tells them."""
    first, last = action.get(_SPAN, action.frame_range)
    return float(first), float(last)


def _range_of(strip: Any) -> TakeRange:
    """Where a strip plays its clip now; the artist may have moved and stretched it."""
    first, last = (
        strip.frame_start + (frame - strip.action_frame_start) * strip.scale for frame in _frames_of(strip.action)
    )
    start, end = max(first, strip.frame_start), min(last, strip.frame_end)
    origin = _origin_of(strip.action)
    at = strip.frame_start + (origin.start_frame - strip.action_frame_start) * strip.scale
    origin = replace(origin, start_frame=at, speed=origin.speed / strip.scale)
    return TakeRange(str(strip.action[MARKER]), start, end, start - strip.frame_start, strip.frame_end - end, origin)


def _origin_of(action: Any) -> Origin:
    """What an Action remembers of its clip; those of former versions remember nothing."""
    start_frame, speed = action.get(_CLIP_TIME, (1.0, 1.0))
    return Origin(str(action.get(_CLIP, "")), start_frame, speed)


def _range_of_active(action: Any) -> TakeRange:
    (start, end), (first, last) = _frames_of(action), action.frame_range
    lead, tail = max(start - first, 0.0), max(last - end, 0.0)
    return TakeRange(str(action[MARKER]), start, end, lead, tail, _origin_of(action))


def takes(blocks: Iterable[Any]) -> list[TakeRange]:
    """The takes on some data-blocks, in the order of time."""
    found: dict[str, TakeRange] = {}
    for block in blocks:
        ranges = [_range_of(strip) for strip in _take_strips(block)]
        if own_active(block):
            ranges.append(_range_of_active(block.animation_data.action))
        for one in ranges:
            known = found.setdefault(one.name, one)
            found[one.name] = replace(
                one,
                start=min(known.start, one.start),
                end=max(known.end, one.end),
                lead=max(known.lead, one.lead),
                tail=max(known.tail, one.tail),
            )
    return sorted(found.values(), key=lambda take: take.start)


def edge_values(block: Any, take: str, at_end: bool) -> dict[CurveId, float]:
    """What a take's properties are at the first or last frame of its clip."""
    return {
        (curve.data_path, curve.array_index): curve.evaluate(_frames_of(strip.action)[int(at_end)])
        for strip in _take_strips(block, take)
        for curve in compat.action_curves(strip.action, compat.slot_of(strip))
    }


def cut_edge(blocks: Iterable[Any], take: str, at_end: bool) -> None:
    """Shorten the strips of a take to the first or last frame of its clip, to make room for a neighbor."""
    for block in blocks:
        for strip in _take_strips(block, take):
            span = _range_of(strip)
            if at_end:
                strip.action_frame_end, strip.frame_end = _frames_of(strip.action)[1], span.end
            else:
                strip.action_frame_start, strip.frame_start = _frames_of(strip.action)[0], span.start


def _remove_strip(track: bpy.types.NlaTrack, strip: Any) -> None:
    action = strip.action
    track.strips.remove(strip)
    if action is not None and action.users == 0:
        bpy.data.actions.remove(action)


def remove_takes(blocks: Iterable[Any], names: set[str] | None = None, keep_tracks: bool = False) -> int:
    """Remove the takes of these names, or all of them and the rest tracks; the number of strips removed.

    keep_tracks: leave the tracks that become empty, muted or not as they are, for what comes in their place.
    """
    count = 0
    for block in blocks:
        for track in own_tracks(block):
            for strip in list(track.strips):
                if names is None or (str(strip.action[MARKER]) in names and not _is_rest(track)):
                    _remove_strip(track, strip)
                    count += 1
        if not keep_tracks:
            remove_empty_tracks([block])
        if names is None:
            _clear_if_empty(block)
    return count


def remove_empty_tracks(blocks: Iterable[Any]) -> None:
    """Remove this add-on's tracks that hold nothing."""
    for block in blocks:
        for track in own_tracks(block):
            if not track.strips:
                block.animation_data.nla_tracks.remove(track)


def _clear_if_empty(block: Any) -> None:
    animation = block.animation_data
    if animation is not None and not (animation.action or animation.nla_tracks or animation.drivers):
        block.animation_data_clear()


def nla_paths(block: Any) -> set[CurveId]:
    """The properties of a data-block that the artist's own NLA tracks animate."""
    animation = block.animation_data
    if animation is None:
        return set()
    own = {track.as_pointer() for track in own_tracks(block)}
    strips = [
        strip
        for track in animation.nla_tracks
        if track.as_pointer() not in own
        for strip in track.strips
        if strip.action
    ]
    return {
        (c.data_path, c.array_index)
        for strip in strips
        for c in compat.action_curves(strip.action, compat.slot_of(strip))
    }


def active_paths(block: Any) -> set[CurveId]:
    """The properties of a data-block that its active Action animates, and so hides from the NLA."""
    return set(active_curves(block))


def solo_of_artist(block: Any) -> Any:
    """The NLA track of the artist's that plays alone; None where none does."""
    own = {track.as_pointer() for track in own_tracks(block)}
    tracks = block.animation_data.nla_tracks
    return next((track for track in tracks if track.is_solo and track.as_pointer() not in own), None)


def push_down(block: Any) -> str | None:
    """Move the active Action of a data-block to an NLA track beneath this add-on's; its name, None without one."""
    animation = block.animation_data
    if animation is None or animation.action is None:
        return None
    action, slot = animation.action, compat.slot_of(animation)
    animation.action = None
    rest = next((track for track in own_tracks(block) if _is_rest(track)), None)
    track = animation.nla_tracks.new(prev=rest)
    track.name = action.name
    start, end = (float(frame) for frame in action.frame_range)
    _lay_strip(track, action.name, action, slot, (start, max(end, start + 1.0))).extrapolation = "HOLD"
    return action.name
