# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs are the best there are."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from blender_demo.backend.mapping.assignment import best_pairs


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (5, 9), (9, 5), (52, 67), (60, 52)])
def test_no_pairing_is_better(shape: tuple[int, int]) -> None:
    for seed in range(5):
        scores = np.random.default_rng(seed).normal(size=shape)
        pairs = best_pairs(scores)
        rows, columns = linear_sum_assignment(-scores)
        assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == min(shape)
        assert sum(scores[pair] for pair in pairs) == pytest.approx(scores[rows, columns].sum())
