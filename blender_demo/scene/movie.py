# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames and a recording as one video, by Blender's own encoder, in a scene of its own that goes again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import bpy

from .. import compat
from ..backend.errors import PortraitError
from .draft import set_scene_fps
from .portrait import ImageSequence

__all__ = ["ENCODING", "write_movie"]

ENCODING: Final = {
    "format": "MPEG4",
    "codec": "H264",
    "constant_rate_factor": "HIGH",
    "ffmpeg_preset": "GOOD",
    "gopsize": 12,
    "audio_codec": "AAC",
    "audio_bitrate": 160,
    "audio_mixrate": 48000,
}
"""MP4 with H.264 and AAC, which every player has; the settings of Blender's encoder by their names."""


def write_movie(
    sequence: ImageSequence, fps: float, path: Path, audio: Path | None = None, audio_start_s: float = 0.0
) -> None:
    """Write the frames from the first to the last as MP4 (H.264, AAC), whole or not at all.

    audio_start_s: second of the recording that is heard at the first frame. Raises PortraitError.
    """
    width, height = _size(sequence.held)
    temporary = path.with_name(f".{path.stem}.part.mp4")
    with _scene(fps, width, height, sequence.count, temporary) as scene, compat.movie_output(scene.render):
        for name, value in ENCODING.items():
            setattr(scene.render.ffmpeg, name, value)
        compat.add_image_strip(scene, _files(sequence))
        if audio is not None:
            compat.add_sound_strip(scene, audio, 1 - round(audio_start_s * fps))
        try:
            bpy.ops.render.render(animation=True, scene=scene.name)
            temporary.replace(path)
        except (RuntimeError, OSError) as error:
            raise PortraitError(f"The movie {path} cannot be written: {str(error).strip().rstrip('.')}.") from error
        finally:
            temporary.unlink(missing_ok=True)


def _size(frame: Path) -> tuple[int, int]:
    image = bpy.data.images.load(str(frame))
    width, height = image.size
    bpy.data.images.remove(image)
    return width, height


def _files(sequence: ImageSequence) -> list[Path]:
    digits = len(sequence.held.stem) - len(sequence.held.stem.rstrip("0123456789"))
    stem = sequence.held.stem[:-digits]
    numbers = range(sequence.offset + 1, sequence.offset + sequence.count + 1)
    return [sequence.held.with_name(f"{stem}{number:0{digits}d}{sequence.held.suffix}") for number in numbers]


@contextmanager
def _scene(fps: float, width: int, height: int, count: int, path: Path) -> Iterator[Any]:
    """A scene that renders what its sequencer shows, in the colors of the files, for a while."""
    scene = bpy.data.scenes.new("DEMO Movie")
    sounds = set(bpy.data.sounds)
    try:
        set_scene_fps(scene, fps)
        scene.frame_start, scene.frame_end = 1, count
        render = scene.render
        render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
        render.filepath, render.use_file_extension = str(path), False
        scene.view_settings.view_transform = "Standard"
        scene.sequencer_colorspace_settings.name = "sRGB"
        yield scene
    finally:
        bpy.data.scenes.remove(scene)
        for sound in set(bpy.data.sounds) - sounds:
            bpy.data.sounds.remove(sound)
