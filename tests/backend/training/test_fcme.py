# SPDX-License-Identifier: GPL-3.0-or-later
"""The auto-encoder's losses can be switched off one by one, and a short training brings it to read both inputs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from blender_demo.backend.errors import WeightsError
from blender_demo.backend.fcme.model import Fcme, FcmeConfig
from blender_demo.backend.motion.factors import CHANNELS, FACTORS, LIMITS, channel_slice, latent_slice
from blender_demo.backend.training.fcme import (
    CHANNEL_LOSSES,
    LANDMARK_LOSSES,
    FcmeLosses,
    FcmeRecipe,
    FittedPairs,
    evaluate_fcme,
    fitted_pairs,
    train_fcme,
    train_landmark_input,
)
from blender_demo.backend.training.loop import TrainingLoop
from blender_demo.backend.training.observations import RANGE, Observer, drawn_channels, shuffled_factors

HEARD = 12


def tracks(count: int, seed: int) -> list[np.ndarray]:
    """Slow, made-up motion (60, 60) each."""
    rng = np.random.default_rng(seed)
    time = np.arange(60)[:, None]
    out = []
    for _ in range(count):
        wave = np.sin(time * rng.uniform(0.1, 0.5, len(CHANNELS)) + rng.uniform(0, 6, len(CHANNELS)))
        low = np.array([LIMITS[name][0] for name in CHANNELS])
        out.append((0.2 * wave + np.where(low < 0, 0.0, 0.2)).astype(np.float32))
    return out


@pytest.fixture
def losses() -> FcmeLosses:
    torch.manual_seed(0)
    return FcmeLosses(Fcme(FcmeConfig(hidden=16, landmarks=True)), HEARD)


@pytest.fixture
def pairs() -> FittedPairs:
    torch.manual_seed(1)
    return FittedPairs(torch.arange(8) % 4, *(torch.rand(8, len(CHANNELS)) for _ in range(4)))


def terms(losses: FcmeLosses, pairs: FittedPairs, part: str, names: tuple[str, ...]) -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    if part == "landmarks":
        return losses.of_landmarks(pairs, names)
    return losses.of_channels(torch.rand(4, 6, len(CHANNELS)), torch.randn(4, 6, HEARD), names)


EVERY = [*(("channels", n) for n in CHANNEL_LOSSES), *(("landmarks", n) for n in LANDMARK_LOSSES)]


@pytest.mark.parametrize(("part", "name"), EVERY)
def test_a_weight_of_zero_removes_a_term_and_only_that(losses, pairs, part, name):
    every = CHANNEL_LOSSES if part == "channels" else LANDMARK_LOSSES
    without = tuple(replace(FcmeRecipe(), **{name: 0.0}).weights(every))
    assert set(FcmeRecipe().weights(every)) - set(without) == {name}
    everything, left = terms(losses, pairs, part, every), terms(losses, pairs, part, without)
    assert set(left) == set(everything) - {name}


@pytest.mark.parametrize(("part", "name"), EVERY)
def test_every_term_teaches_the_auto_encoder(losses, pairs, part, name):
    terms(losses, pairs, part, (name,))[name].backward()
    gradients = [p.grad for p in losses.fcme.parameters() if p.grad is not None]
    assert sum(float(g.abs().sum()) for g in gradients) > 0


def test_shrinking_the_latents_does_not_pay(losses, pairs):
    """The swap term counts in units of the latents' own spread."""
    first, second = torch.randn(2, 8, 42)
    pairs = replace(pairs, factor=torch.zeros(8, dtype=torch.long))
    before = losses._swap(first, second, pairs)
    others = torch.ones(42)
    others[latent_slice("lip")] = 0.0
    shrunk = torch.where(others > 0, torch.tensor(0.1), torch.tensor(1.0))
    torch.testing.assert_close(losses._swap(first * shrunk, second * shrunk, pairs), before)


def test_only_one_factor_differs_within_a_pair(tmp_path):
    torch.manual_seed(0)
    fcme = Fcme(FcmeConfig(hidden=16, landmarks=True))
    pairs = fitted_pairs(fcme, torch.from_numpy(np.concatenate(tracks(4, 0))), 20)
    for row in range(20):
        differing = [
            f.name for f in FACTORS if (pairs.first - pairs.second)[row, channel_slice(f.name)].abs().max() > 0
        ]
        assert differing == [FACTORS[int(pairs.factor[row])].name]
    assert (pairs.first_fitted - pairs.first).abs().mean() < (pairs.first.mean(0) - pairs.first).abs().mean()


def test_a_short_training_reads_channels_and_landmarks(tmp_path: Path):
    recipe = FcmeRecipe(steps=60, landmark_steps=60, batch=16, frames=6, new_pairs=1, pairs=16)
    motion = tracks(6, 0)
    sounds = [torch.from_numpy(track[:, :HEARD]) for track in motion]
    fcme = train_fcme(motion, sounds, recipe, TrainingLoop("fcme", tmp_path))
    figures = evaluate_fcme(fcme, tracks(3, 1))
    for part, names in (("fcme", ("reconstruction", "lip")), ("fcme_landmarks", ("landmarks",))):
        curves = torch.load(tmp_path / f"{part}.pt", weights_only=True)["curves"]
        for name in names:
            assert np.mean(curves[name][-10:]) < 0.9 * np.mean(curves[name][:5])
    assert figures["largest inner product of directions"] < 1e-5
    observer = Observer()
    channels = torch.from_numpy(tracks(1, 2)[0])
    identity, distance = observer.people(1)
    seen = observer.observe(channels, identity.expand(60, -1), distance.expand(60))
    latents = fcme.encode_landmarks(seen.landmarks, seen.neutral).mean
    assert latents.shape == (60, 42)
    image = fcme.image(latents, identity.expand(60, -1), distance.expand(60))
    assert image.shape == seen.landmarks.shape


def test_the_landmark_input_leaves_all_else_as_it_is(losses, tmp_path: Path):
    recipe = FcmeRecipe(landmark_steps=3, new_pairs=4, pairs=4)
    before = {key: value.clone() for key, value in losses.fcme.state_dict().items()}
    train_landmark_input(losses, torch.from_numpy(tracks(1, 0)[0]), recipe, TrainingLoop("landmarks", tmp_path))
    after = losses.fcme.state_dict()
    changed = {key.split(".")[0] for key, value in before.items() if not torch.equal(value, after[key])}
    assert changed == {"fit", "fitted_heads"}


def test_weights_without_landmark_input_say_so():
    with pytest.raises(WeightsError, match="landmarks"):
        Fcme().encode_landmarks(torch.zeros(1, 78, 2), torch.zeros(1, 78, 2))


def test_observed_factors_are_independent_in_half_of_the_rows():
    torch.manual_seed(0)
    shared = torch.rand(4000, 1).expand(-1, len(CHANNELS)).contiguous()
    shuffled = shuffled_factors(shared)
    lip, eyes = shuffled[:, channel_slice("lip")], shuffled[:, channel_slice("eyes")]
    assert (lip == lip[:, :1]).all(), "a factor stays whole"
    assert abs(float(torch.corrcoef(torch.stack([lip[:, 0], eyes[:, 0]]))[0, 1])) < 0.08


def test_observations_stay_within_the_limits_and_reach_far():
    torch.manual_seed(0)
    drawn = drawn_channels(torch.from_numpy(np.concatenate(tracks(4, 0))), 4000)
    low, high = torch.tensor([LIMITS[name] for name in CHANNELS]).T
    assert (drawn >= low - 1e-6).all()
    assert (drawn <= high + 1e-6).all()
    turned = drawn[:, channel_slice("pose")][:, :3].abs().amax(0)
    assert (turned > 0.9 * torch.tensor(RANGE.turn)).all()
