# SPDX-License-Identifier: GPL-3.0-or-later
"""A portrait and a clip become frames: background, then hair and shoulders carried along, then the face.

The face is the head model's skin under the picture itself: each point shows what the picture shows of it, and what the
picture does not show comes from the portrait's texture. So a clip at rest gives the picture back. Behind the skin lie
eyes, teeth, gums and tongue of the head model: as in the picture where they are seen in it, else in their own colors in
the picture's light. Nothing is shaded: the light is in the picture.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..head.head_model import load_head
from ..motion.clip import MotionClip
from .carry import Carry, sampled
from .performance import Performance, PortraitControls, perform
from .portrait import Portrait
from .rasterize import Raster, rasterize
from .stage import PosedHead, triangles

__all__ = ["PortraitControls", "render_frames"]

_COLORS: Final = {
    "mouth": (0.50, 0.20, 0.19),
    "gums": (0.70, 0.36, 0.35),
    "teeth": (0.90, 0.87, 0.80),
    "tongue": (0.72, 0.38, 0.37),
    "pupil": (0.03, 0.03, 0.03),
}
"""sRGB in white light; the skin, iris and the white of the eyes have theirs from the picture."""
_EYES: Final = ("sclera", "iris", "pupil")
_BEHIND_SKIN_M: Final = 0.0015
"""What lies behind the skin is drawn this much deeper: lips and lids of other people than the mean lie closer."""
_LIT_DEPTH_M: Final = 0.022
"""Depth behind the lips at which the inside of the mouth is darker by a factor e."""
_DARKEST: Final = 0.06
_CLASSES: Final = (("eyeLeft", "eyeRight"), ("teethUpper", "gumsUpper"), ("teethLower", "gumsLower"), ("tongue",),
                   ("mouth", "lidRims"))  # fmt: skip
"""Parts behind the skin that do not show each other's colors in the picture."""
_SIDE_RAD: Final = (1.50, 1.15)
"""Angle from straight ahead, seen from above, at which the drawn face ends, and from which it is whole."""
_JAW_M: Final = (-0.105, -0.075)
"""Height (y + 0.3 z) in the head frame at which it ends under the jaw, and from which it is whole."""
_CROWN_M: Final = (0.125, 0.095)
"""Height at which it ends towards the hair, and from which it is whole."""
_UNSEEN: Final = 1 / 512
"""Opacity below which a pixel of 8 bits is not seen."""
_EDGE_ON: Final = (0.12, 0.35)
"""Cosine to the line of sight from which the picture shows a point of the skin, and fully."""


def render_frames(
    portrait: Portrait,
    clip: MotionClip,
    width: int,
    height: int,
    controls: PortraitControls = PortraitControls(),
    device: str = "cpu",
    batch: int = 8,
    first: int = 0,
    alpha: bool = False,
) -> Iterator[NDArray[np.uint8]]:
    """Frames (height, width, 4), sRGB with straight alpha, one for each frame of the clip from `first` on, in order.

    The whole picture is shown; `width` over `height` should be as in the picture. alpha: only what moves with the head
    is seen, fading out over the shoulders; otherwise it lies over the background and all is opaque.
    A frame is the same to the bit wherever `first` lies, as long as that is a multiple of `batch`.
    """
    acts = perform(portrait.fit, clip, controls)
    with torch.inference_mode():
        painter = _Painter(portrait, width, height, device)
        for start in range(first, len(acts), batch):
            layer = painter.paint(acts[start : start + batch])
            color, opacity = layer[:, :3], layer[:, 3:]
            if alpha:
                color = color / opacity.clamp(min=_UNSEEN)
            else:
                color, opacity = color + (1 - opacity) * painter.plate, torch.ones_like(opacity)
            pixels = (torch.cat([color, opacity], dim=1).clamp(0, 1) * 255).round().to(torch.uint8)
            yield from pixels.permute(0, 2, 3, 1).cpu().numpy()


class _Painter:
    """All of a portrait that does not change from frame to frame."""

    def __init__(self, portrait: Portrait, width: int, height: int, device: str) -> None:
        def picture(values: NDArray) -> Tensor:
            planes = torch.as_tensor(values, device=device).reshape(*values.shape[:2], -1).permute(2, 0, 1)[None]
            if planes.shape[2:] == (height, width):
                return planes
            smaller = height < planes.shape[2]
            return F.interpolate(planes, size=(height, width), mode="bicubic", antialias=smaller).clamp(0, 1)

        self.size, self.device = (height, width), device
        self.posed = PosedHead(portrait.fit, width, height, device)
        self.carry = Carry(portrait.fit, self.posed, width, height)
        color, self.plate, cutout = (picture(v) for v in (portrait.picture, portrait.plate, portrait.cutout))
        self.color = _fine(color)
        self.cut = _fine(torch.cat([color - (1 - cutout) * self.plate, cutout], dim=1))
        self.texture = torch.as_tensor(portrait.texture, device=device).permute(2, 0, 1)[None]
        self._build_mesh(portrait)

    def _build_mesh(self, portrait: Portrait) -> None:
        """Faces and what their corners show: place in the picture (2), UV (2), seen in the picture, opacity."""
        head, fit = load_head(), portrait.fit
        rest = self.posed.at_rest(fit)
        shaped = self.posed.shaped(rest)
        at = self.posed.projected(shaped)
        opacity = self._opacity()
        skin = head.material == head.materials.index("skin")
        drawn = ~np.isin(head.material, [head.materials.index(name) for name in ("brows", "lashes")])
        drawn &= ~skin | (opacity[head.quads] > 0).any(1)
        order = np.tile(np.flatnonzero(drawn), 2)
        faces = torch.as_tensor(triangles(head.quads[drawn]), device=self.device)
        self.faces = faces
        uv = head.uv[drawn].astype(np.float32)
        uv = torch.as_tensor(np.concatenate([uv[:, [0, 1, 2]], uv[:, [0, 2, 3]]]), device=self.device)
        every = torch.as_tensor(triangles(head.quads[skin]), device=self.device)
        seen = self._seen(shaped[0], at, every)
        corner = torch.cat([at[0, :, :2], seen[:, None], torch.as_tensor(opacity, device=self.device)[:, None]], dim=1)
        self.corners = torch.cat([corner[faces], uv], dim=2)
        self.is_skin = torch.as_tensor(skin[order], device=self.device)

        classes = np.zeros(len(head.parts), np.int64)
        for number, parts in enumerate(_CLASSES):
            classes[[head.parts.index(part) for part in parts]] = number
        self.kind = torch.as_tensor(classes[head.part[head.quads[order, 0]]], device=self.device)
        self.inner = torch.as_tensor(self._inner_colors(portrait, order), device=self.device)
        deeper = np.unique(head.quads[~skin & (head.material != head.materials.index("mouth"))])
        self.deeper = torch.as_tensor(deeper, device=self.device)

        raster = self._raster(at, *self.size, samples=1)
        inner = ~self.is_skin[raster.face]
        shown = F.one_hot(self.kind[raster.face], len(_CLASSES)).float() * inner[:, None]
        shown = raster.resolve(shown)
        shown = F.max_pool2d(shown, 3, stride=1, padding=1)
        self.shown = F.avg_pool2d(shown, 3, stride=1, padding=1)

    def _opacity(self) -> NDArray[np.float32]:
        """Of the vertices (V,): the face is drawn, the rest of the head is carried."""
        head = load_head()
        x, y, z = head.vertices.T
        side = np.arctan2(np.abs(x), z)
        opacity = np.ones(len(x), np.float32)
        for (low, high), value in ((_SIDE_RAD, side), (_JAW_M, y + 0.3 * z), (_CROWN_M, y)):
            t = np.clip((value - low) / (high - low), 0, 1)
            opacity *= (t * t * (3 - 2 * t)).astype(np.float32)
        opacity[head.part != head.parts.index("skin")] = 1
        return opacity

    def _seen(self, shaped: Tensor, at: Tensor, skin: Tensor) -> Tensor:
        """How well the picture shows each vertex (V,), 0..1."""
        corners = shaped[skin]
        normal = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals = torch.zeros_like(shaped)
        for corner in skin.T:
            normals.index_add_(0, corner, normal)
        normals = F.normalize(normals, dim=1)
        eye = -self.posed.translation @ self.posed.rotation  # the camera in the head frame
        facing = (F.normalize(eye - shaped, dim=1) * normals).sum(1)
        low, high = _EDGE_ON
        t = ((facing - low) / (high - low)).clamp(0, 1)
        depth = rasterize(at, skin, *self.size, samples=1)
        z = 1 / depth.interpolate(1 / at[0, skin, 2:])
        nearest = depth.resolve(z)
        column, row = (at[0, :, axis].long().clamp(0, limit - 1) for axis, limit in ((0, self.size[1]), (1, self.size[0])))
        hidden = (nearest[0, 0, row, column] > 0) & (at[0, :, 2] > nearest[0, 0, row, column] + 0.006)
        return t * t * (3 - 2 * t) * ~hidden

    def _inner_colors(self, portrait: Portrait, order: NDArray[np.intp]) -> NDArray[np.float32]:
        """sRGB colors (F, 3) of what is behind the skin, in the picture's light and darker with depth."""
        head = load_head()
        colors = _COLORS | {"iris": portrait.iris_color, "sclera": portrait.sclera_color}
        light = np.clip(portrait.light[0] + portrait.light[3] * 0.7, 0.05, 1.0)
        lips = head.vertices[head.lip_loop, 2].mean()
        z = head.vertices[head.quads[order], 2].mean(axis=1)
        lit = np.exp(-(lips - z).clip(0) / _LIT_DEPTH_M).clip(_DARKEST, 1)
        tinted = {"iris", "sclera"}
        by_material = np.zeros((len(head.materials), 3), np.float32)
        for i, name in enumerate(head.materials):
            color = np.asarray(colors.get(name, (0, 0, 0)), np.float32)
            by_material[i] = color if name in tinted else color * light ** (1 / 2.2)
        shown = by_material[head.material[order]]
        in_mouth = ~np.isin(head.material[order], [head.materials.index(name) for name in _EYES])
        in_mouth &= head.part[head.quads[order, 0]] != head.parts.index("lidRims")
        return np.where(in_mouth[:, None], shown * lit[:, None] ** (1 / 1.5), shown).astype(np.float32)

    def paint(self, part: Performance) -> Tensor:
        """All but the background (B, 4, height, width): colors times alpha, and alpha."""
        sources = self.carry.sources(part)
        frames = sampled(self.cut.expand(len(part), -1, -1, -1), _on_fine(sources))
        at = self.posed.projected(self.posed.turned(self.posed.shaped(part), part))
        top, left, height, width = self._window(at)
        at[..., :2] -= at.new_tensor([left, top])
        raster = self._raster(at, height, width)
        color, opacity = self._shaded(raster)
        face = raster.resolve(torch.cat([color * opacity, opacity], dim=1))
        window = frames[:, :, top : top + height, left : left + width]
        window.copy_(face + (1 - face[:, 3:]) * window)
        return frames

    def _window(self, at: Tensor) -> tuple[int, int, int, int]:
        """Top, left, height and width of what the drawn face covers in a batch, within the frame."""
        used = at[:, self.faces.unique(), :2]
        low, high = used.amin((0, 1)).floor().long(), used.amax((0, 1)).ceil().long()
        limit = low.new_tensor([self.size[1], self.size[0]])
        (left, top), (right, bottom) = low.clamp(min=0).minimum(limit - 1).tolist(), high.minimum(limit).tolist()
        return top, left, max(bottom - top, 1), max(right - left, 1)

    def _raster(self, at: Tensor, height: int, width: int, samples: int = 2) -> Raster:
        at = at.clone()
        at[:, self.deeper, 2] += _BEHIND_SKIN_M
        return rasterize(at, self.faces, height, width, samples)

    def _shaded(self, raster: Raster) -> tuple[Tensor, Tensor]:
        """Colors (N, 3) and opacity (N, 1) of the samples."""
        values = raster.interpolate(self.corners)
        places, seen, opacity, uv = values[:, :2], values[:, 2:3], values[:, 3:4], values[:, 4:]
        color = _at(self.color, _on_fine(places))
        skin = self.is_skin[raster.face]
        hidden = torch.nonzero(skin & (seen[:, 0] < 0.999))[:, 0]
        size = self.texture.shape[2]
        on_texture = torch.stack([uv[hidden, 0] % 1.0, 1 - uv[hidden, 1]], dim=1) * size
        color[hidden] = torch.lerp(_at(self.texture, on_texture), color[hidden], seen[hidden])
        inner = torch.nonzero(~skin)[:, 0]
        shown = _at(self.shown, places[inner]).gather(1, self.kind[raster.face[inner], None])
        color[inner] = torch.lerp(self.inner[raster.face[inner]], color[inner], shown)
        return color, torch.where(skin[:, None], opacity, 1.0)


def _fine(picture: Tensor) -> Tensor:
    """A picture (1, C, H, W) of 2H-1 x 2W-1: the same pixels and cubic ones between, so that bilinear samples of it keep
    their sharpness wherever they fall."""
    height, width = picture.shape[2:]
    return F.interpolate(picture, size=(2 * height - 1, 2 * width - 1), mode="bicubic", align_corners=True)


def _on_fine(places: Tensor) -> Tensor:
    """Pixel coordinates in a picture, as those in its `_fine`."""
    return 2 * places - 0.5


def _at(picture: Tensor, places: Tensor) -> Tensor:
    """Values (N, C) of a picture (1, C, H, W) at places (N, 2)."""
    return sampled(picture, places[None, None])[0, :, 0].T
