# SPDX-License-Identifier: GPL-3.0-or-later
"""The light on a face and the colors of its eyes come from the picture."""

from dataclasses import replace

import numpy as np

from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.portrait.landmarks import Landmarks
from blender_demo.backend.portrait.light import estimate_light, eye_colors, from_srgb, to_srgb
from blender_demo.backend.portrait.texture import FaceTexture, lay_on_head, skin_texels
from tests.backend.portrait.synthetic import INSIDE, IRIS, scene

WHITE = np.array([[1, 1, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]], np.float32)


def lit_by(light: np.ndarray, noise: float = 0.0) -> FaceTexture:
    """The head model's skin in a light (4, 3), on the texels of a picture from the front."""
    shown, texels, head = scene(0.0), skin_texels(512), load_head()
    texture = lay_on_head(shown.picture, shown.fit, shown.landmarks, shown.person)
    skin = np.einsum("nk,nkc->nc", texels.weights, head.skin_colors[texels.corners] / np.float32(255))
    normals = texture.normals[texels.row, texels.column]
    color = np.zeros_like(texture.color)
    color[texels.row, texels.column] = to_srgb(from_srgb(skin) * (light[0] + normals @ light[1:]))
    hair = np.random.default_rng(1).random(color.shape[:2]) < noise
    color[hair] = 0.02
    return replace(texture, color=color)


def test_even_light_is_found_with_its_tint() -> None:
    tint = np.array([0.9, 0.7, 0.5], np.float32)
    light = estimate_light(lit_by(WHITE * tint))
    assert np.allclose(light[0], tint, atol=0.02)
    assert np.abs(light[1:]).max() < 0.02


def test_light_from_one_side_is_found_in_spite_of_hair() -> None:
    light = np.array([[0.6] * 3, [0.25] * 3, [0] * 3, [0] * 3], np.float32)
    found = estimate_light(lit_by(light, noise=0.1))
    assert (found[1] > 0.15).all()
    assert np.abs(found[2:]).max() < 0.1


def test_light_is_white_where_no_skin_shows() -> None:
    nothing = FaceTexture(np.zeros((512, 512, 3), np.float32), np.zeros((512, 512)), np.zeros((512, 512, 3)))
    assert np.array_equal(estimate_light(nothing), WHITE)


def test_eyes_have_the_colors_of_the_picture_with_and_without_iris_landmarks() -> None:
    shown = scene(0.0)
    for landmarks in (shown.landmarks, Landmarks(shown.landmarks.points)):
        iris, sclera = eye_colors(shown.picture, shown.fit, landmarks, WHITE)
        assert np.allclose(iris, IRIS, atol=0.1)
        assert np.allclose(sclera, INSIDE, atol=0.1)


def test_shut_eyes_get_colors_in_the_light_of_the_picture() -> None:
    shown = scene(0.0)
    points = shown.landmarks.points.copy()
    points[36:48, 1] = points[36:48, 1].mean()
    _, sclera = eye_colors(shown.picture, shown.fit, Landmarks(points), WHITE * np.float32([1, 0.5, 0.2]))
    assert sclera[0] > sclera[1] > sclera[2] > 0.2
