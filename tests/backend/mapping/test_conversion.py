# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels become mixtures: near to the motion of the head model, within limits, smooth, and lips shut."""

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.mapping.conversion import convert, face_motion, least_squares_in_box, meanings_matrix
from blender_demo.backend.mapping.names import recognize
from blender_demo.backend.motion.factors import ARKIT_NAMES

OCULUS = [f"viseme_{n}" for n in ("PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U")]
VOWELS = ["A", "I", "U", "E", "O"]


def _meanings(names: list[str]) -> list[dict[str, float]]:
    known = recognize(names)
    return [dict(known[name].channels) for name in names]


def _convert(channels: np.ndarray, meanings: list[dict[str, float]]) -> np.ndarray:
    return convert(channels, meanings, np.zeros(len(meanings)), np.ones(len(meanings)))


@pytest.fixture
def speech() -> np.ndarray:
    """Lips (T, 52) that open, round, spread and shut as in speech."""
    seconds = np.arange(300) / 30.0
    channels = np.zeros((300, 52), np.float32)
    opening = 0.5 * np.clip(np.sin(2 * np.pi * 2.3 * seconds), 0.0, 1.0)
    rounding = np.clip(np.sin(2 * np.pi * 0.7 * seconds), 0.0, 1.0)
    shut = np.clip(np.sin(2 * np.pi * 1.1 * seconds) * 4.0 - 3.0, 0.0, 1.0)
    tracks = {
        "jawOpen": opening, "mouthPucker": 0.7 * rounding * (1 - shut), "mouthFunnel": 0.4 * rounding * (1 - shut),
        "mouthStretchLeft": 0.4 * (1 - rounding), "mouthStretchRight": 0.4 * (1 - rounding),
        "mouthClose": opening * shut,
    }  # fmt: skip
    for name, track in tracks.items():
        channels[:, ARKIT_NAMES.index(name)] = track
    return channels


def test_the_solution_is_the_best_within_its_limits() -> None:
    random = np.random.default_rng(0)
    for _ in range(10):
        matrix, target = random.normal(size=(30, 8)), random.normal(size=(30, 5))
        low, high = -random.uniform(0, 0.2, 8), random.uniform(0.05, 0.4, 8)
        found = least_squares_in_box(matrix.T @ matrix, matrix.T @ target, low, high)
        for column in range(5):
            best = lsq_linear(matrix, target[:, column], (low, high), tol=1e-12)
            assert found[:, column] == pytest.approx(best.x, abs=2e-3)


def test_single_channels_stay_what_they_are(speech: np.ndarray) -> None:
    names = ["jawOpen", "mouthPucker", "mouthFunnel", "mouthStretchLeft", "mouthStretchRight", "mouthClose"]
    shown = _convert(speech, [{name: 1.0} for name in names])
    assert shown == pytest.approx(speech[:, [ARKIT_NAMES.index(name) for name in names]], abs=0.05)


@pytest.mark.parametrize(
    "names", [OCULUS, VOWELS, ["mouthOpen", "mouthSmile"], ["jawOpen"]], ids=lambda n: f"{len(n)} keys"
)
def test_every_weight_stays_within_its_limits(speech: np.ndarray, names: list[str]) -> None:
    shown = _convert(3.0 * speech, _meanings(names))
    assert shown.min() >= 0.0
    assert shown.max() <= 1.0


def test_a_key_of_both_ways_shows_both() -> None:
    channels = meanings_matrix([{"mouthPucker": 0.8}, {"mouthStretchLeft": 0.8, "mouthStretchRight": 0.8}])
    meanings = [{"mouthStretchLeft": 1.0, "mouthStretchRight": 1.0, "mouthPucker": -1.0}]
    narrow, wide = convert(channels, meanings, np.array([-1.0]), np.array([1.0]))[:, 0]
    assert narrow < -0.3
    assert wide > 0.3


@pytest.mark.parametrize(("names", "least"), [(OCULUS, 0.97), (VOWELS, 0.97)], ids=["visemes", "vowels"])
def test_the_mouth_opens_as_the_channels_open_it(speech: np.ndarray, names: list[str], least: float) -> None:
    head, meanings = load_head(), _meanings(names)
    wanted = head.aperture(speech)
    got = head.aperture((_convert(speech, meanings) @ meanings_matrix(meanings)).astype(np.float32))
    assert np.corrcoef(wanted, got)[0, 1] > least


@pytest.mark.parametrize("names", [OCULUS, VOWELS, ["jawOpen"]], ids=["visemes", "vowels", "jaw"])
def test_shut_lips_stay_shut_over_an_open_jaw(names: list[str]) -> None:
    head, meanings = load_head(), _meanings(names)
    jaw, shut = meanings_matrix([{"jawOpen": 0.3}, {"jawOpen": 0.3, "mouthClose": 0.3}])
    shown = _convert(np.stack([jaw, shut]), meanings) @ meanings_matrix(meanings)
    opened, closed = head.aperture(shown.astype(np.float32))
    assert opened > 0.1
    assert closed < 0.2 * opened


def test_a_smooth_clip_stays_smooth(speech: np.ndarray) -> None:
    times = np.arange(4 * len(speech) - 3) / 4.0
    finer = np.stack([np.interp(times, np.arange(len(speech)), track) for track in speech.T], axis=1)
    coarse, fine = (
        np.abs(np.diff(_convert(channels, _meanings(OCULUS)), axis=0)).max() for channels in (speech, finer)
    )
    assert fine < 0.5 * coarse, "a quarter of the way between frames must be a small part of the way"


def test_what_opens_most_opens_the_lips_of_the_model() -> None:
    opening = dict(zip(ARKIT_NAMES, face_motion().lips[:, 0], strict=True))
    assert max(opening, key=lambda name: opening[name]) == "jawOpen"
    assert min(opening, key=lambda name: opening[name]) == "mouthClose"


def test_looks_aside_and_a_tongue_are_told_though_no_skin_moves() -> None:
    meanings = [
        {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0}, {"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0},
        {"tongueOut": 1.0},
    ]  # fmt: skip
    shown = _convert(0.7 * meanings_matrix(meanings), meanings)
    assert shown == pytest.approx(0.7 * np.eye(3), abs=0.02)
