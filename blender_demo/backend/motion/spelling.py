# SPDX-License-Identifier: GPL-3.0-or-later
"""Column names of motion files, however a program spells them."""

import re
from typing import Final

__all__ = ["plain"]

_SIDES: Final = {"l": "left", "r": "right"}
_SIDE: Final = re.compile(r"(?:[^0-9A-Za-z]([LRlr])|(?<=[a-z])([LR]))$")
_NAME_SPACE: Final = re.compile(r"^.*[.:/](?=.{2})")


def plain(name: str) -> str:
    """A name without case, separators and what stands before the last `.`, `:` or `/`, its side spelled out.

    `eyeBlinkLeft`, `EyeBlink_L`, `EYE_BLINK_LEFT`, `eyeBlinkL`, `blendShapes.EyeBlinkLeft`: all are eyeblinkleft.
    """
    name = _NAME_SPACE.sub("", name.strip())
    name = _SIDE.sub(lambda match: _SIDES[(match[1] or match[2]).lower()], name)
    return re.sub(r"[^0-9a-z]", "", name.lower())
