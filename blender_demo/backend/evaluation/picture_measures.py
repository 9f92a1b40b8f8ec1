# SPDX-License-Identifier: GPL-3.0-or-later
"""How pictures differ: plain functions of frames (H, W, 3) in 0..1 and of masks (H, W) that say where to look."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

__all__ = ["flicker", "gradient_difference", "largest_change", "luminance", "psnr", "similarity"]

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]

_LUMA: Final = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601, as the videos are coded."""
_WINDOW_PX: Final = 1.5
_WINDOW_RADIUS: Final = 5
_STABLE: Final = (0.01**2, 0.03**2)
"""Wang et al. (2004): a Gaussian window of 11 pixels, K1 and K2 for values of 0..1."""
_SCALES: Final = 4
_LEAST_ERROR: Final = 1e-10
"""Mean squared error of equal pictures: 100 dB."""


def luminance(picture: Floats) -> Floats:
    """Luma (..., H, W) of pictures (..., H, W, 3)."""
    return picture @ _LUMA


def psnr(ours: Floats, truth: Floats, where: Mask) -> float:
    """Peak signal-to-noise ratio in dB over the pixels of a mask, all colors; 100 for equal pictures."""
    error = float(((ours[where] - truth[where]).astype(np.float64) ** 2).mean())
    return float(-10 * np.log10(max(error, _LEAST_ERROR)))


def similarity(ours: Floats, truth: Floats, where: Mask) -> float:
    """Structural similarity of the luma, mean over the pixels of a mask.

    Wang, Bovik, Sheikh and Simoncelli, Image Quality Assessment (2004), equation 13 in a Gaussian window.
    """

    def mean(values: Floats) -> Floats:
        return gaussian_filter(values, _WINDOW_PX, radius=_WINDOW_RADIUS)

    a, b = luminance(ours), luminance(truth)
    mean_a, mean_b = mean(a), mean(b)
    spread_a, spread_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    both = mean(a * b) - mean_a * mean_b
    light, contrast = _STABLE
    index = (2 * mean_a * mean_b + light) * (2 * both + contrast)
    index /= (mean_a**2 + mean_b**2 + light) * (spread_a + spread_b + contrast)
    return float(index[where].mean())


def gradient_difference(ours: Floats, truth: Floats, where: Mask) -> float:
    """Mean absolute difference of the luma's slopes, per pixel of each of four scales, each half the one before.

    A shift in brightness counts nothing, blur and misplaced edges count much.
    """
    difference, weight = luminance(ours) - luminance(truth), where.astype(np.float64)
    out = []
    for scale in range(_SCALES):
        if scale:
            difference, weight = _halved(difference), _halved(weight)
        across, down = np.abs(np.diff(difference, axis=1)), np.abs(np.diff(difference, axis=0))
        beside, below = np.minimum(weight[:, 1:], weight[:, :-1]), np.minimum(weight[1:], weight[:-1])
        total = max(beside.sum() + below.sum(), 1e-9)
        out.append(((across * beside).sum() + (down * below).sum()) / total)
    return float(np.mean(out))


def flicker(frames: Floats, where: Mask) -> float:
    """Mean absolute change from frame to frame (T, H, W, 3) over the pixels of a mask, in 1/255."""
    return float(255 * np.abs(np.diff(frames[:, where], axis=0)).mean())


def largest_change(frames: Floats, still: Floats, where: Mask) -> float:
    """The largest difference of frames (T, H, W, 3) from a still (H, W, 3) over the pixels of a mask, in 1/255."""
    return float(255 * np.abs(frames[:, where] - still[where]).max())


def _halved(values: Floats) -> Floats:
    height, width = (size // 2 * 2 for size in values.shape)
    return values[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
