# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from blender_demo.backend.fcme.model import Fcme
from blender_demo.backend.motion.factors import CHANNELS, FACTORS, LATENT_DIM, channel_slice, latent_slice


@pytest.fixture
def fcme() -> Fcme:
    torch.manual_seed(0)
    return Fcme()


def test_directions_are_orthonormal(fcme):
    directions = fcme.directions()
    torch.testing.assert_close(directions.T @ directions, torch.eye(LATENT_DIM), atol=1e-5, rtol=0)


def test_shapes_of_both_ways(fcme):
    posterior = fcme.encode(torch.rand(3, 7, len(CHANNELS)))
    assert posterior.mean.shape == posterior.sample().shape == (3, 7, LATENT_DIM)
    assert fcme.decode(posterior.mean).shape == (3, 7, len(CHANNELS))


@pytest.mark.parametrize("factor", [f.name for f in FACTORS])
def test_a_latent_moves_the_channels_of_its_own_factor_alone(fcme, factor):
    latents = torch.randn(5, LATENT_DIM)
    changed = latents.clone()
    changed[:, latent_slice(factor)] += 1.0
    moved = (fcme.decode(changed) - fcme.decode(latents)).abs().amax(dim=0)
    assert (moved[channel_slice(factor)] > 0).any()
    moved[channel_slice(factor)] = 0
    assert moved.max() == 0


def test_divergence_is_zero_for_the_standard_normal(fcme):
    posterior = fcme.encode(torch.rand(2, len(CHANNELS)))
    assert (posterior.divergence() >= 0).all()
    standard = type(posterior)(torch.zeros(2, LATENT_DIM), torch.zeros(2, LATENT_DIM))
    assert standard.divergence().abs().max() == 0
