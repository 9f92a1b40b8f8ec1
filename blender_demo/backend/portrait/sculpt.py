# SPDX-License-Identifier: GPL-3.0-or-later
"""From a portrait to the head as a mesh: at rest, with shapes that shut this person's lids and lips, lit evenly."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..head.head_model import HeadModel, load_head
from ..motion.factors import ARKIT_NAMES
from .light import from_srgb, to_srgb
from .person_head import PersonHead
from .picture import read_on_white
from .portrait import Portrait, build_portrait
from .render import find_face
from .texture import sampled, skin_texels, triangles_of, vertex_normals

__all__ = ["make_head", "sculpt_head"]

Floats = NDArray[np.floating]

_EYES: Final = ("eyeLeft", "eyeRight")
_SHADED: Final = (0.5, 2.0)
"""Bounds of what light from one side is taken for, over the mean light."""
_BISECTIONS: Final = 20


def make_head(image: str, points: str, progress: Callable[[str, float], None]) -> tuple[PersonHead, list[str]]:
    """The worker's entry: the head of the person in a picture file, and what an artist should know of it.

    image, points: paths, as of `find_face`. progress: as of `render_portrait`. Raises DemoError.
    """
    progress("picture", 0.0)
    picture = read_on_white(Path(image))
    landmarks, notes = find_face(image, points, picture)
    progress("face", 0.2)
    portrait = build_portrait(picture, landmarks)
    progress("face", 0.8)
    return sculpt_head(portrait), notes


def sculpt_head(portrait: Portrait) -> PersonHead:
    """The head of a portrait: the picture's identity without its expression, pose and shading."""
    head, person = load_head(), portrait.fit.person
    moved = [(person.vertices - head.vertices)[head.vertices_of(part)].mean(axis=0) for part in _EYES]
    texture = _evenly_lit(portrait, person.vertices)
    person = replace(
        person,
        deltas=_shutting(person),
        eye_centres=head.eye_centres + np.stack(moved),
        skin_colors=_colors_of_vertices(person, texture),
    )
    colors = {"iris": portrait.iris_color, "sclera": portrait.sclera_color}
    return PersonHead(person, np.round(255 * texture).astype(np.uint8), colors)


def _shutting(person: HeadModel) -> Floats:
    """The shapes (52, V, 3) of a head; blinks are as large as it takes to shut its own lids as far as the mean's."""
    deltas = person.deltas.copy()
    for eye, name in enumerate(("eyeBlinkLeft", "eyeBlinkRight")):
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


def _evenly_lit(portrait: Portrait, vertices: Floats) -> Floats:
    """The texture (S, S, 3) without the shading of the picture's light; its color stays."""
    head, size = load_head(), len(portrait.texture)
    texels = skin_texels(size)
    normals = vertex_normals(vertices, triangles_of(head.faces_of("skin")))
    directions = np.einsum("nk,nkx->nx", texels.weights, normals[texels.corners])
    light = (portrait.light[0] + directions @ portrait.light[1:]) / portrait.light[0].clip(0.05)
    shading = np.ones((size, size, 3), np.float32)
    shading[texels.row, texels.column] = light.clip(*_SHADED)
    return to_srgb(from_srgb(portrait.texture) / shading)


def _colors_of_vertices(model: HeadModel, texture: Floats) -> NDArray[np.uint8]:
    """sRGB (n, 3) of the vertices of the skin, as the texture has them."""
    skin = model.material == model.materials.index("skin")
    uv = np.zeros((len(model.vertices), 2), np.float32)
    uv[model.quads[skin].ravel()] = model.uv[skin].reshape(-1, 2)
    places = np.stack([uv[:, 0] % 1, 1 - uv[:, 1]], axis=1) * len(texture)
    return np.round(255 * sampled(texture, places[model.vertices_of("skin")], order=1)).astype(np.uint8)
