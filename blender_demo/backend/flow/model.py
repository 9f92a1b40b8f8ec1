# SPDX-License-Identifier: GPL-3.0-or-later
"""The vector field of the flow, and the lip prior it starts from.

Optimal-transport conditional flow matching (Lipman et al., arXiv 2210.02747, sec. 4.1): on the path x_t = (1 - t) x_0
+ t x_1 the network predicts x_1 - x_0. As in DEMO (arXiv 2510.10650) the conditions reach each frame through adaptive
layer normalization, and frames attend to their neighbors in the noisy trajectory; positions are relative, so that a
clip of any length is one pass.
"""

from dataclasses import asdict, dataclass
from typing import Final

import torch
from torch import Tensor, nn

from ..attention import NeighborAttention
from ..audio.encoder import CONDITION_DIM
from ..motion.factors import FACTORS, LATENT_DIM
from ..settings import STYLES

__all__ = ["NO_STYLE", "FlowConfig", "LipPrior", "VectorField"]

NO_STYLE: Final = len(STYLES)


@dataclass(frozen=True)
class FlowConfig:
    """Sizes of the vector field and of the lip prior."""

    width: int = 160
    depth: int = 6
    heads: int = 5
    reach: int = 10
    prior_width: int = 128
    prior_depth: int = 3


class _PlainBlock(nn.Module):
    def __init__(self, width: int, heads: int, reach: int) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = NeighborAttention(width, heads, reach)
        self.mlp = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


class LipPrior(nn.Module):
    """Audio to the most likely lip latents, without noise: the sync that the flow then makes lively."""

    def __init__(self, config: FlowConfig | None = None) -> None:
        super().__init__()
        self.config = config or FlowConfig()
        width = self.config.prior_width
        self.audio = nn.Linear(CONDITION_DIM, width)
        self.style = nn.Embedding(len(STYLES) + 1, width)
        self.blocks = nn.ModuleList(_PlainBlock(width, 4, self.config.reach) for _ in range(self.config.prior_depth))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, FACTORS[0].latent_dim))

    @property
    def halo(self) -> int:
        """Frames to each side that can influence a frame."""
        return self.config.prior_depth * self.config.reach

    def forward(self, audio: Tensor, style: Tensor) -> Tensor:
        """audio (B, T, CONDITION_DIM), style (B,) -> normalized lip latents (B, T, 20)."""
        x = self.audio(audio) + self.style(style)[:, None]
        for block in self.blocks:
            x = block(x)
        return self.out(x)


class _ModulatedBlock(nn.Module):
    """adaLN-Zero (Peebles and Xie, arXiv 2212.09748, sec. 3.2) with one modulation per frame."""

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        width = config.width
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 6 * width)
        self.attention = NeighborAttention(width, config.heads, config.reach)
        self.mlp = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.modulation(condition).chunk(6, dim=-1)
        x = x + gate_a * self.attention(self.norm(x) * (1 + scale_a) + shift_a)
        return x + gate_m * self.mlp(self.norm(x) * (1 + scale_m) + shift_m)


class VectorField(nn.Module):
    """v(x_t, t | audio, lip prior, style, known tracks) over normalized latents (B, T, 42)."""

    def __init__(self, config: FlowConfig | None = None) -> None:
        super().__init__()
        self.config = config or FlowConfig()
        width = self.config.width
        # Noisy latents, known latents, and for each frame and factor whether it is known.
        self.inputs = nn.Linear(2 * LATENT_DIM + len(FACTORS), width)
        self.audio = nn.Linear(CONDITION_DIM + FACTORS[0].latent_dim, width)
        self.no_audio = nn.Parameter(torch.zeros(width))
        self.style = nn.Embedding(len(STYLES) + 1, width)
        self.time = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.blocks = nn.ModuleList(_ModulatedBlock(self.config) for _ in range(self.config.depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.last_modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, LATENT_DIM)
        for layer in (self.last_modulation, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    @property
    def halo(self) -> int:
        """Frames to each side that can influence a frame in one evaluation."""
        return self.config.depth * self.config.reach

    def forward(
        self,
        noisy: Tensor,
        t: Tensor,
        audio: Tensor,
        prior: Tensor,
        style: Tensor,
        audible: Tensor,
        known: Tensor,
        is_known: Tensor,
    ) -> Tensor:
        """Velocity (B, T, 42).

        noisy (B, T, 42); t (B,) in 0..1; audio (B, T, CONDITION_DIM); prior (B, T, 20); style (B,) index; audible
        (B,) bool, False drops the audio; known (B, T, 42) latents that are given, and is_known (B, T, 4) 1 where a
        factor's latents are given.
        """
        heard = self.audio(torch.cat([audio, prior], dim=-1))
        heard = torch.where(audible[:, None, None], heard, self.no_audio.expand_as(heard))
        per_clip = self.style(style) + self.time(_time_features(t))
        condition = self.mix(heard + per_clip[:, None])
        x = self.inputs(torch.cat([noisy, known, is_known], dim=-1))
        for block in self.blocks:
            x = block(x, condition)
        shift, scale = self.last_modulation(condition).chunk(2, dim=-1)
        return self.out(self.norm(x) * (1 + scale) + shift)

    def config_json(self) -> dict[str, int]:
        """The sizes, to be stored beside the weights."""
        return asdict(self.config)


def _time_features(t: Tensor) -> Tensor:
    """Sines and cosines of t (B,) at 32 octave-spread frequencies, (B, 64)."""
    frequency = 2.0 ** torch.linspace(0.0, 9.0, 32, device=t.device)
    angle = t[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
