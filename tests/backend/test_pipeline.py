# SPDX-License-Identifier: GPL-3.0-or-later
"""What the model that is shipped does with real sound."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from blender_demo.backend.evaluation.measures import aperture, blinks_per_minute, closure_recall
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import (
    CHANNELS,
    FACTORS,
    LATENT_DIM,
    LIMITS,
    MODEL_FPS,
    channel_slice,
    gaze_from_eye_look,
)
from blender_demo.backend.pipeline import Generator, choose_device
from blender_demo.backend.settings import FactorControl, GenerationSettings

REPO = Path(__file__).resolve().parents[2]
SPEECH = REPO / "demo" / "speech.ogg"


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator("cpu")


def generate(generator: Generator, audio: Path, **settings) -> MotionClip:
    return generator.generate(audio, GenerationSettings(**settings), lambda stage, fraction: None).clip


@pytest.fixture(scope="module")
def take(generator) -> MotionClip:
    return generate(generator, SPEECH)


@pytest.fixture(scope="module")
def silent_room(generator, tmp_path_factory) -> MotionClip:
    path = tmp_path_factory.mktemp("sound") / "room.wav"
    soundfile.write(path, np.random.default_rng(0).standard_normal(16_000 * 60) * 0.01, 16_000)
    return generate(generator, path)


def test_a_take_lasts_as_long_as_its_recording_and_stays_within_limits(take):
    assert take.fps == MODEL_FPS
    assert take.duration_s == pytest.approx(soundfile.info(SPEECH).duration, abs=1.0 / MODEL_FPS)
    assert take.channels.shape == (len(take), len(CHANNELS))
    assert take.latents is not None
    assert take.latents.shape == (len(take), LATENT_DIM)
    for name, (low, high) in LIMITS.items():
        assert low <= take[name].min()
        assert take[name].max() <= high


def test_every_factor_moves(take):
    for factor in FACTORS:
        assert take.channels[:, channel_slice(factor.name)].std(axis=0).max() > 0.02, factor.name


def test_lips_shut_on_the_bilabials_of_the_demo(take):
    phones = json.loads(SPEECH.with_suffix(".phones.json").read_text())
    shut, total = closure_recall(aperture(take.channels), phones, take.fps)
    assert total >= 12
    assert shut / total >= 0.7


def test_the_mouth_rests_in_a_silent_room_while_blinks_go_on(silent_room):
    assert np.percentile(aperture(silent_room.channels), 99) < 0.02
    assert 8.0 <= blinks_per_minute(silent_room) <= 30.0


def test_blinks_shut_the_eyes(silent_room):
    lids = silent_room["eyeBlinkLeft"]
    assert lids.max() > 0.85


def test_eye_look_and_gaze_agree(take):
    eyes = take.channels[:, channel_slice("eyes")]
    np.testing.assert_allclose(gaze_from_eye_look(eyes[:, :8]), eyes[:, -2:], atol=1e-5)


def test_the_same_seed_gives_the_same_take_and_another_seed_another(generator, take):
    np.testing.assert_array_equal(generate(generator, SPEECH).channels, take.channels)
    assert np.abs(generate(generator, SPEECH, seed=1).channels - take.channels).max() > 0.05


def test_gain_scales_one_factor_and_leaves_the_others(generator, take):
    calm = GenerationSettings().factors | {"pose": FactorControl(gain=0.5)}
    clip = generate(generator, SPEECH, factors=calm)
    pose = channel_slice("pose")
    np.testing.assert_allclose(clip.channels[:, pose], 0.5 * take.channels[:, pose], atol=1e-6)
    others = np.ones(len(CHANNELS), bool)
    others[pose] = False
    np.testing.assert_array_equal(clip.channels[:, others], take.channels[:, others])


def test_progress_names_its_stages_in_order_and_ends_at_one(generator):
    seen: list[tuple[str, float]] = []
    generator.generate(SPEECH, GenerationSettings(), lambda stage, fraction: seen.append((stage, fraction)))
    assert list(dict.fromkeys(stage for stage, _ in seen)) == ["audio", "flow", "decode"]
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_a_device_that_is_not_there_is_replaced_and_named(generator):
    missing = next(name for name in ("mps", "cuda") if choose_device(name).type != name)
    result = Generator(missing).generate(SPEECH, replace(GenerationSettings(), steps=1), lambda stage, fraction: None)
    assert missing in result.notes[0]
    assert result.device in result.notes[0]
