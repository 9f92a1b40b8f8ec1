# SPDX-License-Identifier: GPL-3.0-or-later
"""The head as numbers: geometry, the 52 ARKit shapes, identity, and measures of mouth and lids. No bpy here.

Metres; head frame as in `motion/factors.py` (x to the character's left, y up, z out of the face).
Built by `tools/build_head.py`.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import DemoError
from ..motion.factors import ARKIT_NAMES

__all__ = ["HEAD_FILE", "HeadModel", "load_head"]

HEAD_FILE: Final = Path(__file__).with_name("head.npz")
_MOUTH_CORNERS: Final = [54, 48]
"""Corners of the mouth among the 68 iBUG landmarks."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]


@dataclass(frozen=True)
class HeadModel:
    """Geometry, shapes and identity modes of the head, with V vertices and Q quads.

    The vertices are all that shapes move: skin with neck and bust, mouth, lids, eyes, teeth, gums, tongue, brows and
    lashes. Hair and sweater are meshes of their own that neither shape nor identity moves; V does not count them.
    `part` says what a vertex belongs to (index into `parts`), `material` what a quad is made of (into `materials`).
    The eyeLook shapes hold both the turn of the eyeball and the small motion of the lids.
    """

    vertices: Floats  # (V, 3)
    quads: Ints  # (Q, 4), counter-clockwise seen from outside
    uv: NDArray[np.float16]  # (Q, 4, 2), per corner
    material: NDArray[np.uint8]  # (Q,)
    materials: tuple[str, ...]
    part: NDArray[np.uint8]  # (V,)
    parts: tuple[str, ...]
    skin_colors: NDArray[np.uint8]  # (n, 3) sRGB, of the vertices of part "skin", which come first
    hair_vertices: Floats  # (h, 3) a shell that goes with the skull, and what is worn: no shapes
    hair_quads: Ints
    hair_brightness: Floats  # (h,) light and dark of the strands, about 1
    clothes_vertices: Floats
    clothes_quads: Ints
    deltas: Floats  # (52, V, 3), in the order of ARKIT_NAMES
    identity: Floats  # (K, V, 3), principal modes: coefficients are independent unit normals
    landmarks: Ints  # (68,) iBUG landmarks
    iris: Ints  # (2, 5) left, right: center of the pupil, and the iris's rim towards +x, +y, -x, -y
    lip_upper: Ints  # (S, k) vertices of the upper lip at S places across the mouth, and of the lower
    lip_lower: Ints
    lip_loop: Ints  # (n,) inner border of the lips
    lid_upper: Ints  # (2, k) vertices of the upper lids, left and right, and of the lower
    lid_lower: Ints
    eye_centres: Floats  # (2, 3) left, right
    eye_radius: float
    head_pivot: Floats  # (3,) where the head turns on the neck

    def displaced(
        self, weights: Floats, vertices: NDArray[np.integer] | None = None, identity: Floats | None = None
    ) -> Floats:
        """Positions (T, V, 3), or (T, *vertices.shape, 3) of chosen vertices, for ARKit weights (T, 52).

        identity: coefficients (k,) of the first k identity modes; None is the mean head.
        """
        chosen = slice(None) if vertices is None else vertices
        rest = self.vertices[chosen]
        if identity is not None:
            rest = rest + np.tensordot(identity.astype(np.float32), self.identity[: len(identity), chosen], axes=1)
        return rest + np.tensordot(weights.astype(np.float32), self.deltas[:, chosen], axes=1)

    def aperture(self, weights: Floats, identity: Floats | None = None) -> Floats:
        """Opening between the lips (T,), mean over the mouth, in widths of the mouth at rest; 0 when shut."""
        gap = self._gap(weights, self.lip_upper, self.lip_lower, identity)
        return gap.clip(0).mean(axis=1) / self.mouth_width

    def rounding(self, weights: Floats) -> Floats:
        """How much narrower the mouth is than at rest (T,): 0 at rest, positive when pursed, negative when spread."""
        left, right = np.moveaxis(self.displaced(weights, self.landmarks[_MOUTH_CORNERS]), 1, 0)
        return 1 - np.linalg.norm(left - right, axis=-1) / self.mouth_width

    def lid_opening(self, weights: Floats, identity: Floats | None = None) -> Floats:
        """Opening of the left and right lids (T, 2), 1 at rest and 0 when shut."""
        rest = self._gap(np.zeros((1, len(ARKIT_NAMES)), np.float32), self.lid_upper, self.lid_lower, identity)
        return self._gap(weights, self.lid_upper, self.lid_lower, identity).clip(0) / rest

    @property
    def mouth_width(self) -> float:
        """Distance between the corners of the mouth at rest, in metres."""
        left, right = self.vertices[self.landmarks[_MOUTH_CORNERS]]
        return float(np.linalg.norm(left - right))

    def faces_of(self, *materials: str) -> Ints:
        """Quads (n, 4) made of the named materials."""
        return self.quads[np.isin(self.material, [self.materials.index(name) for name in materials])]

    def vertices_of(self, *parts: str) -> NDArray[np.intp]:
        """Indices of the vertices of the named parts."""
        return np.flatnonzero(np.isin(self.part, [self.parts.index(name) for name in parts]))

    def _gap(self, weights: Floats, upper: Ints, lower: Ints, identity: Floats | None) -> Floats:
        """Height (T, S) of the lowest upper vertex over the highest lower one, per station."""
        above, below = (self.displaced(weights, lip, identity)[..., 1] for lip in (upper, lower))
        return above.min(axis=-1) - below.max(axis=-1)


@cache
def load_head(path: Path = HEAD_FILE) -> HeadModel:
    """The project's head. Raises DemoError if the file is missing or was built for another list of shapes."""
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
    except (OSError, ValueError) as error:
        raise DemoError(f"{path.name}: the head cannot be read ({error}). Install the add-on again.") from error
    if tuple(arrays.pop("shapes", ())) != ARKIT_NAMES:
        raise DemoError(f"{path.name}: made for another version of the add-on. Install the add-on again.")
    return HeadModel(
        **arrays
        | {
            "deltas": arrays["deltas"].astype(np.float32),
            "identity": arrays["identity"].astype(np.float32),
            "materials": tuple(arrays["materials"].tolist()),
            "parts": tuple(arrays["parts"].tolist()),
            "eye_radius": float(arrays["eye_radius"]),
        }
    )
