# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion of other programs becomes the present take, and the present take goes to other programs."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import ARKIT_NAMES, CHANNELS
from blender_demo.backend.motion.formats import FORMATS, read_motion, write_motion
from blender_demo.operators import motion_files

pytestmark = pytest.mark.matrix


@pytest.fixture(params=[".csv", ".json", ".npz"])
def recording_file(request: Any, tmp_path: Path) -> Path:
    """Half a second of an open mouth, in each format."""
    channels = np.zeros((15, len(CHANNELS)), np.float32)
    channels[:, CHANNELS.index("jawOpen")] = 0.75
    path = tmp_path / f"From Elsewhere{request.param}"
    write_motion(MotionClip(30.0, channels), path)
    return path


def _jaw(face: Any, frame: int) -> float:
    bpy.context.scene.frame_set(frame)
    return face.data.shape_keys.key_blocks["jawOpen"].value


def test_a_file_becomes_the_take_and_can_be_baked(addon: Any, face: Any, recording_file: Path) -> None:
    addon.clip_speed = 2.0
    assert bpy.ops.demo.import_motion(filepath=str(recording_file), start_frame=11) == {"FINISHED"}
    assert addon.clip_path == str(recording_file)
    assert recording_file.name in addon.clip_summary
    assert bpy.ops.demo.bake() == {"FINISHED"}
    assert _jaw(face, 1) == 0.0
    assert [_jaw(face, frame) for frame in (11, 25)] == pytest.approx([0.75, 0.75], abs=0.003)


def test_a_recording_can_be_locked_and_given(
    addon: Any, face: Any, fake_job: Any, recording: Path, recording_file: Path
):
    bpy.ops.demo.import_motion(filepath=str(recording_file))
    addon.audio_path, addon.pose.lock = str(recording), True
    assert bpy.ops.demo.generate() == {"FINISHED"}
    assert fake_job.made[0].settings.control("pose").given == str(recording_file)


def test_what_is_odd_in_a_file_is_told(addon: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text('[{"jawOpen": 0.1, "nostrils": 1}, {"jawOpen": 0.2}]')
    assert bpy.ops.demo.import_motion(filepath=str(tmp_path / "a.json")) == {"FINISHED"}
    assert "nostrils" in capfd.readouterr().out


def test_a_file_that_cannot_be_read_leaves_the_take_as_it_is(addon: Any, tmp_path: Path) -> None:
    addon.clip_path = "before.npz"
    (tmp_path / "broken.json").write_text('[{"jawOpen": ')
    with pytest.raises(RuntimeError, match=r"broken\.json.*Export the motion again"):
        bpy.ops.demo.import_motion(filepath=str(tmp_path / "broken.json"))
    assert addon.clip_path == "before.npz"


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_take_is_written_at_its_own_rate_and_at_the_scene_s(
    addon: Any, recording_file: Path, tmp_path: Path, suffix: str
) -> None:
    bpy.context.scene.render.fps = 24
    bpy.ops.demo.import_motion(filepath=str(recording_file))
    own, scene = tmp_path / f"own{suffix}", tmp_path / f"scene{suffix}"
    assert bpy.ops.demo.export_motion(filepath=str(own)) == {"FINISHED"}
    assert bpy.ops.demo.export_motion(filepath=str(scene), rate="SCENE") == {"FINISHED"}
    assert (read_motion(own).fps, len(read_motion(own))) == (30.0, 15)
    assert (read_motion(scene).fps, len(read_motion(scene))) == (24.0, 12)
    assert read_motion(own)["jawOpen"] == pytest.approx(0.75)


def test_an_edited_take_is_written_as_the_character_shows_it(
    addon: Any, face: Any, recording_file: Path, tmp_path: Path
):
    scene = bpy.context.scene
    bpy.ops.demo.import_motion(filepath=str(recording_file), start_frame=5)
    addon.lip.gain, scene.frame_end = 0.5, 19
    bpy.ops.demo.bake()
    brow = face.data.shape_keys.key_blocks["browInnerUp"]
    for frame, value in ((5, 0.0), (19, 0.7)):
        brow.value = value
        brow.keyframe_insert("value", frame=frame)
    assert bpy.ops.demo.export_motion(filepath=str(tmp_path / "out.csv"), source="CHARACTER") == {"FINISHED"}
    clip = read_motion(tmp_path / "out.csv")
    assert (clip.fps, len(clip)) == (30.0, 15)
    assert clip["jawOpen"] == pytest.approx(0.375, abs=0.003)
    assert (clip["browInnerUp"][0], clip["browInnerUp"][-1]) == (0.0, pytest.approx(0.7))


def test_a_performance_survives_the_way_over_the_character(addon: Any, face: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    channels = np.zeros((20, len(CHANNELS)), np.float32)
    for name in ARKIT_NAMES:
        if not name.startswith("eyeLook"):
            channels[:, CHANNELS.index(name)] = rng.random(20)
    write_motion(MotionClip(30.0, channels), tmp_path / "in.csv")
    bpy.context.scene.frame_end, addon.tolerance = 20, 0.0
    bpy.ops.demo.import_motion(filepath=str(tmp_path / "in.csv"))
    bpy.ops.demo.bake()
    bpy.ops.demo.export_motion(filepath=str(tmp_path / "out.csv"), source="CHARACTER")
    np.testing.assert_allclose(read_motion(tmp_path / "out.csv").channels, channels, atol=1e-5)


def test_a_still_face_is_not_written(addon: Any, face: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="Nothing animates"):
        bpy.ops.demo.export_motion(filepath=str(tmp_path / "out.csv"), source="CHARACTER")
    with pytest.raises(RuntimeError, match="There is no take yet"):
        bpy.ops.demo.export_motion(filepath=str(tmp_path / "out.csv"), source="TAKE")
    assert not list(tmp_path.iterdir())


def test_another_ending_is_refused_with_those_there_are(addon: Any, recording_file: Path, tmp_path: Path) -> None:
    bpy.ops.demo.import_motion(filepath=str(recording_file))
    with pytest.raises(RuntimeError, match=r"\.npz .*\.csv .*\.json"):
        bpy.ops.demo.export_motion(filepath=str(tmp_path / "out.fbx"))


def test_the_button_says_what_is_missing(addon: Any) -> None:
    with pytest.raises(RuntimeError, match="Generate a take"):
        bpy.ops.demo.export_motion(filepath="out.csv")


def test_the_file_browser_shows_every_format() -> None:
    assert {entry.lstrip("*") for entry in motion_files.FILTER.split(";")} == set(FORMATS)


def test_the_menus_come_and_go_with_the_add_on(addon: Any) -> None:
    import blender_demo

    def drawn() -> list[bool]:
        return [draw in getattr(bpy.types, menu)._dyn_ui_initialize() for menu, draw in motion_files.MENUS.items()]

    assert drawn() == [True, True]
    blender_demo.unregister()
    assert drawn() == [False, False]
    blender_demo.register()
