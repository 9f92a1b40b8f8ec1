# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawing motion: one factor after the other along its vector field, in halo chunks, with guidance, temperature and
seed for each factor.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Final, NamedTuple

import torch
from torch import Tensor

from ..motion.factors import FACTOR_INDEX, FACTORS, latent_slice
from ..settings import AUTO, EMOTIONS, NEUTRAL, STYLES, GenerationSettings
from .model import CONTEXT, EMOTION_DIM, NO_STYLE, RESIDUAL_SCALE, Given, Guide, LipPrior, VectorField, VectorFields

__all__ = ["CHUNK_FRAMES", "Known", "emotion_vector", "in_chunks", "sample_latents", "solver_times"]

_NOISE_SCALE: Final = {"lip": 0.5, "pose": 1.2, "eyes": 1.1}
"""Spread of the initial noise at temperature 1, where it is not 1. Calmer lips measured better in sync; livelier eyes
blink at about the published rates."""

_EPSS: Final = {5: (0, 2, 4, 8, 16, 32), 6: (0, 2, 4, 6, 8, 16, 32), 7: (0, 2, 4, 6, 8, 16, 24, 32)}
"""Empirically pruned steps in 32nds (F5-TTS), where so few are asked for."""

CHUNK_FRAMES: Final = 1800
"""Frames evaluated at once: a minute. Longer clips go through in chunks with a halo as wide as the receptive field.
A multiple of every attention block, as halos are, so that chunked and whole evaluation are the same to the bit."""

_ALIGNMENT: Final = 120


class Known(NamedTuple):
    """Normalized latents (T, 42) that are given where is_known (T, 4) is 1, by frame and factor."""

    latents: Tensor
    is_known: Tensor


def in_chunks(
    frames: int, halo: int, evaluate: Callable[[slice], Tensor], tick: Callable[[float], None] | None = None
) -> Tensor:
    """Evaluate a network whose output frame depends on `halo` frames to each side, chunk by chunk: (1, T, D).

    `evaluate` gets a slice of frames and returns its outputs (1, n, D); `tick` is told the share that is done.
    """
    halo = math.ceil(halo / _ALIGNMENT) * _ALIGNMENT
    parts = []
    for start in range(0, frames, CHUNK_FRAMES):
        stop = min(start + CHUNK_FRAMES, frames)
        first, last = max(0, start - halo), min(frames, stop + halo)
        parts.append(evaluate(slice(first, last))[:, start - first : stop - first])
        if tick:
            tick(stop / frames)
    return torch.cat(parts, dim=1)


def solver_times(steps: int, grid: str) -> list[float]:
    """Times 0..1 at which the field is evaluated, and the end: steps + 1 numbers.

    Sway is denser near the noise: t + s (cos(pi t / 2) - 1 + t) with s = -1 (F5-TTS, arXiv 2410.06885, eq. 7).
    """
    if grid == "epss" and steps in _EPSS:
        return [k / 32 for k in _EPSS[steps]]
    uniform = [k / steps for k in range(steps + 1)]
    return uniform if grid == "uniform" else [1.0 - math.cos(0.5 * math.pi * t) for t in uniform]


def emotion_vector(emotion: str, intensity: float) -> Tensor:
    """What the networks are told of the emotion, (EMOTION_DIM,)."""
    out = torch.zeros(EMOTION_DIM)
    if emotion != AUTO:
        out[-1] = 1.0
        if emotion != NEUTRAL:
            out[EMOTIONS.index(emotion)] = intensity
    return out


def sample_latents(
    fields: VectorFields,
    prior: LipPrior,
    audio: Tensor,
    settings: GenerationSettings,
    tick: Callable[[float], None],
    known: Known | None = None,
) -> Tensor:
    """Normalized latents (T, 42) for audio conditions (T, CONDITION_DIM); `tick` is told the share of the work that
    is done.
    """
    frames, device = len(audio), audio.device
    style = NO_STYLE if settings.style == AUTO else STYLES.index(settings.style)
    guide = Guide(
        audio[None],
        torch.tensor([style], device=device),
        emotion_vector(settings.emotion, settings.intensity).to(device)[None],
    )
    latents = audio.new_zeros(frames, sum(f.latent_dim for f in FACTORS))
    if known is None:
        known = Known(latents, audio.new_zeros(frames, len(FACTORS)))
    for index, (name, followed) in enumerate(CONTEXT.items()):
        column, own = FACTOR_INDEX[name], latent_slice(name)
        given = Given(known.latents[None, :, own], known.is_known[None, :, column, None])
        if name == "lip":
            beside = in_chunks(frames, prior.halo, lambda part: prior(_part(guide, part)))
            rest = Given((given.latents - beside) / RESIDUAL_SCALE, given.is_known)
        else:
            beside = latents[None, :, latent_slice(followed) if followed else slice(0)]
            rest = given
        drawn = rest.latents
        if bool((given.is_known == 0).any()):

            def share(done: float, index: int = index) -> None:
                tick((index + done) / len(CONTEXT))

            drawn = _integrate(fields[name], name, guide, beside, rest, settings, share)
        if name == "lip":
            drawn = beside + RESIDUAL_SCALE * drawn
        tick((index + 1) / len(CONTEXT))
        latents[:, own] = torch.where(given.is_known > 0, given.latents, drawn)[0]
    return latents


def _part(guide: Guide, part: slice) -> Guide:
    return guide._replace(audio=guide.audio[:, part])


def _integrate(
    field: VectorField,
    name: str,
    guide: Guide,
    beside: Tensor,
    given: Given,
    settings: GenerationSettings,
    tick: Callable[[float], None],
) -> Tensor:
    """Draw one factor's latents (1, T, d): second-order Adams-Bashforth steps, which cost one evaluation each."""
    device, frames = beside.device, beside.shape[1]
    state = _noise(name, frames, settings).to(device)[None]
    strength = settings.control(name).guidance
    count = 1 if strength == 1.0 else 2

    def velocity(part: slice, t: Tensor) -> Tensor:
        """With guidance, heard and unheard are one batch of two: v_0 + g (v_a - v_0) (Ho and Salimans, arXiv
        2207.12598).
        """
        noisy, audio, along, latents, is_known = (
            tensor[:, part].expand(count, -1, -1)
            for tensor in (state, guide.audio, beside, given.latents, given.is_known)
        )
        audible = torch.tensor([True, False][:count], device=device)
        here = Guide(audio, guide.style.expand(count), guide.emotion.expand(count, -1))
        v = field(noisy, t.expand(count), here, along, Given(latents, is_known), audible)
        return v[1:] + strength * (v[:1] - v[1:]) if count == 2 else v

    times = solver_times(settings.steps, settings.grid)
    last, last_length = None, 0.0
    for step, (t, following) in enumerate(pairwise(times)):
        now = torch.tensor(t, device=device)
        slope = in_chunks(
            frames,
            field.halo,
            lambda part, now=now: velocity(part, now),
            lambda done, step=step: tick((step + done) / settings.steps),
        )
        length = following - t
        ahead = slope if last is None else slope + 0.5 * length / last_length * (slope - last)
        state = state + length * ahead
        last, last_length = slope, length
    return state


def _noise(factor: str, frames: int, settings: GenerationSettings) -> Tensor:
    """Initial noise (T, d): each factor from its own seed, so that one can be drawn again while the others stay; the
    same on every device.
    """
    control, index = settings.control(factor), FACTOR_INDEX[factor]
    generator = torch.Generator().manual_seed((settings.seed + control.seed_offset) * len(FACTORS) + index)
    spread = control.temperature * _NOISE_SCALE.get(factor, 1.0)
    return torch.randn(frames, FACTORS[index].latent_dim, generator=generator) * spread
