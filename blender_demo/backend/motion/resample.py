# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a clip to another frame rate without losing a lip closure or a blink.

Between frames a channel follows a monotone cubic (PCHIP: Fritsch and Carlson 1980, with the harmonic mean of Fritsch
and Butland 1984), which passes through every frame and never leaves the range of its two neighbors. When frames get
fewer, the channel is first freed of what the new rate cannot carry.

A lip closure lasts two or three frames, so that plain sampling misses it whenever it falls between two new frames.
Closures and blinks are therefore found in the source, and the new frame nearest to each looks at the source at that
very instant. All channels that shut together (the whole lip factor, or the lids) look at the same instant, so that
their combination is one that the source contains. Frames move by half an interval at most and never change their order.
"""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import ClipError
from .clip import MotionClip
from .factors import FACTOR_INDEX, FACTORS

__all__ = ["closures", "openings", "resample"]

_APERTURE: Final = {
    "jawOpen": 1.0,
    "mouthClose": -1.0,
    "mouthFunnel": 0.25,
    **dict.fromkeys(("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight"), 0.25),
    **dict.fromkeys(("mouthPressLeft", "mouthPressRight", "mouthRollLower", "mouthRollUpper"), -0.25),
}
"""Opening of the lips as a weighted sum of channels: what shuts counts down, what parts counts up."""

_LID_APERTURE: Final = {"eyeBlinkLeft": -0.5, "eyeBlinkRight": -0.5}

_LIDS: Final = tuple(f"{stem}{side}" for stem in ("eyeBlink", "eyeSquint", "eyeWide") for side in ("Left", "Right"))

_SHUTTING: Final = ((FACTORS[FACTOR_INDEX["lip"]].channels, _APERTURE), (_LIDS, _LID_APERTURE))
"""Groups of channels that shut together, each with its opening. Gaze is none of them: it has to stay smooth."""

_LEAST_DIP: Final = 0.03
"""How far an opening must fall and rise again to count as a closure; smaller dips are tremor."""

_PLATEAU: Final = 0.02
"""A closure lasts as long as its opening is within this fraction of the dip from its lowest value."""

_PASSBAND: Final = 0.9
"""Half-amplitude frequency of the low-pass, over the Nyquist frequency of the new rate."""

_SAME_RATE: Final = 1e-6
"""Rates that differ by less are one: scenes keep theirs in single precision."""

_LOBES: Final = 4
"""Half-width of the low-pass, in frames of the new rate."""


def resample(clip: MotionClip, fps: float, later_s: float = 0.0) -> MotionClip:
    """The same performance at `fps` frames per second, `later_s` seconds later: its first frame is held until then.

    The number of frames is the clip's duration times `fps`, rounded. Every value lies within the range of the source
    frames around it. At its own rate and time the clip itself is returned. Raises ClipError unless `fps` is a positive
    number.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise ClipError(f"A frame rate must be a positive number, not {fps}.")
    if math.isclose(fps, clip.fps, rel_tol=_SAME_RATE) and later_s == 0.0:
        return clip
    if len(clip) < 2:
        return clip.with_channels(np.repeat(clip.channels, round(clip.duration_s * fps) or len(clip), axis=0), fps)
    source = clip.channels.astype(np.float64)
    ratio = fps / clip.fps
    count = max(1, round(len(clip) * ratio))
    positions = np.clip(_exact(np.arange(count) / ratio - later_s * clip.fps), 0.0, len(clip) - 1.0)
    smooth = _low_pass(source, ratio) if ratio < 1.0 else source
    values = _pchip(smooth, positions)
    for columns, opening in openings(clip):
        frames, instants = _moved_frames(opening, positions)
        values[frames[:, None], columns] = _pchip(source[:, columns], instants)
    return clip.with_channels(values.astype(np.float32), fps)


def openings(clip: MotionClip) -> Iterator[tuple[list[int], NDArray[np.float64]]]:
    """For the lips, and for the lids: the columns of a clip that shut together, and how open they are (T,)."""
    for names, weights in _SHUTTING:
        opening = sum(weight * clip[name].astype(np.float64) for name, weight in weights.items() if name in clip.names)
        if isinstance(opening, np.ndarray):
            yield [clip.names.index(name) for name in names if name in clip.names], opening


def _exact(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positions with rounding errors removed from whole frames, so that these take the source's own values."""
    whole = np.rint(positions)
    return np.where(np.abs(positions - whole) < 1e-6, whole, positions)


def _low_pass(source: NDArray[np.float64], ratio: float) -> NDArray[np.float64]:
    """Source (T, C) without the frequencies that `ratio` times its rate cannot carry.

    A Kaiser-windowed sinc. Its ringing is cut off at the lowest and highest source value within one new frame.
    """
    reach = math.ceil(_LOBES / ratio)
    offsets = np.arange(-reach, reach + 1)
    kernel = np.sinc(offsets * ratio * _PASSBAND) * np.kaiser(2 * reach + 1, 5.0)
    kernel /= kernel.sum()
    padded = np.pad(source, ((reach, reach), (0, 0)), mode="edge")
    smooth = np.zeros_like(source)
    for weight, shift in zip(kernel, range(2 * reach + 1), strict=True):
        smooth += weight * padded[shift : shift + len(source)]
    low, high = source.copy(), source.copy()
    near = math.ceil(1.0 / ratio)
    for shift in range(reach - near, reach + near + 1):
        window = padded[shift : shift + len(source)]
        np.minimum(low, window, out=low)
        np.maximum(high, window, out=high)
    return np.clip(smooth, low, high)


def _pchip(values: NDArray[np.float64], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Monotone cubic through `values` (T, C) at frames 0..T-1, read at `positions` (N,) within them: (N, C)."""
    steps = np.diff(values, axis=0)
    before, after = steps[:-1], steps[1:]
    product = before * after
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = np.where(product > 0.0, 2.0 * product / (before + after), 0.0)
    slopes = np.concatenate([steps[:1], inner, steps[-1:]])
    left = np.minimum(positions.astype(np.intp), len(values) - 2)
    u = (positions - left)[:, None]
    y0, y1, m0, m1 = values[left], values[left + 1], slopes[left], slopes[left + 1]
    cubic = y0 + u * (m0 + u * ((3.0 * (y1 - y0) - 2.0 * m0 - m1) + u * (m0 + m1 - 2.0 * (y1 - y0))))
    return np.where(u == 1.0, y1, np.clip(cubic, np.minimum(y0, y1), np.maximum(y0, y1)))


def _moved_frames(
    opening: NDArray[np.float64], positions: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """New frames that look at a closure, and the source position that each looks at.

    Frames that fall into a closure look where they are; where none does, the nearest one looks at the closure's nearest
    end. Where two closures want one frame, the tighter one has it.
    """
    wanted: dict[int, tuple[float, float]] = {}
    for first, last, lowest in closures(opening):
        start, stop = np.searchsorted(positions, first), np.searchsorted(positions, last, side="right")
        if start < stop:
            looks = [(frame, positions[frame]) for frame in range(start, stop)]
        else:
            after = min(int(start), len(positions) - 1)
            before = max(after - 1, 0)
            ends = [(abs(positions[frame] - end), frame, end) for frame in (before, after) for end in (first, last)]
            looks = [min(ends)[1:]]
        for frame, instant in looks:
            wanted[frame] = min(wanted.get(frame, (math.inf, 0.0)), (lowest, float(instant)))
    frames = sorted(wanted)
    return np.array(frames, dtype=np.intp), np.array([wanted[frame][1] for frame in frames])


def closures(opening: NDArray[np.float64]) -> list[tuple[int, int, float]]:
    """Every dip of `opening` (T,): its first and last frame, and its lowest value."""
    found: list[tuple[int, int, float]] = []
    highest = lowest = float(opening[0])
    at = 0
    falling = False
    values = opening.tolist()
    for frame, value in enumerate([*values, math.inf]):
        if falling and value > lowest + _LEAST_DIP:
            limit = lowest + _PLATEAU * min(highest - lowest, value - lowest)
            first = last = at
            while first > 0 and values[first - 1] <= limit:
                first -= 1
            while last + 1 < len(values) and values[last + 1] <= limit:
                last += 1
            found.append((first, last, lowest))
            falling, highest = False, value
        elif falling and value < lowest:
            lowest, at = value, frame
        elif not falling:
            highest = max(highest, value)
            if value < highest - _LEAST_DIP:
                falling, lowest, at = True, value, frame
    return found
