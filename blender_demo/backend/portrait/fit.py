# SPDX-License-Identifier: GPL-3.0-or-later
"""The head model fitted to the landmarks of a picture: whose head, with what face, seen by which camera.

The most probable identity, expression, pose and focal length, by Gauss-Newton steps on the landmarks' distances in the
picture and on the priors of all unknowns. Where a landmark has no place of its own along a contour (jaw, lips, lids,
brows), its distance along that contour counts little; the jaw line is met by whatever the camera sees as its outline.
What the model cannot meet, a smooth bend of the head does: all of it where an artist placed the points, so that a cat's
mouth lies at the cat's mouth.
Lengths in metres; camera axes: x right in the picture, y down, z into the scene.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from ..errors import PortraitError
from ..head.head_model import HeadModel, load_head
from ..motion.factors import ARKIT_NAMES
from .landmarks import Landmarks, check_turn

__all__ = ["HeadFit", "completed", "fit_head", "mean_head"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


LARGEST_RESIDUAL_PERCENT: Final = 8.0
"""Faces come within 2; swapped or misplaced points do not. What an artist placed may be no human face."""


@dataclass(frozen=True)
class HeadFit:
    """A head before a camera: p_camera = rotation @ p_head + translation, pixel = focal_px * (x, y) / z + center."""

    identity: Floats  # (K,) coefficients of the head model's identity modes, about unit normal
    expression: Floats  # (52,) ARKit weights of the face in the picture, in the order of ARKIT_NAMES
    rotation: Floats  # (3, 3)
    translation: Floats  # (3,) metres
    focal_px: float
    width: int
    height: int
    residual_percent: float
    """RMS distance of landmarks from the model, in percent of the eyes' distance; what slides counts only across."""
    bend: Floats = field(default_factory=lambda: np.zeros((1, 3), np.float32))
    """(V, 3), or (1, 3) where all are alike: what takes the model's vertices to this head's, in metres."""
    stretch: Floats = field(default_factory=lambda: np.zeros((1, 3, 3), np.float32))
    """(V, 3, 3), or (1, 3, 3): slope of the bend, by which this head's shapes differ from the model's."""

    def camera_points(self, points: Floats) -> Floats:
        """Points (..., 3) of the head frame, in the camera's."""
        return np.asarray(points @ self.rotation.T + self.translation, np.float32)

    def project(self, points: Floats) -> Floats:
        """Pixels (..., 2) at which the camera sees points (..., 3) of the head frame."""
        seen = self.camera_points(points)
        center = np.array([self.width, self.height], np.float32) / 2
        return np.asarray(self.focal_px * seen[..., :2] / seen[..., 2:] + center, np.float32)

    @cached_property
    def person(self) -> HeadModel:
        """The head model with this person's face at rest as its mean, and this person's shapes."""
        head = load_head()
        rest = head.vertices + np.tensordot(self.identity, head.identity[: len(self.identity)], axes=1) + self.bend
        deltas = head.deltas + np.einsum("vij,svj->svi", self.stretch, head.deltas)
        return replace(head, vertices=rest.astype(np.float32), deltas=deltas)

    def vertices(self) -> Floats:
        """The head model's vertices (V, 3) in the head frame, with this identity, bend and expression."""
        return self.person.displaced(self.expression[None])[0]


@dataclass(frozen=True)
class _Contour:
    """Landmarks in a row: expected errors across and along it, in distances of the eyes."""

    rows: range
    across: float
    along: float
    closed: bool = False


_CONTOURS: Final = (
    _Contour(range(17), 0.02, 0.06),
    _Contour(range(17, 22), 0.02, 0.04),
    _Contour(range(22, 27), 0.02, 0.04),
    _Contour(range(27, 31), 0.015, 0.03),
    _Contour(range(31, 36), 0.015, 0.02),
    _Contour(range(36, 42), 0.006, 0.015, closed=True),
    _Contour(range(42, 48), 0.006, 0.015, closed=True),
    _Contour(range(48, 60), 0.008, 0.02, closed=True),
    _Contour(range(60, 68), 0.006, 0.015, closed=True),
)
_OWN_PLACES: Final = (30, 33, 36, 39, 42, 45, 48, 54, 60, 64)
"""Tip and foot of the nose, corners of eyes and mouth: known along the contour too."""
_OWN_PLACE_ERROR: Final = 0.01
_BY_THE_EARS: Final = (0, 1, 15, 16)
"""Ends of the jaw line, which hair hides: where they are said to lie is half a guess."""
_BY_THE_EARS_ERROR: Final = 0.03
_IRIS_ERROR: Final = 0.01
_MEANT: Final = slice(27, 68)
"""Of nose, eyes and mouth an artist means each place, of jaw and brows the line; that is a guess where it is found."""
_SLIDING: Final = np.array([row < 68 and row not in _OWN_PLACES for row in range(78)])

_SHAPE_MEAN, _SHAPE_SPREAD = -0.1, 0.4
"""Of an ARKit weight before it is cut off at 0: few shapes are seen at once, and no two that undo each other."""
_RARE_SHAPES: Final = {
    **dict.fromkeys(("cheekPuff", "jawForward", "jawLeft", "jawRight", "tongueOut"), 0.05),
    **dict.fromkeys(("mouthLeft", "mouthRight"), 0.2),
    **dict.fromkeys(("eyeWideLeft", "eyeWideRight", "noseSneerLeft", "noseSneerRight"), 0.15),
    **dict.fromkeys(("eyeSquintLeft", "eyeSquintRight", "cheekSquintLeft", "cheekSquintRight"), 0.2),
    **dict.fromkeys(("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"), 0.2),
}
"""Shapes that a different head explains better: their standard deviations."""
_UNEVEN: Final = 0.15
"""Standard deviation of the difference between a shape's left and right."""
_DISTANCE_M, _LOG_DISTANCE_SPREAD = 1.3, 0.4
"""Of the camera from the head: from a phone held out to a long lens."""
_FOCAL, _LOG_FOCAL_SPREAD = 2.0, 1.0
"""Focal length, in lengths of the picture's longer side; wide, as pictures may be cropped."""

_MEAN_SIZE: Final = 0.5
"""From chin to brows over the picture's shorter side, where nobody knows how large the face is."""

_STEPS: Final = 40
_OUTLINE_STEPS: Final = 10
"""Steps that look for the outline anew; then it stands, or it might go to and fro between vertices."""
_CONVERGED: Final = 1e-3
_USUAL_PERSON: Final = 1.3
"""Root mean square of the identity's coefficients, over which hardly anybody comes."""
_FARTHER_ROUNDS: Final = 6
_LARGEST_TURN: Final = 0.3
_LARGEST_GROWTH: Final = 0.5
"""Bounds of one step: radians, and of the logarithms of depth and focal length."""
_OUTLINE_REACH_M: Final = 0.01
_OUTLINE_BEHIND_M: Final = 0.004
"""How far above, below, and behind a hidden landmark of the jaw line the outline of the face may lie on the skin."""
_BEND_REACH_M: Final = 0.06
"""Distance from the nearest landmark from which on the head is not bent."""
_SLOPE_M: Final = 0.008
"""To both sides, over which the bend's slope is taken: thin lips open as far as thick ones, wide eyes shut farther."""
_SLOPE, _STEEPEST = 0.7, 4.0
"""Largest slopes of the bend, and along an axis itself: shapes neither turn back nor fly away."""
_STILL_EVERY: Final = 40
"""Of the vertices that far away, one in so many says so."""
_FACING: Final = np.diag([1.0, -1.0, -1.0])


def fit_head(landmarks: Landmarks, width: int, height: int) -> HeadFit:
    """The head of the landmarks in a picture of `width` times `height` pixels, of which some may be unknown.

    Raises PortraitError for landmarks that are no face, and for a face that is too small or turned too far.
    """
    landmarks.check(width, height)
    solver = _Solver(landmarks, width, height)
    fit = solver.solve()
    if not landmarks.by_hand and not fit.residual_percent < LARGEST_RESIDUAL_PERCENT:
        raise PortraitError(
            "The landmarks do not form a face: no head comes near them. Look whether points were swapped, "
            "and place them again. If they are meant so, say that they were placed by hand."
        )
    check_turn(float(np.degrees(np.arcsin(np.clip(fit.rotation[2, 0], -1.0, 1.0)))))  # however the head is tilted
    bend, stretch = solver.bend()
    fit = replace(fit, bend=bend, stretch=stretch)
    completed(landmarks, fit).check_size()
    return fit


def completed(landmarks: Landmarks, fit: HeadFit) -> Landmarks:
    """The landmarks with those that are unknown where the fitted head has them."""
    head, vertices = load_head(), fit.vertices()
    pixels = fit.project(vertices)
    guess = np.where(np.isnan(landmarks.points), pixels[head.landmarks], landmarks.points)
    rows = _seen_rows(lambda rows: fit.camera_points(vertices[rows]), fit.rotation, _axes(guess))
    points = np.where(np.isnan(landmarks.points), pixels[rows], landmarks.points)
    iris = landmarks.iris
    if iris is not None:
        modelled = pixels[head.iris]
        centers = np.where(np.isnan(iris[:, :1]), modelled[:, :1], iris[:, :1])
        iris = np.where(np.isnan(iris), modelled - modelled[:, :1] + centers, iris)
    return replace(landmarks, points=points, iris=iris)


def mean_head(width: int, height: int) -> HeadFit:
    """The mean head in the middle of a picture of which nothing is known, upright and seen from the front."""
    head = load_head()
    marks = head.vertices[head.landmarks]
    middle, size = (marks.min(axis=0) + marks.max(axis=0)) / 2, np.ptp(marks[:, 1])
    focal = _FOCAL * max(width, height)
    depth = focal * size / (_MEAN_SIZE * min(width, height))
    return HeadFit(
        identity=np.zeros(len(head.identity), np.float32),
        expression=np.zeros(len(ARKIT_NAMES), np.float32),
        rotation=_FACING.astype(np.float32),
        translation=(np.array([0, 0, depth]) - _FACING @ middle).astype(np.float32),
        focal_px=float(focal),
        width=width,
        height=height,
        residual_percent=0.0,
    )


class _Solver:
    """Gauss-Newton on identity, expression, turn (3), place (x, y, log depth) and log focal length, in this order."""

    def __init__(self, landmarks: Landmarks, width: int, height: int) -> None:
        self.head = load_head()
        self.people = len(self.head.identity)
        self.size = width, height
        self.center = np.array([width, height]) / 2
        self.unit = landmarks.eye_distance
        self.by_hand = landmarks.by_hand
        self.rows = self.head.landmarks  # of the vertices seen at the landmarks
        self.seen = landmarks.points.astype(float)
        if landmarks.iris is not None:
            self.rows = np.concatenate([self.rows, self.head.iris.ravel()])
            self.seen = np.concatenate([self.seen, landmarks.iris.reshape(-1, 2).astype(float)])
        self.known = ~np.isnan(self.seen).any(axis=1)
        self.weights = _weights()[: len(self.seen)] / self.unit * self.known[:, None]
        self.prior = _prior(self.people)

        eyes = self.head.vertices[self.head.landmarks[36:48]].reshape(2, 6, 3).mean(axis=1)
        right, left = landmarks.eyes.astype(float)
        roll = np.arctan2(*(left - right)[::-1])
        self.coefficients = np.zeros(self.people + len(ARKIT_NAMES))
        self.focal = _FOCAL * max(width, height)
        self.turn = Rotation.from_rotvec([0, 0, roll]).as_matrix() @ _FACING
        depth = self.focal * np.linalg.norm(eyes[1] - eyes[0]) / self.unit
        middle = ((right + left) / 2 - self.center) / self.focal * depth
        self.place = np.array([*middle, depth]) - self.turn @ eyes.mean(axis=0)
        self._guess_unknown()

    def solve(self) -> HeadFit:
        """The most probable head.

        What an artist placed may be far from all heads: its errors are then taken for larger until the head is one.
        """
        start = self.coefficients, self.turn, self.place, self.focal
        residual = self._converge()
        for _ in range(_FARTHER_ROUNDS if self.by_hand else 0):
            if np.sqrt((self.coefficients[: self.people] ** 2).mean()) < _USUAL_PERSON:
                break
            self.weights = self.weights / 2
            self.coefficients, self.turn, self.place, self.focal = start
            residual = self._converge()
        return HeadFit(
            identity=self.coefficients[: self.people].astype(np.float32),
            expression=self.coefficients[self.people :].astype(np.float32),
            rotation=self.turn.astype(np.float32),
            translation=self.place.astype(np.float32),
            focal_px=float(self.focal),
            width=self.size[0],
            height=self.size[1],
            residual_percent=residual,
        )

    def bend(self) -> tuple[Floats, Floats]:
        """What takes the vertices (V, 3) to where the landmarks are seen, in metres, and its slope (V, 3, 3).

        A smooth field over the face with its mouth and eyes open, so that lips and lids which touch move apart freely.
        It fades out towards the back of the head. Eyeballs go with their lids, and grow with them. What lies where the
        field is wide moves as much farther.
        """
        open_face = np.zeros((1, len(ARKIT_NAMES)), np.float32)
        open_face[0, ARKIT_NAMES.index("jawOpen")] = 1.0
        surface = self.head.displaced(open_face)[0].astype(float)
        rows, moves = self._moves()
        skin = self.head.vertices_of("skin")
        away = KDTree(surface[self.head.landmarks]).query(surface[skin])[0]
        still = skin[away > _BEND_REACH_M][::_STILL_EVERY]
        centers = np.concatenate([surface[rows], surface[still]])
        field = RBFInterpolator(centers, np.concatenate([moves, np.zeros((len(still), 3))]))
        bend = field(surface)
        steps = _SLOPE_M * np.eye(3)
        slopes = np.stack([field(surface + step) - field(surface - step) for step in steps], axis=-1) / (2 * _SLOPE_M)
        slopes = slopes.clip(-_SLOPE, np.where(np.eye(3) > 0, _STEEPEST, _SLOPE))
        for eye, lids in (("eyeRight", range(36, 42)), ("eyeLeft", range(42, 48))):
            ball, rim = self.head.vertices_of(eye), self.head.landmarks[lids]
            larger = _spread(self.head.vertices[rim] + bend[rim]) / _spread(self.head.vertices[rim]) - 1
            front = np.array([*self.head.vertices[rim, :2].mean(axis=0), self.head.vertices[ball, 2].max()])
            bend[ball] = larger * (self.head.vertices[ball] - front) + bend[rim].mean(axis=0)
            slopes[ball] = larger * np.eye(3)
        expression = np.tensordot(self.coefficients[self.people :], self.head.deltas, axes=1)
        bend -= np.einsum("vij,vj->vi", slopes, expression)  # in the picture, shapes are stretched already
        return bend.astype(np.float32), slopes.astype(np.float32)

    def _moves(self) -> tuple[NDArray[np.integer], Doubles]:
        """Vertices (n,) at landmarks, and what takes them there (n, 3), parallel to the picture, in metres."""
        known, left = self.known.copy(), self._left()
        if self.by_hand:
            left[_MEANT] = self._missing(self._camera_points(self.rows[_MEANT]), _MEANT)
        else:
            known[: _MEANT.start] = False
        known[_MEANT.stop :] = False
        depth = self._camera_points(self.rows[known])[:, 2:]
        missing = (left[known, None] @ self.axes[known])[:, 0] / self.focal * depth
        moves = np.concatenate([missing, np.zeros_like(depth)], axis=1) @ self.turn
        rows, place = np.unique(self.rows[known], return_inverse=True)  # two landmarks may be seen at one vertex
        return rows, np.stack([np.bincount(place, move) for move in moves.T], axis=1) / np.bincount(place)[:, None]

    def _converge(self) -> float:
        """Steps until they are small; returns the residual in percent of the eyes' distance."""
        for step in range(_STEPS):
            if step < _OUTLINE_STEPS:
                self._guess_unknown()
                self._find_outline()
            if self._step() < _CONVERGED:
                break
        return float(100 * np.sqrt((self._left()[self.known] ** 2).sum(axis=1).mean()) / self.unit)

    def _guess_unknown(self) -> None:
        """Puts landmarks that nobody knows where the model has them, where they say how contours run."""
        guesses = self._pixels(self._camera_points(self.rows))
        self.seen = np.where(self.known[:, None], self.seen, guesses)
        self.axes = _axes(self.seen)

    def _left(self) -> Doubles:
        """What is missing (n, 2) across and along the contours; along only where a landmark has a place of its own."""
        missing = self._missing(self._camera_points(self.rows))
        missing[_SLIDING[: len(missing)], 1] = 0.0
        return missing

    def _step(self) -> float:
        """Takes one step to the most probable unknowns of the linearized camera; returns its largest change."""
        slopes, missing = self._slopes()
        at_pose = [0.0, 0.0, 0.0, *self.place[:2], np.log(self.place[2]), np.log(self.focal)]
        now = np.concatenate([self.coefficients, at_pose])
        shapes = slice(self.people, -7)
        mean = np.zeros_like(now)
        mean[shapes] = _SHAPE_MEAN
        mean[-2:] = np.log([_DISTANCE_M, _FOCAL * max(self.size)])
        A = np.concatenate([(self.weights[..., None] * (self.axes @ slopes)).reshape(-1, len(now)), self.prior])
        b = np.concatenate([(self.weights * missing).ravel(), self.prior @ (mean - now)])
        low, high = np.full_like(now, -np.inf), np.full_like(now, np.inf)
        low[shapes], high[shapes] = -now[shapes], 1 - now[shapes]
        low[-7:-4], high[-7:-4] = -_LARGEST_TURN, _LARGEST_TURN
        low[-2:], high[-2:] = -_LARGEST_GROWTH, _LARGEST_GROWTH
        step = _bounded_least_squares(A, b, low, high)
        self.coefficients = self.coefficients + step[:-7]
        self.turn = Rotation.from_rotvec(step[-7:-4]).as_matrix() @ self.turn
        self.place = np.array([*(self.place[:2] + step[-4:-2]), self.place[2] * np.exp(step[-2])])
        self.focal *= np.exp(step[-1])
        return float(np.abs(step).max())

    def _find_outline(self) -> None:
        """Puts each landmark of the jaw line on its vertex, or on the outline of the face where that is hidden."""
        self.rows = np.concatenate([_seen_rows(self._camera_points, self.turn, self.axes), self.rows[68:]])

    def _slopes(self) -> tuple[Doubles, Doubles]:
        """Derivatives (n, 2, unknowns) of the landmarks' pixels, and what is missing (n, 2) across and along."""
        points = self._camera_points(self.rows)
        x, y, z = points.T
        scale, none = self.focal / z, np.zeros_like(z)
        by_point = np.stack([[scale, none, -scale * x / z], [none, scale, -scale * y / z]]).transpose(2, 0, 1)
        moves = np.concatenate(
            [
                self.head.identity[:, self.rows] @ self.turn.T,
                self.head.deltas[:, self.rows] @ self.turn.T,
                np.cross(np.eye(3)[:, None], (points - self.place)[None]),
                np.broadcast_to((np.eye(3) * (1, 1, self.place[2]))[:, None], (3, *points.shape)),
            ]
        )
        slopes = by_point @ moves.transpose(1, 2, 0)
        by_focal = (self._pixels(points) - self.center)[..., None]
        return np.concatenate([slopes, by_focal], axis=2), self._missing(points)

    def _camera_points(self, rows: NDArray[np.integer]) -> Doubles:
        """Chosen vertices (n, 3) as the camera sees them."""
        coefficients = self.coefficients.astype(np.float32)
        identity, expression = coefficients[: self.people], coefficients[self.people :]
        points = self.head.displaced(expression[None], rows, identity)[0]
        return points @ self.turn.T + self.place

    def _pixels(self, points: Doubles) -> Doubles:
        return self.focal * points[:, :2] / points[:, 2:] + self.center

    def _missing(self, points: Doubles, which: slice = slice(None)) -> Doubles:
        """From the model to the landmarks (n, 2), across and along their contours, in pixels."""
        return (self.axes[which] @ (self.seen[which] - self._pixels(points))[..., None])[..., 0]


def _bounded_least_squares(A: Doubles, b: Doubles, low: Doubles, high: Doubles) -> Doubles:
    """Minimizes |A x - b| for low <= x <= high, by block pivoting on the set of unknowns held at a bound."""
    normal, right = A.T @ A, A.T @ b
    held = np.zeros(len(right), int)  # -1 at the lower bound, 1 at the upper
    x = np.zeros_like(right)
    for _ in range(50):
        free = held == 0
        x[~free] = np.where(held < 0, low, high)[~free]
        x[free] = np.linalg.solve(normal[np.ix_(free, free)], right[free] - normal[np.ix_(free, ~free)] @ x[~free])
        pull = right - normal @ x
        new = np.where(free, (x > high).astype(int) - (x < low), np.where(held * pull > 0, held, 0))
        if (new == held).all():
            break
        held = new
    return np.clip(x, low, high)


def _spread(points: NDArray) -> float:
    """Root of the summed squares of distances of points (n, 3) from their mean."""
    return float(np.linalg.norm(points - points.mean(axis=0)))


def _prior(people: int) -> Doubles:
    """Rows over all unknowns that say what is expected, each divided by its standard deviation."""
    spread = [1.0] * people + [_RARE_SHAPES.get(name, _SHAPE_SPREAD) for name in ARKIT_NAMES]
    spread += [np.inf] * 5 + [_LOG_DISTANCE_SPREAD, _LOG_FOCAL_SPREAD]
    rows = [np.diag(1 / np.array(spread))]
    for i, name in enumerate(ARKIT_NAMES):
        other = name.removesuffix("Left") + "Right"
        if name.endswith("Left") and not name.startswith(("eyeLook", "jaw", "mouthLeft")):
            row = np.zeros((1, len(spread)))
            row[0, [people + i, people + ARKIT_NAMES.index(other)]] = 1 / _UNEVEN, -1 / _UNEVEN
            rows.append(row)
    return np.concatenate(rows)


def _seen_rows(camera_points: Callable[[NDArray[np.integer]], NDArray], turn: NDArray, axes: Doubles) -> NDArray:
    """The vertices (68,) that are seen at the landmarks: of the jaw line's, where it is hidden, one of the outline.

    camera_points: from vertices (n,) to where they are before the camera (n, 3). turn: (3, 3) of the head.
    axes: of the landmarks, as `_axes` gives them.
    """
    rows = load_head().landmarks.copy()
    normals, candidates = _jaw_normals(), _outline_candidates()
    for row in np.flatnonzero(((normals @ turn.T) * camera_points(rows[:17])).sum(axis=1) > 0):
        x, y, z = camera_points(candidates[row]).T
        rows[row] = candidates[row][np.argmax(np.stack([x / z, y / z], axis=1) @ axes[row, 0])]
    return rows


@cache
def _outline_candidates() -> list[NDArray[np.intp]]:
    """For each landmark of the jaw line, vertices of the face where its outline may be seen."""
    head = load_head()
    skin = head.vertices_of("skin")
    out = []
    for row in head.landmarks[:17]:
        away = head.vertices[skin] - head.vertices[row]
        near = (np.abs(away[:, 1]) < _OUTLINE_REACH_M) & (away[:, 2] > -_OUTLINE_BEHIND_M)
        out.append(skin[near & (head.vertices[skin, 0] * head.vertices[row, 0] >= 0)])
    return out


@cache
def _jaw_normals() -> Doubles:
    """Outward normals (17, 3), of any length, of the head model at the landmarks of the jaw line."""
    head = load_head()
    quads = head.faces_of("skin")
    corners = head.vertices[quads].astype(float)
    facing = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    return np.array([facing[(quads == row).any(axis=1)].sum(axis=0) for row in head.landmarks[:17]])


def _axes(seen: Doubles) -> Doubles:
    """Unit vectors (n, 2, 2) across and along the contours through landmarks (n, 2); across the jaw line is outward."""
    along = np.tile([1.0, 0.0], (len(seen), 1))
    for contour in _CONTOURS:
        line = seen[contour.rows]
        ends = (np.roll(line, 1, axis=0), np.roll(line, -1, axis=0))
        along[contour.rows] = ends[1] - ends[0] if contour.closed else np.gradient(line, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    return np.stack([along @ [[0, 1], [-1, 0]], along], axis=1)


def _weights() -> Doubles:
    """Inverse expected errors (78, 2) across and along the contours, in distances of the eyes."""
    weights = np.full((78, 2), 1 / _IRIS_ERROR)
    for contour in _CONTOURS:
        weights[contour.rows] = 1 / contour.across, 1 / contour.along
    weights[list(_BY_THE_EARS), 0] = 1 / _BY_THE_EARS_ERROR
    weights[list(_OWN_PLACES), 1] = 1 / _OWN_PLACE_ERROR
    return weights
