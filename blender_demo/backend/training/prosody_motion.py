# SPDX-License-Identifier: GPL-3.0-or-later
"""The stochastic teacher: head, gaze, lids and brows for a recording, drawn from published statistics and driven by
its prosody.

Nothing here is deterministic in the audio: the same sentence gets another performance with every seed, which is what
the flow has to learn.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from ..audio.features import Features
from ..motion.factors import CHANNEL_INDEX, CHANNELS, MODEL_FPS, channel_slice, eye_look_from_gaze

__all__ = ["MotionStatistics", "speech_activity", "stochastic_motion"]


@dataclass(frozen=True)
class MotionStatistics:
    """Published figures, and where they come from. Angles in degrees, times in seconds."""

    blinks_per_minute_rest: float = 17.0
    """Bentivoglio et al. 1997."""
    blinks_per_minute_talking: float = 26.0
    """Bentivoglio et al. 1997."""
    shortest_blink_interval_s: float = 0.5
    blink_close_s: float = 0.09
    blink_open_s: float = 0.19
    """Closing is about twice as fast as opening (VanderWerf et al. 2003); both agree with the blinks of the captured
    clips.
    """
    saccade_base_s: float = 0.021
    saccade_s_per_degree: float = 0.0022
    """The main sequence (Bahill, Clark and Stark 1975)."""
    fixation_median_s: float = 1.1
    fixation_log_spread: float = 0.6
    mutual_gaze_share_talking: float = 0.55
    mutual_gaze_share_rest: float = 0.75
    """Speakers look away more than listeners (Argyle and Cook 1976)."""
    aversion_degrees: float = 9.0
    fixation_jitter_degrees: float = 0.8
    head_spread_talking: tuple[float, float, float] = (4.0, 2.6, 2.2)
    head_spread_rest: tuple[float, float, float] = (1.6, 1.0, 0.8)
    """Yaw, pitch, roll; speech multiplies head motion (Hadar et al. 1983)."""
    nod_degrees: float = 2.2
    nod_share_of_stresses: float = 0.45
    nod_s: float = 0.32
    """Head beats fall on stressed syllables (Munhall et al. 2004)."""


STATISTICS: Final = MotionStatistics()


def speech_activity(features: Features) -> NDArray[np.float32]:
    """How much is being said, (T,) 0..1, smooth over a quarter of a second."""
    level = features.energy.mean(axis=1)
    # Speech stands 6 dB over whatever hum the room has.
    loud = level > max(-1.1, np.percentile(level, 5) + 0.3)
    return gaussian_filter1d(loud.astype(np.float32), 0.25 * MODEL_FPS).astype(np.float32)


def stochastic_motion(
    features: Features, rng: np.random.Generator, statistics: MotionStatistics = STATISTICS
) -> NDArray[np.float32]:
    """Channels (T, 60) of head, eyes and expression for a recording; the lip channels are zero."""
    frames = len(features)
    talking = speech_activity(features)
    stresses = _stresses(features, rng)
    out = np.zeros((frames, len(CHANNELS)), np.float32)
    pose = _head(talking, stresses, rng, statistics)
    out[:, channel_slice("pose")] = pose
    gaze, shifts = _gaze(talking, pose, rng, statistics)
    blink = _blinks(talking, shifts, rng, statistics)
    out[:, channel_slice("eyes")] = _eyes(gaze, blink, stresses, rng)
    out[:, channel_slice("expression")] = _expression(talking, stresses, features, rng)
    return out


def _stresses(features: Features, rng: np.random.Generator) -> NDArray[np.float32]:
    """Prominence at each frame (T,): peaks of energy and pitch that stand out from their surroundings, each with its
    height.
    """
    loudness = gaussian_filter1d(features.energy.mean(axis=1) + 0.8 * features.pitch * (features.voicing > 0.5), 2.0)
    prominence = loudness - gaussian_filter1d(loudness, 30.0)
    peaks, _ = find_peaks(prominence, height=0.15, distance=6)
    out = np.zeros(len(features), np.float32)
    out[peaks] = np.clip(prominence[peaks] * rng.uniform(0.6, 1.4, len(peaks)), 0.0, 1.0)
    return out


def _ornstein_uhlenbeck(frames: int, time_s: float, rng: np.random.Generator, columns: int) -> NDArray[np.float64]:
    """Slow wandering of unit spread, (T, columns), twice smoothed so that velocities are continuous."""
    burn = int(4 * time_s * MODEL_FPS)
    noise = rng.standard_normal((frames + 2 * burn, columns))
    slow = gaussian_filter1d(noise, time_s * MODEL_FPS, axis=0)[burn : burn + frames]
    return slow * np.sqrt(2.0 * np.sqrt(np.pi) * time_s * MODEL_FPS)


def _minimum_jerk(frames: int) -> NDArray[np.float64]:
    """The 0..1 course of a point-to-point movement (Flash and Hogan 1985)."""
    t = np.linspace(0.0, 1.0, max(frames, 2))
    return t**3 * (10.0 - 15.0 * t + 6.0 * t**2)


def _head(
    talking: NDArray[np.float32], stresses: NDArray[np.float32], rng: np.random.Generator, s: MotionStatistics
) -> NDArray[np.float32]:
    """Posture changes at the ends of pauses, slow wandering, and beats on stressed syllables: (T, 6)."""
    frames = len(talking)
    spread = np.array(s.head_spread_rest) + talking[:, None] * (
        np.array(s.head_spread_talking) - np.array(s.head_spread_rest)
    )
    posture = np.zeros((frames, 3))
    current = rng.standard_normal(3) * 0.6
    onsets = set(np.flatnonzero((talking[1:] > 0.5) & (talking[:-1] <= 0.5)))
    start, position = 0, 0
    while position < frames:
        # A new posture at the next onset of speech, or after some seconds.
        wait = int(rng.lognormal(np.log(2.2), 0.5) * MODEL_FPS)
        upcoming = [f for f in onsets if position + 10 < f < position + wait + 30]
        position = min(upcoming[0] if upcoming and rng.random() < 0.7 else position + wait, frames)
        posture[start:position] = current
        target = 0.35 * current + rng.standard_normal(3) * 0.75
        course = _minimum_jerk(int(rng.uniform(0.45, 1.0) * MODEL_FPS))[: max(0, frames - position)]
        posture[position : position + len(course)] = current + (target - current) * course[:, None]
        start = position = position + len(course)
        current = target
    degrees = (
        gaussian_filter1d(posture, 2.0, axis=0) * spread * 0.8
        + _ornstein_uhlenbeck(frames, 0.45, rng, 3) * spread * 0.45
    )
    degrees[:, 2] += 0.18 * degrees[:, 0] * rng.normal(0.6, 0.5)
    nods = stresses * (rng.random(frames) < s.nod_share_of_stresses)
    width = s.nod_s / 2.4 * MODEL_FPS
    degrees[:, 1] += gaussian_filter1d(nods, width) * width * 2.5 * s.nod_degrees
    translation = _ornstein_uhlenbeck(frames, 0.9, rng, 3) * 0.006 * (0.4 + talking[:, None])
    translation[:, 0] -= 0.10 * np.radians(degrees[:, 0])
    translation[:, 2] += 0.12 * np.radians(degrees[:, 1])
    return np.concatenate([np.radians(degrees), translation], axis=1).astype(np.float32)


def _gaze(
    talking: NDArray[np.float32], pose: NDArray[np.float32], rng: np.random.Generator, s: MotionStatistics
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fixations on the listener and elsewhere, joined by saccades; the eyes counter the head's turns. Gaze (T, 2) and
    shift sizes (T,).
    """
    frames = len(talking)
    world = np.zeros((frames, 2))
    shifts = np.zeros(frames, np.float32)
    current = rng.standard_normal(2) * s.fixation_jitter_degrees
    position = 0
    while position < frames:
        length = int(max(0.2, rng.lognormal(np.log(s.fixation_median_s), s.fixation_log_spread)) * MODEL_FPS)
        world[position : position + length] = current
        position += length
        if position >= frames:
            break
        mutual = s.mutual_gaze_share_rest + talking[position] * (s.mutual_gaze_share_talking - s.mutual_gaze_share_rest)
        jitter = rng.standard_normal(2) * s.fixation_jitter_degrees
        target = jitter
        if rng.random() > mutual:
            # Aversions lie mostly sideways, and more often down than up.
            angle = rng.choice([0.0, np.pi]) + rng.normal(0.25, 0.5) * rng.choice([1, 1, 1, -1])
            target = jitter + rng.gamma(4.0, s.aversion_degrees / 4.0) * np.array(
                [np.cos(angle), 0.7 * np.sin(abs(angle))]
            )
        size = float(np.linalg.norm(target - current))
        duration = max(1, round((s.saccade_base_s + s.saccade_s_per_degree * size) * MODEL_FPS))
        course = _minimum_jerk(duration + 2)[1:-1][: frames - position]
        world[position : position + len(course)] = current + (target - current) * course[:, None]
        shifts[position] = size
        position += len(course)
        current = target
    in_head = np.radians(world) - 0.85 * pose[:, :2]
    return np.clip(in_head, -0.5, 0.5).astype(np.float32), shifts


def _blinks(
    talking: NDArray[np.float32], shifts: NDArray[np.float32], rng: np.random.Generator, s: MotionStatistics
) -> NDArray[np.float32]:
    """Lid closure (T,) 0..1. A renewal process with the published rates; large gaze shifts and the ends of phrases
    draw blinks near.
    """
    frames = len(talking)
    per_minute = s.blinks_per_minute_rest + talking * (s.blinks_per_minute_talking - s.blinks_per_minute_rest)
    ends = np.maximum(0.0, -np.gradient(talking)) * MODEL_FPS
    pull = 1.0 + 2.0 * gaussian_filter1d((shifts > 6.0).astype(float), 2.0) * 5.0 + 1.2 * np.clip(ends, 0, 2)
    pull *= len(pull) / pull.sum()
    # The dead time after each blink is made up for by a higher rate outside it.
    free = per_minute / 60.0 / (1.0 - np.minimum(0.6, per_minute / 60.0 * s.shortest_blink_interval_s))
    hazard = free * pull / MODEL_FPS
    lids = np.zeros(frames + 30)
    since = int(rng.uniform(0.0, 60.0 / 20.0) * MODEL_FPS)
    for frame in range(frames):
        since += 1
        if since < s.shortest_blink_interval_s * MODEL_FPS or rng.random() > hazard[frame]:
            continue
        since = 0
        speed = rng.lognormal(0.0, 0.15)
        depth = 1.0 if rng.random() < 0.88 else rng.uniform(0.55, 0.9)
        offset = rng.random()
        t = (np.arange(20) - offset) / MODEL_FPS / speed
        shut = s.blink_close_s
        shape = np.where(t < shut, _ease(t / shut), 1.0 - _ease((t - shut - 0.02) / s.blink_open_s))
        lids[frame : frame + 20] = np.maximum(lids[frame : frame + 20], depth * np.clip(shape, 0.0, 1.0))
    return lids[:frames].astype(np.float32)


def _ease(t: NDArray[np.float64]) -> NDArray[np.float64]:
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _eyes(
    gaze: NDArray[np.float32], blink: NDArray[np.float32], stresses: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """All 16 channels of the eyes: looks from gaze, lids that follow it down, squint and wide."""
    first = channel_slice("eyes").start
    out = np.zeros((len(gaze), 16), np.float32)

    def column(name: str) -> int:
        return CHANNEL_INDEX[name] - first

    out[:, :8] = eye_look_from_gaze(gaze)
    squint = np.clip(0.05 + 0.05 * _ornstein_uhlenbeck(len(gaze), 0.8, rng, 1)[:, 0], 0.0, 0.3) + 0.10 * blink
    wide = np.clip(
        0.04 * _ornstein_uhlenbeck(len(gaze), 0.8, rng, 1)[:, 0] + gaussian_filter1d(stresses, 4.0) * 0.8, 0.0, 0.35
    )
    follow = np.clip(gaze[:, 1], 0.0, 0.5) * 0.35
    for side in ("Left", "Right"):
        out[:, column(f"eyeBlink{side}")] = np.clip(np.maximum(blink, follow), 0.0, 1.0)
        out[:, column(f"eyeSquint{side}")] = squint
        out[:, column(f"eyeWide{side}")] = wide * (1.0 - blink)
    out[:, 14:] = gaze
    return out


def _expression(
    talking: NDArray[np.float32], stresses: NDArray[np.float32], features: Features, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Brows that rise on some stresses and with pitch, small slow asymmetries, cheeks and nose a little: (T, 9)."""
    frames = len(talking)
    slow = _ornstein_uhlenbeck(frames, 0.7, rng, 5)
    raised = gaussian_filter1d(stresses * (rng.random(frames) < 0.35), 4.0) * 12.0 * 0.28
    pitch = gaussian_filter1d(np.clip(features.pitch, 0, 1), 6.0) * 0.25
    up = np.clip(raised + pitch + 0.05 * slow[:, 0] * (0.3 + talking), 0.0, 0.6)
    down = np.clip(0.04 + 0.06 * slow[:, 1] * (0.4 + talking) - 0.3 * up, 0.0, 0.5)
    asymmetry = 0.25 * slow[:, 2:4]
    cheek = np.clip(0.03 + 0.05 * slow[:, 4], 0.0, 0.3)
    sneer = np.clip(0.02 * slow[:, 2] * talking, 0.0, 0.2)
    columns = {
        "browDownLeft": down,
        "browDownRight": down,
        "browInnerUp": 0.8 * up,
        "browOuterUpLeft": up * (0.8 + asymmetry[:, 0]),
        "browOuterUpRight": up * (0.8 + asymmetry[:, 1]),
        "cheekSquintLeft": cheek,
        "cheekSquintRight": cheek,
        "noseSneerLeft": sneer,
        "noseSneerRight": sneer,
    }
    first = channel_slice("expression").start
    out = np.zeros((frames, 9), np.float32)
    for name, values in columns.items():
        out[:, CHANNEL_INDEX[name] - first] = np.clip(values, 0.0, 1.0)
    return out
