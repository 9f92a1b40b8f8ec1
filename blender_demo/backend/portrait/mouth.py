# SPDX-License-Identifier: GPL-3.0-or-later
"""What is seen between the lips: light that falls in through them, and rims as soft as the picture.

Both are made in the frame, from how much of each pixel shows the inside of the mouth.
"""

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from .rasterize import Raster

__all__ = ["Opening", "find_opening"]

_LIP_SHADOW_M: Final = 0.0035
"""Blur of the shadow that lips cast on what lies behind them."""
_FROM_ABOVE_M: Final = 0.0012
"""How much further down the shadow of the upper lip reaches than that of the lower one."""
_HALF_LIT: Final = 0.35
"""Share of open mouth around a place at which half of the most light falls on it."""
_SLIT: Final = 0.2
"""Light between lips that are nearly shut, which are wet and lit through."""
_SOFT_M: Final = 0.0004
_SOFT_PX: Final = 0.6
"""Blur of the rims of lips and teeth: no less than this many pixels, and those between the pixels of the picture."""
_REACH: Final = 2.5
"""Radius of a blur over its width."""


@dataclass(frozen=True)
class Opening:
    """The part of the frames with the mouths in it, and how much of each pixel (B, 1, h, w) shows the inside."""

    top: int
    left: int
    inside: Tensor
    px_per_m: float

    def light(self, picture: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Light (n,) at pixels of the frames, over that of places with nothing before them: 0..1.

        The more of what is around a place is open, the more of the light from the front comes to it.
        """
        lit = _blurred(self.inside, _LIP_SHADOW_M * self.px_per_m, round(_FROM_ABOVE_M * self.px_per_m))
        share = lit[picture, 0, row - self.top, column - self.left]
        return _SLIT + (1 - _SLIT) * share * (1 + _HALF_LIT) / (share + _HALF_LIT)

    def soften(self, frames: Tensor, amount: Tensor, enlarged: float) -> None:
        """Blurs frames (B, C, H, W) where they show the inside or its rims, in place; amount (B,): how far.

        enlarged: pixels of the frame for each of the picture.
        """
        width = max(_SOFT_M * self.px_per_m, _SOFT_PX * max(enlarged, 1))
        height, across = self.inside.shape[2:]
        window = frames[:, :, self.top : self.top + height, self.left : self.left + across]
        near = (2 * _blurred(self.inside, width)).clamp(max=1) * amount[:, None, None, None]
        window.copy_(torch.lerp(window, _blurred(window, width), near))


def find_opening(raster: Raster, inner: Tensor, px_per_m: float) -> tuple[Opening | None, Tensor, Tensor, Tensor]:
    """The opening that points `inner` (n,) of a raster show, and the picture, row and column (n,) of their pixels.

    None where no mouth is open.
    """
    pixel = raster.pixel[inner]
    picture, row, column = raster.picture[inner], pixel // raster.width % raster.height, pixel % raster.width
    if not len(inner):
        return None, picture, row, column
    spare = round(_REACH * _LIP_SHADOW_M * px_per_m) + 2
    top, left = max(int(row.min()) - spare, 0), max(int(column.min()) - spare, 0)
    height = min(int(row.max()) + spare + 1, raster.height) - top
    width = min(int(column.max()) + spare + 1, raster.width) - left
    inside = raster.weights.new_zeros(raster.batch * height * width)
    place = (picture * height + row - top) * width + column - left
    inside.index_add_(0, place, raster.share[inner])
    return Opening(top, left, inside.view(raster.batch, 1, height, width), px_per_m), picture, row, column


def _blurred(values: Tensor, width: float, down: int = 0) -> Tensor:
    """Pictures (B, C, h, w) under a Gaussian of that width in pixels, moved down by whole pixels; borders go on."""
    reach = max(1, round(_REACH * width))
    along = torch.arange(-reach, reach + 1, device=values.device, dtype=values.dtype)
    kernel = torch.exp(-0.5 * (along / max(width, 1e-3)) ** 2)
    kernel = kernel / kernel.sum()
    planes = values.reshape(-1, 1, *values.shape[2:])
    planes = F.pad(planes, (reach, reach, reach + down, max(reach - down, 0)), mode="replicate")
    planes = F.conv2d(F.conv2d(planes, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    return planes[:, :, : values.shape[2]].reshape(values.shape)
