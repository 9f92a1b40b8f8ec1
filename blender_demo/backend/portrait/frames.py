# SPDX-License-Identifier: GPL-3.0-or-later
"""A portrait and a clip become frames: background, then hair and shoulders carried along, then the face.

The face is the head model's skin under the picture itself: each point shows what the picture shows of it, and what the
picture does not show comes from the portrait's texture. So a clip at rest gives the picture back. Behind the skin lie
eyes, teeth, gums and tongue of the head model: as in the picture where they are seen in it, else in their own colors in
the picture's light. Nothing is shaded: the light is in the picture.
"""

from collections.abc import Generator
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..head.head_model import load_head
from ..motion.clip import MotionClip
from .ahead import computed_ahead
from .carry import Carry, sampled
from .controls import NEUTRAL, PortraitControls
from .fill import smoothstep
from .lids import lid_skin
from .light import to_srgb
from .mouth import Opening, find_opening
from .performance import Performance, at_rest, perform
from .portrait import Portrait
from .rasterize import RIM, Raster, rasterize
from .refiner import Refiner
from .stage import PosedHead, triangles
from .texture import vertex_normals

__all__ = ["render_frames"]

_COLORS: Final = {
    "mouth": (0.62, 0.30, 0.28),
    "gums": (0.70, 0.36, 0.35),
    "teeth": (0.80, 0.77, 0.69),
    "tongue": (0.80, 0.46, 0.45),
    "pupil": (0.03, 0.03, 0.03),
}
"""sRGB in white light; the skin, iris and the white of the eyes have theirs from the picture."""
_EYES: Final = ("sclera", "iris", "pupil")
_BEHIND_SKIN_M: Final = 0.0015
"""What lies behind the skin is drawn this much deeper: lips and lids of other people than the mean lie closer."""
_LIT_DEPTH_M: Final = 0.032
"""Depth behind the lips at which the inside of the mouth is darker by a factor e."""
_DARKEST: Final = 0.12
_CHEEKS_M: Final = (0.013, 0.023)
"""Way from the middle of the mouth from which cheeks and corners of the lips shade it, and fully."""
_CHEEKS_SHADOW: Final = 0.7
_GRAY: Final = 0.12
"""Difference between the channels of skin, over the largest, below which a picture has lost color."""
_FLESH: Final = np.array([0.8, 1.2, 1.2], np.float32)
"""Powers of what is left of red, green and blue in the dark: light that lips and cheeks have scattered is red."""
_LID_SHADOW: Final = 0.35
"""How much darker the upper lid makes the white of the eye below it."""
_SCLERA: Final = 0.85
"""Brightness of the white of the eyes, between lids, over that of something white."""
_BEHIND_M: Final = 0.012
"""How far behind the nearest skin a vertex is hidden in the picture."""
_FEW_PIXELS: Final = 12
_TEETH_BRIGHT: Final = 0.85
_TEETH_SHARE: Final = 0.6
"""Where this share of what the picture shows behind the lips is so bright, over the skin, it is teeth and goes on being
seen when the lips move; else it is dark, or the lips themselves."""
_LITTLE_AREA: Final = 0.05
_EYE, _UPPER_TEETH, _LOWER_TEETH, _TONGUE, _LINING = range(5)
_KINDS: Final = (("eyeLeft", "eyeRight"), ("teethUpper", "gumsUpper"), ("teethLower", "gumsLower"), ("tongue",),
                   ("mouth", "lidRims"))  # fmt: skip
"""Parts behind the skin, by kind: one kind does not show the colors of another in the picture."""
_SIDE_RAD: Final = (1.05, 0.65)
"""Angle from straight ahead, seen from above, at which the drawn face ends, and from which it is whole."""
_JAW_M: Final = (-0.105, -0.075)
"""Height (y + 0.3 z) in the head frame at which it ends under the jaw, and from which it is whole."""
_CROWN_M: Final = (0.125, 0.095)
"""Height at which it ends towards the hair, and from which it is whole."""
_UNSEEN: Final = 1 / 512
"""Opacity below which a pixel of 8 bits is not seen."""
_EDGE_ON: Final = (0.02, 0.20)
"""Cosine to the line of sight from which the picture shows a point of the skin, and fully."""
_BORDER_ON: Final = (0.25, 0.55)
"""The same for the border of the drawn face, which has to lie where the picture shows skin well."""
_LIDS_SHUT: Final = (0.75, 0.35)
"""Opening of the lids, over that in the picture, from which lids lose the lashes of the picture, and fully."""
_LIDS_MEET: Final = (0.30, 0.05)
"""Opening of the lids, over that in the picture, from which they show as shut, and fully."""
_UNFOLDED: Final = (1.4, 2.4)
"""Area of lid over that in the picture from which it shows skin that the picture hides, and fully."""
_LIPS_MOVED: Final = (0.01, 0.08)
"""Change of the lips' opening, in widths of the mouth, from which other things show between them, and only these."""
_LIPS_AT_WORK: Final = (0.0, 0.005)
"""The same from which their rims are drawn, and soft."""
_EYES_MOVED: Final = (0.01, 0.08)
"""The same of the gaze, in radians, between the lids."""
_HEAD_MOVED: Final = (0.03, 0.15)
"""The same of the head's turn, in radians: it shows other teeth between the same lips."""


def render_frames(
    portrait: Portrait,
    clip: MotionClip,
    width: int,
    height: int,
    controls: PortraitControls = NEUTRAL,
    device: str = "cpu",
    batch: int = 4,
    first: int = 0,
    alpha: bool = False,
    dtype: type[np.uint8 | np.uint16 | np.float16] = np.uint8,
    refine: bool = True,
) -> Generator[NDArray]:
    """Frames (height, width, 3), sRGB, one for each frame of the clip from `first` on, in order.

    The whole picture is shown; `width` over `height` should be as in the picture. alpha: only the person is seen, and
    frames (height, width, 4) have straight alpha. dtype: sRGB in whole numbers, or np.float16 for scene-linear colors,
    premultiplied. refine: a neural network repairs mouth and eyes; PortraitError is raised where its weights are
    missing or damaged.
    A frame is the same to the bit wherever `first` lies, as long as that is a multiple of `batch`.
    """
    acts = perform(portrait.fit, clip, controls)
    with torch.inference_mode():
        painter = _Painter(portrait, width, height, device, refine)

    def drawn(start: int) -> NDArray:
        with torch.inference_mode():  # counts for a thread
            layer = painter.paint(acts[start : start + batch])
            color, opacity = layer[:, :3], layer[:, 3:]
            if alpha:
                layer += (1 - opacity) * painter.body
                color /= opacity.clamp(min=_UNSEEN)
            else:
                layer = torch.addcmul(color, 1 - opacity, painter.plate)
            return _stored(layer.clamp_(0, 1).permute(0, 2, 3, 1), dtype)

    for frames in computed_ahead(drawn, range(first, len(acts), batch), device):
        yield from frames


class _Painter:
    """All of a portrait that does not change from frame to frame."""

    def __init__(self, portrait: Portrait, width: int, height: int, device: str, refine: bool) -> None:
        def picture(values: NDArray) -> Tensor:
            planes = torch.as_tensor(values, device=device).reshape(*values.shape[:2], -1).permute(2, 0, 1)[None]
            if planes.shape[2:] == (height, width):
                return planes
            smaller = height < planes.shape[2]
            return F.interpolate(planes, size=(height, width), mode="bicubic", antialias=smaller).clamp(0, 1)

        self.size, self.device = (height, width), device
        self.posed = PosedHead(portrait.fit, width, height, device)
        color, self.plate, cutout, person = (
            picture(v) for v in (portrait.picture, portrait.plate, portrait.cutout, portrait.person)
        )
        self.px_per_m = float(self.posed.focal.mean()) / float(portrait.fit.translation[2])
        self.enlarged = width / portrait.picture.shape[1]
        self.in_mouth = torch.tensor([_UPPER_TEETH, _LOWER_TEETH, _TONGUE, _LINING], device=device)
        self.carry = Carry(portrait.fit, self.posed, cutout, person[:, 3:])
        self.body = person * self.carry.stays
        self.color = _fine(color)
        matte = self.carry.matte
        self.still = torch.cat([color - (1 - matte) * self.plate, matte], dim=1)
        self.cut = _fine(self.still)
        self.texture = torch.as_tensor(portrait.texture, device=device).permute(2, 0, 1)[None]
        self._build_mesh(portrait)
        self.refiner = Refiner(portrait.fit, self.posed, color) if refine else None

    def _build_mesh(self, portrait: Portrait) -> None:
        """Faces and what their corners show: place in the picture (2), seen in it, opacity, nearness to an eye.

        And what takes the place of skin that is not seen in the picture: UV (2), color of a lid (3).
        """
        head, fit = load_head(), portrait.fit
        rest = at_rest(fit)
        shaped = self.posed.shaped(rest)
        at = self.posed.projected(shaped)
        opacity = self._opacity()
        skin = head.material == head.materials.index("skin")
        drawn = ~np.isin(head.material, [head.materials.index(name) for name in ("brows", "lashes")])
        drawn &= ~skin | (opacity[head.quads] > 0).any(1)
        order = np.tile(np.flatnonzero(drawn), 2)
        faces, uv = triangles(head.quads[drawn]), triangles(head.uv[drawn].astype(np.float32))
        lining = (head.part[head.quads[order]] == head.parts.index("mouth")).any(1)  # seen from within
        faces[lining], uv[lining] = faces[lining, ::-1], uv[lining, ::-1]
        self.faces = faces = torch.as_tensor(faces, device=self.device)
        self.used = faces.unique()
        uv = torch.as_tensor(uv, device=self.device)
        every = torch.as_tensor(triangles(head.quads[skin]), device=self.device)
        facing, visible = self._facing(shaped[0], at, every)
        inside = torch.as_tensor(opacity >= 1, device=self.device)
        opacity = torch.as_tensor(opacity, device=self.device) * torch.where(
            inside, 1.0, smoothstep(*_BORDER_ON, facing)
        )
        rims = _rims()
        facing[torch.as_tensor(rims, device=self.device)] = 1  # thin folds, which the picture shows as they are
        seen = smoothstep(*_EDGE_ON, facing) * visible
        pictured = _at(self.color, _on_fine(at[0, :, :2]))
        self.lids = lid_skin(fit, self.posed, pictured, seen, every, 1 / self.px_per_m)
        near, color = self.lids.near, self.lids.color
        self.is_right = (self.posed.base[:, 0] < 0).long()
        self.lid_faces = every[(near[every] > 0).all(1)]
        self.lid_areas = self._lid_areas(at)
        self.corners = torch.cat([at[0, :, :2], torch.stack([seen, opacity, near], dim=1)], dim=1)[faces]
        self.unseen = torch.cat([uv, color[faces]], dim=2)
        self.is_skin = torch.as_tensor(skin[order], device=self.device)

        kinds = np.zeros(len(head.parts), np.int64)
        for number, parts in enumerate(_KINDS):
            kinds[[head.parts.index(part) for part in parts]] = number
        self.kind = torch.as_tensor(kinds[head.part[head.quads[order, 0]]], device=self.device)
        surface = head.material[order].astype(np.int64) * len(_KINDS) + self.kind.cpu().numpy()
        surface[np.isin(head.quads[order], rims).any(1)] = RIM
        self.surface = torch.as_tensor(surface, device=self.device)
        deeper = np.unique(head.quads[~skin & (head.material != head.materials.index("mouth"))])
        self.deeper = torch.as_tensor(deeper, device=self.device)
        raster = self._raster(at, *self.size, samples=1)
        shown = F.one_hot(self.kind[raster.face], len(_KINDS)).float() * ~self.is_skin[raster.face, None]
        shown = raster.resolve(shown)
        self.rest = torch.as_tensor(rest.gaze, device=self.device)
        self.shown_at_rest = F.max_pool2d(shown, 5, stride=1, padding=2)
        narrow = F.avg_pool2d(1 - F.max_pool2d(1 - shown, 3, stride=1, padding=1), 3, stride=1, padding=1)
        narrow[:, [_LOWER_TEETH, _TONGUE, _LINING]] = 0
        self.shown = narrow
        self.inner = torch.as_tensor(self._inner_colors(portrait, order, faces.cpu().numpy()), device=self.device)

    def _opacity(self) -> NDArray[np.float32]:
        """Of the vertices (V,): the face is drawn, the rest of the head is carried."""
        head = load_head()
        x, y, z = head.vertices.T
        side = np.arctan2(np.abs(x), z)
        opacity = np.ones(len(x), np.float32)
        for (low, high), value in ((_SIDE_RAD, side), (_JAW_M, y + 0.3 * z), (_CROWN_M, y)):
            opacity *= smoothstep(low, high, value).astype(np.float32)
        opacity[head.part != head.parts.index("skin")] = 1
        return opacity

    def _facing(self, shaped: Tensor, at: Tensor, skin: Tensor) -> tuple[Tensor, Tensor]:
        """Of each vertex (V,) in the picture: cosine to the line of sight, and whether nothing hides it."""
        corners = shaped[skin]
        normal = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals = torch.zeros_like(shaped)
        for corner in skin.T:
            normals.index_add_(0, corner, normal)
        eye = -self.posed.translation @ self.posed.rotation  # the camera in the head frame
        facing = (F.normalize(eye - shaped, dim=1) * F.normalize(normals, dim=1)).sum(1)
        raster = rasterize(at, skin, *self.size, samples=1)
        depth = raster.resolve(raster.interpolate(at[0, skin, 2:]))[0, 0]
        x, y = (at[0, :, axis].long().clamp(0, self.size[1 - axis] - 1) for axis in (0, 1))
        return facing, (depth[y, x] == 0) | (at[0, :, 2] < depth[y, x] + _BEHIND_M)

    def _inner_colors(self, portrait: Portrait, order: NDArray[np.intp], faces: NDArray) -> NDArray[np.float32]:
        """sRGB colors (F, 3, 3) at corners of what is behind the skin, in the picture's light and darker with depth."""
        head = load_head()
        white = _white(portrait)
        skin = np.median(portrait.texture[portrait.skin_mask > 0.9], axis=0)
        colorful = min(float(np.ptp(skin) / skin.max().clip(1e-3)) / _GRAY, 1.0)
        colors = {name: _grayed(color, colorful) * white for name, color in _COLORS.items()}
        colors |= {"iris": portrait.iris_color, "sclera": np.asarray(portrait.sclera_color, np.float32)}
        if (teeth := self._pictured_teeth(portrait)) is None:
            self.shown[:, _UPPER_TEETH] = 0
        else:
            colors["teeth"] = teeth
        by_material = np.stack([np.asarray(colors.get(name, white), np.float32) for name in head.materials])
        shown = by_material[head.material[order]][:, None]
        deep = [name for name in head.materials if name not in ("skin", *_EYES)]
        normals = vertex_normals(head.vertices, triangles(head.faces_of(*deep, *_EYES)))
        ahead = normals[:, 2].clip(0, 1)
        lips = head.vertices[head.lip_loop, 2].mean()
        lit = np.exp(-(lips - head.vertices[:, 2]).clip(0) / _LIT_DEPTH_M).clip(_DARKEST, 1) * (0.6 + 0.4 * ahead)
        lit *= 1 - _CHEEKS_SHADOW * smoothstep(*_CHEEKS_M, np.abs(head.vertices[:, 0]))
        above = (head.vertices[:, 1] - head.eye_centres[0, 1]) / head.eye_radius
        ball = (1 - _LID_SHADOW * np.clip(above / 0.5, 0, 1)) * (0.72 + 0.25 * ahead)
        rims = head.part == head.parts.index("lidRims")
        in_mouth = np.isin(head.material[order], [head.materials.index(name) for name in deep])
        light = np.where(in_mouth[:, None], lit[faces], ball[faces])
        shown = shown * light[..., None] ** _grayed(_FLESH, colorful)
        shown[rims[head.quads[order]].any(1)] = self.lids.rim_color.cpu().numpy()
        return shown.astype(np.float32)

    def _pictured_teeth(self, portrait: Portrait) -> NDArray[np.float32] | None:
        """Mean color (3,) of the upper teeth in the picture; None where what it shows behind the lips is none."""
        shown = self.shown[0, _UPPER_TEETH] > 0.9
        if int(shown.sum()) < _FEW_PIXELS:
            return None
        colors = self.color[0, :, ::2, ::2][:, shown]
        bright = colors.mean(0)
        skin = np.median(portrait.texture[portrait.skin_mask > 0.9].mean(-1))
        if float((bright > _TEETH_BRIGHT * skin).float().mean()) < _TEETH_SHARE:
            return None
        return colors[:, bright >= bright.median()].mean(1).cpu().numpy()

    def paint(self, part: Performance) -> Tensor:
        """All but the background (B, 4, height, width): colors times alpha, and alpha."""
        frames = self.still.repeat(len(part), 1, 1, 1)
        frames[:, :, *self.carry.window] = self.carry.moved(self.cut, part)
        shaped = self.posed.shaped(part)
        at = self.posed.projected(self.posed.turned(shaped, part))
        top, left, height, width = self._window(at)
        at[..., :2] -= at.new_tensor([left, top])
        raster = self._raster(at, height, width)
        moved = self._moved(part)
        color, opacity, opening = self._shaded(raster, moved, self._lids_at(at, part))
        face = raster.resolve(torch.cat([color * opacity, opacity], dim=1))
        if opening:
            drawn = torch.maximum(smoothstep(*_LIPS_AT_WORK, self._tensor(part.lips).abs()), moved[:, _LINING])
            opening.soften(face, drawn, self.enlarged)
        window = frames[:, :, top : top + height, left : left + width]
        window.copy_(face + (1 - face[:, 3:]) * window)
        if self.refiner:
            at[..., :2] += at.new_tensor([left, top])
            self.refiner.refine(frames, at, part)
        return frames

    def _window(self, at: Tensor) -> tuple[int, int, int, int]:
        """Top, left, height and width of what the drawn face covers in a batch, within the frame."""
        used = at[:, self.used, :2]
        low, high = used.amin((0, 1)).floor().long(), used.amax((0, 1)).ceil().long()
        limit = low.new_tensor([self.size[1], self.size[0]])
        (left, top), (right, bottom) = low.clamp(min=0).minimum(limit - 1).tolist(), high.minimum(limit).tolist()
        return top, left, max(bottom - top, 1), max(right - left, 1)

    def _raster(self, at: Tensor, height: int, width: int, samples: int = 2) -> Raster:
        at = at.clone()
        at[:, self.deeper, 2] += _BEHIND_SKIN_M
        return rasterize(at, self.faces, height, width, samples, self.surface)

    def _shaded(self, raster: Raster, moved: Tensor, lids: Tensor) -> tuple[Tensor, Tensor, Opening | None]:
        """Colors (N, 3) and opacity (N, 1) of the samples, and where mouths are open."""
        places, (seen, opacity, near_eye) = (v := raster.interpolate(self.corners))[:, :2], v[:, 2:].unbind(1)
        # All samples of a pixel show what is at its center: their mean blurs edges of faces, not the picture.
        places = places - raster.offset
        color = _at(self.color, _on_fine(places))

        skin = self.is_skin[raster.face]
        lid = torch.nonzero(near_eye > 0)[:, 0]
        corners, weights = self.faces[raster.face[lid]], raster.weights[lid]
        unfolded, lashes, shut = (weights[..., None] * lids[raster.picture[lid, None], corners]).sum(1).unbind(1)
        seen[lid] *= 1 - unfolded
        hidden = torch.nonzero(skin & (seen < 0.999))[:, 0]
        unseen = raster.interpolate(self.unseen, hidden)
        on_texture = torch.stack([unseen[:, 0] % 1.0, 1 - unseen[:, 1]], dim=1) * self.texture.shape[2]
        completed = torch.lerp(_at(self.texture, on_texture), unseen[:, 2:], near_eye[hidden, None])
        color[hidden] = torch.lerp(completed, color[hidden], seen[hidden, None])
        height, fold, within = (
            (weights * values[corners]).sum(1) for values in (self.lids.height, self.lids.fold, self.lids.within)
        )
        color[lid] = self.lids.shaded(color[lid], height, fold, lashes, shut * within)

        inner = torch.nonzero(~skin)[:, 0]
        face = raster.face[inner]
        kind = self.kind[face]
        own = (raster.weights[inner, :, None] * self.inner[face]).sum(1)
        mouth = torch.nonzero(kind.unsqueeze(1).eq(self.in_mouth).any(1))[:, 0]
        opening, *pixels = find_opening(raster, inner[mouth], self.px_per_m)
        if opening:
            own[mouth] *= opening.light(*pixels)[:, None]
        same, other = (
            _at(mask, places[inner]).gather(1, kind[:, None])[:, 0] for mask in (self.shown_at_rest, self.shown)
        )
        same[mouth] = 1  # lips that part show what the picture has there, be it the lips
        shown = torch.lerp(same, other, moved[raster.picture[inner], kind])
        gaping = 1 - lids[raster.picture[inner], self.faces[face, 0], 2] * (kind == _EYE)
        color[inner] = torch.lerp(self.lids.rim_color, torch.lerp(own, color[inner], shown[:, None]), gaping[:, None])
        return color, torch.where(skin, opacity, 1.0)[:, None], opening

    def _lids_at(self, at: Tensor, part: Performance) -> Tensor:
        """Of each vertex (B, V, 3): how far lids there show skin that the picture does not show, how far they have left
        the lashes of the picture, and how far they are shut."""
        opening = self._tensor(part.lids)
        moved, shut = (smoothstep(*reach, opening)[:, self.is_right] for reach in (_LIDS_SHUT, _LIDS_MEET))
        stretched = self.lids.folded * smoothstep(*_UNFOLDED, self._lid_areas(at) / self.lid_areas)
        moved = torch.where(self.lids.height < 0, shut, moved)  # lower lids hardly move before
        return torch.stack([torch.maximum(stretched, self.lids.lashes * moved), self.lids.within * moved, shut], dim=-1)

    def _lid_areas(self, at: Tensor) -> Tensor:
        """Area in the frames (B, V) of the lids' faces around each vertex, in pixels; a little everywhere."""
        (xa, xb, xc), (ya, yb, yc) = ([at[:, corner, axis] for corner in self.lid_faces.T] for axis in (0, 1))
        area = ((yb - ya) * (xc - xa) - (xb - xa) * (yc - ya)).clamp(min=0) / 2
        sums = torch.full_like(at[..., 0], _LITTLE_AREA)
        for corner in self.lid_faces.T:
            sums.index_add_(1, corner, area)
        return sums

    def _moved(self, part: Performance) -> Tensor:
        """How far each kind (B, K) of what is behind the skin has moved from where the picture shows it."""
        gaze = (self._tensor(part.gaze) - self.rest).abs().amax((1, 2))
        lips, turn = self._tensor(part.lips).abs(), self._tensor(part.angles).norm(dim=1)
        mouth = torch.maximum(smoothstep(*_LIPS_MOVED, lips), smoothstep(*_HEAD_MOVED, turn))
        eyes = smoothstep(*_EYES_MOVED, gaze)
        return torch.stack([eyes if kind == _EYE else mouth for kind in range(len(_KINDS))], dim=1)

    def _tensor(self, values: NDArray) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)


def _rims() -> NDArray[np.integer]:
    """Vertices of the rims of lips and lids, and of the edges next to them, that fold."""
    head = load_head()
    rims = np.intersect1d(head.faces_of("mouth"), head.faces_of("skin"))
    for _ in range(2):
        rims = np.union1d(rims, head.quads[np.isin(head.quads, rims).any(1)])
    return rims


def _grayed(color: tuple[float, ...] | NDArray[np.float32], colorful: float) -> NDArray[np.float32]:
    """A color (3,), or a gray as bright the less colorful it is to be, 0..1."""
    values = np.asarray(color, np.float32)
    return values.mean() + colorful * (values - values.mean())


def _white(portrait: Portrait) -> NDArray[np.float32]:
    """sRGB color (3,) of something white in the picture: from the white of the eyes, and from the light on the skin."""
    ahead = to_srgb(portrait.light[0] + portrait.light[3])
    eyes = np.asarray(portrait.sclera_color, np.float32) / _SCLERA
    return np.maximum((ahead + eyes) / 2, eyes).clip(0.05, 1).astype(np.float32)


def _stored(frames: Tensor, dtype: type[np.uint8 | np.uint16 | np.float16]) -> NDArray:
    """Frames (B, height, width, 3 or 4), sRGB in 0..1 with straight alpha, as numbers of files; see `render_frames`."""
    if dtype == np.float16:
        color, opacity = frames[..., :3], frames[..., 3:]
        linear = torch.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
        premultiplied = linear * opacity if opacity.shape[-1] else linear
        return torch.cat([premultiplied, opacity], dim=-1).to(torch.float16).cpu().numpy()
    whole = (frames * (255 if dtype == np.uint8 else 65535)).round_()
    if dtype == np.uint8:
        return whole.to(torch.uint8).contiguous().cpu().numpy()
    return whole.to(torch.int32).contiguous().cpu().numpy().astype(np.uint16)


def _fine(picture: Tensor) -> Tensor:
    """A picture (1, C, H, W) with cubic pixels between its own, (1, C, 2H-1, 2W-1).

    Bilinear samples of it are sharp wherever they fall, so that what moves slowly does not pulse.
    """
    height, width = picture.shape[2:]
    return F.interpolate(picture, size=(2 * height - 1, 2 * width - 1), mode="bicubic", align_corners=True)


def _on_fine(places: Tensor) -> Tensor:
    """Pixel coordinates in a picture, as those in its `_fine`."""
    return 2 * places - 0.5


def _at(picture: Tensor, places: Tensor) -> Tensor:
    """Values (N, C) of a picture (1, C, H, W) at places (N, 2)."""
    return sampled(picture, places[None, None])[0, :, 0].T
