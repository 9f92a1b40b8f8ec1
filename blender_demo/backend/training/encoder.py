# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 1: the audio encoder learns phones and mouth shapes from the speech of many voices, then stays frozen."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..audio.encoder import ARTICULATION, PHONES, AudioEncoder
from ..audio.features import MEL_BANDS, MEL_PER_FRAME
from ..head.head_model import load_head
from ..motion.factors import ARKIT_NAMES, CHANNEL_INDEX, FACTORS
from .augment import augment_mel
from .captured import captured_lips
from .coarticulation import CoarticulationTeacher, close_lips
from .corpus import Utterance, phone_labels
from .loop import TrainingLoop, averaged, cosine_rate

__all__ = ["EncoderRecipe", "articulation_of", "evaluate_encoder", "train_encoder"]

_IGNORE = -100
_VISIBLE = ("P", "B", "M", "F", "V", "W", "UW", "OW")
"""Phones whose mistakes can be seen on the lips; they cost `visible_cost` times as much."""
_QUIET_LOG_MEL = -14.0
_SHARES: Final = {"grid_s1": 2.0, "facegood": 4.0, "ljspeech": 2.0, "voices": 0.7}
"""How often a corpus is drawn, per second of it, where it is not once."""
_ARTICULATION_SCALE: Final = torch.tensor([0.1, 0.15, 0.2])
_LIP_IN_ARKIT: Final = [ARKIT_NAMES.index(name) for name in FACTORS[0].channels]


@dataclass(frozen=True)
class EncoderRecipe:
    """Steps of `batch` crops of `frames` motion frames; noise_clips of the batch hold no speech at all."""

    steps: int = 8500
    batch: int = 24
    frames: int = 120
    noise_clips: int = 3
    rate: float = 1.5e-3
    visible_cost: float = 2.0
    articulation: float = 4.0
    seed: int = 1


def articulation_of(lips: np.ndarray) -> np.ndarray:
    """Lip opening, rounding and jaw (T, 3) of lip channels (T, 29), each in units of its usual spread."""
    weights = np.zeros((len(lips), len(ARKIT_NAMES)), np.float32)
    weights[:, _LIP_IN_ARKIT] = lips
    head = load_head()
    shape = np.stack([head.aperture(weights), head.rounding(weights), lips[:, CHANNEL_INDEX["jawOpen"]]], axis=1)
    return (shape / _ARTICULATION_SCALE.numpy()).astype(np.float32)


def train_encoder(
    utterances: list[Utterance], teacher: CoarticulationTeacher, recipe: EncoderRecipe, loop: TrainingLoop
) -> AudioEncoder:
    """Train on the training split and return the averaged network.

    Phones come from the alignment; mouth shapes from captured lips, and from the teacher where there are none.
    """
    torch.manual_seed(recipe.seed)
    spoken = [u for u in utterances if u.split == "train" and (u.phones is not None or u.captured is not None)]
    labels = [phone_labels(u) if u.phones is not None else np.full(len(u), _IGNORE, np.int64) for u in spoken]
    shapes = [articulation_of(_lips(u, teacher)) for u in spoken]
    weight = np.array([len(u) * _SHARES.get(u.corpus, 1.0) for u in spoken])
    weight /= weight.sum()
    generator = torch.Generator().manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)

    network = AudioEncoder()
    average = averaged(network, 0.995)
    cost = torch.tensor([recipe.visible_cost if phone in _VISIBLE else 1.0 for phone in PHONES])
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=0.05, betas=(0.9, 0.98))

    def step(index: int) -> dict[str, Tensor]:
        mel = torch.full((recipe.batch, recipe.frames * MEL_PER_FRAME, MEL_BANDS), _QUIET_LOG_MEL)
        target = torch.full((recipe.batch, recipe.frames), _IGNORE)
        shape = torch.full((recipe.batch, recipe.frames, len(ARTICULATION)), torch.nan)
        for row, i in enumerate(rng.choice(len(spoken), recipe.batch, p=weight)):
            if row < recipe.noise_clips:
                mel[row] = _no_speech(recipe.frames * MEL_PER_FRAME, rng)
                target[row], shape[row] = 0, 0.0
                continue
            speed = float(rng.uniform(0.85, 1.18))
            wanted = int(recipe.frames * speed)
            start = int(rng.integers(0, max(1, len(spoken[i]) - wanted + 1)))
            crop = _stretch(spoken[i], labels[i], shapes[i], start, wanted, recipe.frames)
            mel[row, : len(crop[0])], target[row, : len(crop[1])], shape[row, : len(crop[2])] = crop
        heard = network(augment_mel(mel, generator))
        phone_loss = F.cross_entropy(
            heard.logits.float().flatten(0, 1), target.flatten(), cost, ignore_index=_IGNORE, label_smoothing=0.05
        )
        shape_loss = _shape_loss(heard.articulation.float(), shape)
        hit = (heard.logits.argmax(-1) == target)[target > 0].float().mean()
        loss = phone_loss + recipe.articulation * shape_loss
        return {"loss": loss, "phones": phone_loss, "articulation": shape_loss, "phone accuracy": hit}

    rate = cosine_rate(recipe.rate, recipe.steps)
    loop.run(network, average, optimizer, step, recipe.steps, rate, (rng, generator))
    return network


def _shape_loss(guess: Tensor, truth: Tensor) -> Tensor:
    """L1 of mouth shapes (B, T, 3) and of their one-frame differences, where the truth is known (not NaN)."""
    seen = ~truth.isnan()
    moved = seen[:, 1:] & seen[:, :-1]
    return (guess[seen] - truth[seen]).abs().mean() + (guess.diff(dim=1)[moved] - truth.diff(dim=1)[moved]).abs().mean()


def _no_speech(rows: int, rng: np.random.Generator) -> Tensor:
    """Log-mel rows (rows, 64) of a room's noise and, in two of three, of a tone that stands still or glides."""
    mel = torch.full((rows, MEL_BANDS), float(rng.uniform(-14.0, -4.0)))
    if rng.random() < 0.67:
        start, end = rng.uniform(0, MEL_BANDS, 2)
        center = torch.linspace(start, end if rng.random() < 0.6 else start, rows)[:, None]
        distance = (torch.arange(MEL_BANDS) - center) / float(rng.uniform(0.5, 1.5))
        mel = torch.maximum(mel, float(rng.uniform(-5.0, 1.0)) - distance.square())
    return mel


def _lips(utterance: Utterance, teacher: CoarticulationTeacher) -> np.ndarray:
    """Captured lips (T, 29), or taught ones."""
    if utterance.captured is None:
        return teacher.lips(utterance.phones or (), len(utterance))
    return close_lips(captured_lips(utterance), utterance.phones, len(utterance))


def _stretch(
    utterance: Utterance, labels: np.ndarray, shapes: np.ndarray, start: int, wanted: int, frames: int
) -> tuple[Tensor, Tensor, Tensor]:
    """A crop of `wanted` motion frames played at another speed so that it fills `frames`: log-mel, phones, shapes."""
    mel = torch.from_numpy(
        utterance.features.mel[start * MEL_PER_FRAME : (start + wanted) * MEL_PER_FRAME].astype(np.float32)
    )
    labels_there, shapes_there = (torch.from_numpy(track[start : start + wanted]) for track in (labels, shapes))
    length = min(frames, round(len(labels_there) * frames / wanted))
    nearest = (torch.arange(length) * len(labels_there) / length).long()
    return _resized(mel, length * MEL_PER_FRAME), labels_there[nearest], _resized(shapes_there, length)


def _resized(track: Tensor, rows: int) -> Tensor:
    """A track (N, D) stretched to (rows, D)."""
    return F.interpolate(track.T[None], size=rows, mode="linear", align_corners=False)[0].T


@torch.inference_mode()
def evaluate_encoder(
    network: AudioEncoder, utterances: list[Utterance], teacher: CoarticulationTeacher
) -> dict[str, float]:
    """On the validation split, by corpus: share of spoken and of silent frames whose phone is right, and correlation
    of lip opening, rounding and jaw with those of the captured or taught lips.
    """
    network.eval()
    parts: dict[str, list[tuple[np.ndarray, ...]]] = {}
    for u in utterances:
        if u.split == "val":
            heard = network(torch.from_numpy(u.features.mel.astype(np.float32))[None])
            guess, shape = heard.logits[0].argmax(-1).numpy(), heard.articulation[0].numpy()
            labels = phone_labels(u) if u.phones is not None else np.full(len(u), _IGNORE, np.int64)
            parts.setdefault(u.corpus, []).append((guess, labels, shape, articulation_of(_lips(u, teacher))))
    figures = {}
    for corpus, tracks in parts.items():
        guess, labels, shape, truth = (np.concatenate(t) for t in zip(*tracks, strict=True))
        if (labels != _IGNORE).any():
            figures[f"{corpus} frames of {len(PHONES)} phones"] = float((guess == labels)[labels > 0].mean())
            figures[f"{corpus} silence"] = float((guess == labels)[labels == 0].mean())
        for i, name in enumerate(ARTICULATION):
            figures[f"{corpus} {name} correlation"] = float(np.corrcoef(shape[:, i], truth[:, i])[0, 1])
    return figures
