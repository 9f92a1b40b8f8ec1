# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace

import pytest
import torch

from blender_demo.backend.audio.encoder import CONDITION_DIM
from blender_demo.backend.flow import sampler
from blender_demo.backend.flow.model import FlowConfig, LipPrior, VectorField
from blender_demo.backend.motion.factors import FACTORS, LATENT_DIM, latent_slice
from blender_demo.backend.settings import FactorControl, GenerationSettings

FRAMES = 90


@pytest.fixture(scope="module")
def networks() -> tuple[VectorField, LipPrior]:
    """Small networks with random weights everywhere, also where training starts from zero."""
    torch.manual_seed(0)
    config = FlowConfig(width=32, depth=2, heads=2, reach=3, prior_width=32, prior_depth=1)
    field, prior = VectorField(config), LipPrior(config)
    for parameter in field.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return field.eval(), prior.eval()


@pytest.fixture(scope="module")
def audio() -> torch.Tensor:
    return torch.rand(FRAMES, CONDITION_DIM, generator=torch.Generator().manual_seed(1))


def sample(networks, audio, settings=None) -> torch.Tensor:
    with torch.inference_mode():
        return sampler.sample_latents(*networks, audio, settings or GenerationSettings(), lambda done: None)


def with_control(factor: str, **values) -> GenerationSettings:
    settings = GenerationSettings()
    return replace(settings, factors=settings.factors | {factor: replace(settings.control(factor), **values)})


def test_the_same_seed_gives_the_same_take(networks, audio):
    assert torch.equal(sample(networks, audio), sample(networks, audio))
    assert not torch.equal(sample(networks, audio), sample(networks, audio, GenerationSettings(seed=1)))


def test_chunks_give_what_one_pass_gives(networks, audio, monkeypatch):
    whole = sample(networks, audio)
    monkeypatch.setattr(sampler, "CHUNK_FRAMES", 17)
    torch.testing.assert_close(sample(networks, audio), whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("factor", [f.name for f in FACTORS])
def test_a_factor_s_seed_redraws_its_noise_alone(factor):
    before, after = (
        sampler._noise(FRAMES, GenerationSettings()),
        sampler._noise(FRAMES, with_control(factor, seed_offset=1)),
    )
    changed = (before != after).any(dim=0)
    expected = torch.zeros(LATENT_DIM, dtype=torch.bool)
    expected[latent_slice(factor)] = True
    assert torch.equal(changed, expected)


def test_without_guidance_one_evaluation_gives_what_two_give(networks, audio, monkeypatch):
    """A guidance so close to one that it takes the guided branch changes next to nothing; a strong one does."""
    monkeypatch.setattr(sampler, "_GUIDANCE_SCALE", {})
    plain = sample(networks, audio)
    torch.testing.assert_close(
        sample(networks, audio, with_control("lip", guidance=1.0 + 1e-7)), plain, atol=1e-5, rtol=1e-5
    )
    assert (sample(networks, audio, with_control("lip", guidance=3.0)) - plain).abs().max() > 1e-3


def test_temperature_zero_starts_from_no_noise():
    noise = sampler._noise(FRAMES, with_control("pose", temperature=0.0))
    assert noise[:, latent_slice("pose")].abs().max() == 0
    assert noise[:, latent_slice("expression")].std() == pytest.approx(1.0, abs=0.1)


def test_progress_ends_at_one_and_never_falls(networks, audio):
    seen: list[float] = []
    with torch.inference_mode():
        sampler.sample_latents(*networks, audio, GenerationSettings(), seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)


def test_control_defaults_are_the_ones_of_the_settings():
    assert GenerationSettings(factors={}).control("eyes") == FactorControl()
