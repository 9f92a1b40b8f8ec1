# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of the variants. Each field is trained by itself, on the same crops and the same noise as every other, so
that models are put together from fields, and a field is trained once for all rows that it takes part in.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from torch import Tensor, nn

from ...fcme.model import Fcme
from ...flow.model import CONTEXT, Given, LipPrior, VectorField
from ...motion.factors import CHANNEL_INDEX, FACTOR_INDEX, FACTORS, channel_slice, latent_slice
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
from .variants import ALL, JointField, Model, Space, Vae, Variant, columns, cosine_schedule, couple, frame

__all__ = ["Workshop"]

_LIPS: Final = latent_slice("lip")
_PRESSED: Final = CHANNEL_INDEX["mouthPressLeft"]
_FCME_BATCH: Final = 64
_FACTOR_GIVEN: Final = 0.15
"""How often a joint field is given a whole factor."""


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
            offset, spread, beside = frame(variant.prior, prior(guide))
            goals = (target - offset) / spread
            goal = goals[..., own]
            if name not in ("lip", ALL):
                beside = goals[..., latent_slice(followed) if followed else slice(0)]
            noise = torch.randn_like(goal)
            if variant.coupling == "transport":
                noise = couple(noise, goal)
            along = t[:, None, None]
            signal, share = cosine_schedule(along) if variant.path == "diffusion" else (along, 1.0 - along)
            wanted = noise if variant.path == "diffusion" else goal - noise
            guess = network(signal * goal + share * noise, t, guide, beside, Given(goal, is_known), audible)
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


def _loss_of_factors(variant: Variant, error: Tensor, lip_cost: Tensor, velocity: float) -> Tensor:
    """The loss of each factor in its own norm, summed; diffusion is always squared (Ho et al., arXiv 2006.11239, eq.
    14).
    """
    factors = FACTORS if variant.field == ALL else [FACTORS[FACTOR_INDEX[variant.field]]]
    total = error.new_zeros(())
    for factor, part in zip(factors, error.split([f.latent_dim for f in factors], dim=-1), strict=True):
        lips = factor.name == "lip"
        norm = "squared" if variant.path == "diffusion" else variant.error or ("l1" if lips else "squared")
        total = total + _loss(norm, part, lip_cost if lips else torch.ones(()), velocity)
    return total


def _loss(norm: str, error: Tensor, cost: Tensor, velocity: float) -> Tensor:
    """Mean of an error (B, T, d) whose frames cost `cost` (B, T, 1), and of its one-frame differences."""
    size = torch.abs if norm == "l1" else torch.square
    return (size(error) * cost).mean() + velocity * size(error.diff(dim=1)).mean()


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
