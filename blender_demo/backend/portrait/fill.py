# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not known is filled from what is: smoothly, without seams. No bpy, no torch."""

from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["box_mean", "diffuse", "smoothstep"]

Floats = NDArray[np.floating]
Values = TypeVar("Values", Floats, "Tensor")

_SMALLEST: Final = 4
_WORK: Final = 2**18
_ROUNDS: Final = (4, 16)
"""Fewest and most rounds of relaxation; large sizes get few, as the smaller ones have done the far distances."""


def smoothstep(low: float, high: float, x: Values) -> Values:
    """0 below `low`, 1 above `high`, smooth between; `low` > `high` falls instead. Of arrays and of tensors."""
    t: Any = ((x - low) / (high - low)).clip(0, 1)
    return t * t * (3 - 2 * t)


def diffuse(values: Floats, known: NDArray[np.bool_], around: bool = False) -> Floats:
    """The membrane (H, W, C) through the `known` (H, W) of `values` (H, W, C); zeros where nothing is known.

    Nested iteration: solved at half the size first, then enlarged and relaxed. around: left and right edge meet, as
    in a texture that goes round a head.
    """
    height, width = known.shape
    values = np.where(known[..., None], values, np.float32(0))
    if known.all() or not known.any():
        return values
    if min(height, width) <= _SMALLEST:
        return np.where(known[..., None], values, values.sum((0, 1)) / np.float32(known.sum()))
    even = ((0, height % 2), (0, width % 2))
    weight = _halved(np.pad(known.astype(np.float32), even)[..., None])
    coarse = _halved(np.pad(values, (*even, (0, 0)))) / weight.clip(0.25)
    filled = _doubled(diffuse(coarse, weight[..., 0] > 0, around), around)[:height, :width]
    filled = np.where(known[..., None], values, filled)
    for _ in range(min(max(_WORK // known.size, _ROUNDS[0]), _ROUNDS[1])):
        filled = np.where(known[..., None], values, box_mean(filled, 3, around))
    return filled


def box_mean(values: Floats, side: int, around: bool = False) -> Floats:
    """Mean over the `side` x `side` pixels round each, of (H, W, ...); edges repeat, or meet left and right."""
    across = uniform_filter1d(values, side, axis=1, mode="wrap" if around else "nearest")
    return uniform_filter1d(across, side, axis=0, mode="nearest")


def _halved(values: Floats) -> Floats:
    height, width, channels = values.shape
    return values.reshape(height // 2, 2, width // 2, 2, channels).mean((1, 3))


def _doubled(values: Floats, around: bool) -> Floats:
    """Twice the size, bilinear: each new pixel is 3/4 of its own and 1/4 of the neighbor on its side."""
    for axis, mode in ((0, "edge"), (1, "wrap" if around else "edge")):
        pads = [(1, 1) if i == axis else (0, 0) for i in range(3)]
        padded = np.moveaxis(np.pad(values, pads, mode=mode), axis, 0)  # pyright: ignore[reportCallIssue, reportArgumentType]
        own = 0.75 * padded[1:-1]
        both = np.stack([own + 0.25 * padded[:-2], own + 0.25 * padded[2:]], axis=1)
        values = np.moveaxis(both.reshape(-1, *both.shape[2:]), 0, axis)
    return values
