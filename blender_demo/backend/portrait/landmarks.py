# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a face lies in a picture: the 68 iBUG landmarks and the irises, in pixels.

MediaPipe finds them where it is installed; else they come from an artist who placed them, or a few of them. What nobody
knows is NaN, until the fitted head says where it must be (`fit.completed`).
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import PortraitError
from ..motion.atomic import written_whole

__all__ = ["IRIS_NAMES", "MAIN_POINTS", "Landmarks", "check_turn", "find_landmarks"]

Floats = NDArray[np.float32]

SMALLEST_FACE_PX: Final = 64
"""From the chin to the brows; below, lips and lids are a few pixels."""
LARGEST_YAW_DEG: Final = 50.0
"""Further round, half of the face is hidden."""
_CONFIDENCE: Final = 0.5
_SURER: Final = 0.1
"""How much surer of a face MediaPipe is if it is not upside down; it sees one then, with eyes and mouth exchanged."""
_MARGIN: Final = 0.6
"""Added around a detected face, in its widths, so that chin and forehead are in the crop."""

_MESH_POINTS: Final[tuple[tuple[int, ...], ...]] = (
    # jaw line, from the character's right ear to the left
    (127, 162), (234, 127), (93,), (132,), (58, 172), (150, 136), (149,), (148,), (152,),
    (377,), (378,), (379, 365), (288, 397), (361,), (323,), (454, 356), (356, 389),
    # brows, right then left: between their upper and lower edges
    (70, 46), (63, 53), (105, 52), (66, 65, 107), (107, 55),
    (336, 285), (296, 295, 336), (334, 282), (293, 283), (300, 276),
    # bridge of the nose down to its tip; under the nostrils
    (168, 6), (197,), (5,), (4,), (240, 99), (97, 2), (2,), (326, 2), (460, 328),
    # right eye, left eye
    (33,), (160,), (158,), (133,), (153,), (163,), (362,), (385,), (387,), (263,), (390,), (380,),
    # outer border of the lips, inner border
    (61,), (39,), (37,), (0,), (267,), (269,), (291,), (321, 405), (314, 405), (17,), (84, 181), (91, 181),
    (78,), (81,), (13,), (311,), (308,), (402,), (14,), (178,),
)  # fmt: skip
"""Points of MediaPipe's face mesh whose mean lies at each iBUG landmark, as the head model has them."""
_MESH_EYE_CORNERS: Final = (33, 263)
"""Outer corners, right and left."""
_MESH_IRIS: Final = ((473, 474, 475, 476, 477), (468, 469, 470, 471, 472))
"""Left, right: center, then the rim towards +x, up, -x, down."""


MAIN_POINTS: Final = {
    "jaw_right": 4, "chin": 8, "jaw_left": 12,
    "brow_right": 19, "brow_left": 24,
    "nose_tip": 30, "nose_foot": 33,
    "eye_right_outer": 36, "eye_right_upper": 37, "eye_right_inner": 39, "eye_right_lower": 41,
    "eye_left_inner": 42, "eye_left_upper": 44, "eye_left_outer": 45, "eye_left_lower": 46,
    "mouth_right": 48, "mouth_left": 54, "lip_upper": 51, "lip_lower": 57, "lips_inside_upper": 62,
    "lips_inside_lower": 66,
}  # fmt: skip
"""The iBUG landmarks from which the others can be told. Left and right are the character's own."""
IRIS_NAMES: Final = ("pupil_left", "pupil_right")
"""Of the centers of the irises, as in `Landmarks.iris`."""

_BROWS, _MOUTH = slice(17, 27), slice(48, 68)
_EYES: Final = (("right", slice(36, 42), [36, 39], 1), ("left", slice(42, 48), [42, 45], 0))
"""Of each eye the name, the lids, the corners, and the iris."""
_BELOW_EYES: Final = [*range(6, 11), *range(30, 36), *range(48, 68)]
_ORDERS: Final = (
    ("brows", range(17, 22), range(22, 27), False),
    ("sides of the jaw", range(8), range(9, 17), False),
    ("corners of the mouth", (48, 60), (54, 64), False),
    ("upper and lower lip", (50, 51, 52), (56, 57, 58), True),
    ("lids of the right eye", (37, 38), (40, 41), True),
    ("lids of the left eye", (43, 44), (46, 47), True),
)
"""What lies to the character's right of what, or, last field, above it."""
_UPSIDE_DOWN: Final = 0.7
"""Cosine of the angle to straight up under which the mouth may lie from the eyes."""
_OUT_OF_ORDER: Final = 0.1
"""How far the wrong way these may lie, in distances of the eyes: those of shut lids lie on each other."""


@dataclass(frozen=True)
class Landmarks:
    """Landmarks of one face in pixels (x right, y down, centers of pixels at +0.5); NaN where unknown.

    by_hand: an artist means them, however little they look like a face.
    """

    points: Floats  # (68, 2) in iBUG order
    iris: Floats | None = None  # (2, 5, 2) left, right: center, then the rim towards +x, up, -x, down
    by_hand: bool = False

    @property
    def eyes(self) -> Floats:
        """Middles (2, 2) of the right and the left eye: of the lids, else of its corners, else the pupil."""
        middles = np.full((2, 2), np.nan, np.float32)
        for eye, (_, lids, corners, iris) in enumerate(_EYES):
            guesses = [self.points[lids], self.points[corners]]
            guesses += [] if self.iris is None else [self.iris[iris, :1]]
            whole = [guess for guess in guesses if np.isfinite(guess).all()]
            if whole:
                middles[eye] = whole[0].mean(axis=0)
        return middles

    @property
    def eye_distance(self) -> float:
        """Distance between the middles of the eyes, in pixels."""
        right, left = self.eyes
        return float(np.linalg.norm(left - right))

    def check(self, width: int, height: int) -> None:
        """Raises PortraitError for landmarks that are no face in a picture of `width` times `height` pixels."""
        for (name, *_), middle in zip(_EYES, self.eyes, strict=True):
            if np.isnan(middle).any():
                raise PortraitError(f"Nothing says where the {name} eye is. Place its two corners, or its pupil.")
        if not self.eye_distance > 0:
            raise PortraitError("The landmarks of the two eyes lie on each other. Place the landmarks again.")
        below = self.points[_BELOW_EYES]
        if np.isnan(below).all():
            raise PortraitError("Nothing says where the face is below the eyes. Place the mouth, or the chin.")
        self._check_order(np.nanmean(below, axis=0))
        inner = self.points[_BROWS.stop :]
        outside = ((inner < 0) | (inner > (width, height))).any(axis=1)  # NaN is neither
        if outside.any():
            raise PortraitError(
                f"{outside.sum()} points of eyes, nose and mouth lie outside of the picture. Move them into it, or use "
                "a picture that shows the whole face."
            )

    def _check_order(self, below: Floats) -> None:
        """Raises PortraitError where left and right, or above and below, have changed places."""
        right, left = self.eyes
        across, down = left - right, below - (left + right) / 2
        if across[0] * down[1] - across[1] * down[0] <= 0:
            raise PortraitError(
                "The landmarks are mirrored: seen with the mouth below the eyes, the character's right eye lies on the "
                "left side of the picture. Place the landmarks again."
            )
        if down[1] < -_UPSIDE_DOWN * np.linalg.norm(down):
            raise _upside_down()
        across, down = (way / np.linalg.norm(way) / self.eye_distance for way in (across, down))
        for names, first, second, is_above in _ORDERS:
            ways = np.array([self.points[b] - self.points[a] for a in first for b in second])
            if np.isnan(ways).any(axis=1).all():
                continue
            if np.nanmean(ways, axis=0) @ (down if is_above else across) < -_OUT_OF_ORDER:
                raise PortraitError(f"The {names} have changed places. Put these points where they belong.")

    def scaled(self, scale: float) -> "Landmarks":
        """The same landmarks in a picture `scale` times as large."""
        points, iris = self.points * scale, None if self.iris is None else self.iris * scale
        return replace(self, points=points, iris=iris)

    def check_size(self) -> None:
        """Raises PortraitError for a face too small to see lips and lids; all landmarks have to be known."""
        height = float(np.linalg.norm(self.points[8] - self.points[_BROWS].mean(axis=0)))
        if height < SMALLEST_FACE_PX:
            raise PortraitError(
                f"The face is {height:.0f} pixels high from chin to brows; at least {SMALLEST_FACE_PX} are needed. "
                "Use a larger picture, or enlarge this one."
            )

    def save(self, path: Path) -> None:
        """Writes JSON that an artist can read and correct. Raises ClipError where the file cannot be written."""
        iris = None if self.iris is None else [_as_json(ring) for ring in self.iris]
        content = {"points": _as_json(self.points), "iris": iris, "by_hand": self.by_hand}
        with written_whole(path, "landmarks") as partial:
            partial.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Landmarks":
        """Reads what `save` wrote, or a few points by their names; see `docs/landmarks.md`.

        Raises PortraitError for a missing or damaged file.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            points = content["points"]
            if isinstance(points, dict):
                return _from_names(points)
            iris = None if content.get("iris") is None else np.stack([_from_json(ring) for ring in content["iris"]])
            landmarks = cls(_from_json(points), iris, bool(content.get("by_hand", False)))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise PortraitError(
                f"{path.name}: the landmarks cannot be read ({error}). Find or place them again."
            ) from error
        if landmarks.points.shape != (68, 2) or (iris is not None and iris.shape != (2, 5, 2)):
            raise PortraitError(f"{path.name}: not 68 landmarks with two irises of 5 points. Find or place them again.")
        return landmarks


def _as_json(points: Floats) -> list[Any]:
    """Points (n, 2) to hundredths of a pixel, null where unknown."""
    return [None if np.isnan(point).any() else point for point in np.round(points.astype(float), 2).tolist()]


def _from_json(points: list[Any]) -> Floats:
    """Inverse of `_as_json`. Raises ValueError or TypeError for anything else."""
    return np.array([(np.nan, np.nan) if point is None else _point(point) for point in points], np.float32)


def _point(point: Any) -> tuple[float, float]:
    x, y = point
    if not (np.isfinite(x) and np.isfinite(y)):
        raise ValueError(f"{point} is no point")
    return x, y


def _from_names(named: dict[str, Any]) -> Landmarks:
    """Landmarks from points by the names of `MAIN_POINTS` and `IRIS_NAMES`, or by iBUG numbers.

    Raises ValueError or TypeError.
    """
    points, iris = np.full((68, 2), np.nan, np.float32), np.full((2, 5, 2), np.nan, np.float32)
    numbers = MAIN_POINTS | {str(number): number for number in range(len(points))}
    for name, point in named.items():
        if name in IRIS_NAMES:
            iris[IRIS_NAMES.index(name), 0] = _point(point)
        elif name in numbers:
            points[numbers[name]] = _point(point)
        else:
            raise ValueError(f"no point is called '{name}'")
    return Landmarks(points, None if np.isnan(iris).all() else iris, by_hand=True)


def check_turn(yaw_deg: float) -> None:
    """Raises PortraitError for a head turned too far."""
    if abs(yaw_deg) > LARGEST_YAW_DEG:
        raise PortraitError(
            f"The face is turned {abs(yaw_deg):.0f} degrees away from the camera; at most {LARGEST_YAW_DEG:.0f} work. "
            "Use a picture seen more from the front."
        )


def find_landmarks(picture: Floats) -> Landmarks:
    """The landmarks of the one face in a picture (H, W, 3).

    Raises PortraitError if MediaPipe is missing, and for no face, several faces, and faces that are too small or turned
    too far for the head model.
    """
    try:
        from mediapipe import solutions  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise PortraitError(
            "MediaPipe (0.10, with its face mesh), which finds the face, is not installed: install it, or give a file "
            "of landmarks placed by hand."
        ) from error
    pixels = (np.clip(picture, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)
    left, top, right, bottom = _face_box(pixels, solutions.face_detection)
    crop = np.ascontiguousarray(pixels[top:bottom, left:right])
    settings = {"static_image_mode": True, "max_num_faces": 1, "refine_landmarks": True}
    with solutions.face_mesh.FaceMesh(**settings, min_detection_confidence=_CONFIDENCE / 2) as finder:
        found = finder.process(crop).multi_face_landmarks
    if not found:
        raise _no_face()
    width, height = right - left, bottom - top  # depth comes in widths too
    mesh = np.array([(p.x, p.y, p.z) for p in found[0].landmark]) * (width, height, width) + (left, top, 0)
    across = mesh[_MESH_EYE_CORNERS[1]] - mesh[_MESH_EYE_CORNERS[0]]
    check_turn(float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1])))))
    mesh = mesh[:, :2]
    points = np.array([mesh[list(members)].mean(axis=0) for members in _MESH_POINTS], np.float32)
    landmarks = Landmarks(points, mesh[np.array(_MESH_IRIS)].astype(np.float32))
    landmarks.check_size()
    return landmarks


def _face_box(pixels: NDArray[np.uint8], detection: Any) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the only face in pixels (H, W, 3), with a margin."""
    height, width = pixels.shape[:2]
    score, boxes = _detected(pixels, detection)
    turned_over, _ = _detected(np.ascontiguousarray(pixels[::-1, ::-1]), detection)
    if turned_over > score + _SURER:
        raise _upside_down()
    if not boxes:
        raise _no_face()
    if len(boxes) > 1:
        raise PortraitError(f"The picture shows {len(boxes)} faces. Crop it so that one face is left.")
    x, y, w, h = np.array(boxes[0]) * (width, height, width, height)
    margin = _MARGIN * max(w, h)
    return (
        max(0, int(x - margin)),
        max(0, int(y - margin)),
        min(width, int(x + w + margin)),
        min(height, int(y + h + margin)),
    )


def _detected(pixels: NDArray[np.uint8], detection: Any) -> tuple[float, list[tuple[float, float, float, float]]]:
    """How sure the surest face is, 0..1, and the boxes of all: left, top, width and height, in sizes of the picture."""
    for near_or_far in (0, 1):  # MediaPipe's two detectors: for faces that fill the picture, and for small ones
        with detection.FaceDetection(model_selection=near_or_far, min_detection_confidence=_CONFIDENCE) as finder:
            found = finder.process(pixels).detections or ()
        if found:
            boxes = [face.location_data.relative_bounding_box for face in found]
            return max(face.score[0] for face in found), [(b.xmin, b.ymin, b.width, b.height) for b in boxes]
    return 0.0, []


def _upside_down() -> PortraitError:
    return PortraitError("The face is upside down. Turn the picture by 180 degrees, and use that.")


def _no_face() -> PortraitError:
    return PortraitError("No face was found. Use a picture of one face, seen from the front; or place the landmarks.")
