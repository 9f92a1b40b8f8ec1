# SPDX-License-Identifier: GPL-3.0-or-later
"""Hair, neck and shoulders follow the head: a smooth warp of the picture that fades out towards shoulders and frame.

A coarse net over the picture lies on the head as a relief: each node has the depth of the head there, carried on
smoothly past its outline, and the expression's motion. The relief moves with the head as far as the node follows it.
"""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from ..head.head_model import load_head
from .fill import smoothstep
from .fit import HeadFit
from .performance import Performance, at_rest
from .plate import HIDDEN
from .rasterize import rasterize
from .stage import PosedHead, triangles

__all__ = ["Carry"]

_NODES: Final = 64
"""Nodes along the shorter side of the picture."""
_REACH: Final = 0.5
"""How far to both sides and below the cut-out's largest value says how far a place follows, in widths of the head."""
_FOLLOWS: Final = (0.45, 0.95)
"""Values of the cut-out up to which what is there stays, and from which it follows the head."""
_HEAD_M: Final = 0.17
_FRAME: Final = 0.08
"""Width of the border in which the warp fades out, over the frame's shorter side."""
_SPARE: Final = 0.15
"""How far outside of the person the person may come, over the frame's shorter side."""
_ROUNDS: Final = 3
"""Of the fixed-point iteration that inverts the warp; the warp changes little from node to node."""


class Carry:
    """The warp of a picture with the head in it.

    cutout and person: (1, 1, H, W), of the portrait in the frame's size: what moves with the head, and its alpha.
    `matte`, of the same shape, is what of the picture is drawn warped: the person, also where the cut-out falls off; it
    does so only where nothing moves any more. `stays` says where what is not drawn so goes on being seen.
    `window`: the rows and columns within which the warp may move anything.
    """

    def __init__(self, fit: HeadFit, posed: PosedHead, cutout: Tensor, person: Tensor) -> None:
        height, width = cutout.shape[2:]
        self.posed, self.width, self.height = posed, width, height
        reach = int(_REACH * _HEAD_M * float(posed.focal[0]) / fit.translation[2])
        follows = F.max_pool2d(F.pad(cutout, (0, 0, 0, reach)), (reach + 1, 1), stride=1)
        follows = F.max_pool2d(F.pad(follows, (reach, reach, 0, 0)), (1, 2 * reach + 1), stride=1)
        self.matte = person * smoothstep(0.0, _FOLLOWS[0], follows)
        self.stays = 1 - smoothstep(*HIDDEN, follows)
        self.cell = max(4, round(min(width, height) / _NODES))
        rows, columns = -(-height // self.cell), -(-width // self.cell)
        y, x = (torch.arange(count, device=posed.device) + 0.5 for count in (rows, columns))
        self.nodes = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).float() * self.cell  # (rows, columns, 2)

        head = load_head()
        rest = at_rest(fit)
        skin = torch.as_tensor(triangles(head.faces_of("skin")), device=posed.device)
        shaped = posed.shaped(rest)
        corners = posed.projected(shaped)
        corners[..., :2] /= self.cell
        seen = rasterize(corners, skin, rows, columns, samples=1)
        moves = posed.deltas.permute(1, 0, 2).flatten(1)
        known = torch.cat([corners[0, :, 2:], moves], dim=1)
        picked = torch.einsum("nk,nkc->nc", seen.weights, known[skin[seen.face]])
        there = seen.resolve(torch.ones_like(picked[:, :1]))
        filled = _smooth(_filled(seen.resolve(picked), there))[0]
        self.points = posed.behind(self.nodes, filled[0])  # (rows, columns, 3)
        self.moves = filled[1:].view(-1, 3, rows * columns).permute(0, 2, 1).flatten(1)  # (52, nodes * 3)
        border = torch.minimum(self.nodes, self.nodes.new_tensor([width, height]) - self.nodes).amin(-1)
        self.follows = smoothstep(0.0, _FRAME * min(width, height), border) * smoothstep(
            *_FOLLOWS, _smooth(F.interpolate(follows, size=(rows, columns), mode="area"))[0, 0]
        )
        self.rest = torch.as_tensor(rest.weights, device=posed.device)
        spare = round(_SPARE * min(width, height))
        there = torch.nonzero(self.follows > 0) * self.cell
        low, high = (there.amin(0), there.amax(0) + self.cell) if len(there) else (there.new_zeros(2),) * 2
        self.window = tuple(
            slice(max(int(first) - spare, 0), min(int(last) + spare, size))
            for first, last, size in zip(low, high, (height, width), strict=True)
        )

    def moved(self, picture: Tensor, part: Performance) -> Tensor:
        """What the window of the frames shows (B, C, h, w) of a picture (1, C, H, W).

        The picture has any size; its corner pixels have their centers where the frame's have theirs.
        """
        rows, columns = self.window
        shift = self._shift(part)
        shift *= 2 / (shift.new_tensor([self.width, self.height]) - 1)[:, None, None]
        shift = F.interpolate(shift, scale_factor=self.cell, mode="bilinear")[..., rows, columns]
        y, x = (
            torch.arange(along.start, along.stop, device=shift.device) * (2 / (size - 1)) - 1
            for along, size in zip(self.window, (self.height, self.width), strict=True)
        )
        places = torch.stack([x - shift[:, 0], y[:, None] - shift[:, 1]], dim=-1)
        return F.grid_sample(picture.expand(len(part), -1, -1, -1), places, padding_mode="border", align_corners=True)

    def _shift(self, part: Performance) -> Tensor:
        """How far what is seen at each node (B, 2, rows, columns) has come, in pixels."""
        weights = torch.as_tensor(part.weights, device=self.posed.device) - self.rest
        rest = self.points.flatten(0, 1)
        shaped = rest + (weights @ self.moves).view(len(part), -1, 3)
        moved = rest + (self.posed.turned(shaped, part) - rest) * self.follows.flatten()[:, None]
        shift = (self.posed.projected(moved) - self.posed.projected(rest))[..., :2]
        shift = shift.view(len(part), *self.nodes.shape).permute(0, 3, 1, 2)
        back = shift
        for _ in range(_ROUNDS):  # the shift that leads here begins where it leads back to
            back = sampled(shift, (self.nodes - back.permute(0, 2, 3, 1)) / self.cell)
        return back


def sampled(values: Tensor, places: Tensor) -> Tensor:
    """Values (B, C, h, w) of pictures (B, C, H, W) at places (B, h, w, 2), bilinear; pixel centers at +0.5."""
    size = places.new_tensor([values.shape[3], values.shape[2]])
    return F.grid_sample(values, places / size * 2 - 1, mode="bilinear", padding_mode="border", align_corners=False)


def _filled(values: Tensor, known: Tensor) -> Tensor:
    """Values (1, C, H, W) where `known` (1, 1, H, W) is 1; elsewhere what is around, from coarser and coarser means."""
    height, width = values.shape[2:]
    if max(height, width) == 1 or bool(known.all()):
        return values
    mean = F.avg_pool2d(torch.cat([values * known, known], dim=1), 2, ceil_mode=True, count_include_pad=False)
    weight = mean[:, -1:]
    coarse = _filled(mean[:, :-1] / weight.clamp(min=1e-6), (weight > 0).float())
    around = F.interpolate(coarse, size=(height, width), mode="bilinear")
    return torch.where(known > 0, values, around)


def _smooth(values: Tensor) -> Tensor:
    """Means over 3 x 3 nodes, twice: no edge of the relief is steeper than the warp can follow."""
    for _ in range(2):
        values = F.avg_pool2d(F.pad(values, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return values
