# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion goes from any format to any other, and a file is there whole or not at all."""

import errno
from pathlib import Path

import numpy as np
import pytest

from blender_demo.backend.errors import ClipError
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNELS, channel_slice
from blender_demo.backend.motion.formats import FORMATS, read_motion, write_motion


@pytest.fixture
def clip() -> MotionClip:
    """Half a second, without translation, which recordings cannot hold."""
    channels = np.random.default_rng(7).random((15, len(CHANNELS)), np.float32)
    channels[:, channel_slice("pose")][:, 3:] = 0.0
    return MotionClip(30.0, channels)


@pytest.mark.parametrize("suffix", [*FORMATS, ".CSV", ".Json"])
def test_what_is_written_is_read_again(clip, tmp_path, suffix):
    assert write_motion(clip, tmp_path / f"a{suffix}") == ()
    again = read_motion(tmp_path / f"a{suffix}")
    assert again.fps == 30.0
    np.testing.assert_allclose(again.channels, clip.channels, atol=1e-7)


@pytest.mark.parametrize("fps", [24000 / 1001, 24.0, 25.0, 30000 / 1001, 48.0, 50.0, 60.0, 120.0, 12.5])
@pytest.mark.parametrize("suffix", FORMATS)
def test_another_rate_is_written_and_read(clip, tmp_path, suffix, fps):
    write_motion(clip, tmp_path / f"a{suffix}", fps)
    again = read_motion(tmp_path / f"a{suffix}")
    assert again.fps == pytest.approx(fps, rel=1e-5)
    assert len(again) == round(0.5 * fps)


@pytest.mark.parametrize("name", ["alex_rom_3.csv", "alex_rom_4.csv"])
def test_real_recordings_come_out_byte_for_byte_whichever_way_they_went(shared_data, tmp_path, name):
    source = shared_data / "livelink" / name
    at = source
    for step in ("a.npz", "b.csv", "c.json", "d.npz", "e.json", "f.csv"):
        write_motion(read_motion(at), tmp_path / step)
        at = tmp_path / step
    assert (tmp_path / "b.csv").read_bytes() == source.read_bytes()
    assert (tmp_path / "f.csv").read_bytes() == source.read_bytes()


def test_real_recordings_at_another_rate_keep_their_length_and_start(shared_data, tmp_path):
    source = read_motion(shared_data / "livelink" / "alex_rom_3.csv")
    write_motion(source, tmp_path / "a.csv", 24.0)
    again = read_motion(tmp_path / "a.csv")
    assert again.fps == 24.0
    assert again.duration_s == pytest.approx(source.duration_s, abs=0.05)


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_lips_alone_can_be_written(tmp_path, suffix):
    lips = CHANNELS[channel_slice("lip")]
    write_motion(MotionClip(30.0, np.full((9, len(lips)), 0.5, np.float32), lips), tmp_path / f"a{suffix}")
    again = read_motion(tmp_path / f"a{suffix}")
    assert again["jawOpen"].tolist() == [0.5] * 9
    assert suffix == ".npz" or not again["eyeBlinkLeft"].any()


def test_what_a_recording_cannot_hold_is_told(clip, tmp_path):
    clip.channels[:, CHANNELS.index("headY")] = 0.1
    assert write_motion(clip, tmp_path / "a.csv") == ("a.csv has no columns for headY, so these were left out.",)
    assert write_motion(clip, tmp_path / "a.json") == ()


def test_notes_about_one_file_do_not_go_into_the_next(tmp_path):
    (tmp_path / "a.json").write_text('[{"jawOpen": 0.1, "nostrils": 1}, {"jawOpen": 0.2}]')
    clip = read_motion(tmp_path / "a.json")
    assert clip.settings["notes"]
    write_motion(clip, tmp_path / "b.npz")
    assert "notes" not in read_motion(tmp_path / "b.npz").settings


@pytest.mark.parametrize("name", ["a.fbx", "a", "a.npz.bak", "csv"])
def test_another_ending_is_refused_with_those_there_are(clip, tmp_path, name):
    for do in (lambda: read_motion(tmp_path / name), lambda: write_motion(clip, tmp_path / name)):
        with pytest.raises(ClipError, match=rf"{name} does not end like .*\.npz .*\.csv .*\.json"):
            do()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(clip, tmp_path, monkeypatch, suffix):
    out = tmp_path / f"a{suffix}"
    out.write_bytes(b"the old one")

    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", refuse)
    monkeypatch.setattr("blender_demo.backend.motion.clip.np.savez_compressed", refuse)
    with pytest.raises(ClipError, match=rf"a\{suffix}: No space left on device"):
        write_motion(clip, out)
    monkeypatch.undo()
    monkeypatch.setattr("blender_demo.backend.motion.atomic.os.replace", refuse)
    with pytest.raises(ClipError, match="No space left on device"):
        write_motion(clip, out)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == {out: b"the old one"}


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_clip_without_frames_and_one_of_no_face_are_refused(clip, tmp_path, suffix):
    with pytest.raises(ClipError, match="the motion has no frames"):
        write_motion(clip.with_channels(clip.channels[:0]), tmp_path / f"a{suffix}")
    if suffix != ".npz":
        with pytest.raises(ClipError, match="none of the 60 channels"):
            write_motion(MotionClip(30.0, np.ones((2, 1), np.float32), ("elbow",)), tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())


def test_a_rate_that_timecodes_cannot_tell_is_refused(clip, tmp_path):
    with pytest.raises(ClipError, match="6 frames per second or more"):
        write_motion(clip, tmp_path / "a.csv", 5.0)
    assert not list(tmp_path.iterdir())
