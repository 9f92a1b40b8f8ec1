# SPDX-License-Identifier: GPL-3.0-or-later
"""RigProfile: which shape keys and bones of a character carry which channels. Data with JSON both ways; no bpy here."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np

from ..backend.errors import RigError
from ..backend.motion.atomic import written_whole
from ..backend.motion.factors import ARKIT_NAMES, CHANNELS, FACTOR_INDEX, FACTORS

__all__ = [
    "MOST_GAIN",
    "PROFILE_VERSION",
    "ROLE_CHANNELS",
    "KeyBinding",
    "RigProfile",
    "Role",
    "RotationBinding",
    "Source",
]

MOST_GAIN: Final = 4.0
"""Largest gain of a channel."""

PROFILE_VERSION: Final = 2

Role = Literal["head", "neck", "eye", "jaw"]

Source = Literal["name", "geometry", "artist"]
"""How a binding was found: by what a key or bone is called, by what it moves, or set by hand."""

ROLE_CHANNELS: Final[dict[Role, tuple[str, ...]]] = {
    "head": ("headYaw", "headPitch", "headRoll"),
    "neck": ("headYaw", "headPitch", "headRoll"),
    "eye": (*(name for name in ARKIT_NAMES if name.startswith("eyeLook")), "gazeYaw", "gazePitch"),
    "jaw": ("jawOpen", "jawLeft", "jawRight"),
}
"""The channels that reach a character through what turns."""

_LEAST_SHARE: Final = 0.2
"""A key that shows less of a channel than this, beside others, does not count as carrying it."""


def _check_found(what: str, source: str, confidence: float) -> None:
    if source not in get_args(Source):
        raise RigError(f"{what} cannot have the source '{source}', only {', '.join(get_args(Source))}.")
    if not 0.0 <= confidence <= 1.0:
        raise RigError(f"The confidence of {what} must lie between 0 and 1, not {confidence}.")


@dataclass(frozen=True)
class KeyBinding:
    """One shape key and what it shows.

    channels: the ARKit weights that look like the key at value 1. One channel at weight 1 for an ARKit key, several for
        a viseme; negative weights where the key also does the opposite of a channel.
    gain, offset: value = offset + gain * how much of the shape is shown.
    low, high: how much of the shape may be shown; low is -1 for a key that goes both ways. The key's own slider limits
        hold as well.
    source, confidence (0..1): how it was found, and how sure that is.
    convention: of its name, as an artist calls it; empty where it was not told by name.
    """

    object: str
    key: str
    channels: Mapping[str, float]
    gain: float = 1.0
    offset: float = 0.0
    low: float = 0.0
    high: float = 1.0
    source: Source = "name"
    confidence: float = 1.0
    convention: str = ""

    def __post_init__(self) -> None:
        what = f"'{self.key}'"
        if not self.channels:
            raise RigError(f"The profile does not say what {what} shows.")
        for channel, weight in self.channels.items():
            if channel not in ARKIT_NAMES:
                raise RigError(f"The profile maps {what} to '{channel}', which is no ARKit channel.")
            if not (np.isfinite(weight) and weight != 0.0):
                raise RigError(f"The profile gives {what} the weight {weight} for {channel}.")
        if not (np.isfinite([self.gain, self.offset, self.low, self.high]).all() and self.low < self.high):
            raise RigError(f"The gain, offset or limits of {what} in the profile are not numbers that fit.")
        _check_found(what, self.source, self.confidence)

    @property
    def channel(self) -> str | None:
        """The one channel that the key stands for; None for a mixture."""
        return next(iter(self.channels)) if len(self.channels) == 1 else None

    @property
    def carried(self) -> set[str]:
        """The channels that are seen when the key moves."""
        shown = {channel: max(weight * self.low, weight * self.high) for channel, weight in self.channels.items()}
        most = max(shown.values())
        return {channel for channel, amount in shown.items() if amount > 0.0 and amount >= _LEAST_SHARE * most}


@dataclass(frozen=True)
class RotationBinding:
    """One bone, or a whole object, that turns with the head, the gaze or the jaw.

    bone: its name; empty when the object itself turns.
    share: the part of the whole rotation that it takes; neck and head together take 1.
    frame: the head frame in the bone's rest space (in the parent's space for an object), nine numbers row by row.
    source, confidence (0..1): how it was found, and how sure that is.
    """

    object: str
    bone: str
    role: Role
    share: float
    frame: tuple[float, ...]
    source: Source = "name"
    confidence: float = 1.0

    def __post_init__(self) -> None:
        what = f"'{self.bone or self.object}'"
        if self.role not in get_args(Role):
            raise RigError(f"{what} cannot have the role '{self.role}', only {', '.join(get_args(Role))}.")
        matrix = np.array(self.frame, dtype=float)
        if matrix.shape != (9,) or not np.allclose(matrix.reshape(3, 3) @ matrix.reshape(3, 3).T, np.eye(3), atol=1e-3):
            raise RigError(f"The profile's axes for {what} are not a rotation.")
        if not np.isfinite(self.share):
            raise RigError(f"The share of {what} in the profile is not a number.")
        _check_found(what, self.source, self.confidence)


@dataclass(frozen=True)
class RigProfile:
    """What drives what on one character.

    gains: by channel, how strongly it is shown; 1 where it is not named.
    missing: for each channel that nothing carries, the reason in an artist's words.
    notes: what the artist should know, in sentences.
    """

    keys: tuple[KeyBinding, ...] = ()
    rotations: tuple[RotationBinding, ...] = ()
    gains: Mapping[str, float] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    version: int = PROFILE_VERSION

    def __post_init__(self) -> None:
        for channel, gain in self.gains.items():
            if channel not in CHANNELS:
                raise RigError(f"The profile gives a gain to '{channel}', which is no channel.")
            if not (np.isfinite(gain) and 0.0 <= gain <= MOST_GAIN):
                raise RigError(f"The gain of {channel} must lie between 0 and {MOST_GAIN:g}, not {gain}.")

    @property
    def carried(self) -> set[str]:
        """The channels that reach the character, through a key or a rotation."""
        channels: set[str] = set().union(*(binding.carried for binding in self.keys))
        roles = {binding.role for binding in self.rotations}
        for role in roles:
            channels |= set(ROLE_CHANNELS[role])
        if any(name.startswith("eyeLook") for name in channels):
            channels |= {"gazeYaw", "gazePitch"}
        return channels

    @property
    def matched(self) -> int:
        """How many of the 52 ARKit channels reach the character."""
        return len(self.carried & set(ARKIT_NAMES))

    @property
    def moves_lips(self) -> bool:
        """Whether speech can be seen: the mouth opens or shapes, by keys or by a jaw."""
        return bool(self.carried & set(FACTORS[FACTOR_INDEX["lip"]].channels))

    def bindings_of(self, channel: str) -> tuple[KeyBinding | RotationBinding, ...]:
        """What shows a channel, keys first."""
        keys = [binding for binding in self.keys if channel in binding.carried]
        looks = channel.startswith("gaze")
        keys += [b for b in self.keys if looks and any(name.startswith("eyeLook") for name in b.carried)]
        return (*keys, *(binding for binding in self.rotations if channel in ROLE_CHANNELS[binding.role]))

    def summary(self) -> str:
        """One line for the panel: '52 of 52 channels, head and neck turn, eyes turn'."""
        roles = [binding.role for binding in self.rotations]
        head = " and ".join(role for role in ("head", "neck") if role in roles)
        parts = [
            f"{self.matched} of {len(ARKIT_NAMES)} channels",
            f"{head} turn" + ("s" if " and " not in head else "") if head else "head fixed",
        ]
        parts += [text for role, text in (("eye", "eyes turn"), ("jaw", "jaw turns")) if role in roles]
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, the inverse of `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "RigProfile":
        """A profile from plain JSON values. Raises RigError for what does not belong in one."""
        try:
            unknown = set(values) - {f.name for f in fields(cls)}
            if unknown:
                raise RigError(f"Unknown entry '{sorted(unknown)[0]}' in the rig profile.")
            if int(values.get("version", PROFILE_VERSION)) > PROFILE_VERSION:
                raise RigError("The rig profile was written by a newer version of this add-on. Update the add-on.")
            return cls(
                keys=tuple(KeyBinding(**_of_version_1(entry)) for entry in values.get("keys", ())),
                rotations=tuple(
                    RotationBinding(**{**entry, "frame": tuple(entry["frame"])})
                    for entry in values.get("rotations", ())
                ),
                gains={str(name): float(gain) for name, gain in dict(values.get("gains", {})).items()},
                missing={str(name): str(reason) for name, reason in dict(values.get("missing", {})).items()},
                notes=tuple(str(note) for note in values.get("notes", ())),
            )
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise RigError(f"The rig profile cannot be read: {error}.") from error

    def save(self, path: Path) -> None:
        """Write the profile as JSON, whole or not at all. Raises RigError."""
        with written_whole(Path(path), "rig profile", RigError) as temporary:
            temporary.write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "RigProfile":
        """Read a profile written by `save`, or by hand. Raises RigError with the file's name."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RigError(f"{path} is not a rig profile that can be read: {error}.") from error
        if not isinstance(values, dict):
            raise RigError(f"{path} is not a rig profile: it holds no table of entries.")
        return cls.from_json(values)


def _of_version_1(entry: dict[str, Any]) -> dict[str, Any]:
    """A key's entry; version 1 named one channel."""
    if "channel" not in entry:
        return entry
    rest = {name: value for name, value in entry.items() if name != "channel"}
    return {**rest, "channels": {entry["channel"]: 1.0}}
