# SPDX-License-Identifier: GPL-3.0-or-later
"""What small models may differ in from ours, and the networks that only they have."""

import math
from dataclasses import astuple, dataclass
from typing import Final

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from ...fcme.model import Fcme, Posterior
from ...flow.model import RESIDUAL_SCALE, FlowConfig, LipPrior, VectorField
from ...motion.factors import CHANNELS, LATENT_DIM, latent_slice
from ..flow import HeardLatents

__all__ = ["ALL", "JointField", "Model", "Space", "Vae", "Variant", "columns", "cosine_schedule", "couple", "frame"]

ALL: Final = "all"
"""Name of a field that moves all factors at once."""

_LIPS: Final = latent_slice("lip")
_WIDTH: Final = 64


@dataclass(frozen=True)
class Variant:
    """One field and all that may differ in it. field: a factor or ALL; prior: "residual", "condition" or "none"; path:
    "flow" or "diffusion"; coupling: "independent" or "transport"; error: "l1", "squared", or "" for ours; cost: whether
    frames of shut lips cost "more" or the "same" as others; reach of the lips and their prior; space: "frozen", or
    "fcme" and "vae", which are trained as briefly as the field.
    """

    field: str = "lip"
    prior: str = "residual"
    path: str = "flow"
    coupling: str = "independent"
    error: str = ""
    cost: str = "more"
    reach: int = 10
    space: str = "frozen"

    @property
    def name(self) -> str:
        """Name of its checkpoint."""
        return "_".join(str(value) for value in astuple(self) if value)

    def config(self) -> FlowConfig:
        """Sizes. A joint field is twice as wide, and so as large as the four fields that it stands for."""
        width = 2 * _WIDTH if self.field == ALL else _WIDTH
        return FlowConfig(
            lip_width=width,
            lip_depth=3,
            lip_reach=self.reach,
            other_width=_WIDTH,
            other_depth=3,
            prior_width=_WIDTH,
            prior_depth=2,
        )


class JointField(VectorField):
    """One field of all 42 latents, as DEMO's. What is given of them comes latent by latent: is_known is (B, T, 42)."""

    def __init__(self, config: FlowConfig) -> None:
        super().__init__("lip", config)
        self.inputs = nn.Linear(3 * LATENT_DIM + self.beside_dim, config.lip_width)
        self.out = nn.Linear(config.lip_width, LATENT_DIM)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)


class Vae(Fcme):
    """As many latents as FCME has, about as many weights, the same losses, but no structure: every latent sees and
    moves every channel.
    """

    def __init__(self) -> None:
        super().__init__()
        hidden = 2 * self.config.hidden
        del self.heads, self.dictionary, self.trunk, self.skip, self.outputs
        self.encoder = _perceptron(len(CHANNELS), hidden, 2 * LATENT_DIM)
        self.decoder = _perceptron(LATENT_DIM, hidden, len(CHANNELS))

    def encode(self, channels: Tensor) -> Posterior:
        """Channels (..., 60) -> posterior over the latents (..., 42)."""
        mean, log_variance = self.encoder((channels - self.channel_mean) / self.channel_scale).chunk(2, dim=-1)
        return Posterior(mean, (log_variance - 5.0).clamp(-12.0, 2.0))

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (..., 42) -> channels (..., 60)."""
        return self.decoder(latents) * self.channel_scale + self.channel_mean


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, outputs)
    )


@dataclass(frozen=True)
class Space:
    """The latents that a flow moves: their auto-encoder, mean and scale (42,), and the training clips in them."""

    network: Fcme
    mean: Tensor
    scale: Tensor
    heard: list[HeardLatents]


@dataclass(frozen=True)
class Model:
    """What can be sampled: a space, a prior and how it is used, and fields by the name of their factor (or ALL)."""

    space: Space
    prior: LipPrior
    fields: dict[str, VectorField]
    prior_use: str = "residual"
    path: str = "flow"


def columns(name: str) -> slice:
    """Latents of a factor, or of ALL."""
    return slice(0, LATENT_DIM) if name == ALL else latent_slice(name)


def frame(prior_use: str, lips: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Offset (B, T, 42) and spread (42,) that take latents to what the fields draw, and what goes beside the lips'
    field (B, T, 20), for the prior's lips (B, T, 20).
    """
    offset, spread = lips.new_zeros(*lips.shape[:2], LATENT_DIM), lips.new_ones(LATENT_DIM)
    if prior_use == "residual":
        offset[..., _LIPS], spread[_LIPS] = lips, RESIDUAL_SCALE
    return offset, spread, torch.zeros_like(lips) if prior_use == "none" else lips


def cosine_schedule(t: Tensor | float) -> tuple[Tensor, Tensor]:
    """Scale of signal and of noise at t, 0 for noise alone and 1 for none (Nichol and Dhariwal, arXiv 2102.09672, eq.
    17, without its offset).
    """
    angle = torch.as_tensor(t) * math.pi / 2
    return angle.sin(), angle.cos()


def couple(noise: Tensor, goal: Tensor) -> Tensor:
    """Noise (B, T, d) in the order in which it lies nearest to the goals (B, T, d) altogether: optimal transport within
    the batch, by squared L2 (Tong et al., arXiv 2302.00482, sec. 3.2).
    """
    cost = torch.cdist(goal.flatten(1), noise.flatten(1)).square()
    return noise[torch.from_numpy(linear_sum_assignment(cost.numpy())[1])]
