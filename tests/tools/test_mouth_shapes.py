# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames that a contact sheet shows."""

import json
from itertools import pairwise

import numpy as np
import pytest

from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNEL_INDEX, CHANNELS
from tools.make_recording import FOLDER, phone_times
from tools.mouth_shapes import Phone, choose_frames, load_phones, phone_at

PHONES = load_phones(FOLDER / "speech.phones.json")


@pytest.fixture
def babble() -> MotionClip:
    """Lips that wander, and shut at every M, B and P of the demo recording."""
    frames = round(PHONES[-1].end_s * 24)
    values = np.zeros((frames, len(CHANNELS)), np.float32)
    noise = np.random.default_rng(0).random((frames, 4)).astype(np.float32)
    values[:, [CHANNEL_INDEX[name] for name in ("jawOpen", "mouthPucker", "mouthSmileLeft", "mouthSmileRight")]] = noise
    values[:, CHANNEL_INDEX["jawOpen"]] += 0.1
    for phone in PHONES:
        if phone.name in "MBP":
            values[round(24 * (phone.start_s + phone.end_s) / 2)] = 0.0
    return MotionClip(fps=24.0, channels=values.clip(0.0, 1.0))


def test_frames_are_distinct_and_in_order(babble):
    frames = choose_frames(babble, PHONES)
    assert len(frames) == 12
    assert (np.diff(frames) >= 3).all()


def test_three_closures_are_among_them(babble):
    shut = [frame for frame in choose_frames(babble, PHONES) if not babble.channels[frame].any()]
    assert len(shut) >= 3


def test_no_frame_is_in_a_pause(babble):
    times = [frame / babble.fps for frame in choose_frames(babble, PHONES)]
    assert "SIL" not in {phone_at(PHONES, time) for time in times}


def test_without_phones_twelve_frames_are_still_found(babble):
    assert len(choose_frames(babble, ())) == 12


def test_a_short_clip_gives_what_it_has(babble):
    assert len(choose_frames(babble.with_channels(babble.channels[:5]), ())) <= 2


def test_phones_of_the_recording_fill_it_without_gaps():
    entries = json.loads((FOLDER / "speech.phones.json").read_text())
    assert entries[0][1] == 0.0
    assert all(before[2] == after[1] for before, after in pairwise(entries))


def test_the_recording_has_the_sounds_that_show():
    names = [phone.name for phone in PHONES]
    assert sum(name in "MBP" for name in names) >= 12
    assert {"F", "V", "UW", "IY", "AA", "OW", "W"} <= set(names)


def test_phone_times_add_up_over_utterances():
    assert phone_times("pau:0.1 hh:0.25\n\npau:0.2 ow:0.5\n") == [
        ("SIL", 0.0, 0.1), ("HH", 0.1, 0.25), ("SIL", 0.25, 0.45), ("OW", 0.45, 0.75),
    ]
    assert phone_at((Phone("OW", 0.45, 0.75),), 0.5) == "OW"
