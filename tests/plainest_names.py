# SPDX-License-Identifier: GPL-3.0-or-later
"""Which key of a character stands for which channel: what tests compare detection with."""

from collections.abc import Iterable

from blender_demo.backend.mapping.names import recognize
from blender_demo.backend.motion.factors import ARKIT_NAMES

__all__ = ["match_names"]


def match_names(names: Iterable[str]) -> dict[str, str]:
    """For each ARKit channel that some key shows alone and in full, the name that says so most plainly."""
    best: dict[str, tuple[float, int, str]] = {}
    for name, found in recognize(names).items():
        channel, weight = next(iter(found.channels.items()))
        if len(found.channels) == 1 and weight == 1.0:
            best[channel] = min(best.get(channel, (0.0, 0, "")), (-found.confidence, len(name), name))
    return {channel: best[channel][2] for channel in ARKIT_NAMES if channel in best}
