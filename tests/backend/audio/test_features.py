# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from blender_demo.backend.audio.features import MEL_BANDS, MEL_PER_FRAME, SAMPLE_RATE, extract, frame_count
from blender_demo.backend.motion.factors import MODEL_FPS


def tone(hertz: float, seconds: float, level: float = 0.1) -> np.ndarray:
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (level * np.sign(np.sin(2 * np.pi * hertz * t))).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.01, 0.5, 3.0, 61.37])
def test_every_track_has_one_row_per_motion_frame(seconds):
    features = extract(tone(150.0, seconds))
    frames = frame_count(int(seconds * SAMPLE_RATE))
    assert frames == max(1, round(seconds * MODEL_FPS))
    assert features.mel.shape == (frames * MEL_PER_FRAME, MEL_BANDS)
    assert features.energy.shape == (frames, MEL_PER_FRAME)
    assert len(features) == features.pitch.shape[0] == features.voicing.shape[0] == frames
    assert all(np.isfinite(track).all() for track in (features.mel, features.energy, features.pitch, features.voicing))


def test_a_click_appears_at_its_own_time():
    samples = np.zeros(4 * SAMPLE_RATE, np.float32)
    samples[int(2.0 * SAMPLE_RATE)] = 1.0
    energy = extract(samples).energy.reshape(-1)
    loudest_s = (np.flatnonzero(energy > energy.min() + 0.1).mean() - (MEL_PER_FRAME - 1) / 2) / (
        MODEL_FPS * MEL_PER_FRAME
    )
    assert loudest_s == pytest.approx(2.0, abs=0.005)


def test_level_is_normalized():
    quiet, loud = extract(tone(150.0, 2.0, 0.05)), extract(tone(150.0, 2.0, 0.2))
    np.testing.assert_allclose(quiet.energy, loud.energy, atol=0.02)


def test_pitch_rises_by_the_octave_that_the_tone_rises():
    features = extract(np.concatenate([tone(110.0, 2.0), tone(220.0, 2.0)]))
    low, high = np.median(features.pitch[10:50]), np.median(features.pitch[70:110])
    assert high - low == pytest.approx(1.0, abs=0.03)


def test_silence_has_no_voice():
    features = extract(np.zeros(2 * SAMPLE_RATE, np.float32))
    assert features.voicing.max() == 0
    assert np.ptp(features.mel) == 0
