# SPDX-License-Identifier: GPL-3.0-or-later
"""Faces are found where they are, or the artist learns why not."""

import sys

import numpy as np
import pytest

from blender_demo.backend.errors import PortraitError
from blender_demo.backend.portrait.landmarks import MAIN_POINTS, Landmarks, find_landmarks
from blender_demo.backend.portrait.picture import read_picture

RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)


def test_landmarks_survive_their_file(tmp_path) -> None:
    random = np.random.default_rng(0)
    seen = Landmarks(random.uniform(0, 500, (68, 2)).astype(np.float32), np.ones((2, 5, 2), np.float32))
    seen.save(tmp_path / "face.json")
    again = Landmarks.load(tmp_path / "face.json")
    np.testing.assert_allclose(again.points, seen.points, atol=0.01)
    np.testing.assert_allclose(again.iris, seen.iris)
    Landmarks(seen.points).save(tmp_path / "face.json")
    assert Landmarks.load(tmp_path / "face.json").iris is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"points": [[1, 2]]}',
        '{"points": "abc"}',
        '{"points": [[NaN, 1]]}',
        '{"points": [[1, 2, 3]]}',
        '{"points": {"whisker": [1, 2]}}',
        '{"points": {"chin": [1, "2"]}}',
        '{"points": {"68": [1, 2]}}',
        '{"points": {"chin": null}}',
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, content: str) -> None:
    path = tmp_path / "face.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(PortraitError, match=r"face\.json"):
        Landmarks.load(path)


def test_what_is_unknown_or_placed_by_hand_survives_the_file(tmp_path) -> None:
    points, iris = np.ones((68, 2), np.float32), np.full((2, 5, 2), np.nan, np.float32)
    points[5], iris[0, 0] = np.nan, (3.5, 4.25)
    Landmarks(points, iris, by_hand=True).save(tmp_path / "face.json")
    again = Landmarks.load(tmp_path / "face.json")
    np.testing.assert_array_equal(again.points, points)
    np.testing.assert_array_equal(again.iris, iris)
    assert again.by_hand


def test_a_few_points_have_names_or_numbers(tmp_path) -> None:
    path = tmp_path / "cat.json"
    path.write_text('{"points": {"chin": [5, 9], "62": [4, 6.5], "pupil_left": [7, 3], "pupil_right": [2, 3]}}')
    cat = Landmarks.load(path)
    assert cat.by_hand
    assert np.flatnonzero(np.isfinite(cat.points).all(axis=1)).tolist() == [8, 62]
    assert cat.points[62].tolist() == [4, 6.5]
    assert cat.eye_distance == 5
    assert cat.iris is not None
    assert np.isnan(cat.iris[:, 1:]).all()


def test_every_main_point_has_a_partner_on_the_other_side() -> None:
    mirrored = {name.replace("right", "LEFT").replace("left", "right").replace("LEFT", "left") for name in MAIN_POINTS}
    assert mirrored == set(MAIN_POINTS)
    assert len(set(MAIN_POINTS.values())) == len(MAIN_POINTS)


def test_a_missing_file_is_refused_by_name(tmp_path) -> None:
    with pytest.raises(PortraitError, match=r"none\.json"):
        Landmarks.load(tmp_path / "none.json")


def test_without_mediapipe_the_remedy_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(PortraitError, match="placed by hand"):
        find_landmarks(np.zeros((100, 100, 3), np.float32))


@pytest.fixture
def astronaut(shared_data) -> np.ndarray:
    pytest.importorskip("mediapipe", reason="needs MediaPipe")
    return read_picture(shared_data / "portraits" / "astronaut.png")[0]


def test_every_landmark_lies_where_its_name_says(astronaut) -> None:
    found = find_landmarks(astronaut)
    points, iris = found.points, found.iris
    assert iris is not None
    right, left = points[RIGHT_EYE].mean(axis=0), points[LEFT_EYE].mean(axis=0)
    assert right[0] < points[30, 0] < left[0]
    assert points[17:27, 1].max() < min(right[1], left[1]) < points[30, 1] < points[33, 1] < points[48:68, 1].min()
    assert points[8, 1] == points[:, 1].max()
    for eye, ring in ((left, iris[0]), (right, iris[1])):
        assert np.linalg.norm(ring[0] - eye) < 0.1 * found.eye_distance
        assert ring[1, 0] > ring[0, 0] > ring[3, 0]
        assert ring[2, 1] < ring[0, 1] < ring[4, 1]


def test_a_mirrored_picture_gives_mirrored_landmarks(astronaut) -> None:
    found = find_landmarks(astronaut)
    mirrored = find_landmarks(astronaut[:, ::-1])
    chin = mirrored.points[8] * (-1, 1) + (astronaut.shape[1], 0)
    assert np.linalg.norm(chin - found.points[8]) < 0.1 * found.eye_distance


def test_a_picture_on_its_head_is_refused_and_one_on_its_side_is_not(astronaut) -> None:
    with pytest.raises(PortraitError, match="upside down"):
        find_landmarks(astronaut[::-1, ::-1])
    found, turned = find_landmarks(astronaut), find_landmarks(np.rot90(astronaut))
    upright = np.stack([astronaut.shape[1] - turned.points[:, 1], turned.points[:, 0]], axis=1)
    assert np.linalg.norm(upright - found.points, axis=1).mean() < 0.06 * found.eye_distance


def test_a_picture_without_a_face_is_refused(astronaut) -> None:
    with pytest.raises(PortraitError, match="No face"):
        find_landmarks(np.full((256, 256, 3), 0.5, np.float32))


def test_two_faces_are_refused(astronaut) -> None:
    with pytest.raises(PortraitError, match="2 faces"):
        find_landmarks(np.concatenate([astronaut, astronaut], axis=1))


def test_a_small_face_is_refused(astronaut) -> None:
    with pytest.raises(PortraitError, match="pixels high"):
        find_landmarks(astronaut[::2, ::2])


def test_a_face_in_a_wide_picture_is_found_as_exactly(astronaut) -> None:
    wide = np.pad(astronaut, ((300, 0), (200, 700), (0, 0)), mode="edge")
    found, again = find_landmarks(astronaut), find_landmarks(wide)
    miss = np.linalg.norm(again.points - (200, 300) - found.points, axis=1)
    assert miss.mean() < 0.02 * found.eye_distance
