# SPDX-License-Identifier: GPL-3.0-or-later
"""Preview pictures: of the right size, with sound, and leaving the scene as it was."""

import wave
from pathlib import Path

import bpy
import numpy as np
import pytest

from tools.preview import contact_sheet, video

pytestmark = pytest.mark.matrix


@pytest.fixture
def scene() -> bpy.types.Scene:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    made = bpy.context.scene
    made.frame_start, made.frame_end = 1, 3
    made.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    made.collection.objects.link(made.camera)
    return made


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes((8000 * np.sin(np.arange(4000) * 0.2)).astype("<i2").tobytes())
    return path


def settings(scene: bpy.types.Scene) -> tuple:
    render = scene.render
    return (
        render.engine,
        render.filepath,
        render.resolution_x,
        render.image_settings.file_format,
        render.use_stamp,
        scene.frame_current,
        len(bpy.data.sounds),
        len([i for i in bpy.data.images if i.type != "RENDER_RESULT"]),
    )


def test_contact_sheet_has_four_columns(scene: bpy.types.Scene, tmp_path: Path) -> None:
    before, heard = settings(scene), []
    path = contact_sheet(scene, [1, 2, 3, 1, 2], tmp_path / "sheet.png", size=64, samples=1, progress=heard.append)
    assert settings(scene) == before
    assert tuple(bpy.data.images.load(str(path)).size) == (256, 128)
    assert heard[-1] == 1.0


def test_video_has_picture_and_sound(scene: bpy.types.Scene, tone: Path, tmp_path: Path) -> None:
    before, heard = settings(scene), []
    path = video(scene, tone, tmp_path / "take.mp4", size=64, progress=heard.append)
    assert settings(scene) == before
    assert b"avc1" in path.read_bytes()
    assert b"mp4a" in path.read_bytes()
    assert heard[-1] == 1.0
