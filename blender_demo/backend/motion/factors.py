# SPDX-License-Identifier: GPL-3.0-or-later
"""The channel table: which channels exist, which factor each belongs to, and what their numbers mean.

Everything else in the project derives its names and indices from here; there is no second list.

Conventions
    ARKit weights are 0..1. Left and right are the character's own.
    Head frame: x to the viewer's right (the character's left), y up, z towards the viewer.
    Angles are in radians, with the signs of Live Link Face: yaw > 0 turns to the character's right, pitch > 0 looks
    down; roll > 0 tips the crown towards the character's right shoulder. Rotations apply roll first, then pitch,
    then yaw.
    Translations are in head heights (chin to crown) along the head frame's axes.
    Gaze is relative to the head. One unit of an eyeLook weight is EYE_LOOK_YAW_RAD or EYE_LOOK_PITCH_RAD of eye
    rotation (fitted to Live Link Face recordings, which carry both).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ARKIT_NAMES", "CHANNELS", "CHANNEL_INDEX", "EYE_LOOK_PITCH_RAD", "EYE_LOOK_YAW_RAD", "FACTORS", "FACTOR_INDEX",
    "FACTOR_OF", "LATENT_DIM", "LIMITS", "MODEL_FPS", "Factor", "channel_slice", "eye_look_from_gaze",
    "gaze_from_eye_look", "latent_slice",
]

MODEL_FPS: Final = 30.0
"""Rate of everything the model reads and writes, in frames per second."""

EYE_LOOK_YAW_RAD: Final = 0.60
EYE_LOOK_PITCH_RAD: Final = 0.55


@dataclass(frozen=True)
class Factor:
    """One separately controllable part of the performance: its channels, and the size of its latent."""

    name: str
    channels: tuple[str, ...]
    latent_dim: int


def _sides(*stems: str) -> tuple[str, ...]:
    return tuple(stem + side for stem in stems for side in ("Left", "Right"))


_EYE_LOOK: Final = _sides("eyeLookUp", "eyeLookDown", "eyeLookIn", "eyeLookOut")

FACTORS: Final[tuple[Factor, ...]] = (
    Factor(
        "lip",
        ("jawOpen", "jawForward", "jawLeft", "jawRight",
         "mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight",
         *_sides("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch"),
         "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
         *_sides("mouthPress", "mouthLowerDown", "mouthUpperUp"),
         "cheekPuff", "tongueOut"),
        20,
    ),
    Factor("pose", ("headYaw", "headPitch", "headRoll", "headX", "headY", "headZ"), 6),
    Factor("eyes", (*_EYE_LOOK, *_sides("eyeBlink", "eyeSquint", "eyeWide"), "gazeYaw", "gazePitch"), 6),
    Factor("expression", (*_sides("browDown"), "browInnerUp", *_sides("browOuterUp", "cheekSquint", "noseSneer")), 10),
)

FACTOR_INDEX: Final = {factor.name: i for i, factor in enumerate(FACTORS)}
CHANNELS: Final = tuple(name for factor in FACTORS for name in factor.channels)
CHANNEL_INDEX: Final = {name: i for i, name in enumerate(CHANNELS)}
FACTOR_OF: Final = {name: factor.name for factor in FACTORS for name in factor.channels}
"""The factor that each channel belongs to."""

LATENT_DIM: Final = sum(factor.latent_dim for factor in FACTORS)

_POSE_AND_GAZE: Final = {*FACTORS[FACTOR_INDEX["pose"]].channels, "gazeYaw", "gazePitch"}

ARKIT_NAMES: Final = tuple(name for name in CHANNELS if name not in _POSE_AND_GAZE)
"""The 52 ARKit blend shape names, in channel order."""

LIMITS: Final[dict[str, tuple[float, float]]] = {
    **dict.fromkeys(ARKIT_NAMES, (0.0, 1.0)),
    **dict.fromkeys(("headYaw", "headPitch", "headRoll"), (-1.2, 1.2)),
    **dict.fromkeys(("headX", "headY", "headZ"), (-0.5, 0.5)),
    "gazeYaw": (-EYE_LOOK_YAW_RAD, EYE_LOOK_YAW_RAD),
    "gazePitch": (-EYE_LOOK_PITCH_RAD, EYE_LOOK_PITCH_RAD),
}
"""Lowest and highest value a channel may take, by name."""


def channel_slice(factor: str) -> slice:
    """Columns of `MotionClip.channels` that belong to a factor."""
    start = CHANNEL_INDEX[FACTORS[FACTOR_INDEX[factor]].channels[0]]
    return slice(start, start + len(FACTORS[FACTOR_INDEX[factor]].channels))


def latent_slice(factor: str) -> slice:
    """Columns of `MotionClip.latents` that belong to a factor."""
    index = FACTOR_INDEX[factor]
    start = sum(f.latent_dim for f in FACTORS[:index])
    return slice(start, start + FACTORS[index].latent_dim)


def eye_look_from_gaze(gaze: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights (T, 8) of the eyeLook channels, in channel order, that turn both eyes by `gaze` (T, 2) in radians."""
    right = gaze[:, 0] / EYE_LOOK_YAW_RAD
    down = gaze[:, 1] / EYE_LOOK_PITCH_RAD
    up_down_in_out = (-down, -down, down, down, right, -right, -right, right)
    return np.clip(np.stack(up_down_in_out, axis=1), 0.0, 1.0).astype(np.float32)


def gaze_from_eye_look(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaze (T, 2), yaw and pitch in radians, mean of both eyes, from the eyeLook channels (T, 8) in channel order."""
    up, down, into, out = (weights[:, i : i + 2] for i in (0, 2, 4, 6))
    yaw = 0.5 * (into[:, 0] - out[:, 0] + out[:, 1] - into[:, 1]) * EYE_LOOK_YAW_RAD
    pitch = (down - up).mean(axis=1) * EYE_LOOK_PITCH_RAD
    return np.stack([yaw, pitch], axis=1).astype(np.float32)
