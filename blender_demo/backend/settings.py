# SPDX-License-Identifier: GPL-3.0-or-later
"""What a take is generated with. Torch-free: made by operators and the command line, read by the worker."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from .errors import DemoError
from .motion.factors import FACTORS

__all__ = ["STYLES", "FactorControl", "GenerationSettings"]

STYLES: Final = ("captured", "animated", "taught")
"""Where the lips of a training clip came from: a tracked face, an animator, the coarticulation teacher."""


@dataclass(frozen=True)
class FactorControl:
    """How one factor is sampled and scaled.

    guidance: how closely the audio is followed (classifier-free guidance); 1 is the usual strength, 0 leaves it out.
    temperature: scale of the initial noise; 0 gives the most likely motion, 1 the usual variety, more a wilder one.
    gain: scale of the factor's channels around rest.
    seed_offset: added to the take's seed, so that one factor can be re-drawn while the others stay.
    """

    guidance: float = 1.0
    temperature: float = 1.0
    gain: float = 1.0
    seed_offset: int = 0


@dataclass(frozen=True)
class GenerationSettings:
    """All that, with the recording and the weights, determines a take.

    seed: the take; the same seed gives the same motion on the same device.
    steps: evaluations of the vector field.
    device: "auto", "cuda", "mps" or "cpu".
    style: whose lips to take after: "captured" from a tracked face, "animated" by hand, or "taught" by the
    coarticulation model. factors: a FactorControl for each factor name.
    """

    seed: int = 0
    steps: int = 10
    device: str = "auto"
    style: str = "captured"
    factors: dict[str, FactorControl] = field(default_factory=lambda: {f.name: FactorControl() for f in FACTORS})

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 100:
            raise DemoError(f"Steps must be between 1 and 100, not {self.steps}.")
        if self.device not in ("auto", "cuda", "mps", "cpu"):
            raise DemoError(f"Unknown device '{self.device}'. Use auto, cuda, mps or cpu.")
        if self.style not in STYLES:
            raise DemoError(f"Unknown style '{self.style}'. Use {', '.join(STYLES)}.")
        unknown = set(self.factors) - {factor.name for factor in FACTORS}
        if unknown:
            known = ", ".join(factor.name for factor in FACTORS)
            raise DemoError(f"Unknown factor '{sorted(unknown)[0]}'. The factors are {known}.")
        for name, control in self.factors.items():
            for key, low, high in (("guidance", 0.0, 5.0), ("temperature", 0.0, 2.0), ("gain", 0.0, 4.0)):
                value = getattr(control, key)
                if not low <= value <= high:
                    raise DemoError(f"{key.capitalize()} of {name} must be between {low:g} and {high:g}, not {value}.")

    def control(self, factor: str) -> FactorControl:
        """The control of one factor; the default one where none was given."""
        return self.factors.get(factor, FactorControl())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, the inverse of `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "GenerationSettings":
        """Settings from plain JSON values. Raises DemoError for an unknown name or a value of the wrong kind."""
        known = {f.name for f in fields(cls)}
        unknown = set(values) - known
        if unknown:
            raise DemoError(f"Unknown setting '{sorted(unknown)[0]}'. Known settings are {', '.join(sorted(known))}.")
        try:
            factors = {name: FactorControl(**control) for name, control in values.get("factors", {}).items()}
            return cls(**{**values, "factors": factors} if "factors" in values else values)
        except TypeError as error:
            raise DemoError(f"The settings cannot be read: {error}.") from error
