# SPDX-License-Identifier: GPL-3.0-or-later
"""Is what the artist asks for met, and does the rest stay as it was? Given tracks, new seeds and gains, one factor at a
time, each take against the plain one of the same seed.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..motion.clip import MotionClip
from ..motion.factors import CHANNEL_INDEX, CHANNELS, FACTORS, MODEL_FPS, channel_slice, eye_look_from_gaze
from ..pipeline import Generator
from ..settings import FactorControl, GenerationSettings

__all__ = ["blink_errors_ms", "control_report", "gaze_errors_deg", "pose_errors_deg", "wanted_motion"]

_SWEEP_RAD: Final = np.radians(25.0)
_SWEEP_HZ: Final = {"headYaw": 0.25, "headPitch": 0.35, "headRoll": 0.15}
_GAZE_RAD: Final = ((0.0, 0.0), (0.3, 0.0), (-0.3, 0.1), (0.0, -0.2), (0.15, 0.2))
_FIXATION_S: Final = 0.8
_SACCADE_S: Final = 0.05
_BLINK_EVERY_S: Final = 2.3
_BLINK: Final = (0.3, 0.85, 1.0, 0.7, 0.4, 0.15)
"""Lid over the frames of a blink at 30 per second: shut in 70 ms, open again in 170 ms."""

_BLINK_WINDOW_S: Final = 0.25
_GAINS: Final = (0.5, 1.5)

Floats = NDArray[np.floating]


def wanted_motion(frames: int) -> tuple[MotionClip, Floats]:
    """A clip at the model's rate whose head sweeps +-25 degrees about three axes, whose gaze jumps between fixations
    and whose lids blink; and the seconds at which they are shut.
    """
    times = np.arange(frames) / MODEL_FPS
    channels = np.zeros((frames, len(CHANNELS)), np.float32)
    for name, hz in _SWEEP_HZ.items():
        channels[:, CHANNEL_INDEX[name]] = _SWEEP_RAD * np.sin(2 * np.pi * hz * times)
    starts = np.arange(0.0, times[-1] + _FIXATION_S, _FIXATION_S)
    targets = np.array([_GAZE_RAD[i % len(_GAZE_RAD)] for i in range(len(starts))])
    knots = np.stack([starts, starts + _FIXATION_S - _SACCADE_S], axis=1).ravel()
    gaze = np.stack([np.interp(times, knots, np.repeat(axis, 2)) for axis in targets.T], axis=1).astype(np.float32)
    eyes = channel_slice("eyes")
    channels[:, eyes.stop - 2 : eyes.stop] = gaze
    channels[:, eyes.start : eyes.start + 8] = eye_look_from_gaze(gaze)
    firsts = np.arange(round(MODEL_FPS), frames - len(_BLINK), round(_BLINK_EVERY_S * MODEL_FPS))
    for first in firsts:
        for side in ("Left", "Right"):
            channels[first : first + len(_BLINK), CHANNEL_INDEX[f"eyeBlink{side}"]] = _BLINK
    return MotionClip(MODEL_FPS, channels), (firsts + int(np.argmax(_BLINK))) / MODEL_FPS


def pose_errors_deg(a: MotionClip, b: MotionClip) -> Floats:
    """Angle (T,) between the heads of two clips."""

    def turn(clip: MotionClip) -> Rotation:
        # Yaw is positive to the character's right, against a rotation about y.
        return Rotation.from_euler("YXZ", np.stack([-clip["headYaw"], clip["headPitch"], clip["headRoll"]], axis=1))

    return np.degrees((turn(a).inv() * turn(b)).magnitude())


def gaze_errors_deg(a: MotionClip, b: MotionClip) -> Floats:
    """Angle (T,) between the gaze of two clips."""

    def direction(clip: MotionClip) -> Floats:
        yaw, pitch = clip["gazeYaw"], clip["gazePitch"]
        line = [np.cos(pitch) * np.sin(yaw), np.sin(pitch), np.cos(pitch) * np.cos(yaw)]
        return np.stack(line, axis=1, dtype=np.float64)

    u, v = direction(a), direction(b)
    halves = np.minimum(np.linalg.norm(u - v, axis=1) / 2, 1.0)
    return np.degrees(2 * np.arcsin(halves))


def blink_errors_ms(lid: Floats, shut_s: Sequence[float] | Floats, fps: float) -> list[float | None]:
    """For each wanted blink how far off the lid's highest point is that lies past one half; None where there is none
    within 250 ms.
    """
    times = np.arange(len(lid)) / fps
    errors: list[float | None] = []
    for wanted in shut_s:
        near = np.abs(times - wanted) <= _BLINK_WINDOW_S
        peak = np.where(near, lid, -1.0).argmax()
        errors.append(float(1000 * abs(times[peak] - wanted)) if lid[peak] > 0.5 else None)
    return errors


def control_report(paths: Sequence[Path], generator: Generator, settings: GenerationSettings) -> dict[str, Any]:
    """What control reaches, pooled over recordings: `given`, `redrawn` and `gain`."""
    runs = [_Run(path, generator, settings) for path in paths]
    return {
        "settings": settings.to_json(),
        "clips": [path.stem for path in paths],
        "given": _given(runs),
        "redrawn": {
            factor.name: _changes([(run.plain, run.take([factor.name], seed_offset=1)) for run in runs])
            for factor in FACTORS
        },
        "gain": {factor.name: {str(gain): _gain(runs, factor.name, gain) for gain in _GAINS} for factor in FACTORS},
    }


class _Run:
    """A recording, its plain take, and takes that differ in the control of one factor."""

    def __init__(self, path: Path, generator: Generator, settings: GenerationSettings) -> None:
        self._path, self._generator, self._settings = path, generator, settings
        self.plain = self.take([])

    def take(self, factors: Sequence[str], **changes: Any) -> MotionClip:
        """A take in whose controls of the named factors the given fields are changed."""
        controls = {name: replace(self._settings.control(name), **changes) for name in factors}
        changed = replace(self._settings, factors=self._settings.factors | controls)
        return self._generator.generate(self._path, changed, lambda stage, fraction: None).clip


def _changes(pairs: Sequence[tuple[MotionClip, MotionClip]]) -> dict[str, float]:
    """RMS change of each factor's channels from the first to the second of each pair, in % of the first's standard
    deviation.
    """
    out = {}
    for factor in FACTORS:
        before, after = (np.concatenate([pair[i].factor(factor.name) for pair in pairs]) for i in (0, 1))
        change, spread = np.sqrt(np.mean((after - before) ** 2)), np.sqrt(before.var(axis=0).mean())
        out[f"{factor.name}_change_percent"] = float(100 * change / spread)
    return out


def _given(runs: list[_Run]) -> dict[str, Any] | str:
    if "given" not in {field.name for field in fields(FactorControl)}:
        return "not available"
    pairs, pose, gaze, blinks = [], [], [], []
    with TemporaryDirectory() as folder:
        for i, run in enumerate(runs):
            wanted, shut_s = wanted_motion(len(run.plain))
            path = Path(folder) / f"{i}.npz"
            wanted.save(path)
            take = run.take(["pose", "eyes"], given=str(path))
            pairs.append((run.plain, take))
            pose.append(pose_errors_deg(wanted, take))
            gaze.append(gaze_errors_deg(wanted, take))
            blinks += blink_errors_ms(take["eyeBlinkLeft"], shut_s, take.fps)
    met = [error for error in blinks if error is not None]
    poses, gazes = np.concatenate(pose), np.concatenate(gaze)
    return {
        "pose_error_deg_mean": float(poses.mean()),
        "pose_error_deg_max": float(poses.max()),
        "gaze_error_deg_mean": float(gazes.mean()),
        "gaze_error_deg_max": float(gazes.max()),
        "blinks_wanted": len(blinks),
        "blinks_met": len(met),
        "blink_error_ms_mean": float(np.mean(met)) if met else None,
        "blink_error_ms_max": max(met, default=None),
        "change": _changes(pairs),
    }


def _gain(runs: list[_Run], factor: str, gain: float) -> dict[str, Any]:
    """Slope of the factor's channels against the plain ones (least squares), and what changes elsewhere."""
    pairs = [(run.plain, run.take([factor], gain=gain)) for run in runs]
    plain, scaled = (np.concatenate([pair[i].factor(factor).ravel() for pair in pairs]) for i in (0, 1))
    others = {key: value for key, value in _changes(pairs).items() if not key.startswith(factor)}
    return {"slope": float(plain @ scaled / (plain @ plain)), **others}
