# SPDX-License-Identifier: GPL-3.0-or-later
"""The person is cut out, and the plate shows the background where they were."""

import numpy as np
import pytest

from blender_demo.backend.portrait.plate import HIDDEN, Person, complete_plate, find_person
from tests.backend.portrait.synthetic import Scene, scene


@pytest.fixture(scope="module")
def shown() -> Scene:
    return scene(0.2)


@pytest.fixture(scope="module")
def person(shown: Scene) -> Person:
    return find_person(shown.picture, shown.fit)


def test_the_cut_out_is_the_person(shown: Scene, person: Person) -> None:
    above = person.follows > 0.5
    found, true = person.alpha[above] > 0.5, shown.person[above] > 0.5
    assert (found & true).sum() / (found | true).sum() > 0.97


def test_wild_hair_that_the_model_does_not_have_is_cut_out_too(shown: Scene) -> None:
    picture, true = shown.picture.copy(), shown.person > 0.5
    row, column = np.indices(true.shape)
    hair = ((row - 70) ** 2 + (column - 128) ** 2 < 50**2) & ~true
    picture[hair] = [0.25, 0.15, 0.1]
    found = find_person(picture, shown.fit).alpha > 0.5
    assert found[hair].mean() > 0.9


def test_shoulders_follow_less_and_less(shown: Scene, person: Person) -> None:
    x, y = shown.landmarks.points[8].astype(int)
    assert (person.cutout[y - 40 : y, x] > 0.99).all()
    column = person.follows[y:, x]
    assert (np.diff(column) <= 1e-6).all()
    assert column[-1] < 0.7


def test_the_plate_is_the_picture_away_from_the_head(shown: Scene, person: Person) -> None:
    plate = complete_plate(shown.picture, person)[0]
    away = np.zeros_like(person.alpha, bool)
    away[:, :20] = away[:, -20:] = True
    assert np.array_equal(plate[away], shown.picture[away])
    stays = person.follows < HIDDEN[0]
    assert np.array_equal(plate[stays], shown.picture[stays])


def test_what_moves_leaves_nothing_of_itself_on_the_plate(shown: Scene, person: Person) -> None:
    plate = complete_plate(shown.picture, person)[0]
    neck = (person.follows > HIDDEN[1]) & (person.follows < 0.95) & (shown.person == 1)
    assert neck.sum() > 300
    assert np.abs(plate - shown.background).max(-1)[neck].mean() < 0.06


def test_the_person_is_cut_out_whole_and_without_the_background(shown: Scene, person: Person) -> None:
    _, alone = complete_plate(shown.picture, person)
    found, true = alone[..., 3] > 0.5, shown.person > 0.5
    assert (found & true).sum() / (found | true).sum() > 0.95
    edge = (alone[..., 3] > 0.3) & (alone[..., 3] < 0.8)
    assert edge.sum() > 50
    behind = alone[..., :3] + (1 - alone[..., 3:]) * shown.background
    assert np.abs(behind - shown.picture)[edge].mean() < 0.04


def test_a_matte_that_is_given_is_the_cut_out(shown: Scene) -> None:
    assert np.array_equal(find_person(shown.picture, shown.fit, shown.person).alpha, shown.person)


def test_the_plate_is_the_background_behind_the_head(shown: Scene, person: Person) -> None:
    plate = complete_plate(shown.picture, person)[0]
    behind = (person.follows == 1) & (shown.person > 0)
    assert behind.sum() > 5000
    error = np.abs(plate - shown.background).max(-1)[behind]
    assert np.percentile(error, 95) < 0.04
    assert error.max() < 0.15


def test_grain_of_the_background_goes_on_behind_the_edge_of_the_head(shown: Scene, person: Person) -> None:
    grain = np.random.default_rng(0).normal(0, 0.02, shown.picture.shape).astype(np.float32)
    plate = complete_plate((shown.picture + grain).clip(0, 1), person)[0]
    true = shown.person > 0.5
    edge = true & ~np.roll(true, 4, axis=1) & (person.follows == 1)
    assert edge.sum() > 100
    assert 0.012 < (plate - shown.background)[edge].std() < 0.03


def test_a_picture_full_of_person_is_its_own_plate(shown: Scene) -> None:
    everywhere = Person(np.ones_like(shown.person), np.ones_like(shown.person), 100.0)
    assert np.array_equal(complete_plate(shown.picture, everywhere)[0], shown.picture)
