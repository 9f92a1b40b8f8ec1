# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys go into a range of a curve, and outside of it nothing is seen of that."""

import bpy
import numpy as np
import pytest

from blender_demo import compat
from blender_demo.scene.splice import read_points, splice, write_points

pytestmark = pytest.mark.matrix

FRAMES = np.arange(-60, 200)
KEYS = {-20: 0.3, 3: 0.9, 30: 0.1, 47: 0.8, 70: 0.75, 101: 0.2, 140: 0.6}


def _curve(interpolation: str, handles: str = "AUTO_CLAMPED", smoothing: str = "CONT_ACCEL", keys=KEYS):
    curves, _ = compat.new_curves(bpy.data.actions.new("Artist"), "OBJECT", "Cube")
    curve = curves.new("location", index=0)
    curve.auto_smoothing = smoothing
    for frame, value in keys.items():
        point = curve.keyframe_points.insert(frame, value)
        point.interpolation, point.handle_left_type, point.handle_right_type = interpolation, handles, handles
    curve.update()
    return curve


def _values(curve, frames=FRAMES):
    return np.array([curve.evaluate(frame) for frame in frames])


def _outside(first: int, last: int):
    return np.isin(FRAMES, np.arange(first + 1, last), invert=True)


def _splice(curve, first: int, last: int, interpolation: str = "LINEAR") -> None:
    """Lay a hill over the frames between the seams `first` and `last`."""
    frames = np.arange(first, last + 1.0)
    values = 0.5 + 2.0 * np.sin(np.linspace(0.0, np.pi, len(frames)))
    values[[0, -1]] = curve.evaluate(first), curve.evaluate(last)
    write_points(curve, splice(curve, frames, values, interpolation))


@pytest.mark.parametrize(
    ("interpolation", "handles"),
    [
        *(("BEZIER", handles) for handles in ("AUTO_CLAMPED", "AUTO", "VECTOR", "ALIGNED", "FREE")),
        *((interpolation, "AUTO_CLAMPED") for interpolation in ("LINEAR", "CONSTANT", "BOUNCE", "ELASTIC")),
    ],
)
@pytest.mark.parametrize(
    ("first", "last"), [(40, 80), (47, 70), (40, 70), (-50, -30), (150, 170), (-50, 60), (10, 20), (-60, 199)]
)
def test_every_frame_outside_evaluates_as_before(interpolation: str, handles: str, first: int, last: int) -> None:
    curve = _curve(interpolation, handles)
    before, outside = _values(curve), _outside(first, last)
    _splice(curve, first, last)
    after = _values(curve)
    assert np.allclose(after[outside], before[outside], atol=1e-6)
    assert np.abs(after - before)[~outside].max() > 0.5
    curve.update()  # as when the artist touches it next
    assert np.allclose(_values(curve)[outside], before[outside], atol=2e-5)


@pytest.mark.parametrize("smoothing", ["NONE", "CONT_ACCEL"])
def test_the_artists_keys_outside_are_kept_to_the_bit(smoothing: str) -> None:
    curve = _curve("BEZIER", "AUTO_CLAMPED", smoothing)
    old = read_points(curve)
    _splice(curve, 40, 80)
    new = read_points(curve)
    at = new["co"][:, 0].tolist()
    for index, frame in enumerate(KEYS):
        if 40 < frame < 80:
            continue
        found, touched = at.index(frame), {30: "handle_right", 101: "handle_left"}.get(frame)
        for name in old:
            if name != touched and not (touched and name.endswith("_type")):
                assert np.array_equal(old[name][index], new[name][found]), (frame, name)


@pytest.mark.parametrize("extrapolation", ["CONSTANT", "LINEAR"])
@pytest.mark.parametrize(("first", "last"), [(-50, -30), (150, 170), (-50, 170)])
def test_beyond_the_outer_keys_the_curve_goes_on_as_before(extrapolation: str, first: int, last: int) -> None:
    curve = _curve("BEZIER", "FREE")
    curve.extrapolation = extrapolation
    before, outside = _values(curve), _outside(first, last)
    _splice(curve, first, last)
    assert np.allclose(_values(curve)[outside], before[outside], atol=1e-5)


def test_putting_in_the_same_again_changes_nothing() -> None:
    curve = _curve("BEZIER")
    _splice(curve, 40, 80)
    once = read_points(curve)
    _splice(curve, 40, 80)
    again = read_points(curve)
    for name in ("co", "handle_left", "handle_right", "interpolation"):
        assert np.array_equal(once[name], again[name]), name


@pytest.mark.parametrize("interpolation", ["LINEAR", "BEZIER", "CONSTANT"])
def test_inside_the_range_the_new_keys_are_seen(interpolation: str) -> None:
    curve = _curve("BEZIER")
    frames = np.arange(40.0, 81.0)
    values = np.linspace(0.0, 3.0, 41) ** 2
    values[[0, -1]] = curve.evaluate(40), curve.evaluate(80)
    write_points(curve, splice(curve, frames, values, interpolation))
    assert np.allclose(_values(curve, frames), values, atol=1e-5)
