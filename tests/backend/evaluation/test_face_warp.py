# SPDX-License-Identifier: GPL-3.0-or-later
"""The warp that portraits are measured against, and the regions of a face."""

import numpy as np
import pytest

from blender_demo.backend.evaluation.face_warp import region_masks, warped

from ..portrait.synthetic import scene


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    y, x = np.mgrid[:64, :80]
    return np.stack([0.5 + 0.4 * np.sin(x / 7 + k) * np.cos(y / 9) for k in range(3)], axis=-1)


GRID = np.stack(np.meshgrid(np.linspace(20, 60, 9), np.linspace(16, 48, 7)), axis=-1).reshape(-1, 2)


def test_landmarks_that_stay_leave_the_picture(picture: np.ndarray):
    assert np.abs(warped(picture, GRID, GRID) - picture).max() < 1e-6


def test_what_lies_between_landmarks_goes_with_them_and_the_border_stays(picture: np.ndarray):
    moved = warped(picture, GRID, GRID + np.array([3.0, 2.0]))
    inside = np.abs(moved[22:46, 26:60] - picture[20:44, 23:57])
    assert inside.max() < 1e-6
    assert np.abs(moved[0] - picture[0]).max() < 0.05
    assert np.abs(moved - picture).max() > 0.1


def test_an_affine_motion_is_followed_exactly(picture: np.ndarray):
    y, x = np.mgrid[:64, :80] + 0.5
    plane = np.stack([x / 80, y / 64, (x + y) / 144], axis=-1)
    center = np.array([40.0, 32.0])
    grown = warped(plane, GRID, center + 1.2 * (GRID - center))
    expected = center + (np.stack([x, y], axis=-1) - center) / 1.2
    assert np.allclose(grown[20:44, 28:52, :2], (expected / [80, 64])[20:44, 28:52], atol=1e-4)


def test_regions_hold_their_landmarks_and_lie_in_the_face():
    shown = scene()
    points = shown.landmarks.points
    masks = region_masks(points, *shown.picture.shape[:2])
    for name, rows in {"face": range(68), "mouth": range(48, 68), "eyes": range(36, 48)}.items():
        at = points[list(rows)].astype(int)
        assert masks[name][at[:, 1], at[:, 0]].all()
    assert (masks["mouth"] & ~masks["face"]).sum() == 0
    assert masks["mouth"].sum() + masks["eyes"].sum() < 0.4 * masks["face"].sum()
    nose = points[30].astype(int)
    assert not masks["eyes"][nose[1], nose[0]]
    assert not masks["mouth"][nose[1], nose[0]]
