# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures of pictures against closed forms."""

import numpy as np
import pytest

from blender_demo.backend.evaluation.picture_measures import (
    flicker,
    gradient_difference,
    largest_change,
    luminance,
    psnr,
    similarity,
)

ALL = np.ones((32, 40), bool)
LEFT = np.arange(40)[None] < np.full((32, 1), 20)


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(3).uniform(0, 1, (32, 40, 3))


def test_psnr_of_a_constant_error_is_its_own_decibels(noise: np.ndarray):
    assert psnr(noise * 0 + 0.6, noise * 0 + 0.5, ALL) == pytest.approx(20.0)
    assert psnr(noise, noise, ALL) == 100.0


def test_psnr_sees_the_mask_alone(noise: np.ndarray):
    other = np.where(LEFT[..., None], noise, 0.0)
    assert psnr(other, noise, LEFT) == 100.0
    assert psnr(other, noise, ~LEFT) == pytest.approx(-10 * np.log10((noise[~LEFT] ** 2).mean()))


def test_similarity_of_flat_pictures_is_that_of_their_means():
    a, b = np.full((32, 40, 3), 0.5), np.full((32, 40, 3), 0.3)
    assert similarity(a, b, ALL) == pytest.approx((2 * 0.5 * 0.3 + 1e-4) / (0.25 + 0.09 + 1e-4))


def test_similarity_of_weaker_contrast_is_that_of_the_spreads(noise: np.ndarray):
    gray = np.repeat(noise[..., :1] - 0.5, 3, axis=2)
    tile = np.tile(gray[:2, :2] - gray[:2, :2].mean((0, 1)), (16, 20, 1)) + 0.5
    half = (tile - 0.5) / 2 + 0.5
    inside = np.zeros((32, 40), bool)
    inside[8:24, 8:32] = True
    found = similarity(half, tile, inside)
    spread = luminance(tile).var()
    assert found == pytest.approx((spread + 9e-4) / (1.25 * spread + 9e-4), abs=0.03)  # the window is no whole tile
    assert similarity(tile, tile, inside) == pytest.approx(1.0)


def test_similarity_falls_with_opposite_contrast(noise: np.ndarray):
    assert similarity(1 - noise, noise, ALL) < 0.2


def test_gradients_ignore_brightness_and_give_the_slope_at_each_scale():
    ramp = np.repeat(np.linspace(0, 0.39, 40)[None, :, None] * np.ones((32, 1, 1)), 3, axis=2)
    flat = np.zeros_like(ramp)
    assert gradient_difference(ramp + 0.2, ramp, ALL) == pytest.approx(0.0, abs=1e-12)
    shares = []
    for scale in range(4):  # slopes of 0.01 across alone; across and down count by their numbers of neighbors
        height, width = 32 // 2**scale, 40 // 2**scale
        across, down = height * (width - 1), (height - 1) * width
        shares.append(0.01 * 2**scale * across / (across + down))
    assert gradient_difference(ramp, flat, ALL) == pytest.approx(np.mean(shares))


def test_flicker_is_the_mean_step_where_it_is_looked_for(noise: np.ndarray):
    frames = np.stack([noise * 0, noise * 0 + LEFT[..., None] * 2 / 255, noise * 0])
    assert flicker(frames, LEFT) == pytest.approx(2.0)
    assert flicker(frames, ~LEFT) == 0.0
    assert largest_change(frames, noise * 0, ALL) == pytest.approx(2.0)
