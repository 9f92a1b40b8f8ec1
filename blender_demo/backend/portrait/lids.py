# SPDX-License-Identifier: GPL-3.0-or-later
"""The lids of a portrait when they shut: skin that the picture hides, its fold, and the line of the lashes.

Distances in metres of the head frame.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..head.head_model import load_head
from ..motion.clip import MotionClip
from ..motion.factors import CHANNEL_INDEX, CHANNELS
from .fill import smoothstep
from .fit import HeadFit
from .performance import at_rest, perform
from .stage import PosedHead
from .texture import polygon_distance

__all__ = ["LidSkin", "lid_skin"]

Floats = NDArray[np.float32]

_EYES: Final = (range(42, 48), range(36, 42))
"""Landmarks around the left and the right eye."""
_BROWS: Final = (range(22, 27), range(17, 22))
_NEAR: Final = (0.032, 0.024)
"""Distance from the lids' line up to which skin that the picture hides is taken from around the eye, and fully."""
_FOLDED: Final = (0.014, 0.008)
"""The same for skin that is folded over open eyes."""
_LASHES: Final = (0.0080, 0.0040)
"""The same for lashes of the picture, which lie on the skin next to the line and have to go when the lids shut."""
_BARE: Final = 0.006
"""Distance from the lids' line from which skin may be bare."""
_BROW: Final = 0.008
"""Distance from the middle of a brow up to which there is no bare skin."""
_MOVES: Final = 0.0015
"""Way down in a blink from which skin is of the upper lid."""
_STATIONS: Final = 14
"""Places across an eye at which the upper lid's lower end is looked for."""
_FOLD: Final = (0.35, 0.15)
"""Way in a blink, over the longest, at which skin folds, and how far around."""
_BEYOND: Final = 0.002
"""How far beyond the corners of an eye the line of its lashes ends."""
_LINE: Final = 0.0007
_LOWER_LINE: Final = 1.6
"""Half the width of the lashes of shut lids as a line, and how much wider it is below, where they lie on the skin."""
_LINE_DARK, _LOWER_DARK, _SHADOW_DARK, _FOLD_DARK = 0.85, 0.55, 0.16, 0.12
_SHADOW: Final = 0.0028
"""Height of the darker skin over the lashes."""
_LIT: Final = 0.84
"""Lids are no darker than this, over the skin below the eye: what seems bare above it may be lashes and shadow."""
_BELOW: Final = 0.008
"""How far below the middle of an eye that skin lies."""
_LASHES_DARK: Final = 0.5
"""Lashes are no brighter than this, over the skin of the lids."""
_RIM_DARK: Final = 0.6
_DARKEST: Final = (0.15, 0.45)
"""Shares of the skin around that are not trusted to be bare: what is darkest is of lashes and brows, or only in the
shadow of a brow. The color is the mean of both views."""
_DIFFUSIONS: Final = 200


@dataclass(frozen=True)
class LidSkin:
    """What there is to know of each vertex (V,) of the head for lids that shut."""

    near: Tensor  # how far skin that the picture hides is taken from around the eye, 0..1
    folded: Tensor  # how far that may be unfolded skin, 0..1
    lashes: Tensor  # how far the picture shows lashes there, 0..1
    within: Tensor  # how far it is between the corners of an eye, 0..1
    height: Tensor  # above the line at which shut lids meet; negative below
    fold: Tensor  # how far it is in the fold of the shut lid, 0..1
    color: Tensor  # (V, 3) of the bare skin around
    lash_color: Tensor  # (3,)
    rim_color: Tensor  # (3,) of what is seen between lids that hardly gape
    line: float  # half the width of the lashes' line

    def shaded(self, color: Tensor, height: Tensor, fold: Tensor, lashes: Tensor, shut: Tensor) -> Tensor:
        """Colors (n, 3) of skin with the fold and the lashes of lids that are shut.

        height and fold (n,): of the places, as of the vertices. lashes (n,): how far lids have moved from the picture's
        own, which then lost its lashes; shut (n,): how far they are shut.
        """
        above = torch.where(height >= 0, lashes, shut)
        width = torch.where(height >= 0, self.line, self.line * _LOWER_LINE)
        line = torch.exp(-((height / width) ** 2)) * torch.where(height >= 0, _LINE_DARK, _LOWER_DARK) * above
        shadow = _SHADOW_DARK * torch.exp(-((height / _SHADOW) ** 2)) * above + _FOLD_DARK * fold * shut
        return torch.lerp(color * (1 - shadow)[:, None], self.lash_color.expand_as(color), line[:, None])


def lid_skin(fit: HeadFit, posed: PosedHead, pictured: Tensor, seen: Tensor, skin: Tensor, pixel_m: float) -> LidSkin:
    """The lids of a fitted head.

    pictured: (V, 3) colors of the vertices in the picture; seen (V,): how well it shows them; skin (F, 3): its
    triangles; pixel_m: size of a pixel of the frames.
    """
    device = pictured.device
    blink = np.zeros((1, len(CHANNELS)), np.float32)
    blink[:, [CHANNEL_INDEX["eyeBlinkLeft"], CHANNEL_INDEX["eyeBlinkRight"]]] = 1
    rest = posed.shaped(at_rest(fit))[0].cpu().numpy()
    shut = posed.shaped(perform(fit, MotionClip(1.0, blink)))[0].cpu().numpy()
    is_skin = np.zeros(len(rest), bool)
    is_skin[skin.cpu().numpy()] = True
    landmarks = load_head().landmarks
    away = np.full(len(rest), np.inf, np.float32)
    height, fold, within = np.zeros((3, len(rest)), np.float32)
    bare = is_skin.copy()
    for side, eye, brow in zip((1, -1), _EYES, _BROWS, strict=True):
        here = np.flatnonzero(is_skin & (side * rest[:, 0] > 0))
        distance = polygon_distance(rest[here, :2], rest[landmarks[eye], :2], 2 * _NEAR[0])
        away[here] = distance
        line = rest[landmarks[brow], :2]
        bare[here] &= polygon_distance(rest[here, :2], np.concatenate([line, line[::-1]]), 2 * _BROW) > _BROW
        around = here[distance < _NEAR[0]]
        height[around], fold[around], within[around] = _shut_lid(rest[around], shut[around], shut[landmarks[eye]])

    def tensor(values: NDArray) -> Tensor:
        return torch.as_tensor(values.astype(np.float32), device=device)

    near, folded, lashes = (tensor(smoothstep(*reach, away)) for reach in (_NEAR, _FOLDED, _LASHES))
    lash_color = _darkest(pictured[torch.as_tensor(np.abs(away) < _LINE, device=device) & (seen > 0.5)])
    trusted = torch.as_tensor(bare & (away > _BARE), device=device) & (seen > 0.9)
    color = torch.stack([_spread(pictured, trusted, near, skin, share) for share in _DARKEST]).mean(0)
    for side in (1, -1):
        here = torch.as_tensor(is_skin & (side * rest[:, 0] > 0), device=device) & (near > 0)
        height_of_eye = float(rest[landmarks[_EYES[0] if side > 0 else _EYES[1]], 1].mean())
        below = here & trusted & torch.as_tensor(rest[:, 1] < height_of_eye - _BELOW, device=device)
        if bool(below.any()):
            least = _LIT * pictured[below].mean(1).median()
            color[here] *= (least / color[here].mean(1, keepdim=True).clamp(min=1e-3)).clamp(min=1)
    color.clamp_(max=1)
    lid_color = color[lashes == 1].mean(0)
    lash_color = torch.minimum(lash_color, _LASHES_DARK * lid_color)
    rim_color = torch.lerp(lid_color, lash_color, _RIM_DARK)
    return LidSkin(
        near,
        folded,
        lashes,
        tensor(within),
        tensor(height),
        tensor(fold),
        color,
        lash_color,
        rim_color,
        max(_LINE, 0.6 * pixel_m),
    )


def _shut_lid(rest: Floats, shut: Floats, corners: Floats) -> tuple[Floats, Floats, Floats]:
    """Height over the line of the shut lids, share in the fold, and how far between the corners of the eye, of vertices
    (n, 3) around it.

    corners: the eye's landmarks (6, 3) in the shut pose, its corners first and fourth.
    """
    way = (rest - shut)[:, 1]
    upper = way > _MOVES
    left, right = sorted(corners[[0, 3], 0])
    across = (shut[:, 0] - left) / (right - left)
    station = np.floor(across * _STATIONS).astype(int)
    places = [(corners[i, 0] - left) / (right - left) for i in (0, 3)]
    ends = [corners[0, 1], corners[3, 1]]
    for number in range(_STATIONS):
        there = upper & (station == number)
        if there.any():
            lowest = np.flatnonzero(there)[shut[there, 1].argmin()]
            places.append(across[lowest])
            ends.append(shut[lowest, 1])
    line = np.polynomial.Polynomial.fit(places, ends, min(4, len(places) - 1))
    beyond = np.maximum(np.abs(across - 0.5) - 0.5, 0) * (right - left)
    height = shut[:, 1] - line(across.clip(0, 1))
    middle, spread = _FOLD
    fold = np.exp(-(((way / max(way.max(), 1e-6) - middle) / spread) ** 2)) * (height > 0)
    return height.astype(np.float32), fold.astype(np.float32), smoothstep(_BEYOND, 0.0, beyond)


def _darkest(colors: Tensor) -> Tensor:
    """Mean (3,) of the darkest quarter of colors (n, 3); black of none."""
    if not len(colors):
        return colors.new_zeros(3)
    return colors[colors.mean(1).argsort()[: max(1, len(colors) // 4)]].mean(0)


def _spread(color: Tensor, trusted: Tensor, near: Tensor, skin: Tensor, darkest: float) -> Tensor:
    """Colors (V, 3) of bare skin near the eyes: those that are trusted, and a smooth passage between them elsewhere.

    darkest: share of the trusted that is not, as it is too dark.
    """
    gray = color.mean(1)
    around = trusted & (near > 0)
    if not bool(around.any()):
        return color
    trusted = trusted & (gray >= gray[around].quantile(darkest))
    ways = torch.cat([skin[:, [0, 1]], skin[:, [1, 2]], skin[:, [2, 0]]])
    ways = ways[(near[ways] > 0).any(1)]
    ways = torch.cat([ways, ways.flip(1)])
    count = torch.zeros_like(near).index_add_(0, ways[:, 0], torch.ones_like(near[ways[:, 0]]))
    open_to = ~trusted & (count > 1)
    color = torch.where(open_to[:, None], color[trusted & (near > 0)].mean(0), color)
    for _ in range(_DIFFUSIONS):
        mean = torch.zeros_like(color).index_add_(0, ways[:, 0], color[ways[:, 1]]) / count.clamp(min=1)[:, None]
        color = torch.where(open_to[:, None], mean, color)
    return color
