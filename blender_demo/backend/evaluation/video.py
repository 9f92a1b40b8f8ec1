# SPDX-License-Identifier: GPL-3.0-or-later
"""Videos of one face as arrays, and the landmarks in their frames."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import ClipError, PortraitError
from ..motion.atomic import written_whole
from ..portrait.landmarks import Landmarks, find_landmarks

__all__ = ["Track", "find_videos", "read_video", "track_face"]

_SUFFIXES: Final = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")
_LANDMARKS: Final = ".landmarks.npz"

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Track:
    """Landmarks of T frames, as `Landmarks`: points (T, 68, 2) and iris (T, 2, 5, 2), in pixels."""

    points: Floats
    iris: Floats

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, frame: int) -> Landmarks:
        return Landmarks(self.points[frame], self.iris[frame])


def find_videos(folder: Path) -> list[Path]:
    """The videos of a folder in the order of their names. Raises ClipError where there are none."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES) if folder.is_dir() else []
    if not paths:
        raise ClipError(f"{folder} holds no videos. Name a folder with {', '.join(_SUFFIXES)} files.")
    return paths


def read_video(path: Path) -> tuple[Floats, float]:
    """Frames (T, H, W, 3), sRGB in 0..1, and frames per second. Raises ClipError if it cannot be read."""
    try:
        import av  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ClipError("PyAV, which reads videos, is not installed: `pip install av` into this Python.") from error
    try:
        with av.open(str(path)) as container:
            rate = float(container.streams.video[0].average_rate)
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    except (OSError, IndexError, ValueError, TypeError) as error:  # PyAV's own errors are OSError or ValueError
        raise ClipError(f"{path} cannot be read as a video ({error}). Convert it to MP4.") from error
    if not frames:
        raise ClipError(f"{path} has no frames. Convert it to MP4.")
    return np.stack(frames).astype(np.float32) / np.float32(255), rate


def track_face(frames: Floats, video: Path, folder: Path) -> Track:
    """Landmarks in the frames (T, H, W, 3) of a video, each found by itself.

    They are read from `<video>.landmarks.npz` (points, iris) in the folder where that is, and else found and written.
    Raises PortraitError where they are not of these frames, and as `find_landmarks`.
    """
    path = folder / (video.stem + _LANDMARKS)
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as stored:
                track = Track(stored["points"].astype(np.float32), stored["iris"].astype(np.float32))
        except (OSError, ValueError, KeyError) as error:
            raise PortraitError(f"{path} holds no landmarks ({error}). Delete it to find them again.") from error
        if track.points.shape != (len(frames), 68, 2) or track.iris.shape != (len(frames), 2, 5, 2):
            raise PortraitError(f"{path} is of another video than {video}. Delete it to find the landmarks again.")
        return track
    found = [find_landmarks(frame) for frame in frames]
    track = Track(np.stack([one.points for one in found]), np.stack([np.asarray(one.iris) for one in found]))
    with written_whole(path, "landmarks") as temporary, temporary.open("wb") as stream:
        np.savez(stream, points=track.points, iris=track.iris)
    return track
