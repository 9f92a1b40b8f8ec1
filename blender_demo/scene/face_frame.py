# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way a character's head faces at rest, read from where its eyes and mouth are rather than from bone axes.

The frame is that of `backend.motion.factors`: x to the character's left, y up, z forward, columns of a (3, 3) rotation.
"""

from collections.abc import Mapping
from typing import Final

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from ..backend.mapping.names import match_names
from .character import Character, rest_matrix, shape_keys

__all__ = ["UPRIGHT", "face_frame", "rotation_of"]

UPRIGHT: Final = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Blender's custom: a character faces -Y and stands along +Z."""

_SNAP_UP_RAD: Final = np.radians(30.0)
"""Eyes lie deeper in the head than the mouth, so the line between them leans; a close axis of scene or rig is truer."""

_SNAP_LEFT_RAD: Final = np.radians(10.0)
"""The two sides of a face are not quite alike."""

_EYE_KEYS: Final = {"left": "eyeBlinkLeft", "right": "eyeBlinkRight"}
_MOUTH_KEYS: Final = ("mouthFunnel", "mouthPucker", "mouthClose", "jawOpen")


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / np.linalg.norm(vector)


def rotation_of(matrix: Matrix) -> NDArray[np.float64]:
    """The rotation in a matrix, (3, 3), without its scale and shear."""
    return np.array(matrix.to_3x3().normalized().to_quaternion().to_matrix())


def _moved_center(mesh: bpy.types.Object, key: str) -> NDArray[np.float64] | None:
    """Center of what a shape key moves, by how far, in world space at rest; None for a key that moves nothing."""
    block = shape_keys(mesh).key_blocks[key]
    moved, base = (np.empty(3 * len(block.data), np.float32) for _ in range(2))
    block.data.foreach_get("co", moved)
    block.relative_key.data.foreach_get("co", base)
    weights = np.sum((moved - base).reshape(-1, 3) ** 2, axis=1)
    if weights.sum() < 1e-12:
        return None
    center = np.average(base.reshape(-1, 3), axis=0, weights=weights)
    matrix = np.array(rest_matrix(mesh))
    return matrix[:3, :3] @ center + matrix[:3, 3]


def _key_center(character: Character, channels: tuple[str, ...]) -> NDArray[np.float64] | None:
    for mesh in character.meshes:
        names = match_names([block.name for block in shape_keys(mesh).key_blocks])
        for channel in channels:
            center = _moved_center(mesh, names[channel]) if channel in names else None
            if center is not None:
                return center
    return None


def _nearest_axis(
    direction: NDArray[np.float64], frames: list[NDArray[np.float64]], within_rad: float
) -> NDArray[np.float64]:
    """The axis of one of `frames` closest to `direction`; `direction` itself where none lies within the angle."""
    axes = np.concatenate([sign * frame.T for frame in frames for sign in (1.0, -1.0)])
    cosines = axes @ direction
    return axes[np.argmax(cosines)] if cosines.max() > np.cos(within_rad) else direction


def face_frame(character: Character, eyes: Mapping[str, NDArray[np.float64]]) -> tuple[NDArray[np.float64], bool]:
    """The head frame in world space at rest, (3, 3), and whether the face told it; else Blender's custom is assumed.

    eyes: world positions (3,) of the eyes under "left" and "right", where bones or objects tell them.
    """
    frames = [np.eye(3), rotation_of(rest_matrix(character.root))]
    custom = frames[1] @ UPRIGHT
    left, right = (
        eyes[side] if side in eyes else _key_center(character, (_EYE_KEYS[side],)) for side in ("left", "right")
    )
    if left is None or right is None or np.linalg.norm(left - right) < 1e-9:
        return custom, False
    x = _nearest_axis(_unit(left - right), frames, _SNAP_LEFT_RAD)
    mouth = _key_center(character, _MOUTH_KEYS)
    upward = custom[:, 1] if mouth is None else 0.5 * (left + right) - mouth
    upward = upward - x * (upward @ x)
    if np.linalg.norm(upward) < 1e-9:
        return custom, False
    y = _nearest_axis(_unit(upward), frames, _SNAP_UP_RAD)
    y = _unit(y - x * (y @ x))
    return np.stack([x, y, np.cross(x, y)], axis=1), True
