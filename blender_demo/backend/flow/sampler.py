# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawing motion: Euler steps along the vector field, in halo chunks, with guidance, temperature and seed for each
factor.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor

from ..motion.factors import FACTORS, LATENT_DIM, latent_slice
from ..settings import STYLES, GenerationSettings
from .model import LipPrior, VectorField

__all__ = ["CHUNK_FRAMES", "in_chunks", "sample_latents"]

_GUIDANCE_SCALE: Final = {"lip": 1.3}
"""Guidance at strength 1, where it is not 1: with it the jaw moves as much as a captured one, and lips round more."""

_NOISE_SCALE: Final = {"lip": 0.5, "pose": 1.2, "eyes": 1.2}
"""Spread of the initial noise at temperature 1, where it is not 1. Calmer lips measured better in sync; ten steps take
some of the variety of head and eyes, and with this spread blinks come at about the published rates."""

CHUNK_FRAMES: Final = 1800
"""Frames evaluated at once: a minute. Longer clips go through in chunks with a halo as wide as the receptive field."""


def in_chunks(
    frames: int, halo: int, evaluate: Callable[[slice], Tensor], tick: Callable[[float], None] | None = None
) -> Tensor:
    """Evaluate a network whose output frame depends on `halo` frames to each side, chunk by chunk: (1, T, D).

    `evaluate` gets a slice of frames and returns its outputs (1, n, D); `tick` is told the share that is done.
    """
    parts = []
    for start in range(0, frames, CHUNK_FRAMES):
        stop = min(start + CHUNK_FRAMES, frames)
        first, last = max(0, start - halo), min(frames, stop + halo)
        parts.append(evaluate(slice(first, last))[:, start - first : stop - first])
        if tick:
            tick(stop / frames)
    return torch.cat(parts, dim=1)


def sample_latents(
    field: VectorField, prior: LipPrior, audio: Tensor, settings: GenerationSettings, tick: Callable[[float], None]
) -> Tensor:
    """Normalized latents (T, 42) for audio conditions (T, CONDITION_DIM); `tick` is told the share of the work that
    is done.
    """
    device, frames = audio.device, len(audio)
    audio = audio[None]
    style = torch.tensor([STYLES.index(settings.style)], device=device)
    lips = in_chunks(frames, prior.halo, lambda part: prior(audio[:, part], style))

    state = _noise(frames, settings).to(device)[None]
    strength = {f.name: settings.control(f.name).guidance * _GUIDANCE_SCALE.get(f.name, 1.0) for f in FACTORS}
    guidance = _per_latent(strength).to(device)
    guided = bool((guidance != 1.0).any())
    known = torch.zeros_like(state)
    is_known = state.new_zeros(1, frames, len(FACTORS))

    def velocity(part: slice, t: Tensor) -> Tensor:
        """With guidance, heard and unheard are one batch of two: v_0 + g (v_a - v_0) (Ho and Salimans, arXiv
        2207.12598).
        """
        count = 2 if guided else 1
        batch = [tensor[:, part].expand(count, -1, -1) for tensor in (state, audio, lips, known, is_known)]
        noisy, heard, prior_lips, given, is_given = batch
        audible = torch.tensor([True, False][:count], device=device)
        v = field(noisy, t.expand(count), heard, prior_lips, style.expand(count), audible, given, is_given)
        return v[1:] + guidance * (v[:1] - v[1:]) if guided else v

    times = torch.linspace(0.0, 1.0, settings.steps + 1)
    for step, (t, following) in enumerate(pairwise(times)):
        now = t.to(device)
        slope = in_chunks(
            frames,
            field.halo,
            lambda part, now=now: velocity(part, now),
            lambda done, step=step: tick((step + done) / settings.steps),
        )
        state = state + (following - t).to(device) * slope
    return state[0]


def _noise(frames: int, settings: GenerationSettings) -> Tensor:
    """Initial noise (T, 42): each factor from its own seed, so that one can be drawn again while the others stay; the
    same on every device.
    """
    parts = []
    for index, factor in enumerate(FACTORS):
        control = settings.control(factor.name)
        generator = torch.Generator().manual_seed((settings.seed + control.seed_offset) * len(FACTORS) + index)
        spread = control.temperature * _NOISE_SCALE.get(factor.name, 1.0)
        parts.append(torch.randn(frames, factor.latent_dim, generator=generator) * spread)
    return torch.cat(parts, dim=1)


def _per_latent(values: dict[str, float]) -> Tensor:
    """One number per factor spread over its latents, (42,)."""
    out = torch.empty(LATENT_DIM)
    for name, value in values.items():
        out[latent_slice(name)] = value
    return out
