# SPDX-License-Identifier: GPL-3.0-or-later
"""From the name an artist or exporter gave a shape key to the ARKit channel it stands for. No bpy here."""

import re
from typing import Final

from ..backend.motion.factors import ARKIT_NAMES

__all__ = ["arkit_channel", "match_names", "plain"]

_SIDES: Final = {"l": "left", "left": "left", "r": "right", "right": "right"}
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_DUPLICATE: Final = re.compile(r"\.\d{3}$")
_BY_PLAIN_NAME: Final = {name.lower(): name for name in ARKIT_NAMES}


def plain(name: str) -> str:
    """A name without case, separators, Blender's '.001' and a name space up to ':'."""
    return re.sub(r"[^0-9a-z]", "", _DUPLICATE.sub("", name).rsplit(":", 1)[-1].lower())


def _with_side_last(words: list[str]) -> str:
    """Words joined, a side that stands first or last spelled out and moved to the end."""
    if words and words[-1] in _SIDES:
        return "".join(words[:-1]) + _SIDES[words[-1]]
    if words and words[0] in _SIDES:
        return "".join(words[1:]) + _SIDES[words[0]]
    return "".join(words)


def arkit_channel(name: str) -> tuple[str, int] | None:
    """The ARKit channel that a key name spells, and how many leading words are prefix; None when it spells none.

    `eyeBlinkLeft`, `EyeBlink_L`, `eye_blink_left`, `L_eyeBlink`, `Face.eyeBlinkLeft`, `ARKit_EYEBLINK_L`: all are
    eyeBlinkLeft.
    """
    words = [word.lower() for word in _WORD.findall(_DUPLICATE.sub("", name).rsplit(":", 1)[-1])]
    for dropped in range(len(words)):
        channel = _BY_PLAIN_NAME.get(_with_side_last(words[dropped:]))
        if channel is not None:
            return channel, dropped
    return None


def match_names(names: list[str]) -> dict[str, str]:
    """For each ARKit channel the name that spells it best, among the keys of one mesh."""
    best: dict[str, tuple[int, str]] = {}
    for name in names:
        match = arkit_channel(name)
        if match is not None and (match[0] not in best or match[1] < best[match[0]][0]):
            best[match[0]] = (match[1], name)
    return {channel: best[channel][1] for channel in ARKIT_NAMES if channel in best}
