# SPDX-License-Identifier: GPL-3.0-or-later
"""Points that an artist placed are told from those that nobody has looked at."""

import numpy as np
import pytest

from blender_demo.backend.portrait.placing import POINTS, as_landmarks, as_points, known_points, placed_points

START = np.random.default_rng(0).uniform(0, 500, (POINTS, 2))
MOVED = [8, 30, 48, 54, 68]
WAYS = {
    "not at all": np.eye(2),
    "turned": np.array([[0.9, -0.3], [0.3, 0.9]]),
    "wider": np.diag([1.6, 0.8]),
}


def moved(rows: list[int], way: np.ndarray | None = None, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    now = START @ (np.eye(2) if way is None else way).T + shift
    now[rows] += np.random.default_rng(1).uniform(5, 40, (len(rows), 2))
    return now


def test_nothing_is_placed_where_nothing_was_moved() -> None:
    placed, whole = placed_points(START, START + 0.1)
    assert not placed.any()
    assert not whole


@pytest.mark.parametrize("way", WAYS)
def test_points_are_placed_that_moved_by_themselves(way: str) -> None:
    placed, whole = placed_points(START, moved(MOVED, WAYS[way], (0, 0) if way == "not at all" else (40, -20)))
    assert np.flatnonzero(placed).tolist() == MOVED
    assert whole == (way != "not at all")


def test_every_point_is_placed_where_all_go_their_own_way() -> None:
    placed, whole = placed_points(START, moved(list(range(POINTS))))
    assert placed.all()
    assert not whole


def test_of_a_mean_face_only_what_was_placed_is_known() -> None:
    placed, _ = placed_points(START, moved(MOVED))
    assert np.flatnonzero(known_points(placed, False, found=False)).tolist() == MOVED
    nothing = np.zeros(POINTS, bool)
    assert not known_points(nothing, False, found=False).any()
    assert known_points(nothing, True, found=False).all()  # the artist laid the whole face onto the picture


def test_of_a_found_face_the_parts_that_were_left_alone_are_known_too() -> None:
    placed, _ = placed_points(START, moved([8, 51]))
    unknown = np.flatnonzero(~known_points(placed, False, found=True)).tolist()
    assert unknown == [*range(8), *range(9, 17), *range(48, 51), *range(52, 68)]


def test_points_and_landmarks_are_the_same() -> None:
    known = np.zeros(POINTS, bool)
    known[MOVED] = True
    landmarks = as_landmarks(START, known, by_hand=True)
    assert landmarks.by_hand
    assert np.flatnonzero(np.isfinite(landmarks.points).all(axis=1)).tolist() == MOVED[:-1]
    np.testing.assert_allclose(as_points(landmarks)[MOVED], START[MOVED], rtol=1e-6)
    known[68:] = False
    assert as_landmarks(START, known, by_hand=True).iris is None
