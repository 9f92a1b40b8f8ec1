# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sound strip plays is what the face is made from, wherever the strip lies and however it is cut."""

import wave
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from blender_demo.backend.errors import AudioError
from blender_demo.scene.strips import add_sound, heard, sound_strip

pytestmark = pytest.mark.matrix


@pytest.fixture
def strip(tmp_path: Path) -> Any:
    """A strip of two seconds from frame 100 on, at 30 fps."""
    path = tmp_path / "line.wav"
    with wave.open(str(path), "wb") as stream:
        stream.setparams((1, 2, 16000, 0, "NONE", ""))
        stream.writeframes((8000 * np.sin(np.arange(32000) / 20.0)).astype("<i2").tobytes())
    editor = bpy.context.scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    try:
        return strips.new_sound("Line", str(path), 1, 100)
    except RuntimeError:
        pytest.skip("this Blender is built without sound")


def _trim(strip: Any, start: int, end: int) -> None:
    names = (
        ("left_handle", "right_handle") if hasattr(strip, "left_handle") else ("frame_final_start", "frame_final_end")
    )
    for name, value in zip(names, (start, end), strict=True):
        setattr(strip, name, value)


def test_a_whole_strip_is_the_whole_file(strip: Any, tmp_path: Path) -> None:
    found = heard(strip, bpy.context.scene, tmp_path)
    assert (found.name, found.path, found.start_frame, found.speed) == ("Line", tmp_path / "line.wav", 100.0, 1.0)
    assert (found.start_s, found.duration_s) == (0.0, pytest.approx(2.0, abs=0.04))


def test_a_trimmed_strip_is_that_part_of_the_file(strip: Any, tmp_path: Path) -> None:
    _trim(strip, 115, 145)
    found = heard(strip, bpy.context.scene, tmp_path)
    assert found.start_frame == 115.0
    assert (found.start_s, found.duration_s) == (pytest.approx(0.5), pytest.approx(1.0))


def test_a_strip_that_starts_before_the_scene_keeps_its_place(strip: Any, tmp_path: Path) -> None:
    setattr(strip, "content_start" if hasattr(strip, "content_start") else "frame_start", -20)
    assert heard(strip, bpy.context.scene, tmp_path).start_frame == -20.0


def test_a_strip_at_double_speed_takes_twice_as_much_of_the_file(strip: Any, tmp_path: Path) -> None:
    if not hasattr(strip, "retiming_keys"):
        pytest.skip("this Blender cannot retime sound from Python")
    strip.retiming_keys.add(timeline_frame=100)
    if len(strip.retiming_keys) < 2:
        pytest.skip("this Blender cannot retime sound from Python")
    strip.retiming_keys[-1].timeline_frame = 130
    found = heard(strip, bpy.context.scene, tmp_path)
    assert found.speed == pytest.approx(2.0, abs=0.05)
    assert found.duration_s == pytest.approx(2.0, abs=0.05)


def test_a_packed_sound_is_written_out(strip: Any, tmp_path: Path) -> None:
    strip.sound.pack()
    (tmp_path / "line.wav").unlink()
    folder = tmp_path / "unpacked"
    folder.mkdir()
    found = heard(strip, bpy.context.scene, folder)
    assert found.path.parent == folder
    assert found.path.read_bytes()[:4] == b"RIFF"


def test_a_lost_file_is_named(strip: Any, tmp_path: Path) -> None:
    (tmp_path / "line.wav").unlink()
    with pytest.raises(AudioError, match=r"line\.wav"):
        heard(strip, bpy.context.scene, tmp_path)


def test_strips_are_found_by_name(strip: Any) -> None:
    assert sound_strip(bpy.context.scene, "Line").name == "Line"
    with pytest.raises(AudioError, match="no sound strip 'Other'"):
        sound_strip(bpy.context.scene, "Other")


def test_a_recording_is_added_once_on_a_free_channel(strip: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.wav"
    other.write_bytes((tmp_path / "line.wav").read_bytes())
    added = add_sound(bpy.context.scene, other, 50)
    assert added.channel == 2
    assert add_sound(bpy.context.scene, other, 50) == added
    assert heard(added, bpy.context.scene, tmp_path).start_frame == 50.0
