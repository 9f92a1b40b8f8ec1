# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendered people: what portraits are measured against and what the refiner learns from."""

import numpy as np
import pytest

from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNEL_INDEX, CHANNELS
from blender_demo.backend.portrait.fit import fit_head
from blender_demo.backend.training.synthetic_heads import SyntheticPerson

SIZE = 192


def clip_of(*frames: dict[str, float]) -> MotionClip:
    channels = np.zeros((len(frames), len(CHANNELS)), np.float32)
    for row, values in zip(channels, frames, strict=True):
        for name, value in values.items():
            row[CHANNEL_INDEX[name]] = value
    return MotionClip(24.0, channels)


@pytest.fixture(scope="module")
def person() -> SyntheticPerson:
    return SyntheticPerson(3, SIZE)


def test_a_seed_is_a_person(person: SyntheticPerson):
    again = SyntheticPerson(3, SIZE)
    assert np.array_equal(person.picture(), again.picture())
    assert np.array_equal(person.landmarks().points, again.landmarks().points)
    assert np.array_equal(person.landmarks().points, person.landmarks().points)
    assert np.abs(person.picture() - SyntheticPerson(4, SIZE).picture()).mean() > 0.05


def test_a_clip_at_rest_is_the_picture(person: SyntheticPerson):
    assert np.abs(next(person.frames(clip_of({}))) - person.picture()).max() < 1 / 255


def test_the_head_is_found_from_its_landmarks(person: SyntheticPerson):
    found = fit_head(person.landmarks(), SIZE, SIZE)
    assert found.residual_percent < 2.0
    off = found.project(found.vertices()) - person.fit.project(person.fit.vertices())
    assert np.linalg.norm(off, axis=1).mean() < 0.08 * person.landmarks().eye_distance


def test_what_moves_lies_in_its_region(person: SyntheticPerson):
    clip = clip_of({}, {"gazeYaw": 0.4}, {"jawOpen": 0.4})
    frames, regions = np.stack(list(person.frames(clip))), person.regions(clip)
    looking, talking = (np.abs(frame - frames[0]).max(-1) > 0.1 for frame in frames[1:])
    assert looking.sum() > 10
    assert looking[regions["eyes"][1]].sum() == looking.sum()
    assert np.array_equal(frames[1][regions["mouth"][1]], frames[0][regions["mouth"][1]])
    assert talking[regions["mouth"][2]].sum() > 20
    for name in ("mouth", "eyes"):
        assert regions[name].any((1, 2)).all()
    assert (regions["mouth"] & ~regions["face"]).sum() < 0.1 * regions["mouth"].sum()
