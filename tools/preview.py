# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of a scene to judge a take by: a sheet of stills with time codes, and a video with sound.

Rendered by Blender alone. The scene's own render settings are put back afterwards.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from blender_demo import compat
from blender_demo.scene.movie import ENCODINGS

__all__ = ["contact_sheet", "video"]

COLUMNS: Final = 4
Progress = Callable[[float], None]


def contact_sheet(
    scene: bpy.types.Scene,
    frames: Sequence[int],
    path: Path,
    size: int = 320,
    engine: str = "BLENDER_WORKBENCH",
    samples: int = 6,
    progress: Progress | None = None,
    beside: Sequence[Path] = (),
) -> Path:
    """Render `frames` as squares of `size` pixels, each with its time code, into one PNG of four columns.

    engine: Workbench, or "CYCLES" (softer, slower); its samples: `samples`. `progress` hears 0..1 after each frame.
    beside: pictures that are laid right of the frames, one for each, in their height.
    """
    stills = []
    wanted = _stamped(size) | {"engine": engine, "filepath": ""}
    cycles = {"samples": samples, "use_denoising": True, "max_bounces": 4}
    with _settings(scene, wanted), _attributes(scene.cycles, cycles), tempfile.TemporaryDirectory() as folder:
        for i, frame in enumerate(frames):
            scene.frame_set(frame)
            still = Path(folder) / f"{i}.png"
            scene.render.filepath = str(still)
            bpy.ops.render.render(write_still=True, scene=scene.name)
            stills.append(_read(still))
            if beside:
                stills[-1] = np.concatenate([stills[-1], _read(beside[i], size)], axis=1)
            if progress:
                progress((i + 1) / len(frames))
    while len(stills) % COLUMNS:
        stills.append(np.zeros_like(stills[0]))
    rows = [np.concatenate(stills[i : i + COLUMNS], axis=1) for i in range(0, len(stills), COLUMNS)]
    _write(np.concatenate(rows[::-1], axis=0), Path(path))
    return Path(path)


def video(
    scene: bpy.types.Scene,
    audio: Path,
    path: Path,
    size: int = 512,
    audio_frame: float | None = None,
    progress: Progress | None = None,
) -> Path:
    """Render the frame range with Workbench into an MP4 (H.264, AAC) of `size` pixels a side, with the recording.

    The recording starts at `audio_frame`, by default the first frame. `progress` hears 0..1 as frames are written.
    """
    path = Path(path)
    wanted = {"engine": "BLENDER_WORKBENCH", "filepath": str(path), "use_file_extension": False, "use_stamp": False}
    count = scene.frame_end - scene.frame_start + 1

    def tell(drawn: bpy.types.Scene, _: Any = None) -> None:
        if progress:
            progress((drawn.frame_current - scene.frame_start + 1) / count)

    with _settings(scene, wanted | _square(size)), compat.movie_output(scene.render), _sound(scene, audio, audio_frame):
        _attribute_all(scene.render.ffmpeg, ENCODINGS[".mp4"])
        bpy.app.handlers.render_write.append(tell)
        try:
            bpy.ops.render.render(animation=True, scene=scene.name)
        finally:
            bpy.app.handlers.render_write.remove(tell)
    return path


# --- settings --------------------------------------------------------------------------------------------------------


def _square(size: int) -> dict[str, Any]:
    return {"resolution_x": size, "resolution_y": size, "resolution_percentage": 100}


def _stamped(size: int) -> dict[str, Any]:
    """A still with frame number and time code in its corner."""
    stamps = [p.identifier for p in bpy.types.RenderSettings.bl_rna.properties if p.identifier.startswith("use_stamp_")]
    return (
        dict.fromkeys(stamps, False)
        | {"use_stamp": True, "use_stamp_frame": True, "use_stamp_time": True, "use_stamp_labels": False}
        | {"stamp_font_size": max(10, size // 22), "stamp_background": (0.0, 0.0, 0.0, 0.45)}
        | _square(size)
    )


@contextmanager
def _settings(scene: bpy.types.Scene, wanted: dict[str, Any]) -> Iterator[None]:
    """Other render settings and PNG output for a while; the current frame is put back too."""
    frame = scene.frame_current
    image = {"file_format": "PNG", "color_mode": "RGB"}
    try:
        with _attributes(scene.render, wanted), _attributes(scene.render.image_settings, image):
            yield
    finally:
        scene.frame_set(frame)


@contextmanager
def _attributes(owner: Any, wanted: dict[str, Any]) -> Iterator[None]:
    def plain(value: Any) -> Any:
        return tuple(value) if hasattr(value, "__len__") and not isinstance(value, str) else value

    before = {name: plain(getattr(owner, name)) for name in wanted}
    try:
        _attribute_all(owner, wanted)
        yield
    finally:
        _attribute_all(owner, before)


def _attribute_all(owner: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(owner, name, value)


@contextmanager
def _sound(scene: bpy.types.Scene, audio: Path, frame: float | None) -> Iterator[None]:
    """Only this recording is heard for a while."""
    had_editor = scene.sequence_editor is not None
    others = [strip for strip in compat.sound_strips(scene) if not strip.mute]
    strip = compat.add_sound_strip(scene, Path(audio), round(scene.frame_start if frame is None else frame))
    for other in others:
        other.mute = True
    try:
        yield
    finally:
        for other in others:
            other.mute = False
        sound = strip.sound
        compat.remove_strip(scene, strip)
        if sound.users == 0:
            bpy.data.sounds.remove(sound)
        if not had_editor:
            scene.sequence_editor_clear()


# --- pictures --------------------------------------------------------------------------------------------------------


def _read(path: Path, height: int = 0) -> NDArray[np.float32]:
    """Pixels (height, width, 4), bottom row first; scaled to the height if one is given."""
    image = bpy.data.images.load(str(path))
    try:
        image.colorspace_settings.name = "Non-Color"
        if height:
            image.scale(round(image.size[0] * height / image.size[1]), height)
        pixels = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(pixels)
        return pixels.reshape(image.size[1], image.size[0], 4)
    finally:
        bpy.data.images.remove(image)


def _write(pixels: NDArray[np.float32], path: Path) -> None:
    image = bpy.data.images.new(path.stem, pixels.shape[1], pixels.shape[0])
    try:
        image.colorspace_settings.name = "Non-Color"
        pixels[..., 3] = 1.0
        image.pixels.foreach_set(np.ascontiguousarray(pixels, np.float32).ravel())
        image.filepath_raw, image.file_format = str(path), "PNG"
        image.save()
    finally:
        bpy.data.images.remove(image)
