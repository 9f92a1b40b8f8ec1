# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer's folder becomes aligned takes with all captured factors, and says what is wrong with it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from blender_demo.backend.errors import ClipError, DemoError
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNEL_INDEX, CHANNELS, channel_slice
from blender_demo.backend.motion.livelink import write_live_link
from blender_demo.backend.training.captured import captured_lips
from blender_demo.backend.training.performer import captured_channels, load_performer

RATE = 22_050


def loudness(t: np.ndarray, seed: int) -> np.ndarray:
    """Made-up syllables (N,) 0..1 that never repeat, for times up to 12 s."""
    rng = np.random.default_rng(seed)
    grid = np.arange(-1.0, 12.0, 0.01)
    out = np.zeros_like(grid)
    for start in np.cumsum(rng.uniform(0.12, 0.6, 30)):
        out = np.maximum(out, rng.uniform(0.3, 1.0) * np.exp(-(((grid - start) / 0.06) ** 2)))
    return np.interp(t, grid, out)


def add_take(
    folder: Path, name: str, seconds=6.0, motion_seconds=None, offset_s=0.0, fps=60.0, seed=0, sound=".wav", **channels
) -> MotionClip:
    """A buzzing recording and the face that goes with it; `offset_s` into the sound the motion begins."""
    t = np.arange(int(seconds * RATE)) / RATE
    buzz = np.sign(np.sin(2 * np.pi * 120 * t)) * 0.2
    soundfile.write(folder / f"{name}{sound}", buzz * (0.01 + loudness(t, seed)), RATE)
    frames = np.arange(int((motion_seconds or seconds) * fps)) / fps
    values = np.zeros((len(frames), len(CHANNELS)), np.float32)
    values[:, CHANNEL_INDEX["jawOpen"]] = 0.1 + 0.5 * loudness(frames + offset_s, seed)
    for channel, curve in channels.items():
        values[:, CHANNEL_INDEX[channel]] = curve(frames)
    clip = MotionClip(fps=fps, channels=values)
    write_live_link(clip, folder / f"{name}.csv")
    return clip


def test_takes_come_in_with_every_factor_that_moves_and_one_in_five_is_held_out(tmp_path):
    for i in range(6):
        add_take(tmp_path, f"take{i}", 2.0, seed=i, headYaw=np.sin, browInnerUp=lambda t: 0.1 + 0.05 * t, sound=".flac")
    takes = load_performer(tmp_path)
    assert [take.utterance.name for take in takes] == [f"take{i}" for i in range(6)]
    assert [take.utterance.split for take in takes] == ["train"] * 4 + ["val", "train"]
    for take in takes:
        assert take.factors == ("lip", "pose", "expression")
        assert take.utterance.captured.values.shape[0] == len(take.utterance) == 60
        assert take.notes == (f"{take.utterance.name}.csv has no motion of eyes: the model keeps its own there.",)


def test_the_last_of_few_takes_is_held_out(tmp_path):
    add_take(tmp_path, "a", 2.0, seed=1)
    add_take(tmp_path, "b", 2.0, seed=2)
    assert [take.utterance.split for take in load_performer(tmp_path)] == ["train", "val"]


def test_motion_keeps_its_values_and_times_at_the_model_s_rate(tmp_path):
    clip = add_take(tmp_path, "a", 3.0, headYaw=lambda t: 0.3 * np.sin(3 * t))
    add_take(tmp_path, "b", 3.0)
    captured = load_performer(tmp_path)[0].utterance.captured
    np.testing.assert_allclose(captured.values[:, captured.names.index("headYaw")], clip["headYaw"][::2], atol=1e-5)


@pytest.mark.parametrize("offset_s", [-0.5, 0.25, 0.75])
def test_an_offset_is_found_noted_and_undone(tmp_path, offset_s):
    add_take(tmp_path, "a", 10.0, 6.0, offset_s, seed=4)
    add_take(tmp_path, "b", 10.0, seed=5)
    started = load_performer(tmp_path)[0]
    assert started.offset_s == 0.0
    assert started.estimated_offset_s == pytest.approx(offset_s, abs=0.02)
    assert any("check the offset" in note for note in started.notes)

    for take in (load_performer(tmp_path, offset_ms=None)[0], load_performer(tmp_path, offset_ms=1000 * offset_s)[0]):
        assert take.offset_s == pytest.approx(offset_s, abs=0.02)
        assert not any("check the offset" in note for note in take.notes)
        assert len(take.utterance) == pytest.approx((6.0 + min(0.0, offset_s)) * 30, abs=1)
        jaw = take.utterance.captured.values[:, 0]
        assert np.corrcoef(jaw, take.utterance.features.energy.mean(axis=1))[0, 1] > 0.8


def test_sound_without_motion_is_cut_off_and_noted(tmp_path):
    add_take(tmp_path, "a", 5.0, 3.0)
    add_take(tmp_path, "b", 3.0, 5.0)
    short, long = load_performer(tmp_path)
    assert "a.csv does not cover its sound: 2.00 s of the sound are not used." in short.notes
    assert len(short.utterance) == len(long.utterance) == 90
    assert len(short.utterance.features.mel) == 4 * 90
    assert not any("cover" in note for note in long.notes)


def test_a_motion_clip_serves_as_well_as_a_recording(tmp_path):
    clip = add_take(tmp_path, "a", 2.0, headYaw=np.sin)
    add_take(tmp_path, "b", 2.0)
    from_csv = load_performer(tmp_path)[0].utterance.captured
    (tmp_path / "a.csv").unlink()
    clip.save(tmp_path / "a.npz")
    from_clip = load_performer(tmp_path)[0].utterance.captured
    assert from_csv.names == from_clip.names
    np.testing.assert_allclose(from_csv.values, from_clip.values, atol=1e-6)


def test_channels_are_deviations_from_rest_and_shut_lids_stay_shut(tmp_path):
    def blink(t):
        return np.where((t > 1.0) & (t < 1.2), 1.0, 0.12)

    add_take(
        tmp_path, "a", 4.0, eyeBlinkLeft=blink, headPitch=lambda t: 0.3 + 0.1 * np.sin(2 * t), gazeYaw=lambda t: 0.2
    )
    add_take(tmp_path, "b", 4.0)
    utterance = load_performer(tmp_path)[0].utterance
    channels = captured_channels(utterance)
    lids = channels[:, CHANNEL_INDEX["eyeBlinkLeft"]]
    assert lids[0] == pytest.approx(0.0, abs=1e-5)
    assert lids.max() == pytest.approx(1.0, abs=1e-5)
    assert np.median(channels[:, CHANNEL_INDEX["headPitch"]]) == pytest.approx(0.0, abs=1e-5)
    assert np.ptp(channels[:, CHANNEL_INDEX["headPitch"]]) == pytest.approx(0.2, abs=0.01)
    assert not channels[:, CHANNEL_INDEX["gazeYaw"]].any()
    assert not channels[:, channel_slice("expression")].any()
    np.testing.assert_array_equal(channels[:, channel_slice("lip")], captured_lips(utterance))


def test_a_folder_without_pairs_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(DemoError, match="does not exist"):
        load_performer(tmp_path / "missing")
    with pytest.raises(DemoError, match=r"has no takes with both.*Put take1\.wav beside take1\.csv"):
        load_performer(tmp_path)
    add_take(tmp_path, "a", 2.0)
    (tmp_path / "a.csv").rename(tmp_path / "other.csv")
    add_take(tmp_path, "b", 2.0)
    with pytest.raises(DemoError, match="has 1 takes with both sound and motion; at least two"):
        load_performer(tmp_path)


def test_sound_and_motion_that_hardly_overlap_are_refused(tmp_path):
    add_take(tmp_path, "a", 4.0, 0.5)
    add_take(tmp_path, "b", 4.0)
    with pytest.raises(DemoError, match=r"a\.csv and a\.wav share less than 1 s"):
        load_performer(tmp_path)
    add_take(tmp_path, "a", 4.0)
    with pytest.raises(DemoError, match=r"begins 3\.50 s into the sound"):
        load_performer(tmp_path, offset_ms=3500)


def test_a_still_face_and_a_partial_clip_are_refused(tmp_path):
    add_take(tmp_path, "a", 2.0, jawOpen=lambda t: 0.1, headYaw=np.sin)
    add_take(tmp_path, "b", 2.0)
    with pytest.raises(DemoError, match=r"lips never move in .*a\.csv"):
        load_performer(tmp_path)
    (tmp_path / "a.csv").unlink()
    MotionClip(fps=30.0, channels=np.zeros((60, 1), np.float32), names=("jawOpen",)).save(tmp_path / "a.npz")
    with pytest.raises(ClipError, match=r"a\.npz lacks some of the 60 channels"):
        load_performer(tmp_path)
