# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a face lies in a picture: the 68 iBUG landmarks and the irises, in pixels.

MediaPipe finds them where it is installed; else they come from a file that an artist made by placing the points.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import PortraitError
from ..motion.atomic import written_whole

__all__ = ["Landmarks", "check_turn", "find_landmarks"]

Floats = NDArray[np.float32]

SMALLEST_FACE_PX: Final = 64
"""From the chin to the brows; below, lips and lids are a few pixels."""
LARGEST_YAW_DEG: Final = 50.0
"""Further round, half of the face is hidden."""
_CONFIDENCE: Final = 0.5
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


@dataclass(frozen=True)
class Landmarks:
    """Landmarks of one face in pixels (x right, y down, centers of pixels at +0.5)."""

    points: Floats  # (68, 2) in iBUG order
    iris: Floats | None = None  # (2, 5, 2) left, right: center, then the rim towards +x, up, -x, down

    @property
    def eye_distance(self) -> float:
        """Distance between the middles of the eyes, in pixels."""
        right, left = self.points[36:42].mean(axis=0), self.points[42:48].mean(axis=0)
        return float(np.linalg.norm(left - right))

    def check(self) -> None:
        """Raises PortraitError for landmarks that are no face, and for a face too small to see lips and lids."""
        if not self.eye_distance > 0:
            raise PortraitError("The landmarks of the two eyes lie on each other. Place the landmarks again.")
        height = float(np.linalg.norm(self.points[8] - self.points[17:27].mean(axis=0)))
        if height < SMALLEST_FACE_PX:
            raise PortraitError(
                f"The face is {height:.0f} pixels high from chin to brows; at least {SMALLEST_FACE_PX} are needed. "
                "Use a larger picture, or enlarge this one."
            )

    def save(self, path: Path) -> None:
        """Writes JSON that an artist can read and correct. Raises ClipError where the file cannot be written."""
        content = {"points": _rounded(self.points), "iris": None if self.iris is None else _rounded(self.iris)}
        with written_whole(path, "landmarks") as partial:
            partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Landmarks":
        """Reads what `save` wrote. Raises PortraitError for a missing, damaged or incomplete file."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            points = np.asarray(content["points"], np.float32)
            iris = None if content.get("iris") is None else np.asarray(content["iris"], np.float32)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise PortraitError(
                f"{path.name}: the landmarks cannot be read ({error}). Find or place them again."
            ) from error
        if points.shape != (68, 2) or (iris is not None and iris.shape != (2, 5, 2)):
            raise PortraitError(f"{path.name}: not 68 landmarks with two irises of 5 points. Find or place them again.")
        if not np.isfinite(points).all() or (iris is not None and not np.isfinite(iris).all()):
            raise PortraitError(f"{path.name}: a landmark is not a number. Find or place the landmarks again.")
        return cls(points, iris)


def _rounded(points: Floats) -> list[Any]:
    return np.round(points.astype(float), 2).tolist()


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
    landmarks.check()
    return landmarks


def _face_box(pixels: NDArray[np.uint8], detection: Any) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the only face in pixels (H, W, 3), with a margin."""
    height, width = pixels.shape[:2]
    boxes: list[tuple[float, float, float, float]] = []
    for near_or_far in (0, 1):  # MediaPipe's two detectors: for faces that fill the picture, and for small ones
        with detection.FaceDetection(model_selection=near_or_far, min_detection_confidence=_CONFIDENCE) as finder:
            found = finder.process(pixels).detections or ()
        boxes = [(b.xmin, b.ymin, b.width, b.height) for b in (d.location_data.relative_bounding_box for d in found)]
        if boxes:
            break
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


def _no_face() -> PortraitError:
    return PortraitError("No face was found. Use a picture of one face, seen from the front; or place the landmarks.")
