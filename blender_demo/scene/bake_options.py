# SPDX-License-Identifier: GPL-3.0-or-later
"""How a take is baked: the panel, the command line and `scene` say it with these names. No bpy here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import numpy as np

from ..backend.errors import BakeError
from ..backend.motion.factors import FACTOR_INDEX, FACTORS

__all__ = ["BakeOptions", "Blend", "FactorBake", "Interpolation", "Target"]

Target = Literal["NLA", "NEW", "ACTIVE"]
"""Where a take goes: tracks of the NLA, one for each factor; a new Action that becomes the active one; or into the
active Action, in the take's frames alone."""

Interpolation = Literal["LINEAR", "BEZIER", "CONSTANT"]
"""How keys are joined, in Blender's words. CONSTANT holds each value, for stepped work."""

Blend = Literal["REPLACE", "COMBINE"]
"""How a take goes over what the artist animated: in its place, or added to it."""

_FRAME_LIMIT: Final = 1_000_000
"""Blender's own limit for frames."""

_ROUNDING: Final = 1e-3
"""Frames by which a range may be off in Blender's single precision."""

_MOST_TOLERANCE: Final = 0.1
_MOST_STEP: Final = 100
_MOST_GAIN: Final = 4.0
_MOST_OFFSET_MS: Final = 2000.0
_MOST_SMOOTHING_MS: Final = 1000.0
_MOST_EASE_S: Final = 10.0


def _check(what: str, value: float, low: float, high: float) -> None:
    if not (np.isfinite(value) and low <= value <= high):
        raise BakeError(f"The {what} must lie between {low:g} and {high:g}, not {value}.")


def _check_one_of(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise BakeError(f"The {what} must be one of {', '.join(choices)}, not {value}.")


@dataclass(frozen=True)
class FactorBake:
    """How one factor goes onto the character.

    include: whether it is baked at all.
    gain: scale around rest.
    offset_ms: how much later than the voice it comes; earlier where negative.
    smoothing_ms: width of the window over which it is smoothed, at half its height; closed lips and lids stay closed.
    blend: how it goes over what the artist animated.
    """

    include: bool = True
    gain: float = 1.0
    offset_ms: float = 0.0
    smoothing_ms: float = 0.0
    blend: Blend = "REPLACE"

    def __post_init__(self) -> None:
        _check("gain of a factor", self.gain, 0.0, _MOST_GAIN)
        _check("offset of a factor in milliseconds", self.offset_ms, -_MOST_OFFSET_MS, _MOST_OFFSET_MS)
        _check("smoothing of a factor in milliseconds", self.smoothing_ms, 0.0, _MOST_SMOOTHING_MS)
        _check_one_of("blend of a factor", self.blend, get_args(Blend))


def _default_factors() -> dict[str, FactorBake]:
    return {factor.name: FactorBake(blend="COMBINE" if factor.name == "pose" else "REPLACE") for factor in FACTORS}


@dataclass(frozen=True)
class BakeOptions:
    """Raises BakeError for what makes no sense.

    start_frame: scene frame of the clip's first frame; may lie between frames.
    take: the name of the take; a take of the same name, or one in the same place, is replaced.
    target: where it goes.
    first, last: the scene frames in which is baked; the whole take where they are None.
    step: a key on every so many frames; 0 puts them where the tolerance needs them.
    tolerance: how far a curve may leave the clip to save keys, in shape key units. Nothing where there is a step.
    interpolation: how the keys are joined.
    ease_s: seconds in which the face leaves its rest and finds it again: before and after the take, or within the
        take's own frames where it goes into the active Action.
    factors: for each factor how it is baked. The head adds to what the artist animated beneath, the face replaces it.
    clip_path, clip_speed: the clip's file, and how much faster than recorded it plays; remembered with the take.
    """

    start_frame: float = 1.0
    take: str = "take"
    target: Target = "NLA"
    first: float | None = None
    last: float | None = None
    step: int = 0
    tolerance: float = 0.002
    interpolation: Interpolation = "LINEAR"
    ease_s: float = 0.2
    factors: Mapping[str, FactorBake] = field(default_factory=_default_factors)
    clip_path: str = ""
    clip_speed: float = 1.0

    def __post_init__(self) -> None:
        if not self.take:
            raise BakeError("The take needs a name.")
        _check_one_of("target", self.target, get_args(Target))
        _check_one_of("interpolation", self.interpolation, get_args(Interpolation))
        _check("start frame", self.start_frame, -_FRAME_LIMIT, _FRAME_LIMIT)
        for edge in (self.first, self.last):
            if edge is not None:
                _check("first and last frame", edge, -_FRAME_LIMIT, _FRAME_LIMIT)
        _check("step", self.step, 0, _MOST_STEP)
        _check("key tolerance", self.tolerance, 0.0, _MOST_TOLERANCE)
        _check("ease in seconds", self.ease_s, 0.0, _MOST_EASE_S)
        for name in self.factors:
            if name not in FACTOR_INDEX:
                raise BakeError(f"There is no factor '{name}', only {', '.join(FACTOR_INDEX)}.")

    def factor(self, name: str) -> FactorBake:
        """How one factor is baked."""
        return self.factors.get(name) or FactorBake()

    def rows(self, count: int) -> range:
        """Which of a clip's `count` frames, at the scene's rate, lie in the range. Raises BakeError where none does."""
        begin = 0 if self.first is None else max(int(np.ceil(self.first - self.start_frame - _ROUNDING)), 0)
        end = count if self.last is None else min(int(np.floor(self.last - self.start_frame + _ROUNDING)) + 1, count)
        if begin >= end:
            raise BakeError(
                f"The frames to bake hold nothing of the take, which lies at {self.start_frame:g} to "
                f"{self.start_frame + count - 1:g}. Change the range, or bake the whole take."
            )
        return range(begin, end)
