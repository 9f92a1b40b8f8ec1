# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from blender_demo.backend.evaluation.measures import aperture
from blender_demo.backend.motion.factors import CHANNEL_INDEX, CHANNELS, channel_slice
from blender_demo.backend.settings import EMOTIONS
from blender_demo.backend.training.emotion import show_emotion


@pytest.fixture
def speech() -> np.ndarray:
    """A jaw that opens and shuts, lips shut at every trough, a nodding head and a few blinks."""
    t = np.arange(300) / 30.0
    channels = np.zeros((300, len(CHANNELS)), np.float32)
    channels[:, CHANNEL_INDEX["jawOpen"]] = np.clip(np.sin(2 * np.pi * 2 * t), 0, 1) * 0.4
    channels[:, CHANNEL_INDEX["headPitch"]] = 0.05 * np.sin(2 * np.pi * 0.5 * t)
    channels[::90, CHANNEL_INDEX["eyeBlinkLeft"]] = 1.0
    channels[:, channel_slice("expression")] = 0.1
    return channels


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_every_emotion_shows_in_the_expression_and_grows_with_intensity(speech, emotion):
    mild, strong = (show_emotion(speech, emotion, i, np.random.default_rng(0)) for i in (0.3, 1.0))
    face = [*range(*channel_slice("expression").indices(60)), *range(*channel_slice("lip").indices(60))]
    change = [np.abs(x[:, face] - speech[:, face]).mean() for x in (mild, strong)]
    assert change[1] > 1.5 * change[0] > 0
    assert strong.min() >= -1.0
    assert strong[:, : CHANNEL_INDEX["headYaw"]].max() <= 1.0


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_lips_that_are_shut_stay_shut(speech, emotion):
    shut = speech[:, CHANNEL_INDEX["jawOpen"]] == 0
    shown = aperture(show_emotion(speech, emotion, 1.0, np.random.default_rng(0)))
    assert shown[shut].max() < 0.1 * np.percentile(shown, 95)


def test_a_neutral_face_is_calmer_than_one_that_prosody_drives(speech):
    calm = show_emotion(speech, None, 0.0, np.random.default_rng(0))
    expression = channel_slice("expression")
    assert np.abs(calm[:, expression]).mean() < np.abs(speech[:, expression]).mean()
    np.testing.assert_array_equal(calm[:, channel_slice("lip")], speech[:, channel_slice("lip")])


def test_a_happy_face_smiles_and_a_sad_one_frowns(speech):
    happy, sad = (show_emotion(speech, e, 1.0, np.random.default_rng(0)) for e in ("happy", "sad"))
    assert happy[:, CHANNEL_INDEX["mouthSmileLeft"]].mean() > 0.3 > sad[:, CHANNEL_INDEX["mouthSmileLeft"]].mean()
    assert sad[:, CHANNEL_INDEX["mouthFrownLeft"]].mean() > 0.2
