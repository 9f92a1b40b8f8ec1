# SPDX-License-Identifier: GPL-3.0-or-later
"""Synthetic observations of faces: random people, cameras and poses, with exact truth.

Half of the channel vectors come from training motion as it is, half from motion whose factors were drawn
independently of each other, so that no factor tells of another; strength, head pose and single channels vary far
beyond what speech alone does.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from ..fcme.landmarks import LandmarkHead
from ..motion.factors import CHANNEL_INDEX, CHANNELS, FACTORS, LIMITS, channel_slice

__all__ = ["ObservationRange", "Observations", "Observer", "drawn_channels", "shuffled_factors"]


@dataclass(frozen=True)
class ObservationRange:
    """How far observations go; angles in radians, lengths in head heights."""

    turn: tuple[float, float, float] = (0.61, 0.44, 0.35)
    """Yaw, pitch, roll: 35, 25 and 20 degrees to either side."""
    shift: tuple[float, float, float] = (0.10, 0.10, 0.10)
    distance: tuple[float, float] = (3.5, 12.0)
    """Camera to head: a phone held out (0.8 m), a long lens (2.7 m)."""
    noise: float = 0.003
    """Of a landmark, in inter-ocular distances."""


RANGE: Final = ObservationRange()


@dataclass(frozen=True)
class Observations:
    """N observed frames: channels (N, 60), what the camera sees (N, 78, 2), and the neutrals (N, 78, 2)."""

    channels: Tensor
    landmarks: Tensor
    neutral: Tensor


class Observer:
    """Random people before random cameras."""

    def __init__(self, reach: ObservationRange = RANGE) -> None:
        self.head, self.reach = LandmarkHead(), reach

    def people(self, count: int) -> tuple[Tensor, Tensor]:
        """Identities (count, K), unit normal, and distances (count,) of their cameras, log-uniform."""
        near, far = self.reach.distance
        return torch.randn(count, len(self.head.identity)), near * (far / near) ** torch.rand(count)

    def observe(self, channels: Tensor, identity: Tensor, distance: Tensor, noise: bool = True) -> Observations:
        """Frames with channels (N, 60) of people (N, K) at distances (N,)."""
        landmarks = self.head.image(channels, identity, distance)
        neutral = self.head.neutral(identity, distance)
        if noise:
            spread = self.reach.noise * self.head.eye_distance
            landmarks = landmarks + spread * torch.randn_like(landmarks)
            neutral = neutral + spread * torch.randn_like(neutral)
        return Observations(channels, landmarks, neutral)


def shuffled_factors(channels: Tensor) -> Tensor:
    """Rows (N, 60) whose factors come from independently drawn rows of `channels`."""
    parts = [channels[torch.randperm(len(channels)), channel_slice(f.name)] for f in FACTORS]
    return torch.cat(parts, dim=-1)


def drawn_channels(motion: Tensor, count: int, reach: ObservationRange = RANGE) -> Tensor:
    """Channels (count, 60) of random frames of training motion (T, 60): half as they are, half shuffled and widened."""
    rows = motion[torch.randint(len(motion), (count,))]
    half = count // 2
    return torch.cat([rows[:half], widened(shuffled_factors(rows[half:]), reach)])


def widened(channels: Tensor, reach: ObservationRange = RANGE) -> Tensor:
    """Channels (N, 60) with up to three times their strength, head poses over the whole range, and lone shapes.

    A factor keeps its strength in a third of the rows. Gaze and lids grow together, so that they go on fitting.
    """
    count = len(channels)
    gains = 1.0 + 2.0 * torch.rand(count, len(FACTORS)) * (torch.rand(count, len(FACTORS)) < 0.67)
    sizes = torch.tensor([len(f.channels) for f in FACTORS])
    out = channels * gains.repeat_interleave(sizes, dim=1)
    lone = torch.rand_like(out) * (torch.rand_like(out) < 0.05)
    for factor in ("lip", "expression"):
        columns = channel_slice(factor)
        out[:, columns] = torch.maximum(out[:, columns], lone[:, columns])
    pose = (2.0 * torch.rand(count, 6) - 1.0) * torch.tensor([*reach.turn, *reach.shift])
    out[:, channel_slice("pose")] = torch.where(torch.rand(count, 1) < 0.67, pose, out[:, channel_slice("pose")])
    low, high = torch.tensor([LIMITS[name] for name in CHANNELS]).T
    gaze = [CHANNEL_INDEX[name] for name in ("gazeYaw", "gazePitch")]
    over = (out[:, gaze] / high[gaze]).abs().amax(dim=1, keepdim=True).clamp(min=1.0)
    eyes = channel_slice("eyes")
    out[:, eyes] = out[:, eyes] / over
    return torch.minimum(torch.maximum(out, low), high)
