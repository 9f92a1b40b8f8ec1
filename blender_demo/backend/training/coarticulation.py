# SPDX-License-Identifier: GPL-3.0-or-later
"""The coarticulation teacher: lip channels from timed phones, with targets, dominance and timing fitted to captured
speech.

Each phone pulls every channel towards a target with a dominance that rises before its segment and fades after it, and
a channel is the dominance-weighted mean (Cohen and Massaro 1993, eq. 3-6). What a webcam tracker sees (jaw, closure,
rounding) is fitted; what it does not see (lower-lip tuck of F and V, spread, flare) comes from the table in
`articulation.json` with the fitted timing of the jaw, and so does the order of the phones by jaw height.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..audio.encoder import PHONES
from ..motion.factors import CHANNEL_INDEX, FACTORS, MODEL_FPS
from .corpus import Utterance

__all__ = ["FITTED", "PRESSED", "CoarticulationTeacher", "close_lips", "fit_teacher"]

FITTED: Final = ("jawOpen", "mouthClose", "mouthPucker", "mouthRollUpper", "mouthPressLeft", "mouthPressRight")
_JAW_COLUMN: Final = FITTED.index("jawOpen")
_LIP_NAMES: Final = FACTORS[0].channels
_ARTICULATION: Final = json.loads((Path(__file__).parent / "articulation.json").read_text())
_TARGETS: Final = _ARTICULATION["targets"]
_JAW: Final = torch.tensor([_ARTICULATION["jaw"][phone] for phone in PHONES])
_TRUSTED_DOMINANCE: Final = 0.4
"""Share of the fitted log dominance of the jaw that is kept: 51 words tell which phone wins over which only roughly."""
PRESSED: Final = 0.18
"""How much lips are pressed and rolled, at least, while they are shut."""
_CLOSING: Final = ("P", "B", "M")
_STAND_INS: Final = {"OY": "OW", "UH": "UW", "NG": "N", "HH": "AH", "SH": "CH", "ZH": "JH"}
"""Phones that the captured corpus lacks, and whose fitted numbers stand in for them."""


@dataclass(frozen=True)
class _Segments:
    """Timed phones of a batch of clips, padded: phone (B, S), start and end (B, S) in seconds, real (B, S) bool."""

    phone: Tensor
    start: Tensor
    end: Tensor
    real: Tensor

    @classmethod
    def of(cls, clips: list[tuple[tuple[int, float, float], ...]]) -> "_Segments":
        longest = max(len(phones) for phones in clips)
        table = torch.zeros(len(clips), longest, 3)
        real = torch.zeros(len(clips), longest, dtype=torch.bool)
        for row, phones in enumerate(clips):
            table[row, : len(phones)] = torch.tensor(phones)
            real[row, : len(phones)] = True
        return cls(table[..., 0].long(), table[..., 1], table[..., 2], real)


class CoarticulationTeacher(nn.Module):
    """Targets (40, K), log dominance (40, K), and for each channel the seconds of lead, lag and slope of the
    dominance.
    """

    def __init__(self) -> None:
        super().__init__()
        channels = len(FITTED)
        self.target = nn.Parameter(torch.full((len(PHONES), channels), 0.1))
        self.log_dominance = nn.Parameter(torch.zeros(len(PHONES), channels))
        self.lead = nn.Parameter(torch.full((channels,), 0.02))
        self.lag = nn.Parameter(torch.full((channels,), 0.0))
        self.log_slope = nn.Parameter(torch.full((channels,), np.log(0.04)))

    def dominance(self, segments: _Segments, times: Tensor) -> Tensor:
        """(B, T, S, K): how strongly each segment holds each channel at each time."""
        slope = self.log_slope.exp()
        since = (times[None, :, None, None] - segments.start[:, None, :, None] + self.lead) / slope
        until = (segments.end[:, None, :, None] + self.lag - times[None, :, None, None]) / slope
        strength = self.log_dominance[segments.phone].exp()[:, None]
        return strength * torch.sigmoid(since) * torch.sigmoid(until) * segments.real[:, None, :, None] + 1e-9

    def forward(self, segments: _Segments, times: Tensor) -> Tensor:
        """Fitted channels (B, T, K) at `times` (T,) seconds."""
        weight = self.dominance(segments, times)
        return (weight * self.target[segments.phone][:, None]).sum(2) / weight.sum(2)

    @torch.no_grad()
    def adopt_stand_ins(self) -> None:
        """Give phones without captured examples the numbers of their nearest kin."""
        for missing, kin in _STAND_INS.items():
            self.target[PHONES.index(missing)] = self.target[PHONES.index(kin)]
            self.log_dominance[PHONES.index(missing)] = self.log_dominance[PHONES.index(kin)]

    @torch.no_grad()
    def adopt_jaw_heights(self) -> None:
        """Order the phones' jaw openings as phonetics does, over the range that was fitted.

        The few words of the captured talker leave vowels and what stands beside them confounded; fitted alone, IY
        came out as open as AE.
        """
        fitted = self.target[:, _JAW_COLUMN].clamp(0, 1)
        self.target[:, _JAW_COLUMN] = (fitted @ _JAW) / _JAW.square().sum() * _JAW
        self.log_dominance[:, _JAW_COLUMN] *= _TRUSTED_DOMINANCE

    @torch.no_grad()
    def lips(self, phones: tuple[tuple[int, float, float], ...], frames: int) -> NDArray[np.float32]:
        """All lip channels (T, 29) of one clip at the model's rate, lips shut where they must be."""
        times = torch.arange(frames) / MODEL_FPS
        segments = _Segments.of([phones or ((0, 0.0, frames / MODEL_FPS),)])
        weight = self.dominance(segments, times)[0]
        share = weight / weight.sum(1, keepdim=True)
        out = torch.zeros(frames, len(_LIP_NAMES))
        table = _articulation_table()[segments.phone[0]]
        out[:] = share[:, :, :1].squeeze(-1) @ table
        fitted = (share * self.target[segments.phone[0]]).sum(1).clamp(0, 1)
        for i, name in enumerate(FITTED):
            column = CHANNEL_INDEX[name]
            out[:, column] = torch.maximum(out[:, column], fitted[:, i])
        return close_lips(out.numpy().astype(np.float32), phones, frames)


def _articulation_table() -> Tensor:
    """(40, 29) targets of the written table, both sides filled."""
    table = torch.zeros(len(PHONES), len(_LIP_NAMES))
    for phone, shape in _TARGETS.items():
        for stem, value in shape.items():
            for name in (stem, f"{stem}Left", f"{stem}Right"):
                if name in _LIP_NAMES:
                    table[PHONES.index(phone), CHANNEL_INDEX[name]] = value
    return table


def close_lips(
    lips: NDArray[np.float32], phones: tuple[tuple[int, float, float], ...] | None, frames: int
) -> NDArray[np.float32]:
    """Lip channels (T, 29) in which every P, B and M shuts: the phones say so even where a tracker did not see it.

    In ARKit's terms lips are shut when mouthClose equals jawOpen and nothing parts them.
    """
    closed = np.zeros(frames, np.float32)
    times = np.arange(frames) / MODEL_FPS
    for phone, start, end in phones or ():
        if PHONES[phone] in _CLOSING:
            middle, hold = 0.5 * (start + end) - 0.01, max(0.5 * (end - start) - 0.01, 0.025)
            ramp = np.clip(1.0 - (np.abs(times - middle) - hold) / 0.06, 0.0, 1.0)
            closed = np.maximum(closed, ramp * ramp * (3 - 2 * ramp))
    out = lips.copy()
    parting = [
        CHANNEL_INDEX[n]
        for n in _LIP_NAMES
        if n.startswith(("mouthLowerDown", "mouthUpperUp", "mouthFunnel", "mouthStretch", "tongueOut"))
    ]
    out[:, parting] *= 1.0 - closed[:, None]
    jaw, close = CHANNEL_INDEX["jawOpen"], CHANNEL_INDEX["mouthClose"]
    out[:, jaw] *= 1.0 - 0.35 * closed
    out[:, close] = np.minimum(out[:, close], out[:, jaw]) * (1.0 - closed) + out[:, jaw] * closed
    for name in ("mouthPressLeft", "mouthPressRight", "mouthRollLower", "mouthRollUpper"):
        column = CHANNEL_INDEX[name]
        out[:, column] = np.maximum(out[:, column], PRESSED * closed)
    return out


def fit_teacher(
    utterances: list[Utterance], lips: list[NDArray[np.float32]], steps: int, seed: int = 0
) -> tuple[CoarticulationTeacher, dict[str, float]]:
    """Fit to captured lip channels (T, 29) of utterances with phones; returns the teacher and its correlation on the
    validation split.
    """
    torch.manual_seed(seed)
    teacher = CoarticulationTeacher()
    columns = [CHANNEL_INDEX[name] for name in FITTED]
    frames = min(len(motion) for motion in lips)
    times = torch.arange(frames) / MODEL_FPS
    segments = _Segments.of([u.phones or () for u in utterances])
    truth = torch.from_numpy(np.stack([motion[:frames, columns] for motion in lips]))
    training = torch.tensor([u.split == "train" for u in utterances])
    rows = training.nonzero()[:, 0]
    optimizer = torch.optim.Adam(teacher.parameters(), lr=0.02)
    scale = truth[rows].std(dim=(0, 1)).clamp(min=0.01)
    for _ in range(steps):
        pick = rows[torch.randint(len(rows), (48,))]
        part = _Segments(segments.phone[pick], segments.start[pick], segments.end[pick], segments.real[pick])
        loss = (((teacher(part, times) - truth[pick]) / scale) ** 2).mean() + 1e-3 * (teacher.log_dominance**2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    rows = (~training).nonzero()[:, 0]
    part = _Segments(segments.phone[rows], segments.start[rows], segments.end[rows], segments.real[rows])
    with torch.no_grad():
        guess = teacher(part, times)
    teacher.adopt_stand_ins()
    teacher.adopt_jaw_heights()
    return teacher, {
        name: float(np.corrcoef(guess[..., i].flatten(), truth[rows][..., i].flatten())[0, 1])
        for i, name in enumerate(FITTED)
    }
