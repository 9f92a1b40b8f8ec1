# SPDX-License-Identifier: GPL-3.0-or-later
"""The head model fitted to the landmarks of a picture: whose head, with what face, seen by which camera.

The most probable identity, expression, pose and focal length, by Gauss-Newton steps on the landmarks' distances in the
picture and on the priors of all unknowns. Where a landmark has no place of its own along a contour (jaw, lips, lids,
brows), its distance along that contour counts little. Lengths in metres; camera axes: x right in the picture, y down,
z into the scene.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear
from scipy.spatial.transform import Rotation

from ..errors import PortraitError
from ..head.head_model import HeadModel, load_head
from ..motion.factors import ARKIT_NAMES
from .landmarks import Landmarks

__all__ = ["HeadFit", "fit_head"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

LARGEST_YAW_DEG: Final = 50.0
"""Further round, half of the face is hidden."""


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
    residual_percent: float  # RMS distance of landmarks from the model, in percent of the eyes' distance

    def camera_points(self, points: Floats) -> Floats:
        """Points (..., 3) of the head frame, in the camera's."""
        return points @ self.rotation.T + self.translation

    def project(self, points: Floats) -> Floats:
        """Pixels (..., 2) at which the camera sees points (..., 3) of the head frame."""
        seen = self.camera_points(points)
        center = np.array([self.width, self.height], np.float32) / 2
        return self.focal_px * seen[..., :2] / seen[..., 2:] + center

    def vertices(self) -> Floats:
        """The head model's vertices (V, 3) in the head frame, with this identity and expression."""
        return load_head().displaced(self.expression[None], identity=self.identity)[0]


@dataclass(frozen=True)
class _Group:
    """Landmarks alike: expected error across and along their contour, in distances of the eyes; inf: slides freely."""

    rows: tuple[int, ...]
    across: float
    along: float
    closed: bool = False


_GROUPS: Final = (
    _Group(tuple(range(17)), 0.012, 0.10),
    _Group(tuple(range(17, 22)), 0.02, 0.06),
    _Group(tuple(range(22, 27)), 0.02, 0.06),
    _Group(tuple(range(27, 31)), 0.012, 0.03),
    _Group(tuple(range(31, 36)), 0.010, 0.02),
    _Group(tuple(range(36, 42)), 0.005, 0.02, closed=True),
    _Group(tuple(range(42, 48)), 0.005, 0.02, closed=True),
    _Group(tuple(range(48, 60)), 0.006, 0.02, closed=True),
    _Group(tuple(range(60, 68)), 0.005, 0.02, closed=True),
)
_OWN_PLACE: Final = (8, 30, 33, 36, 39, 42, 45, 48, 54, 60, 64)
"""Chin, tip and foot of the nose, corners of eyes and mouth: their places are known along the contour too."""
_IRIS_ERROR: Final = 0.01


@dataclass(frozen=True)
class _Prior:
    """What is expected before the picture is seen: standard deviations, and the camera's mean."""

    shape: float = 0.35
    """Of an ARKit weight, from 0."""
    sides: float = 0.15
    """Of the difference between the left and the right of a pair of shapes."""
    distance_m: float = 1.2
    """Of the camera from the head: from a phone held out to a long lens."""
    log_distance: float = 0.5
    focal: float = 1.4
    """Focal length in lengths of the picture's longer side."""
    log_focal: float = 0.5


_PRIOR: Final = _Prior()
_STEPS: Final = 30
_CONVERGED: Final = 1e-4
_FACING: Final = np.diag([1.0, -1.0, -1.0])


def fit_head(landmarks: Landmarks, width: int, height: int) -> HeadFit:
    """The head of the landmarks found in a picture of `width` times `height` pixels.

    Raises PortraitError for landmarks that are no face, and for a face turned too far.
    """
    fit = _Solver(landmarks, width, height).solve()
    yaw = float(np.degrees(np.arcsin(np.clip(fit.rotation[0, 2], -1.0, 1.0))))
    if abs(yaw) > LARGEST_YAW_DEG:
        raise PortraitError(
            f"The face is turned {abs(yaw):.0f} degrees away from the camera; at most {LARGEST_YAW_DEG:.0f} work. "
            "Use a picture seen more from the front."
        )
    return fit


class _Solver:
    """Gauss-Newton on identity, expression, turn (3), place (x, y, log depth) and log focal length, in this order."""

    def __init__(self, landmarks: Landmarks, width: int, height: int) -> None:
        head = load_head()
        self.unit = landmarks.eye_distance
        if not 0 < self.unit < np.inf:
            raise PortraitError("The landmarks of the two eyes lie on each other. Place the landmarks again.")
        self.seen = landmarks.points.astype(float)
        rows = head.landmarks
        if landmarks.iris is not None:
            self.seen = np.concatenate([self.seen, landmarks.iris.reshape(-1, 2)])
            rows = np.concatenate([rows, head.iris.ravel()])
        self.rest = head.vertices[rows].astype(float)
        self.modes = np.concatenate([head.identity[:, rows], head.deltas[:, rows]]).astype(float)  # (K + 52, n, 3)
        self.people = len(head.identity)
        self.width, self.height = width, height
        self.center = np.array([width, height]) / 2
        self.coefficients = np.zeros(len(self.modes))
        self.turn = _FACING
        eyes_m = _eye_distance_m(head)
        focal = _PRIOR.focal * max(width, height)
        depth = focal * eyes_m / self.unit
        middle = (self.seen[36:48].mean(axis=0) - self.center) / focal * depth
        self.place = np.array([*middle, depth]) - self.turn @ self.rest[36:48].mean(axis=0)
        self.focal = focal
        self.prior_rows, self.prior_weights = _prior_rows(self.people)
        eyes_vector = self.seen[42:48].mean(axis=0) - self.seen[36:42].mean(axis=0)
        roll = np.arctan2(eyes_vector[1], eyes_vector[0])
        self.turn = Rotation.from_rotvec([0, 0, roll]).as_matrix() @ self.turn
        self.place = np.array([*middle, depth]) - self.turn @ self.rest[36:48].mean(axis=0)

    def solve(self) -> HeadFit:
        for _ in range(_STEPS):
            if self._step() < _CONVERGED:
                break
        missing, _ = self._missing()
        return HeadFit(
            identity=self.coefficients[: self.people].astype(np.float32),
            expression=self.coefficients[self.people :].astype(np.float32),
            rotation=self.turn.astype(np.float32),
            translation=self.place.astype(np.float32),
            focal_px=float(self.focal),
            width=self.width,
            height=self.height,
            residual_percent=float(100 * np.sqrt((missing**2).sum(axis=-1).mean()) / self.unit),
        )

    def _camera_points(self) -> tuple[Doubles, Doubles]:
        """Landmarks (n, 3) turned only, and seen by the camera."""
        turned = (self.rest + np.tensordot(self.coefficients, self.modes, axes=1)) @ self.turn.T
        return turned, turned + self.place

    def _missing(self) -> tuple[Doubles, Doubles]:
        """From the model to the picture (n, 2) in pixels along the axes of each landmark's contour, and those axes."""
        _, (x, y, z) = None, self._camera_points()[1].T
        pixels = self.focal * np.stack([x, y], axis=-1) / z[:, None] + self.center
        axes = _axes(pixels)
        missing = np.einsum("nab,nb->na", axes, self.seen - pixels)
        return missing, axes

    def _step(self) -> float:
        turned, points = self._camera_points()
        x, y, z = points.T
        scale = self.focal / z
        zero = np.zeros_like(x)
        by_point = np.stack([[scale, zero, -scale * x / z], [zero, scale, -scale * y / z]]).transpose(2, 0, 1)
        moved = np.concatenate(
            [
                self.modes @ self.turn.T,
                np.cross(np.eye(3)[:, None], turned[None]),
                np.broadcast_to(np.eye(3)[:, None], (3, *turned.shape)),
            ]
        )
        slopes = np.einsum("nij,knj->nik", by_point, moved)
        slopes[:, :, -1] *= self.place[2]
        by_focal = np.stack([scale * x, scale * y], axis=-1)
        slopes = np.concatenate([slopes, by_focal[:, :, None]], axis=2)  # (n, 2, unknowns)
        missing, axes = self._missing()
        weights = _WEIGHTS[: len(self.seen)] / self.unit
        A = (weights[:, :, None] * (axes @ slopes)).reshape(-1, slopes.shape[2])
        b = (weights * missing).ravel()

        now = np.concatenate(
            [self.coefficients, np.zeros(3), self.place[:2], [np.log(self.place[2]), np.log(self.focal)]]
        )
        mean = np.zeros_like(now)
        mean[-2:] = np.log([_PRIOR.distance_m, _PRIOR.focal * max(self.width, self.height)])
        A = np.concatenate([A, self.prior_rows])
        b = np.concatenate([b, self.prior_rows @ (mean - now)])
        low = np.full(len(now), -np.inf)
        high = np.full(len(now), np.inf)
        shapes = slice(self.people, len(self.coefficients))
        low[shapes] = -now[shapes] - 1e-9
        high[shapes] = 1.0 - now[shapes] + 1e-9
        low[-7:-4], high[-7:-4] = -0.3, 0.3
        low[-2:], high[-2:] = -0.5, 0.5
        step = lsq_linear(A, b, (low, high), tol=1e-10).x
        self.coefficients = self.coefficients + step[: len(self.coefficients)]
        self.coefficients[shapes] = np.clip(self.coefficients[shapes], 0.0, 1.0)
        self.turn = Rotation.from_rotvec(step[-7:-4]).as_matrix() @ self.turn
        self.place = np.array([*(self.place[:2] + step[-4:-2]), self.place[2] * np.exp(step[-2])])
        self.focal *= np.exp(step[-1])
        return float(np.abs(step).max())


def _prior_rows(people: int) -> tuple[Doubles, Doubles]:
    """Rows over all unknowns, each divided by its standard deviation."""
    unknowns = people + len(ARKIT_NAMES) + 7
    own = np.eye(unknowns)
    own[people : people + 52] /= _PRIOR.shape
    own[-7:-2] *= 0.0
    own[-2] /= _PRIOR.log_distance
    own[-1] /= _PRIOR.log_focal
    pairs = []
    for i, name in enumerate(ARKIT_NAMES):
        if name.endswith("Left") and not name.startswith(("eyeLook", "jaw")) and name != "mouthLeft":
            row = np.zeros(unknowns)
            row[people + i], row[people + ARKIT_NAMES.index(name[:-4] + "Right")] = 1, -1
            pairs.append(row / _PRIOR.sides)
    rows = np.concatenate([own, pairs])
    return rows[np.abs(rows).sum(axis=1) > 0], np.ones(1)


def _eye_distance_m(head: HeadModel) -> float:
    eyes = head.vertices[head.landmarks[36:48]].reshape(2, 6, 3).mean(axis=1)
    return float(np.linalg.norm(eyes[1] - eyes[0]))


def _axes(pixels: Doubles) -> Doubles:
    """Unit vectors (n, 2, 2) across and along the contours through projected landmarks (n, 2)."""
    along = np.zeros_like(pixels)
    along[:, 0] = 1.0
    for group in _GROUPS:
        line = pixels[list(group.rows)]
        along[list(group.rows)] = (
            np.roll(line, -1, axis=0) - np.roll(line, 1, axis=0) if group.closed else np.gradient(line, axis=0)
        )
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.stack([-along[:, 1], along[:, 0]], axis=-1)
    return np.stack([across, along], axis=1)


def _weights() -> Doubles:
    """Inverse expected errors (78, 2) across and along."""
    weights = np.full((78, 2), 1 / _IRIS_ERROR)
    for group in _GROUPS:
        for row in group.rows:
            weights[row] = 1 / group.across, 1 / (group.across if row in _OWN_PLACE else group.along)
    return weights


_WEIGHTS: Final = _weights()
