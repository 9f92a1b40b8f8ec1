# SPDX-License-Identifier: GPL-3.0-or-later
"""Lids that shut: where their lashes and their fold lie, and what color their skin has."""

import numpy as np
import pytest

from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.portrait.frames import render_frames
from blender_demo.backend.portrait.portrait import Portrait

from .heads import SIZE, both, clip_of, fit_with, portrait_of

EYES = (range(42, 48), range(36, 42))


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return portrait_of(fit_with())


@pytest.fixture(scope="module")
def frames(portrait: Portrait) -> np.ndarray:
    """Open, half open and shut."""
    clip = clip_of({}, both("eyeBlink", 0.5), both("eyeBlink", 1.0))
    return np.stack(list(render_frames(portrait, clip, SIZE, SIZE)))[..., :3].astype(np.float32) / 255


def column_over(portrait: Portrait, eye: range, frame: np.ndarray) -> np.ndarray:
    """Brightness down the middle of an eye, from above its upper lid to below its lower one."""
    x, y = portrait.fit.project(portrait.fit.vertices()[load_head().landmarks[eye]]).T
    middle = round(float(x.mean()))
    return frame[int(y.min()) - 3 : int(y.max()) + 4, middle - 1 : middle + 2].mean((1, 2))


@pytest.mark.parametrize("eye", EYES)
def test_shut_lids_are_darkest_at_one_line_near_the_lower_lid(portrait: Portrait, frames: np.ndarray, eye: range):
    down = column_over(portrait, eye, frames[2])
    line = int(down.argmin())
    assert down[line] < 0.85 * np.median(down)
    assert line > len(down) / 2
    assert (np.delete(down, range(line - 2, line + 3)) > down[line] + 0.04).all()


@pytest.mark.parametrize("eye", EYES)
def test_nothing_of_the_eye_is_seen_between_shut_lids(portrait: Portrait, frames: np.ndarray, eye: range):
    at = portrait.fit.project(portrait.fit.vertices()[load_head().landmarks[eye]])
    low, high = np.floor(at.min(0)).astype(int), np.ceil(at.max(0)).astype(int)
    shut, opened = (frame[low[1] : high[1], low[0] : high[0]] for frame in (frames[2], frames[0]))
    bluish = [(part[..., 2] >= part[..., 0] - 0.01).mean() for part in (shut, opened)]
    assert bluish[0] == 0
    assert bluish[1] > 0.2


def test_skin_of_shut_lids_has_the_color_of_the_skin_around(portrait: Portrait, frames: np.ndarray):
    for eye in EYES:
        lid = np.sort(column_over(portrait, eye, frames[2]))[-6:]
        assert np.abs(lid - np.mean([0.8, 0.6, 0.5]) * 0.85).max() < 0.12
