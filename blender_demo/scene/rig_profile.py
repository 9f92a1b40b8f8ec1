# SPDX-License-Identifier: GPL-3.0-or-later
"""RigProfile: which shape keys and bones of a character carry which channels. Data with JSON both ways; no bpy here."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np

from ..backend.errors import RigError
from ..backend.motion.factors import ARKIT_NAMES

__all__ = ["PROFILE_VERSION", "KeyBinding", "RigProfile", "Role", "RotationBinding"]

PROFILE_VERSION: Final = 1

Role = Literal["head", "neck", "eye"]


@dataclass(frozen=True)
class KeyBinding:
    """One shape key and the channel that it carries: value = offset + gain * channel."""

    object: str
    key: str
    channel: str
    gain: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if self.channel not in ARKIT_NAMES:
            raise RigError(f"The profile maps '{self.key}' to '{self.channel}', which is no ARKit channel.")


@dataclass(frozen=True)
class RotationBinding:
    """One bone, or a whole object, that turns with the head or the gaze.

    bone: its name; empty when the object itself turns.
    share: the part of the whole rotation that it takes; neck and head together take 1.
    frame: the head frame in the bone's rest space (in the parent's space for an object), nine numbers row by row.
    """

    object: str
    bone: str
    role: Role
    share: float
    frame: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise RigError(
                f"'{self.bone or self.object}' cannot have the role '{self.role}', only {', '.join(get_args(Role))}."
            )
        matrix = np.array(self.frame, dtype=float)
        if matrix.shape != (9,) or not np.allclose(matrix.reshape(3, 3) @ matrix.reshape(3, 3).T, np.eye(3), atol=1e-3):
            raise RigError(f"The profile's axes for '{self.bone or self.object}' are not a rotation.")


@dataclass(frozen=True)
class RigProfile:
    """What drives what on one character.

    missing: for each channel that nothing carries, the reason in an artist's words.
    notes: what the artist should know, in sentences.
    """

    keys: tuple[KeyBinding, ...] = ()
    rotations: tuple[RotationBinding, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    version: int = PROFILE_VERSION

    @property
    def carried(self) -> set[str]:
        """The channels that reach the character, through a key or a rotation."""
        channels = {binding.channel for binding in self.keys}
        roles = {binding.role for binding in self.rotations}
        if roles & {"head", "neck"}:
            channels |= {"headYaw", "headPitch", "headRoll"}
        if "eye" in roles:
            channels |= {name for name in ARKIT_NAMES if name.startswith("eyeLook")}
        if any(name.startswith("eyeLook") for name in channels):
            channels |= {"gazeYaw", "gazePitch"}
        return channels

    @property
    def matched(self) -> int:
        """How many of the 52 ARKit channels reach the character."""
        return len(self.carried & set(ARKIT_NAMES))

    def summary(self) -> str:
        """One line for the panel: '52 of 52 channels, head and neck, both eyes'."""
        roles = [binding.role for binding in self.rotations]
        head = " and ".join(role for role in ("head", "neck") if role in roles)
        parts = [
            f"{self.matched} of {len(ARKIT_NAMES)} channels",
            f"{head} turn" + ("s" if " and " not in head else "") if head else "head fixed",
        ]
        return ", ".join([*parts, "eyes turn"] if "eye" in roles else parts)

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
                keys=tuple(KeyBinding(**entry) for entry in values.get("keys", ())),
                rotations=tuple(
                    RotationBinding(**{**entry, "frame": tuple(entry["frame"])})
                    for entry in values.get("rotations", ())
                ),
                missing={str(name): str(reason) for name, reason in dict(values.get("missing", {})).items()},
                notes=tuple(str(note) for note in values.get("notes", ())),
            )
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise RigError(f"The rig profile cannot be read: {error}.") from error

    def save(self, path: Path) -> None:
        """Write the profile as JSON."""
        try:
            Path(path).write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise RigError(
                f"Cannot write the rig profile {path}: {error.strerror or error}. Choose a folder you may write to."
            ) from error

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
