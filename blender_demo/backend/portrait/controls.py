# SPDX-License-Identifier: GPL-3.0-or-later
"""How an artist directs a portrait that has its motion already. Plain values, as in `order`."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

from ..errors import PortraitError
from ..motion.factors import FACTORS

__all__ = ["NEUTRAL", "PortraitControls"]

_LARGEST_GAIN: Final = 4.0
_LARGEST_TURN_RAD: Final = math.radians(60.0)


@dataclass(frozen=True)
class PortraitControls:
    """How an artist directs a portrait: how much of each factor, and what is added to gaze, head and lids.

    Angles in radians with the signs of `motion/factors.py`.
    """

    lip: float = 1.0
    pose: float = 1.0
    eyes: float = 1.0
    expression: float = 1.0
    gaze_offset: tuple[float, float] = (0.0, 0.0)  # yaw, pitch
    head_offset: tuple[float, float, float] = (0.0, 0.0, 0.0)  # yaw, pitch, roll
    blinks: tuple[float, ...] = ()
    """Seconds into the clip, at its own rate, at which the lids are shut."""

    def __post_init__(self) -> None:
        for factor in FACTORS:
            gain = getattr(self, factor.name)
            if not 0.0 <= gain <= _LARGEST_GAIN:
                raise PortraitError(f"The gain of {factor.name} must be between 0 and {_LARGEST_GAIN:g}, not {gain:g}.")
        for what, angles, count in (("gaze", self.gaze_offset, 2), ("head", self.head_offset, 3)):
            if len(angles) != count:
                raise PortraitError(f"The {what} is turned by {count} angles, not {len(angles)}.")
            for angle in angles:
                if not abs(angle) <= _LARGEST_TURN_RAD:
                    raise PortraitError(
                        f"The {what} can be turned by {math.degrees(_LARGEST_TURN_RAD):g} degrees at most, "
                        f"not {math.degrees(angle):g}."
                    )
        for second in self.blinks:
            if not 0.0 <= second < math.inf:
                raise PortraitError(f"A blink must come 0 or more seconds after the start, not at {second:g}.")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, the inverse of `from_json`."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Any) -> "PortraitControls":
        """Controls from plain JSON values. Raises PortraitError for what are none."""
        try:
            return cls(**{name: _numbers(value) for name, value in values.items()})
        except (AttributeError, TypeError) as error:
            raise PortraitError(f"The controls of a portrait cannot be read: {error}.") from error


NEUTRAL: Final = PortraitControls()


def _numbers(value: Any) -> Any:
    """A number as float, or a list of them as a tuple. Raises TypeError for all else."""
    if isinstance(value, list):
        return tuple(map(_numbers, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)
