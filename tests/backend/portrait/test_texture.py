# SPDX-License-Identifier: GPL-3.0-or-later
"""The texture is what the picture shows, what the other side shows, and never what lies inside mouth and eyes."""

import numpy as np
import pytest

from blender_demo.backend.portrait.fill import diffuse
from blender_demo.backend.portrait.texture import (
    FaceTexture,
    cover,
    lay_on_head,
    polygon_distance,
    skin_texels,
)
from tests.backend.portrait.synthetic import Scene, known_texture, scene

TURNED = 0.5
"""Radians: enough to hide one cheek."""


def laid(scene: Scene) -> FaceTexture:
    return lay_on_head(scene.picture, scene.fit, scene.landmarks, scene.person)


@pytest.fixture(scope="module")
def turned() -> FaceTexture:
    return laid(scene(TURNED))


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """Texels of the face itself, (512, 512): neither under hair nor clothes, where the synthetic picture has others."""
    u, v = np.meshgrid(*2 * [(np.arange(512) + 0.5) / 512])
    on_skin = np.zeros((512, 512), bool)
    texels = skin_texels(512)
    on_skin[texels.row, texels.column] = True
    return on_skin & (np.abs(u - 0.5) < 0.2) & (1 - v > 0.40) & (1 - v < 0.75)


def test_texture_is_the_known_one_where_the_picture_shows_it(turned: FaceTexture, face: np.ndarray) -> None:
    error = np.abs(turned.color - known_texture(512)).max(-1)
    shown = face & (turned.seen > 0.99)
    assert shown.sum() > 10_000
    assert np.median(error[shown]) < 0.005
    assert np.percentile(error[shown], 99) < 0.04


def test_a_hidden_cheek_comes_from_the_other_side(turned: FaceTexture, face: np.ndarray) -> None:
    error = np.abs(turned.color - known_texture(512)).max(-1)
    hidden = face & (turned.seen < 0.01) & (turned.seen[:, ::-1] > 0.99)
    assert hidden.sum() > 3000
    assert np.median(error[hidden]) < 0.02
    assert np.percentile(error[hidden], 99) < 0.08


def test_a_hidden_cheek_is_in_the_light_of_its_own_side() -> None:
    lit = laid(scene(TURNED, light_from_left=0.25))
    hidden = (lit.seen < 0.01) & (lit.seen[:, ::-1] > 0.99)
    hidden[:, 150:-150] = False
    rows = slice(int(0.30 * 512), int(0.55 * 512))
    ratio = (lit.color / known_texture(512)).mean(-1)
    here, there = ratio[rows][hidden[rows]], ratio[rows][hidden[rows][:, ::-1]]
    assert len(here) > 200
    sides = np.sign(np.flatnonzero(hidden.any(0)).mean() - 256)
    assert sides * (here.mean() - there.mean()) > 0.03


def test_texture_holds_nothing_from_inside_lips_and_lids() -> None:
    for yaw in (0.0, TURNED):
        texture = laid(scene(yaw, jaw_open=0.4))
        tint = texture.color[..., 2] - texture.color[..., 1]  # 0.9 inside, below 0 on skin
        assert (tint > 0.1).sum() < 40  # of some 5000 texels within two millimetres of lips and lids
        assert tint.max() < 0.45


def test_texture_has_no_seam_at_the_back(turned: FaceTexture) -> None:
    step = np.abs(turned.color[:, 0] - turned.color[:, -1]).max(-1)
    assert np.percentile(step, 99) < 0.02


def test_background_is_no_skin() -> None:
    shown = scene(0.0)
    texture = lay_on_head(shown.picture, shown.fit, shown.landmarks, shown.person * 0)
    assert texture.seen.max() == 0


def test_the_same_picture_gives_the_same_texture(turned: FaceTexture) -> None:
    assert np.array_equal(laid(scene(TURNED)).color, turned.color)


def test_diffusion_keeps_what_is_known_and_is_a_membrane_between() -> None:
    row, column = np.indices((150, 97)).astype(np.float32)
    ramp = np.stack([row, 3 * column, row - column], axis=-1)
    known = np.ones((150, 97), bool)
    known[30:110, 20:70] = False
    filled = diffuse(ramp, known)
    assert np.array_equal(filled[known], ramp[known])
    assert np.abs(filled - ramp).max() < 0.03 * np.ptp(ramp)


def test_diffusion_goes_round_the_head() -> None:
    values = np.zeros((64, 64, 1), np.float32)
    values[:, 8:12] = 1
    known = np.zeros((64, 64), bool)
    known[:, 8:12] = known[:, 40:44] = True
    filled = diffuse(values, known, around=True)[32, :, 0]
    assert np.abs(filled[0] - filled[-1]) < 0.08
    assert filled[60] > 0.3  # nearer to the left edge's 1 than a wall at the right edge would allow


def test_diffusion_of_nothing_is_nothing() -> None:
    assert not diffuse(np.ones((5, 7, 2), np.float32), np.zeros((5, 7), bool)).any()


def test_cover_gives_weights_that_lead_back_to_the_pixel() -> None:
    corners = np.array([[[1.2, 1.1], [9.7, 2.0], [3.0, 8.4]], [[-5, -5], [-1, -5], [-1, -1]]], np.float32)
    row, column, triangle, weights = cover(corners, 10, 10)
    assert not triangle.any()  # the other lies outside
    assert abs(len(row) - 29) < 6  # its area
    assert np.allclose(np.einsum("nk,kx->nx", weights, corners[0]), np.stack([column, row], axis=1) + 0.5, atol=1e-4)


def test_polygon_distance_is_negative_inside() -> None:
    square = np.array([[1, 1], [5, 1], [5, 5], [1, 5]], np.float32)
    points = np.array([[3, 3], [1.5, 3], [0, 3], [6, 6], [40, 3]], np.float32)
    distance = polygon_distance(points, square, 3.0)
    assert np.allclose(distance[:4], [-2, -0.5, 1, np.sqrt(2)], atol=1e-5)
    assert distance[4] >= 3
