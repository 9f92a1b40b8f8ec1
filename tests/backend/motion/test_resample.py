# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change of frame rate must keep: closures, blinks, smoothness, limits and length."""

import numpy as np
import pytest

from blender_demo.backend.errors import ClipError
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNELS, LATENT_DIM, LIMITS, channel_slice
from blender_demo.backend.motion.resample import resample

RATES = (24.0, 24000 / 1001, 25.0, 30.0, 50.0, 60.0)
SOURCE_RATES = (25.0, 30.0, 60.0)
CLOSURE_S = 0.060


def clip_of(fps: float, seconds: float, **channels) -> MotionClip:
    """A clip whose named channels follow functions of time in seconds; all others rest."""
    t = np.arange(round(seconds * fps)) / fps
    values = np.zeros((len(t), len(CHANNELS)), dtype=np.float32)
    for name, curve in channels.items():
        values[:, CHANNELS.index(name)] = curve(t)
    return MotionClip(fps=fps, channels=values)


def held(start_s: float, outside: float, inside: float, ramp_s: float = 0.05):
    """A curve that is `outside`, ramps to `inside`, holds it for CLOSURE_S from `start_s`, and ramps back."""
    corners = [start_s - ramp_s, start_s, start_s + CLOSURE_S, start_s + CLOSURE_S + ramp_s]
    return lambda t: np.interp(t, corners, [outside, inside, inside, outside])


def phases():
    """Starts of a closure that fall everywhere between the frames of all rates."""
    return 0.5 + np.arange(100) * 0.1 / 99


def random_clip(seed: int, fps: float = 30.0, frames: int = 200) -> MotionClip:
    """Motion with jumps and spikes, within the limits of all channels."""
    rng = np.random.default_rng(seed)
    noise = np.cumsum(rng.normal(size=(frames, len(CHANNELS))), axis=0)
    noise += 5.0 * (rng.random(noise.shape) > 0.97)
    unit = (noise - noise.min(axis=0)) / np.ptp(noise, axis=0)
    low, high = np.array([LIMITS[name] for name in CHANNELS]).T
    return MotionClip(fps=fps, channels=(low + unit * (high - low)).astype(np.float32))


@pytest.mark.parametrize("source_fps", SOURCE_RATES)
@pytest.mark.parametrize("fps", RATES)
def test_lip_closure_of_60_ms_closes_at_every_rate_and_phase(source_fps, fps):
    for start_s in phases():
        clip = clip_of(source_fps, 1.2, jawOpen=held(start_s, 0.4, 0.0), mouthClose=held(start_s, 0.0, 0.3))
        out = resample(clip, fps)
        assert out["jawOpen"].min() == pytest.approx(clip["jawOpen"].min(), abs=0.01)
        closed = out["jawOpen"] <= clip["jawOpen"].min() + 0.01
        assert out["mouthClose"][closed].max() == pytest.approx(clip["mouthClose"].max(), abs=0.01)


@pytest.mark.parametrize("name", ["mouthClose", "mouthPressLeft", "mouthRollLower"])
@pytest.mark.parametrize("fps", RATES)
def test_lips_shut_by_any_one_channel_stay_shut(name, fps):
    for start_s in phases():
        clip = clip_of(30.0, 1.2, **{name: held(start_s, 0.0, 0.8)})
        assert resample(clip, fps)[name].max() == pytest.approx(clip[name].max(), abs=2e-2)


@pytest.mark.parametrize("fps", RATES)
def test_blink_and_wink_close_the_lid_at_every_rate(fps):
    for start_s in phases():
        blink = clip_of(30.0, 1.2, eyeBlinkLeft=held(start_s, 0.05, 1.0), eyeBlinkRight=held(start_s, 0.05, 1.0))
        wink = clip_of(30.0, 1.2, eyeBlinkRight=held(start_s, 0.0, 1.0))
        for clip in (blink, wink):
            assert resample(clip, fps)["eyeBlinkRight"].max() == pytest.approx(clip["eyeBlinkRight"].max(), abs=2e-2)


@pytest.mark.parametrize("fps", RATES)
def test_every_closure_of_fast_babble_survives(fps):
    syllables = 0.3 + 0.16 * np.arange(20)
    for shift in np.linspace(0.0, 0.05, 11):
        edges = [(s + shift, s + shift + CLOSURE_S) for s in syllables]
        t = np.arange(120) / 30.0
        opening = np.min([np.interp(t, [a - 0.05, a, b, b + 0.05], [1, 0, 0, 1]) for a, b in edges], axis=0) * 0.5
        out = resample(clip_of(30.0, 4.0, jawOpen=lambda _, opening=opening: opening), fps)
        times = np.arange(len(out)) / out.fps
        for a, b in edges:
            assert out["jawOpen"][(times > a - 0.03) & (times < b + 0.03)].min() < 0.06


@pytest.mark.parametrize("fps", [24.0, 24000 / 1001, 25.0])
def test_a_closed_frame_takes_all_lip_channels_from_one_instant(fps):
    for start_s in phases()[::7]:
        shape = {"jawOpen": held(start_s, 0.4, 0.0), "mouthClose": held(start_s, 0.0, 0.2)}
        clip = clip_of(30.0, 1.2, **shape, mouthPucker=lambda t: 0.3 + 0.2 * np.sin(9.0 * t))
        lips, instants = resample(clip, fps).factor("lip"), resample(clip, 3000.0).factor("lip")
        closed = lips[lips[:, 0].argmin()]
        assert np.abs(instants - closed).max(axis=1).min() < 2e-3


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("seed", range(5))
def test_no_value_leaves_the_range_of_its_channel(fps, seed):
    clip = random_clip(seed)
    out = resample(clip, fps)
    assert (out.channels >= clip.channels.min(axis=0)).all()
    assert (out.channels <= clip.channels.max(axis=0)).all()


def test_a_step_makes_no_ripples():
    clip = clip_of(60.0, 2.0, browInnerUp=lambda t: np.where(t < 1.0, 0.25, 0.75))
    for fps in RATES:
        out = resample(clip, fps)["browInnerUp"]
        assert (np.diff(out) >= 0.0).all()
        assert out[0] == np.float32(0.25)
        assert out[-1] == np.float32(0.75)


@pytest.mark.parametrize("fps", RATES)
def test_frames_keep_their_order(fps):
    """A channel that only rises does so still, though closures move frames about."""
    for start_s in phases()[::9]:
        clip = clip_of(30.0, 1.2, jawOpen=held(start_s, 0.4, 0.0), mouthSmileLeft=lambda t: t / 1.2)
        assert (np.diff(resample(clip, fps)["mouthSmileLeft"]) >= 0.0).all()


@pytest.mark.parametrize(("source_fps", "fps", "hertz"), [(60.0, 24.0, 20.0), (60.0, 25.0, 21.0), (120.0, 30.0, 40.0)])
def test_what_the_new_rate_cannot_carry_is_removed(source_fps, fps, hertz):
    clip = clip_of(source_fps, 4.0, browInnerUp=lambda t: 0.5 + 0.4 * np.sin(2 * np.pi * hertz * t))
    assert np.ptp(resample(clip, fps)["browInnerUp"][10:-10]) < 0.1 * 0.8


@pytest.mark.parametrize("source_fps", SOURCE_RATES)
@pytest.mark.parametrize("fps", RATES)
def test_head_and_gaze_keep_the_course_of_natural_motion(source_fps, fps):
    def nod(t):
        return 0.3 * np.sin(2 * np.pi * 1.5 * t)

    clip = clip_of(source_fps, 4.0, headPitch=nod, gazeYaw=nod)
    out = resample(clip, fps)
    t = np.arange(len(out)) / out.fps
    inner = (t > 0.3) & (t < 3.7)
    for name in ("headPitch", "gazeYaw"):
        assert np.abs(out[name] - nod(t))[inner].max() < 0.01


def test_head_and_gaze_do_not_jerk_where_lips_close_or_eyes_blink():
    def turn(t):
        return 0.3 * np.sin(2.0 * t)

    for start_s in phases()[::9]:
        events = {"jawOpen": held(start_s, 0.5, 0.0), "eyeBlinkLeft": held(start_s, 0.0, 1.0)}
        eventful = resample(clip_of(30.0, 1.2, headYaw=turn, gazeYaw=turn, **events), 24.0)
        quiet = resample(clip_of(30.0, 1.2, headYaw=turn, gazeYaw=turn), 24.0)
        for name in ("headYaw", "gazeYaw"):
            np.testing.assert_array_equal(eventful[name], quiet[name])


def test_the_own_rate_changes_no_bit():
    clip = random_clip(3)
    latents = np.ones((len(clip), LATENT_DIM), dtype=np.float32)
    clip = MotionClip(fps=30.0, channels=clip.channels, latents=latents, audio_hash="abc")
    out = resample(clip, 30.0)
    np.testing.assert_array_equal(out.channels, clip.channels)
    assert out.latents is not None
    assert out.audio_hash == "abc"


def test_twice_the_rate_passes_through_every_source_frame():
    clip = random_clip(4)
    np.testing.assert_array_equal(resample(clip, 60.0).channels[::2], clip.channels)


def test_more_frames_make_no_new_peaks():
    clip = random_clip(5, fps=25.0)
    pose = channel_slice("pose")
    out = resample(clip, 100.0).channels[:, pose]

    def turns(values):
        steps = np.sign(np.diff(values, axis=0))
        return sum(int((np.diff(column[column != 0]) != 0).sum()) for column in steps.T)

    assert turns(out) == turns(clip.channels[:, pose])


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("frames", [1, 2, 3, 7, 359, 1000])
def test_duration_is_kept_to_half_a_frame(fps, frames):
    clip = random_clip(6, frames=1000)
    clip = clip.with_channels(clip.channels[:frames])
    assert abs(resample(clip, fps).duration_s - clip.duration_s) <= 0.5 / min(fps, 30.0) + 1e-9


def test_an_empty_clip_stays_empty():
    assert len(resample(MotionClip(fps=30.0, channels=np.zeros((0, len(CHANNELS)), np.float32)), 24.0)) == 0


def test_a_clip_with_a_few_channels_is_resampled_too():
    jaw = np.array([[0.5], [0.5], [0.0], [0.5], [0.5]], dtype=np.float32)
    clip = MotionClip(fps=30.0, channels=jaw, names=("jawOpen",))
    assert resample(clip, 24.0).channels.min() == 0.0
    assert resample(MotionClip(fps=30.0, channels=jaw, names=("custom",)), 24.0).names == ("custom",)


@pytest.mark.parametrize("fps", [0.0, -24.0, float("nan"), float("inf")])
def test_an_impossible_rate_is_refused(fps):
    with pytest.raises(ClipError, match="frame rate"):
        resample(random_clip(0), fps)


def test_the_past_does_not_depend_on_the_distant_future():
    clip = random_clip(7, frames=900)
    whole = resample(clip, 24.0).channels
    head = resample(clip.with_channels(clip.channels[:600]), 24.0).channels
    np.testing.assert_allclose(head[:460], whole[:460], atol=1e-6)
