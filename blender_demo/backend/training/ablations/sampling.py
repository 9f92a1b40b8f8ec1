# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawing motion from a model of any variant. For ours it is `flow/sampler.py` to the bit."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor

from ...flow.model import CONTEXT, NO_STYLE, Given, Guide, VectorField
from ...flow.sampler import _NOISE_SCALE, Known, _noise, emotion_vector, solver_times
from ...motion.factors import FACTORS, LATENT_DIM, latent_slice
from ...settings import AUTO, GenerationSettings
from .variants import ALL, Model, columns, cosine_schedule, frame

__all__ = ["Sampling", "sample"]

_CLIP: Final = 4.0
"""Bound of the motion that a diffusion step foresees, in standard deviations: without it, few steps diverge."""

_FIRST: Final = 0.01
"""Time of the first diffusion step; at 0 there is no signal to tell the noise from."""


@dataclass(frozen=True)
class Sampling:
    """How motion is drawn. euler: steps of first order instead of Adams and Bashforth's second; noise: spread of the
    initial noise of all factors, at temperature 1, where it is not ours.
    """

    settings: GenerationSettings = field(default_factory=GenerationSettings)
    euler: bool = False
    noise: float | None = None


@torch.no_grad()
def sample(
    model: Model,
    audio: Tensor,
    sampling: Sampling,
    known: Known | None = None,
    only: Iterable[str] = (ALL, *CONTEXT),
) -> Tensor:
    """Normalized latents (T, 42) for audio conditions (T, CONDITION_DIM); factors without a field stay at 0. only:
    fields to draw.
    """
    guide = Guide(audio[None], torch.tensor([NO_STYLE]), emotion_vector(AUTO, 1.0)[None])
    offset, spread, beside = frame(model.prior_use, model.prior(guide))
    known = known or Known(audio.new_zeros(len(audio), LATENT_DIM), audio.new_zeros(len(audio), len(FACTORS)))
    sizes = torch.tensor([f.latent_dim for f in FACTORS])
    is_known = known.is_known.repeat_interleave(sizes, dim=1)[None]
    goals = ((known.latents - offset) / spread) * is_known
    for name in model.fields:
        if name not in only:
            continue
        own, followed = columns(name), CONTEXT.get(name)
        along = beside if name in ("lip", ALL) else goals[..., latent_slice(followed) if followed else slice(0)]
        given = Given(goals[..., own], is_known[..., own] if name == ALL else is_known[..., own][..., :1])
        strength = sampling.settings.control("lip" if name == ALL else name).guidance
        predict = _predictor(model.fields[name], guide, along, given, strength)
        drawn = _solve(predict, _first_noise(name, len(audio), sampling)[None], sampling, model.path)
        goals[..., own] = torch.where(is_known[..., own] > 0, goals[..., own], drawn)
    return (offset + spread * goals)[0]


def _first_noise(name: str, frames: int, sampling: Sampling) -> Tensor:
    names = [f.name for f in FACTORS] if name == ALL else [name]
    ours = {each: _noise(each, frames, sampling.settings) for each in names}
    if sampling.noise is not None:
        ours = {each: noise * (sampling.noise / _NOISE_SCALE.get(each, 1.0)) for each, noise in ours.items()}
    return torch.cat(list(ours.values()), dim=-1)


def _predictor(
    network: VectorField, guide: Guide, beside: Tensor, given: Given, strength: float
) -> Callable[[Tensor, float], Tensor]:
    def predict(state: Tensor, t: float) -> Tensor:
        time = torch.tensor([t])
        heard = network(state, time, guide, beside, given, torch.tensor([True]))
        if strength == 1.0:
            return heard
        unheard = network(state, time, guide, beside, given, torch.tensor([False]))
        return unheard + strength * (heard - unheard)

    return predict


def _solve(predict: Callable[[Tensor, float], Tensor], state: Tensor, sampling: Sampling, path: str) -> Tensor:
    times = solver_times(sampling.settings.steps, sampling.settings.grid)
    if path == "diffusion":
        for t, following in pairwise([_FIRST, *times[1:]]):
            state = _denoise(predict(state, t), state, t, following)
        return state
    last, last_length = None, 0.0
    for t, following in pairwise(times):
        slope, length = predict(state, t), following - t
        ahead = slope if last is None or sampling.euler else slope + 0.5 * length / last_length * (slope - last)
        state = state + length * ahead
        last, last_length = slope, length
    return state


def _denoise(noise: Tensor, state: Tensor, t: float, following: float) -> Tensor:
    """One step of DDIM (Song et al., arXiv 2010.02502, eq. 12 with sigma = 0)."""
    (signal, noise_scale), (next_signal, next_noise) = cosine_schedule(t), cosine_schedule(following)
    foreseen = ((state - noise_scale * noise) / signal).clamp(-_CLIP, _CLIP)
    return next_signal * foreseen + next_noise * noise
