# SPDX-License-Identifier: GPL-3.0-or-later
"""From the times of captured frames to a fixed rate."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["frame_places"]

_USUAL_RATES: Final = (24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 48.0, 50.0, 60000 / 1001, 60.0, 120.0)


def frame_places(times: NDArray[np.float64]) -> tuple[NDArray[np.intp], float]:
    """On which frame each of some times (T,) in seconds lies, rising from 0, and the frames per second.

    Steps are whole multiples of the median step, so that dropped frames leave gaps. The rate is the usual one nearest
    to that of the times as long as the last frame then lies within one frame of its time, else the measured one.
    """
    steps = np.diff(times)
    places = np.concatenate([[0], np.cumsum(np.maximum(1, np.rint(steps / np.median(steps))))]).astype(np.intp)
    frames, seconds = int(places[-1]), float(times[-1] - times[0])
    usual = min(_USUAL_RATES, key=lambda rate: abs(rate - frames / seconds))
    return places, usual if abs(frames / usual - seconds) < 1.0 / usual else frames / seconds
