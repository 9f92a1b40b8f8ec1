# SPDX-License-Identifier: GPL-3.0-or-later
"""Emotions on top of a performance: the action units of each, after Ekman and Friesen's prototypes (FACS Investigator's
Guide, 1978/2002), written as ARKit channels at full intensity.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from ..evaluation.measures import aperture
from ..motion.factors import CHANNEL_INDEX, CHANNELS, MODEL_FPS, channel_slice

__all__ = ["show_emotion"]

_PROTOTYPES: Final[dict[str, dict[str, float]]] = {
    "angry": {"browDown": 0.8, "eyeSquint": 0.45, "eyeWide": 0.2, "noseSneer": 0.25, "mouthPress": 0.25,
              "mouthRollUpper": 0.1, "mouthFrown": 0.2},
    "contempt": {"mouthSmileLeft": 0.45, "mouthDimpleLeft": 0.5, "cheekSquintLeft": 0.3, "browDownRight": 0.15,
                 "eyeSquint": 0.2},
    "disgusted": {"noseSneer": 0.8, "browDown": 0.4, "mouthUpperUp": 0.25, "mouthFrown": 0.35, "eyeSquint": 0.4,
                  "cheekSquint": 0.4},
    "fear": {"browInnerUp": 0.8, "browOuterUp": 0.4, "browDown": 0.25, "eyeWide": 0.7, "mouthStretch": 0.4},
    "happy": {"mouthSmile": 0.6, "cheekSquint": 0.6, "eyeSquint": 0.4, "mouthDimple": 0.15},
    "sad": {"browInnerUp": 0.75, "browDown": 0.25, "mouthFrown": 0.5, "mouthShrugLower": 0.2, "eyeSquint": 0.15},
    "surprised": {"browInnerUp": 0.8, "browOuterUp": 0.8, "eyeWide": 0.6},
}  # fmt: skip

_HEAD_PITCH_DEGREES: Final = {"sad": 5.0, "contempt": -3.0, "angry": 3.0, "fear": -2.0}
_LIVELINESS: Final = {"sad": 0.6, "angry": 1.3, "happy": 1.2, "surprised": 1.2, "fear": 1.1}
"""How much larger head and brow motion is than in ordinary speech."""

_NEUTRAL_LIVELINESS: Final = 0.5
_NEARLY_SHUT: Final = 0.02


def show_emotion(
    channels: NDArray[np.float32], emotion: str | None, intensity: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A performance (T, 60) that shows an emotion at an intensity of 0..1; None is a neutral face.

    The expression swells and ebbs over a second or two, so that a held emotion does not look like a mask. Where the
    lips were shut, mouthClose keeps them so against what parts them.
    """
    out = channels.copy()
    lively = _NEUTRAL_LIVELINESS if emotion is None else 1.0 + intensity * (_LIVELINESS.get(emotion, 1.0) - 1.0)
    out[:, channel_slice("expression")] *= lively
    pose = channel_slice("pose")
    out[:, pose] = out[:, pose].mean(0) + (out[:, pose] - out[:, pose].mean(0)) * (0.5 + 0.5 * lively)
    if emotion is None:
        return out
    swell = gaussian_filter1d(rng.standard_normal(len(out) + 200), 0.7 * MODEL_FPS)[100:-100]
    course = np.clip(0.85 + 0.8 * swell * np.sqrt(0.7 * MODEL_FPS), 0.55, 1.15) * intensity
    shut = np.clip(1.0 - aperture(out) / _NEARLY_SHUT, 0.0, 1.0)
    for stem, value in _PROTOTYPES[emotion].items():
        for name in (stem, f"{stem}Left", f"{stem}Right"):
            if name in CHANNEL_INDEX:
                column = CHANNEL_INDEX[name]
                # What is there already leaves less room: 1 - (1 - a)(1 - b).
                out[:, column] = 1.0 - (1.0 - out[:, column]) * (1.0 - np.clip(value * course, 0.0, 1.0))
    for side in ("Left", "Right"):
        blink = out[:, CHANNEL_INDEX[f"eyeBlink{side}"]]
        out[:, CHANNEL_INDEX[f"eyeWide{side}"]] *= 1.0 - blink
    out[:, CHANNEL_INDEX["headPitch"]] += np.radians(_HEAD_PITCH_DEGREES.get(emotion, 0.0)) * course
    jaw = np.zeros((1, len(CHANNELS)), np.float32)
    jaw[0, CHANNEL_INDEX["jawOpen"]] = 1.0
    out[:, CHANNEL_INDEX["mouthClose"]] += shut * aperture(out) / aperture(jaw)
    return np.clip(out, -1.2, 1.0).astype(np.float32)
