# SPDX-License-Identifier: GPL-3.0-or-later
"""From any recording to 16 kHz mono, sample-exact in time and in little memory, whatever its length.

The file is read twice: a survey of its levels decides how channels become one, then blocks of it are resampled.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from ..errors import AudioError
from .container import check_is_readable, is_cut_off, open_sound

__all__ = ["MAX_CHANNELS", "SAMPLE_RATE", "SOURCE_RATES", "Recording", "load_audio"]

SAMPLE_RATE: Final = 16000
"""Samples per second of a `Recording`."""

SOURCE_RATES: Final = (8000, 192000)
MAX_CHANNELS: Final = 8

_MISSING_S: Final = 0.2  # lossy formats may promise a packet more than there is
_BLOCK_FRAMES: Final = 1 << 18
_SILENCE: Final = 10 ** (-60 / 20)
_QUIET_MIX: Final = 0.6  # of the loudest channel. Two unrelated channels mix to 0.71, one and a silent one to 0.5.
_FLAT_TOP: Final = 0.98
_FLAT_TOP_SHARE: Final = 1e-4
_TAPS_PER_SIDE: Final = 48  # zero crossings of the low-pass filter
_KAISER_BETA: Final = 8.0  # 80 dB
_CUTOFF: Final = 0.945  # of the lower Nyquist frequency, so that the stop band begins there


@dataclass(frozen=True)
class Recording:
    """What the model hears.

    samples: (N,) float32 at SAMPLE_RATE, mono, within [-1, 1], scaled as in the file, without offset.
    source_rate, channels: of the file. sha256: of `samples`. notes: sentences for the artist.
    """

    samples: NDArray[np.float32]
    source_rate: int
    channels: int
    sha256: str
    notes: tuple[str, ...] = field(default=())

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE


def load_audio(path: Path, start_s: float = 0.0, duration_s: float | None = None) -> Recording:
    """Read a sound file (WAV, FLAC, OGG, MP3, AIFF and whatever else libsndfile reads), or a range of it.

    Sample k of the whole file lies at k / SAMPLE_RATE seconds; a range begins with the sample nearest to `start_s` and
    ends with the file if that comes first. Raises AudioError with the file and the remedy.
    """
    path = Path(path)
    if not (np.isfinite(start_s) and start_s >= 0):
        raise AudioError(f"The start must be 0 seconds or later, not {start_s}.")
    if duration_s is not None and not (np.isfinite(duration_s) and duration_s > 0):
        raise AudioError(f"The duration must be more than 0 seconds, not {duration_s}.")
    check_is_readable(path)
    with open_sound(path) as sound:
        try:
            return _load(path, sound, start_s, duration_s)
        except soundfile.LibsndfileError as error:
            reason = error.error_string.rstrip(".")
            raise AudioError(f"{path} is damaged or cut off ({reason}). Copy it or export it again.") from error


def _load(path: Path, sound: soundfile.SoundFile, start_s: float, duration_s: float | None) -> Recording:
    rate, channels = sound.samplerate, sound.channels
    if channels > MAX_CHANNELS:
        raise AudioError(f"{path} has {channels} channels; {MAX_CHANNELS} at most can be read. Export the voice alone.")
    if not SOURCE_RATES[0] <= rate <= SOURCE_RATES[1]:
        low, high = SOURCE_RATES
        raise AudioError(f"{path} has {rate} samples per second. Export it with {low} to {high}, 48000 for instance.")
    if is_cut_off(sound):
        raise AudioError(f"{path} is cut off: its header promises more than is there. Copy it or export it again.")
    whole = _output_samples(sound.frames, rate)
    if whole == 0:
        raise AudioError(f"{path} contains no sound (0 samples). Export it again.")
    first = round(start_s * SAMPLE_RATE)
    if first >= whole:
        raise AudioError(f"{path} ends at {whole / SAMPLE_RATE:.3f} s, before the start at {start_s:.3f} s.")
    last = whole if duration_s is None else min(whole, first + max(1, round(duration_s * SAMPLE_RATE)))

    levels = _survey(path, sound, first * rate // SAMPLE_RATE, -(-last * rate // SAMPLE_RATE))
    samples = _resample(sound, levels, first, last)
    digest = hashlib.sha256(samples.astype("<f4", copy=False).data).hexdigest()
    return Recording(samples, rate, channels, digest, tuple(levels.notes(path.name, rate)))


def _output_samples(frames: int, rate: int) -> int:
    """Source frames as a number of output samples, rounded."""
    return round(Fraction(frames * SAMPLE_RATE, rate))


@dataclass
class _Levels:
    """What a range of a file holds. All are per channel, (C,)."""

    frames: int
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    mix_deviation: float
    peak: float
    flat_tops: int

    @property
    def loudest(self) -> int:
        return int(np.argmax(self.deviation))

    @property
    def channel(self) -> int | None:
        """The one channel to use; None where the mean of all is right."""
        return self.loudest if self.mix_deviation < _QUIET_MIX * self.deviation[self.loudest] else None

    def mono(self, block: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N, C) as in the file -> (N,) without offset and within [-1, 1]."""
        centered = block - self.mean
        signal = centered.mean(axis=1) if self.channel is None else centered[:, self.channel]
        return signal / max(1.0, self.peak)

    def notes(self, name: str, rate: int) -> list[str]:
        """What the artist should know about the recording."""
        notes = []
        count = len(self.mean)
        if self.channel is not None and count > 1:
            notes.append(f"Only channel {self.channel + 1} of {count} of {name} is used: mixed, they are much quieter.")
        elif count > 1:
            notes.append(f"The {count} channels of {name} are mixed to one.")
        if self.deviation[self.loudest] < _SILENCE:
            notes.append(f"{name} is silent, or nearly so, in this range: check the file, the range and the levels.")
        if self.peak > 1.0:
            notes.append(f"{name} goes {self.peak:.3g} times beyond full scale; it is scaled down.")
        elif self.flat_tops > _FLAT_TOP_SHARE * self.frames * count:
            notes.append(f"{name} is clipped in places: record it at a lower level if the lips look wrong there.")
        if rate < SAMPLE_RATE:
            notes.append(f"{name} has {rate} samples per second, like a telephone: s and f are hard to tell apart.")
        return notes


def _blocks(sound: soundfile.SoundFile, first: int, last: int) -> Iterator[NDArray[np.float32]]:
    """Frames [first, last) of the file as (N, C) blocks."""
    sound.seek(first)
    while first < last:
        count = min(_BLOCK_FRAMES, last - first)
        block = np.asarray(sound.read(count, dtype="float32", always_2d=True), np.float32)
        if len(block) == 0:
            return
        yield block
        first += len(block)


def _survey(path: Path, sound: soundfile.SoundFile, first: int, last: int) -> _Levels:
    """Levels of the frames [first, last). Raises AudioError when they are not all there, or are not all numbers."""
    last = min(last, sound.frames)
    frames, flat_tops, peak, mix_square = 0, 0, 0.0, 0.0
    total, square = np.zeros(sound.channels), np.zeros(sound.channels)
    for block in _blocks(sound, first, last):
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            at_s = (first + frames + int(np.argmin(finite))) / sound.samplerate
            raise AudioError(f"{path} holds values that are not numbers, the first at {at_s:.3f} s. Export it again.")
        wide = block.astype(np.float64)
        frames += len(block)
        total += wide.sum(axis=0)
        square += (wide**2).sum(axis=0)
        mix_square += float((wide.mean(axis=1) ** 2).sum())
        peak = max(peak, float(np.abs(block).max()))
        flat_tops += _count_flat_tops(block)
    missing_s = (last - first - frames) / sound.samplerate
    if missing_s > _MISSING_S:
        raise AudioError(f"{path} is cut off: {missing_s:.1f} s are missing at its end. Copy it or export it again.")
    mean = total / frames
    deviation = np.sqrt(np.maximum(0.0, square / frames - mean**2))
    mix_deviation = float(np.sqrt(max(0.0, mix_square / frames - mean.mean() ** 2)))
    return _Levels(frames, mean, deviation, mix_deviation, peak, flat_tops)


def _count_flat_tops(block: NDArray[np.float32]) -> int:
    """Samples near full scale that are the same as the two before them."""
    if np.abs(block).max() < _FLAT_TOP:
        return 0
    same = (np.diff(block, axis=0) == 0) & (np.abs(block[1:]) >= _FLAT_TOP)
    return int((same[1:] & same[:-1]).sum())


def _resample(sound: soundfile.SoundFile, levels: _Levels, first: int, last: int) -> NDArray[np.float32]:
    """Output samples [first, last) of the file, counted from its start.

    Works in blocks that begin at common multiples of both rates, with so much of their neighbors that the filter sees
    no border: the result is that of a single pass. The file is continued with zeros on both sides.
    """
    ratio = Fraction(SAMPLE_RATE, sound.samplerate)
    up, down = ratio.numerator, ratio.denominator
    taps = _low_pass(max(up, down)) if up != down else np.ones(1)
    units = max(1, _BLOCK_FRAMES // down)
    halo = -(-(len(taps) // 2) // (up * down))  # in units of `down` frames
    out = np.empty(last - first, np.float32)
    for unit in range(first // up // units * units, -(-last // up), units):
        begin = (unit - halo) * down
        signal = _mono_range(sound, levels, begin, (unit + units + halo) * down)
        resampled = resample_poly(signal, up, down, window=taps) if up != down else signal
        low, high = max(first, unit * up), min(last, (unit + units) * up)
        offset = (unit - halo) * up
        out[low - first : high - first] = resampled[low - offset : high - offset]
    return np.clip(out, -1.0, 1.0, out=out)


def _low_pass(factor: int) -> NDArray[np.float64]:
    """Windowed sinc that passes what is below 1 / `factor` of the Nyquist frequency; odd length, sum 1."""
    side = _TAPS_PER_SIDE * factor
    taps = np.sinc(_CUTOFF / factor * np.arange(-side, side + 1)) * np.kaiser(2 * side + 1, _KAISER_BETA)
    return taps / taps.sum()


def _mono_range(sound: soundfile.SoundFile, levels: _Levels, begin: int, end: int) -> NDArray[np.float64]:
    """Frames [begin, end) as one channel, zeros where the file has none."""
    signal = np.zeros(end - begin)
    at = max(0, begin)
    for block in _blocks(sound, at, min(end, sound.frames)):
        signal[at - begin : at - begin + len(block)] = levels.mono(block)
        at += len(block)
    return signal
