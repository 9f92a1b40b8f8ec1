# SPDX-License-Identifier: GPL-3.0-or-later
"""Resampling and key reduction of ten minutes of motion.

python -m benchmarks.curves
"""

import time
from collections.abc import Callable

from blender_demo.backend.motion.reduce import reduce_curves
from blender_demo.backend.motion.resample import resample

from .motion import speech_like_clip
from .report import Row, publish

SECONDS = 600.0


def main() -> None:
    """Measure and publish."""
    clip = speech_like_clip(SECONDS)
    rows = [Row("motion, frames", len(clip)), Row("motion, channels", len(clip.names))]
    rows += [Row(f"resampled to {fps} fps, seconds", timed(lambda fps=fps: resample(clip, fps))) for fps in (24, 60)]
    for tolerance in (0.002, 0.01):
        keys = sum(map(len, reduce_curves(clip.channels, tolerance)))
        rows.append(Row(f"reduced to {tolerance}, seconds", timed(lambda t=tolerance: reduce_curves(clip.channels, t))))
        rows.append(Row(f"reduced to {tolerance}, keys per curve-frame", keys / clip.channels.size))
    publish("Curves", rows)


def timed(work: Callable[[], object]) -> float:
    """Seconds of the fastest of three runs."""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


if __name__ == "__main__":
    main()
