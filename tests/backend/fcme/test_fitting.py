# SPDX-License-Identifier: GPL-3.0-or-later
"""The fit of the head model takes apart what landmarks mix."""

import numpy as np
import pytest
import torch

from blender_demo.backend.fcme.fitting import LandmarkFit
from blender_demo.backend.motion.factors import CHANNEL_INDEX, CHANNELS, FACTORS, channel_slice, eye_look_from_gaze
from blender_demo.backend.training.observations import Observer


def made_up_motion(count: int) -> torch.Tensor:
    """Channels (count, 60): some shapes at random, head and gaze at random, lids and looks that fit the gaze."""
    out = torch.rand(count, len(CHANNELS)) * (torch.rand(count, len(CHANNELS)) < 0.2) * 0.8
    out[:, channel_slice("pose")] = torch.randn(count, 6) * torch.tensor([0.25, 0.15, 0.12, 0.04, 0.04, 0.04])
    gaze = (0.15 * torch.randn(count, 2)).clamp(-0.45, 0.45)
    eyes = channel_slice("eyes")
    out[:, eyes.start : eyes.start + 8] = torch.from_numpy(eye_look_from_gaze(gaze.numpy().astype(np.float32)))
    out[:, CHANNEL_INDEX["gazeYaw"]], out[:, CHANNEL_INDEX["gazePitch"]] = gaze.T
    return out


@pytest.fixture(scope="module")
def fit() -> LandmarkFit:
    torch.manual_seed(0)
    observer = Observer()
    fit = LandmarkFit()
    identity, distance = observer.people(1500)
    seen = observer.observe(torch.zeros(1500, len(CHANNELS)), identity, distance)
    fit.learn_people(seen.neutral, identity, distance)
    fit.learn_channels(made_up_motion(5000))
    return fit


def test_head_gaze_and_large_shapes_are_found_in_strangers(fit):
    torch.manual_seed(1)
    observer = Observer()
    channels = made_up_motion(60)
    seen = observer.observe(channels, *observer.people(60))
    left = (fit(seen.landmarks, seen.neutral) - channels).abs().mean(0)
    degrees = torch.rad2deg(left)
    assert degrees[channel_slice("pose")][:3].max() < 1.0
    assert degrees[[CHANNEL_INDEX["gazeYaw"], CHANNEL_INDEX["gazePitch"]]].max() < 2.0
    assert left[[CHANNEL_INDEX[name] for name in ("jawOpen", "eyeBlinkLeft")]].max() < 0.06


@pytest.mark.parametrize("factor", [f.name for f in FACTORS])
def test_one_factor_hardly_shows_in_the_others(fit, factor):
    torch.manual_seed(2)
    observer = Observer()
    first, other = made_up_motion(40), made_up_motion(40)
    second = first.clone()
    second[:, channel_slice(factor)] = other[:, channel_slice(factor)]
    person = observer.people(40)
    found = [
        fit(seen.landmarks, seen.neutral)
        for seen in (observer.observe(channels, *person, noise=False) for channels in (first, second))
    ]
    change = (found[1] - found[0]) / made_up_motion(2000).std(0)
    rms = {f.name: float(change[:, channel_slice(f.name)].square().mean().sqrt()) for f in FACTORS}
    own = rms.pop(factor)
    assert own > 0.5
    assert max(rms.values()) < 0.25 * own


def test_frames_are_fitted_alike_in_any_shape(fit):
    torch.manual_seed(3)
    observer = Observer()
    identity, distance = observer.people(1)
    seen = observer.observe(made_up_motion(6), identity.expand(6, -1), distance.expand(6))
    flat = fit(seen.landmarks, seen.neutral)
    shaped = fit(seen.landmarks.view(2, 3, 78, 2), seen.neutral[:1].expand(2, 3, -1, -1))
    assert shaped.shape == (2, 3, len(CHANNELS))
    torch.testing.assert_close(shaped.view(6, -1)[0], flat[0], atol=1e-3, rtol=0)
