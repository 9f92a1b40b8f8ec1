# SPDX-License-Identifier: GPL-3.0-or-later
"""Head and gaze angles to quaternions, quaternions to the rotation mode a bone or object uses, and both ways back.

Quaternions are (T, 4) arrays, w x y z, unit length. Signs of the angles are those of `backend.motion.factors`.
"""

from typing import Final

import numpy as np
from mathutils import Euler, Quaternion
from numpy.typing import NDArray

__all__ = [
    "NEUTRAL",
    "ROTATION_PATHS",
    "conjugate_by",
    "continuous",
    "from_angles",
    "from_mode",
    "multiply",
    "power",
    "to_angles",
    "to_mode",
]

ROTATION_PATHS: Final = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}
"""RNA property for each rotation mode; every other mode is an Euler order."""

NEUTRAL: Final = {"QUATERNION": (1.0, 0.0, 0.0, 0.0), "AXIS_ANGLE": (0.0, 0.0, 1.0, 0.0)}
"""Values of no rotation for each mode whose values are not all zero then."""


def _about(axis: int, angle_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    quaternions = np.zeros((len(angle_rad), 4))
    quaternions[:, 0] = np.cos(0.5 * angle_rad)
    quaternions[:, 1 + axis] = np.sin(0.5 * angle_rad)
    return quaternions


def multiply(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hamilton product of (T, 4) by (T, 4): the rotation b, then a."""
    w = a[:, :1] * b[:, :1] - np.sum(a[:, 1:] * b[:, 1:], axis=1, keepdims=True)
    v = a[:, :1] * b[:, 1:] + b[:, :1] * a[:, 1:] + np.cross(a[:, 1:], b[:, 1:])
    return np.concatenate([w, v], axis=1)


def from_angles(
    yaw_rad: NDArray[np.float32], pitch_rad: NDArray[np.float32], roll_rad: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Rotations in the head frame (x to the character's left, y up, z forward) from angles (T,), as (T, 4).

    Roll comes first, then pitch, then yaw.
    Yaw > 0 turns to the character's right, which is a negative turn about y.
    """
    yaw, pitch, roll = (np.asarray(angle, np.float64) for angle in (yaw_rad, pitch_rad, roll_rad))
    return multiply(_about(1, -yaw), multiply(_about(0, pitch), _about(2, roll)))


def to_angles(quaternions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Yaw, pitch and roll (T, 3) of rotations (T, 4) in the head frame: the inverse of `from_angles`."""
    w, x, y, z = quaternions.T
    yaw = -np.arctan2(2.0 * (x * z + w * y), 1.0 - 2.0 * (x * x + y * y))
    pitch = np.arcsin(np.clip(2.0 * (w * x - y * z), -1.0, 1.0))
    roll = np.arctan2(2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z))
    return np.stack([yaw, pitch, roll], axis=1)


def power(quaternions: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """The same axes with `share` of the angle, (T, 4)."""
    shortest = quaternions * np.where(quaternions[:, :1] < 0.0, -1.0, 1.0)
    length = np.linalg.norm(shortest[:, 1:], axis=1, keepdims=True)
    half = np.arctan2(length, shortest[:, :1])
    axis = np.divide(shortest[:, 1:], length, out=np.zeros_like(shortest[:, 1:]), where=length > 1e-12)
    return np.concatenate([np.cos(share * half), axis * np.sin(share * half)], axis=1).astype(np.float64)


def conjugate_by(quaternions: NDArray[np.float64], frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotations given in a frame, expressed in the space where the frame's axes are the columns of `frame` (3, 3)."""
    return np.concatenate([quaternions[:, :1], quaternions[:, 1:] @ frame.T], axis=1)


def continuous(quaternions: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same rotations with signs chosen so that neighbors never jump to the opposite quaternion, (T, 4)."""
    dots = np.sum(quaternions[1:] * quaternions[:-1], axis=1)
    signs = np.cumprod(np.concatenate([[1.0], np.where(dots < 0.0, -1.0, 1.0)]))
    return quaternions * signs[:, None]


def to_mode(quaternions: NDArray[np.float64], mode: str) -> NDArray[np.float64]:
    """Rotations as values of a rotation mode.

    (T, 4) for QUATERNION and AXIS_ANGLE (angle first), (T, 3) for an Euler order.
    """
    quaternions = continuous(quaternions)
    if mode == "QUATERNION":
        return quaternions
    if mode == "AXIS_ANGLE":
        length = np.linalg.norm(quaternions[:, 1:], axis=1, keepdims=True)
        axis = np.divide(
            quaternions[:, 1:], length, out=np.tile([0.0, 1.0, 0.0], (len(length), 1)), where=length > 1e-12
        )
        signs = np.cumprod(np.concatenate([[1.0], np.where(np.sum(axis[1:] * axis[:-1], axis=1) < 0.0, -1.0, 1.0)]))[
            :, None
        ]
        angle = 2.0 * np.arctan2(length, quaternions[:, :1])
        return np.concatenate([angle * signs, axis * signs], axis=1).astype(np.float64)
    previous = Euler((0.0, 0.0, 0.0), mode)  # pyright: ignore[reportArgumentType]
    angles = np.empty((len(quaternions), 3))
    for row, values in enumerate(quaternions):
        previous = Quaternion(values).to_euler(mode, previous)  # pyright: ignore[reportArgumentType]
        angles[row] = previous
    return angles


def from_mode(values: NDArray[np.float64], mode: str) -> NDArray[np.float64]:
    """Rotations (T, 4) from values of a rotation mode: the inverse of `to_mode`."""
    if mode == "QUATERNION":
        made = [Quaternion(row).normalized() for row in values]
    elif mode == "AXIS_ANGLE":
        made = [Quaternion(row[1:], row[0]) for row in values]
    else:
        made = [Euler(row, mode).to_quaternion() for row in values]  # pyright: ignore[reportArgumentType]
    return np.array(made, np.float64)
