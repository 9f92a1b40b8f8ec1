# SPDX-License-Identifier: GPL-3.0-or-later
"""A movie has the frames in their colors, the recording, and leaves nothing behind in the file."""

import wave
from pathlib import Path

import bpy
import numpy as np
import pytest

from blender_demo.backend.errors import PortraitError
from blender_demo.backend.portrait.png import encode_png
from blender_demo.scene.movie import write_movie
from blender_demo.scene.portrait import ImageSequence

pytestmark = pytest.mark.matrix


@pytest.fixture
def sequence(tmp_path: Path) -> ImageSequence:
    for number in range(25):
        color = np.array([200, 100, 10 * number], np.uint8)
        (tmp_path / f"talk_{number:04d}.png").write_bytes(encode_png(np.tile(color, (64, 96, 1))))
    return ImageSequence(tmp_path / "talk_0000.png", 24, 1)


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    path = tmp_path / "voice.wav"
    with wave.open(str(path), "wb") as stream:
        stream.setparams((1, 2, 16000, 0, "NONE", ""))
        stream.writeframes((8000 * np.sin(np.arange(16000) / 5.0)).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_a_movie_has_every_frame_in_its_colors_and_the_recording(
    sequence: ImageSequence, voice: Path, tmp_path: Path, ending: str
) -> None:
    scenes, sounds = len(bpy.data.scenes), len(bpy.data.sounds)
    path = tmp_path / f"talk{ending}"
    write_movie(sequence, 24.0, path, voice)
    clip = bpy.data.movieclips.load(str(path))
    assert (clip.frame_duration, tuple(clip.size), clip.fps) == (24, (96, 64), pytest.approx(24.0))
    assert (len(bpy.data.scenes), len(bpy.data.sounds)) == (scenes, sounds)
    assert not list(tmp_path.glob(".*"))
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    assert 255 * np.array(image.pixels[:3]) == pytest.approx([200, 100, 10], abs=6)
    if bpy.app.build_options.audaspace:
        import aud

        samples = aud.Sound(str(path)).data()
        assert np.abs(samples).max() > 0.1


def test_a_webm_keeps_what_is_transparent(tmp_path: Path) -> None:
    pixels = np.tile(np.array([200, 100, 50, 255], np.uint8), (64, 96, 1))
    pixels[:, :48, 3] = 0
    for number in range(3):
        (tmp_path / f"talk_{number:04d}.png").write_bytes(encode_png(pixels))
    for alpha in (False, True):
        path = tmp_path / f"{alpha}.webm"
        write_movie(ImageSequence(tmp_path / "talk_0000.png", 2, 1), 24.0, path, alpha=alpha)
        seen = np.array(bpy.data.images.load(str(path)).pixels[:]).reshape(64, 96, 4)[32, [10, 80], 3]
        assert seen == pytest.approx([0.0 if alpha else 1.0, 1.0], abs=0.02)


def test_a_movie_of_another_kind_is_refused(sequence: ImageSequence, tmp_path: Path) -> None:
    with pytest.raises(PortraitError, match=r"must end in \.mp4 or \.webm"):
        write_movie(sequence, 24.0, tmp_path / "talk.mov")


def test_a_movie_that_cannot_be_written_is_told(sequence: ImageSequence, tmp_path: Path) -> None:
    (tmp_path / "talk.mp4").mkdir()
    (tmp_path / "talk.mp4" / "in the way").touch()
    with pytest.raises(PortraitError, match="cannot be written"):
        write_movie(sequence, 24.0, tmp_path / "talk.mp4")
    assert not list(tmp_path.glob(".*"))
    assert len(bpy.data.scenes) == 1
