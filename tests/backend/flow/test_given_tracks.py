# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender_demo.backend.errors import ClipError
from blender_demo.backend.flow.given_tracks import NEIGHBOR_FRAMES, load_given
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNELS, FACTOR_INDEX, MODEL_FPS, channel_slice
from blender_demo.backend.settings import FactorControl, GenerationSettings


def take(path: Path, frames: int = 60, fps: float = MODEL_FPS, names: tuple[str, ...] = CHANNELS) -> Path:
    channels = np.random.default_rng(frames).random((frames, len(names)), np.float32) * 0.3
    MotionClip(fps=fps, channels=channels, names=names).save(path)
    return path


def giving(factor: str, path: Path, **settings) -> GenerationSettings:
    plain = GenerationSettings(**settings)
    return replace(plain, factors=plain.factors | {factor: FactorControl(given=str(path))})


def test_nothing_named_gives_nothing():
    assert load_given(GenerationSettings(), 30) is None


def test_a_given_factor_comes_back_to_the_digit_and_the_others_are_free(tmp_path):
    path = take(tmp_path / "a.npz")
    given = load_given(giving("pose", path), 60)
    assert given is not None
    assert given.is_given[:, FACTOR_INDEX["pose"]].all()
    assert given.is_given.sum() == 60
    made = np.full((60, len(CHANNELS)), 0.5, np.float32)
    out = given.restore(made.copy())
    pose = channel_slice("pose")
    np.testing.assert_array_equal(out[:, pose], MotionClip.load(path).channels[:, pose])
    np.testing.assert_array_equal(np.delete(out, np.r_[pose], axis=1), np.delete(made, np.r_[pose], axis=1))


def test_a_given_track_that_ends_early_leaves_the_rest_free(tmp_path):
    given = load_given(giving("eyes", take(tmp_path / "a.npz", frames=20)), 50)
    assert given is not None
    assert given.is_given[:20, FACTOR_INDEX["eyes"]].all()
    assert not given.is_given[20:].any()


def test_a_take_at_another_rate_is_brought_to_the_model_s(tmp_path):
    given = load_given(giving("pose", take(tmp_path / "a.npz", frames=48, fps=24.0)), 60)
    assert given is not None
    assert given.is_given[:60, FACTOR_INDEX["pose"]].all()


def test_neighbors_lie_around_the_take_and_are_cut_off_again(tmp_path):
    before, after = take(tmp_path / "before.npz", 40), take(tmp_path / "after.npz", 41)
    given = load_given(GenerationSettings(prefix=str(before), suffix=str(after)), 30)
    assert given is not None
    assert (given.lead, given.tail) == (NEIGHBOR_FRAMES, NEIGHBOR_FRAMES)
    np.testing.assert_array_equal(given.channels[: given.lead], MotionClip.load(before).channels[-NEIGHBOR_FRAMES:])
    np.testing.assert_array_equal(given.channels[-given.tail :], MotionClip.load(after).channels[:NEIGHBOR_FRAMES])
    assert not given.is_given[given.lead : -given.tail].any()
    assert given.restore(given.channels.copy()).shape == (30, len(CHANNELS))


def test_a_take_without_the_factor_s_channels_is_refused_by_name(tmp_path):
    lips = take(tmp_path / "lips.npz", names=CHANNELS[channel_slice("lip")])
    assert load_given(giving("lip", lips), 60) is not None
    with pytest.raises(ClipError, match=r"lips\.npz has no channel 'headYaw'.*whole pose"):
        load_given(giving("pose", lips), 60)


def test_a_missing_take_is_named(tmp_path):
    with pytest.raises(ClipError, match="does not exist"):
        load_given(GenerationSettings(prefix=str(tmp_path / "gone.npz")), 60)
