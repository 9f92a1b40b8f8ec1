# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer's own recordings: sound and captured face with the same name in one folder.

take.wav | .flac | .ogg | .mp3     any rate, any number of channels
take.csv | take.npz                Live Link Face, or a motion clip
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d
from tqdm import tqdm

from ..audio.features import MEL_PER_FRAME, Features, extract
from ..audio.load import load_audio
from ..errors import ClipError, DemoError
from ..motion.clip import MotionClip
from ..motion.factors import (
    CHANNEL_INDEX,
    CHANNELS,
    FACTOR_INDEX,
    FACTORS,
    MODEL_FPS,
    channel_slice,
    eye_look_from_gaze,
)
from ..motion.formats import read_motion
from .captured import captured_lips
from .corpus import Captured, Utterance

__all__ = ["PerformerTake", "captured_channels", "load_performer", "offset_agreements"]

_SOUNDS: Final = (".wav", ".flac", ".ogg", ".mp3")
_MOTIONS: Final = (".csv", ".npz")
_HELD_OUT: Final = 5
"""Every fifth take is for validation; where there are fewer, the last one."""
_LEAST_MOTION: Final = 1e-3
_SHORTEST_S: Final = 1.0
_FARTHEST_S: Final = 1.0
_SMOOTH_S: Final = 0.05
_BETTER: Final = 0.1
"""By how much the agreement must rise for another offset to be worth a note."""
_ENERGY_RATE: Final = MODEL_FPS * MEL_PER_FRAME
_REST_PERCENTILE: Final = 30
"""Of a weight over a take: brows and lids rest longer than they move, but are never quite still."""

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class PerformerTake:
    """One take: the stretch of it that has both sound and motion.

    utterance: its `captured` holds one row per frame of the features, and the channels of `factors`: those that move.
    sound: the whole recording, of which the utterance is the stretch that begins at motion frame `first_frame`.
    offset_s: at which second of the sound the motion was taken to begin.
    estimated_offset_s: where jaw and loudness agree best, with their correlation there as `agreement`.
    notes: sentences about what is missing or doubtful.
    """

    utterance: Utterance
    factors: tuple[str, ...]
    sound: Path
    first_frame: int
    offset_s: float
    estimated_offset_s: float
    agreement: float
    notes: tuple[str, ...]


def load_performer(folder: Path, offset_ms: float | None = 0.0) -> list[PerformerTake]:
    """All takes of a folder in the order of their names, split by take into "train" and "val".

    offset_ms: at which millisecond of the sound the motion begins; None takes each take's own estimate. Raises
    DemoError for a folder with fewer than two takes, and for a take whose sound and motion hardly overlap.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DemoError(f"The folder {folder} does not exist.")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (*_SOUNDS, *_MOTIONS))
    sounds = {path.stem: path for path in reversed(files) if path.suffix.lower() in _SOUNDS}
    motions = {path.stem: path for path in reversed(files) if path.suffix.lower() in _MOTIONS}
    names = sorted(sounds.keys() & motions.keys())
    if len(names) < 2:
        raise DemoError(
            f"{folder} has {len(names) or 'no'} takes with both sound and motion; at least two are needed, because one"
            " is held out. Put take1.wav beside take1.csv, and so on; export the sound of a video as WAV first."
        )
    held_out = set(names[_HELD_OUT - 1 :: _HELD_OUT] or names[-1:])
    return [
        _take(sounds[name], motions[name], folder.name, "val" if name in held_out else "train", offset_ms)
        for name in tqdm(names, desc="read takes", leave=False)
    ]


def _take(sound: Path, motion: Path, corpus: str, split: str, offset_ms: float | None) -> PerformerTake:
    recording = load_audio(sound)
    features = extract(recording.samples)
    clip = read_motion(motion)
    if clip.names != CHANNELS:
        raise ClipError(f"{motion} lacks some of the {len(CHANNELS)} channels. Capture or generate it again.")
    offsets, agreements = offset_agreements(clip, features)
    best = int(np.argmax(agreements))
    offset_s = float(offsets[best]) if offset_ms is None else offset_ms / 1000.0

    first = max(0, int(np.ceil(offset_s * MODEL_FPS)))
    last = min(len(features), int(np.floor((offset_s + clip.duration_s) * MODEL_FPS)))
    if last - first < _SHORTEST_S * MODEL_FPS:
        raise DemoError(
            f"{motion} and {sound.name} share less than {_SHORTEST_S:g} s when the motion begins {offset_s:.2f} s into"
            " the sound. Check that they belong together, and the offset."
        )
    moving = [f for f in FACTORS if np.ptp(clip.factor(f.name), axis=0).max() > _LEAST_MOTION]
    still = [f.name for f in FACTORS if f not in moving]
    if "lip" in still:
        raise DemoError(f"The lips never move in {motion}. Capture the take again, or remove it from the folder.")
    notes = [*recording.notes]
    if still:
        notes.append(f"{motion.name} has no motion of {' and '.join(still)}: the model keeps its own there.")
    unused_s = (len(features) - (last - first)) / MODEL_FPS
    if unused_s > 1.0 / MODEL_FPS:
        notes.append(f"{motion.name} does not cover its sound: {unused_s:.2f} s of the sound are not used.")
    if agreements[best] > np.interp(offset_s, offsets, agreements) + _BETTER:
        notes.append(
            f"In {motion.name} jaw and loudness agree much better when the motion begins {1000 * offsets[best]:.0f} ms"
            f" into the sound, not {1000 * offset_s:.0f} ms: check the offset."
        )
    times = np.clip(np.arange(first, last) / MODEL_FPS - offset_s, 0.0, (len(clip) - 1) / clip.fps)
    names = tuple(name for f in moving for name in f.channels)
    channels = clip.channels[:, [CHANNEL_INDEX[name] for name in names]]
    values = PchipInterpolator(np.arange(len(clip)) / clip.fps, channels)(times).astype(np.float32)
    utterance = Utterance(
        corpus, sound.stem, split, _cut(features, first, last), None, Captured(names, values, MODEL_FPS)
    )
    return PerformerTake(
        utterance,
        factors=tuple(f.name for f in moving),
        sound=sound,
        first_frame=first,
        offset_s=offset_s,
        estimated_offset_s=float(offsets[best]),
        agreement=float(agreements[best]),
        notes=tuple(notes),
    )


def offset_agreements(clip: MotionClip, features: Features) -> tuple[Floats, Floats]:
    """Seconds of the sound at which a clip may begin, within one second, and how well it then agrees with the sound.

    Agreement is the correlation of jawOpen with the loudness in decibels, each smoothed over 50 ms; (241,) each.
    """
    loudness = gaussian_filter1d(features.energy.ravel(), _SMOOTH_S * _ENERGY_RATE)
    times = np.arange(int(clip.duration_s * _ENERGY_RATE)) / _ENERGY_RATE
    jaw = np.interp(times, np.arange(len(clip)) / clip.fps, clip["jawOpen"])
    jaw = gaussian_filter1d(jaw, _SMOOTH_S * _ENERGY_RATE)
    farthest = int(_FARTHEST_S * _ENERGY_RATE)
    lags = np.arange(-farthest, farthest + 1)
    agreements = [_agreement(jaw[max(0, -lag) :], loudness[max(0, lag) :]) for lag in lags]
    return lags / _ENERGY_RATE, np.array(agreements)


def _agreement(a: Floats, b: Floats) -> float:
    """Correlation over the common length; 0 where that is short, or where one of them does not move."""
    length = min(len(a), len(b))
    a, b = a[:length], b[:length]
    if length < _SHORTEST_S * _ENERGY_RATE or min(a.std(), b.std()) < _LEAST_MOTION:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _cut(features: Features, first: int, last: int) -> Features:
    rows = slice(first * MEL_PER_FRAME, last * MEL_PER_FRAME)
    frames = slice(first, last)
    return Features(features.mel[rows], features.energy[frames], features.pitch[frames], features.voicing[frames])


def captured_channels(utterance: Utterance) -> NDArray[np.float32]:
    """Channels (T, 60) of a take as deviations from the performer's rest; zeros for factors that were not captured.

    Head and gaze are centered on their medians, since a phone is seldom held straight before the face. A weight w with
    rest r becomes (w - r) / (1 - r), so that lids that shut still shut; the lips are those of `captured_lips`.
    """
    captured = utterance.captured
    assert captured is not None
    raw = np.zeros((len(utterance), len(CHANNELS)), np.float32)
    raw[:, [CHANNEL_INDEX[name] for name in captured.names]] = captured.values
    rest = np.percentile(raw, _REST_PERCENTILE, axis=0)
    out = np.clip((raw - rest) / np.maximum(1.0 - rest, _LEAST_MOTION), 0.0, 1.0).astype(np.float32)
    for name in (*FACTORS[FACTOR_INDEX["pose"]].channels, "gazeYaw", "gazePitch"):
        column = CHANNEL_INDEX[name]
        out[:, column] = raw[:, column] - np.median(raw[:, column])
    eyes = channel_slice("eyes")
    out[:, eyes.start : eyes.start + 8] = eye_look_from_gaze(out[:, eyes.stop - 2 : eyes.stop])
    out[:, channel_slice("lip")] = captured_lips(utterance)
    return out
