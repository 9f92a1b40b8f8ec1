# SPDX-License-Identifier: GPL-3.0-or-later
"""Other voices, rooms, microphones and codecs from the same recordings: augmentation of log-mel frames, on whole
batches.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["augment_mel"]

_LOG10 = 2.302585


def augment_mel(mel: Tensor, generator: torch.Generator) -> Tensor:
    """Augment natural-log mel power (B, N, 64): vocal-tract length, equalization, level, reverberation, noise, codec,
    masked bands.
    """
    mel = _warp_vocal_tract(mel, generator)
    mel = mel + _smooth_curve(mel, generator, spread=0.8) + _uniform(mel, generator, -1.2, 1.2)
    mel = _reverberate(mel, generator)
    mel = _add_noise(mel, generator)
    mel = _encode(mel, generator)
    return _mask_bands(mel, generator)


def _uniform(mel: Tensor, generator: torch.Generator, low: float, high: float) -> Tensor:
    """(B, 1, 1) uniform numbers."""
    return torch.rand(len(mel), 1, 1, generator=generator) * (high - low) + low


def _warp_vocal_tract(mel: Tensor, generator: torch.Generator, most: float = 0.16) -> Tensor:
    """Stretch the mel axis by up to `most` (Jaitly and Hinton 2013)."""
    bands = mel.shape[-1]
    factor = _uniform(mel, generator, 1.0 - most, 1.0 + most)
    source = (torch.arange(bands) * factor).clamp(max=bands - 1)
    low = source.floor().long().clamp(max=bands - 2)
    weight = source - low
    low = low.expand(-1, mel.shape[1], -1)
    return mel.gather(2, low) * (1 - weight) + mel.gather(2, low + 1) * weight


def _smooth_curve(mel: Tensor, generator: torch.Generator, spread: float) -> Tensor:
    """A random smooth curve over the bands, (B, 1, 64): microphone, telephone, room color."""
    knots = torch.randn(len(mel), 1, 7, generator=generator) * spread
    return F.interpolate(knots, size=mel.shape[-1], mode="linear", align_corners=True)


def _reverberate(mel: Tensor, generator: torch.Generator) -> Tensor:
    """An exponential tail in the power domain, for a third of the batch."""
    tail = torch.exp(-torch.arange(24) / 120.0 * 13.8 / 0.35)
    strength = _uniform(mel, generator, 0.0, 0.25) * (torch.rand(len(mel), 1, 1, generator=generator) < 0.33)
    power = mel.exp().transpose(1, 2)
    kernel = tail.flip(0).view(1, 1, -1)
    late = F.conv1d(F.pad(power.flatten(0, 1)[:, None], (24, 0))[..., :-1], kernel).view_as(power)
    return torch.log(power + strength * late).transpose(1, 2)


def _add_noise(mel: Tensor, generator: torch.Generator) -> Tensor:
    """Colored noise at 5 to 50 dB below the level of the clip."""
    level = mel.exp().mean(dim=(1, 2), keepdim=True).log()
    below = _uniform(mel, generator, 0.5 * _LOG10, 5.0 * _LOG10)
    color = _smooth_curve(mel, generator, spread=1.5)
    flicker = torch.log(-torch.log(torch.rand(mel.shape, generator=generator).clamp(1e-6, 1 - 1e-6)))
    return torch.logaddexp(mel, level - below + color + 0.5 * flicker)


def _encode(mel: Tensor, generator: torch.Generator, share: float = 0.2) -> Tensor:
    """What a telephone or a low bit rate leaves, for some clips: nothing above 3.4 to 7 kHz, and coarse levels."""
    bands = torch.arange(mel.shape[-1])
    highest = torch.randint(46, mel.shape[-1], (len(mel), 1, 1), generator=generator)
    coarse = _uniform(mel, generator, 0.2, 1.2)
    coded = torch.where(bands < highest, (mel / coarse).round() * coarse, mel.amin(dim=(1, 2), keepdim=True))
    return torch.where(torch.rand(len(mel), 1, 1, generator=generator) < share, coded, mel)


def _mask_bands(mel: Tensor, generator: torch.Generator, widest: int = 8) -> Tensor:
    """Replace one stretch of bands by the clip's mean (SpecAugment, arXiv 1904.08779)."""
    bands = torch.arange(mel.shape[-1])
    start = torch.randint(0, mel.shape[-1], (len(mel), 1, 1), generator=generator)
    width = torch.randint(0, widest + 1, (len(mel), 1, 1), generator=generator)
    return torch.where((bands >= start) & (bands < start + width), mel.mean(dim=(1, 2), keepdim=True), mel)
