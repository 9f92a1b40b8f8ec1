# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 1: the audio encoder learns phones from aligned speech of many voices, then stays frozen."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..audio.encoder import PHONES, AudioEncoder
from ..audio.features import MEL_BANDS, MEL_PER_FRAME
from .augment import augment_mel
from .corpus import Utterance, phone_labels
from .loop import TrainingLoop, cosine_rate

__all__ = ["EncoderRecipe", "evaluate_encoder", "train_encoder"]

_IGNORE = -100
_VISIBLE = ("P", "B", "M", "F", "V", "W", "UW", "OW")
"""Phones whose mistakes can be seen on the lips; they cost `visible_cost` times as much."""
_QUIET_LOG_MEL = -14.0


@dataclass(frozen=True)
class EncoderRecipe:
    """Steps of `batch` crops of `frames` motion frames; noise_clips of the batch hold no speech at all."""

    steps: int = 3300
    batch: int = 24
    frames: int = 120
    noise_clips: int = 3
    rate: float = 1.5e-3
    visible_cost: float = 2.0
    seed: int = 1


def train_encoder(utterances: list[Utterance], recipe: EncoderRecipe, loop: TrainingLoop) -> AudioEncoder:
    """Train on the phones of the training split and return the averaged network."""
    torch.manual_seed(recipe.seed)
    spoken = [u for u in utterances if u.phones is not None and u.split == "train"]
    labels = [phone_labels(u) for u in spoken]
    lengths = np.array([len(u) for u in spoken], np.float64)
    generator = torch.Generator().manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)

    network = AudioEncoder()
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.995))
    cost = torch.tensor([recipe.visible_cost if phone in _VISIBLE else 1.0 for phone in PHONES])
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=0.05, betas=(0.9, 0.98))

    def step(index: int) -> dict[str, Tensor]:
        mel = torch.full((recipe.batch, recipe.frames * MEL_PER_FRAME, MEL_BANDS), _QUIET_LOG_MEL)
        target = torch.full((recipe.batch, recipe.frames), _IGNORE)
        for row, i in enumerate(rng.choice(len(spoken), recipe.batch, p=lengths / lengths.sum())):
            if row < recipe.noise_clips:
                mel[row] = _no_speech(recipe.frames * MEL_PER_FRAME, rng)
                target[row] = 0
                continue
            speed = float(rng.uniform(0.85, 1.18))
            wanted = int(recipe.frames * speed)
            start = int(rng.integers(0, max(1, len(spoken[i]) - wanted + 1)))
            crop_mel, crop_labels = _stretch(spoken[i], labels[i], start, wanted, recipe.frames)
            mel[row, : len(crop_mel)] = crop_mel
            target[row, : len(crop_labels)] = crop_labels
        logits = network(augment_mel(mel, generator))
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), cost, ignore_index=_IGNORE, label_smoothing=0.05)
        hit = (logits.argmax(-1) == target)[target > 0].float().mean()
        return {"loss": loss, "phone accuracy": hit}

    loop.run(network, average, optimizer, step, recipe.steps, cosine_rate(recipe.rate, recipe.steps))
    return network


def _no_speech(rows: int, rng: np.random.Generator) -> Tensor:
    """Log-mel rows (rows, 64) of a room's noise and, in two of three, of a tone that stands still or glides."""
    mel = torch.full((rows, MEL_BANDS), float(rng.uniform(-14.0, -4.0)))
    if rng.random() < 0.67:
        start, end = rng.uniform(0, MEL_BANDS, 2)
        center = torch.linspace(start, end if rng.random() < 0.6 else start, rows)[:, None]
        distance = (torch.arange(MEL_BANDS) - center) / float(rng.uniform(0.5, 1.5))
        mel = torch.maximum(mel, float(rng.uniform(-5.0, 1.0)) - distance.square())
    return mel


def _stretch(utterance: Utterance, labels: np.ndarray, start: int, wanted: int, frames: int) -> tuple[Tensor, Tensor]:
    """A crop of `wanted` motion frames played at another speed so that it fills `frames`."""
    mel = torch.from_numpy(
        utterance.features.mel[start * MEL_PER_FRAME : (start + wanted) * MEL_PER_FRAME].astype(np.float32)
    )
    labels_there = torch.from_numpy(labels[start : start + wanted])
    length = min(frames, round(len(labels_there) * frames / wanted))
    mel = F.interpolate(mel.T[None], size=length * MEL_PER_FRAME, mode="linear", align_corners=False)[0].T
    nearest = (torch.arange(length) * len(labels_there) / length).long()
    return mel, labels_there[nearest]


@torch.inference_mode()
def evaluate_encoder(network: AudioEncoder, utterances: list[Utterance]) -> dict[str, float]:
    """Share of spoken frames whose phone is right, by corpus, on the validation split."""
    network.eval()
    right: dict[str, list[np.ndarray]] = {}
    for u in utterances:
        if u.split != "val" or u.phones is None:
            continue
        guess = network(torch.from_numpy(u.features.mel.astype(np.float32))[None])[0].argmax(-1).numpy()
        labels = phone_labels(u)
        right.setdefault(u.corpus, []).append((guess == labels)[labels > 0])
        right.setdefault(f"{u.corpus} silence", []).append((guess == labels)[labels == 0])
    return {
        f"{name} frames of {len(PHONES)} phones": float(np.concatenate(parts).mean()) for name, parts in right.items()
    }
