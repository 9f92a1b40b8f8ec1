# SPDX-License-Identifier: GPL-3.0-or-later
"""From a clip to the channels that are to be seen on each frame baked: each factor's offset, smoothing and gain, the
range, and values held for several frames. No bpy here.

Lips and lids that shut in the clip shut in what comes out, however much is smoothed or left out between keys.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..backend.motion.clip import MotionClip
from ..backend.motion.factors import ARKIT_NAMES, FACTOR_OF, LIMITS, eye_look_from_gaze, gaze_from_eye_look
from ..backend.motion.resample import closures, openings, resample
from .bake_options import BakeOptions

__all__ = ["EYE_LOOK", "condition"]

EYE_LOOK: Final = tuple(name for name in ARKIT_NAMES if name.startswith("eyeLook"))
"""Channels of the gaze on characters whose eyes do not turn, in channel order."""

_GAZE: Final = ("gazeYaw", "gazePitch")

_HALF_WIDTH: Final = 2.0 * np.sqrt(2.0 * np.log(2.0))
"""Width of a Gaussian at half its height, in standard deviations."""


def condition(clip: MotionClip, options: BakeOptions, fps: float) -> MotionClip:
    """The clip at `fps`, cut to the range, with all that `options` say of its factors, within the channels' limits.

    Where a clip has only one of gaze and eyeLook, the other is made from it. Raises BakeError for an empty range.
    """
    clip = _with_gaze(_shifted(clip, options, fps))
    names, values = clip.names, clip.channels.astype(np.float64)
    smooth = _smoothed(clip, values, options)
    gains = np.array([options.factor(FACTOR_OF[name]).gain for name in names])
    limits = np.array([LIMITS[name] for name in names])
    values = np.clip(gains * smooth, limits[:, 0], limits[:, 1])
    rows = options.rows(len(clip))
    clip = clip.with_channels(values[rows.start : rows.stop].astype(np.float32))
    return _held(clip, options) if options.step > 1 else clip


def _shifted(clip: MotionClip, options: BakeOptions, fps: float) -> MotionClip:
    """The clip at `fps`, each factor earlier or later."""
    names = tuple(name for name in clip.names if name in LIMITS)
    offsets = [options.factor(FACTOR_OF[name]).offset_ms for name in names]
    moved = {offset: resample(clip, fps, offset / 1000.0) for offset in {*offsets, 0.0}}
    columns = [moved[offset][name] for name, offset in zip(names, offsets, strict=True)]
    channels = np.stack(columns, axis=1) if columns else np.zeros((len(moved[0.0]), 0), np.float32)
    return MotionClip(fps, channels, names)


def _with_gaze(clip: MotionClip) -> MotionClip:
    """The clip with both gaze and eyeLook where it has one of them."""
    has_gaze, has_looks = set(_GAZE) <= set(clip.names), set(EYE_LOOK) <= set(clip.names)
    if has_looks and not set(_GAZE) & set(clip.names):
        added, more = _GAZE, gaze_from_eye_look(np.stack([clip[name] for name in EYE_LOOK], axis=1))
    elif has_gaze and not set(EYE_LOOK) & set(clip.names):
        added, more = EYE_LOOK, eye_look_from_gaze(np.stack([clip[name] for name in _GAZE], axis=1))
    else:
        return clip
    return MotionClip(clip.fps, np.concatenate([clip.channels, more], axis=1), (*clip.names, *added))


def _smoothed(clip: MotionClip, values: NDArray[np.float64], options: BakeOptions) -> NDArray[np.float64]:
    """Values (T, C) through a symmetric window, which delays nothing. Closures keep what they were."""
    widths = np.array([options.factor(FACTOR_OF[n]).smoothing_ms / 1000.0 * clip.fps for n in clip.names])
    smooth = values.copy()
    for width in set(widths[widths > 0.0].tolist()):
        columns = np.flatnonzero(widths == width)
        smooth[:, columns] = _gaussian(values[:, columns], width / _HALF_WIDTH)
    for columns, opening in openings(clip):
        width = widths[columns[0]]
        if width > 0.0:
            keep = _near_closures(opening, width)[:, None]
            smooth[:, columns] = keep * values[:, columns] + (1.0 - keep) * smooth[:, columns]
    return smooth


def _gaussian(values: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """Values (T, C) under a Gaussian window, whose standard deviation is in frames."""
    reach = int(np.ceil(3.0 * deviation))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    return sum(weight * padded[i : i + len(values)] for i, weight in enumerate(kernel / kernel.sum()))  # pyright: ignore


def _near_closures(opening: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """1 on every frame of a closure, falling to 0 within `width` frames: (T,)."""
    near = np.zeros(len(opening))
    reach = int(np.ceil(width))
    for first, last, _ in closures(opening):
        rows = np.arange(max(first - reach, 0), min(last + reach + 1, len(near)))
        away = np.maximum(np.maximum(first - rows, rows - last), 0) / width
        near[rows] = np.maximum(near[rows], 0.5 + 0.5 * np.cos(np.pi * np.minimum(away, 1.0)))
    return near


def _held(clip: MotionClip, options: BakeOptions) -> MotionClip:
    """What is to be keyed on every `step`th frame stands for the frames around it.

    It is the most closed one of a group that shuts in them, the middle one for all others. With CONSTANT keys the
    frames are those that the key is held for.
    """
    count, step = len(clip), options.step
    holds = options.interpolation == "CONSTANT"
    keyed = np.arange(0, count, step)
    begin = keyed if holds else np.maximum(keyed - step // 2, 0)
    end = np.minimum(keyed + (step if holds else step - step // 2), count)
    middle = (begin + end - 1) // 2 if holds else keyed
    taken = np.tile(middle[:, None], len(clip.names))
    for columns, opening in openings(clip):
        shut = np.zeros(count, dtype=bool)
        for first, last, _ in closures(opening):
            shut[first : last + 1] = True
        for window, (b, e) in enumerate(zip(begin, end, strict=True)):
            if shut[b:e].any():
                taken[window, columns] = b + np.argmin(np.where(shut[b:e], opening[b:e], np.inf))
    values = clip.channels.copy()
    rows = np.arange(count) // step if holds else np.arange(len(keyed))
    values[np.arange(count) if holds else keyed] = np.take_along_axis(clip.channels, taken, axis=0)[rows]
    return clip.with_channels(values)
