# SPDX-License-Identifier: GPL-3.0-or-later
"""Small models that differ from ours in one thing: their networks, and how they are trained.

Each field is trained by itself, on the same crops and the same noise as every other, so that models are put together
from fields and a field is trained once for all rows that it takes part in.
"""

import math
from collections.abc import Callable
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from ...fcme.model import Fcme, Posterior
from ...flow.model import CONTEXT, RESIDUAL_SCALE, FlowConfig, Given, LipPrior, VectorField
from ...motion.factors import CHANNEL_INDEX, CHANNELS, FACTORS, LATENT_DIM, channel_slice, latent_slice
from ...settings import STYLES
from ..coarticulation import PRESSED
from ..fcme import FcmeRecipe, train_fcme
from ..flow import (
    _STYLE_SHARES,
    FlowRecipe,
    HeardLatents,
    _batch,
    _known_ends,
    _without_sound,
    heard_latents,
    latent_statistics,
)
from ..loop import TrainingLoop, averaged, cosine_rate
from .ground import Frozen, Ground

__all__ = ["ALL", "JointField", "Model", "Space", "Vae", "Variant", "Workshop", "columns", "cosine_schedule", "couple"]

ALL: Final = "all"
"""Name of a field that moves all factors at once."""

_LIPS: Final = latent_slice("lip")
_PRESSED: Final = CHANNEL_INDEX["mouthPressLeft"]
_WIDTH: Final = 64
_FCME_BATCH: Final = 64
_FACTOR_GIVEN: Final = 0.15
"""How often a joint field is given a whole factor."""


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
        self.encoder, self.decoder = (
            _perceptron(len(CHANNELS), hidden, 2 * LATENT_DIM),
            _perceptron(LATENT_DIM, hidden, len(CHANNELS)),
        )

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

    def frame(self, lips: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Offset (B, T, 42) and spread (42,) that take latents to what the fields draw, and what goes beside the lips'
        field (B, T, 20), for the prior's lips (B, T, 20).
        """
        return _frame(self.prior_use, lips)


def columns(name: str) -> slice:
    """Latents of a factor, or of ALL."""
    return slice(0, LATENT_DIM) if name == ALL else latent_slice(name)


def _frame(prior_use: str, lips: Tensor) -> tuple[Tensor, Tensor, Tensor]:
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


@dataclass
class Workshop:
    """Trains what rows ask for, once; checkpoints lie in `folder`."""

    frozen: Frozen
    ground: Ground
    folder: Path
    recipe: FlowRecipe
    _made: dict[str, Any] = field(default_factory=dict)

    def shipped(self) -> Model:
        """The finished model, or the small one where the weights hold none."""
        if self.frozen.prior is None or self.frozen.fields is None:
            return self.model(*(Variant(name) for name in CONTEXT))
        fields = {name: cast("VectorField", self.frozen.fields[name]) for name in CONTEXT}
        return Model(self._space("frozen"), self.frozen.prior, fields)

    def model(self, *variants: Variant) -> Model:
        """A model of one space and prior, made of the fields of these variants."""
        first = variants[0]
        fields = {variant.field: self._field(variant) for variant in variants}
        return Model(self._space(first.space), self._prior(first), fields, first.prior, first.path)

    def fcme_without(self, loss: str) -> Fcme:
        """A small FCME, trained without one of the losses of its recipe, or with all of them for ""."""
        steps = self.recipe.steps
        recipe = replace(FcmeRecipe(), steps=steps, landmark_steps=max(1, steps // 2), batch=_FCME_BATCH)
        if loss:
            recipe = replace(recipe, **{loss: 0.0})
        motions = [p.channels for p in self.ground.performances]
        return train_fcme(motions, self.ground.sounds, recipe, self._loop(f"fcme_without_{loss}" if loss else "fcme"))

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def _space(self, name: str) -> Space:
        return self._once(f"space_{name}", lambda: self._make_space(name))

    def _make_space(self, name: str) -> Space:
        ground, network, statistics = self.ground, self.frozen.fcme, self.ground.statistics
        if name != "frozen":
            torch.manual_seed(self.recipe.seed)
            untrained = {"fcme": Fcme, "vae": Vae}[name]()
            network = _train_autoencoder(untrained, self._loop(f"space_{name}"), ground, self.recipe)
            statistics = latent_statistics(network, ground.performances)
        return Space(network, *statistics, heard_latents(ground.performances, ground.sounds, network, statistics))

    def _prior(self, variant: Variant) -> LipPrior:
        if variant.prior == "none":
            return LipPrior(variant.config())  # nothing listens to it
        name = f"prior_{variant.reach}_{variant.cost}"
        return self._once(name, lambda: self._train_prior(variant, self._loop(name)))

    def _field(self, variant: Variant) -> VectorField:
        return self._once(variant.name, lambda: self._train_field(variant, self._loop(variant.name)))

    def _loop(self, name: str) -> TrainingLoop:
        return TrainingLoop(name, self.folder)

    def _train_prior(self, variant: Variant, loop: TrainingLoop) -> LipPrior:
        recipe, space = self.recipe, self._space("frozen")
        torch.manual_seed(recipe.seed)
        prior, rng = LipPrior(variant.config()), np.random.default_rng(recipe.seed)
        scale = space.network.channel_scale[channel_slice("lip")]

        def channels(latents: Tensor) -> Tensor:
            return space.network.decode_factor("lip", latents * space.scale[_LIPS] + space.mean[_LIPS]) / scale

        def step(index: int) -> dict[str, Tensor]:
            guide, target = _batch(space.heard, _picks(space.heard, recipe, rng), recipe, rng)
            guess, lips = prior(_without_sound(guide, recipe.drop_sound)), target[..., _LIPS]
            cost = self._cost(variant, space, target)
            missed = (channels(guess) - channels(lips)).abs() * cost
            return {"loss": _loss("l1", guess - lips, cost, recipe.velocity) + recipe.channels * missed.mean()}

        _run(loop, prior, step, recipe, rng)
        return prior.requires_grad_(False)

    def _train_field(self, variant: Variant, loop: TrainingLoop) -> VectorField:
        recipe, space, prior = self.recipe, self._space(variant.space), self._prior(variant)
        torch.manual_seed(recipe.seed)
        rng = np.random.default_rng(recipe.seed)
        name, config = variant.field, variant.config()
        network = JointField(config) if name == ALL else VectorField(name, config)
        own, followed = columns(name), CONTEXT.get(name)

        def step(index: int) -> dict[str, Tensor]:
            guide, target = _batch(space.heard, _picks(space.heard, recipe, rng), recipe, rng)
            t = torch.rand(recipe.batch)
            audible = torch.rand(recipe.batch) >= recipe.drop_audio
            is_known = _known_ends(recipe)
            if name == ALL:
                is_known = torch.maximum(is_known, _known_factors(recipe.batch))
            offset, spread, beside = _frame(variant.prior, prior(guide))
            goals = (target - offset) / spread
            goal = goals[..., own]
            if name not in ("lip", ALL):
                beside = goals[..., latent_slice(followed) if followed else slice(0)]
            noise = torch.randn_like(goal)
            if variant.coupling == "transport":
                noise = couple(noise, goal)
            signal, noisy_share = _scales(variant.path, t[:, None, None])
            wanted = noise if variant.path == "diffusion" else goal - noise
            guess = network(signal * goal + noisy_share * noise, t, guide, beside, Given(goal, is_known), audible)
            cost = self._cost(variant, space, target)
            return {"loss": _loss_of_factors(variant, guess - wanted, cost, recipe.velocity)}

        _run(loop, network, step, recipe, rng)
        return network.requires_grad_(False)

    def _cost(self, variant: Variant, space: Space, latents: Tensor) -> Tensor:
        """What an error of the lips costs in each frame, (B, T, 1), for normalized latents (B, T, 42)."""
        if variant.field not in ("lip", ALL) or variant.cost == "same":
            return torch.ones(())
        pressed = space.network.decode(latents * space.scale + space.mean)[..., _PRESSED, None]
        return 1.0 + self.recipe.closed * (pressed / PRESSED).clamp(0.0, 1.0)


def _scales(path: str, t: Tensor) -> tuple[Tensor, Tensor]:
    return cosine_schedule(t) if path == "diffusion" else (t, 1.0 - t)


def _loss_of_factors(variant: Variant, error: Tensor, lip_cost: Tensor, velocity: float) -> Tensor:
    """The loss of each factor in its own norm, summed; diffusion is always squared (Ho et al., arXiv 2006.11239, eq.
    14).
    """
    names = [f.name for f in FACTORS] if variant.field == ALL else [variant.field]
    total = error.new_zeros(())
    for name, part in zip(names, error.split([_width(n) for n in names], dim=-1), strict=True):
        ours = "l1" if name == "lip" else "squared"
        norm = "squared" if variant.path == "diffusion" else variant.error or ours
        total = total + _loss(norm, part, lip_cost if name == "lip" else torch.ones(()), velocity)
    return total


def _loss(norm: str, error: Tensor, cost: Tensor, velocity: float) -> Tensor:
    """Mean of an error (B, T, d) whose frames cost `cost` (B, T, 1), and of its one-frame differences."""
    size = torch.abs if norm == "l1" else torch.square
    return (size(error) * cost).mean() + velocity * size(error.diff(dim=1)).mean()


def _width(name: str) -> int:
    own = latent_slice(name)
    return own.stop - own.start


def _known_factors(batch: int) -> Tensor:
    """Whole factors that are given, (B, 1, 42)."""
    sizes = torch.tensor([f.latent_dim for f in FACTORS])
    return (torch.rand(batch, 1, len(FACTORS)) < _FACTOR_GIVEN).float().repeat_interleave(sizes, dim=-1)


def _picks(heard: list[HeardLatents], recipe: FlowRecipe, rng: np.random.Generator) -> np.ndarray:
    weight = np.array([len(h.latents) * _STYLE_SHARES[STYLES[h.style]] for h in heard])
    return rng.choice(len(heard), recipe.batch, p=weight / weight.sum())


def _train_autoencoder(network: Fcme, loop: TrainingLoop, ground: Ground, recipe: FlowRecipe) -> Fcme:
    """Reconstruction, velocity and KL, the losses that both auto-encoders can have, with FCME's weights."""
    losses, rng = FcmeRecipe(), np.random.default_rng(recipe.seed)
    everything = torch.from_numpy(np.concatenate([p.channels for p in ground.performances]))
    network.channel_mean.copy_(everything.mean(0))
    network.channel_scale.copy_(everything.std(0).clamp(min=0.01))

    def step(index: int) -> dict[str, Tensor]:
        starts = rng.integers(0, len(everything) - losses.frames, _FCME_BATCH)
        truth = everything[torch.from_numpy(starts)[:, None] + torch.arange(losses.frames)]
        posterior = network.encode(truth)
        error = (network.decode(posterior.sample()) - truth) / network.channel_scale
        loss = error.abs().mean() + losses.velocity * error.diff(dim=1).abs().mean()
        loss = loss + losses.squared * error.square().clamp(max=100.0).mean()
        return {"loss": loss + losses.kl * posterior.divergence().mean()}

    _run(loop, network, step, recipe, rng)
    return network.requires_grad_(False)


def _run(
    loop: TrainingLoop,
    network: nn.Module,
    step: Callable[[int], dict[str, Tensor]],
    recipe: FlowRecipe,
    rng: np.random.Generator,
) -> None:
    average = averaged(network, 0.99, use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=0.02, betas=(0.9, 0.98))
    loop.run(network, average, optimizer, step, recipe.steps, cosine_rate(recipe.rate, recipe.steps), (rng,))
