# SPDX-License-Identifier: GPL-3.0-or-later
"""Captured lips at the model's rate, the person's rest subtracted."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from ..audio.encoder import PHONES
from ..motion.factors import FACTORS, MODEL_FPS
from .corpus import Utterance

__all__ = ["captured_lips"]

_LIP_NAMES: Final = FACTORS[0].channels


def captured_lips(utterance: Utterance) -> NDArray[np.float32]:
    """Lip channels (T, 29) of an utterance with captured motion; channels that were not captured are zero."""
    captured = utterance.captured
    if captured is None:
        raise ValueError(f"{utterance.name} has no captured motion")
    times = np.clip(np.arange(len(utterance)) / MODEL_FPS, 0.0, (len(captured.values) - 1) / captured.fps)
    values = PchipInterpolator(np.arange(len(captured.values)) / captured.fps, captured.values)(times)
    rest = np.percentile(values[_silent(utterance, times)], 30, axis=0)
    out = np.zeros((len(utterance), len(_LIP_NAMES)), np.float32)
    for i, name in enumerate(_LIP_NAMES):
        if name in captured.names:
            column = captured.names.index(name)
            out[:, i] = np.clip(values[:, column] - rest[column], 0.0, 1.0)
    return out


def _silent(utterance: Utterance, times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Frames at which nothing is said: by the phones, else the quietest tenth."""
    if utterance.phones is None:
        loudness = utterance.features.energy.mean(axis=1)
        return loudness <= np.percentile(loudness, 10)
    spoken = np.zeros(len(times), bool)
    for phone, start, end in utterance.phones:
        if PHONES[phone] != "SIL":
            spoken |= (times >= start - 0.1) & (times < end + 0.1)
    return ~spoken if (~spoken).any() else np.ones(len(times), bool)
