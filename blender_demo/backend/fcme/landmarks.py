# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a camera sees the landmarks of a posed head: a differentiable stand-in for video.

78 landmarks: the 68 of iBUG, then for the left and the right eye the center of the pupil and four points of the
iris's rim (`HeadModel.iris`). Image coordinates (x to the viewer's right, y down) of one person and one camera are
brought to a common frame by `normalized`.

What one camera cannot tell is settled by convention: lengths are relative to the person's own inter-ocular distance,
rotation and translation to the person's neutral, seen by the same camera; and headZ is the depth that would change the
size as much for a camera REFERENCE_DISTANCE head heights away.
"""

from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from ..head.head_model import load_head
from ..motion.factors import ARKIT_NAMES, CHANNEL_INDEX, CHANNELS

__all__ = ["LANDMARKS", "REFERENCE_DISTANCE", "LandmarkHead", "normalized", "normalized_slopes"]

LANDMARKS: Final = 78
REFERENCE_DISTANCE: Final = 6.0
"""Head heights from the camera to the head."""

_RIGHT_EYE, _LEFT_EYE, _CHIN, _IRISES = slice(36, 42), slice(42, 48), 8, slice(68, 78)
_ARKIT: Final = [CHANNEL_INDEX[name] for name in ARKIT_NAMES]
_TURN: Final = [CHANNEL_INDEX[name] for name in ("headYaw", "headPitch", "headRoll")]
_SHIFT: Final = [CHANNEL_INDEX[name] for name in ("headX", "headY", "headZ")]
_GAZE: Final = [CHANNEL_INDEX[name] for name in ("gazeYaw", "gazePitch")]


def normalized(landmarks: Tensor, neutral: Tensor) -> Tensor:
    """Image coordinates (..., 78, 2) in the frame of the person's neutral (..., 78, 2), seen by the same camera.

    The origin lies between the neutral's eyes (means of the landmarks 36-41 and 42-47), x runs towards the character's
    left eye, y up, and the distance of the eyes is 1: where in the image the face lies, how large and how tilted, drops
    out.
    """
    middle, across = _eyes(neutral)
    return torch.view_as_real(((_complex(landmarks) - middle) / across).conj().resolve_conj())


def normalized_slopes(slopes: Tensor, neutral_slopes: Tensor, landmarks: Tensor, neutral: Tensor) -> Tensor:
    """Derivatives (..., 78, 2) of `normalized`, given those of landmarks and neutral (..., 78, 2)."""
    (middle, across), (by_middle, by_across) = _eyes(neutral), _eyes(neutral_slopes)
    place = (_complex(landmarks) - middle) / across
    return torch.view_as_real(((_complex(slopes) - by_middle - place * by_across) / across).conj().resolve_conj())


def _complex(points: Tensor) -> Tensor:
    return torch.view_as_complex(points.contiguous())


def _eyes(points: Tensor) -> tuple[Tensor, Tensor]:
    """The middle between the eyes and the way from the right to the left (..., 1), as complex numbers x + iy."""
    right, left = (_complex(points[..., eye, :].mean(-2, keepdim=True)) for eye in (_RIGHT_EYE, _LEFT_EYE))
    return (right + left) / 2, left - right


class LandmarkHead(nn.Module):
    """The head model's landmarks in torch: channels and identity to points, points to the image. Lengths in metres."""

    rest: Tensor  # (78, 3)
    deltas: Tensor  # (60, 78, 3), zero where a channel is no shape
    identity: Tensor  # (K, 78, 3)
    eyes: Tensor  # (10, 3) center of the eyeball of each iris landmark
    eye_modes: Tensor  # (K, 10, 3)
    size_modes: Tensor  # (K,) relative growth of the inter-ocular distance
    pivot: Tensor  # (3,)
    is_depth: Tensor  # (60,) 1 for headZ

    def __init__(self) -> None:
        super().__init__()
        head = load_head()
        rows = np.concatenate([head.landmarks, head.iris.ravel()])
        rest, modes = head.vertices[rows], head.identity[:, rows]
        deltas = np.zeros((len(CHANNELS), LANDMARKS, 3), np.float32)
        deltas[_ARKIT, :68] = head.deltas[:, head.landmarks]  # the irises turn with the gaze
        eye_modes = [head.identity[:, head.vertices_of(part)].mean(axis=1) for part in ("eyeLeft", "eyeRight")]
        apart = [points[..., _LEFT_EYE, 0].mean(-1) - points[..., _RIGHT_EYE, 0].mean(-1) for points in (rest, modes)]
        for name, values in (
            ("rest", rest),
            ("deltas", deltas),
            ("identity", modes),
            ("eyes", np.repeat(head.eye_centres, 5, axis=0)),
            ("eye_modes", np.repeat(np.stack(eye_modes, axis=1), 5, axis=1)),
            ("size_modes", apart[1] / apart[0]),
            ("pivot", head.head_pivot),
            ("is_depth", np.array([name == "headZ" for name in CHANNELS], np.float32)),
        ):
            self.register_buffer(name, torch.from_numpy(values), persistent=False)
        skin = head.vertices[head.vertices_of("skin"), 1]
        self.head_height = float(skin.max() - head.vertices[head.landmarks[_CHIN], 1])
        self.eye_distance = float(apart[0])

    def points(self, channels: Tensor, identity: Tensor) -> Tensor:
        """Landmarks (..., 78, 3) in the head frame of rest, for channels (..., 60) and identity (..., K).

        Shapes move the skin, gazeYaw and gazePitch turn the irises; then the head turns about its pivot and is moved by
        its translation times the person's size (inter-ocular distance over that of the mean head).
        """
        size = 1.0 + identity @ self.size_modes
        face, _ = self._face(channels, identity)
        turn = rotation(channels[..., _TURN])
        shift = channels[..., _SHIFT] * (self.head_height * size)[..., None]
        return (face - self.pivot) @ turn.transpose(-1, -2) + (self.pivot + shift[..., None, :])

    def image(self, channels: Tensor, identity: Tensor, distance: Tensor) -> Tensor:
        """Image coordinates (..., 78, 2) of the landmarks for a pinhole camera `distance` (...) head heights in front.

        Unit: about a metre at the head's depth. headZ counts in proportion to the distance, see the module.
        """
        x, y, z = self.points(self._at(channels, distance), identity).unbind(-1)
        away = distance[..., None] * self.head_height
        return torch.stack([x, -y], dim=-1) * (away / (away - z))[..., None]

    def neutral(self, identity: Tensor, distance: Tensor) -> Tensor:
        """Image coordinates (..., 78, 2) of a person at rest, facing the camera."""
        return self.image(identity.new_zeros(*identity.shape[:-1], len(CHANNELS)), identity, distance)

    def image_slopes(self, channels: Tensor, identity: Tensor, distance: Tensor) -> Tensor:
        """Derivatives (N, 60 + K + 1, 78, 2) of `image` by channels (N, 60), identity (N, K), and 1 / distance (N,).

        An identity's small change of the pupils' place on the eyeball is left out.
        """
        count, modes = identity.shape
        at = self._at(channels, distance)
        face, ahead = self._face(at, identity)
        size = 1.0 + identity @ self.size_modes
        height = (self.head_height * size)[:, None]
        local = torch.cat([self.deltas, self.identity]).expand(count, -1, -1, -1).clone()
        gaze = torch.cat([at[:, _GAZE], at.new_zeros(count, 1)], dim=1)
        local[:, _GAZE, _IRISES] = (rotation_slopes(gaze)[:, :2, None] @ ahead[:, None, :, :, None])[..., 0]
        slopes = (local.flatten(1, 2) @ rotation(at[:, _TURN]).transpose(1, 2)).view(local.shape)
        slopes[:, _TURN] = (rotation_slopes(at[:, _TURN])[:, :, None] @ (face - self.pivot)[:, None, :, :, None])[
            ..., 0
        ]
        slopes[:, _SHIFT] = (torch.eye(3, device=height.device) * height[..., None])[:, :, None]
        slopes[:, _SHIFT[2]] *= (distance / REFERENCE_DISTANCE)[:, None, None]
        slopes[:, -modes:] += ((at[:, _SHIFT] * self.head_height)[:, None] * self.size_modes[:, None])[:, :, None]

        x, y, z = self.points(at, identity).unbind(-1)
        away = distance[:, None] * self.head_height
        scale = away / (away - z)
        plane = torch.stack([x, -y], dim=-1) * scale[..., None]
        dx, dy, dz = slopes.unbind(-1)
        by_depth = (scale / away)[:, None, :, None] * plane[:, None]
        slopes = torch.stack([dx, -dy], dim=-1) * scale[:, None, :, None] + by_depth * dz[..., None]
        by_nearness = plane * (scale * z / self.head_height)[..., None]
        deeper = -at[:, _SHIFT[2]] * height[:, 0] * distance
        return torch.cat([slopes, by_nearness[:, None] + by_depth * deeper[:, None, None, None]], dim=1)

    def _at(self, channels: Tensor, distance: Tensor) -> Tensor:
        """Channels with the depth that headZ stands for at this distance."""
        return channels * (1.0 + self.is_depth * (distance[..., None] / REFERENCE_DISTANCE - 1.0))

    def _face(self, channels: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
        """Landmarks (..., 78, 3) before the head turns; irises (..., 10, 3) from their eyes' centers, looking ahead."""
        moved = channels @ self.deltas.flatten(1) + identity @ self.identity.flatten(1)
        face = self.rest + moved.unflatten(-1, (LANDMARKS, 3))
        centres = self.eyes + (identity @ self.eye_modes.flatten(1)).unflatten(-1, (10, 3))
        ahead = face[..., _IRISES, :] - centres
        gaze = torch.cat([channels[..., _GAZE], torch.zeros_like(channels[..., :1])], dim=-1)
        turned = centres + ahead @ rotation(gaze).transpose(-1, -2)
        return torch.cat([face[..., :68, :], turned], dim=-2), ahead


def rotation(angles: Tensor) -> Tensor:
    """Matrices (..., 3, 3) for yaw, pitch and roll (..., 3), with the signs and the order of `motion/factors.py`."""
    yaw, pitch, roll = _elements(angles)
    return yaw @ pitch @ roll


def rotation_slopes(angles: Tensor) -> Tensor:
    """Derivatives (..., 3, 3, 3) of `rotation` by yaw, pitch and roll."""
    (yaw, pitch, roll), (by_yaw, by_pitch, by_roll) = _elements(angles), _elements(angles, turned=True)
    return torch.stack([by_yaw @ pitch @ roll, yaw @ by_pitch @ roll, yaw @ pitch @ by_roll], dim=-3)


def _elements(angles: Tensor, turned: bool = False) -> list[Tensor]:
    """Rotations about y by -yaw, about x by pitch, about z by roll, (..., 3, 3) each; their derivatives if `turned`."""
    out = []
    for i, (axis, sign) in enumerate(((1, -1.0), (0, 1.0), (2, 1.0))):
        cos, sin, one = angles[..., i].cos(), sign * angles[..., i].sin(), torch.ones_like(angles[..., i])
        if turned:
            cos, sin, one = -sign * sin, sign * cos, torch.zeros_like(one)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        rows = [[torch.zeros_like(cos)] * 3 for _ in range(3)]
        rows[axis][axis], rows[a][a], rows[b][b], rows[a][b], rows[b][a] = one, cos, cos, -sin, sin
        out.append(torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2))
    return out
