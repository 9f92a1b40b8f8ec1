# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is shifted, smoothed or held: what shuts in the clip shuts in the bake."""

import numpy as np
import pytest

from blender_demo.backend.errors import BakeError
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNELS
from blender_demo.scene.bake_options import BakeOptions, FactorBake
from blender_demo.scene.conditioning import condition

CLOSED = (31, 62, 93)
"""Frames on which the talking mouth is shut, for one frame each."""


def _talk(frames: int = 120) -> MotionClip:
    """An open mouth that shuts now and then, a blink, and trembling brows."""
    channels = np.zeros((frames, len(CHANNELS)), np.float32)
    jaw = np.full(frames, 0.6, np.float32)
    for frame in CLOSED:
        jaw[[frame - 1, frame + 1]] = 0.3
        jaw[frame] = 0.0
    channels[:, CHANNELS.index("jawOpen")] = jaw
    channels[47, [CHANNELS.index("eyeBlinkLeft"), CHANNELS.index("eyeBlinkRight")]] = 1.0
    channels[:, CHANNELS.index("browInnerUp")] = 0.5 + 0.4 * (np.arange(frames) % 2)
    return MotionClip(30.0, channels)


def _all(**values: object) -> dict[str, FactorBake]:
    return dict.fromkeys(("lip", "pose", "eyes", "expression"), FactorBake(**values))  # pyright: ignore


@pytest.mark.parametrize("smoothing_ms", [40.0, 120.0, 400.0])
def test_smoothing_takes_the_tremor_and_leaves_the_closures(smoothing_ms: float) -> None:
    clip = _talk()
    smooth = condition(clip, BakeOptions(factors=_all(smoothing_ms=smoothing_ms)), 30.0)
    assert [smooth["jawOpen"][frame] for frame in CLOSED] == pytest.approx([0.0] * 3, abs=1e-6)
    assert smooth["eyeBlinkLeft"][47] == pytest.approx(1.0, abs=1e-6)
    assert np.ptp(smooth["browInnerUp"][20:100]) < np.ptp(clip["browInnerUp"])
    assert smooth["jawOpen"][10] == pytest.approx(0.6, abs=1e-5)


def test_smoothing_delays_nothing() -> None:
    clip = _talk()
    bump = clip.channels.copy()
    bump[:, CHANNELS.index("browInnerUp")] = np.exp(-0.5 * ((np.arange(120) - 60) / 6.0) ** 2)
    smooth = condition(MotionClip(30.0, bump), BakeOptions(factors=_all(smoothing_ms=300.0)), 30.0)["browInnerUp"]
    assert np.argmax(smooth) == 60
    assert np.allclose(smooth[40:60], smooth[80:60:-1], atol=1e-6)


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0])
@pytest.mark.parametrize("offset_ms", [-100.0, 0.0, 100.0, 37.0])
def test_a_factor_comes_later_or_earlier_and_still_shuts(fps: float, offset_ms: float) -> None:
    factors = {**BakeOptions().factors, "lip": FactorBake(offset_ms=offset_ms)}
    moved = condition(_talk(), BakeOptions(factors=factors), fps)
    for frame in CLOSED:
        at = (frame / 30.0 + offset_ms / 1000.0) * fps
        near = np.arange(max(int(at) - 1, 0), int(at) + 3)
        assert moved["jawOpen"][near].min() < 0.02
        assert abs(near[moved["jawOpen"][near].argmin()] - at) <= 0.75 * max(fps / 30.0, 1.0)
    plain = condition(_talk(), BakeOptions(), fps)
    assert np.array_equal(moved["browInnerUp"], plain["browInnerUp"])
    assert len(moved) == len(plain)


@pytest.mark.parametrize("step", [2, 3, 4, 5])
def test_a_closure_inside_a_hold_is_what_is_held(step: int) -> None:
    held = condition(_talk(), BakeOptions(step=step, interpolation="CONSTANT"), 30.0)
    for frame in CLOSED:
        window = slice(frame // step * step, frame // step * step + step)
        assert np.array_equal(held["jawOpen"][window], np.zeros(step, np.float32))
    assert held["eyeBlinkLeft"][47 // step * step] == 1.0
    for start in range(0, 120, step):
        window = held.channels[start : start + step]
        assert np.array_equal(window, np.repeat(window[:1], len(window), axis=0))


def test_without_a_closure_the_middle_of_a_hold_is_held() -> None:
    ramp = np.zeros((30, len(CHANNELS)), np.float32)
    ramp[:, [CHANNELS.index("jawOpen"), CHANNELS.index("browInnerUp")]] = (np.arange(30) / 30.0)[:, None]
    held = condition(MotionClip(30.0, ramp), BakeOptions(step=3, interpolation="CONSTANT"), 30.0)
    assert held["jawOpen"][6:9].tolist() == pytest.approx([7.0 / 30.0] * 3)
    assert held["browInnerUp"][6:9].tolist() == pytest.approx([7.0 / 30.0] * 3)


@pytest.mark.parametrize("step", [2, 3, 4])
def test_closures_between_sparse_keys_are_keyed(step: int) -> None:
    keyed = condition(_talk(), BakeOptions(step=step), 30.0)["jawOpen"][::step]
    for frame in CLOSED:
        assert keyed[max(frame // step - 1, 0) : frame // step + 2].min() == 0.0


def test_only_the_range_is_left_and_none_is_refused() -> None:
    clip = _talk()
    part = condition(clip, BakeOptions(start_frame=11.0, first=20.0, last=29.0), 30.0)
    assert np.array_equal(part["jawOpen"], clip["jawOpen"][9:19])
    with pytest.raises(BakeError, match="hold nothing of the take"):
        condition(clip, BakeOptions(first=500.0), 30.0)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"step": -1}, "step"),
        ({"target": "MOON"}, "NLA, NEW, ACTIVE"),
        ({"interpolation": "SINE"}, "LINEAR, BEZIER, CONSTANT"),
        ({"ease_s": float("nan")}, "ease"),
        ({"first": float("inf")}, "first and last"),
        ({"factors": {"nose": FactorBake()}}, "no factor 'nose'"),
    ],
)
def test_options_that_make_no_sense_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(BakeError, match=words):
        BakeOptions(**values)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("values", [{"gain": 9.0}, {"offset_ms": 1e9}, {"smoothing_ms": -1.0}, {"blend": "MULTIPLY"}])
def test_a_factor_that_makes_no_sense_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(BakeError, match="of a factor"):
        FactorBake(**values)  # pyright: ignore[reportArgumentType]
