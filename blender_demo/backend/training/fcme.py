# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 3: the motion auto-encoder learns the channels of all training motion, and then to read them off landmarks."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from ..fcme.model import Fcme, FcmeConfig, Posterior
from ..motion.factors import ARKIT_NAMES, CHANNEL_INDEX, CHANNELS, FACTORS, channel_slice, latent_slice
from .loop import TrainingLoop, averaged, cosine_rate
from .observations import Observer, drawn_channels

__all__ = [
    "CHANNEL_LOSSES", "LANDMARK_LOSSES", "FcmeLosses", "FcmeRecipe", "FittedPairs", "evaluate_fcme", "fitted_pairs",
    "train_fcme", "train_landmark_input",
]  # fmt: skip

_POSE: Final = channel_slice("pose")
_GAZE: Final = [CHANNEL_INDEX[name] for name in ("gazeYaw", "gazePitch")]
_GAZE_LATENTS: Final = slice(latent_slice("eyes").start, latent_slice("eyes").start + 2)
"""The eyes' latents whose direction follows the direction of the gaze."""

_CONTRASTED: Final = 384
"""Frames that are told apart at once: of as many sounds, which one goes with these lips?"""


@dataclass(frozen=True)
class FcmeRecipe:
    """Weights of the losses (see `FcmeLosses`); a weight of 0 switches a loss off.

    steps: of the first part, in which dictionary, decoder and channel input learn; landmark_steps: of the second, in
    which the landmark input learns to lead to the same latents.
    """

    steps: int = 2400
    landmark_steps: int = 1200
    batch: int = 128
    frames: int = 12
    rate: float = 2e-3
    pairs: int = 384
    new_pairs: int = 5
    """Pairs of observed frames a batch holds, and how many are drawn for each step (all of them before the first)."""
    reconstruction: float = 1.0
    velocity: float = 1.0
    squared: float = 0.5
    lip: float = 0.05
    pose: float = 0.1
    gaze: float = 0.1
    kl: float = 1e-4
    decorrelation: float = 0.02
    landmarks: float = 1.0
    consistency: float = 0.2
    swap: float = 1.0
    seed: int = 2

    def weights(self, names: tuple[str, ...]) -> dict[str, float]:
        """Those of the named losses that are switched on."""
        return {name: getattr(self, name) for name in names if getattr(self, name)}


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


CHANNEL_LOSSES: Final = ("reconstruction", "velocity", "squared", "lip", "pose", "gaze", "kl", "decorrelation")
LANDMARK_LOSSES: Final = ("landmarks", "consistency", "swap", "pose", "gaze", "kl")


class FcmeLosses(nn.Module):
    """The terms of the loss, by their names in the recipe, and the small networks that only training needs.

    reconstruction, velocity, squared: channels to channels, in units of each channel's scale: L1, L1 of one-frame
        differences, and squares, because blinks are rare and the median that L1 seeks would leave them out.
    lip: InfoNCE both ways between what is heard in a frame and its lip latents (van den Oord et al. 2018, eq. 4).
    pose: the six values of the head pose can be read linearly from its latents, L1.
    gaze: gaze latents are as alike, by cosine, as the directions of gaze.
    kl: divergence of the posterior from the standard normal.
    decorrelation: squared correlation between latents of different factors.
    landmarks: landmarks to channels, L1.
    consistency: both inputs lead to the same latents.
    swap: where one factor of an observation is replaced, the latents of the others stay, and its own become those of
        its new channels (cf. the cross-reconstruction of EDTalk, arXiv 2404.01647).

    Consistency and swap count latents in units of their own spread, so that shrinking them pays nothing.
    """

    def __init__(self, fcme: Fcme, sound_dim: int) -> None:
        super().__init__()
        self.fcme = fcme
        self.pose_readout = nn.Linear(6, 6)
        self.lip_view = nn.Linear(FACTORS[0].latent_dim, 48)
        self.heard = nn.Sequential(nn.Linear(sound_dim, 96), nn.GELU(), nn.Linear(96, 48))
        self.log_sharpness = nn.Parameter(torch.tensor(10.0).log())

    def of_channels(self, channels: Tensor, sound: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
        """The named terms for crops of motion (B, F, 60) and what is heard in them (B, F, D)."""
        posterior = self.fcme.encode(channels)
        error = (self.fcme.decode(posterior.sample()) - channels) / self.fcme.channel_scale
        makers = {
            "reconstruction": lambda: error.abs().mean(),
            "velocity": lambda: error.diff(dim=1).abs().mean(),
            "squared": lambda: error.square().clamp(max=100.0).mean(),
            "lip": lambda: self._lip(posterior.mean[..., latent_slice("lip")].flatten(0, 1), sound.flatten(0, 1)),
            "pose": lambda: self._pose(posterior.mean, channels),
            "gaze": lambda: _gaze_contrast(posterior.mean.flatten(0, 1), channels.flatten(0, 1)),
            "kl": lambda: posterior.divergence().mean(),
            "decorrelation": lambda: _cross_correlation(posterior.mean),
        }
        return {name: makers[name]() for name in names}

    def of_landmarks(self, pairs: FittedPairs, names: tuple[str, ...]) -> dict[str, Tensor]:
        """The named terms for pairs of observed frames."""
        first, second = (self.fcme.encode_fitted(part) for part in (pairs.first_fitted, pairs.second_fitted))
        makers = {
            "landmarks": lambda: self._landmarks(first, pairs.first),
            "consistency": lambda: self._consistency(first.mean, self.fcme.encode(pairs.first).mean),
            "swap": lambda: self._swap(first.mean, second.mean, pairs),
            "pose": lambda: self._pose(first.mean, pairs.first),
            "gaze": lambda: _gaze_contrast(first.mean, pairs.first),
            "kl": lambda: first.divergence().mean(),
        }
        return {name: makers[name]() for name in names}

    def _landmarks(self, posterior: Posterior, channels: Tensor) -> Tensor:
        return ((self.fcme.decode(posterior.sample()) - channels) / self.fcme.channel_scale).abs().mean()

    def _consistency(self, seen: Tensor, latents: Tensor) -> Tensor:
        return ((seen - latents.detach()) / _spread(latents).detach()).abs().mean()

    def _swap(self, first: Tensor, second: Tensor, pairs: FittedPairs) -> Tensor:
        sizes = torch.tensor([f.latent_dim for f in FACTORS])
        replaced = F.one_hot(pairs.factor, len(FACTORS)).bool().repeat_interleave(sizes, dim=-1)
        target = torch.where(replaced, self.fcme.encode(pairs.second).mean.detach(), first)
        return ((second - target) / _spread(first)).abs().mean()

    def _lip(self, latents: Tensor, sound: Tensor) -> Tensor:
        picks = torch.randperm(len(latents))[:_CONTRASTED]
        seen = F.normalize(self.lip_view(latents[picks]), dim=-1)
        heard = F.normalize(self.heard(sound[picks]), dim=-1)
        likeness = seen @ heard.T * self.log_sharpness.exp().clamp(max=50.0)
        own = torch.arange(len(seen))
        return 0.5 * (F.cross_entropy(likeness, own) + F.cross_entropy(likeness.T, own))

    def _pose(self, latents: Tensor, channels: Tensor) -> Tensor:
        truth = (channels[..., _POSE] - self.fcme.channel_mean[_POSE]) / self.fcme.channel_scale[_POSE]
        return (self.pose_readout(latents[..., latent_slice("pose")]) - truth).abs().mean()


def _gaze_contrast(latents: Tensor, channels: Tensor) -> Tensor:
    """How far the cosine between two frames' gaze latents, of (N, 42), is from the one between their gazes, of (N, 60);
    gazes near the center, whose direction means little, count less.
    """
    gaze, view = channels[:, _GAZE], latents[:, _GAZE_LATENTS]
    other = torch.randperm(len(gaze))
    weight = gaze.norm(dim=-1) * gaze[other].norm(dim=-1)
    wanted = F.cosine_similarity(gaze, gaze[other], dim=-1)
    found = F.cosine_similarity(view, view[other], dim=-1)
    return ((found - wanted).abs() * weight).sum() / weight.sum().clamp(min=1e-6)


def train_fcme(
    motions: list[NDArray[np.float32]], sounds: list[Tensor], recipe: FcmeRecipe, loop: TrainingLoop
) -> Fcme:
    """Train on channel tracks, each (T, 60), and what the audio encoder hears at their frames, each (T, D)."""
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    everything = torch.from_numpy(np.concatenate(motions))
    sound = torch.cat(sounds)
    starts = _starts(motions, recipe.frames)
    fcme = Fcme(FcmeConfig(landmarks=recipe.landmark_steps > 0))
    fcme.channel_mean.copy_(everything.mean(0))
    fcme.channel_scale.copy_(torch.maximum(everything.std(0), least_scale()))
    losses = FcmeLosses(fcme, sound.shape[1])
    weights = recipe.weights(CHANNEL_LOSSES)
    average = averaged(losses, 0.995, use_buffers=True)
    optimizer = torch.optim.AdamW(losses.parameters(), lr=recipe.rate, weight_decay=1e-4)

    def step(index: int) -> dict[str, Tensor]:
        rows = torch.from_numpy(rng.choice(starts, recipe.batch))[:, None] + torch.arange(recipe.frames)
        terms = losses.of_channels(_exaggerate(everything[rows]), sound[rows].float(), tuple(weights))
        return _weighted(terms, weights, index / recipe.steps)

    loop.run(losses, average, optimizer, step, recipe.steps, cosine_rate(recipe.rate, recipe.steps), (rng,))
    if recipe.landmark_steps:
        train_landmark_input(losses, everything, recipe, TrainingLoop(f"{loop.name}_landmarks", loop.folder))
    return fcme


def train_landmark_input(losses: FcmeLosses, motion: Tensor, recipe: FcmeRecipe, loop: TrainingLoop) -> None:
    """Teach the landmark input of a trained auto-encoder, of which all else stays as it is; motion (T, 60)."""
    torch.manual_seed(recipe.seed)
    fcme, weights = losses.fcme, recipe.weights(LANDMARK_LOSSES)
    fcme.fitted_heads.load_state_dict(fcme.heads.state_dict())
    pairs = fitted_pairs(fcme, motion, recipe.new_pairs * recipe.landmark_steps)
    average = averaged(fcme.fitted_heads, 0.995)
    optimizer = torch.optim.AdamW(fcme.fitted_heads.parameters(), lr=recipe.rate, weight_decay=1e-4)

    def step(index: int) -> dict[str, Tensor]:
        terms = losses.of_landmarks(pairs[torch.randint(len(pairs), (recipe.pairs,))], tuple(weights))
        return _weighted(terms, weights, 1.0)

    rate = cosine_rate(recipe.rate, recipe.landmark_steps)
    loop.run(fcme.fitted_heads, average, optimizer, step, recipe.landmark_steps, rate)


def _weighted(terms: dict[str, Tensor], weights: dict[str, float], done: float) -> dict[str, Tensor]:
    """The terms and their weighted sum, "loss"; the divergence comes in over the first half of the training."""
    warm = min(1.0, 2.0 * done)
    parts = [weights[name] * (warm if name == "kl" else 1.0) * term for name, term in terms.items()]
    return {"loss": sum(parts, torch.zeros(())), **terms}


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
    """Some crops with stronger or single-channel motion, so that hand-made and captured poses far from speech have
    latents too.
    """
    gain = 1.0 + 0.8 * torch.rand(len(truth), 1, 1) * (torch.rand(len(truth), 1, 1) < 0.25)
    lone = (torch.rand(len(truth), 1, truth.shape[-1]) < 0.04) * torch.rand(len(truth), 1, truth.shape[-1])
    lone = lone * (torch.rand(len(truth), 1, 1) < 0.3)
    pushed = truth * gain
    free = torch.zeros(truth.shape[-1], dtype=torch.bool)
    free[channel_slice("lip")] = free[channel_slice("expression")] = True
    return torch.where(free, torch.maximum(pushed, lone).clamp(0.0, 1.0), pushed)


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
