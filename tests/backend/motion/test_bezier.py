# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a Bezier curve beforehand is what Blender makes of it."""

from typing import Any

import bpy
import numpy as np
import pytest
from numpy.typing import NDArray

from blender_demo import compat
from blender_demo.backend.motion.bezier import auto_clamped, evaluate, reduce_bezier, split

pytestmark = pytest.mark.matrix


def _in_blender(frames: NDArray[np.float64], values: NDArray[np.float64], kind: str = "AUTO_CLAMPED") -> Any:
    curves, _ = compat.new_curves(bpy.data.actions.new("Bezier"), "OBJECT", "Cube")
    curve = curves.new("location", index=0)
    curve.auto_smoothing = "NONE"
    for frame, value in zip(frames, values, strict=True):
        point = curve.keyframe_points.insert(frame, value)
        point.interpolation, point.handle_left_type, point.handle_right_type = "BEZIER", kind, kind
    curve.update()
    return curve


def _uneven_keys(seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    random = np.random.default_rng(seed)
    frames = 1.0 + np.cumsum(random.choice([1, 1, 2, 3, 9, 40], 40)).astype(np.float64)
    values = random.uniform(0.0, 1.0, 40)
    values[10:14] = values[10]
    return frames, np.where(np.arange(40) % 5 == 0, np.round(values), values)


@pytest.mark.parametrize("seed", range(6))
def test_handles_and_values_are_those_of_blender(seed: int) -> None:
    frames, values = _uneven_keys(seed)
    curve = _in_blender(frames, values)
    left, right = auto_clamped(frames, values)
    for point, before, after in zip(curve.keyframe_points, left, right, strict=True):
        assert tuple(point.handle_left) == pytest.approx(tuple(before), abs=1e-4)
        assert tuple(point.handle_right) == pytest.approx(tuple(after), abs=1e-4)
    at = np.arange(frames[0], frames[-1] + 0.5, 0.5)
    assert np.allclose(evaluate(frames, values, at), [curve.evaluate(frame) for frame in at], atol=4e-6)


@pytest.mark.parametrize("start", [0.0, 18000.5])
@pytest.mark.parametrize("tolerance", [0.0, 0.002, 0.02])
def test_reduced_curves_stay_within_the_tolerance_in_blender(tolerance: float, start: float) -> None:
    frames = start + np.arange(200.0)
    values = np.abs(np.sin((frames - start) / 9.0)) * (1.0 + 0.3 * np.sin((frames - start) / 2.0))
    keys = reduce_bezier(frames, values, tolerance, np.zeros(200, dtype=bool))
    curve = _in_blender(frames[keys], values[keys])
    error = np.abs(np.array([curve.evaluate(frame) for frame in frames]) - values)
    assert error.max() <= tolerance + (1e-6 if tolerance == 0.0 else 0.0)
    assert len(keys) < 200 or tolerance == 0.0


def test_both_parts_of_a_cut_segment_have_its_shape() -> None:
    segment = np.array([[0.0, 0.0], [9.0, 2.0], [12.0, -1.0], [20.0, 1.0]])
    first, second = split(segment, 7.0)
    assert np.array_equal(first[0], segment[0])
    assert np.array_equal(second[3], segment[3])
    assert np.allclose(first[3], second[0])
    assert first[3, 0] == pytest.approx(7.0, abs=1e-9)
    again = split(split(segment, 3.0)[1], 7.0)
    assert np.allclose(again[0][3], first[3], atol=1e-9)
