# SPDX-License-Identifier: GPL-3.0-or-later
"""From landmarks to channels by fitting the head model, so that no factor's estimate answers to another factor.

Unknowns: the channels, and what the neutral leaves open of identity and camera distance. All have a normal prior; a
few Gauss-Newton steps find the most probable ones (Rodgers 2000, "Inverse Methods for Atmospheric Sounding", sec. 5.3).
The last step is taken once for each factor with a prior that leaves the other factors NULLING times as free: what they
could explain is not attributed to the factor that is read (a soft form of the constraints of Frost 1972, "An algorithm
for linearly constrained adaptive array processing"). The factor that is read gets a prior FREEDOM times as free: how
far a prior decides between shapes that look alike depends on the view, so that the head's turns would show in lips and
brows. Shrinking what is left of noise is up to the encoder's heads, which do so alike from every view.
"""

from typing import Final

import torch
from torch import Tensor, nn

from ..motion.factors import CHANNELS, FACTORS, channel_slice
from .landmarks import LANDMARKS, REFERENCE_DISTANCE, LandmarkHead, normalized, normalized_slopes

__all__ = ["LandmarkFit"]

NOISE: Final = 0.003
"""Expected error of a landmark's coordinate, in inter-ocular distances."""
NULLING: Final = 100.0
"""How much more variance the other factors are given than they have while one factor is read."""
FREEDOM: Final = 10.0
"""How much more variance a factor is given than it has while it is read."""
STEPS: Final = 4
_AT_ONCE: Final = 32
"""Frames whose derivatives fit a processor's cache."""


class LandmarkFit(nn.Module):
    """Landmarks and neutral to channels; knows the spread of channels, and how identity shows in a neutral."""

    rest_slopes: Tensor  # (1, 60 + K + 1, 78, 2) how a neutral changes with the person
    mean: Tensor  # (60,)
    spread: Tensor  # (60 + K + 1, same) square root of the prior covariance of channels, identity and 1/distance
    neutral_mean: Tensor  # (156,)
    reading: Tensor  # (157, K + 1) neutral to identity and 1/distance

    def __init__(self) -> None:
        super().__init__()
        self.head = LandmarkHead()
        modes = len(self.head.identity)
        unknowns = len(CHANNELS) + modes + 1
        nobody, ahead = torch.zeros(1, modes), torch.full((1,), REFERENCE_DISTANCE)
        rest_slopes = self.head.image_slopes(torch.zeros(1, len(CHANNELS)), nobody, ahead)
        rest_slopes[:, : len(CHANNELS)] = 0.0
        self.register_buffer("rest_slopes", rest_slopes, persistent=False)
        self.register_buffer("mean", torch.zeros(len(CHANNELS)))
        self.register_buffer("spread", torch.eye(unknowns))
        self.register_buffer("neutral_mean", torch.zeros(2 * LANDMARKS))
        self.register_buffer("reading", torch.zeros(2 * LANDMARKS + 1, modes + 1))

    def learn_channels(self, channels: Tensor) -> None:
        """Takes over mean and, factor by factor, the covariance of channels (N, 60)."""
        self.mean.copy_(channels.mean(0))
        for f in FACTORS:
            columns = channel_slice(f.name)
            self.spread[columns, columns] = _square_root(channels[:, columns])

    def learn_people(self, neutral: Tensor, identity: Tensor, distance: Tensor) -> None:
        """Regresses identities (N, K) and inverse distances (N,) on what neutrals (N, 78, 2) show of them."""
        seen = normalized(neutral, neutral).flatten(-2)
        self.neutral_mean.copy_(seen.mean(0))
        unknown = torch.cat([identity, 1.0 / distance[:, None]], dim=-1)
        inputs = nn.functional.pad(seen - self.neutral_mean, (0, 1), value=1.0).double()
        ridge = 1e-6 * len(seen) * torch.eye(inputs.shape[1], dtype=torch.double)
        self.reading.copy_(torch.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ unknown.double()))
        people = slice(len(CHANNELS), None)
        self.spread[people, people] = _square_root(unknown - inputs.float() @ self.reading)

    @torch.no_grad()
    def forward(self, landmarks: Tensor, neutral: Tensor) -> Tensor:
        """Channels (..., 60) from image coordinates (..., 78, 2) of a face and of the person's neutral."""
        seen = normalized(landmarks, neutral).flatten(-2)
        flat = seen.reshape(-1, seen.shape[-1])
        at_rest = normalized(neutral, neutral).flatten(-2).expand(seen.shape).reshape(flat.shape) - self.neutral_mean
        people = nn.functional.pad(at_rest, (0, 1), value=1.0) @ self.reading
        start = torch.cat([self.mean.expand(len(flat), -1), people], dim=-1)
        fitted = [self._fit(*part) for part in zip(flat.split(_AT_ONCE), start.split(_AT_ONCE), strict=True)]
        return torch.cat(fitted).reshape(*seen.shape[:-1], len(CHANNELS))

    def _fit(self, seen: Tensor, start: Tensor) -> Tensor:
        """Channels (n, 60) for normalized landmarks (n, 156); `start` (n, 60 + K + 1) is the prior's mean."""
        unknowns = start.shape[1]
        own = torch.ones(unknowns, dtype=torch.double, device=seen.device)
        whitened = torch.zeros_like(start)
        for _ in range(STEPS - 1):
            normal, right = self._normal_equations(seen, start, whitened)
            whitened = torch.cholesky_solve(right, torch.linalg.cholesky(normal + own.diag())).squeeze(-1).float()
        normal, right = self._normal_equations(seen, start, whitened)
        channels = []
        for f in FACTORS:
            columns = channel_slice(f.name)
            prior = own.clone()
            prior[: len(CHANNELS)] /= NULLING
            prior[columns] = 1.0 / FREEDOM
            read = torch.cholesky_solve(right, torch.linalg.cholesky(normal + prior.diag())).squeeze(-1).float()
            channels.append(start[:, columns] + read[:, columns] @ self.spread[columns, columns].T)
        return torch.cat(channels, dim=-1)

    def _normal_equations(self, seen: Tensor, start: Tensor, whitened: Tensor) -> tuple[Tensor, Tensor]:
        """Matrix (n, u, u) and right side (n, u, 1) for the whitened unknowns (n, u), linearized at `whitened`."""
        places = [len(CHANNELS), start.shape[1] - len(CHANNELS) - 1, 1]
        channels, identity, nearness = (start + whitened @ self.spread.T).split(places, dim=1)
        distance = 1.0 / nearness[:, 0].clamp(min=0.05)
        image, neutral = self.head.image(channels, identity, distance), self.head.neutral(identity, distance)
        slopes = self.head.image_slopes(channels, identity, distance)
        slopes = (
            normalized_slopes(slopes, self.rest_slopes, image[:, None], neutral[:, None]).flatten(2).transpose(1, 2)
        )
        slopes = (slopes @ self.spread).double()
        missing = (seen - normalized(image, neutral).flatten(1)).double()
        turned = slopes.transpose(1, 2) / NOISE**2
        return turned @ slopes, turned @ (missing[..., None] + slopes @ whitened[..., None].double())


def _square_root(samples: Tensor) -> Tensor:
    """Lower triangular L with L L^T the covariance of samples (N, n); no direction is held for certain."""
    spread = samples.double().T.cov()
    floor = (0.03 * spread.diag().sqrt().mean()) ** 2
    return torch.linalg.cholesky(spread + floor * torch.eye(len(spread), dtype=torch.double)).float()
