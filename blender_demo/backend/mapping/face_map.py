# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the mouth and the eyes of a face are and how large, and the map from there to the face of the own head.

On the common face, eyes are as far apart and as high above the mouth as on the own head, whatever the character's
proportions: a cartoon's great eyes and its line of a mouth become those of a person. The map is linear in pieces.
Everything is in the head frame of `motion.factors`: x to the character's left, y up, z out of the face.
"""

from dataclasses import astuple, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["EYE_X", "EYE_Y", "HALF_MOUTH", "MOUTH_Y", "OPENING", "FaceMap", "on_face"]

EYE_X: Final = 0.033
EYE_Y: Final = 0.040
MOUTH_Y: Final = -0.036
HALF_MOUTH: Final = 0.0255
OPENING: Final = 0.011
"""Places on the own head in meters: eyes, mouth, half the width of the mouth; half the height of eyes and mouth."""

_BOUNDS: Final = np.array([[-0.09, 0.09], [-0.11, 0.12]])
"""What the common face covers, in meters: ears left out, chin to forehead."""

_FAR: Final = 10.0


@dataclass(frozen=True)
class FaceMap:
    """Places and sizes on a character, in its own units.

    eye_y, mouth_y: heights. eye_x: from the middle to an eye. half_mouth: half the mouth's width. middle: x of the
    plane between left and right. eye_opening, mouth_opening: half the heights that eye and mouth keys work on.
    """

    eye_y: float
    mouth_y: float
    eye_x: float
    half_mouth: float
    middle: float
    eye_opening: float
    mouth_opening: float

    @classmethod
    def of_usual_size(cls, eye_y: float, mouth_y: float, middle: float = 0.0) -> "FaceMap":
        """A face with a person's proportions."""
        scale = (eye_y - mouth_y) / (EYE_Y - MOUTH_Y)
        return cls(eye_y, mouth_y, EYE_X * scale, HALF_MOUTH * scale, middle, OPENING * scale, OPENING * scale)

    @property
    def is_face(self) -> bool:
        """Whether eyes are above the mouth and nothing has lost its size."""
        return self.eye_y > self.mouth_y and min(astuple(self)[2:4]) > 0.0 and min(astuple(self)[5:]) > 0.0

    def _knots(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Heights on the character and on the common face between which the map is linear."""
        height = self.eye_y - self.mouth_y
        eye = min(self.eye_opening, 0.8 * height)
        mouth = min(self.mouth_opening, 0.9 * (height - eye))
        far = _FAR * height
        below, above = far * HALF_MOUTH / self.half_mouth, far * EYE_X / self.eye_x
        own = (self.mouth_y - mouth - far, self.mouth_y - mouth, self.mouth_y + mouth,
               self.eye_y - eye, self.eye_y + eye, self.eye_y + eye + far)  # fmt: skip
        common = (MOUTH_Y - OPENING - below, MOUTH_Y - OPENING, MOUTH_Y + OPENING,
                  EYE_Y - OPENING, EYE_Y + OPENING, EYE_Y + OPENING + above)  # fmt: skip
        return np.array(own), np.array(common)

    def apply(
        self, points: NDArray[np.floating], deltas: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Points (V, 3) as places on the common face (V, 2), and motions (K, V, 3) in its scale, in meters."""
        own, common = self._knots()
        height = points[:, 1]
        share = np.clip((height - self.mouth_y) / (self.eye_y - self.mouth_y), 0.0, 1.0)
        across = HALF_MOUTH / self.half_mouth * (1.0 - share) + EYE_X / self.eye_x * share
        slopes = np.diff(common) / np.diff(own)
        along = slopes[np.clip(np.searchsorted(own, height) - 1, 0, len(slopes) - 1)]
        places = np.stack([(points[:, 0] - self.middle) * across, np.interp(height, own, common)], axis=1)
        return places.astype(np.float32), (deltas * np.stack([across, along, across], axis=1)).astype(np.float32)


def on_face(places: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which places (V, 2) lie on the common face, (V,)."""
    return ((places > _BOUNDS[:, 0]) & (places < _BOUNDS[:, 1])).all(axis=1)
