# SPDX-License-Identifier: GPL-3.0-or-later
"""Triangles to samples: which triangle is seen where, and at which point of it. All in torch, for a batch of frames.

Nothing loops over triangles. Each triangle is cut into rows of samples, each row into the span of samples inside it
(Pineda, "A Parallel Algorithm for Polygon Rasterization", 1988: the signs of three edge functions), and the nearest
triangle at a sample is found by one scatter of packed depth and span. Coverage is decided in integers, so that
triangles that share an edge neither overlap nor leave a gap, and CPU and GPU decide alike.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

__all__ = ["Raster", "rasterize"]

_STEPS: Final = 16
"""Places per sample that corners are rounded to."""
_FAR: Final = 1 << 14
"""Corners further than this from the picture's corner, in places, are moved there: edges stay within 32 bits."""


@dataclass(frozen=True)
class Raster:
    """What N covered samples of a batch of pictures show, in no order that means anything.

    sample (N,) indexes pictures of (batch, height * samples, width * samples); face (N,); weights (N, 3) are those of
    the face's corners, correct in perspective.
    """

    batch: int
    height: int
    width: int
    samples: int
    sample: Tensor
    face: Tensor
    weights: Tensor

    def interpolate(self, corners: Tensor) -> Tensor:
        """Values (N, C) at the samples, for values (F, 3, C) at the corners of the faces."""
        a, b, c = (self.weights[:, i : i + 1] * corners[:, i].index_select(0, self.face) for i in range(3))
        return a + b + c

    @property
    def picture(self) -> Tensor:
        """Which picture of the batch each sample is of (N,)."""
        return self.sample // (self.height * self.width * self.samples**2)

    @property
    def offset(self) -> Tensor:
        """How far right of and below its pixel's center each sample lies (N, 2), in pixels."""
        fine = self.width * self.samples
        within = torch.stack([self.sample % fine, self.sample // fine], dim=1) % self.samples
        return (within + 0.5) / self.samples - 0.5

    def resolve(self, values: Tensor) -> Tensor:
        """Pictures (batch, C, height, width): the mean of values (N, C) over a pixel's samples, 0 where none is."""
        fine = values.new_zeros(values.shape[1], self.batch * self.height * self.width * self.samples**2)
        fine[:, self.sample] = values.T
        fine = fine.view(-1, self.batch, self.height * self.samples, self.width * self.samples)
        return torch.nn.functional.avg_pool2d(fine, self.samples).transpose(0, 1)


def rasterize(corners: Tensor, faces: Tensor, height: int, width: int, samples: int = 2) -> Raster:
    """The nearest of the faces (F, 3) at each sample of pictures `height` x `width`, seen from in front of the camera.

    corners: (B, V, 3) x and y in pixels (centers at +0.5, y down) and depth z > 0. Faces run counter-clockwise seen
    from outside (with y up); their backs, and faces with a corner behind the camera, are not drawn.
    samples: a pixel has samples x samples of them.
    """
    x, y = (corners[..., :2] * (samples * _STEPS)).round().clamp(-_FAR, _FAR).to(torch.int32).unbind(-1)
    near = corners[..., 2].clamp(min=1e-6).reciprocal()  # linear in the picture, where depth is not
    by_corner = faces.T.flatten()
    x, y = (axis.index_select(1, by_corner).view(len(axis), 3, -1).transpose(0, 1) for axis in (x, y))
    front = (y[1] - y[0]) * (x[2] - x[0]).float() > (x[1] - x[0]) * (y[2] - y[0]).float()
    if not bool((corners[..., 2] > 0).all()):
        front &= (corners[..., 2] > 0)[:, faces].all(-1)
    kept = torch.nonzero(front.flatten())[:, 0]
    x, y = (axis.reshape(3, -1).index_select(1, kept) for axis in (x, y))
    left, right = _first(x.amin(0)).clamp(min=0), _last(x.amax(0)).clamp(max=width * samples - 1)
    top, bottom = _first(y.amin(0)).clamp(min=0), _last(y.amax(0)).clamp(max=height * samples - 1)
    met = torch.nonzero((left <= right) & (top <= bottom))[:, 0]  # the box has a sample in the picture
    kept, left, right, top, bottom = (values[met] for values in (kept, left, right, top, bottom))
    picture, face = torch.div(kept, len(faces), rounding_mode="floor"), kept % len(faces)
    (xa, xb, xc), (ya, yb, yc) = x.index_select(1, met), y.index_select(1, met)

    # Edge i lies opposite corner i; across * column + down * row + constant, counted from the first sample of the
    # triangle's box, is positive inside, and twice the area at the corner.
    u, v = left * _STEPS + _STEPS // 2, top * _STEPS + _STEPS // 2
    edges = []
    for x1, y1, x2, y2 in ((xb, yb, xc, yc), (xc, yc, xa, ya), (xa, ya, xb, yb)):
        a, b = y2 - y1, x1 - x2
        owned = (a > 0) | ((a == 0) & (b > 0))  # of two triangles with a common edge, one has the samples on it
        edges.append((a * _STEPS, b * _STEPS, a * (u - x1) + b * (v - y1) - (~owned).to(torch.int32)))
    area = torch.stack([constant.double() for _, _, constant in edges]).sum(0).float()

    triangle, row = _ragged(bottom - top + 1)
    first, last = torch.zeros_like(row), (right - left)[triangle]
    shares, steps = [], []
    for across, down, constant in edges:
        slope, value = across[triangle], constant[triangle] + down[triangle] * row
        # slope * column + value >= 0; a quotient of such integers is rounded down rightly in 64 bits
        crossing = torch.floor(value.double() / slope.abs().clamp(min=1)).to(torch.int32)
        first = torch.where(slope > 0, torch.maximum(first, -crossing), first)
        last = torch.where(slope < 0, torch.minimum(last, crossing), last)
        last = torch.where((slope == 0) & (value < 0), -1, last)
        shares.append(value.float())
        steps.append(slope.float())
    kept = torch.nonzero(first <= last)[:, 0]
    triangle, first, last, row = triangle[kept], first[kept], last[kept], row[kept]
    picture, face = picture[triangle], face[triangle]
    # Nearness of each corner times its share at the first sample of a span, and the change from sample to sample.
    scale = 1.0 / area[triangle]
    place = picture * corners.shape[1]
    corner_near = [near.flatten()[place + faces[:, i][face]] * scale for i in range(3)]
    steps = [step[kept] * value for step, value in zip(steps, corner_near, strict=True)]
    shares = [share[kept] * value + first * step for share, step, value in zip(shares, steps, corner_near, strict=True)]

    span, along = _ragged(last - first + 1)
    begin = (picture * (height * samples) + row + top[triangle]) * (width * samples) + first + left[triangle]
    sample = begin[span] + along
    shares, steps = torch.stack(shares, dim=1), torch.stack(steps, dim=1)
    depth = shares.sum(1)[span] + along * steps.sum(1)[span]
    key = (depth.clamp(min=1e-9).view(torch.int32).to(torch.int64) << 32) | span
    nearest = key.new_full((len(corners) * height * width * samples**2,), -1)
    nearest.scatter_reduce_(0, sample, key, "amax")
    sample = torch.nonzero(nearest >= 0)[:, 0]
    span = nearest[sample] & 0xFFFFFFFF
    along = (sample - begin[span])[:, None]
    weights = (shares[span] + along * steps[span]).clamp(min=0)
    return Raster(len(corners), height, width, samples, sample, face[span], weights / weights.sum(1, keepdim=True))


def _first(place: Tensor) -> Tensor:
    """Index of the first sample at or after a place."""
    return (place + (_STEPS // 2 - 1)) >> (_STEPS.bit_length() - 1)


def _last(place: Tensor) -> Tensor:
    """Index of the last sample at or before a place."""
    return (place - _STEPS // 2) >> (_STEPS.bit_length() - 1)


def _ragged(counts: Tensor) -> tuple[Tensor, Tensor]:
    """For counts (n,): the index that each of their sum belongs to, and its number among those of its index."""
    numbers = torch.arange(len(counts), device=counts.device)
    index = torch.repeat_interleave(numbers, counts)
    begin = (counts.cumsum(0) - counts).to(torch.int32)
    return index, torch.arange(len(index), device=counts.device, dtype=torch.int32) - begin[index]
