# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from blender_demo.backend.audio.encoder import PHONES
from blender_demo.backend.audio.features import SAMPLE_RATE, extract
from blender_demo.backend.evaluation.measures import aperture
from blender_demo.backend.motion.factors import (
    CHANNEL_INDEX,
    CHANNELS,
    FACTORS,
    MODEL_FPS,
    channel_slice,
    gaze_from_eye_look,
)
from blender_demo.backend.motion.livelink import read_live_link
from blender_demo.backend.training.coarticulation import CoarticulationTeacher, close_lips
from blender_demo.backend.training.prosody_motion import STATISTICS, speech_activity, stochastic_motion
from blender_demo.backend.training.targets import silent_performances

LIPS = len(FACTORS[0].channels)


def phones(*timed: tuple[str, float, float]) -> tuple[tuple[int, float, float], ...]:
    return tuple((PHONES.index(phone), start, end) for phone, start, end in timed)


def full(lips: np.ndarray) -> np.ndarray:
    channels = np.zeros((len(lips), len(CHANNELS)), np.float32)
    channels[:, channel_slice("lip")] = lips
    return channels


@pytest.mark.parametrize("phone", ["P", "B", "M"])
@pytest.mark.parametrize("length_s", [0.05, 0.12])
def test_lips_shut_on_bilabials_whatever_was_captured(phone, length_s):
    rng = np.random.default_rng(0)
    lips = np.zeros((60, LIPS), np.float32)
    for name in (
        "jawOpen",
        "mouthFunnel",
        "mouthLowerDownLeft",
        "mouthLowerDownRight",
        "mouthUpperUpLeft",
        "mouthUpperUpRight",
    ):
        lips[:, CHANNEL_INDEX[name]] = rng.uniform(0.1, 0.5)
    shut = close_lips(lips, phones(("AA", 0.0, 1.0), (phone, 1.0, 1.0 + length_s), ("AA", 1.0 + length_s, 2.0)), 60)
    opening = aperture(full(shut))
    middle = round((1.0 + length_s / 2 - 0.01) * MODEL_FPS)
    assert opening[middle] < 0.05 * opening[5]
    np.testing.assert_array_equal(shut[:20], lips[:20])


def test_the_teacher_opens_for_vowels_and_rests_in_silence():
    teacher = CoarticulationTeacher()
    lips = teacher.lips(phones(("SIL", 0.0, 1.0), ("AE", 1.0, 1.4), ("SIL", 1.4, 3.0)), 90)
    lower = lips[:, CHANNEL_INDEX["mouthLowerDownLeft"]]
    assert lower[36] > 0.15
    assert lower[5] < 0.01
    assert lower[80] < 0.01
    assert (lips[:, CHANNEL_INDEX["mouthLowerDownLeft"]] == lips[:, CHANNEL_INDEX["mouthLowerDownRight"]]).all()


def speech_like(seconds: float) -> np.ndarray:
    """A buzz in syllables of 0.2 s, three quarters of the time, over a faint hiss."""
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    syllables = (np.sin(2 * np.pi * 4.0 * t) > -0.3) * (np.sin(2 * np.pi * 0.25 * t) > -0.7)
    buzz = np.sign(np.sin(2 * np.pi * (120.0 + 20.0 * np.sin(2 * np.pi * 0.5 * t)) * t)) * 0.1
    return (buzz * syllables + np.random.default_rng(0).standard_normal(len(t)) * 1e-4).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (speech_like(240.0), STATISTICS.blinks_per_minute_talking),
        (np.zeros(240 * SAMPLE_RATE, np.float32), STATISTICS.blinks_per_minute_rest),
    ],
    ids=["talking", "rest"],
)
def test_blinks_come_at_the_published_rates(samples, expected):
    features = extract(samples)
    talking = speech_activity(features).mean()
    expected = STATISTICS.blinks_per_minute_rest + talking * (
        STATISTICS.blinks_per_minute_talking - STATISTICS.blinks_per_minute_rest
    )
    blinks = []
    for seed in range(6):
        shut = stochastic_motion(features, np.random.default_rng(seed))[:, CHANNEL_INDEX["eyeBlinkLeft"]] > 0.5
        blinks.append((shut[1:] & ~shut[:-1]).sum())
    assert np.mean(blinks) / 4.0 == pytest.approx(expected, rel=0.12)


def test_the_head_moves_more_in_speech_than_at_rest_and_never_jumps():
    spoken, still = (extract(samples) for samples in (speech_like(120.0), np.zeros(120 * SAMPLE_RATE, np.float32)))
    rng = np.random.default_rng(0)
    talking, resting = (np.degrees(stochastic_motion(f, rng)[:, CHANNEL_INDEX["headYaw"]]) for f in (spoken, still))
    assert talking.std() > 1.5 * resting.std()
    assert np.abs(np.diff(talking)).max() * MODEL_FPS < 60.0


def test_gaze_and_eye_look_say_the_same():
    eyes = stochastic_motion(extract(speech_like(30.0)), np.random.default_rng(0))[:, channel_slice("eyes")]
    np.testing.assert_allclose(gaze_from_eye_look(eyes[:, :8]), eyes[:, -2:], atol=1e-5)


def test_silent_rooms_have_resting_lips_and_living_eyes():
    for performance in silent_performances(4, 20.0, np.random.default_rng(0)):
        assert performance.channels[:, channel_slice("lip")].max() == 0
        assert performance.channels[:, channel_slice("eyes")].std() > 0.01


def eye_statistics(lids: np.ndarray, gaze: np.ndarray, fps: float) -> dict[str, float]:
    """Blinks a minute, their median width at half depth (ms, long closures left out), spread of gaze (degrees),
    saccades a second.
    """
    edges = np.diff(np.concatenate([[0], (lids > 0.5).astype(int), [0]]))
    widths = (np.flatnonzero(edges < 0) - np.flatnonzero(edges > 0)) / fps
    fast = np.degrees(np.linalg.norm(np.diff(gaze, axis=0), axis=1)) * fps > 60.0
    minutes = len(lids) / fps / 60.0
    return {
        "blinks a minute": len(widths) / minutes,
        "blink ms": float(np.median(widths[widths < 0.5])) * 1000.0,
        "gaze degrees": float(np.degrees(gaze.std(axis=0)).mean()),
        "saccades a second": float((fast[1:] & ~fast[:-1]).sum()) / minutes / 60.0,
    }


def test_eyes_of_the_teacher_behave_as_captured_ones_do(shared_data):
    """Two recordings of one person are no norm: each statistic must lie within a factor of two of their range."""
    captured = []
    for path in sorted((shared_data / "livelink").glob("*.csv")):
        clip = read_live_link(path)
        captured.append(
            eye_statistics(clip["eyeBlinkLeft"], np.stack([clip["gazeYaw"], clip["gazePitch"]], 1), clip.fps)
        )
    rng = np.random.default_rng(0)
    taught = stochastic_motion(extract(rng.standard_normal(SAMPLE_RATE * 240).astype(np.float32) * 0.1), rng)
    gaze = taught[:, [CHANNEL_INDEX["gazeYaw"], CHANNEL_INDEX["gazePitch"]]]
    for name, value in eye_statistics(taught[:, CHANNEL_INDEX["eyeBlinkLeft"]], gaze, MODEL_FPS).items():
        low, high = (pick(figures[name] for figures in captured) for pick in (min, max))
        assert low / 2 <= value <= high * 2, (name, value, low, high)
