# SPDX-License-Identifier: GPL-3.0-or-later
"""A rig profile as a table for people and programs: each channel with what carries it, or why nothing does. No bpy."""

from dataclasses import dataclass
from typing import Any

from ..backend.motion.factors import CHANNELS, FACTOR_OF
from .rig_profile import KeyBinding, RigProfile, RotationBinding

__all__ = ["Row", "as_json", "as_text", "rows"]


@dataclass(frozen=True)
class Row:
    """One channel.

    carriers: 'Object: key' or 'Object: bone'. source, confidence: of the surest; empty and 0 if missing.
    reason: why nothing carries it; empty if something does.
    """

    channel: str
    factor: str
    carriers: tuple[str, ...] = ()
    source: str = ""
    confidence: float = 0.0
    convention: str = ""
    mixed: bool = False
    reason: str = ""

    @property
    def found(self) -> str:
        """How it was found, in a few words."""
        if not self.carriers:
            return "missing"
        what = {"name": self.convention or "name", "geometry": f"shape {self.confidence:.0%}", "artist": "by hand"}
        return what[self.source] + (", in a mixture" if self.mixed else "")


def rows(profile: RigProfile) -> list[Row]:
    """A row for each channel, in channel order."""
    table = []
    for channel in CHANNELS:
        bindings = profile.bindings_of(channel)
        if not bindings:
            table.append(Row(channel, FACTOR_OF[channel], reason=profile.missing.get(channel, "Nothing carries it.")))
            continue
        surest = max(bindings, key=lambda binding: binding.confidence)
        keys = [binding for binding in bindings if isinstance(binding, KeyBinding)]
        table.append(
            Row(
                channel,
                FACTOR_OF[channel],
                tuple(dict.fromkeys(_carrier(binding) for binding in bindings)),
                surest.source,
                surest.confidence,
                keys[0].convention if keys and keys[0].source == "name" else "",
                bool(keys) and all(binding.channel is None for binding in keys) and len(keys) == len(bindings),
            )
        )
    return table


def _carrier(binding: KeyBinding | RotationBinding) -> str:
    if isinstance(binding, KeyBinding):
        return f"{binding.object}: {binding.key}"
    return f"{binding.object}: {binding.bone}" if binding.bone else binding.object


def as_text(profile: RigProfile) -> str:
    """The table in columns, then the notes."""
    lines = []
    for row in rows(profile):
        carriers = ", ".join(row.carriers[:3]) + (f" and {len(row.carriers) - 3} more" if len(row.carriers) > 3 else "")
        lines.append(f"  {row.channel:20} {row.found:32} {carriers or row.reason}")
    return "\n".join([*lines, *(f"  Note: {note}" for note in profile.notes)])


def as_json(profile: RigProfile) -> dict[str, Any]:
    """The table, and the profile itself, as plain JSON values."""
    return {
        "matched": profile.matched,
        "carried": len(profile.carried),
        "summary": profile.summary(),
        "moves_lips": profile.moves_lips,
        "channels": [
            {
                "channel": row.channel,
                "factor": row.factor,
                "state": "matched" if row.carriers else "missing",
                "source": row.source or None,
                "confidence": round(row.confidence, 3),
                "by": list(row.carriers),
                "mixed": row.mixed,
                "reason": row.reason or None,
            }
            for row in rows(profile)
        ],
        "notes": list(profile.notes),
        "profile": profile.to_json(),
    }
