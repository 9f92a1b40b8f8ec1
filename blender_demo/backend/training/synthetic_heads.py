# SPDX-License-Identifier: GPL-3.0-or-later
"""People that never were: the head model with random identity, skin, eyes, teeth, hair, light, camera and wall.

Their pictures and the true frames of any clip are known, so that portraits can be measured and the refiner can learn.
Everything follows from one seed.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation
from torch import Tensor

from ..head.head_model import load_head
from ..motion.clip import MotionClip
from ..motion.factors import ARKIT_NAMES
from ..portrait.carry import sampled
from ..portrait.fill import smoothstep
from ..portrait.fit import HeadFit
from ..portrait.landmarks import Landmarks
from ..portrait.light import from_srgb
from ..portrait.performance import Performance, at_rest, perform
from ..portrait.rasterize import Raster, rasterize
from ..portrait.stage import PosedHead, triangles
from ..portrait.texture import polygon_distance, skin_texels

__all__ = ["SyntheticPerson"]

Floats = NDArray[np.float32]

_TEXTURE: Final = 1024
_COMPLEXIONS: Final = ((0.95, 0.78, 0.70), (0.87, 0.66, 0.54), (0.76, 0.54, 0.40), (0.55, 0.37, 0.27),
                       (0.32, 0.21, 0.16), (0.20, 0.135, 0.11))  # fmt: skip
"""sRGB, from very light to very dark."""
_HAIR: Final = ((0.06, 0.05, 0.05), (0.20, 0.13, 0.09), (0.38, 0.24, 0.14), (0.68, 0.52, 0.32), (0.45, 0.20, 0.10),
                (0.62, 0.60, 0.58))  # fmt: skip
_IRISES: Final = ((0.20, 0.12, 0.08), (0.35, 0.22, 0.12), (0.40, 0.36, 0.22), (0.33, 0.42, 0.35), (0.35, 0.46, 0.58))
_SCLERA: Final = ((0.82, 0.76, 0.72), (0.94, 0.93, 0.92))
_TEETH: Final = ((0.70, 0.60, 0.44), (0.95, 0.93, 0.90))
_TONGUE: Final = ((0.45, 0.20, 0.21), (0.76, 0.42, 0.41))
_GUMS: Final = ((0.42, 0.20, 0.20), (0.76, 0.42, 0.41))
_LINING: Final = ((0.26, 0.09, 0.09), (0.50, 0.22, 0.21))
"""Ends of what is drawn at random, in white light."""
_SMILES: Final = ("mouthSmile", "mouthStretch", "cheekSquint", "eyeSquint", "mouthUpperUp", "mouthLowerDown",
                  "browDown", "browOuterUp", "mouthDimple")  # fmt: skip
_BEHIND_SKIN_M: Final = 0.0015
"""Eyes and teeth lie this much deeper: lips and lids of other people than the mean lie closer."""
_BEFORE_SKIN_M: Final = 0.003
_NECK_M: Final = (-0.17, -0.09)
"""Height (y + 0.3 z) at which skin stays with the shoulders, and from which it goes with the head."""
_INNER_M: Final = (-0.13, 0.03)
"""Heights between which skin is drawn from inside too, as lining: the head model's own has gaps in the cheeks."""
_BROW_M: Final = (0.0055, 0.0005)
"""Distance from the middle of a brow at which its hair ends, and at which it is dense."""
_REDDEST: Final = (0.77, 0.66)
"""Green over red on the head model's own skin at which lips begin, and are fully lips."""
_SHADOW_M: Final = 0.010
"""Reach of the shadow that lips and lids throw on what lies behind them."""
_CREASE_M, _INNER_LIP_M = 0.0022, 0.005
"""Distance from the line where lips meet, and from the end of their skin, up to which they darken each other."""
_PARTED: Final = 0.08
"""Opening of the lips, in widths of the mouth, at which they do so no more than by half."""
_FLESH: Final = (0.85, 1.1, 1.2)
"""Powers of what is left of red, green and blue in the dark: light that lips and cheeks have scattered is red."""
_GLOSS: Final = {"skin": (0.03, 12.0), "teeth": (0.25, 40.0), "tongue": (0.12, 25.0), "gums": (0.15, 30.0)}
"""Strength and sharpness of the highlights."""
_EYE_GLOSS: Final = (1.2, 220.0)
_LIP_GLOSS: Final = (0.16, 30.0)
_LANDMARK_ERROR: Final = (0.004, 0.008)
"""Of a tracker, in distances of the eyes: of each point, and of a stretch of neighbors."""
_REGIONS: Final = {
    "mouth": (tuple(range(48, 60)), 0.10),
    "eyes": (tuple(range(36, 42)), 0.10),
    "left eye": (tuple(range(42, 48)), 0.10),
    "face": ((*range(17), *range(26, 16, -1)), 0.0),
}
"""Landmarks around a region, and how far it reaches past them, in distances of the eyes."""


class SyntheticPerson:
    """One person before one camera.

    fit: the true head, as `fit_head` should find it. size: width and height of all pictures, in pixels.
    """

    def __init__(self, seed: int, size: int = 512, device: str = "cpu") -> None:
        self.size, self.device = size, device
        rng = np.random.default_rng([seed, 5])
        self.noise = np.random.default_rng([seed, 6])
        self.fit = _random_fit(rng, size)
        self.posed = PosedHead(self.fit, size, size, device)
        self._dress(rng)
        self._light_up(rng)
        self.background = _wall(rng, size)

    def picture(self) -> Floats:
        """The still (H, W, 3), sRGB: a mild expression, the head at rest."""
        return next(self._drawn(at_rest(self.fit), 1))

    def landmarks(self) -> Landmarks:
        """Where a tracker would find the landmarks in the still, with its errors; the same at each call."""
        head = load_head()
        at = self.fit.project(self.fit.vertices()[np.concatenate([head.landmarks, head.iris.ravel()])])
        exact = Landmarks(at[:68], at[68:].reshape(2, 5, 2))
        alone, shared = np.array(_LANDMARK_ERROR) * exact.eye_distance
        rng = np.random.default_rng(self.noise.bit_generator.seed_seq)  # pyright: ignore[reportArgumentType]
        smooth = gaussian_filter1d(rng.standard_normal((68, 2)), 2.0, axis=0) * 2.5
        error = alone * rng.standard_normal((68, 2)) + shared * smooth
        iris = exact.iris + alone * rng.standard_normal((2, 1, 2))
        return Landmarks((exact.points + error).astype(np.float32), iris.astype(np.float32))

    def frames(
        self, clip: MotionClip, batch: int = 4, window: tuple[slice, slice] = (slice(None), slice(None))
    ) -> Iterator[Floats]:
        """The true frames (H, W, 3), sRGB, one for each frame of the clip; only the rows and columns of the window."""
        yield from self._drawn(perform(self.fit, clip), batch, window)

    def regions(self, clip: MotionClip) -> dict[str, NDArray[np.bool_]]:
        """Masks (T, H, W) of the "mouth" with its surroundings, the "eyes" and the "face" in the true frames."""
        part = perform(self.fit, clip)
        with torch.inference_mode():
            at = self.posed.projected(self.posed.turned(self.posed.shaped(part), part))
        points = at[:, torch.as_tensor(load_head().landmarks.astype(np.int64)), :2].cpu().numpy()
        unit = np.linalg.norm(points[:, 42:48].mean(1) - points[:, 36:42].mean(1), axis=1)
        y, x = np.mgrid[: self.size, : self.size].astype(np.float32) + 0.5
        places = np.stack([x, y], axis=-1).reshape(-1, 2)

        def mask(name: str) -> NDArray[np.bool_]:
            rows, margin = _REGIONS[name]
            distances = [
                polygon_distance(places, outline, margin * one + 1)
                for outline, one in zip(points[:, list(rows)], unit, strict=True)
            ]
            inside = np.stack(distances) < margin * unit[:, None]
            return inside.reshape(-1, self.size, self.size)

        return {"mouth": mask("mouth"), "eyes": mask("eyes") | mask("left eye"), "face": mask("face")}

    def _dress(self, rng: np.random.Generator) -> None:
        """Skin, hair, clothes and the colors of all parts; the mesh that is drawn."""
        head = load_head()
        hair = np.multiply(_HAIR[rng.integers(len(_HAIR))], rng.uniform(0.7, 1.2))
        self.texture = torch.as_tensor(_skin(rng, hair), device=self.device).permute(2, 0, 1)[None]
        count = len(head.vertices)
        person = self.posed.base.cpu().numpy()
        near = KDTree(head.vertices).query(np.concatenate([head.hair_vertices, head.clothes_vertices]))[1]
        worn = np.concatenate([head.hair_vertices, head.clothes_vertices]) + person[near] - head.vertices[near]
        self.worn = torch.as_tensor(worn.astype(np.float32), device=self.device)
        self.hairs = len(head.hair_vertices)
        head_height = person[:, 1] + 0.3 * person[:, 2]
        follows = [smoothstep(*_NECK_M, head_height), np.ones(self.hairs), np.zeros(len(worn) - self.hairs)]
        self.follows = torch.as_tensor(np.concatenate(follows).astype(np.float32), device=self.device)[:, None]

        lashes = rng.uniform() < 0.7
        self.lash_length = rng.uniform(0.15, 0.5)
        gone = [head.materials.index(name) for name in (("brows",) if lashes else ("brows", "lashes"))]
        kept = ~np.isin(head.material, gone)
        groups = [(head.quads[kept], head.material[kept])]
        if rng.uniform() < 0.7:
            groups.append((head.hair_quads + count, np.full(len(head.hair_quads), len(head.materials))))
        clothes = head.clothes_quads + count + self.hairs
        groups.append((clothes, np.full(len(clothes), len(head.materials) + 1)))
        outward = sum(len(quads) for quads, _ in groups)
        inner = head.faces_of("skin")
        inner = inner[(_INNER_M[0] < head.vertices[inner, 1]).all(1) & (head.vertices[inner, 1] < _INNER_M[1]).all(1)]
        groups.append((inner[:, ::-1], np.full(len(inner), head.materials.index("mouth"))))
        if lashes:
            both_sides = head.faces_of("lashes")[:, ::-1]
            groups.append((both_sides, np.full(len(both_sides), head.materials.index("lashes"))))
        quads, material = (np.concatenate(values) for values in zip(*groups, strict=True))
        uv = np.zeros((len(quads), 4, 2), np.float32)
        uv[: kept.sum()] = head.uv[kept]
        within = (quads < count).all(1) & (head.part[quads.clip(max=count - 1)] == head.parts.index("mouth")).any(1)
        quads[within], uv[within] = quads[within, ::-1], uv[within, ::-1]  # the lining is seen from within
        self.faces = torch.as_tensor(triangles(quads), device=self.device)
        self.outward = torch.as_tensor(triangles(quads[:outward]), device=self.device)
        self.uv = torch.as_tensor(triangles(uv), device=self.device)
        self.material = torch.as_tensor(np.tile(material, 2).astype(np.int64), device=self.device)
        roots, tips = np.unique(np.sort(head.faces_of("lashes"), axis=1)[:, [0, 2, 1, 3]].reshape(-1, 2), axis=0).T
        self.lashes = [torch.as_tensor(ends, device=self.device) for ends in (roots, tips)]
        behind = ~np.isin(head.material, [head.materials.index(name) for name in ("skin", "mouth", "lashes", "brows")])
        self.deeper = torch.as_tensor(np.unique(head.quads[behind]), device=self.device)

        clothing = rng.uniform(0.05, 0.9, 3)
        colors = {
            "mouth": _between(rng, *_LINING), "gums": _between(rng, *_GUMS), "teeth": _between(rng, *_TEETH),
            "tongue": _between(rng, *_TONGUE), "sclera": _between(rng, *_SCLERA), "pupil": np.full(3, 0.02),
            "iris": np.clip(np.multiply(_IRISES[rng.integers(len(_IRISES))], rng.uniform(0.75, 1.25)), 0, 1),
            "lashes": hair * 0.4, "hair": hair, "clothes": clothing,
        }  # fmt: skip
        names = (*head.materials, "hair", "clothes")
        table = np.stack([np.asarray(colors.get(name, np.ones(3)), np.float32) for name in names])
        self.colors = torch.as_tensor(from_srgb(table), device=self.device)
        self.names = {name: number for number, name in enumerate(names)}
        strands = np.ones(count + len(worn), np.float32)
        strands[count : count + self.hairs] = head.hair_brightness
        strands[count + self.hairs :] = 1 + 0.1 * rng.standard_normal(len(worn) - self.hairs)
        strands[head.vertices_of("teethUpper", "teethLower")] += 0.05 * rng.standard_normal()
        ring = head.vertices[head.landmarks[[*range(60, 68), 60]]]
        seam = np.concatenate([ring[:-1] + k * np.diff(ring, axis=0) for k in np.linspace(0, 1, 8)])
        skin = head.vertices[head.vertices_of("skin")]
        away = KDTree(seam).query(skin)[0]
        within = KDTree(head.vertices[head.lip_loop]).query(skin)[0] < _INNER_LIP_M
        meeting = np.zeros(len(strands), np.float32)
        meeting[head.vertices_of("skin")] = np.where(within, 1, np.exp(-((away / _CREASE_M) ** 2)))
        self.meeting = torch.as_tensor(meeting, device=self.device)
        self.strands = torch.as_tensor(strands, device=self.device)
        gloss = np.array([_GLOSS.get(name, (0.0, 10.0)) for name in names], np.float32)
        for name in ("sclera", "iris", "pupil"):
            gloss[self.names[name]] = _EYE_GLOSS
        gloss[:, 0] *= rng.uniform(0.3, 1.6)
        self.gloss = torch.as_tensor(gloss, device=self.device)

    def _light_up(self, rng: np.random.Generator) -> None:
        """Lights from random sides, and from all sides; skin that faces the camera comes out well exposed."""
        count = rng.integers(1, 4)
        yaw, pitch = rng.uniform(-1.3, 1.3, count), rng.uniform(-0.2, 1.1, count)
        sides = np.stack([np.cos(pitch) * np.sin(yaw), np.sin(pitch), np.cos(pitch) * np.cos(yaw)], axis=1)
        power = rng.uniform(0.2, 1.0, count)[:, None] * _tint(rng, 0.10, count)
        around, sky = rng.uniform(0.35, 1.0) * _tint(rng, 0.08, 1), rng.uniform(0, 0.4) * _tint(rng, 0.05, 1)
        ahead = around.mean() + (power.mean(1) * sides[:, 2].clip(0)).sum()
        exposure = rng.uniform(0.75, 1.1) / ahead
        self.sides, self.power, self.around, self.sky = (
            torch.as_tensor(np.asarray(values, np.float32), device=self.device)
            for values in (sides, power * exposure, around * exposure, sky * exposure)
        )
        self.lit_depth, self.darkest = rng.uniform(0.010, 0.035), rng.uniform(0.01, 0.06)
        self.shadow, self.crease = rng.uniform(0.5, 0.95), rng.uniform(0.4, 0.9)

    def _drawn(
        self, part: Performance, batch: int, window: tuple[slice, slice] = (slice(None), slice(None))
    ) -> Iterator[Floats]:
        rows, columns = (range(self.size)[along] for along in window)
        wall = torch.as_tensor(self.background[window], device=self.device).permute(2, 0, 1)[None]
        with torch.inference_mode():
            for start in range(0, len(part), batch):
                frames = self._draw(part[start : start + batch], wall, columns.start, rows.start)
                yield from frames.permute(0, 2, 3, 1).cpu().numpy()

    def _draw(self, part: Performance, wall: Tensor, left: int, top: int) -> Tensor:
        """Frames (B, 3, h, w) before a part of the wall (1, 3, h, w) that begins at `left` and `top`."""
        shaped = self.posed.shaped(part)
        roots, tips = self.lashes
        shaped[:, tips] = torch.lerp(shaped[:, roots], shaped[:, tips], self.lash_length)
        lips = torch.as_tensor(load_head().lip_loop.astype(np.int64), device=self.device)
        depth_in = (shaped[:, lips, 2].mean(1, keepdim=True) - shaped[..., 2]).clamp(min=0)
        depth_in = F.pad(depth_in, (0, len(self.worn)))
        still = torch.cat([shaped, self.worn.expand(len(part), -1, -1)], dim=1)
        points = torch.lerp(still, self.posed.turned(still, part), self.follows)
        normals = _normals(points, self.outward)
        at = self.posed.projected(points)
        at[:, self.deeper, 2] += _BEHIND_SKIN_M
        at[:, torch.cat(self.lashes), 2] -= _BEFORE_SKIN_M
        corner = at.new_tensor([left, top])
        at[..., :2] -= corner
        raster = rasterize(at, self.faces, wall.shape[2], wall.shape[3])

        corners = raster.picture[:, None] * points.shape[1] + self.faces[raster.face]
        opening = torch.as_tensor(load_head().aperture(part.weights, self.fit.identity), device=self.device)
        closed = self.meeting * (0.5 + 0.5 * (1 - opening / _PARTED).clamp(min=0))[:, None]
        bright = self.strands * (1 - self.crease * closed)
        by_vertex = torch.cat([points, normals, depth_in[..., None], bright[..., None]], dim=2)
        values = torch.einsum("nk,nkc->nc", raster.weights, by_vertex.flatten(0, 1)[corners])
        place, normal, depth, strand = values[:, :3], F.normalize(values[:, 3:6], dim=1), values[:, 6:7], values[:, 7:]
        pixel = (self.posed.projected(place)[:, :2] - corner).long()
        light = self._shaded(raster, place, normal, depth, strand, pixel)
        lit = raster.resolve(torch.cat([_to_srgb(light), torch.ones_like(depth)], dim=1))
        return (lit[:, :3] + (1 - lit[:, 3:]) * wall).clamp(0, 1)

    def _shaded(
        self, raster: Raster, place: Tensor, normal: Tensor, depth: Tensor, strand: Tensor, pixel: Tensor
    ) -> Tensor:
        """Linear colors (N, 3) of the samples."""
        material = self.material[raster.face]
        skin = material == self.names["skin"]
        albedo = self.colors[material] * strand
        uv = raster.interpolate(self.uv)[skin]
        on_texture = torch.stack([uv[:, 0] % 1.0, 1 - uv[:, 1]], dim=1) * _TEXTURE
        painted = sampled(self.texture, on_texture[None, None])[0, :, 0].T
        albedo[skin], lip = painted[:, :3] * strand[skin], painted[:, 3:]
        eye = -self.posed.translation @ self.posed.rotation
        sight = F.normalize(eye - place, dim=1)
        strength, sharpness = self.gloss[material].unbind(1)
        strength[skin] = torch.lerp(strength[skin], strength.new_tensor(_LIP_GLOSS[0]), lip[:, 0])
        sharpness[skin] = torch.lerp(sharpness[skin], sharpness.new_tensor(_LIP_GLOSS[1]), lip[:, 0])
        diffuse = self.around + self.sky * normal[:, 1:2]
        shine = torch.zeros_like(diffuse)
        for side, power in zip(self.sides, self.power, strict=True):
            cosine = normal @ side
            diffuse = diffuse + power * cosine.clamp(min=0)[:, None]
            half = (normal * F.normalize(side + sight, dim=1)).sum(1).clamp(min=0)
            shine += power * (strength * half**sharpness * (cosine > 0))[:, None]
        light = albedo * diffuse.clamp(min=0.02) + shine
        inside = ~skin & (material < self.names["hair"]) & (material != self.names["lashes"])
        eyes = (material == self.names["sclera"]) | (material == self.names["iris"]) | (material == self.names["pupil"])
        left = torch.exp(-depth / self.lit_depth).clamp(min=self.darkest)
        left = torch.where(eyes[:, None], 1.0, left) * (1 - self.shadow * self._shadow(raster, pixel, skin))
        dark = left ** left.new_tensor(_FLESH)
        return torch.where(inside[:, None], light * dark, light)

    def _shadow(self, raster: Raster, pixel: Tensor, skin: Tensor) -> Tensor:
        """How much (N, 1) skin above and around shades a sample."""
        covered = raster.resolve(skin[:, None].float())
        reach = max(1, round(_SHADOW_M * float(self.posed.focal[0]) / float(self.posed.translation[2]) / 2))
        near = covered
        for _ in range(2):
            near = F.avg_pool2d(F.pad(near, (reach,) * 4, mode="replicate"), 2 * reach + 1, stride=1)
        column, row = pixel.unbind(1)
        above = (row - reach).clamp(0, raster.height - 1)
        return near[raster.picture, 0, above, column.clamp(0, raster.width - 1)][:, None]


def _random_fit(rng: np.random.Generator, size: int) -> HeadFit:
    head = load_head()
    expression = np.zeros(len(ARKIT_NAMES), np.float32)
    for name in _SMILES:
        if rng.uniform() < 0.3:
            for side in ("Left", "Right"):
                expression[ARKIT_NAMES.index(name + side)] = rng.uniform(0, 0.4)
    if rng.uniform() < 0.4:
        expression[ARKIT_NAMES.index("jawOpen")] = rng.uniform(0, 0.25)
    yaw, pitch, roll = rng.normal(0, (0.15, 0.09, 0.06)).clip(-0.35, 0.35)
    turn = np.diag([1.0, -1.0, -1.0]) @ Rotation.from_euler("yxz", [yaw, pitch, roll]).as_matrix()
    distance = rng.uniform(0.6, 1.6)
    face = rng.uniform(0.45, 0.70)  # of the picture's height, from chin to crown
    focal = face * size * distance / 0.22
    shift = rng.uniform(-0.05, 0.05, 2) * size * distance / focal
    return HeadFit(
        identity=(rng.standard_normal(len(head.identity)) * 0.8).clip(-2, 2).astype(np.float32),
        expression=expression,
        rotation=turn.astype(np.float32),
        translation=np.array([*shift, distance], np.float32),
        focal_px=float(focal),
        width=size,
        height=size,
        residual_percent=0.0,
    )


def _skin(rng: np.random.Generator, hair: Floats) -> Floats:
    """Linear colors of the skin, and how far it is lip (S, S, 4)."""
    texels, redness, lip, brow, beard = _skin_places(_TEXTURE)
    dark = rng.uniform(0, len(_COMPLEXIONS) - 1)
    tone = np.array([np.interp(dark, range(len(_COMPLEXIONS)), channel) for channel in np.transpose(_COMPLEXIONS)])
    tone = (tone * rng.uniform(0.93, 1.07, 3)).clip(0, 1)
    noise = np.stack([_noise(rng, _TEXTURE, octave) for octave in (6, 24, 96, 400)])[:, texels.row, texels.column]
    mottled = np.exp((noise * rng.uniform(0, [0.10, 0.06, 0.06, 0.10])[:, None]).sum(0))[:, None]
    color = from_srgb(tone) * redness ** rng.uniform(0.5, 1.2) * mottled
    freckles = smoothstep(1.5, 2.2, 0.8 * noise[2] + 0.8 * noise[3] + 0.3 * noise[0]) * max(0, rng.uniform(-0.5, 0.5))
    color *= 1 - freckles[:, None] * np.array([0.6, 0.8, 0.9])
    lips = from_srgb(tone * rng.uniform([0.85, 0.55, 0.55], [1.10, 0.95, 1.0]))
    color += (lip * rng.uniform(0.3, 0.9))[:, None] * (lips - color)
    hairs = (0.7 + 0.25 * noise[3]).clip(0, 1)
    strands = np.maximum(brow * rng.uniform(0.3, 0.95), beard * max(0, rng.uniform(-1.0, 0.7)) * (1 - lip)) * hairs
    color += strands[:, None] * (from_srgb(hair * 0.7) - color)
    whole = np.zeros((_TEXTURE, _TEXTURE, 4), np.float32)
    whole[texels.row, texels.column] = np.concatenate([color.clip(0, 1), lip[:, None]], axis=1)
    return whole


@cache
def _skin_places(size: int):
    """Texels of the skin; the head model's own skin over its mean (N, 3); and what is lip, brow and beard (N,)."""
    head, texels = load_head(), skin_texels(size)
    own = np.einsum("nk,nkc->nc", texels.weights, head.skin_colors[texels.corners].astype(np.float32))
    linear = from_srgb(own / 255)
    x, y, z = np.einsum("nk,nkc->nc", texels.weights, head.vertices[texels.corners]).T
    mouth = (np.abs(x) < 0.032) & (y < -0.018) & (y > -0.052) & (z > 0.08)
    lip = smoothstep(*_REDDEST, own[:, 1] / own[:, 0]) * mouth
    away = KDTree(head.vertices[head.vertices_of("brows")]).query(np.stack([x, y, z], axis=1))[0]
    beard = smoothstep(-0.012, -0.022, y - 0.35 * np.abs(x)) * smoothstep(0.03, 0.06, z) * smoothstep(-0.12, -0.09, y)
    return texels, linear / np.median(linear, axis=0), lip, smoothstep(*_BROW_M, away), beard


def _wall(rng: np.random.Generator, size: int) -> Floats:
    base = rng.uniform(0.05, 0.95) + rng.uniform(0, 0.3) * rng.uniform(-1, 1, 3)
    spots = np.stack([_noise(rng, size, octave) for octave in (2, 4, 12) for _ in range(3)], axis=-1)
    spots = spots.reshape(size, size, 3, 3) * np.array([0.12, 0.08, 0.04])[:, None] * rng.uniform(0, 1, (3, 1))
    return (base + spots.sum(2)).clip(0, 1).astype(np.float32)


def _noise(rng: np.random.Generator, size: int, cells: int) -> Floats:
    """Smooth noise (size, size) of about unit variance with `cells` cells along a side."""
    grid = torch.as_tensor(rng.standard_normal((1, 1, cells, cells)).astype(np.float32))
    return F.interpolate(grid, size=(size, size), mode="bicubic")[0, 0].numpy()


def _between(rng: np.random.Generator, low: tuple[float, ...], high: tuple[float, ...]) -> NDArray[np.float64]:
    """A color between two, off their line a little."""
    mixed = np.asarray(low) + rng.uniform() * (np.asarray(high) - low)
    return (mixed * rng.uniform(0.95, 1.05, 3)).clip(0, 1)


def _tint(rng: np.random.Generator, spread: float, count: int) -> NDArray[np.float64]:
    """Colors (count, 3) from warm to cold."""
    warm = rng.uniform(-spread, spread, (count, 1))
    return 1 + warm * np.array([1.0, 0.0, -1.2])


def _normals(points: Tensor, faces: Tensor) -> Tensor:
    """Unit normals (B, V, 3) of the vertices."""
    a, b, c = (points[:, faces[:, corner]] for corner in range(3))
    normal = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(points)
    for corner in range(3):
        total.index_add_(1, faces[:, corner], normal)
    return F.normalize(total, dim=2)


def _to_srgb(light: Tensor) -> Tensor:
    light = light.clamp(0, 1)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.clamp(min=1e-6) ** (1 / 2.4) - 0.055)
