# SPDX-License-Identifier: GPL-3.0-or-later
"""The head of a portrait is the person at rest, shuts its own lids, and comes back from its file as it was."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender_demo.backend.errors import PortraitError
from blender_demo.backend.head.head_model import HeadModel, load_head
from blender_demo.backend.motion.factors import ARKIT_NAMES
from blender_demo.backend.portrait.person_head import PersonHead
from blender_demo.backend.portrait.portrait import FittedFace, fit_face
from blender_demo.backend.portrait.sculpt import sculpt_head
from tests.backend.portrait.synthetic import scene


@pytest.fixture(scope="module")
def face() -> FittedFace:
    shown = scene(jaw_open=0.25, light_from_left=0.3)
    return fit_face(shown.picture, shown.landmarks)


@pytest.fixture(scope="module")
def person(face: FittedFace) -> PersonHead:
    return sculpt_head(face)


def weights(**values: float) -> np.ndarray:
    return np.array([[values.get(name, 0.0) for name in ARKIT_NAMES]], np.float32)


def test_the_expression_of_the_picture_is_gone_and_its_identity_is_not(face: FittedFace, person: PersonHead) -> None:
    assert face.fit.expression.max() > 0.1
    chosen = load_head().landmarks[17:]  # all but the jaw line, which ends in the hair
    np.testing.assert_allclose(person.model.vertices[chosen], face.fit.person.vertices[chosen], atol=1e-5)


def test_the_scalp_reaches_as_far_as_the_hair_in_the_picture(face: FittedFace, person: PersonHead) -> None:
    head, bare = load_head(), face.fit.person.vertices
    skin = head.vertices_of("skin")
    hair, skull, grown = head.hair_vertices[:, 1].max(), bare[skin, 1].max(), person.model.vertices[skin, 1].max()
    assert hair - skull > 0.008
    assert abs(grown - hair) < 0.005
    chin = bare[skin, 1] < 0.02
    np.testing.assert_allclose(person.model.vertices[skin][chin], bare[skin][chin], atol=1e-6)


def test_teeth_have_the_cast_of_the_white_of_the_eyes(face: FittedFace) -> None:
    warm = sculpt_head(replace(face, color=face.color * np.float32([1.0, 0.8, 0.5])))
    plain = sculpt_head(face)
    assert (
        warm.colors["teeth"][2] / warm.colors["teeth"][0] < 0.75 * plain.colors["teeth"][2] / plain.colors["teeth"][0]
    )


@pytest.mark.parametrize("mode", [4, 5])
@pytest.mark.parametrize("amount", [-2.5, 2.5])
def test_a_whole_blink_shuts_the_lids_of_anybody_as_far(face: FittedFace, mode: int, amount: float) -> None:
    identity = np.zeros_like(face.fit.identity)
    identity[mode] = amount
    shut = weights(eyeBlinkLeft=1.0, eyeBlinkRight=1.0)

    def gap(head: HeadModel) -> np.ndarray:
        upper, lower = (head.displaced(shut, lids)[..., 1] for lids in (head.lid_upper, head.lid_lower))
        return upper.min(axis=-1) - lower.max(axis=-1)

    person = sculpt_head(replace(face, fit=replace(face.fit, identity=identity))).model
    np.testing.assert_allclose(gap(person), gap(load_head()), atol=0.0006)


def test_light_from_one_side_is_taken_out_of_the_skin(face: FittedFace, person: PersonHead) -> None:
    head = load_head()
    x, y, z = head.vertices[head.vertices_of("skin")].T
    cheeks = (np.abs(y) < 0.02) & (z > 0.06) & (np.abs(x) > 0.03)
    pixels = face.fit.project(face.fit.vertices()[head.vertices_of("skin")])[cheeks].astype(int)

    def lopsided(colors: np.ndarray) -> float:
        return abs(np.log(colors[x[cheeks] > 0].mean() / colors[x[cheeks] < 0].mean()))

    pictured = face.color[pixels[:, 1], pixels[:, 0]]
    assert lopsided(pictured) > 0.2
    assert lopsided(person.model.skin_colors[cheeks].astype(float)) < 0.6 * lopsided(pictured)


def test_the_back_of_the_head_has_hair_and_the_nape_and_the_ears_have_skin(person: PersonHead) -> None:
    head = load_head()
    points = head.vertices[head.vertices_of("skin")]
    colors = person.model.skin_colors.astype(float) / 255

    def color_at(*place: float) -> np.ndarray:
        return colors[np.linalg.norm(points - place, axis=1).argsort()[:20]].mean(0)

    cheek, back, nape, ear = (color_at(*at) for at in ((0, 0, 0.1), (0, 0.08, -0.09), (0, -0.07, -0.06), (0.085, 0, 0)))
    assert np.abs(back - [0.25, 0.15, 0.1]).max() < 0.12
    for skin in (nape, ear):
        assert np.abs(skin - cheek).max() < 0.2
        assert skin.mean() > back.mean() + 0.15


def test_a_head_comes_back_from_its_file(person: PersonHead, tmp_path: Path) -> None:
    path = tmp_path / "anna.npz"
    person.save(path)
    again = PersonHead.load(path)
    np.testing.assert_array_equal(again.model.deltas, person.model.deltas)
    np.testing.assert_array_equal(again.texture, person.texture)
    assert again.colors.keys() == person.colors.keys()
    for name, color in person.colors.items():
        np.testing.assert_array_equal(again.colors[name], color)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(PortraitError, match="damaged"):
        PersonHead.load(path)
