# SPDX-License-Identifier: GPL-3.0-or-later
"""Generate takes a recording to a baked character, or leaves the scene alone and says why."""

from pathlib import Path
from typing import Any

import bpy
import pytest

from blender_demo.backend.errors import WorkerError
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.settings import AUTO, EMOTIONS, NEUTRAL, STYLES, GenerationSettings
from blender_demo.operators import take
from blender_demo.operators.session import SESSION

pytestmark = pytest.mark.matrix


def _refusal(**_: Any) -> str:
    with pytest.raises(RuntimeError) as refused:
        bpy.ops.demo.generate()
    return str(refused.value)


def test_the_button_says_what_is_missing(addon: Any, face: bpy.types.Object) -> None:
    assert "Choose a recording" in _refusal()
    addon.source = "STRIP"
    assert "Choose a recording" in _refusal()
    addon.character = None
    assert "Pick a character" in _refusal()


def test_the_button_says_why_a_character_cannot_speak(addon: Any) -> None:
    cube = bpy.data.objects.new("Cube", bpy.data.meshes.new("Cube"))
    bpy.context.scene.collection.objects.link(cube)
    addon.character = cube
    assert not addon.character_ready
    assert "no shape keys" in _refusal()


def test_a_missing_recording_is_named(addon: Any, face: bpy.types.Object, fake_job: Any) -> None:
    addon.audio_path = "/nowhere/line.wav"
    assert "line.wav does not exist" in _refusal()
    assert fake_job.made == []


def test_a_take_is_made_kept_and_baked(
    addon: Any, face: bpy.types.Object, fake_job: Any, recording: Path, tmp_path: Path
) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    addon = bpy.context.scene.demo
    addon.audio_path, addon.start_frame, addon.seed = str(recording), 20, 7
    addon.lip.seed_offset, addon.lip.gain = 3, 0.5
    assert bpy.ops.demo.generate() == {"FINISHED"}
    job = fake_job.made[0]
    assert (job.audio, job.settings.seed, job.settings.control("lip").seed_offset) == (recording, 7, 3)
    kept = tmp_path / "demo_takes" / "line_one_seed7.npz"
    assert Path(addon.clip_path) == kept
    assert MotionClip.load(kept)["jawOpen"].max() == pytest.approx(0.6)
    bpy.context.scene.frame_set(25)
    assert face.data.shape_keys.key_blocks["jawOpen"].value == pytest.approx(0.3, abs=0.003)
    assert SESSION.job is None


def test_a_take_of_an_unsaved_scene_is_kept_too(
    addon: Any, face: bpy.types.Object, fake_job: Any, recording: Path
) -> None:
    addon.audio_path = str(recording)
    assert bpy.ops.demo.generate() == {"FINISHED"}
    assert Path(addon.clip_path).is_file()


def test_a_failure_leaves_the_scene_alone(addon: Any, face: bpy.types.Object, fake_job: Any, recording: Path) -> None:
    addon.audio_path = str(recording)
    fake_job.error = WorkerError("The worker process died.")
    assert "The worker process died." in _refusal()
    assert len(bpy.data.actions) == 0
    assert face.data.shape_keys.animation_data is None
    assert addon.clip_path == ""
    assert not SESSION.busy


def test_a_character_deleted_meanwhile_is_told_and_the_take_kept(
    addon: Any, face: bpy.types.Object, fake_job: Any, recording: Path
) -> None:
    addon.audio_path = str(recording)
    fake_job.meanwhile = staticmethod(lambda: bpy.data.objects.remove(bpy.data.objects["Face"]))
    refusal = _refusal()
    assert "no longer there" in refusal
    assert Path(refusal.partition("kept as ")[2].strip().removesuffix(".")).is_file()


def test_a_character_renamed_meanwhile_is_found_again(
    addon: Any, face: bpy.types.Object, fake_job: Any, recording: Path
) -> None:
    addon.audio_path = str(recording)
    fake_job.meanwhile = staticmethod(lambda: setattr(bpy.data.objects["Face"], "name", "Anna"))
    assert bpy.ops.demo.generate() == {"FINISHED"}


def test_a_sound_strip_gives_its_part_of_the_file(
    addon: Any, face: bpy.types.Object, fake_job: Any, recording: Path
) -> None:
    editor = bpy.context.scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    if not hasattr(bpy.app.build_options, "audaspace") or not bpy.app.build_options.audaspace:
        pytest.skip("this Blender is built without sound")
    strip = strips.new_sound("Line", str(recording), 1, 100)
    setattr(strip, "left_handle" if hasattr(strip, "left_handle") else "frame_final_start", 115)
    addon.source, addon.strip = "STRIP", "Line"
    assert bpy.ops.demo.generate() == {"FINISHED"}
    job = fake_job.made[0]
    assert job.start_s == pytest.approx(0.5, abs=0.02)
    assert job.duration_s == pytest.approx(0.5, abs=0.04)
    assert addon.clip_start_frame == 115


def test_opening_another_file_ends_the_worker(addon: Any, face: bpy.types.Object) -> None:
    class Worker:
        closed = False

        def close(self) -> None:
            self.closed = True

    worker: Any = Worker()
    SESSION.worker = worker
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert worker.closed
    assert SESSION.worker is None


def test_every_style_and_emotion_of_the_generator_is_offered(addon: Any) -> None:
    offered = {name: tuple(addon.bl_rna.properties[name].enum_items.keys()) for name in ("style", "emotion")}
    assert offered == {"style": (AUTO, *STYLES), "emotion": (AUTO, NEUTRAL, *EMOTIONS)}


def test_the_generator_is_told_what_the_panel_says(
    addon: Any, face: bpy.types.Object, fake_job: Any, recording: Path
) -> None:
    addon.audio_path, addon.emotion, addon.intensity, addon.style = str(recording), "sad", 0.4, "taught"
    addon.pose.given, addon.prefix, addon.suffix = "/clips/head.npz", "/clips/before.npz", "/clips/after.npz"
    bpy.ops.demo.generate()
    told = fake_job.made[0].settings
    assert (told.emotion, told.intensity, told.style) == ("sad", pytest.approx(0.4), "taught")
    assert (told.prefix, told.suffix) == ("/clips/before.npz", "/clips/after.npz")
    assert {name: control.given for name, control in told.factors.items()} == {
        "lip": "", "pose": "/clips/head.npz", "eyes": "", "expression": "",
    }  # fmt: skip


def test_paths_beside_the_file_are_found(addon: Any, tmp_path: Path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    addon = bpy.context.scene.demo
    addon.prefix = addon.eyes.given = "//takes/one.npz"
    told = addon.generation("auto")
    assert Path(told.prefix) == Path(told.control("eyes").given) == tmp_path / "takes" / "one.npz"


def test_a_locked_factor_is_given_from_the_present_take(
    addon: Any, face: bpy.types.Object, fake_job: Any, recording: Path
) -> None:
    addon.audio_path, addon.pose.given = str(recording), "/clips/other.npz"
    bpy.ops.demo.generate()
    first = addon.clip_path
    addon.pose.lock, addon.eyes.lock = True, True
    bpy.ops.demo.generate()
    told = fake_job.made[1].settings
    assert {name for name, control in told.factors.items() if control.given == first} == {"pose", "eyes"}


def test_a_lock_without_a_take_is_told(addon: Any, face: bpy.types.Object, fake_job: Any, recording: Path) -> None:
    addon.audio_path, addon.eyes.lock = str(recording), True
    assert "Eyes: locked, but there is no take yet" in _refusal()
    assert fake_job.made == []


def test_no_take_is_written_over(addon: Any, face: bpy.types.Object, fake_job: Any, recording: Path) -> None:
    """A lock, or undo, goes back to an earlier one."""
    addon.audio_path = str(recording)
    bpy.ops.demo.generate()
    first, before = Path(addon.clip_path), Path(addon.clip_path).read_bytes()
    addon.eyes.seed_offset = 1
    bpy.ops.demo.generate()
    assert Path(addon.clip_path) != first
    assert first.read_bytes() == before


@pytest.mark.parametrize("content", [None, b"PK nothing"], ids=["missing", "damaged"])
def test_a_given_clip_that_cannot_be_read_is_told_at_once(
    addon: Any,
    face: bpy.types.Object,
    recording: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes | None,
) -> None:
    monkeypatch.setattr(take, "worker_python", lambda _: tmp_path / "no python")
    if content:
        (tmp_path / "head.npz").write_bytes(content)
    addon.audio_path, addon.pose.given = str(recording), str(tmp_path / "head.npz")
    assert "head.npz" in _refusal()
    assert not SESSION.busy
    assert len(bpy.data.actions) == 0


def test_the_panel_and_the_command_line_start_from_the_same_settings(addon: Any) -> None:
    assert addon.generation("auto") == GenerationSettings()
