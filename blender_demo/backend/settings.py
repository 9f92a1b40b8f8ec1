# SPDX-License-Identifier: GPL-3.0-or-later
"""What a take is generated with. Torch-free: made by operators and the command line, read by the worker."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from .errors import DemoError
from .motion.factors import FACTORS

__all__ = ["AUTO", "EMOTIONS", "GRIDS", "NEUTRAL", "STYLES", "FactorControl", "GenerationSettings"]

AUTO: Final = "auto"

STYLES: Final = ("captured", "animated", "taught")
"""Where the lips of a training clip came from: a tracked face, an animator, the coarticulation teacher."""

EMOTIONS: Final = ("angry", "contempt", "disgusted", "fear", "happy", "sad", "surprised")
NEUTRAL: Final = "neutral"

GRIDS: Final = ("uniform", "sway", "epss")
"""How the solver's steps lie between noise and motion."""


@dataclass(frozen=True)
class FactorControl:
    """How one factor is sampled and scaled.

    guidance: how closely the audio is followed (classifier-free guidance); 1 is the usual strength, 0 leaves it out.
    temperature: scale of the initial noise; 0 gives the most likely motion, 1 the usual variety, more a wilder one.
    gain: scale of the factor's channels around rest.
    seed_offset: added to the take's seed, so that one factor can be re-drawn while the others stay.
    given: path of a take (.npz) whose track of this factor is kept as it is; the others are generated to fit it.
    """

    guidance: float = 1.0
    temperature: float = 1.0
    gain: float = 1.0
    seed_offset: int = 0
    given: str = ""


@dataclass(frozen=True)
class GenerationSettings:
    """All that, with the recording and the weights, determines a take.

    seed: the take; the same seed gives the same motion on the same device.
    steps: evaluations of each vector field.
    grid: how the steps lie, one of GRIDS.
    device: "auto", "cuda", "mps" or "cpu".
    style: whose lips to take after: "captured" from a tracked face, "animated" by hand, "taught" by the
    coarticulation model, or "auto", what suits the recording.
    emotion: "auto" lets prosody drive the expression; "neutral" or one of EMOTIONS is shown at `intensity`.
    prefix, suffix: paths of takes (.npz): this one goes on from the end of the first and leads into the second.
    factors: a FactorControl for each factor name.
    """

    seed: int = 0
    steps: int = 5
    grid: str = "uniform"
    device: str = AUTO
    style: str = AUTO
    emotion: str = AUTO
    intensity: float = 1.0
    prefix: str = ""
    suffix: str = ""
    factors: dict[str, FactorControl] = field(default_factory=lambda: {f.name: FactorControl() for f in FACTORS})

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 100:
            raise DemoError(f"Steps must be between 1 and 100, not {self.steps}.")
        for key, value, choices in (
            ("device", self.device, (AUTO, "cuda", "mps", "cpu")),
            ("style", self.style, (AUTO, *STYLES)),
            ("emotion", self.emotion, (AUTO, NEUTRAL, *EMOTIONS)),
            ("grid", self.grid, GRIDS),
        ):
            if value not in choices:
                raise DemoError(f"Unknown {key} '{value}'. Use {', '.join(choices[:-1])} or {choices[-1]}.")
        if not 0.0 <= self.intensity <= 1.0:
            raise DemoError(f"Intensity must be between 0 and 1, not {self.intensity}.")
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
