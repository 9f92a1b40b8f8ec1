# SPDX-License-Identifier: GPL-3.0-or-later
"""Triangles to points of a picture: which triangle is seen where, and at which point of it. In torch, for a batch.

Nothing loops over triangles. They are sorted by the size of their boxes, and each size has its boxes tested as one
array: the signs of three edge functions tell what lies inside (Pineda, "A Parallel Algorithm for Polygon
Rasterization", 1988). The nearest triangle at a point is found by one scatter of packed depth and number. Coverage is
decided in integers, so that triangles that share an edge neither overlap nor leave a gap, and CPU and GPU decide alike.

Inside of a surface a pixel is looked at once, at its center; only where surfaces meet it has more samples.
"""

from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["RIM", "Raster", "rasterize"]

_STEPS: Final = 16
"""Places per sample that corners are rounded to."""
_FAR: Final = 1 << 20
"""Corners further than this from the picture's corner, in places, are moved there: edges stay within 64 bits."""
_NEAR: Final = 1 << 14
"""Triangles up to this long, in places, have edges within 32 bits."""
_HALF: Final = 0.5
"""Added to what edges say, which are whole numbers from 0 on inside: the shares of no point are all 0."""
_BOXES: Final = tuple(2**power for power in range(2, 13))
"""Sides of the boxes that triangles are tested in, in points."""
RIM: Final = -1
_NOTHING: Final = -2
_STEP_M: Final = 0.004
"""Depth from one pixel to the next from which a surface is taken to end between them."""


@dataclass(frozen=True)
class Raster:
    """What N points of a batch of pictures (height, width) show: each pixel has one at its center, or several samples.

    pixel (N,) counts through the batch; face (N,); weights (N, 3) are those of the face's corners, correct in
    perspective. The first `centers` points are at centers. The pixels `divided` (E,) have samples x samples in their
    place; slot (N - centers,) counts through these, the samples of a pixel row by row.
    """

    batch: int
    height: int
    width: int
    samples: int
    pixel: Tensor
    face: Tensor
    weights: Tensor
    centers: int
    divided: Tensor
    slot: Tensor

    def interpolate(self, corners: Tensor, points: Tensor | None = None) -> Tensor:
        """Values (N, C) at the points, or at some of them, for values (F, 3, C) at the corners of the faces."""
        face, weights = (v if points is None else v.index_select(0, points) for v in (self.face, self.weights))
        planes = corners.permute(1, 2, 0).flatten(0, 1).index_select(1, face).unflatten(0, (3, -1))
        return (planes * weights.T[:, None]).sum(0).T

    @property
    def picture(self) -> Tensor:
        """Which picture of the batch each point is of (N,)."""
        return self.pixel // (self.height * self.width)

    @property
    def share(self) -> Tensor:
        """Which part of its pixel each point stands for (N,)."""
        share = self.weights.new_ones(len(self.pixel))
        share[self.centers :] /= self.samples**2
        return share

    @property
    def offset(self) -> Tensor:
        """How far right of and below its pixel's center each point lies (N, 2), in pixels."""
        offset = self.weights.new_zeros(len(self.pixel), 2)
        row, column = self.slot % self.samples**2 // self.samples, self.slot % self.samples
        offset[self.centers :] = (torch.stack([column, row], dim=1) + 0.5) / self.samples - 0.5
        return offset

    def resolve(self, values: Tensor) -> Tensor:
        """Pictures (batch, C, height, width) of values (N, C): the mean over a pixel's samples, 0 where nothing is."""
        planes = values.T
        whole = planes.new_zeros(len(planes), self.batch * self.height * self.width)
        whole[:, self.pixel[: self.centers]] = planes[:, : self.centers]
        parts = planes.new_zeros(len(planes), len(self.divided) * self.samples**2)
        parts[:, self.slot] = planes[:, self.centers :]
        whole[:, self.divided] = parts.unflatten(1, (-1, self.samples**2)).mean(2)
        return whole.unflatten(1, (self.batch, self.height, self.width)).transpose(0, 1)


@dataclass(frozen=True)
class _Triangles:
    """n triangles that show their front in a batch of pictures: corners in whole places, and how near these are."""

    picture: Tensor  # (n,)
    face: Tensor  # (n,)
    x: Tensor  # (3, n)
    y: Tensor  # (3, n)
    near: Tensor  # (3, n)

    def __getitem__(self, chosen: Tensor) -> "_Triangles":
        corners = (values.index_select(1, chosen) for values in (self.x, self.y, self.near))
        return _Triangles(self.picture.index_select(0, chosen), self.face.index_select(0, chosen), *corners)

    def boxes(self, scale: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """First and last row and column (n,) of the pixels, `scale` places wide, whose centers may be inside."""
        top, left = ((axis.amin(0) + (scale // 2 - 1)) // scale for axis in (self.y, self.x))
        bottom, right = ((axis.amax(0) - scale // 2) // scale for axis in (self.y, self.x))
        return top, bottom, left, right


def rasterize(
    corners: Tensor, faces: Tensor, height: int, width: int, samples: int = 2, surfaces: Tensor | None = None
) -> Raster:
    """The nearest of the faces (F, 3) at points of pictures `height` x `width`, seen from in front of the camera.

    corners: (B, V, 3) x and y in pixels (centers at +0.5, y down) and depth z > 0, in meters. Faces run
    counter-clockwise seen from outside (with y up); their backs, and faces with a corner behind the camera, are not
    drawn. surfaces: (F,) which surface each face belongs to, RIM where one may be narrower than a pixel. Rims, and
    pixels where a surface ends, are looked at in samples x samples points, other pixels at their centers alone; without
    surfaces all have the samples.
    """
    size, scale = (len(corners), height, width), samples * _STEPS
    triangles = _in_front(corners, faces, scale)
    if surfaces is None:
        ends = torch.ones(size, dtype=torch.bool, device=corners.device).flatten()
        pixel, face, shares = triangles.face[:0], triangles.face[:0], triangles.near[:, :0]
    else:
        pixel, face, shares = _nearest(triangles, size, scale)
        ends = _ends(pixel, surfaces.index_select(0, face), shares.sum(0), size)
        triangles = triangles[_meeting(ends, triangles, scale)]
        whole = torch.nonzero(~ends.flatten().index_select(0, pixel))[:, 0]
        pixel, face, shares = pixel[whole], face[whole], shares.index_select(1, whole)
        ends = ends.flatten()
    divided = torch.nonzero(ends)[:, 0]
    rank = ends.cumsum(0) - 1

    # Each sample of a pixel is the center of one in a picture of its own, which is shifted.
    shifts = [_STEPS * (samples - 1 - 2 * number) // 2 for number in range(samples)]
    of_samples = [
        replace(triangles, picture=triangles.picture + number * len(corners), x=triangles.x + x, y=triangles.y + y)
        for number, (y, x) in enumerate(product(shifts, shifts))
    ]
    point, sample_face, sample_shares = _nearest(
        _together(of_samples), (samples**2 * len(corners), height, width), scale
    )
    number = point // len(ends)
    point -= number * len(ends)
    kept = torch.nonzero(ends.index_select(0, point))[:, 0]
    number, point = number[kept], point[kept]
    shares = torch.cat([shares, sample_shares.index_select(1, kept)], dim=1)
    return Raster(
        *size, samples, torch.cat([pixel, point]), torch.cat([face, sample_face[kept]]), (shares / shares.sum(0)).T,
        len(pixel), divided, rank.index_select(0, point) * samples**2 + number,
    )  # fmt: skip


def _in_front(corners: Tensor, faces: Tensor, scale: int) -> _Triangles:
    """The faces that show their front, in pictures whose pixels are `scale` places wide."""
    x, y = (corners[..., :2] * scale).round().clamp(-_FAR, _FAR).to(torch.int32).unbind(-1)
    near = corners[..., 2].clamp(min=1e-6).reciprocal()  # linear in the picture, where depth is not
    by_corner = faces.T.flatten()
    x, y, near = (
        values.index_select(1, by_corner).view(len(values), 3, -1).transpose(0, 1).flatten(1) for values in (x, y, near)
    )
    front = (y[1] - y[0]) * (x[2] - x[0]).double() > (x[1] - x[0]) * (y[2] - y[0]).double()
    if not bool((corners[..., 2] > 0).all()):
        front &= (corners[..., 2] > 0)[:, faces].all(-1).flatten()
    number = torch.arange(len(front), device=front.device)
    picture = number // len(faces)
    return _Triangles(picture, number - picture * len(faces), x, y, near)[torch.nonzero(front)[:, 0]]


def _together(triangles: list[_Triangles]) -> _Triangles:
    return _Triangles(
        *(torch.cat([getattr(part, field.name) for part in triangles], dim=-1) for field in fields(_Triangles))
    )


def _nearest(triangles: _Triangles, size: tuple[int, int, int], scale: int) -> tuple[Tensor, Tensor, Tensor]:
    """What is seen at the centers of pixels, of pictures (batch, height, width).

    Pixel (N,) and face (N,), and for each corner how near it is times its share (3, N): together, how near the face is.
    """
    batch, height, width = size
    top, bottom, left, right = triangles.boxes(scale)
    top, bottom = top.clamp(min=0), bottom.clamp(max=height - 1)
    left, right = left.clamp(min=0), right.clamp(max=width - 1)
    side = torch.maximum(right - left, bottom - top) + 1
    side[(left > right) | (top > bottom)] = 0
    long = torch.maximum(triangles.x.amax(0) - triangles.x.amin(0), triangles.y.amax(0) - triangles.y.amin(0)) > _NEAR
    kind = 2 * torch.bucketize(side, side.new_tensor((0, *_BOXES))) + long
    found = [(triangles.face[:0], triangles.face[:0], triangles.near[:, :0])]
    for number in kind.unique().tolist():
        if number < 2:  # without a pixel
            continue
        chosen = torch.nonzero(kind == number)[:, 0]
        box = min(_BOXES[number // 2 - 1], height), min(_BOXES[number // 2 - 1], width)
        begin = top[chosen].clamp(max=height - box[0]), left[chosen].clamp(max=width - box[1])
        triangle, row, column, shares = _inside(
            triangles[chosen], begin, box, scale, (torch.int32, torch.int64)[number % 2]
        )
        triangle = chosen.index_select(0, triangle)
        pixel = (triangles.picture.index_select(0, triangle) * height + row) * width + column
        found.append((pixel, triangle, shares))
    pixel, triangle, shares = (torch.cat(parts, dim=-1) for parts in zip(*found, strict=True))
    number = torch.arange(len(pixel), device=pixel.device)
    key = (shares.sum(0).clamp(min=1e-9).view(torch.int32).to(torch.int64) << 32) | number
    nearest = key.new_full((batch * height * width,), -1).scatter_reduce_(0, pixel, key, "amax")
    pixel = torch.nonzero(nearest >= 0)[:, 0]
    number = nearest.index_select(0, pixel) & 0xFFFFFFFF
    face = triangles.face.index_select(0, triangle.index_select(0, number))
    return pixel, face, shares.index_select(1, number)


def _inside(
    triangles: _Triangles, begin: tuple[Tensor, Tensor], box: tuple[int, int], scale: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Which pixels of boxes (rows, columns), which begin at row and column (n,), have their centers in the triangles.

    Triangle (M,), row (M,) and column (M,) of each, and the shares of its corners (3, M) as `_nearest` gives them.
    """
    (xa, xb, xc), (ya, yb, yc) = triangles.x.to(dtype), triangles.y.to(dtype)
    v, u = (first.to(dtype) * scale + scale // 2 for first in begin)
    down, across = (torch.arange(count, device=u.device, dtype=dtype)[:, None] * scale for count in box)
    # Edge i lies opposite corner i; it is positive inside, and twice the area at the corner.
    edges, area = [], torch.full_like(triangles.near[0], 3 * _HALF, dtype=torch.float64)
    for x1, y1, x2, y2 in ((xb, yb, xc, yc), (xc, yc, xa, ya), (xa, ya, xb, yb)):
        a, b = y2 - y1, x1 - x2
        others = (a < 0) | ((a == 0) & (b <= 0))  # of two triangles with a common edge, one has the points on it
        constant = a * (u - x1) + b * (v - y1) - others.to(dtype)
        edges.append((constant + b * down)[:, None] + a * across)
        area += constant
    hit = torch.nonzero(((edges[0] | edges[1] | edges[2]) >= 0).flatten())[:, 0]
    cell = hit // len(u)
    triangle = hit - cell * len(u)
    weight = triangles.near / area.float()
    shares = [
        (edge.flatten().index_select(0, hit) + _HALF) * by_corner.index_select(0, triangle)
        for edge, by_corner in zip(edges, weight, strict=True)
    ]
    row = cell // box[1]
    top, left = (first.index_select(0, triangle) for first in begin)
    return triangle, top + row, left + (cell - row * box[1]), torch.stack(shares)


def _ends(pixel: Tensor, surface: Tensor, near: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Pixels (batch, height, width) of rims, and those next to which is another surface, none, or one further off."""
    surfaces = surface.new_full(size, _NOTHING)
    surfaces.view(-1)[pixel] = surface
    depth = near.new_zeros(size)
    depth.view(-1)[pixel] = near.reciprocal()
    ends = surfaces == RIM
    for axis in (1, 2):
        first, second = (
            [values.narrow(axis, start, values.shape[axis] - 1) for values in (surfaces, depth, ends)]
            for start in (0, 1)
        )
        other = (first[0] != second[0]) | ((first[1] - second[1]).abs() > _STEP_M)
        first[2].logical_or_(other)
        second[2].logical_or_(other)
    return ends


def _meeting(wanted: Tensor, triangles: _Triangles, scale: int) -> Tensor:
    """Which triangles (M,) may cover a part of a wanted pixel (batch, height, width)."""
    height, width = wanted.shape[1:]
    sums = F.pad(wanted.to(torch.int32).cumsum(1).cumsum(2), (1, 0, 1, 0)).to(torch.int32)
    top, left = ((axis.amin(0) // scale).clamp(0, most) for axis, most in ((triangles.y, height), (triangles.x, width)))
    bottom, right = (
        (axis.amax(0) // scale + 1).clamp(0, most) for axis, most in ((triangles.y, height), (triangles.x, width))
    )
    of_picture = triangles.picture * ((height + 1) * (width + 1))
    count = [
        sums.flatten().index_select(0, of_picture + row * (width + 1) + column)
        for row, column in ((bottom, right), (top, left), (top, right), (bottom, left))
    ]
    return torch.nonzero((count[0] + count[1] - count[2] - count[3] > 0) & (top < bottom) & (left < right))[:, 0]
