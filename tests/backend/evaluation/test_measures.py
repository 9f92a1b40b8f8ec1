# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures on tracks whose figures are known beforehand."""

import numpy as np
import pytest

from blender_demo.backend.evaluation.measures import (
    aperture,
    auc,
    blinks,
    closure_precision,
    closure_recall,
    concordance,
    energy_split,
    jerk,
    lag_moments,
    lag_of_best_correlation,
    lip_vertex_error,
    pearson,
    rounding,
)
from blender_demo.backend.evaluation.phones import GRID_S, expected_aperture, frame_phones
from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.motion.factors import ARKIT_NAMES, CHANNEL_INDEX, CHANNELS

FPS = 30.0
PHONES = (
    ("SIL", 0.0, 0.5), ("HH", 0.5, 0.6), ("AA", 0.6, 1.0), ("P", 1.0, 1.1), ("IY", 1.1, 1.5), ("F", 1.5, 1.6),
    ("AE", 1.6, 2.1), ("M", 2.1, 2.2), ("UW", 2.2, 2.5), ("SIL", 2.5, 3.0),
)  # fmt: skip
TIMES = np.arange(90) / FPS


def posed(**weights: float) -> np.ndarray:
    """One frame of full channels (1, 60)."""
    out = np.zeros((1, len(CHANNELS)), np.float32)
    for name, value in weights.items():
        out[0, CHANNEL_INDEX[name]] = value
    return out


def opening_shut_at(*intervals: tuple[float, float]) -> np.ndarray:
    """An opening of 0.2 from 0.5 to 2.5 s, but for the given intervals, and 0 elsewhere."""
    opening = np.where((TIMES >= 0.5) & (TIMES < 2.5), 0.2, 0.0)
    for start, end in intervals:
        opening[(start <= TIMES) & (end >= TIMES)] = 0.0
    return opening


def test_auc_is_one_when_all_scores_lie_higher_a_half_for_ties_and_zero_the_other_way_round():
    assert auc(np.array([3.0, 2.0]), np.array([1.0, 0.0, -1.0])) == 1.0
    assert auc(np.array([1.0, 1.0]), np.array([1.0, 1.0, 1.0])) == 0.5
    assert auc(np.array([0.0]), np.array([1.0, 2.0])) == 0.0
    assert auc(np.array([1.0, 3.0]), np.array([2.0])) == 0.5


def test_auc_of_nothing_is_no_number():
    assert auc(np.array([]), np.array([1.0])) is None


def test_the_jaw_opens_the_lips_and_mouth_close_shuts_them():
    assert aperture(posed(jawOpen=0.5))[0] > 0.1
    assert aperture(posed(jawOpen=0.5, mouthClose=0.5))[0] < 0.01


def test_pucker_rounds_and_stretch_spreads():
    assert rounding(posed(mouthPucker=0.5))[0] > 0.05
    assert rounding(posed(mouthStretchLeft=0.5, mouthStretchRight=0.5))[0] < -0.02
    assert abs(rounding(posed())[0]) < 1e-6


def test_lip_vertex_error_is_the_largest_displacement_over_mouth_width():
    head = load_head()
    lips = np.unique(np.concatenate([head.lip_upper.ravel(), head.lip_lower.ravel(), head.lip_loop]))
    moved = 0.3 * np.linalg.norm(head.deltas[ARKIT_NAMES.index("jawOpen"), lips], axis=1).max()
    error = lip_vertex_error(posed(jawOpen=0.5), posed(jawOpen=0.2))
    np.testing.assert_allclose(error, 100 * moved / head.mouth_width, rtol=1e-4)


def test_concordance_counts_scale_and_offset_while_correlation_does_not():
    a = np.sin(TIMES)
    assert pearson(a, 2 * a + 1) == pytest.approx(1.0)
    assert concordance(a, a) == pytest.approx(1.0)
    shifted = concordance(a, a + 1)
    assert shifted == pytest.approx(2 * a.var() / (2 * a.var() + 1))


def test_pearson_of_a_still_track_is_zero():
    assert pearson(np.zeros(90), np.sin(TIMES)) == 0.0


def test_a_closure_within_40_ms_counts_and_one_further_off_does_not():
    assert closure_recall(opening_shut_at((1.0, 1.1), (2.1, 2.2)), PHONES, FPS) == (2, 2)
    assert closure_recall(opening_shut_at((1.13, 1.14)), PHONES, FPS) == (1, 2)
    assert closure_recall(opening_shut_at((1.16, 1.24)), PHONES, FPS) == (0, 2)


def test_lips_that_never_open_have_no_closures():
    assert closure_recall(np.zeros(90), PHONES, FPS) == (0, 2)


def test_only_closures_inside_speech_and_near_a_labial_are_right():
    assert closure_precision(opening_shut_at((1.0, 1.1), (1.5, 1.6)), PHONES, FPS) == (2, 2)
    assert closure_precision(opening_shut_at((1.0, 1.1), (1.2, 1.3)), PHONES, FPS) == (1, 2)
    assert closure_precision(opening_shut_at((1.12, 1.3)), PHONES, FPS) == (1, 1)
    assert closure_precision(opening_shut_at((0.4, 0.7)), PHONES, FPS) == (0, 0)


def test_closures_without_any_labial_are_all_wrong():
    assert closure_precision(opening_shut_at((1.0, 1.1)), (("AA", 0.5, 2.5),), FPS) == (0, 1)


@pytest.mark.parametrize("late_s", [0.04, -0.1, 0.0])
def test_the_lag_of_lips_that_follow_the_phones_is_found_exactly(late_s):
    expected = expected_aperture(PHONES, 3.0)
    opening = np.interp(TIMES - late_s, np.arange(len(expected)) * GRID_S, expected)
    lag = lag_of_best_correlation(lag_moments(opening, PHONES, FPS))
    assert lag == pytest.approx(late_s, abs=1e-9)


def test_lags_pool_over_clips_by_adding_moments():
    expected = expected_aperture(PHONES, 3.0)
    grid = np.arange(len(expected)) * GRID_S
    moments = [lag_moments(np.interp(TIMES - 0.04, grid, k * expected), PHONES, FPS) for k in (1.0, 3.0)]
    assert lag_of_best_correlation(moments[0] + moments[1]) == pytest.approx(0.04, abs=1e-9)


def test_still_lips_have_no_lag():
    assert lag_of_best_correlation(lag_moments(np.zeros(90), PHONES, FPS)) is None


def test_expected_aperture_is_low_at_closures_and_high_at_open_vowels():
    expected = expected_aperture(PHONES, 3.0)
    at_p, at_aa = (round(middle / GRID_S) for middle in (1.05, 0.8))
    np.testing.assert_allclose(expected[[0, at_p, at_aa, -1]], [0.0, 0.0, 1.0, 0.0], atol=1e-9)


def test_frames_get_the_phone_at_their_time():
    assert frame_phones(PHONES, 90, FPS)[[0, 29, 30, 32, 33, 89]].tolist() == ["SIL", "AA", "P", "P", "IY", "SIL"]


def test_blinks_are_counted_where_the_lid_passes_one_half():
    lid = np.zeros(90)
    lid[[10, 11, 40]] = 0.9
    lid[60] = 0.4
    assert blinks(lid) == 2


def test_jerk_of_a_cubic_is_its_third_derivative():
    np.testing.assert_allclose(jerk((TIMES**3)[:, None], FPS), 6.0, rtol=1e-6)


def test_energy_is_split_at_10_hz():
    slow, fast = (np.sin(2 * np.pi * hz * TIMES) for hz in (2.0, 12.0))
    above, total = energy_split(np.stack([1.0 + slow, fast], axis=1), FPS)
    assert above / total == pytest.approx(0.5)
    assert energy_split(slow[:, None], FPS)[0] < 1e-12 * total
