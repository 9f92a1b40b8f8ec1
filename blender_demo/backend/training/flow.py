# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 3: lip prior and vector field learn the latents of all performances, hearing them through the frozen audio
encoder.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from ..audio.encoder import CONDITION_DIM, AudioEncoder, condition
from ..fcme.model import Fcme
from ..flow.model import NO_STYLE, FlowConfig, LipPrior, VectorField
from ..motion.factors import FACTORS, LATENT_DIM, latent_slice
from .augment import augment_mel
from .loop import TrainingLoop, cosine_rate
from .targets import Performance

__all__ = ["FlowRecipe", "HeardLatents", "hear", "latent_statistics", "train_flow"]

_LIPS = latent_slice("lip")


@dataclass(frozen=True)
class FlowRecipe:
    """Weights of the losses, and how often each condition is dropped so that guidance and locks work."""

    steps: int = 2000
    batch: int = 24
    frames: int = 88
    rate: float = 1.2e-3
    velocity: float = 1.0
    prior: float = 1.0
    drop_audio: float = 0.1
    drop_style: float = 0.15
    give_factor: float = 0.15
    give_prefix: float = 0.3
    seed: int = 3


@dataclass(frozen=True)
class HeardLatents:
    """One performance as the flow sees it: audio conditions (T, CONDITION_DIM), normalized latents (T, 42), style
    index.
    """

    audio: Tensor
    latents: Tensor
    style: int


@torch.inference_mode()
def latent_statistics(fcme: Fcme, performances: list[Performance]) -> tuple[Tensor, Tensor]:
    """Mean and scale (42,) of the posterior means. Latents that the auto-encoder leaves unused keep a large scale,
    and so a small weight.
    """
    latents = fcme.encode(torch.from_numpy(np.concatenate([p.channels for p in performances]))).mean
    return latents.mean(0), latents.std(0).clamp(min=0.3)


@torch.inference_mode()
def hear(
    performances: list[Performance],
    encoder: AudioEncoder,
    fcme: Fcme,
    statistics: tuple[Tensor, Tensor],
    augmented: bool,
    seed: int,
) -> list[HeardLatents]:
    """Encode sound and motion; augmented sound keeps the flow from trusting the encoder's certainty on voices it was
    trained on.
    """
    generator = torch.Generator().manual_seed(seed)
    mean, scale = statistics
    out = []
    for p in tqdm(performances, desc="hear", leave=False, mininterval=2.0):
        mel = torch.from_numpy(p.features.mel.astype(np.float32))[None]
        logits = encoder(augment_mel(mel, generator) if augmented else mel)
        tracks = [
            torch.from_numpy(t.astype(np.float32))[None]
            for t in (p.features.energy, p.features.pitch, p.features.voicing)
        ]
        latents = (fcme.encode(torch.from_numpy(p.channels)).mean - mean) / scale
        out.append(HeardLatents(condition(logits, *tracks)[0], latents, p.style))
    return out


class _PriorAndField(nn.Module):
    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.prior, self.field = LipPrior(config), VectorField(config)


def train_flow(heard: list[HeardLatents], recipe: FlowRecipe, loop: TrainingLoop) -> tuple[LipPrior, VectorField]:
    """Minimize the flow-matching error with its one-frame differences, and the prior's L1."""
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    lengths = np.array([len(h.latents) for h in heard], np.float64)
    # Captured and animated lips are few; they are drawn three times as often as their length.
    weight = lengths * np.where(np.array([h.style for h in heard]) == 2, 1.0, 3.0)
    networks = _PriorAndField(FlowConfig())
    average = AveragedModel(networks, multi_avg_fn=get_ema_multi_avg_fn(0.998))
    optimizer = torch.optim.AdamW(networks.parameters(), lr=recipe.rate, weight_decay=0.02, betas=(0.9, 0.98))

    def step(index: int) -> dict[str, Tensor]:
        audio, target, style = _batch(
            heard, rng.choice(len(heard), recipe.batch, p=weight / weight.sum()), recipe.frames, rng
        )
        dropped = torch.where(torch.rand(recipe.batch) < recipe.drop_style, NO_STYLE, style)
        prior = networks.prior(audio, dropped)
        prior_loss = (prior - target[..., _LIPS]).abs().mean() + (prior - target[..., _LIPS]).diff(dim=1).abs().mean()

        known, is_known = _given(target, recipe)
        t = torch.rand(recipe.batch)
        noise = torch.randn_like(target)
        noisy = noise + t[:, None, None] * (target - noise)
        audible = torch.rand(recipe.batch) >= recipe.drop_audio
        velocity = networks.field(noisy, t, audio, prior.detach(), dropped, audible, known, is_known)
        error = velocity - (target - noise)
        flow_loss = _flow_loss(error)
        loss = flow_loss + recipe.velocity * _flow_loss(error.diff(dim=1)) + recipe.prior * prior_loss
        return {"loss": loss, "flow": flow_loss, "prior": prior_loss}

    loop.run(networks, average, optimizer, step, recipe.steps, cosine_rate(recipe.rate, recipe.steps))
    return networks.prior, networks.field


def _flow_loss(error: Tensor) -> Tensor:
    """L1 for the lips, whose likely course the audio tells; squared for head, eyes and expression.

    L1 makes the field follow the median velocity. A median never blinks: most frames of any clip have open eyes.
    """
    per_latent = error.square()
    per_latent[..., _LIPS] = error[..., _LIPS].abs()
    return per_latent.mean()


def _batch(
    heard: list[HeardLatents], picks: np.ndarray, frames: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Crops of `frames`; a clip that is shorter is repeated, so that nothing is padded."""
    audio = torch.empty(len(picks), frames, CONDITION_DIM)
    target = torch.empty(len(picks), frames, LATENT_DIM)
    for row, pick in enumerate(picks):
        filled = 0
        while filled < frames:
            clip = heard[pick]
            length = min(frames - filled, len(clip.latents))
            start = int(rng.integers(0, len(clip.latents) - length + 1))
            audio[row, filled : filled + length] = clip.audio[start : start + length]
            target[row, filled : filled + length] = clip.latents[start : start + length]
            filled += length
    return audio, target, torch.tensor([heard[pick].style for pick in picks])


def _given(target: Tensor, recipe: FlowRecipe) -> tuple[Tensor, Tensor]:
    """Tracks that are given: some factors whole, and sometimes all factors of the first or last frames (in-
    betweening).
    """
    batch, frames = target.shape[:2]
    is_known = (torch.rand(batch, 1, len(FACTORS)) < recipe.give_factor).float().expand(-1, frames, -1).clone()
    ends = torch.randint(5, 40, (batch, 2)) * (torch.rand(batch, 2) < recipe.give_prefix)
    position = torch.arange(frames)
    at_end = (position < ends[:, :1]) | (position >= frames - ends[:, 1:])
    is_known = torch.maximum(is_known, at_end[..., None].float())
    per_latent = torch.repeat_interleave(is_known, torch.tensor([f.latent_dim for f in FACTORS]), dim=-1)
    return target * per_latent, is_known
