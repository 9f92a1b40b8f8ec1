# SPDX-License-Identifier: GPL-3.0-or-later
"""Made-up speech-like motion to measure with."""

import numpy as np

from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNELS, LIMITS, MODEL_FPS

__all__ = ["speech_like_clip"]


def speech_like_clip(seconds: float, seed: int = 0) -> MotionClip:
    """Every channel moves at the pace of syllables, without rests: harder to reduce than real speech."""
    rng = np.random.default_rng(seed)
    frames = round(seconds * MODEL_FPS)
    noise = rng.normal(size=(frames + 16, len(CHANNELS)))
    window = np.hanning(17)
    smooth = np.stack([np.convolve(column, window / window.sum(), mode="valid") for column in noise.T], axis=1)
    low, high = np.array([LIMITS[name] for name in CHANNELS]).T
    unit = np.clip(0.35 + smooth, 0.0, 1.0)
    return MotionClip(fps=MODEL_FPS, channels=(low + unit * (high - low)).astype(np.float32))
