# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures of control on motion whose errors are known, and the report of a real take."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from blender_demo.backend.evaluation.__main__ import main
from blender_demo.backend.evaluation.control import (
    blink_errors_ms,
    gaze_errors_deg,
    pose_errors_deg,
    wanted_motion,
)
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNEL_INDEX, FACTORS, gaze_from_eye_look

REPO = Path(__file__).resolve().parents[3]


def moved(clip: MotionClip, **offsets: float) -> MotionClip:
    channels = clip.channels.copy()
    for name, offset in offsets.items():
        channels[:, CHANNEL_INDEX[name]] += offset
    return clip.with_channels(channels)


@pytest.fixture(scope="module")
def wanted() -> MotionClip:
    return wanted_motion(300)[0]


def test_wanted_motion_sweeps_25_degrees_moves_the_eyes_and_blinks_when_it_says(wanted):
    assert np.degrees(np.abs(wanted["headYaw"]).max()) == pytest.approx(25.0, abs=0.1)
    eyes = wanted.factor("eyes")
    np.testing.assert_allclose(gaze_from_eye_look(eyes[:, :8]), eyes[:, -2:], atol=1e-5)
    shut_s = wanted_motion(300)[1]
    assert len(shut_s) == 4
    assert wanted["eyeBlinkLeft"][np.rint(shut_s * wanted.fps).astype(int)] == pytest.approx(1.0)


def test_equal_clips_have_no_error(wanted):
    assert pose_errors_deg(wanted, wanted).max() < 1e-3
    assert gaze_errors_deg(wanted, wanted).max() < 1e-3
    assert blink_errors_ms(wanted["eyeBlinkLeft"], wanted_motion(300)[1], wanted.fps) == pytest.approx([0.0] * 4)


def test_a_head_that_is_off_by_an_angle_shows_that_angle(wanted):
    off = np.radians(3.0)
    np.testing.assert_allclose(pose_errors_deg(wanted, moved(wanted, headYaw=off)), 3.0, atol=1e-3)
    level = wanted.with_channels(np.zeros_like(wanted.channels))
    diagonal = pose_errors_deg(level, moved(level, headYaw=off, headPitch=off))
    np.testing.assert_allclose(diagonal, 3.0 * np.sqrt(2), rtol=1e-3)


def test_a_gaze_that_is_off_by_an_angle_shows_that_angle(wanted):
    np.testing.assert_allclose(gaze_errors_deg(wanted, moved(wanted, gazePitch=np.radians(2.0))), 2.0, atol=1e-2)


def test_blinks_are_met_late_or_not_at_all():
    lid = np.zeros(90)
    lid[[31, 32, 33]] = 0.6, 1.0, 0.7
    lid[70] = 0.4
    errors = blink_errors_ms(lid, [1.0, 70 / 30], 30.0)
    assert errors[0] == pytest.approx(2000 / 30)
    assert errors[1] is None


def test_gain_scales_its_factor_alone_and_a_new_seed_changes_its_own_factor_most(tmp_path):
    samples, rate = soundfile.read(REPO / "demo" / "speech.ogg", frames=48_000)
    soundfile.write(tmp_path / "speech.wav", samples, rate)
    (tmp_path / "settings.json").write_text('{"steps": 2}')
    options = ["--settings", str(tmp_path / "settings.json"), "--threads", "1", "--out", str(tmp_path / "report.json")]
    assert main([str(tmp_path / "speech.wav"), "--control", *options]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["gain"]["pose"]["0.5"]["slope"] == pytest.approx(0.5, abs=1e-4)
    assert report["gain"]["pose"]["0.5"]["lip_change_percent"] == 0.0
    for factor in FACTORS:
        change = report["redrawn"][factor.name]
        assert max(change, key=lambda name: change[name]) == f"{factor.name}_change_percent"
