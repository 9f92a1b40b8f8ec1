# SPDX-License-Identifier: GPL-3.0-or-later
"""What the flow shall learn for each recording: captured lips where there is capture, taught ones elsewhere, drawn
head, eyes and brows.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from tqdm import tqdm

from ..audio.features import SAMPLE_RATE, Features, extract
from ..motion.factors import CHANNEL_INDEX, FACTORS, channel_slice
from ..settings import AUTO, EMOTIONS, NEUTRAL, STYLES
from .captured import captured_lips
from .coarticulation import FITTED, CoarticulationTeacher, close_lips
from .corpus import Utterance
from .emotion import show_emotion
from .prosody_motion import stochastic_motion

__all__ = ["Performance", "draw_performances", "silent_performances"]

_LIP_NAMES: Final = FACTORS[0].channels
_EMOTION_SHARES: Final = [0.5, 0.1, *[0.4 / len(EMOTIONS)] * len(EMOTIONS)]
_BESIDE: Final = [i for i, name in enumerate(_LIP_NAMES) if name not in FITTED]


@dataclass(frozen=True)
class Performance:
    """Features of a recording, one performance of it (T, 60), the index of its lips' style, and what it shows:
    "auto", "neutral" or an emotion, and how strongly.
    """

    features: Features
    channels: NDArray[np.float32]
    style: int
    emotion: str = AUTO
    intensity: float = 0.0


def draw_performances(
    utterances: list[Utterance], teacher: CoarticulationTeacher, rng: np.random.Generator
) -> list[Performance]:
    """One performance for each utterance that has captured lips or phones."""
    out = []
    for u in tqdm(utterances, desc="perform", leave=False, mininterval=2.0):
        lips, style = _lips(u, teacher, rng)
        if lips is not None:
            channels = stochastic_motion(u.features, rng)
            channels[:, channel_slice("lip")] = lips
            emotion = rng.choice([AUTO, NEUTRAL, *EMOTIONS], p=_EMOTION_SHARES)
            intensity = float(rng.uniform(0.2, 1.0))
            if emotion != AUTO:
                channels = show_emotion(channels, None if emotion == NEUTRAL else str(emotion), intensity, rng)
            out.append(Performance(u.features, channels, STYLES.index(style), str(emotion), intensity))
    return out


def _lips(
    u: Utterance, teacher: CoarticulationTeacher, rng: np.random.Generator
) -> tuple[NDArray[np.float32] | None, str]:
    if u.captured is None and u.phones is None:
        return None, ""
    if u.phones is None:
        return captured_lips(u), "animated"
    taught = teacher.lips(u.phones, len(u))
    if u.captured is None:
        return close_lips(_vary(taught, u.features, rng), u.phones, len(u)), "taught"
    lips = captured_lips(u)
    # The tracker does not move these; the teacher, following the same phones, does.
    lips[:, _BESIDE] = np.maximum(lips[:, _BESIDE], taught[:, _BESIDE] * rng.uniform(0.8, 1.2))
    return close_lips(lips, u.phones, len(u)), "captured"


def _vary(lips: NDArray[np.float32], features: Features, rng: np.random.Generator) -> NDArray[np.float32]:
    """Another speaker's manner: how wide, how loud syllables open the jaw more, small wandering of everything."""
    loudness = gaussian_filter1d(features.energy.mean(axis=1), 3.0)
    stress = np.clip(1.0 + 0.45 * (loudness - np.percentile(loudness, 60)), 0.55, 1.5)
    wander = np.exp(gaussian_filter1d(rng.standard_normal(lips.shape), 6.0, axis=0) * 0.9)
    out = lips * rng.uniform(0.8, 1.25) * np.exp(rng.normal(0.0, 0.1, lips.shape[1])) * wander
    out[:, CHANNEL_INDEX["jawOpen"]] *= stress
    return np.clip(out, 0.0, 1.0).astype(np.float32)


def silent_performances(count: int, seconds: float, rng: np.random.Generator) -> list[Performance]:
    """Rooms where nobody speaks: colored noise, hum, digital silence; lips at rest, eyes and head alive."""
    out = []
    for _ in range(count):
        samples = int(seconds * SAMPLE_RATE)
        spectrum = np.fft.rfft(rng.standard_normal(samples))
        slope = (np.arange(len(spectrum)) + 50.0) ** -rng.uniform(0.0, 1.0)
        noise = np.fft.irfft(spectrum * slope, samples)
        noise *= 10.0 ** rng.uniform(-5.0, -1.0) / max(noise.std(), 1e-9)
        hum = (
            np.sin(2 * np.pi * rng.choice([50.0, 60.0, 100.0]) * np.arange(samples) / SAMPLE_RATE)
            * noise.std()
            * rng.uniform(0.0, 2.0)
        )
        features = extract((noise + hum).astype(np.float32) * (rng.random() > 0.15))
        out.append(Performance(features, stochastic_motion(features, rng), int(rng.integers(len(STYLES)))))
    return out
