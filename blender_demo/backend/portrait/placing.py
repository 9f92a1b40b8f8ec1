# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the 78 points of a face an artist has placed: 68 landmarks and two irises of five, in one array."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .landmarks import Landmarks

__all__ = ["CONTOURS", "POINTS", "as_landmarks", "as_points", "known_points", "placed_points"]

Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

POINTS: Final = 78
CONTOURS: Final = (
    (range(17), False),
    (range(17, 22), False),
    (range(22, 27), False),
    (range(27, 31), False),
    (range(31, 36), False),
    (range(36, 42), True),
    (range(42, 48), True),
    (range(48, 60), True),
    (range(60, 68), True),
    (range(69, 73), True),
    (range(74, 78), True),
)
"""Points in a row, and whether the row closes; the irises' are their rims."""
_PARTS: Final = (range(17), range(17, 22), range(22, 27), range(27, 36), range(36, 42), range(42, 48), range(48, 68),
                 range(68, 73), range(73, 78))  # fmt: skip
"""What an artist sees as one thing: who moves a point of it, says that it was not found well."""
_TOGETHER: Final = 0.5
"""Share of all points that have to move as one for that to count as moving the face, not its points."""
_SAME_PX: Final = 0.25
"""Within this, a point is where it was; less is seen by nobody."""


def as_points(landmarks: Landmarks) -> Doubles:
    """The points (78, 2) of landmarks that have irises, in pixels."""
    assert landmarks.iris is not None
    return np.concatenate([landmarks.points, landmarks.iris.reshape(-1, 2)]).astype(float)


def as_landmarks(points: Doubles, known: Mask, by_hand: bool) -> Landmarks:
    """Landmarks from points (78, 2) of which some are known (78,)."""
    told = np.where(known[:, None], points, np.nan).astype(np.float32)
    iris = told[68:].reshape(2, 5, 2)
    return Landmarks(told[:68], None if np.isnan(iris).all() else iris, by_hand)


def placed_points(start: Doubles, now: Doubles) -> tuple[Mask, bool]:
    """Which points (78,) an artist has moved by themselves, and whether the face as a whole was moved.

    start, now: (78, 2) in pixels. A face that was shifted, turned or scaled onto the picture is not placed yet.
    """
    still = np.linalg.norm(now - start, axis=1) <= _SAME_PX
    if still.mean() >= _TOGETHER:
        return ~still, False
    ones = np.ones((len(start), 1))
    full, best = np.concatenate([start, ones], axis=1), still
    third = len(start) // 3
    for i in range(third):  # three points that moved as the face did say how that was
        chosen = [i, i + third, i + 2 * third]
        if abs(np.linalg.det(full[chosen])) < 1.0:
            continue
        moved = full @ np.linalg.solve(full[chosen], now[chosen])
        along = np.linalg.norm(now - moved, axis=1) <= _SAME_PX
        if along.sum() > best.sum():
            best = along
    return (~best, True) if best.mean() >= _TOGETHER else (~still, False)


def known_points(placed: Mask, whole: bool, found: bool) -> Mask:
    """Which points (78,) say where the face is.

    placed, whole: as `placed_points` tells. found: whether the points at the start were those of a face that was seen;
    then they still count in parts of the face where nobody has placed any.
    """
    if found:
        untouched = np.ones_like(placed)
        for part in _PARTS:
            untouched[list(part)] = not placed[list(part)].any()
        return placed | untouched
    return placed if placed.any() else np.full_like(placed, whole)
