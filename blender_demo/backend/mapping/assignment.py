# SPDX-License-Identifier: GPL-3.0-or-later
"""The best pairing of two sets: the Hungarian method with shortest augmenting paths (Jonker and Volgenant 1987).

In numpy, as Blender's own Python has no scipy.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_pairs"]


def best_pairs(scores: NDArray[np.floating]) -> list[tuple[int, int]]:
    """Pairs (row, column) with the greatest sum of `scores` (N, M), min(N, M) of them, in the order of rows."""
    if scores.shape[0] > scores.shape[1]:
        return sorted((row, column) for column, row in best_pairs(scores.T))
    costs = np.asarray(-scores, dtype=np.float64)
    rows, columns = costs.shape
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    row_of = np.full(columns, -1)
    for first in range(rows):
        distance = np.full(columns, np.inf)
        came_from = np.full(columns, -1)
        done = np.zeros(columns, bool)
        row, column, reached = first, -1, 0.0
        while True:
            through = reached + costs[row] - row_price[row] - column_price
            shorter = ~done & (through < distance)
            distance[shorter], came_from[shorter] = through[shorter], column
            column = int(np.argmin(np.where(done, np.inf, distance)))
            reached, done[column] = distance[column], True
            if row_of[column] < 0:
                break
            row = int(row_of[column])
        for passed in np.flatnonzero(done & (np.arange(columns) != column)):
            row_price[row_of[passed]] += reached - distance[passed]
            column_price[passed] -= reached - distance[passed]
        row_price[first] += reached
        while column >= 0:  # give each row on the path the next column
            before = int(came_from[column])
            row_of[column] = row_of[before] if before >= 0 else first
            column = before
    return sorted((int(row), column) for column, row in enumerate(row_of) if row >= 0)
