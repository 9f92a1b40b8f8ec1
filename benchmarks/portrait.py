# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a portrait talks and how much memory that takes: from a portrait and a clip to pixels, and to PNG files.

python -m benchmarks.portrait
"""

import os
import resource
import sys
import time
from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.motion.factors import ARKIT_NAMES
from blender_demo.backend.portrait.controls import PortraitControls
from blender_demo.backend.portrait.fit import HeadFit
from blender_demo.backend.portrait.frames import render_frames
from blender_demo.backend.portrait.portrait import Portrait
from blender_demo.backend.portrait.sequence import FrameSet, write_sequence

from .motion import speech_like_clip
from .report import Row, publish

SIZE = 512
SECONDS = 4.0
BATCH = {"cpu": 4, "cuda": 32}
CALM = PortraitControls(lip=0.5, pose=0.1, eyes=0.5, expression=0.3)


def head_and_shoulders() -> Portrait:
    """The head model's mean, framed as portraits are, under a picture with detail of all sizes and some grain."""
    head = load_head()
    nobody, still = np.zeros(len(head.identity), np.float32), np.zeros(len(ARKIT_NAMES), np.float32)
    rotation, translation = np.diag([1.0, -1.0, -1.0]).astype(np.float32), np.array([0.0, 0.02, 0.9], np.float32)
    fit = HeadFit(nobody, still, rotation, translation, 1.4 * SIZE, SIZE, SIZE, 0.0)
    grain = np.random.default_rng(0).standard_normal((SIZE, SIZE, 3)).astype(np.float32)
    shapes = sum(width * gaussian_filter(grain, (width, width, 0)) for width in (1, 4, 16, 64))
    picture = (0.5 + 0.15 * shapes + 0.01 * grain).clip(0, 1).astype(np.float32)
    rows, columns = (np.indices((SIZE, SIZE)) + 0.5) / SIZE - 0.5
    cutout = (np.hypot(rows, 1.3 * columns) < 0.35).astype(np.float32)
    iris, white = np.full(3, 0.3, np.float32), np.full(3, 0.8, np.float32)
    light = np.eye(4, 3, dtype=np.float32)
    person = np.concatenate([picture * cutout[..., None], cutout[..., None]], axis=-1)
    return Portrait(
        fit, picture, np.ones((SIZE, SIZE), np.float32), picture, cutout, iris, white, light, picture, person
    )


def measured(portrait: Portrait, device: str) -> list[Row]:
    """How fast the frames of a take are drawn, and drawn and written, and what else that costs."""
    clip = speech_like_clip(SECONDS)

    def drawn(first: int = 0) -> Generator[NDArray[np.uint8]]:
        return render_frames(portrait, clip, SIZE, SIZE, CALM, device, BATCH[device], first)

    list(drawn())
    began = time.perf_counter()
    next(drawn())
    start = time.perf_counter() - began
    began, busy = time.perf_counter(), time.process_time()
    count = sum(1 for _ in drawn())
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        write_sequence(FrameSet(Path(folder), "talk", count, {}), drawn, 3 * SIZE**2, BATCH[device])
        written = time.perf_counter() - began
    return [
        Row(f"{device}: frames per second, drawn", count / seconds),
        Row(f"{device}: frames per second, drawn and written as PNG", count / written),
        Row(f"{device}: processor milliseconds for a frame, drawn", 1000 * busy / count),
        Row(f"{device}: seconds to the first frames", start),
    ]


def memory(portrait: Portrait, frames: int) -> Row:
    """Most memory this process has had after so many frames of a take were written, small ones."""
    clip = speech_like_clip(frames / 30.0)
    with TemporaryDirectory() as folder:
        write_sequence(
            FrameSet(Path(folder), "talk", len(clip), {}),
            lambda first: render_frames(portrait, clip, SIZE // 2, SIZE // 2, CALM, first=first),
            3 * SIZE**2 // 4,
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Row(f"peak memory after {len(clip)} frames, MiB", peak / 2**20)


def main() -> None:
    """Measure and publish; memory first, as it is the most that there ever was."""
    portrait = head_and_shoulders()
    rows = [memory(portrait, frames) for frames in (500, 3000)]
    for device in ("cpu", "cuda")[: 1 + torch.cuda.is_available()]:
        rows += measured(portrait, device)
    publish("Portrait", [Row("processor cores", os.cpu_count() or 0), *rows])


if __name__ == "__main__":
    main()
