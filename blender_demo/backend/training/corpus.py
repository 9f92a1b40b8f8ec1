# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the training recordings: folders of `<id>.flac|ogg`, with `<id>.phones.json` and `<id>.motion.npz` where
there are any.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from tqdm import tqdm

from ..audio.encoder import PHONES
from ..audio.features import SAMPLE_RATE, Features, extract
from ..motion.factors import MODEL_FPS

__all__ = ["Captured", "Utterance", "load_corpus", "phone_labels"]

_PHONE_INDEX = {phone: i for i, phone in enumerate(PHONES)}


@dataclass(frozen=True)
class Captured:
    """Motion as recorded: (T, C) values at `fps`."""

    names: tuple[str, ...]
    values: NDArray[np.float32]
    fps: float


@dataclass(frozen=True)
class Utterance:
    """One recording with what is known of it. phones: (phone index, start s, end s) or None; split: "train" or "val".
    """

    corpus: str
    name: str
    split: str
    features: Features
    phones: tuple[tuple[int, float, float], ...] | None
    captured: Captured | None

    def __len__(self) -> int:
        return len(self.features)


def load_corpus(folder: Path, cache: Path, validation: set[str]) -> list[Utterance]:
    """All recordings of one folder in the order of their names; features are computed once and kept in `cache`."""
    return list(
        tqdm(
            _utterances(folder, cache, validation),
            total=len(_recordings(folder)),
            desc=f"read {folder.name}",
            leave=False,
        )
    )


def phone_labels(utterance: Utterance) -> NDArray[np.int64]:
    """Phone index at the time of each frame, (T,); silence where nothing is spoken."""
    labels = np.zeros(len(utterance), np.int64)
    times = np.arange(len(utterance)) / MODEL_FPS
    for phone, start, end in utterance.phones or ():
        labels[(times >= start) & (times < end)] = phone
    return labels


def _recordings(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in (".flac", ".ogg", ".wav"))


def _utterances(folder: Path, cache: Path, validation: set[str]) -> Iterator[Utterance]:
    cache.mkdir(parents=True, exist_ok=True)
    for path in _recordings(folder):
        yield Utterance(
            corpus=folder.name,
            name=path.stem,
            split="val" if path.stem in validation else "train",
            features=_cached_features(path, cache),
            phones=_read_phones(path.with_suffix(".phones.json")),
            captured=_read_motion(path.with_suffix(".motion.npz")),
        )


def _cached_features(path: Path, cache: Path) -> Features:
    version = hashlib.sha256(Path(extract.__code__.co_filename).read_bytes()).hexdigest()[:8]
    stored = cache / f"{path.parent.name}-{path.stem}-{version}.npz"
    if not stored.is_file():
        samples, rate = soundfile.read(path, dtype="float32")
        if rate != SAMPLE_RATE or samples.ndim != 1:
            raise ValueError(f"{path} must be {SAMPLE_RATE} Hz mono, as the clip format says")
        features = extract(samples.astype(np.float32, copy=False))
        np.savez(
            stored,
            mel=features.mel.astype(np.float16),
            energy=features.energy,
            pitch=features.pitch,
            voicing=features.voicing,
        )
    with np.load(stored, allow_pickle=False) as arrays:
        return Features(arrays["mel"], arrays["energy"], arrays["pitch"], arrays["voicing"])


def _read_phones(path: Path) -> tuple[tuple[int, float, float], ...] | None:
    if not path.is_file():
        return None
    return tuple((_PHONE_INDEX[phone], float(start), float(end)) for phone, start, end in json.loads(path.read_text()))


def _read_motion(path: Path) -> Captured | None:
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return Captured(
            tuple(str(name) for name in arrays["names"]), arrays["values"].astype(np.float32), float(arrays["fps"])
        )
