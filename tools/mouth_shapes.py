# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the frames of a clip that show most of its mouth shapes: closures first, then those least alike."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import ARKIT_NAMES

__all__ = ["Phone", "choose_frames", "lip_aperture", "load_phones", "phone_at"]

BILABIALS = frozenset({"M", "B", "P"})
NEIGHBOR_S = 0.12
"""Chosen frames lie at least so far apart."""


@dataclass(frozen=True)
class Phone:
    """A speech sound (ARPAbet) and when it sounds, in seconds."""

    name: str
    start_s: float
    end_s: float


def load_phones(path: Path) -> tuple[Phone, ...]:
    """Phones from a JSON list of [name, start, end]."""
    return tuple(Phone(*entry) for entry in json.loads(path.read_text(encoding="utf-8")))


def phone_at(phones: tuple[Phone, ...], time_s: float) -> str:
    """Name of the phone that sounds at a time, empty where none does."""
    return next((phone.name for phone in phones if phone.start_s <= time_s < phone.end_s), "")


def lip_aperture(clip: MotionClip) -> NDArray[np.float32]:
    """Opening between the lips on the project's head (T,), in mouth widths."""
    return load_head().aperture(np.stack([clip[name] for name in ARKIT_NAMES], axis=1))


def choose_frames(clip: MotionClip, phones: tuple[Phone, ...], count: int = 12, closures: int = 3) -> list[int]:
    """Frame indices in order of time: `closures` of them at M, B and P, the others with lips as unlike as possible.

    Without phones, the closures are where the lips are closest.
    """
    lips = clip.factor("lip")
    apart = max(1, round(NEIGHBOR_S * clip.fps))
    speaking = _speaking(clip, phones)
    free = speaking.copy()
    chosen: list[int] = []

    def take(frame: int) -> None:
        chosen.append(frame)
        free[max(0, frame - apart + 1) : frame + apart] = False

    for frame in _closures(clip, phones):
        if free[frame] and len(chosen) < closures:
            take(frame)
    while len(chosen) < count and free.any():
        unlike = np.min([np.abs(lips - lips[frame]).sum(axis=1) for frame in chosen] or [lips.sum(axis=1)], axis=0)
        take(int(np.where(free, unlike, -1.0).argmax()))
    return sorted(chosen)


def _speaking(clip: MotionClip, phones: tuple[Phone, ...]) -> NDArray[np.bool_]:
    """Which frames lie within speech: all of them where no phones are known."""
    times = np.arange(len(clip)) / clip.fps
    spoken = [(times >= p.start_s) & (times < p.end_s) for p in phones if p.name != "SIL"]
    return np.any(spoken, axis=0) if spoken else np.ones(len(clip), dtype=bool)


def _closures(clip: MotionClip, phones: tuple[Phone, ...]) -> list[int]:
    """The tightest frame of each M, B or P, in an order that spreads the first ones over the clip."""
    aperture = lip_aperture(clip)
    frames = []
    for phone in phones:
        if phone.name in BILABIALS:
            first, last = round(phone.start_s * clip.fps), min(round(phone.end_s * clip.fps), len(clip) - 1)
            if first <= last:
                frames.append(first + int(aperture[first : last + 1].argmin()))
    if not frames:
        frames = np.argsort(aperture).tolist()
    stride = max(1, len(frames) // 3)
    return [frame for start in range(stride) for frame in frames[start::stride]]
