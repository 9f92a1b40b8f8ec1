# SPDX-License-Identifier: GPL-3.0-or-later
"""FCME, the fine-grained controllable motion encoder: landmarks or rig channels to factor latents, and back.

Four heads give the coefficients of the factors (lip 20, pose 6, eyes 6, expression 10) over one dictionary of motion
directions in R^512. The dictionary is made orthonormal by QR at each forward pass (as in LIA, arXiv 2203.09043, sec.
3.2), so that the factors' sub-spaces are orthogonal exactly; a motion is the sum of its four components. Each
factor's channels are decoded from that factor's component alone.

Two inputs lead into the one latent space. Rig channels come with their factors apart. In the landmarks of a face all
factors, the person and the camera are mixed: a fit of the head model (`fitting.py`) takes them apart, and heads of
their own learn what of each factor's fit can be relied on.
"""

from dataclasses import asdict, dataclass
from typing import Final

import torch
from torch import Tensor, nn

from ..errors import WeightsError
from ..motion.factors import CHANNELS, FACTORS, LATENT_DIM, channel_slice, latent_slice
from .fitting import LandmarkFit

__all__ = ["Fcme", "FcmeConfig", "Posterior"]


_FIRST_LOG_VARIANCE: Final = -5.0


@dataclass(frozen=True)
class FcmeConfig:
    """Sizes of the auto-encoder."""

    motion_dim: int = 512
    hidden: int = 192
    landmarks: bool = False
    """Whether there is a landmark input beside that of channels."""


@dataclass(frozen=True)
class Posterior:
    """Gaussian over the latents: mean and log variance, each (..., 42)."""

    mean: Tensor
    log_variance: Tensor

    def sample(self) -> Tensor:
        """One reparameterized draw (Kingma and Welling 2014, sec. 2.4)."""
        return self.mean + torch.randn_like(self.mean) * (0.5 * self.log_variance).exp()

    def divergence(self) -> Tensor:
        """KL divergence from the standard normal, per latent (..., 42)."""
        return 0.5 * (self.mean**2 + self.log_variance.exp() - 1.0 - self.log_variance)


class Fcme(nn.Module):
    """Channels (..., 60) <-> latents (..., 42) through the orthonormal dictionary (512, 42)."""

    channel_mean: Tensor
    channel_scale: Tensor

    def __init__(self, config: FcmeConfig | None = None) -> None:
        super().__init__()
        self.config = config or FcmeConfig()
        hidden, motion = self.config.hidden, self.config.motion_dim
        self.heads = _heads(hidden)
        if self.config.landmarks:
            self.fit = LandmarkFit()
            self.fitted_heads = _heads(hidden)
        self.dictionary = nn.Parameter(torch.randn(motion, LATENT_DIM) / motion**0.5)
        self.trunk = nn.Sequential(nn.Linear(motion, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU())
        self.skip = nn.ModuleDict({f.name: nn.Linear(motion, len(f.channels)) for f in FACTORS})
        self.outputs = nn.ModuleDict({f.name: nn.Linear(hidden, len(f.channels)) for f in FACTORS})
        # Channels are brought to comparable size on the way in and back on the way out.
        self.register_buffer("channel_mean", torch.zeros(len(CHANNELS)))
        self.register_buffer("channel_scale", torch.ones(len(CHANNELS)))

    def directions(self) -> Tensor:
        """The orthonormal dictionary Q (512, 42)."""
        return torch.linalg.qr(self.dictionary).Q

    def encode(self, channels: Tensor) -> Posterior:
        """Channels (..., 60) -> posterior over the latents (..., 42)."""
        return self._posterior(self.heads, channels)

    def encode_landmarks(self, landmarks: Tensor, neutral: Tensor) -> Posterior:
        """Landmarks (..., 78, 2) of frames, neutral (..., 78, 2) -> posterior over the latents (..., 42).

        Both in image coordinates, x to the right, y down, of one camera; the neutral shows the same person at rest and
        facing the camera. Order of the landmarks, and what pose is relative to: see `landmarks.py`. Raises WeightsError
        if this auto-encoder was trained without landmarks.
        """
        if not self.config.landmarks:
            raise WeightsError(
                "These weights cannot read landmarks: they were trained without. Install the add-on again."
            )
        return self.encode_fitted(self.fit(landmarks, neutral))

    def encode_fitted(self, fitted: Tensor) -> Posterior:
        """Channels (..., 60) that `fit` found for landmarks -> posterior over the latents (..., 42)."""
        return self._posterior(self.fitted_heads, fitted)

    def _posterior(self, heads: nn.ModuleDict, channels: Tensor) -> Posterior:
        x = (channels - self.channel_mean) / self.channel_scale
        halves = [heads[f.name](x[..., channel_slice(f.name)]).chunk(2, dim=-1) for f in FACTORS]
        mean, log_variance = (torch.cat(parts, dim=-1) for parts in zip(*halves, strict=True))
        return Posterior(mean, log_variance.clamp(-12.0, 2.0))

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (..., 42) -> channels (..., 60)."""
        parts = [self.decode_factor(f.name, latents[..., latent_slice(f.name)]) for f in FACTORS]
        return torch.cat(parts, dim=-1)

    def decode_factor(self, factor: str, latents: Tensor) -> Tensor:
        """Latents of one factor (..., d) -> its channels (..., c)."""
        own, columns = self.directions()[:, latent_slice(factor)], channel_slice(factor)
        straight = _through(self.skip[factor], own, latents)
        out = straight + self.outputs[factor](self.trunk[1:](_through(self.trunk[0], own, latents)))
        return out * self.channel_scale[columns] + self.channel_mean[columns]

    def image(self, latents: Tensor, identity: Tensor, distance: Tensor) -> Tensor:
        """Latents (..., 42) and identity (..., K) -> landmarks (..., 78, 2) as a camera at `distance` (...) sees them.

        See `LandmarkHead.image`. The whole mesh: `HeadModel.displaced` with the decoded channels and the identity.
        """
        return self.fit.head.image(self.decode(latents), identity, distance)

    def config_json(self) -> dict[str, int]:
        """The sizes, to be stored beside the weights."""
        return asdict(self.config)


def _through(layer: nn.Module, directions: Tensor, latents: Tensor) -> Tensor:
    """A linear layer's output for the motion `directions @ latents`, without spelling out its 512 numbers a frame."""
    assert isinstance(layer, nn.Linear)
    return nn.functional.linear(latents, layer.weight @ directions, layer.bias)


def _heads(hidden: int) -> nn.ModuleDict:
    return nn.ModuleDict({f.name: _head(len(f.channels), hidden, f.latent_dim) for f in FACTORS})


def _head(channels: int, hidden: int, latents: int) -> nn.Sequential:
    """Channels of one factor to the mean and log variance of its latents."""
    last = nn.Linear(hidden, 2 * latents)
    # Latents start out telling; with noise of unit size, those that are slow to learn would never be used.
    nn.init.constant_(last.bias[latents:], _FIRST_LOG_VARIANCE)
    return nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), last)
