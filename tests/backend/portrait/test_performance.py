# SPDX-License-Identifier: GPL-3.0-or-later
"""A clip on the face of a picture."""

import numpy as np
import pytest

from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import ARKIT_NAMES
from blender_demo.backend.portrait.controls import PortraitControls
from blender_demo.backend.portrait.fit import HeadFit
from blender_demo.backend.portrait.performance import perform

from .heads import both, clip_of, fit_with

BILABIAL = {"jawOpen": 0.2, "mouthClose": 0.2, "mouthRollLower": 0.2, **both("mouthPress", 0.2)}


def lips(fit: HeadFit, clip: MotionClip) -> np.ndarray:
    return load_head().aperture(perform(fit, clip).weights, fit.identity)


def test_a_clip_at_rest_leaves_the_picture_as_it_is():
    fit = fit_with(jawOpen=0.2, eyeLookInLeft=0.2, **both("mouthSmile", 0.5), **both("eyeWide", 0.3))
    acts = perform(fit, clip_of({}, {}))
    assert np.array_equal(acts.weights, np.tile(fit.expression, (2, 1)))
    assert not acts.angles.any()
    assert not acts.lips.any()


def test_lips_open_in_the_picture_shut_where_the_clip_shuts_them():
    fit = fit_with(jawOpen=0.2, **both("mouthSmile", 0.6), **both("mouthLowerDown", 0.3))
    rest, shut, wide = lips(fit, clip_of({}, BILABIAL, {"jawOpen": 0.3}))
    assert rest > 0.05
    assert shut < 0.005
    assert wide > rest + 0.05


def test_a_smile_of_lips_at_rest_does_not_shut_those_of_the_picture():
    rest, smiling = lips(fit_with(jawOpen=0.2), clip_of({}, both("mouthSmile", 0.5)))
    assert smiling > 0.7 * rest


@pytest.mark.parametrize("pictured", [{}, both("eyeWide", 0.7), both("eyeSquint", 0.6), both("eyeBlink", 0.4)])
def test_lids_shut_in_a_blink_however_open_they_are_in_the_picture(pictured: dict[str, float]):
    fit = fit_with(**pictured)
    acts = perform(fit, clip_of({}, both("eyeBlink", 0.5), both("eyeBlink", 1.0)))
    rest, half, shut = load_head().lid_opening(acts.weights, fit.identity)
    assert np.all(shut < 0.01)
    assert np.all((half < 0.8 * rest) & (half > 0.2 * rest))


def test_gains_weigh_factors_apart():
    clip = clip_of({"jawOpen": 0.4, "headYaw": 0.2, "gazeYaw": 0.2, "browInnerUp": 0.4})
    acts = perform(fit_with(), clip, PortraitControls(lip=0.0, pose=0.5, eyes=0.0, expression=1.5))
    assert acts.weights[0, ARKIT_NAMES.index("jawOpen")] == 0
    assert acts.angles[0, 0] == pytest.approx(0.1)
    assert not acts.gaze.any()
    assert acts.weights[0, ARKIT_NAMES.index("browInnerUp")] == pytest.approx(0.6)


def test_offsets_turn_head_and_eyes_and_blinks_shut_the_lids():
    controls = PortraitControls(gaze_offset=(0.1, -0.05), head_offset=(0.2, 0.0, 0.1), blinks=(0.5,))
    acts = perform(fit_with(), clip_of(*[{}] * 24), controls)
    assert np.allclose(acts.gaze, [0.1, -0.05], atol=1e-6)
    assert np.allclose(acts.angles, [0.2, 0.0, 0.1])
    assert acts.lids[12].max() < 0.01
    assert acts.lids[4].min() > 0.9
