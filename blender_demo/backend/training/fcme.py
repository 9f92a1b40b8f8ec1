# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 2: the motion auto-encoder learns the channels of all training motion, and to read them off landmarks."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from ..fcme.model import Fcme, FcmeConfig, Posterior
from ..motion.factors import ARKIT_NAMES, CHANNEL_INDEX, CHANNELS, FACTORS, channel_slice, latent_slice
from .loop import TrainingLoop, cosine_rate
from .observations import RANGE, Observer, drawn_channels

__all__ = ["FcmeBatch", "FcmeLosses", "FcmeRecipe", "FittedPairs", "evaluate_fcme", "fitted_pairs", "train_fcme"]

_GAZE = [CHANNEL_INDEX[name] for name in ("gazeYaw", "gazePitch")]
_GAZE_LATENTS = slice(latent_slice("eyes").start, latent_slice("eyes").start + 3)
"""The gaze part of the eyes' latents."""
_GAZE_WIDTH_RAD = 0.1
"""Directions this far apart still count as alike."""


@dataclass(frozen=True)
class FcmeRecipe:
    """Weights of the losses (see `FcmeLosses`); a weight of 0 switches a loss off."""

    steps: int = 2400
    batch: int = 128
    frames: int = 12
    rate: float = 2e-3
    pairs: int = 384
    new_pairs: int = 4
    """Pairs of observed frames a batch holds, and how many are drawn for each step (all of them before the first)."""
    reconstruction: float = 1.0
    velocity: float = 1.0
    squared: float = 0.1
    landmarks: float = 0.5
    consistency: float = 0.1
    swap: float = 1.0
    lip: float = 0.02
    pose: float = 0.05
    gaze: float = 0.02
    kl: float = 1e-4
    decorrelation: float = 0.02
    seed: int = 2

    def weights(self) -> dict[str, float]:
        """The losses that are switched on, by name."""
        return {name: getattr(self, name) for name in _TERMS if getattr(self, name)}


@dataclass(frozen=True)
class FittedPairs:
    """Pairs of observed frames of one person that differ in one factor: its index (N,), and of both frames the channels
    as they were (N, 60) and as the fit found them in the landmarks (N, 60).
    """

    factor: Tensor
    first: Tensor
    first_fitted: Tensor
    second: Tensor
    second_fitted: Tensor

    def __getitem__(self, rows: Tensor) -> "FittedPairs":
        return FittedPairs(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.factor)


@dataclass(frozen=True)
class FcmeBatch:
    """Crops of motion (B, F, 60), what is heard in them (B, F, D) or nothing, and pairs of observed frames."""

    channels: Tensor
    audio: Tensor | None
    pairs: FittedPairs


class FcmeLosses(nn.Module):
    """The terms of the loss, by their names in the recipe, and the small networks that only training needs.

    reconstruction, velocity, squared: channels to channels, in units of each channel's scale: L1, L1 of one-frame
        differences, and squares, because blinks are rare and the median that L1 seeks would leave them out.
    landmarks: landmarks to channels, L1.
    consistency: both inputs lead to the same latents.
    swap: where one factor of an observation is replaced, the latents of the others stay, and its own become those of
        its new channels (cf. the cross-reconstruction of EDTalk, arXiv 2404.01647).
    lip: InfoNCE both ways between what is heard in a frame and its lip latents (van den Oord et al. 2018, eq. 4).
    pose: the six values of the head pose can be read linearly from its latents, L1.
    gaze: gaze latents are as alike, by cosine, as the directions of gaze (contrastive, with soft targets).
    kl: divergence of the posterior from the standard normal.
    decorrelation: squared correlation between latents of different factors.

    Terms on latents count them in units of their own spread, so that shrinking them pays nothing.
    """

    def __init__(self, fcme: Fcme, audio_dim: int | None) -> None:
        super().__init__()
        self.fcme = fcme
        lips = FACTORS[0].latent_dim
        self.pose_readout = nn.Linear(6, 6)
        self.gaze_view = nn.Linear(3, 16)
        if audio_dim:
            self.heard = nn.Sequential(nn.LayerNorm(audio_dim), nn.Linear(audio_dim, 96), nn.GELU(), nn.Linear(96, 32))
            self.lip_view = nn.Linear(lips, 32)
            self.lip_sharpness = nn.Parameter(torch.tensor(10.0).log())

    def terms(self, batch: FcmeBatch, names: set[str]) -> dict[str, Tensor]:
        """The named terms that the batch allows: without audio there is no `lip`."""
        fcme, pairs = self.fcme, batch.pairs
        posterior = fcme.encode(batch.channels)
        error = (fcme.decode(posterior.sample()) - batch.channels) / fcme.channel_scale
        first, second = fcme.encode_fitted(pairs.first_fitted), fcme.encode_fitted(pairs.second_fitted)
        makers = {
            "reconstruction": lambda: error.abs().mean(),
            "velocity": lambda: error.diff(dim=1).abs().mean(),
            "squared": lambda: (error**2).clamp(max=100.0).mean(),
            "landmarks": lambda: self._landmarks(first, pairs.first),
            "consistency": lambda: self._consistency(first, fcme.encode(pairs.first).mean),
            "swap": lambda: self._swap(first.mean, second.mean, pairs),
            "lip": lambda: self._lip(posterior.mean[..., latent_slice("lip")], batch.audio),
            "pose": lambda: self._pose(posterior.mean, batch.channels) + self._pose(first.mean, pairs.first),
            "gaze": lambda: self._gaze(
                torch.cat([posterior.mean[:, 0], first.mean]), batch.channels[:, 0], pairs.first
            ),
            "kl": lambda: posterior.divergence().mean() + first.divergence().mean(),
            "decorrelation": lambda: _cross_correlation(posterior.mean),
        }
        return {name: makers[name]() for name in _TERMS if name in names and (name != "lip" or batch.audio is not None)}

    def _landmarks(self, posterior: Posterior, channels: Tensor) -> Tensor:
        return ((self.fcme.decode(posterior.sample()) - channels) / self.fcme.channel_scale).abs().mean()

    def _consistency(self, seen: Posterior, latents: Tensor) -> Tensor:
        return ((seen.mean - latents.detach()) / _spread(latents).detach()).abs().mean()

    def _swap(self, first: Tensor, second: Tensor, pairs: FittedPairs) -> Tensor:
        sizes = torch.tensor([f.latent_dim for f in FACTORS])
        replaced = F.one_hot(pairs.factor, len(FACTORS)).bool().repeat_interleave(sizes, dim=-1)
        target = torch.where(replaced, self.fcme.encode(pairs.second).mean.detach(), first)
        return ((second - target) / _spread(first)).abs().mean()

    def _lip(self, latents: Tensor, audio: Tensor | None) -> Tensor:
        assert audio is not None
        every = max(1, latents.shape[1] // 2)  # two frames a crop: neighbors in time are no negatives
        seen = F.normalize(self.lip_view(latents[:, ::every].flatten(0, 1)), dim=-1)
        heard = F.normalize(self.heard(audio[:, ::every].flatten(0, 1)), dim=-1)
        likeness = seen @ heard.T * self.lip_sharpness.exp()
        own = torch.arange(len(seen))
        return 0.5 * (F.cross_entropy(likeness, own) + F.cross_entropy(likeness.T, own))

    def _pose(self, latents: Tensor, channels: Tensor) -> Tensor:
        columns = channel_slice("pose")
        truth = (channels[..., columns] - self.fcme.channel_mean[columns]) / self.fcme.channel_scale[columns]
        return (self.pose_readout(latents[..., latent_slice("pose")]) - truth).abs().mean()

    def _gaze(self, latents: Tensor, *channels: Tensor) -> Tensor:
        yaw, pitch = torch.cat(channels)[:, _GAZE].unbind(-1)
        direction = torch.stack([-yaw.sin() * pitch.cos(), -pitch.sin(), yaw.cos() * pitch.cos()], dim=-1)
        view = F.normalize(self.gaze_view(latents[:, _GAZE_LATENTS]), dim=-1)
        target = (direction @ direction.T / _GAZE_WIDTH_RAD**2).softmax(-1)
        return F.cross_entropy(view @ view.T / 0.05, target) - torch.special.entr(target).sum(-1).mean()


_TERMS = ("reconstruction", "velocity", "squared", "landmarks", "consistency", "swap", "lip", "pose", "gaze", "kl",
          "decorrelation")  # fmt: skip


def train_fcme(
    motions: list[NDArray[np.float32]],
    recipe: FcmeRecipe,
    loop: TrainingLoop,
    audio: list[NDArray[np.float32]] | None = None,
) -> Fcme:
    """Train on channel tracks, each (T, 60), and on what is heard with each (T, D), if that is known."""
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    everything = torch.from_numpy(np.concatenate(motions))
    heard = torch.from_numpy(np.concatenate(audio)) if audio else None
    starts = _starts(motions, recipe.frames)

    fcme = Fcme(FcmeConfig(landmarks=True))
    fcme.channel_mean.copy_(everything.mean(0))
    fcme.channel_scale.copy_(torch.maximum(everything.std(0), least_scale()))
    pairs = fitted_pairs(fcme, everything, recipe.new_pairs * recipe.steps)
    network = FcmeLosses(fcme, None if heard is None else heard.shape[1])
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.995), use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=1e-4)
    weights = recipe.weights()

    def step(index: int) -> dict[str, Tensor]:
        rows = torch.from_numpy(rng.choice(starts, recipe.batch))[:, None] + torch.arange(recipe.frames)
        batch = FcmeBatch(
            _exaggerate(everything[rows]),
            None if heard is None else heard[rows],
            pairs[torch.randint(len(pairs), (recipe.pairs,))],
        )
        terms = network.terms(batch, set(weights))
        warm = min(1.0, 2.0 * index / recipe.steps)
        loss = sum(
            (weights[name] * (warm if name == "kl" else 1.0) * term for name, term in terms.items()), torch.zeros(())
        )
        return {"loss": loss, **terms}

    loop.run(network, average, optimizer, step, recipe.steps, cosine_rate(recipe.rate, recipe.steps))
    return network.fcme


def fitted_pairs(fcme: Fcme, motion: Tensor, count: int) -> FittedPairs:
    """Teaches the fit of `fcme`, then lets it see `count` pairs of frames of motion (T, 60), each of another person."""
    observer = Observer()
    identity, distance = observer.people(4000)
    at_rest = observer.observe(torch.zeros(len(identity), len(CHANNELS)), identity, distance)
    fcme.fit.learn_people(at_rest.neutral, identity, distance)
    fcme.fit.learn_channels(drawn_channels(motion, 20_000))

    first, other = drawn_channels(motion, count)[torch.randperm(count)], drawn_channels(motion, count)
    other = other[torch.randperm(count)]
    factor = torch.randint(len(FACTORS), (count,))
    sizes = torch.tensor([len(f.channels) for f in FACTORS])
    second = torch.where(F.one_hot(factor, len(FACTORS)).bool().repeat_interleave(sizes, dim=-1), other, first)
    identity, distance = observer.people(count)
    fitted = [torch.empty(0, len(CHANNELS)), torch.empty(0, len(CHANNELS))]
    for rows in tqdm(torch.arange(count).split(200), desc="fit", leave=False, mininterval=2.0):
        for i, channels in enumerate((first, second)):
            seen = observer.observe(channels[rows], identity[rows], distance[rows])
            fitted[i] = torch.cat([fitted[i], fcme.fit(seen.landmarks, seen.neutral)])
    return FittedPairs(factor, first, fitted[0], second, fitted[1])


def least_scale() -> Tensor:
    """Scale (60,) under which a channel's motion does not count: a twentieth of a weight, a thousandth of an angle or
    head height.
    """
    return torch.tensor([0.05 if name in ARKIT_NAMES else 0.001 for name in CHANNELS])


def _starts(motions: list[NDArray[np.float32]], frames: int) -> NDArray[np.int64]:
    """Rows of the concatenated motions from which a crop stays inside one motion."""
    offsets = np.cumsum([0, *(len(m) for m in motions)])
    return np.concatenate(
        [np.arange(o, o + max(0, len(m) - frames + 1)) for o, m in zip(offsets, motions, strict=False)]
    )


def _exaggerate(truth: Tensor) -> Tensor:
    """Some crops with stronger or single-channel motion or a turned head, so that hand-made and captured poses far from
    speech have latents too.
    """
    gain = 1.0 + 0.8 * torch.rand(len(truth), 1, 1) * (torch.rand(len(truth), 1, 1) < 0.25)
    lone = (torch.rand(len(truth), 1, truth.shape[-1]) < 0.04) * torch.rand(len(truth), 1, truth.shape[-1])
    lone = lone * (torch.rand(len(truth), 1, 1) < 0.3)
    pushed = truth * gain
    free = torch.zeros(truth.shape[-1], dtype=torch.bool)
    free[channel_slice("lip")] = free[channel_slice("expression")] = True
    pushed = torch.where(free, torch.maximum(pushed, lone).clamp(0.0, 1.0), pushed)
    posture = (2.0 * torch.rand(len(truth), 1, 6) - 1.0) * torch.tensor([*RANGE.turn, *RANGE.shift])
    pushed[..., channel_slice("pose")] += posture * (torch.rand(len(truth), 1, 1) < 0.25)
    return pushed


def _spread(latents: Tensor) -> Tensor:
    """Standard deviation of each latent over the batch (N, 42), never quite 0."""
    return latents.std(0).clamp(min=1e-2)


def _cross_correlation(latents: Tensor) -> Tensor:
    """Mean squared correlation between latents of different factors over the batch."""
    flat = latents.flatten(0, -2)
    flat = (flat - flat.mean(0)) / flat.std(0).clamp(min=1e-3)
    correlation = flat.T @ flat / len(flat)
    across = torch.ones_like(correlation)
    for f in FACTORS:
        across[latent_slice(f.name), latent_slice(f.name)] = 0.0
    return (correlation**2 * across).sum() / across.sum()


@torch.inference_mode()
def evaluate_fcme(network: Fcme, motions: list[NDArray[np.float32]]) -> dict[str, float]:
    """Reconstruction of (T, 60) tracks from the posterior's mean: correlation of jawOpen, and share of variance kept,
    by factor.
    """
    truth = torch.from_numpy(np.concatenate(motions))
    guess = network.decode(network.encode(truth).mean)
    figures = {}
    for f in FACTORS:
        columns = channel_slice(f.name)
        left, real = ((t[:, columns] / network.channel_scale[columns]) for t in (truth - guess, truth))
        figures[f"{f.name} variance kept"] = float(1.0 - left.var(0).sum() / real.var(0).sum())
    jaw = CHANNELS.index("jawOpen")
    figures["jawOpen correlation"] = float(torch.corrcoef(torch.stack([truth[:, jaw], guess[:, jaw]]))[0, 1])
    directions = network.directions()
    figures["largest inner product of directions"] = float(
        (directions.T @ directions - torch.eye(directions.shape[1])).abs().max()
    )
    return figures
