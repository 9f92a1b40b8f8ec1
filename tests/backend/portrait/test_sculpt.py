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
from blender_demo.backend.portrait.portrait import Portrait, build_portrait
from blender_demo.backend.portrait.sculpt import sculpt_head
from tests.backend.portrait.synthetic import scene


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    shown = scene(jaw_open=0.25, light_from_left=0.3)
    return build_portrait(shown.picture, shown.landmarks)


@pytest.fixture(scope="module")
def person(portrait: Portrait) -> PersonHead:
    return sculpt_head(portrait)


def weights(**values: float) -> np.ndarray:
    return np.array([[values.get(name, 0.0) for name in ARKIT_NAMES]], np.float32)


def test_the_expression_of_the_picture_is_gone_and_its_identity_is_not(portrait: Portrait, person: PersonHead) -> None:
    assert portrait.fit.expression.max() > 0.1
    np.testing.assert_allclose(person.model.vertices, portrait.fit.person.vertices, atol=1e-6)


@pytest.mark.parametrize("mode", [4, 5])
@pytest.mark.parametrize("amount", [-2.5, 2.5])
def test_a_whole_blink_shuts_the_lids_of_anybody_as_far(portrait: Portrait, mode: int, amount: float) -> None:
    identity = np.zeros_like(portrait.fit.identity)
    identity[mode] = amount
    shut = weights(eyeBlinkLeft=1.0, eyeBlinkRight=1.0)

    def gap(head: HeadModel) -> np.ndarray:
        upper, lower = (head.displaced(shut, lids)[..., 1] for lids in (head.lid_upper, head.lid_lower))
        return upper.min(axis=-1) - lower.max(axis=-1)

    person = sculpt_head(replace(portrait, fit=replace(portrait.fit, identity=identity))).model
    np.testing.assert_allclose(gap(person), gap(load_head()), atol=0.0006)


def test_light_from_one_side_is_taken_out_of_the_skin(portrait: Portrait, person: PersonHead) -> None:
    size = len(person.texture)
    cheeks = slice(int(0.40 * size), int(0.48 * size))

    def lopsided(texture: np.ndarray) -> float:
        left, right = (texture[cheeks, columns].mean() for columns in (slice(size // 2, int(0.6 * size)),
                                                                       slice(int(0.4 * size), size // 2)))  # fmt: skip
        return abs(np.log(left / right))

    assert lopsided(person.texture.astype(float)) < 0.6 * lopsided(portrait.texture)


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
