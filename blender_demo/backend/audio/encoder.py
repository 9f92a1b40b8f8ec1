# SPDX-License-Identifier: GPL-3.0-or-later
"""The audio encoder: log-mel frames to phone probabilities and the mouth's shape, the speaker-independent view of
speech that drives the lips.
"""

from dataclasses import asdict, dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..attention import NeighborAttention
from .features import MEL_BANDS, MEL_PER_FRAME, SAMPLE_RATE, extract

__all__ = [
    "ARTICULATION", "CONDITION_DIM", "PHONES", "SPEECH_DIM", "AudioEncoder", "AudioEncoderConfig", "Heard", "condition",
    "silent_condition",
]

PHONES: Final = (
    "SIL",
    "AA",
    "AE",
    "AH",
    "AO",
    "AW",
    "AY",
    "B",
    "CH",
    "D",
    "DH",
    "EH",
    "ER",
    "EY",
    "F",
    "G",
    "HH",
    "IH",
    "IY",
    "JH",
    "K",
    "L",
    "M",
    "N",
    "NG",
    "OW",
    "OY",
    "P",
    "R",
    "S",
    "SH",
    "T",
    "TH",
    "UH",
    "UW",
    "V",
    "W",
    "Y",
    "Z",
    "ZH",
)
"""ARPAbet without stress, silence first."""

ARTICULATION: Final = ("aperture", "rounding", "jaw")
"""What the encoder hears of the mouth's shape: lip opening and rounding on the head model, and jawOpen."""

SPEECH_DIM: Final = len(PHONES) + len(ARTICULATION) + MEL_PER_FRAME + 2
"""What is said and how: the first columns of a condition."""

CONDITION_DIM: Final = SPEECH_DIM + MEL_PER_FRAME * MEL_BANDS
"""All that is told about a frame of sound; after what is said comes the sound itself, log-mel as the encoder has it."""


@dataclass(frozen=True)
class AudioEncoderConfig:
    """Sizes of the encoder."""

    width: int = 192
    depth: int = 5
    heads: int = 6
    reach: int = 10


class _Block(nn.Module):
    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(3))
        self.conv = nn.Conv1d(config.width, config.width, 5, padding=2, groups=config.width)
        self.attention = NeighborAttention(config.width, config.heads, config.reach)
        self.mlp = nn.Sequential(
            nn.Linear(config.width, 3 * config.width),
            nn.GELU(),
            nn.Linear(3 * config.width, config.width),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.conv(self.norms[0](x).transpose(1, 2)).transpose(1, 2)
        x = x + self.attention(self.norms[1](x))
        return x + self.mlp(self.norms[2](x))


class Heard(NamedTuple):
    """Phone logits (B, T, 40) and articulation (B, T, 3), each in units of its usual spread."""

    logits: Tensor
    articulation: Tensor


class AudioEncoder(nn.Module):
    """Frame-wise phones and mouth shape with neighborhood attention; sees `halo` motion frames to each side."""

    def __init__(self, config: AudioEncoderConfig | None = None) -> None:
        super().__init__()
        self.config = config or AudioEncoderConfig()
        width = self.config.width
        self.stem = nn.Sequential(nn.Linear(MEL_BANDS * MEL_PER_FRAME, width), nn.GELU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(_Block(self.config) for _ in range(self.config.depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, len(PHONES))
        self.articulation = nn.Linear(width, len(ARTICULATION))

    @property
    def halo(self) -> int:
        """Frames to each side that can influence a frame."""
        return self.config.depth * (self.config.reach + 2)

    def forward(self, mel: Tensor) -> Heard:
        """mel (B, T * 4, 64): natural-log mel power."""
        x = self.stem(_frames(mel))
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return Heard(self.head(x), self.articulation(x))

    def config_json(self) -> dict[str, int]:
        """The sizes, to be stored beside the weights."""
        return asdict(self.config)


def _frames(mel: Tensor) -> Tensor:
    """mel (B, T * 4, 64) -> (B, T, 256), about zero and of about unit size."""
    return (mel.reshape(len(mel), -1, MEL_PER_FRAME * MEL_BANDS) + 9.0) / 4.0


def condition(heard: Heard, mel: Tensor, energy: Tensor, pitch: Tensor, voicing: Tensor) -> Tensor:
    """What the flow is told about the audio, (B, T, CONDITION_DIM): phone probabilities, articulation, energy (B, T,
    4), pitch and voicing (B, T), and mel (B, T * 4, 64).
    """
    phones = heard.logits.softmax(-1)
    return torch.cat([phones, heard.articulation, energy, pitch[..., None], voicing[..., None], _frames(mel)], dim=-1)


def silent_condition(like: Tensor) -> Tensor:
    """The condition of one frame in which nothing is heard, (1, CONDITION_DIM), on the device of `like`."""
    heard = Heard(torch.full((1, 1, len(PHONES)), -100.0), torch.zeros(1, 1, len(ARTICULATION)))
    heard.logits[..., 0] = 0.0
    quiet = extract(np.zeros(SAMPLE_RATE, np.float32))
    tracks = [torch.from_numpy(track[:1])[None] for track in (quiet.energy, quiet.pitch, quiet.voicing)]
    return condition(heard, torch.from_numpy(quiet.mel[:MEL_PER_FRAME])[None], *tracks)[0].to(like)
