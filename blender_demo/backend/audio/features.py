# SPDX-License-Identifier: GPL-3.0-or-later
"""What the networks hear: log-mel frames, energy and pitch of 16 kHz mono speech. Numpy only; frames are centered on
exact times.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..motion.factors import MODEL_FPS

__all__ = ["MEL_BANDS", "MEL_PER_FRAME", "SAMPLE_RATE", "Features", "extract", "frame_count"]

SAMPLE_RATE: Final = 16_000
MEL_BANDS: Final = 64
MEL_PER_FRAME: Final = 4
"""Log-mel frames per motion frame: 120 a second."""

_WINDOW: Final = 400
_FFT: Final = 512
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 7600.0
_FLOOR: Final = 1e-10
_MEL_FLOOR: Final = 1e-7
_SPEECH_LEVEL_DB: Final = -22.0
_MOST_GAIN_DB: Final = 18.0
_PITCH_WINDOW: Final = 1024
_PITCH_LOWEST_HZ, _PITCH_HIGHEST_HZ = 60.0, 450.0
_VOICED: Final = 0.6
_LOUD_POWER: Final = 1e-5
_BLOCK: Final = 8192


@dataclass(frozen=True)
class Features:
    """Features of one recording at the model's frame rate; T = round(seconds * 30), and frame k
    is centered on k / 30 seconds.

    mel: (T * 4, 64) float32, natural logarithm of mel power, level-normalized.
    energy: (T, 4) float32, decibels over the normalized speech level, divided by 20.
    pitch: (T,) float32, octaves above the recording's median pitch; 0 where unvoiced.
    voicing: (T,) float32, 0..1 strength of periodicity.
    """

    mel: NDArray[np.float32]
    energy: NDArray[np.float32]
    pitch: NDArray[np.float32]
    voicing: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.pitch)


def frame_count(samples: int) -> int:
    """Motion frames for a number of 16 kHz samples: at least one."""
    return max(1, round(samples / SAMPLE_RATE * MODEL_FPS))


def extract(samples: NDArray[np.float32]) -> Features:
    """All features of (N,) mono samples at 16 kHz. The level is normalized to that of ordinary speech, by at most 18
    dB.
    """
    frames = frame_count(len(samples))
    samples = samples * _level_gain(samples)
    mel_rate = MODEL_FPS * MEL_PER_FRAME
    mel = np.empty((frames * MEL_PER_FRAME, MEL_BANDS), np.float32)
    energy = np.empty(frames * MEL_PER_FRAME, np.float32)
    window = np.hanning(_WINDOW).astype(np.float32)
    bank = _mel_bank()
    for start, block in _framed(samples, frames * MEL_PER_FRAME, mel_rate, _WINDOW, (MEL_PER_FRAME - 1) / 2):
        power = np.abs(np.fft.rfft(block * window, _FFT)) ** 2 / _WINDOW
        mel[start : start + len(block)] = np.log(power @ bank + _MEL_FLOOR)
        energy[start : start + len(block)] = 10.0 * np.log10((block**2).mean(axis=1) + _FLOOR)
    pitch, voicing = _pitch(samples, frames)
    energy = np.clip((energy - _SPEECH_LEVEL_DB) / 20.0, -3.0, 1.0)
    return Features(mel, energy.reshape(frames, MEL_PER_FRAME), pitch, voicing)


def _framed(
    samples: NDArray[np.float32], count: int, rate: float, width: int, offset: float = 0.0
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (first frame, (n, width) windows) in blocks; window k is centered on (k - offset) / rate seconds."""
    padded = np.pad(samples, (width, width + SAMPLE_RATE))
    for start in range(0, count, _BLOCK):
        centers = np.round((np.arange(start, min(start + _BLOCK, count)) - offset) * SAMPLE_RATE / rate).astype(int)
        first = np.minimum(centers + width - width // 2, len(padded) - width)
        yield start, padded[first[:, None] + np.arange(width)]


def _level_gain(samples: NDArray[np.float32]) -> np.float32:
    """Factor that brings the loudest twentieth of 50 ms stretches to the speech level; at most 18 dB either way."""
    width = SAMPLE_RATE // 20
    blocks = samples[: len(samples) // width * width].reshape(-1, width)
    if not len(blocks):
        return np.float32(1.0)
    level_db = 10.0 * np.log10(np.percentile((blocks**2).mean(axis=1), 95) + _FLOOR)
    return np.float32(10.0 ** (np.clip(_SPEECH_LEVEL_DB + 6.0 - level_db, -_MOST_GAIN_DB, _MOST_GAIN_DB) / 20.0))


def _mel_bank() -> NDArray[np.float32]:
    """Triangular filters (257, 64), equally spaced on the mel scale (O'Shaughnessy 1987), each with unit sum."""

    def to_mel(hertz: float) -> float:
        return 2595.0 * np.log10(1.0 + hertz / 700.0)

    edges = 700.0 * (10.0 ** (np.linspace(to_mel(_LOWEST_HZ), to_mel(_HIGHEST_HZ), MEL_BANDS + 2) / 2595.0) - 1.0)
    hertz = np.fft.rfftfreq(_FFT, 1.0 / SAMPLE_RATE)[:, None]
    rise = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    bank = np.maximum(0.0, np.minimum(rise, fall))
    return (bank / np.maximum(bank.sum(axis=0), 1e-6)).astype(np.float32)


def _pitch(samples: NDArray[np.float32], frames: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pitch and voicing per motion frame by normalized autocorrelation (Boersma 1993), smoothed by a median of five."""
    shortest, longest = int(SAMPLE_RATE / _PITCH_HIGHEST_HZ), int(SAMPLE_RATE / _PITCH_LOWEST_HZ)
    window = np.hanning(_PITCH_WINDOW).astype(np.float32)
    window_correlation = np.fft.irfft(np.abs(np.fft.rfft(window, 2 * _PITCH_WINDOW)) ** 2)[: longest + 1]
    octave, voicing = np.zeros(frames, np.float32), np.zeros(frames, np.float32)
    for start, block in _framed(samples, frames, MODEL_FPS, _PITCH_WINDOW):
        centered = block - block.mean(axis=1, keepdims=True)
        power = np.abs(np.fft.rfft(centered * window, 2 * _PITCH_WINDOW)) ** 2
        correlation = np.fft.irfft(power)[:, : longest + 1] / window_correlation
        loud = (centered**2).mean(axis=1) > _LOUD_POWER
        correlation = correlation / np.maximum(correlation[:, :1], _FLOOR)
        # A mild preference for short lags keeps the octave below from winning.
        search = correlation[:, shortest:] - 0.05 * np.log2(np.arange(shortest, longest + 1) / shortest)
        lag = search.argmax(axis=1)
        rows = slice(start, start + len(block))
        voicing[rows] = np.clip(correlation[np.arange(len(block)), lag + shortest], 0.0, 1.0) * loud
        octave[rows] = np.log2(SAMPLE_RATE / (lag + shortest))
    neighbors = np.lib.stride_tricks.sliding_window_view(np.pad(octave, 2, mode="edge"), 5)
    octave = np.median(neighbors, axis=1)
    voiced = voicing > _VOICED
    center = np.median(octave[voiced]) if voiced.any() else 0.0
    return np.where(voiced, np.clip(octave - center, -1.0, 1.0), 0.0).astype(np.float32), voicing
