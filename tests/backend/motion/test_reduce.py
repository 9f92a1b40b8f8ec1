# SPDX-License-Identifier: GPL-3.0-or-later
"""What key reduction promises: a bound on the error, the ends kept, few keys."""

import numpy as np
import pytest

from blender_demo.backend.errors import ClipError
from blender_demo.backend.motion.reduce import reduce_curves, reduce_keys


def rebuilt(values, keys):
    """The curve as Blender draws it: straight between the keys."""
    return np.interp(np.arange(len(values)), keys, values[keys])


def motion(seed: int, frames: int) -> np.ndarray:
    """A curve with rests, ramps, smooth parts, jitter and jumps, in random order and size."""
    rng = np.random.default_rng(seed)
    parts = [np.zeros(1)]
    while sum(map(len, parts)) < frames:
        n = int(rng.integers(1, 90))
        start, size, u = parts[-1][-1], rng.normal() * 10.0 ** rng.uniform(-3, 1), np.arange(1, n + 1) / n
        kinds = (0.0 * u, size * u, size * np.sin(rng.uniform(1, 20) * u), size * rng.normal(size=n), size + 0.0 * u)
        parts.append(start + kinds[rng.integers(len(kinds))])
    return np.concatenate(parts)[:frames]


@pytest.mark.parametrize("tolerance", [1e-6, 1e-3, 0.005, 0.05, 1.0])
@pytest.mark.parametrize("seed", range(12))
def test_error_never_exceeds_the_tolerance(seed, tolerance):
    values = motion(seed, int(np.random.default_rng(seed).integers(3, 3000)))
    keys = reduce_keys(values, tolerance)
    assert np.abs(rebuilt(values, keys) - values).max() <= tolerance


@pytest.mark.parametrize("seed", range(12))
def test_keys_ascend_and_keep_both_ends(seed):
    values = motion(seed, 1 + 200 * seed)
    keys = reduce_keys(values, 0.01)
    assert keys[0] == 0
    assert keys[-1] == len(values) - 1
    assert (np.diff(keys) > 0).all()


@pytest.mark.parametrize("frames", [1, 2, 3, 511, 512, 513, 1023, 1024, 1025])
def test_any_length_works(frames):
    values = np.random.default_rng(frames).normal(size=frames)
    assert np.abs(rebuilt(values, reduce_keys(values, 0.3)) - values).max() <= 0.3
    np.testing.assert_array_equal(reduce_keys(values, 0.0), np.arange(frames))


@pytest.mark.parametrize("frames", [2, 100, 5000])
def test_a_straight_curve_keeps_its_ends_only(frames):
    for values in (np.full(frames, 0.25), np.linspace(-1.0, 2.0, frames)):
        assert reduce_keys(values, 1e-6).tolist() == [0, frames - 1]


def test_a_corner_keeps_its_key():
    values = np.abs(np.arange(-700, 701)) / 700.0
    keys = reduce_keys(values, 1e-4)
    assert 700 in keys
    assert len(keys) <= 8


def test_a_single_closed_frame_between_open_ones_is_kept():
    values = np.full(200, 0.5)
    values[97] = 0.0
    assert rebuilt(values, reduce_keys(values, 0.01))[97] <= 0.01


def test_smooth_motion_needs_few_keys():
    values = 0.5 + 0.4 * np.sin(np.arange(3000) * 2 * np.pi / 90)
    assert len(reduce_keys(values, 0.005)) < len(values) / 5


def test_more_tolerance_needs_fewer_keys():
    values = motion(3, 2000)
    counts = [len(reduce_keys(values, tolerance)) for tolerance in (0.001, 0.01, 0.1, 1.0)]
    assert counts == sorted(counts, reverse=True)


def test_curves_side_by_side_are_reduced_as_if_alone():
    values = np.stack([motion(seed, 1300) for seed in range(9)], axis=1).astype(np.float32)
    tolerances = np.geomspace(1e-3, 0.1, 9)
    for column, tolerance, keys in zip(values.T, tolerances, reduce_curves(values, tolerances), strict=True):
        np.testing.assert_array_equal(keys, reduce_keys(column, tolerance))
        assert np.abs(rebuilt(column.astype(np.float64), keys) - column).max() <= tolerance


def test_nothing_in_gives_nothing_out():
    assert reduce_curves(np.zeros((10, 0)), 0.1) == []
    assert reduce_keys(np.zeros(0), 0.1).tolist() == []


@pytest.mark.parametrize(("values", "tolerance"), [([0.0, np.nan, 1.0], 0.1), ([0.0, 1.0, 0.0], -0.1)])
def test_what_is_no_number_is_refused(values, tolerance):
    with pytest.raises(ClipError, match="tolerance"):
        reduce_keys(np.array(values), tolerance)
