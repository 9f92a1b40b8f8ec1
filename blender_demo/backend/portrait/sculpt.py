# SPDX-License-Identifier: GPL-3.0-or-later
"""From a picture to the head of the person as a mesh: at rest, as large as the hair, with shapes that shut the person's
own lids, and a texture that goes round the head without the light of the picture.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates, maximum_filter
from scipy.spatial import KDTree

from ..head.head_model import HeadModel, load_head
from ..motion.factors import ARKIT_NAMES
from .fill import diffuse, smoothstep
from .fit import HeadFit
from .light import estimate_light, eye_colors, from_srgb, to_srgb
from .person_head import PersonHead
from .picture import on_white, read_picture
from .plate import find_person
from .portrait import FittedFace, whole_picture
from .render import find_face
from .texture import FaceTexture, lay_on_head, sampled, skin_texels

__all__ = ["make_head", "sculpt_head"]

Floats = NDArray[np.floating]

_EYES: Final = ("eyeLeft", "eyeRight")
_BLINKS: Final = ("eyeBlinkLeft", "eyeBlinkRight")
_BISECTIONS: Final = 20

_MIDDLE_M: Final = np.array([0.0, 0.03, 0.0], np.float32)
"""Inside the skull, at the height of the ears' tops: what hair grows away from."""
_DIRECTIONS: Final = 120
_LARGEST_HAIR: Final = 1.3
"""Most that hair adds to the skull, over its own size; what reaches further is not formed."""
_STEPS: Final = 60
_SMOOTH_DIRECTIONS: Final = 4.0
_HAIR_ABOVE_M: Final = (0.03, 0.10)
"""Heights in the head frame from which hair may stand off the skull, and fully."""
_ON_SCALP_M: Final = (0.024, 0.012)
"""Distance of skin from the head model's hair up to which hair may grow there, and from which it surely does."""
_LIDS_M: Final = (0.0002, 0.0010)
"""Way of skin in a blink from which it belongs to the lid, and fully."""
_SHADED: Final = (0.7, 1.5)
"""Bounds of what light from one side is taken for, over the mean light."""
_SURE: Final = 0.5
"""How well the picture has to show a texel for others to be filled from it."""
_FEW_TEXELS: Final = 200
_BALD: Final = 0.1
"""Difference in sRGB between skin and what is on the scalp, below which there is no hair."""
_DARK: Final = 0.8
"""Brightness over that of the skin below which lids show lashes."""
_RIM_SEEN: Final = (0.95, 0.5)
"""How well the picture has to show hair and neck, which end in the background, and what counts as not seen."""
_NECK_M: Final = (-0.05, -0.07)
"""Heights in the head frame below which the neck begins, and from which there is nothing else."""
_CHEEKS: Final = (0.15, 0.43, 0.07)
"""Most distance of cheeks from the middle in u, and the middle and half the height of their rows, over the size."""
_CLOTHES_M: Final = (-0.12, -0.145)
"""Heights in the head frame below which there may be clothes, and from which there are."""
_RIM: Final = 0.004
_GAP: Final = 0.012
"""Width of a soft rim, and half that of gaps which stay as the texture has them, over the size of the texture."""
_FORWARD: Final = 0.3
"""How far hair grows to the front, over how far it grows to the back."""
_INWARD_M, _NARROWER = 0.005, 0.95
"""How much deeper teeth, gums and tongue lie than in the head model, and their width over the model's: other people's
lips lie closer to them."""
_INNER: Final = ("teethUpper", "teethLower", "gumsUpper", "gumsLower", "tongue")
_TEETH: Final = np.array([0.92, 0.89, 0.82], np.float32)
_FLESH: Final = np.array([0.76, 0.37, 0.37], np.float32)
"""sRGB of teeth, gums and tongue in white light; they get the cast of the white of the eyes."""
_STRANDS: Final = (0.05, (9.0, 1.2))
"""Of hair that is not seen: standard deviation of its brightness, and size of strands down and across, in texels."""


def make_head(image: str, points: str, progress: Callable[[str, float], None]) -> tuple[PersonHead, list[str]]:
    """The worker's entry: the head of the person in a picture file, and what an artist should know of it.

    image, points: paths, as of `find_face`. progress: as of `render_portrait`. Raises DemoError.
    """
    progress("picture", 0.0)
    color, matte = read_picture(Path(image))
    picture = on_white(color, matte)
    face, notes = find_face(image, points, picture)
    progress("face", 0.2)
    return sculpt_head(face, matte), notes


def sculpt_head(face: FittedFace, matte: Floats | None = None) -> PersonHead:
    """The head of a face: the picture's identity and hair without its expression, pose and light.

    matte: (H, W) in 0..1, what of the picture is the person, where that is known; else it is found.
    """
    seen = find_person(face.color, face.fit, None if matte is None else whole_picture(matte)[0][..., 0])
    fit = _with_hair(face.fit, seen.cutout)
    laid = lay_on_head(face.color, fit, face.landmarks, seen.alpha)
    light = estimate_light(laid)
    iris, sclera = eye_colors(face.color, fit, face.landmarks, light)
    texture = _all_round(_evenly_lit(laid, light), laid.seen)
    head, person = load_head(), fit.person
    moved = [(person.vertices - head.vertices)[head.vertices_of(part)].mean(axis=0) for part in _EYES]
    person = replace(
        person,
        deltas=_shutting(person),
        eye_centres=head.eye_centres + np.stack(moved),
        skin_colors=_colors_of_vertices(person, texture),
    )
    cast = sclera / sclera.max()
    inside = {"teeth": _TEETH * cast, "gums": _FLESH * cast, "tongue": _FLESH * cast}
    return PersonHead(person, np.round(255 * texture).astype(np.uint8), {"iris": iris, "sclera": sclera, **inside})


# --- shape -----------------------------------------------------------------------------------------------------------


def _with_hair(fit: HeadFit, cutout: Floats) -> HeadFit:
    """The fit with the scalp as far out as the hair in the picture, whose outline is where the cut-out (H, W) ends.

    What is seen from the front is taken for all round: the scalp grows away from the middle of the head.
    """
    head, rest = load_head(), fit.person.vertices
    skin = head.vertices_of("skin")
    grows = _scalp()[skin] * smoothstep(*_HAIR_ABOVE_M, rest[skin, 1])
    center = fit.project(_MIDDLE_M)
    off = fit.project(rest[skin]) - center
    angle = np.arctan2(off[:, 1], off[:, 0]) % (2 * np.pi)
    bins = (angle / (2 * np.pi) * _DIRECTIONS).astype(int) % _DIRECTIONS
    skull = np.zeros(_DIRECTIONS)
    np.maximum.at(skull, bins, np.where(grows > 0.5, np.linalg.norm(off, axis=1), 0))
    growth = np.ones(_DIRECTIONS)
    factors = np.linspace(1.0, _LARGEST_HAIR, _STEPS)
    for direction in np.flatnonzero(skull):
        way = (direction + 0.5) / _DIRECTIONS * 2 * np.pi
        places = center + factors[:, None] * skull[direction] * np.array([np.cos(way), np.sin(way)])
        covered = map_coordinates(cutout, places.T[::-1] - 0.5, order=1, mode="constant") > 0.5
        growth[direction] = factors[np.argmin(covered) if not covered.all() else -1]
    known = (skull > 0).astype(float)
    around = gaussian_filter1d(known, _SMOOTH_DIRECTIONS, mode="wrap")
    growth = gaussian_filter1d((growth - 1) * known, _SMOOTH_DIRECTIONS, mode="wrap") / around.clip(1e-6)
    at = np.arange(-1, _DIRECTIONS + 1) + 0.5
    more = np.interp(angle / (2 * np.pi) * _DIRECTIONS, at, growth[np.arange(-1, _DIRECTIONS + 1) % _DIRECTIONS])
    mean = growth[skull > 0].mean() if known.any() else 0.0
    deep = np.where(rest[skin, 2] > _MIDDLE_M[2], _FORWARD * mean, mean)
    bend = np.zeros_like(rest)
    bend[skin] = (rest[skin] - _MIDDLE_M) * grows[:, None] * np.stack([more, more, deep], axis=1)
    inner = head.vertices_of(*_INNER)
    bend[inner, 0] = (_NARROWER - 1) * rest[inner, 0]
    bend[inner, 2] = -_INWARD_M
    return replace(fit, bend=fit.bend + bend)


@cache
def _scalp() -> Floats:
    """How far hair grows at the head model's vertices (V,), 0..1, by its own hair."""
    head = load_head()
    away, _ = KDTree(head.hair_vertices).query(head.vertices)
    return smoothstep(*_ON_SCALP_M, away).astype(np.float32) * (head.part == head.parts.index("skin"))


@cache
def _ears() -> Floats:
    """What stands off the skull at the sides (V,), 0..1."""
    x, y, z = np.abs(load_head().vertices[:, 0]), load_head().vertices[:, 1], load_head().vertices[:, 2]
    skull = np.interp(y, [-0.03, 0.0, 0.03, 0.045], [0.066, 0.074, 0.078, 0.081])
    return smoothstep(-0.001, 0.003, x - skull) * ((y > -0.04) & (y < 0.055) & (np.abs(z) < 0.035))


@cache
def _lids() -> Floats:
    """What is skin of a lid (V,), 0..1."""
    head = load_head()
    blinks = head.deltas[[ARKIT_NAMES.index(name) for name in _BLINKS]]
    return smoothstep(*_LIDS_M, np.linalg.norm(blinks, axis=-1).max(0))


def _shutting(person: HeadModel) -> Floats:
    """The shapes (52, V, 3) of a head; blinks are as large as it takes to shut its own lids as far as the mean's."""
    deltas = person.deltas.copy()
    for eye, name in enumerate(_BLINKS):
        blink = ARKIT_NAMES.index(name)
        deltas[blink] *= _least_blink(person, blink, eye) / _least_blink(load_head(), blink, eye)
    return deltas


def _least_blink(head: HeadModel, blink: int, eye: int) -> float:
    """The least weight of a blink with which the lids of an eye are shut."""
    one = np.zeros((1, len(ARKIT_NAMES)), np.float32)
    one[0, blink] = 1
    low, high = 0.0, 2.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        is_shut = head.lid_opening(middle * one)[0, eye] <= 0
        low, high = (low, middle) if is_shut else (middle, high)
    return high


# --- texture ---------------------------------------------------------------------------------------------------------


def _evenly_lit(laid: FaceTexture, light: Floats) -> Floats:
    """The texture (S, S, 3) without the shading of the picture's light; its color stays."""
    shading = (1 + laid.normals @ light[1:].mean(-1) / max(float(light[0].mean()), 0.05))[..., None]
    return to_srgb(from_srgb(laid.color) / shading.clip(*_SHADED))


def _all_round(texture: Floats, seen: Floats) -> Floats:
    """The texture with what the picture does not show filled from where it shows the same: hair, skin or clothes.

    seen: (S, S). Ears and dark lids count as not seen: there the picture shows what is beside them, and lashes. Small
    gaps, as between the lips, stay as they are.
    """
    head, size = load_head(), len(seen)
    height = head.vertices[:, 1]
    neck, dressed = smoothstep(*_NECK_M, height), smoothstep(*_CLOTHES_M, height)
    scalp, ears, lids, neck, dressed = (
        _on_texels(values, size) for values in (_scalp(), _ears(), _lids(), neck, dressed)
    )
    sure = np.maximum(seen, seen[:, ::-1]) * (1 - ears)
    ends = np.maximum(scalp, neck)
    sure *= 1 - ends * smoothstep(*_RIM_SEEN, sure)
    row, column = (np.mgrid[:size, :size] + 0.5) / size
    cheeks = (np.abs(column - 0.5) < _CHEEKS[0]) & (np.abs(row - _CHEEKS[1]) < _CHEEKS[2]) & (sure > _SURE)
    skin_color = _middle(texture, cheeks, texture.mean((0, 1)))
    lashes = lids * smoothstep(_DARK, _DARK - 0.15, texture.mean(-1) / skin_color.mean())
    lashes = gaussian_filter(maximum_filter(lashes, 1 + 2 * round(_RIM * size)), _RIM * size)
    known = (sure > _SURE) & (lashes < 0.1)

    hair_color = _middle(texture, known & (scalp > 0.9), skin_color)
    if np.abs(hair_color - skin_color).max() < _BALD:
        scalp = np.zeros_like(scalp)
    is_skin = _nearer(texture, skin_color, hair_color) | (scalp.max() == 0)
    skin = diffuse(texture, known & is_skin & (dressed < 0.1), around=True)
    hair = diffuse(texture, known & ~is_skin & (scalp > 0.3), around=True) * (1 + _strands(size))[..., None]
    below = known & (dressed > 0.5)
    cloth_color = _middle(texture, below & (np.abs(texture - skin_color).max(-1) > _BALD), skin_color)
    cloth = diffuse(texture, below & ~_nearer(texture, skin_color, cloth_color), around=True)

    filled = skin + (hair - skin) * scalp[..., None]
    if cloth_color is not skin_color:
        filled = filled + (cloth - filled) * dressed[..., None]
    near = maximum_filter(sure, 1 + 2 * round(_GAP * size)) * (1 - ears) * (1 - ends)
    kept = smoothstep(0.2, 0.8, np.maximum(sure, near))
    kept = gaussian_filter(kept, _RIM * size) * (1 - lashes)
    return np.asarray(filled + (texture - filled) * kept[..., None]).clip(0, 1)


def _middle(texture: Floats, where: NDArray[np.bool_], otherwise: Floats) -> Floats:
    """Median color (3,) of some texels; another where these are few."""
    return np.median(texture[where], axis=0) if where.sum() > _FEW_TEXELS else otherwise


def _nearer(texture: Floats, color: Floats, other: Floats) -> NDArray[np.bool_]:
    """Whether texels (S, S) are more like a color than like another."""
    return np.linalg.norm(texture - color, axis=-1) <= np.linalg.norm(texture - other, axis=-1)


def _strands(size: int) -> Floats:
    """Variation of brightness (S, S) as of combed hair, the same every time."""
    deviation, (down, across) = _STRANDS
    noise = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)
    scale = size / 512
    strands = gaussian_filter(noise, (down * scale, across * scale), mode="wrap")
    return strands * (deviation / strands.std())


def _on_texels(values: Floats, size: int) -> Floats:
    """Values (V,) of the skin's vertices, in a texture (S, S); where there is no skin those from around."""
    texels = skin_texels(size)
    spread, covered = np.zeros((size, size, 1), np.float32), np.zeros((size, size), bool)
    spread[texels.row, texels.column, 0] = (texels.weights * values[texels.corners]).sum(1)
    covered[texels.row, texels.column] = True
    return diffuse(spread, covered, around=True)[..., 0]


def _colors_of_vertices(model: HeadModel, texture: Floats) -> NDArray[np.uint8]:
    """sRGB (n, 3) of the vertices of the skin, as the texture has them."""
    skin = model.material == model.materials.index("skin")
    uv = np.zeros((len(model.vertices), 2), np.float32)
    uv[model.quads[skin].ravel()] = model.uv[skin].reshape(-1, 2)
    places = np.stack([uv[:, 0] % 1, 1 - uv[:, 1]], axis=1) * len(texture)
    return np.round(255 * sampled(texture, places[model.vertices_of("skin")], order=1)).astype(np.uint8)
