# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way a character's head faces at rest, read from where its eyes and mouth are rather than from bone axes.

The frame is that of `backend.motion.factors`: x to the character's left, y up, z forward, columns of a (3, 3) rotation.
"""

from typing import Final

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from .character import Character, rest_matrix, rig_bones
from .face_points import KeyedMesh

__all__ = ["UPRIGHT", "face_frame", "frames_from_normals", "rotation_of", "turning_space", "usual_frame"]

UPRIGHT: Final = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Blender's custom: a character faces -Y and stands along +Z."""

_SNAP_UP_RAD: Final = np.radians(30.0)
"""Eyes lie deeper in the head than the mouth, so the line between them leans; a close axis of scene or rig is truer."""

_SNAP_LEFT_RAD: Final = np.radians(10.0)
"""The two sides of a face are not quite alike."""

_SNAP_FORWARD_RAD: Final = np.radians(40.0)
"""The mean of the skin's normals leans; the closest axis of scene or rig across the body is truer."""


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / np.linalg.norm(vector)


def rotation_of(matrix: Matrix) -> NDArray[np.float64]:
    """The rotation in a matrix, (3, 3), without its scale and shear."""
    return np.array(matrix.to_3x3().normalized().to_quaternion().to_matrix())


def turning_space(thing: bpy.types.Object, bone: str) -> NDArray[np.float64]:
    """The space at rest, (3, 3), in which a bone's rotation acts, or without a bone that of the object itself."""
    if bone:
        return rotation_of(rest_matrix(thing)) @ rotation_of(rig_bones(thing)[bone].matrix_local)
    return rotation_of(rest_matrix(thing) @ thing.matrix_basis.inverted_safe())


def _nearest_axis(
    direction: NDArray[np.float64], frames: list[NDArray[np.float64]], within_rad: float
) -> NDArray[np.float64]:
    """The axis of one of `frames` closest to `direction`; `direction` itself where none lies within the angle."""
    axes = np.concatenate([sign * frame.T for frame in frames for sign in (1.0, -1.0)])
    cosines = axes @ direction
    return axes[np.argmax(cosines)] if cosines.max() > np.cos(within_rad) else direction


def face_frame(
    character: Character,
    left: NDArray[np.float64] | None,
    right: NDArray[np.float64] | None,
    mouth: NDArray[np.float64] | None,
) -> NDArray[np.float64] | None:
    """The head frame in world space at rest, (3, 3), from the places (3,) of eyes and mouth; None without the eyes."""
    frames = _custom_frames(character)
    custom = usual_frame(character)
    if left is None or right is None or np.linalg.norm(left - right) < 1e-9:
        return None
    x = _nearest_axis(_unit(left - right), frames, _SNAP_LEFT_RAD)
    upward = custom[:, 1] if mouth is None else 0.5 * (left + right) - mouth
    upward = upward - x * (upward @ x)
    if np.linalg.norm(upward) < 1e-9:
        return None
    y = _nearest_axis(_unit(upward), frames, _SNAP_UP_RAD)
    y = _unit(y - x * (y @ x))
    return np.stack([x, y, np.cross(x, y)], axis=1)


def usual_frame(character: Character) -> NDArray[np.float64]:
    """The head frame (3, 3) of a character that stands and faces as is the custom in Blender, mirrored or not."""
    frame = _custom_frames(character)[1] @ UPRIGHT
    return frame * (1.0, -1.0, -1.0) if rest_matrix(character.root).is_negative else frame


def frames_from_normals(keyed: KeyedMesh, character: Character) -> list[NDArray[np.float64]]:
    """Head frames (3, 3) that a face may have whose skin looks as the normals say: upright first, then lying."""
    forward, frames = keyed.looks, _custom_frames(character)
    custom = usual_frame(character)
    made = []
    for up in (np.array([0.0, 0.0, 1.0]), custom[:, 1], *np.eye(3)[:2], *-np.eye(3)):
        across = forward - up * (forward @ up)
        if np.linalg.norm(across) < 0.3 * max(float(np.linalg.norm(forward)), 1e-9):
            continue
        z = _nearest_axis(_unit(across), frames, _SNAP_FORWARD_RAD)
        z = _unit(z - up * (z @ up))
        frame = np.stack([np.cross(up, z), up, z], axis=1)
        if not any(np.allclose(frame, known, atol=1e-3) for known in made):
            made.append(frame)
    return made or [custom]


def _custom_frames(character: Character) -> list[NDArray[np.float64]]:
    """The axes of the scene and of the character's root, columns of (3, 3)."""
    return [np.eye(3), rotation_of(rest_matrix(character.root))]
