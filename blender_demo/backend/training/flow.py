# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 4: lip prior and vector fields learn the latents of all performances, hearing them through the frozen audio
encoder.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..audio.encoder import CONDITION_DIM, SPEECH_DIM, AudioEncoder, condition
from ..fcme.model import Fcme
from ..flow.model import CONTEXT, NO_STYLE, RESIDUAL_SCALE, FlowConfig, Given, Guide, LipPrior, VectorFields
from ..flow.sampler import emotion_vector
from ..motion.factors import CHANNEL_INDEX, LATENT_DIM, channel_slice, latent_slice
from ..settings import STYLES
from .augment import augment_mel
from .coarticulation import PRESSED
from .loop import TrainingLoop, averaged, cosine_rate
from .targets import Performance

__all__ = ["FlowRecipe", "HeardLatents", "PriorAndFields", "hear", "heard_latents", "latent_statistics", "train_flow"]

_LIPS = latent_slice("lip")
_PRESSED: Final = CHANNEL_INDEX["mouthPressLeft"]
_STYLE_SHARES: Final = {"captured": 4.0, "animated": 6.0, "taught": 1.0}
"""How often a style is drawn, per second of it: captured and animated lips are few."""


@dataclass(frozen=True)
class FlowRecipe:
    """Weights of the losses, and how often each condition is dropped so that guidance and in-betweening work.

    closed: how much more a frame costs in which the lips are pressed shut; such frames are few and short, and the
    median that L1 follows would leave the lips open wherever the sound is not sure. factors: those that are trained.
    """

    steps: int = 3600
    batch: int = 16
    frames: int = 120
    rate: float = 1.2e-3
    velocity: float = 1.0
    prior: float = 1.0
    channels: float = 0.5
    closed: float = 2.5
    drop_audio: float = 0.1
    drop_style: float = 0.5
    drop_sound: float = 0.25
    give_ends: float = 0.25
    factors: tuple[str, ...] = tuple(CONTEXT)
    seed: int = 3


@dataclass(frozen=True)
class HeardLatents:
    """One performance as the flow sees it: audio conditions (T, CONDITION_DIM), normalized latents (T, 42), style
    index, emotion (EMOTION_DIM,).
    """

    audio: Tensor
    latents: Tensor
    style: int
    emotion: Tensor


@torch.no_grad()
def latent_statistics(fcme: Fcme, performances: list[Performance]) -> tuple[Tensor, Tensor]:
    """Mean and scale (42,) of the posterior means. Latents that the auto-encoder leaves unused keep a large scale,
    and so a small weight.
    """
    latents = fcme.encode(torch.from_numpy(np.concatenate([p.channels for p in performances]))).mean
    return latents.mean(0), latents.std(0).clamp(min=0.3)


@torch.no_grad()
def hear(performances: list[Performance], encoder: AudioEncoder, augmented: bool, seed: int) -> list[Tensor]:
    """Audio conditions (T, CONDITION_DIM), in half precision, of each performance; augmented sound keeps the flow from
    trusting the encoder's certainty on voices it was trained on.
    """
    generator = torch.Generator().manual_seed(seed)
    out = []
    for p in tqdm(performances, desc="hear", leave=False, mininterval=2.0):
        mel = torch.from_numpy(p.features.mel.astype(np.float32))[None]
        mel = augment_mel(mel, generator) if augmented else mel
        heard = encoder(mel)
        tracks = [
            torch.from_numpy(t.astype(np.float32))[None]
            for t in (p.features.energy, p.features.pitch, p.features.voicing)
        ]
        out.append(condition(heard, mel, *tracks)[0].half())
    return out


@torch.no_grad()
def heard_latents(
    performances: list[Performance], sounds: list[Tensor], fcme: Fcme, statistics: tuple[Tensor, Tensor]
) -> list[HeardLatents]:
    """Performances as the flow sees them; statistics: mean and scale (42,) that normalize the latents."""
    mean, scale = statistics
    return [
        HeardLatents(
            sound,
            (fcme.encode(torch.from_numpy(p.channels)).mean - mean) / scale,
            p.style,
            emotion_vector(p.emotion, p.intensity),
        )
        for p, sound in zip(performances, sounds, strict=True)
    ]


class PriorAndFields(nn.Module):
    """All that this stage trains."""

    def __init__(self, config: FlowConfig | None = None) -> None:
        super().__init__()
        self.prior, self.fields = LipPrior(config), VectorFields(config)


def train_flow(
    heard: list[HeardLatents],
    fcme: Fcme,
    statistics: tuple[Tensor, Tensor],
    recipe: FlowRecipe,
    loop: TrainingLoop,
    networks: PriorAndFields | None = None,
) -> PriorAndFields:
    """Minimize the flow-matching error with its one-frame differences, and the prior's L1 in latents and channels.

    statistics: mean and scale (42,) that normalized the latents. networks: what to go on from, instead of anew.
    """
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    weight = np.array([len(h.latents) * _STYLE_SHARES[STYLES[h.style]] for h in heard])
    networks = networks or PriorAndFields()
    average = averaged(networks, 0.998)
    networks.requires_grad_(False)
    for name in recipe.factors:
        networks.fields[name].requires_grad_(True)
    networks.prior.requires_grad_("lip" in recipe.factors)
    learning = [p for p in networks.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=recipe.rate, weight_decay=0.02, betas=(0.9, 0.98))
    mean, scale = (numbers[_LIPS] for numbers in statistics)
    lip_scale = fcme.channel_scale[channel_slice("lip")]
    pressed_scale = lip_scale[_PRESSED] / PRESSED

    def lip_channels(latents: Tensor) -> Tensor:
        return fcme.decode_factor("lip", latents * scale + mean) / lip_scale

    def step(index: int) -> dict[str, Tensor]:
        guide, target = _batch(heard, rng.choice(len(heard), recipe.batch, p=weight / weight.sum()), recipe, rng)
        t = torch.rand(recipe.batch)
        audible = torch.rand(recipe.batch) >= recipe.drop_audio
        is_known = _known_ends(recipe)
        values: dict[str, Tensor] = {}
        loss = torch.zeros(())
        for name in recipe.factors:
            goal, followed = target[..., latent_slice(name)], CONTEXT[name]
            beside = target[..., latent_slice(followed) if followed else slice(0)]
            cost = torch.ones(())
            if name == "lip":
                channels = lip_channels(goal)
                cost = 1.0 + recipe.closed * (channels[..., _PRESSED] * pressed_scale).clamp(0.0, 1.0)[..., None]
                beside = networks.prior(_without_sound(guide, recipe.drop_sound))
                values["prior"] = _lip_loss(beside - goal, cost, recipe.velocity)
                if recipe.channels:
                    missed = (lip_channels(beside) - channels).abs() * cost
                    values["prior"] = values["prior"] + recipe.channels * missed.mean()
                loss = loss + recipe.prior * values["prior"]
                beside = beside.detach()
                goal = (goal - beside) / RESIDUAL_SCALE
            noise = torch.randn_like(goal)
            noisy = noise + t[:, None, None] * (goal - noise)
            velocity = networks.fields[name](noisy, t, guide, beside, Given(goal, is_known), audible)
            error = velocity - (goal - noise)
            lips = name == "lip"
            values[name] = _lip_loss(error, cost, recipe.velocity) if lips else _other_loss(error, recipe.velocity)
            loss = loss + values[name]
        return {"loss": loss, **values}

    loop.run(networks, average, optimizer, step, recipe.steps, cosine_rate(recipe.rate, recipe.steps), (rng,))
    return networks


def _lip_loss(error: Tensor, cost: Tensor, velocity: float) -> Tensor:
    """L1 of an error (B, T, d) where a frame costs `cost` (B, T, 1), and of its one-frame differences."""
    return (error.abs() * cost).mean() + velocity * error.diff(dim=1).abs().mean()


def _other_loss(error: Tensor, velocity: float) -> Tensor:
    """Squared error, and that of its one-frame differences, for head, eyes and expression.

    L1 makes the field follow the median velocity. For lips the sound tells their likely course; but a median never
    blinks: most frames of any clip have open eyes.
    """
    return error.square().mean() + velocity * error.diff(dim=1).square().mean()


def _batch(
    heard: list[HeardLatents], picks: np.ndarray, recipe: FlowRecipe, rng: np.random.Generator
) -> tuple[Guide, Tensor]:
    """Crops: what the fields are told, and latents (B, frames, 42). A clip that is shorter is repeated, so that
    nothing is padded.
    """
    audio = torch.empty(len(picks), recipe.frames, CONDITION_DIM)
    target = torch.empty(len(picks), recipe.frames, LATENT_DIM)
    for row, pick in enumerate(picks):
        filled = 0
        while filled < recipe.frames:
            clip = heard[pick]
            length = min(recipe.frames - filled, len(clip.latents))
            start = int(rng.integers(0, len(clip.latents) - length + 1))
            audio[row, filled : filled + length] = clip.audio[start : start + length]
            target[row, filled : filled + length] = clip.latents[start : start + length]
            filled += length
    style = torch.tensor([heard[pick].style for pick in picks])
    style = torch.where(torch.rand(len(picks)) < recipe.drop_style, NO_STYLE, style)
    return Guide(audio, style, torch.stack([heard[pick].emotion for pick in picks])), target


def _without_sound(guide: Guide, share: float) -> Guide:
    """A share of the clips without their log-mel, so that the prior does not lean on voices it knows."""
    kept = (torch.rand(len(guide.audio), 1, 1) >= share).float()
    speech, sound = guide.audio[..., :SPEECH_DIM], guide.audio[..., SPEECH_DIM:]
    return guide._replace(audio=torch.cat([speech, sound * kept], dim=-1))


def _known_ends(recipe: FlowRecipe) -> Tensor:
    """Where the first or last frames of a crop are given (in-betweening), (B, frames, 1)."""
    ends = torch.randint(3, 30, (recipe.batch, 2)) * (torch.rand(recipe.batch, 2) < recipe.give_ends)
    position = torch.arange(recipe.frames)
    return ((position < ends[:, :1]) | (position >= recipe.frames - ends[:, 1:])).float()[..., None]
