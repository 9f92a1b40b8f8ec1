# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 3: the motion auto-encoder learns the channels of all training motion."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..fcme.model import Fcme
from ..motion.factors import ARKIT_NAMES, CHANNELS, FACTORS, channel_slice, latent_slice
from .loop import TrainingLoop, cosine_rate

__all__ = ["FcmeRecipe", "evaluate_fcme", "train_fcme"]

_POSE = channel_slice("pose")
_GAZE = slice(channel_slice("eyes").stop - 2, channel_slice("eyes").stop)
_GAZE_LATENTS: Final = slice(latent_slice("eyes").start, latent_slice("eyes").start + 2)
"""The eyes' latents whose direction follows the direction of the gaze."""

_CONTRASTED: Final = 384
"""Frames that are told apart at once: of as many sounds, which one goes with these lips?"""

@dataclass(frozen=True)
class FcmeRecipe:
    """Weights of the losses; a weight of 0 switches a loss off."""

    steps: int = 1100
    batch: int = 128
    frames: int = 12
    rate: float = 2e-3
    velocity: float = 1.0
    squared: float = 0.1
    kl: float = 1e-4
    decorrelation: float = 0.02
    lip_sound: float = 0.05
    pose: float = 0.1
    gaze: float = 0.1
    seed: int = 2


class _Readings(nn.Module):
    """What only training needs: DEMO's losses read lips, sound and pose through these."""

    def __init__(self, sound_dim: int) -> None:
        super().__init__()
        self.lips = nn.Linear(FACTORS[0].latent_dim, 48)
        self.sound = nn.Sequential(nn.Linear(sound_dim, 96), nn.GELU(), nn.Linear(96, 48))
        self.log_sharpness = nn.Parameter(torch.tensor(2.3))
        self.pose = nn.Linear(6, 6)

    def contrast(self, lips: Tensor, sound: Tensor) -> Tensor:
        """Bidirectional InfoNCE between lip latents (N, 20) and what is heard at the same frames (N, D)."""
        likeness = F.normalize(self.lips(lips), dim=-1) @ F.normalize(self.sound(sound), dim=-1).T
        likeness = likeness * self.log_sharpness.exp().clamp(max=50.0)
        same = torch.arange(len(lips))
        return 0.5 * (F.cross_entropy(likeness, same) + F.cross_entropy(likeness.T, same))


class _Trained(nn.Module):
    def __init__(self, sound_dim: int) -> None:
        super().__init__()
        self.fcme, self.readings = Fcme(), _Readings(sound_dim)


def train_fcme(
    motions: list[NDArray[np.float32]], sounds: list[Tensor], recipe: FcmeRecipe, loop: TrainingLoop
) -> Fcme:
    """Train on channel tracks, each (T, 60), and what the audio encoder hears at their frames, each (T, D)."""
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    everything = torch.from_numpy(np.concatenate(motions))
    sound = torch.cat(sounds)
    starts = _starts(motions, recipe.frames)

    trained = _Trained(sound.shape[1])
    network, readings = trained.fcme, trained.readings
    network.channel_mean.copy_(everything.mean(0))
    network.channel_scale.copy_(torch.maximum(everything.std(0), _least_scale()))
    average = AveragedModel(trained, multi_avg_fn=get_ema_multi_avg_fn(0.995), use_buffers=True)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=recipe.rate, weight_decay=1e-4)

    def step(index: int) -> dict[str, Tensor]:
        rows = torch.from_numpy(rng.choice(starts, recipe.batch))[:, None] + torch.arange(recipe.frames)
        truth = _exaggerate(everything[rows])
        posterior = network.encode(truth)
        guess = network.decode(posterior.sample())
        error = (guess - truth) / network.channel_scale
        values = {"reconstruction": error.abs().mean()}
        loss = values["reconstruction"]
        if recipe.velocity:
            loss = loss + recipe.velocity * error.diff(dim=1).abs().mean()
        if recipe.squared:
            # Blinks are rare: the median that L1 seeks would leave them out.
            loss = loss + recipe.squared * (error**2).clamp(max=100.0).mean()
        if recipe.kl:
            values["kl"] = posterior.divergence().mean()
            warm = min(1.0, 2.0 * index / recipe.steps)
            loss = loss + recipe.kl * warm * values["kl"]
        if recipe.decorrelation:
            values["correlation"] = _cross_covariance(posterior.mean)
            loss = loss + recipe.decorrelation * values["correlation"]
        latents = posterior.mean.flatten(0, 1)
        if recipe.lip_sound:
            picks = torch.from_numpy(rng.choice(len(latents), _CONTRASTED, replace=False))
            lips = latents[picks, latent_slice("lip")]
            values["lip and sound"] = readings.contrast(lips, sound[rows.flatten()[picks]].float())
            loss = loss + recipe.lip_sound * values["lip and sound"]
        if recipe.pose:
            seen = (truth[..., _POSE] - network.channel_mean[_POSE]) / network.channel_scale[_POSE]
            values["pose"] = (readings.pose(posterior.mean[..., latent_slice("pose")]) - seen).abs().mean()
            loss = loss + recipe.pose * values["pose"]
        if recipe.gaze:
            values["gaze"] = _gaze_contrast(latents[:, _GAZE_LATENTS], truth[..., _GAZE].flatten(0, 1))
            loss = loss + recipe.gaze * values["gaze"]
        return {"loss": loss, **values}

    loop.run(trained, average, optimizer, step, recipe.steps, cosine_rate(recipe.rate, recipe.steps), (rng,))
    return network


def _gaze_contrast(latents: Tensor, gaze: Tensor) -> Tensor:
    """How far the cosine between two frames' gaze latents (N, 2) is from the one between their gazes (N, 2); gazes
    near the center, whose direction means little, count less.
    """
    other = torch.randperm(len(gaze))
    weight = gaze.norm(dim=-1) * gaze[other].norm(dim=-1)
    wanted = F.cosine_similarity(gaze, gaze[other], dim=-1)
    found = F.cosine_similarity(latents, latents[other], dim=-1)
    return ((found - wanted).abs() * weight).sum() / weight.sum().clamp(min=1e-6)


def _least_scale() -> Tensor:
    """Scale (60,) under which a channel's motion does not count: a twentieth of a weight, a thousandth of an angle or
    head height.
    """
    return torch.tensor([0.05 if name in ARKIT_NAMES else 0.001 for name in CHANNELS])


def _starts(motions: list[NDArray[np.float32]], frames: int) -> NDArray[np.int64]:
    """Rows of the concatenated motions from which a crop stays inside one motion."""
    offsets = np.cumsum([0, *(len(m) for m in motions)])
    return np.concatenate(
        [np.arange(o, o + max(0, len(m) - frames + 1)) for o, m in zip(offsets, motions, strict=False)]
    )


def _exaggerate(truth: Tensor) -> Tensor:
    """Some crops with stronger or single-channel motion, so that hand-made and captured poses far from speech have
    latents too.
    """
    gain = 1.0 + 0.8 * torch.rand(len(truth), 1, 1) * (torch.rand(len(truth), 1, 1) < 0.25)
    lone = (torch.rand(len(truth), 1, truth.shape[-1]) < 0.04) * torch.rand(len(truth), 1, truth.shape[-1])
    lone = lone * (torch.rand(len(truth), 1, 1) < 0.3)
    pushed = truth * gain
    free = torch.zeros(truth.shape[-1], dtype=torch.bool)
    free[channel_slice("lip")] = free[channel_slice("expression")] = True
    return torch.where(free, torch.maximum(pushed, lone).clamp(0.0, 1.0), pushed)


def _cross_covariance(latents: Tensor) -> Tensor:
    """Mean squared correlation between latents of different factors over the batch."""
    flat = latents.flatten(0, -2)
    flat = (flat - flat.mean(0)) / flat.std(0).clamp(min=1e-3)
    correlation = flat.T @ flat / len(flat)
    across = torch.ones_like(correlation)
    for f in FACTORS:
        across[latent_slice(f.name), latent_slice(f.name)] = 0.0
    return (correlation**2 * across).sum() / across.sum()


@torch.inference_mode()
def evaluate_fcme(network: Fcme, motions: list[NDArray[np.float32]]) -> dict[str, float]:
    """Reconstruction of (T, 60) tracks from the posterior's mean: correlation of jawOpen, and share of variance kept,
    by factor.
    """
    truth = torch.from_numpy(np.concatenate(motions))
    guess = network.decode(network.encode(truth).mean)
    figures = {}
    for f in FACTORS:
        columns = channel_slice(f.name)
        left, real = ((t[:, columns] / network.channel_scale[columns]) for t in (truth - guess, truth))
        figures[f"{f.name} variance kept"] = float(1.0 - left.var(0).sum() / real.var(0).sum())
    jaw = CHANNELS.index("jawOpen")
    figures["jawOpen correlation"] = float(torch.corrcoef(torch.stack([truth[:, jaw], guess[:, jaw]]))[0, 1])
    directions = network.directions()
    figures["largest inner product of directions"] = float(
        (directions.T @ directions - torch.eye(directions.shape[1])).abs().max()
    )
    return figures
