# SPDX-License-Identifier: GPL-3.0-or-later
"""Videos and the landmarks in them."""

import sys
from pathlib import Path

import numpy as np
import pytest

from blender_demo.backend.errors import ClipError, PortraitError
from blender_demo.backend.evaluation.video import find_videos, read_video, track_face

VIDEO = Path(__file__).resolve().parents[4] / "shared" / "data" / "video" / "bbaf2n.mpg"


def test_without_pyav_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ClipError, match="pip install av"):
        read_video(Path("a.mp4"))


def test_frames_and_rate_of_a_video():
    pytest.importorskip("av", reason="PyAV is not installed")
    if not VIDEO.is_file():
        pytest.skip("the shared videos are not there")
    frames, fps = read_video(VIDEO)
    assert frames.shape == (75, 288, 360, 3)
    assert fps == 25.0
    assert 0.1 < frames.mean() < 0.9


def test_what_is_no_video_is_refused(tmp_path: Path):
    pytest.importorskip("av", reason="PyAV is not installed")
    (tmp_path / "a.mp4").write_bytes(b"nothing of the kind")
    for name in ("a.mp4", "missing.mp4"):
        with pytest.raises(ClipError, match="cannot be read as a video"):
            read_video(tmp_path / name)


def test_a_folder_without_videos_is_refused(tmp_path: Path):
    (tmp_path / "a.txt").touch()
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ClipError, match="holds no videos"):
            find_videos(folder)


def test_landmarks_are_read_where_they_were_found_before(tmp_path: Path):
    points = np.random.default_rng(1).uniform(0, 9, (3, 68, 2)).astype(np.float32)
    np.savez(tmp_path / "a.landmarks.npz", points=points, iris=np.zeros((3, 2, 5, 2)))
    frames = np.zeros((3, 8, 8, 3), np.float32)
    track = track_face(frames, Path("a.mp4"), tmp_path)
    assert np.array_equal(track[1].points, points[1])
    with pytest.raises(PortraitError, match="another video"):
        track_face(frames[:2], Path("a.mp4"), tmp_path)
    (tmp_path / "a.landmarks.npz").write_bytes(b"nothing")
    with pytest.raises(PortraitError, match="holds no landmarks"):
        track_face(frames, Path("a.mp4"), tmp_path)
