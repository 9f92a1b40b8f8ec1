# SPDX-License-Identifier: GPL-3.0-or-later
"""The digits of a file's numbers, which single precision alone cannot always give back."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["DOUBLE", "SHORTEST", "lost_digits", "restored", "shortest"]

SHORTEST: Final = "shortest"
"""As few digits as tell a number of single precision from its neighbors."""

DOUBLE: Final = "double"
"""All digits of a number of single precision."""


def shortest(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """The numbers with the fewest digits that are `values` in single precision."""
    return values.astype(str).astype(np.float64)


def lost_digits(numbers: NDArray[np.float64], digits: str | int) -> list[Any] | None:
    """The numbers as JSON, for `restored`; None where single precision is enough for it."""
    return None if (restored(numbers.astype(np.float32), digits) == numbers).all() else numbers.tolist()


def restored(values: NDArray[np.float32], digits: str | int, lost: list[Any] | None = None) -> NDArray[np.float64]:
    """The numbers of a file, of which `values` are what single precision holds.

    digits: SHORTEST, DOUBLE, or how many stand after the point. lost: from `lost_digits`. Values that have been changed
    since, and so do not fit, come with as many digits as they need.
    """
    numbers = fewest = shortest(values)
    if digits != SHORTEST:
        numbers = values.astype(np.float64) if digits == DOUBLE else values.astype(np.float64).round(int(digits))
        numbers = np.where(numbers.astype(np.float32) == values, numbers, fewest)
    kept = np.array([] if lost is None else lost)
    return np.where(kept.astype(np.float32) == values, kept, numbers) if kept.shape == values.shape else numbers
