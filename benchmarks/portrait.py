# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a portrait talks: frames per second, from a portrait and a clip to pixels, and to PNG files in memory."""

import io
import time
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.motion.factors import ARKIT_NAMES
from blender_demo.backend.portrait.controls import PortraitControls
from blender_demo.backend.portrait.fit import HeadFit
from blender_demo.backend.portrait.frames import render_frames
from blender_demo.backend.portrait.portrait import Portrait

from .motion import speech_like_clip
from .report import Row, publish

SIZE = 512
SECONDS = 2.0
CALM = PortraitControls(lip=0.5, pose=0.1, eyes=0.5, expression=0.3)


def head_and_shoulders() -> Portrait:
    """The head model's mean, framed as portraits are, under a picture that is nothing but detail."""
    head = load_head()
    nobody, still = np.zeros(len(head.identity), np.float32), np.zeros(len(ARKIT_NAMES), np.float32)
    rotation, translation = np.diag([1.0, -1.0, -1.0]).astype(np.float32), np.array([0.0, 0.02, 0.9], np.float32)
    fit = HeadFit(nobody, still, rotation, translation, 1.4 * SIZE, SIZE, SIZE, 0.0)
    noise = np.random.default_rng(0).random((SIZE, SIZE, 3), np.float32)
    rows, columns = (np.indices((SIZE, SIZE)) + 0.5) / SIZE - 0.5
    cutout = (np.hypot(rows, 1.3 * columns) < 0.35).astype(np.float32)
    iris, white = np.full(3, 0.3, np.float32), np.full(3, 0.8, np.float32)
    light = np.eye(4, 3, dtype=np.float32)
    person = np.concatenate([noise * cutout[..., None], cutout[..., None]], axis=-1)
    return Portrait(fit, noise, np.ones((SIZE, SIZE), np.float32), noise, cutout, iris, white, light, noise, person)


def encode(frames: Iterable[NDArray[np.uint8]]) -> int:
    """Bytes of the frames as PNG."""
    total = 0
    for frame in frames:
        stream = io.BytesIO()
        Image.fromarray(frame[..., :3]).save(stream, "PNG", compress_level=1)
        total += stream.tell()
    return total


def main() -> None:
    portrait, clip = head_and_shoulders(), speech_like_clip(SECONDS)
    rows = []
    for device in ("cpu", "cuda")[: 1 + torch.cuda.is_available()]:
        list(render_frames(portrait, clip, SIZE, SIZE, CALM, device))
        began = time.perf_counter()
        count = sum(1 for _ in render_frames(portrait, clip, SIZE, SIZE, CALM, device))
        drawn = time.perf_counter()
        encode(render_frames(portrait, clip, SIZE, SIZE, CALM, device))
        encoded = time.perf_counter()
        rows += [
            Row(f"{device}: frames per second, drawn", count / (drawn - began)),
            Row(f"{device}: frames per second, drawn and encoded", count / (encoded - drawn)),
        ]
    publish("Portrait", rows)


if __name__ == "__main__":
    main()
