# SPDX-License-Identifier: GPL-3.0-or-later
"""The vector fields of the flow, one for each factor, and the lip prior that the lips' field starts from.

Optimal-transport conditional flow matching (Lipman et al., arXiv 2210.02747, sec. 4.1): on the path x_t = (1 - t) x_0
+ t x_1 a network predicts x_1 - x_0. As in DEMO (arXiv 2510.10650) the conditions reach each frame through adaptive
layer normalization, and frames attend to their neighbors in the noisy trajectory; positions are relative, so that a
clip of any length is one pass.

DEMO moves all factors in one field. Here p(motion | audio) is a product: lips and head each follow the audio alone,
the eyes also follow the head (gaze counters its turns), the expression also follows the eyes. So a head that is given,
edited or drawn again cannot change the lips at all.
"""

from dataclasses import asdict, dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from ..attention import NeighborAttention
from ..audio.encoder import CONDITION_DIM, SPEECH_DIM
from ..motion.factors import FACTOR_INDEX, FACTORS
from ..settings import EMOTIONS, STYLES

__all__ = [
    "CONTEXT",
    "EMOTION_DIM",
    "NO_STYLE",
    "RESIDUAL_SCALE",
    "FlowConfig",
    "Given",
    "Guide",
    "LipPrior",
    "VectorField",
    "VectorFields",
]

CONTEXT: Final[dict[str, str | None]] = {"lip": None, "pose": None, "eyes": "pose", "expression": "eyes"}
"""The factor whose finished motion each factor follows, in the order in which they are drawn."""

NO_STYLE: Final = len(STYLES)
EMOTION_DIM: Final = len(EMOTIONS) + 1
"""Intensity of each emotion, and whether the artist chose one at all; if not, prosody alone drives the expression."""

RESIDUAL_SCALE: Final = 0.5
"""The lips' field draws what the prior leaves out, in units of this: about the spread of that rest."""


@dataclass(frozen=True)
class FlowConfig:
    """Sizes of the vector fields and of the lip prior. The head and the eyes look further than the lips: fixations
    and postures last seconds.
    """

    lip_width: int = 160
    lip_depth: int = 6
    lip_reach: int = 10
    other_width: int = 96
    other_depth: int = 4
    other_reach: int = 20
    head_size: int = 32
    prior_width: int = 128
    prior_depth: int = 3

    def sizes(self, factor: str) -> tuple[int, int, int]:
        """Width, depth and reach of one factor's field."""
        if factor == "lip":
            return self.lip_width, self.lip_depth, self.lip_reach
        return self.other_width, self.other_depth, self.other_reach


class Guide(NamedTuple):
    """What all fields are told: audio (B, T, CONDITION_DIM); style (B,) index; emotion (B, EMOTION_DIM)."""

    audio: Tensor
    style: Tensor
    emotion: Tensor


class Given(NamedTuple):
    """What one field is told of its own factor: latents (B, T, d) where is_known (B, T, 1) is 1."""

    latents: Tensor
    is_known: Tensor


class _PlainBlock(nn.Module):
    def __init__(self, width: int, head_size: int, reach: int) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = NeighborAttention(width, width // head_size, reach)
        self.mlp = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


class LipPrior(nn.Module):
    """Audio to the most likely lip latents, without noise: the sync that the flow then makes lively."""

    def __init__(self, config: FlowConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or FlowConfig()
        width = config.prior_width
        self.audio = nn.Linear(CONDITION_DIM, width)
        self.style = nn.Embedding(len(STYLES) + 1, width)
        self.emotion = nn.Linear(EMOTION_DIM, width)
        self.blocks = nn.ModuleList(
            _PlainBlock(width, config.head_size, config.lip_reach) for _ in range(config.prior_depth)
        )
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, FACTORS[0].latent_dim))

    @property
    def halo(self) -> int:
        """Frames to each side that can influence a frame."""
        return self.config.prior_depth * self.config.lip_reach

    def forward(self, guide: Guide) -> Tensor:
        """Normalized lip latents (B, T, 20)."""
        x = self.audio(guide.audio) + (self.style(guide.style) + self.emotion(guide.emotion))[:, None]
        for block in self.blocks:
            x = block(x)
        return self.out(x)


class _ModulatedBlock(nn.Module):
    """adaLN-Zero (Peebles and Xie, arXiv 2212.09748, sec. 3.2) with one modulation per frame."""

    def __init__(self, width: int, head_size: int, reach: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 6 * width)
        self.attention = NeighborAttention(width, width // head_size, reach)
        self.mlp = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.modulation(condition).chunk(6, dim=-1)
        x = x + gate_a * self.attention(self.norm(x) * (1 + scale_a) + shift_a)
        return x + gate_m * self.mlp(self.norm(x) * (1 + scale_m) + shift_m)


class VectorField(nn.Module):
    """v(x_t, t | guide, prior or context, known frames) of one factor with d latents."""

    def __init__(self, factor: str, config: FlowConfig | None = None) -> None:
        super().__init__()
        width, depth, reach = (config or FlowConfig()).sizes(factor)
        head_size = (config or FlowConfig()).head_size
        self.halo = depth * reach
        """Frames to each side that can influence a frame in one evaluation."""
        own = FACTORS[FACTOR_INDEX[factor]].latent_dim
        followed = CONTEXT[factor]
        self.beside_dim = own if factor == "lip" else FACTORS[FACTOR_INDEX[followed]].latent_dim if followed else 0
        """Latents of what goes along: the lip prior, or the factor that this one follows."""
        self.inputs = nn.Linear(2 * own + 1 + self.beside_dim, width)
        self.audio = nn.Linear(SPEECH_DIM + self.beside_dim, width)
        self.no_audio = nn.Parameter(torch.zeros(width))
        self.style = nn.Embedding(len(STYLES) + 1, width)
        self.emotion = nn.Linear(EMOTION_DIM, width)
        self.time = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.blocks = nn.ModuleList(_ModulatedBlock(width, head_size, reach) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.last_modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, own)
        for layer in (self.last_modulation, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, noisy: Tensor, t: Tensor, guide: Guide, beside: Tensor, given: Given, audible: Tensor) -> Tensor:
        """Velocity (B, T, d).

        noisy (B, T, d); t (B,) in 0..1; beside (B, T, beside_dim); audible (B,) bool, False drops the audio.
        """
        heard = self.audio(torch.cat([guide.audio[..., :SPEECH_DIM], beside], dim=-1))
        heard = torch.where(audible[:, None, None], heard, self.no_audio.expand_as(heard))
        per_clip = self.style(guide.style) + self.emotion(guide.emotion) + self.time(_time_features(t))
        condition = self.mix(heard + per_clip[:, None])
        x = self.inputs(torch.cat([noisy, given.latents * given.is_known, given.is_known, beside], dim=-1))
        for block in self.blocks:
            x = block(x, condition)
        shift, scale = self.last_modulation(condition).chunk(2, dim=-1)
        return self.out(self.norm(x) * (1 + scale) + shift)


class VectorFields(nn.ModuleDict):
    """The four fields by the name of their factor."""

    def __init__(self, config: FlowConfig | None = None) -> None:
        self.config = config or FlowConfig()
        super().__init__({f.name: VectorField(f.name, config) for f in FACTORS})

    def __getitem__(self, key: str) -> VectorField:
        field = super().__getitem__(key)
        assert isinstance(field, VectorField)
        return field

    def config_json(self) -> dict[str, int]:
        """The sizes, to be stored beside the weights."""
        return asdict(self.config)


def _time_features(t: Tensor) -> Tensor:
    """Sines and cosines of t (B,) at 32 octave-spread frequencies, (B, 64)."""
    frequency = 2.0 ** torch.linspace(0.0, 9.0, 32, device=t.device)
    angle = t[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
