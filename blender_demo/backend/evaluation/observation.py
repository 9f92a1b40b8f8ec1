# SPDX-License-Identifier: GPL-3.0-or-later
"""From takes to figures. An Observation keeps what can be joined over clips, so that one and the same function gives
the figures of a clip and of a whole folder, in which every frame and every segment counts alike.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..motion.clip import MotionClip
from ..motion.factors import CHANNEL_INDEX, CHANNELS, FACTORS
from .clips import Truth, at_frames_of
from .measures import (
    aperture,
    auc,
    blinks,
    closure_precision,
    closure_recall,
    concordance,
    energy_split,
    full_channels,
    jerk,
    lag_moments,
    lag_of_best_correlation,
    lip_vertex_error,
    pearson,
    rounding,
)
from .phones import CLOSED, OPEN, PARTED, ROUNDED, SPREAD, VOWELS, frame_phones

__all__ = ["FIGURES", "Observation", "figures", "observe", "pool"]

FIGURES: Final = (
    "closure_auc", "rounding_auc", "open_auc", "closure_recall", "closure_precision", "av_offset_ms",
    "aperture_pearson", "aperture_concordance", "jaw_pearson", "rounding_pearson", "lip_pearson", "std_ratio",
    "lip_vertex_error_percent", "blinks_per_minute", "jerk", "energy_above_10hz", "real_time_factor",
    "function_evaluations",
)  # fmt: skip
"""What a report holds, as far as it can be measured. docs/evaluation.md defines each."""

_LIPS: Final = FACTORS[0].channels
_MOVES: Final = 0.02

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Observation:
    """tracks: arrays (..., T) that are joined over clips; sums: arrays that are added."""

    tracks: dict[str, NDArray]
    sums: dict[str, Floats]


def observe(
    clip: MotionClip, truth: Truth, seconds: float | None = None, evaluations: int | None = None
) -> Observation:
    """All that is measured on a take of a recording. seconds and evaluations: what it cost, where known."""
    lips = [name for name in _LIPS if name in clip.names]
    channels = full_channels(clip, lips)
    moving = np.stack([clip[name] for name in lips], axis=1)
    jerks = jerk(moving, clip.fps)
    tracks: dict[str, NDArray] = {}
    sums = {
        "duration": np.array([clip.duration_s]),
        "jerk": np.array([jerks.sum(), jerks.size]),
        "energy": np.array(energy_split(moving, clip.fps)),
    }
    if "eyeBlinkLeft" in clip.names:
        sums["blinks"] = np.array([blinks(clip["eyeBlinkLeft"]), clip.duration_s / 60])
    if seconds is not None:
        sums["cost"] = np.array([seconds, clip.duration_s])
    if evaluations is not None:
        sums["evaluations"] = np.array([evaluations, 1.0])
    if truth.phones is not None:
        opening = aperture(channels)
        tracks["phone"] = frame_phones(truth.phones, len(clip), clip.fps)
        tracks["opening"], tracks["round"] = opening, rounding(channels)
        sums["recall"] = np.array(closure_recall(opening, truth.phones, clip.fps))
        sums["precision"] = np.array(closure_precision(opening, truth.phones, clip.fps))
        sums["lags"] = lag_moments(opening, truth.phones, clip.fps)
    if truth.captured is not None and clip is not truth.captured:
        tracks |= _compared(channels, truth.captured, clip)
    return Observation(tracks, sums)


def _compared(channels: NDArray[np.float32], captured: MotionClip, clip: MotionClip) -> dict[str, NDArray]:
    """Pairs (2, ..., T) of ours and captured. Lip channels that were not captured are left out of both."""
    names = [name for name in _LIPS if name in captured.names]
    if not names:
        return {}
    there = at_frames_of(clip, captured)
    truth = full_channels(there, names)
    ours = channels[: len(there)] * np.isin(CHANNELS, names)
    pairs = {
        "aperture": np.stack([aperture(ours), aperture(truth)]),
        "rounding": np.stack([rounding(ours), rounding(truth)]),
        "lips": np.stack([ours[:, : len(_LIPS)].T, truth[:, : len(_LIPS)].T]),
        "vertex_error": lip_vertex_error(ours, truth),
    }
    if "jawOpen" in names:
        pairs["jaw"] = pairs["lips"][:, CHANNEL_INDEX["jawOpen"]]
    return pairs


def pool(observations: Iterable[Observation]) -> Observation:
    """Many observations as one; what only some of them have is pooled over those."""
    tracks: dict[str, list[NDArray]] = {}
    sums: dict[str, Floats] = {}
    for one in observations:
        for name, track in one.tracks.items():
            tracks.setdefault(name, []).append(track)
        for name, value in one.sums.items():
            sums[name] = sums.get(name, 0.0) + value
    return Observation({name: np.concatenate(parts, axis=-1) for name, parts in tracks.items()}, sums)


def figures(observation: Observation) -> dict[str, float]:
    """The figures of FIGURES that can be measured, in that order."""
    found = {
        **_phone_figures(observation),
        **_motion_figures(observation.tracks),
        "blinks_per_minute": _ratio(observation, "blinks"),
        "jerk": _ratio(observation, "jerk"),
        "energy_above_10hz": _ratio(observation, "energy"),
        "real_time_factor": _ratio(observation, "cost"),
        "function_evaluations": _ratio(observation, "evaluations"),
    }
    return {name: value for name in FIGURES if (value := found.get(name)) is not None}


def _ratio(observation: Observation, name: str) -> float | None:
    above, below = observation.sums.get(name, (0.0, 0.0))
    return float(above / below) if below else None


def _phone_figures(observation: Observation) -> dict[str, float | None]:
    if "phone" not in observation.tracks:
        return {}
    phone, opening, narrow = (observation.tracks[name] for name in ("phone", "opening", "round"))
    lag = lag_of_best_correlation(observation.sums["lags"])

    def separation(score: Floats, high: tuple[str, ...], low: tuple[str, ...]) -> float | None:
        return auc(score[np.isin(phone, high)], score[np.isin(phone, low)])

    return {
        "closure_auc": separation(-opening, CLOSED, VOWELS),
        "rounding_auc": separation(narrow, ROUNDED, SPREAD),
        "open_auc": separation(opening, OPEN, PARTED),
        "closure_recall": _ratio(observation, "recall"),
        "closure_precision": _ratio(observation, "precision"),
        "av_offset_ms": None if lag is None else round(1000 * lag, 3),
    }


def _motion_figures(tracks: dict[str, NDArray]) -> dict[str, float | None]:
    if "aperture" not in tracks:
        return {}
    ours, truth = tracks["lips"]
    moving = truth.std(axis=1) > _MOVES
    spread = tracks["aperture"][1].std()
    return {
        "aperture_pearson": pearson(*tracks["aperture"]),
        "aperture_concordance": concordance(*tracks["aperture"]),
        "jaw_pearson": pearson(*tracks["jaw"]) if "jaw" in tracks else None,
        "rounding_pearson": pearson(*tracks["rounding"]),
        "lip_pearson": float(np.mean([pearson(*pair) for pair in zip(ours[moving], truth[moving], strict=True)]))
        if moving.any()
        else None,
        "std_ratio": float(tracks["aperture"][0].std() / spread) if spread else None,
        "lip_vertex_error_percent": float(tracks["vertex_error"].mean()),
    }
