# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's entry: from an order to the frames on disk."""

import hashlib
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import PortraitError
from ..motion.clip import MotionClip
from ..motion.formats import read_motion
from ..motion.resample import resample
from ..settings import AUTO
from .exr import check_exr
from .frames import render_frames
from .kept import KeptPortrait
from .landmarks import Landmarks, find_landmarks
from .order import PortraitOrder, PortraitResult
from .picture import on_white, read_picture
from .portrait import FittedFace, fit_face, misfit, take_apart
from .sequence import FrameSet, Pixels, write_sequence

__all__ = ["find_face", "output_size", "render_portrait"]

_CPU_BATCH: Final = 4
_GPU_BATCH: Final = 32
"""Frames that are rendered at once: few where their arrays should fit into a cache, many where all are done at once.

A resumed run begins at one of its multiples, as sums may depend on it.
"""

_FORMATS: Final = {"png": (".png", np.uint8), "png16": (".png", np.uint16), "exr": (".exr", np.float16)}
"""Ending of the files and type of their numbers."""

_SHARES: Final = {"picture": (0.0, 0.02), "face": (0.02, 0.1), "frames": (0.1, 1.0)}
"""Part of the whole progress that each stage takes."""


def render_portrait(order: PortraitOrder, progress: Callable[[str, float], None]) -> PortraitResult:
    """Render the frames that an order asks for and that are not there yet.

    progress: hears the stage, "picture", "face" or "frames", and 0..1 of the whole; may raise JobCancelled.
    Raises DemoError.
    """
    began = time.perf_counter()
    suffix, dtype = _FORMATS[order.file_format]
    if suffix == ".exr":
        check_exr()
    device, timings = _device(order.device), {}
    batch = _CPU_BATCH if device == "cpu" else _GPU_BATCH
    progress("picture", _SHARES["picture"][0])
    color, matte = read_picture(Path(order.image))
    picture, clip = on_white(color, matte), _motion(order)
    image, points, renderer = _hash_of(order.image), _hash_of(order.landmarks), _renderer()
    kept_portrait = KeptPortrait(Path(order.folder), order.name, _hash(f"{image} {points} {renderer}".encode()))
    portrait = kept_portrait.load()
    if portrait is None:
        face, notes = find_face(order.image, order.landmarks, picture)
        make_portrait = partial(take_apart, face, matte)
    else:
        notes, make_portrait = misfit(portrait.fit), lambda: portrait
    width, height = output_size(picture, order.size)
    frames = FrameSet(
        Path(order.folder),
        order.name,
        len(clip) if order.still is None else 1,
        {
            "picture": image,
            "motion": _hash(clip.channels.tobytes()),
            "landmarks": points,
            "size": [width, height],
            "rate": order.fps,
            "format": order.file_format,
            "alpha": order.alpha,
            "controls": order.controls.to_json(),
            "refine": order.refine,
            "still": order.still,
            "device": device,
            "renderer": renderer,
        },
        suffix,
    )
    timings["picture"] = time.perf_counter() - began
    batch = batch if order.still is None else 1

    def render(first: int) -> Generator[Pixels]:
        progress("face", _SHARES["face"][0])
        began = time.perf_counter()
        made = make_portrait()
        if portrait is None:
            kept_portrait.save(made)
        timings["face"] = time.perf_counter() - began
        if order.still is not None:
            first = min(max(order.still, 0), len(clip) - 1)
        return render_frames(
            made, clip, width, height, order.controls, device, batch, first, order.alpha, dtype, order.refine
        )

    def tell(done: float) -> None:
        low, high = _SHARES["frames"]
        progress("frames", low + done * (high - low))

    frame_bytes = width * height * (4 if order.alpha else 3) * np.dtype(dtype).itemsize
    kept = write_sequence(frames, render, frame_bytes, batch, order.overwrite, tell)
    timings["frames"] = time.perf_counter() - began - sum(timings.values())
    notes += [f"{kept} of {frames.count} frames were there already."] if kept else []
    notes += clip.settings.get("notes", ())
    return PortraitResult(str(frames.path(0)), frames.count, kept, width, height, order.fps, device, timings, notes)


def find_face(image: str, points: str, picture: NDArray[np.float32]) -> tuple[FittedFace, list[str]]:
    """The face in a picture, with the head that was made of it, and what an artist should know of it.

    image: path of the picture. points: path of points placed by hand; empty where they are to be found.
    Raises PortraitError, which names the picture.
    """
    try:
        landmarks = Landmarks.load(Path(points)) if points else find_landmarks(picture)
        face = fit_face(picture, landmarks)
    except PortraitError as error:
        raise PortraitError(f"{Path(image).name}: {error}") from error
    return face, misfit(face.fit)


def _device(wanted: str) -> str:
    import torch

    from ..worker.probe import best_device

    return best_device(torch) if wanted == AUTO else wanted


def _motion(order: PortraitOrder) -> MotionClip:
    """The clip with all channels, a row for each frame to draw."""
    clip = read_motion(Path(order.clip)).completed()
    return resample(replace(clip, fps=clip.fps * order.speed), order.fps, order.later_s)


def output_size(picture: NDArray[np.float32], size: int) -> tuple[int, int]:
    """Width and height with the picture's aspect, even, as video wants them."""
    height, width = (2 * max(1, round(side * size / max(picture.shape) / 2)) for side in picture.shape[:2])
    return width, height


def _hash_of(path: str) -> str:
    """The hash of a file; empty for no path."""
    if not path:
        return ""
    return _hash(Path(path).read_bytes()) if Path(path).is_file() else "missing"


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _renderer() -> str:
    """Another program may draw other frames: the hash of all that draws."""
    folder = Path(__file__).parent
    own = ("portrait/*.py", "head/*.npz", "head/*.py", "weights/portrait.safetensors")
    drawing = sorted(path for pattern in own for path in folder.parent.glob(pattern))
    return _hash(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in drawing))
