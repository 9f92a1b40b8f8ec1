# SPDX-License-Identifier: GPL-3.0-or-later
"""What the face in a video does, as a clip for the head that is fitted to its first frame.

Two sources: blend shapes and head matrices as MediaPipe's Face Landmarker gives them, kept in `<id>.motion.npz`; or the
landmarks in all frames, which the fitted head is made to follow. The first frame is the picture, so all motion is
relative to it.
"""

import zipfile
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from ..errors import ClipError
from ..head.head_model import load_head
from ..motion.clip import MotionClip
from ..motion.factors import ARKIT_NAMES, CHANNEL_INDEX, CHANNELS, gaze_from_eye_look
from ..portrait.fit import HeadFit
from .video import Track

__all__ = ["followed_clip", "read_captured_clip"]

Floats = NDArray[np.floating]

_LATE_FRAMES: Final = {"face": 0.4, "head": 2.5}
"""How much later than in the video MediaPipe's smoothed shapes and matrices come; measured on ten videos."""
_GAZE_GAIN: Final = 0.35
"""Turn of the eyes over what MediaPipe's eyeLook shapes say; on the same videos."""
_EYES_APART_CM: Final = 8.891718
_EYES_CM: Final = np.array([0.0, 2.663991, 3.173422])
"""Of MediaPipe's canonical face: distance of the outer corners of the eyes, and their middle."""
_OUTER_CORNERS: Final = [36, 45]
_CORNERS: Final = ([42, 45], [36, 39])
"""Of the left and the right eye."""
_CHIN: Final = 8
_ARKIT: Final = [CHANNEL_INDEX[name] for name in ARKIT_NAMES]
_HEAD: Final = [CHANNEL_INDEX[f"head{axis}"] for axis in ("Yaw", "Pitch", "Roll", "X", "Y", "Z")]
_GAZE: Final = [CHANNEL_INDEX["gazeYaw"], CHANNEL_INDEX["gazePitch"]]
_LOOKS: Final = [CHANNEL_INDEX[name] for name in ARKIT_NAMES if name.startswith("eyeLook")]
_BLINKS: Final = [CHANNEL_INDEX[f"eyeBlink{side}"] for side in ("Left", "Right")]

_ERRORS: Final = ((range(17), 0.03), (range(17, 27), 0.015), (range(27, 36), 0.008), (range(36, 48), 0.012),
                  (range(48, 68), 0.012))  # fmt: skip
"""Expected errors of a landmark's motion, in distances of the eyes: jaw, brows, nose, lids, lips."""
_SPREAD: Final = 0.18
_RARE: Final = {
    **dict.fromkeys(("cheekPuff", "jawForward", "jawLeft", "jawRight"), 0.05),
    **dict.fromkeys(("noseSneerLeft", "noseSneerRight"), 0.1),
    **dict.fromkeys(("tongueOut", *(name for name in ARKIT_NAMES if name.startswith("eyeLook"))), 1e-4),
}
"""Standard deviations of the shapes' motion; the gaze is seen by the irises, and the tongue not at all."""
_UNEVEN: Final = 0.1
"""The same of the difference between left and right."""
_STEPS: Final = 4
"""Of Gauss and Newton, from the solution of the frame before."""
_SMOOTH_FRAMES: Final = {"face": 0.7, "head": 1.5}
"""Standard deviations of the Gaussians that take the landmarks' jitter away."""


def read_captured_clip(path: Path, fit: HeadFit) -> MotionClip:
    """The clip of a capture, relative to its first frame: names (C,), values (T, C), fps, and head (T, 4, 4) in cm.

    Lids that shut in the capture shut, however narrow they are at first. Raises ClipError for what is none.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            names, fps = [str(name) for name in stored["names"]], float(stored["fps"])
            values, matrices = stored["values"].astype(np.float64), stored["head"].astype(np.float64)
        if values.shape != (len(matrices), len(names)) or matrices.shape[1:] != (4, 4):
            raise ValueError(f"values {values.shape} for {len(names)} names and matrices {matrices.shape}")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ClipError(f"{path} is no capture of a face with its head ({error}). Capture it again.") from error
    channels = np.zeros((len(values), len(CHANNELS)))
    known = [i for i, name in enumerate(names) if name in CHANNEL_INDEX]
    channels[:, [CHANNEL_INDEX[names[i]] for i in known]] = values[:, known]
    rest = channels[0].copy()
    channels -= rest
    channels[:, _BLINKS] /= 1 - rest[_BLINKS].clip(0, 0.5)
    channels[:, _GAZE] = _GAZE_GAIN * gaze_from_eye_look(channels[:, _LOOKS].astype(np.float32))
    channels = _earlier(channels, _LATE_FRAMES["face"])
    channels[:, _HEAD] = _earlier(_head_motion(matrices, fit), _LATE_FRAMES["head"])
    return MotionClip(fps, (channels - channels[0]).astype(np.float32))


def followed_clip(track: Track, fit: HeadFit, fps: float) -> MotionClip:
    """The clip with which the fitted head's landmarks move as those of a track do, from those of its first frame on.

    The most probable shapes and pose, frame by frame: Gauss-Newton on the landmarks' motion and on priors of shapes.
    """
    head, unit = fit.person, track[0].eye_distance
    weights = np.zeros(68)
    for rows, error in _ERRORS:
        weights[list(rows)] = 1 / (error * unit)
    prior = _prior()
    face = fit.vertices()[head.landmarks].astype(float)
    deltas, pivot = head.deltas[:, head.landmarks].astype(float), head.head_pivot.astype(float)
    shapes, turn, shift = np.zeros(len(ARKIT_NAMES)), Rotation.identity(), np.zeros(3)
    low, high = -fit.expression.clip(0) - _UNEVEN, 1 - fit.expression
    start = fit.project(fit.vertices()[head.landmarks]) - track.points[0]
    out = np.zeros((len(track), len(shapes) + 6))
    for frame, points in enumerate(track.points + start):
        for _ in range(_STEPS):
            shaped = face + np.tensordot(shapes, deltas, axes=1) - pivot
            placed = turn.apply(shaped)
            seen = (placed + pivot + shift) @ fit.rotation.T + fit.translation
            x, y, z = seen.T
            zero = np.zeros_like(z)
            by_point = np.stack([[1 / z, zero, -x / z**2], [zero, 1 / z, -y / z**2]]).transpose(2, 0, 1)
            by_point = fit.focal_px * by_point @ fit.rotation
            moves = np.concatenate(
                [
                    deltas @ turn.as_matrix().T,
                    np.cross(np.eye(3)[:, None], placed[None]),
                    np.broadcast_to(np.eye(3)[:, None], (3, *placed.shape)),
                ]
            )
            center = np.array([fit.width, fit.height]) / 2
            missing = points - (fit.focal_px * seen[:, :2] / z[:, None] + center)
            slopes = weights[:, None, None] * (by_point @ moves.transpose(1, 2, 0))
            A = np.concatenate([slopes.reshape(-1, len(moves)), prior])
            b = np.concatenate([(weights[:, None] * missing).ravel(), -prior[:, : len(shapes)] @ shapes])
            step = np.linalg.lstsq(A, b, rcond=None)[0]
            shapes = (shapes + step[: len(shapes)]).clip(low, high)
            turn, shift = Rotation.from_rotvec(step[-6:-3]) * turn, shift + step[-3:]
        out[frame] = np.concatenate([shapes, _angles(turn.as_matrix()), shift / _head_height(fit)])
    channels = np.zeros((len(track), len(CHANNELS)))
    channels[:, _ARKIT] = gaussian_filter1d(out[:, :-6], _SMOOTH_FRAMES["face"], axis=0)
    channels[:, _HEAD] = gaussian_filter1d(out[:, -6:], _SMOOTH_FRAMES["head"], axis=0)
    channels[:, _GAZE] = gaussian_filter1d(_iris_gaze(track, fit), _SMOOTH_FRAMES["head"], axis=0)
    return MotionClip(fps, (channels - channels[0]).astype(np.float32))


def _prior() -> Floats:
    """Rows over shapes and pose: each shape by its spread, and left as right."""
    count = len(ARKIT_NAMES)
    rows = [np.diag([1 / _RARE.get(name, _SPREAD) for name in ARKIT_NAMES])]
    for i, name in enumerate(ARKIT_NAMES):
        other = name.removesuffix("Left") + "Right"
        if name.endswith("Left") and not name.startswith(("eyeLook", "jaw", "mouthLeft")):
            row = np.zeros((1, count))
            row[0, [i, ARKIT_NAMES.index(other)]] = 1 / _UNEVEN, -1 / _UNEVEN
            rows.append(row)
    return np.pad(np.concatenate(rows), ((0, 0), (0, 6)))


def _iris_gaze(track: Track, fit: HeadFit) -> Floats:
    """Yaw and pitch (T, 2): how far the irises are from the middles of the eyes, on eyeballs of the model's size."""
    radius = load_head().eye_radius * fit.focal_px / fit.translation[2]
    off = np.mean([track.iris[:, eye, 0] - track.points[:, _CORNERS[eye]].mean(1) for eye in (0, 1)], axis=0)
    turned = np.arcsin(((off - off[0]) / radius).clip(-0.9, 0.9))
    return turned * np.array([-1, 1])


def _head_motion(matrices: Floats, fit: HeadFit) -> Floats:
    """Turn and shift (T, 6) of the pose channels from matrices (T, 4, 4) of MediaPipe's canonical face.

    Its camera is nearer than that of the fit: depth changes in proportion to the distance.
    """
    head = fit.person
    corners = head.vertices[head.landmarks[_OUTER_CORNERS]]
    cm = float(np.linalg.norm(corners[1] - corners[0])) / _EYES_APART_CM
    origin = corners.mean(0) - _EYES_CM * cm
    first = matrices[0, :3, :3]
    turns = first.T @ matrices[:, :3, :3]
    shift = (matrices[:, :3, 3] - matrices[0, :3, 3]) * cm
    shift[:, 2] *= fit.translation[2] / (abs(matrices[0, 2, 3]) * cm)
    moved = np.einsum("tij,j->ti", turns, head.head_pivot - origin) + origin + shift @ first - head.head_pivot
    return np.concatenate([_angles(turns), moved / _head_height(fit)], axis=1)


def _angles(turns: Floats) -> Floats:
    """Yaw, pitch and roll (..., 3) of rotations (..., 3, 3), with the signs of `motion/factors.py`."""
    return Rotation.from_matrix(turns).as_euler("YXZ") * np.array([-1, 1, 1])


def _head_height(fit: HeadFit) -> float:
    head = fit.person
    return float(head.vertices[head.vertices_of("skin"), 1].max() - head.vertices[head.landmarks[_CHIN], 1])


def _earlier(tracks: Floats, frames: float) -> Floats:
    """Tracks (T, n) that come so many frames earlier; the last value stays."""
    times = np.arange(len(tracks))
    return np.stack([np.interp(times + frames, times, track) for track in tracks.T], axis=1)
