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

__all__ = ["ENCODINGS", "check_movie", "write_movie"]

_ENCODING: Final = {"constant_rate_factor": "HIGH", "ffmpeg_preset": "GOOD", "gopsize": 12, "audio_mixrate": 48000}
ENCODINGS: Final = {
    ".mp4": _ENCODING | {"format": "MPEG4", "codec": "H264", "audio_codec": "AAC", "audio_bitrate": 160},
    ".webm": _ENCODING | {"format": "WEBM", "codec": "WEBM", "audio_codec": "OPUS", "audio_bitrate": 128},
}
"""By the ending of the file: H.264 and AAC, which every player has, and VP9 and Opus, which can be transparent.

The settings of Blender's encoder by their names; WEBM is its name for VP9 too.
"""
_TRANSPARENT: Final = (".webm",)


def check_movie(path: Path) -> None:
    """Raises PortraitError for a file whose ending stands for no movie that can be written."""
    if path.suffix.lower() not in ENCODINGS:
        raise PortraitError(f"The movie {path} must end in {' or '.join(ENCODINGS)}. Choose another name.")


def write_movie(
    sequence: ImageSequence,
    fps: float,
    path: Path,
    audio: Path | None = None,
    audio_start_s: float = 0.0,
    alpha: bool = False,
) -> None:
    """Write the frames from the first to the last as MP4 or WebM, as the ending says, whole or not at all.

    audio_start_s: second of the recording that is heard at the first frame. alpha: the frames have it, and WebM keeps
    it; an MP4 shows what lies under it. Raises PortraitError.
    """
    check_movie(path)
    ending = path.suffix.lower()
    width, height = _size(sequence.held)
    temporary = path.with_name(f".{path.stem}.part{ending}")
    with _scene(fps, width, height, sequence.count, temporary) as scene, compat.movie_output(scene.render):
        for name, value in ENCODINGS[ending].items():
            setattr(scene.render.ffmpeg, name, value)
        scene.render.image_settings.color_mode = "RGBA" if alpha and ending in _TRANSPARENT else "RGB"
        compat.add_image_strip(scene, sequence.files)
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
