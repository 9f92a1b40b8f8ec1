# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is cut out of the picture, and the background without them. No network: the fitted head, color and edges.

Distances are in widths of the head (ear to ear, with hair) in the picture, so that all sizes of pictures are alike.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_fill_holes,
    distance_transform_edt,
    gaussian_filter,
    maximum_filter,
    minimum_filter,
    zoom,
)
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import cg

from ..head.head_model import load_head
from .fill import box_mean, diffuse, smoothstep
from .fit import HeadFit
from .texture import depth_map, sampled, triangles_of

__all__ = ["HIDDEN", "Person", "complete_plate", "find_person"]

Floats = NDArray[np.floating]

_HEAD_WIDTH_M: Final = 0.17
_CHIN: Final = 8
"""The chin among the 68 iBUG landmarks."""
_EAR_HEIGHT: Final = 0.45
"""From the chin up to the lobes of the ears."""
_MARGIN: Final = 1.3
"""How far above the head the person is looked for."""
_SIDE_MARGIN: Final = 2.5
"""How far beside it; below, down to the end of the picture."""
_WORKING_SIDE: Final = 320
"""Pixels along the longer side in which the person is found; the edge is then drawn in all pixels."""
_HAIR: Final = 0.08
_UNSURE: Final = 0.05
"""How far from the model's outline the person probably ends, and how fast that becomes unlikely."""
_SURE_INSIDE: Final = -0.12
_SURE_OUTSIDE: Final = 0.65
_AROUND: Final = (0.5, 0.8)
"""From where on colors are at first taken for background: nearer, they may be of hair that the model does not have."""
_PLACE: Final = 2.5
_COLOR: Final = 5.0
"""Largest logarithms of odds from place and from color: a color that is only found outside outweighs the place."""
_BINS: Final = 20
_ROUNDS: Final = 3
_WINDOW: Final = 5
"""Pixels of the working picture over which the edge is redrawn."""
_FOLLOWS: Final = (0.95, 0.08)
"""How far below the jaw what is there stays where it is, and from where on up it fully follows the head."""
HIDDEN: Final = (0.45, 0.65)
"""How far what is there follows the head, up to which the plate shows the person, and from which the background: what
moves leaves nothing of itself behind."""
_SPARE: Final = 0.04
"""What is filled beyond the cut-out, as the blur of its edge is not background either."""

_DETAIL: Final = (0.2, 0.06)
"""How far behind the edge the background has detail; further in it is never seen, and mirrored things would show."""
_STRONGEST: Final = 6.0
"""Mirrored detail in medians of the picture's own: strands of hair and edges are not to come twice."""
_SMOOTH: Final = 0.03


@dataclass(frozen=True)
class Person:
    """alpha (H, W): 1 on the person; follows (H, W): how far what is there goes with the head, 0..1."""

    alpha: Floats
    follows: Floats
    head_px: float

    @property
    def cutout(self) -> Floats:
        """What moves with the head (H, W): head and hair, less and less of neck and shoulders."""
        return self.alpha * self.follows


def find_person(picture: Floats, fit: HeadFit, matte: Floats | None = None) -> Person:
    """The person whose head is fitted, in a picture (H, W, 3); cut out by a matte (H, W) where there is one."""
    head = load_head()
    vertices = fit.vertices()
    head_px = _HEAD_WIDTH_M * fit.focal_px / fit.translation[2]
    below = _below_jaw(fit, vertices, _centers(picture.shape[:2]), head_px)
    follows = smoothstep(*_FOLLOWS, below)
    if matte is not None:
        return Person(matte, follows, float(head_px))
    outline = fit.project(np.concatenate([vertices[head.vertices_of("skin")], head.hair_vertices]))
    margin = np.array([_SIDE_MARGIN, _MARGIN]) * head_px
    low = np.floor(outline.min(0) - margin).clip(0).astype(int)
    high = np.array([np.ceil(outline[:, 0].max() + margin[0]).clip(0, fit.width), fit.height]).astype(int)
    crop = (slice(low[1], high[1]), slice(low[0], high[0]))

    scale = min(1.0, _WORKING_SIDE / (high - low).max())
    small = np.asarray(zoom(picture[crop], (scale, scale, 1), order=1, grid_mode=True, mode="nearest"))
    outside = _outside(fit, vertices, low, scale, small.shape[:2]) / (head_px * scale)
    below = _below_jaw(fit, vertices, _centers(small.shape[:2]) / scale + low, head_px)
    alpha = np.zeros(picture.shape[:2], np.float32)
    alpha[crop] = _redrawn(_segmented(small, outside, below), small, picture[crop])
    return Person(alpha, follows, float(head_px))


def complete_plate(picture: Floats, person: Person) -> tuple[Floats, Floats]:
    """The plate (H, W, 3): the picture with background where the head moves; and the person without the background.

    The latter (H, W, 4) has color times alpha, and alpha.
    """
    known = _distance(person.alpha < 0.05) > _SPARE * person.head_px + 1
    alpha = person.alpha[..., None]
    if not known.any():
        return picture, np.concatenate([picture * alpha, alpha], axis=-1)
    background = _background(picture, known, person.head_px)
    hidden = smoothstep(*HIDDEN, person.follows)[..., None]
    plate = hidden * background + (1 - hidden) * picture
    alone = np.concatenate([(picture - (1 - alpha) * background).clip(0, alpha), alpha], axis=-1)
    return plate.astype(np.float32), alone.astype(np.float32)


def _background(picture: Floats, known: NDArray[np.bool_], head_px: float) -> Floats:
    """The picture (H, W, 3) where it is `known` to show background, and what may lie behind the person elsewhere.

    A smooth membrane from the background around, and on it the detail of the background mirrored at the cut-out's edge.
    """
    blur = (_SMOOTH * head_px, _SMOOTH * head_px, 0)
    weight = gaussian_filter(known[..., None].astype(np.float32), blur)
    smooth = gaussian_filter(picture * known[..., None], blur) / weight.clip(1e-6)
    nearest = np.asarray(distance_transform_edt(~known, return_distances=False, return_indices=True))
    row, column = 2 * nearest - np.indices(known.shape)
    height, width = known.shape
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    detail = np.where(known[..., None], picture - smooth, 0)
    most = _STRONGEST * np.median(np.abs(detail[known]))
    detail = detail.clip(-most, most)[row.clip(0, height - 1), column.clip(0, width - 1)]
    detail *= (inside * smoothstep(*_DETAIL, _distance(~known) / head_px))[..., None]
    return np.where(known[..., None], picture, (diffuse(smooth, known) + detail).clip(0, 1))


def _outside(fit: HeadFit, vertices: Floats, low: NDArray, scale: float, shape: tuple[int, ...]) -> Floats:
    """Pixels from the outline of the model in the working picture, negative inside, of that shape."""
    head = load_head()
    drawn = np.zeros(shape, bool)
    hair, clothes = (head.hair_vertices, head.hair_quads), (head.clothes_vertices, head.clothes_quads)
    for points, quads in ((vertices, head.quads), hair, clothes):
        corners = np.concatenate([(fit.project(points) - low) * scale, fit.camera_points(points)[:, 2:]], axis=1)
        drawn |= np.isfinite(depth_map(corners[triangles_of(quads)], *shape))
    drawn = np.asarray(binary_fill_holes(drawn))
    shoulders = np.flatnonzero(drawn.any(1))[-1:]
    drawn[shoulders[0] if len(shoulders) else len(drawn) :] |= drawn[shoulders].any(0)  # the body goes on below
    return _distance(~drawn) - _distance(drawn)


def _distance(there: NDArray[np.bool_]) -> Floats:
    """Pixels (H, W) to the nearest that is not `there`."""
    return np.asarray(distance_transform_edt(there), np.float32)


def _centers(shape: tuple[int, ...]) -> Floats:
    """Pixel coordinates (H, W, 2) of the centers of all pixels."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32) + 0.5
    return np.stack([columns, rows], axis=-1)


def _below_jaw(fit: HeadFit, vertices: Floats, pixels: Floats, head_px: float) -> Floats:
    """How far below the jaw and the lobes of the ears pixels (H, W, 2) lie (H, W); negative above."""
    chin = vertices[load_head().landmarks[_CHIN]]
    at, above = fit.project(chin + np.array([[0, 0, 0], [0, 0.05, 0]], np.float32))
    down = (at - above) / np.linalg.norm(at - above)
    off = (pixels - at) / head_px
    beside = np.abs(off @ [down[1], -down[0]])
    depth = off @ down + _EAR_HEIGHT * smoothstep(0.1, 0.6, beside)
    return np.where(depth > 0, np.hypot(depth, (beside - 0.6).clip(0)), depth).astype(np.float32)


def _segmented(picture: Floats, outside: Floats, below: Floats) -> Floats:
    """The person (H, W), 0..1: likely by place and color, smooth but across edges (a random walker).

    Grady, Random Walks for Image Segmentation (2006), with priors; solved as one sparse linear system per round.
    """
    place = ((_HAIR - outside) / _UNSURE).clip(-_PLACE, _PLACE)
    sure_inside = (outside < _SURE_INSIDE) & (below < 0)
    sure_outside = (outside > _SURE_OUTSIDE) & (below < 0)
    smoothness = _edge_laplacian(picture)
    bins = tuple((picture * (_BINS - 1e-3)).astype(int).reshape(-1, 3).T)
    inner, outer = (outside < 0).astype(np.float32), smoothstep(*_AROUND, outside)
    for _ in range(_ROUNDS):
        color = (_log_density(bins, inner) - _log_density(bins, outer)).reshape(place.shape)
        odds = place + color.clip(-_COLOR, _COLOR)
        likely = 1 / (1 + np.exp(-odds))
        likely[sure_inside], likely[sure_outside] = 1, 0
        trust = 0.01 + 0.1 * (2 * likely - 1) ** 2 + 10 * (sure_inside | sure_outside)
        system = smoothness + diags_array(trust.ravel())
        solution, _ = cg(system, (trust * likely).ravel(), x0=likely.ravel(), rtol=1e-3, maxiter=300)
        inner = smoothstep(0.15, 0.85, solution.reshape(place.shape).astype(np.float32))
        outer = 1 - inner
    holes = np.asarray(binary_fill_holes(inner > 0.5)) & (inner <= 0.5) & (below > 0)  # of clothes, not between hair
    return np.where(holes, np.float32(1), inner)


def _edge_laplacian(picture: Floats):
    """Sparse Laplacian (N, N) of the pixel grid, its links weak where colors differ."""
    height, width = picture.shape[:2]
    index = np.arange(height * width).reshape(height, width)
    first = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
    second = np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])
    colors = picture.reshape(-1, 3)
    apart = ((colors[first] - colors[second]) ** 2).sum(1)
    link = np.exp(-apart / (4 * np.median(apart) + 2e-3)) + 1e-3
    ends = np.concatenate([first, second]), np.concatenate([second, first])
    links = coo_array((np.tile(link, 2), ends), (index.size, index.size)).tocsr()
    return diags_array(links.sum(axis=1)) - links


def _log_density(bins: tuple[NDArray, ...], weights: Floats) -> Floats:
    """Logarithm of the smoothed color histogram (N,) at each pixel's own color, up to a constant of the picture."""
    histogram = np.zeros((_BINS,) * 3)
    np.add.at(histogram, bins, weights.ravel())
    smooth = gaussian_filter(histogram, 1.0) / weights.sum().clip(1e-6)
    return np.log(smooth[bins] + 1e-5)


def _redrawn(alpha: Floats, small: Floats, picture: Floats) -> Floats:
    """Alpha in all pixels (H, W), its edge on the edges of the picture (a guided filter in color).

    He, Sun and Tang, Guided Image Filtering (2013), equations 19 to 21, fitted at the working size.
    """
    mean = [box_mean(channel, _WINDOW) for channel in (*np.moveaxis(small, -1, 0), alpha)]
    color, level = np.stack(mean[:3], axis=-1), mean[3]
    products = box_mean(small[..., :, None] * small[..., None, :], _WINDOW)
    covariance = products - color[..., :, None] * color[..., None, :] + 1e-3 * np.eye(3, dtype=np.float32)
    with_alpha = box_mean(small * alpha[..., None], _WINDOW) - color * level[..., None]
    slope = np.linalg.solve(covariance, with_alpha[..., None])[..., 0]
    line = np.concatenate([slope, (level - (slope * color).sum(-1))[..., None]], axis=-1)
    line = box_mean(line, _WINDOW)
    places = _centers(picture.shape[:2]) * (np.array(alpha.shape) / picture.shape[:2])[::-1]
    line = np.concatenate([line, *(f(alpha, _WINDOW)[..., None] for f in (minimum_filter, maximum_filter))], axis=-1)
    at = sampled(line, places, order=1)
    low, high = at[..., 4], at[..., 5]
    return smoothstep(0.2, 0.95, ((at[..., :3] * picture).sum(-1) + at[..., 3]).clip(low, high)).astype(np.float32)
