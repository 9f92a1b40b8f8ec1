# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's entry for points that an artist places: where they are at first, and where the rest is."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import PortraitError
from ..head.head_model import load_head
from ..motion.atomic import written_whole
from .fit import completed, fit_head, mean_head
from .landmarks import Landmarks, find_landmarks
from .order import PointsOrder, PointsResult
from .picture import read_on_white
from .png import encode_png
from .portrait import misfit, whole_picture

__all__ = ["place_points"]


def place_points(order: PointsOrder, progress: Callable[[str, float], None]) -> PointsResult:
    """Write the points that an order asks for, and its preview.

    Where all are to be found and no face is, they are those of a mean face in the middle, and a note says why.
    progress: hears the stage, "picture" or "face", and 0..1 of the whole; may raise JobCancelled. Raises DemoError.
    """
    began = time.perf_counter()
    progress("picture", 0.0)
    picture = read_on_white(Path(order.image))
    height, width = picture.shape[:2]
    progress("face", 0.3)
    found, notes = True, []
    if order.landmarks:
        known = Landmarks.load(Path(order.landmarks))
        fit = fit_head(known, width, height)
        if known.iris is None:
            known = replace(known, iris=np.full((2, 5, 2), np.nan, np.float32))
        landmarks, notes = completed(known, fit), misfit(fit)
    else:
        try:
            landmarks = find_landmarks(picture)
        except PortraitError as error:
            found, landmarks = False, _mean_points(width, height)
            notes = [f"{Path(order.image).name}: {error} The points of a mean face lie in the middle of the picture."]
    landmarks.save(Path(order.out))
    if order.preview:
        pixels = np.round(whole_picture(picture)[0] * 255).astype(np.uint8)
        with written_whole(Path(order.preview), "picture", PortraitError) as temporary:
            temporary.write_bytes(encode_png(pixels))
    return PointsResult(width, height, found, "cpu", {"points": time.perf_counter() - began}, notes)


def _mean_points(width: int, height: int) -> Landmarks:
    head, fit = load_head(), mean_head(width, height)
    pixels: NDArray[np.float32] = fit.project(fit.vertices())
    return Landmarks(pixels[head.landmarks], pixels[head.iris])
