# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace

import pytest
import torch

from blender_demo.backend.audio.encoder import CONDITION_DIM
from blender_demo.backend.flow import sampler
from blender_demo.backend.flow.model import FlowConfig, LipPrior, VectorFields
from blender_demo.backend.flow.sampler import Known, emotion_vector, solver_times
from blender_demo.backend.motion.factors import FACTOR_INDEX, FACTORS, LATENT_DIM, latent_slice
from blender_demo.backend.settings import AUTO, EMOTIONS, GRIDS, NEUTRAL, FactorControl, GenerationSettings

FRAMES = 490
NAMES = [f.name for f in FACTORS]
FOLLOWERS = {"lip": set(), "pose": {"eyes", "expression"}, "eyes": {"expression"}, "expression": set()}


@pytest.fixture(scope="module")
def networks() -> tuple[VectorFields, LipPrior]:
    """Small networks with random weights everywhere, also where training starts from zero."""
    torch.manual_seed(0)
    config = FlowConfig(
        lip_width=32, lip_depth=2, lip_reach=3, other_width=32, other_depth=2, other_reach=4, head_size=16,
        prior_width=32, prior_depth=1,
    )  # fmt: skip
    fields, prior = VectorFields(config), LipPrior(config)
    for parameter in fields.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return fields.eval(), prior.eval()


@pytest.fixture(scope="module")
def audio() -> torch.Tensor:
    return torch.rand(FRAMES, CONDITION_DIM, generator=torch.Generator().manual_seed(1))


def sample(networks, audio, settings=None, known=None) -> torch.Tensor:
    with torch.inference_mode():
        return sampler.sample_latents(*networks, audio, settings or GenerationSettings(), lambda done: None, known)


def with_control(factor: str, **values) -> GenerationSettings:
    settings = GenerationSettings()
    return replace(settings, factors=settings.factors | {factor: replace(settings.control(factor), **values)})


def changed(before: torch.Tensor, after: torch.Tensor) -> set[str]:
    return {name for name in NAMES if not torch.equal(before[:, latent_slice(name)], after[:, latent_slice(name)])}


def test_the_same_seed_gives_the_same_take(networks, audio):
    assert torch.equal(sample(networks, audio), sample(networks, audio))
    assert not torch.equal(sample(networks, audio), sample(networks, audio, GenerationSettings(seed=1)))


def test_chunks_give_what_one_pass_gives_to_the_bit(networks, audio, monkeypatch):
    whole = sample(networks, audio)
    monkeypatch.setattr(sampler, "CHUNK_FRAMES", 120)
    assert torch.equal(sample(networks, audio), whole)


@pytest.mark.parametrize("factor", NAMES)
def test_a_redrawn_factor_changes_only_itself_and_what_follows_it(networks, audio, factor):
    before, after = sample(networks, audio), sample(networks, audio, with_control(factor, seed_offset=1))
    assert changed(before, after) == {factor} | FOLLOWERS[factor]


@pytest.mark.parametrize("factor", NAMES)
def test_a_given_factor_is_met_exactly_and_only_what_follows_it_is_made_to_fit(networks, audio, factor):
    free = sample(networks, audio)
    latents = torch.randn(FRAMES, LATENT_DIM, generator=torch.Generator().manual_seed(2))
    is_known = torch.zeros(FRAMES, len(FACTORS))
    is_known[:, FACTOR_INDEX[factor]] = 1
    fitted = sample(networks, audio, known=Known(latents, is_known))
    assert torch.equal(fitted[:, latent_slice(factor)], latents[:, latent_slice(factor)])
    assert changed(free, fitted) == {factor} | FOLLOWERS[factor]


def test_given_ends_are_met_and_reach_into_the_frames_beside_them(networks, audio):
    free = sample(networks, audio)
    latents = torch.full((FRAMES, LATENT_DIM), 3.0)
    is_known = torch.zeros(FRAMES, len(FACTORS))
    is_known[:10] = is_known[-10:] = 1
    fitted = sample(networks, audio, known=Known(latents, is_known))
    assert torch.equal(fitted[:10], latents[:10])
    assert torch.equal(fitted[-10:], latents[-10:])
    assert (fitted[10:14] != free[10:14]).any()
    middle = slice(FRAMES // 2 - 20, FRAMES // 2 + 20)
    torch.testing.assert_close(fitted[middle, latent_slice("lip")], free[middle, latent_slice("lip")])


def test_without_guidance_one_evaluation_gives_what_two_give(networks, audio):
    """A guidance so close to one that it takes the guided branch changes next to nothing; a strong one does."""
    plain = sample(networks, audio)
    torch.testing.assert_close(
        sample(networks, audio, with_control("lip", guidance=1.0 + 1e-7)), plain, atol=1e-5, rtol=1e-5
    )
    assert (sample(networks, audio, with_control("lip", guidance=3.0)) - plain).abs().max() > 1e-3


def test_temperature_zero_starts_from_no_noise():
    assert sampler._noise("pose", FRAMES, with_control("pose", temperature=0.0)).abs().max() == 0
    assert sampler._noise("expression", FRAMES, GenerationSettings()).std() == pytest.approx(1.0, abs=0.1)


def test_emotion_changes_the_take_with_its_intensity(networks, audio):
    plain = sample(networks, audio)
    mild, strong = (sample(networks, audio, GenerationSettings(emotion="happy", intensity=i)) for i in (0.3, 1.0))
    assert (mild - plain).abs().mean() > 0
    assert (mild - strong).abs().mean() > 0


def test_emotions_are_told_apart_from_neutral_and_from_no_choice():
    vectors = [emotion_vector(name, 0.5) for name in (AUTO, NEUTRAL, *EMOTIONS)]
    assert len({tuple(v.tolist()) for v in vectors}) == len(EMOTIONS) + 2
    assert vectors[0].abs().max() == 0


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("steps", [1, 2, 5, 7, 10])
def test_every_grid_runs_from_noise_to_motion(grid, steps):
    times = solver_times(steps, grid)
    assert times[0] == 0.0
    assert times[-1] == pytest.approx(1.0)
    assert times == sorted(set(times))
    assert len(times) == steps + 1


def test_sway_and_epss_step_closer_together_near_the_noise():
    for grid in ("sway", "epss"):
        times = solver_times(5, grid)
        assert times[1] - times[0] < times[-1] - times[-2]


def test_the_solver_is_of_second_order():
    """On a curved flow with a known end, twice the steps leave about a quarter of the error."""

    class Circle(torch.nn.Module):
        halo = 0

        def forward(self, noisy, t, guide, beside, given, audible):
            return torch.stack([-noisy[..., 1], noisy[..., 0], *[0 * noisy[..., 0]] * 4], dim=-1) * 2.0

    def error(steps: int) -> float:
        guide = sampler.Guide(torch.zeros(1, 4, CONDITION_DIM), torch.tensor([0]), torch.zeros(1, 8))
        given = sampler.Given(torch.zeros(1, 4, 6), torch.zeros(1, 4, 1))
        settings = GenerationSettings(steps=steps)
        start = sampler._noise("pose", 4, settings)
        end = sampler._integrate(Circle(), "pose", guide, torch.zeros(1, 4, 0), given, settings, lambda done: None)[0]
        x, y = start[:, 0], start[:, 1]
        cos, sin = torch.tensor(2.0).cos(), torch.tensor(2.0).sin()
        return float((end[:, :2] - torch.stack([x * cos - y * sin, x * sin + y * cos], 1)).abs().max())

    assert error(40) < error(20) / 3.2


def test_progress_ends_at_one_and_never_falls(networks, audio):
    seen: list[float] = []
    with torch.inference_mode():
        sampler.sample_latents(*networks, audio, GenerationSettings(), seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)


def test_control_defaults_are_the_ones_of_the_settings():
    assert GenerationSettings(factors={}).control("eyes") == FactorControl()
