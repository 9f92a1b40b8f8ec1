# SPDX-License-Identifier: GPL-3.0-or-later
"""The points of a face are put where it is, as far as anybody knows."""

import sys
from pathlib import Path

import numpy as np
import pytest

from blender_demo.backend.errors import PortraitError
from blender_demo.backend.portrait.landmarks import Landmarks
from blender_demo.backend.portrait.order import PointsOrder
from blender_demo.backend.portrait.picture import read_picture
from blender_demo.backend.portrait.place import place_points
from blender_demo.backend.portrait.png import encode_png
from tests.backend.portrait.synthetic import scene


def silent(_stage: str, _fraction: float) -> None:
    pass


@pytest.fixture
def order(tmp_path: Path) -> PointsOrder:
    """The head model in a picture; nothing is known of it."""
    (tmp_path / "head.png").write_bytes(encode_png(np.round(scene().picture * 255).astype(np.uint8)))
    return PointsOrder(str(tmp_path / "head.png"), "", str(tmp_path / "all.json"), str(tmp_path / "preview.png"))


def test_without_mediapipe_a_mean_face_lies_in_the_middle(order: PointsOrder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    result = place_points(order, silent)
    assert not result.found
    assert "head.png: MediaPipe" in result.notes[0]
    assert "mean face" in result.notes[0]
    landmarks = Landmarks.load(Path(order.out))
    landmarks.check(result.width, result.height)
    landmarks.check_size()
    assert np.abs((landmarks.points.min(0) + landmarks.points.max(0)) / 2 - 128).max() < 10
    assert not landmarks.by_hand
    preview, _ = read_picture(Path(order.preview))
    np.testing.assert_allclose(preview, scene().picture, atol=0.003)


def test_the_rest_is_put_where_the_head_has_it(order: PointsOrder, tmp_path: Path) -> None:
    true = scene().landmarks.points
    points = np.full((68, 2), np.nan, np.float32)
    few = [8, 19, 24, 30, 36, 39, 42, 45, 48, 51, 54, 57, 62, 66]
    points[few] = true[few]
    Landmarks(points, by_hand=True).save(tmp_path / "few.json")
    result = place_points(PointsOrder(order.image, str(tmp_path / "few.json"), order.out), silent)
    assert result.found
    assert not result.notes
    placed = Landmarks.load(Path(order.out))
    np.testing.assert_allclose(placed.points[few], true[few], atol=0.01)
    assert np.linalg.norm(placed.points - true, axis=1)[17:].mean() < 0.02 * scene().landmarks.eye_distance
    assert placed.iris is not None
    assert scene().landmarks.iris is not None
    assert np.linalg.norm(placed.iris - scene().landmarks.iris, axis=-1).max() < 0.1 * scene().landmarks.eye_distance
    assert placed.by_hand


def test_too_few_points_are_refused_and_nothing_is_written(order: PointsOrder, tmp_path: Path) -> None:
    (tmp_path / "few.json").write_text('{"points": {"chin": [100, 200]}}', encoding="utf-8")
    with pytest.raises(PortraitError, match="right eye"):
        place_points(PointsOrder(order.image, str(tmp_path / "few.json"), order.out), silent)
    assert not Path(order.out).exists()


def test_a_face_that_is_seen_gets_its_own_points(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("mediapipe", reason="needs MediaPipe")
    picture = shared_data / "portraits" / "astronaut.png"
    result = place_points(PointsOrder(str(picture), "", str(tmp_path / "all.json")), silent)
    assert result.found
    assert not result.notes
    landmarks = Landmarks.load(tmp_path / "all.json")
    assert not landmarks.by_hand
    assert landmarks.iris is not None
    assert np.linalg.norm(landmarks.iris[1, 0] - landmarks.eyes[0]) < 0.1 * landmarks.eye_distance
