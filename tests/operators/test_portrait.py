# SPDX-License-Identifier: GPL-3.0-or-later
"""Render Portrait takes a picture and motion to frames that the scene shows, or leaves the scene alone and says why."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNELS
from blender_demo.backend.portrait.png import encode_png
from blender_demo.backend.worker.client import Worker
from blender_demo.operators import portrait_making
from blender_demo.operators.session import SESSION
from tests.worker_python import REPO, WORKER_PYTHON

pytestmark = pytest.mark.matrix
FAKE_CHILD = REPO / "tests" / "backend" / "worker" / "fake_child.py"


@pytest.fixture
def portrait(addon: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The panel's settings in a saved scene, with a picture and a take; the worker has a FAKE renderer of 24 frames."""
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    monkeypatch.setattr(portrait_making, "worker_python", lambda _: WORKER_PYTHON)
    SESSION.worker = Worker(WORKER_PYTHON, script=FAKE_CHILD)
    (tmp_path / "anna b.png").write_bytes(encode_png(np.full((64, 64, 3), 99, np.uint8)))
    MotionClip(30.0, np.zeros((30, len(CHANNELS)), np.float32)).save(tmp_path / "take.npz")
    settings = bpy.context.scene.demo
    settings.clip_path = str(tmp_path / "take.npz")
    settings.portrait.image, settings.portrait.size = str(tmp_path / "anna b.png"), 64
    yield settings.portrait
    SESSION.close()


def _refusal() -> str:
    with pytest.raises(RuntimeError) as refused:
        bpy.ops.demo.render_portrait()
    return str(refused.value)


def _user(material: Any) -> Any:
    return next(node for node in material.node_tree.nodes if node.type == "TEX_IMAGE").image_user


def _plane() -> Any:
    return next(obj for obj in bpy.context.scene.objects if obj.type == "MESH")


def test_the_button_says_what_is_missing(portrait: Any) -> None:
    portrait.motion = "VOICE"
    assert "Choose a recording" in _refusal()
    portrait.motion = "TAKE"
    bpy.context.scene.demo.clip_path = ""
    assert "Generate a take" in _refusal()
    portrait.image = ""
    assert "Choose a picture" in _refusal()


def test_the_button_says_why_the_active_object_will_not_do(portrait: Any) -> None:
    portrait.target = "OBJECT"
    assert "Make a mesh the active object" in _refusal()
    bare = bpy.data.objects.new("Bare", bpy.data.meshes.new("Bare"))
    bpy.context.scene.collection.objects.link(bare)
    bpy.context.view_layer.objects.active = bare
    assert "no UV map" in _refusal()
    portrait.target = "NODE"
    assert "Select an Image Texture node" in _refusal()


def test_a_portrait_stands_on_a_plane_from_the_frame_of_its_take_on(portrait: Any, tmp_path: Path) -> None:
    bpy.context.scene.demo.clip_start_frame = 40.5
    assert bpy.ops.demo.render_portrait() == {"FINISHED"}
    plane = _plane()
    assert plane.name == "anna_b"
    user = _user(plane.active_material)
    assert (user.frame_start, user.frame_duration, user.frame_offset) == (40, 24, 0)
    assert bpy.data.images["anna_b"].filepath == "//demo_portraits/anna_b/anna_b_0000.png"
    assert len(list((tmp_path / "demo_portraits" / "anna_b").glob("anna_b_*.png"))) == 25
    assert not SESSION.busy


def test_rendering_again_with_other_settings_replaces_the_frames_and_keeps_the_plane(portrait: Any) -> None:
    bpy.ops.demo.render_portrait()
    _plane().location.x = 5.0
    portrait.alpha, bpy.context.scene.render.fps = True, 25
    assert bpy.ops.demo.render_portrait() == {"FINISHED"}
    assert [obj.location.x for obj in bpy.context.scene.objects if obj.type == "MESH"] == [5.0]
    portrait.overwrite, portrait.alpha = False, False
    assert "allow to overwrite" in _refusal()


def _told(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "demo_portraits" / "anna_b" / "anna_b_frames.json").read_text("utf-8"))


def test_controls_change_the_frames_and_not_the_take(portrait: Any, tmp_path: Path) -> None:
    portrait.lip, portrait.gaze_yaw, portrait.refine = 1.5, 0.2, False
    take = (tmp_path / "take.npz").read_bytes()
    assert bpy.ops.demo.render_portrait() == {"FINISHED"}
    told = _told(tmp_path)
    assert told["refine"] is False
    assert (told["controls"]["lip"], told["controls"]["pose"]) == (1.5, 1.0)
    assert told["controls"]["gaze_offset"] == pytest.approx([0.2, 0.0])
    assert (tmp_path / "take.npz").read_bytes() == take


def test_a_blink_stays_with_its_word_when_the_take_is_moved_or_the_rate_changes(portrait: Any, tmp_path: Path) -> None:
    scene: Any = bpy.context.scene
    scene.render.fps, scene.demo.clip_start_frame = 24, 10.0
    scene.frame_set(22)
    assert bpy.ops.demo.blink_now() == {"FINISHED"}
    assert [blink.seconds for blink in portrait.blinks] == [0.5]
    scene.render.fps, scene.demo.clip_start_frame, scene.demo.clip_speed = 50, 30.5, 2.0
    bpy.ops.demo.render_portrait()
    assert _told(tmp_path)["controls"]["blinks"] == pytest.approx([0.5 / 2.0 + 0.5 / 50])
    bpy.ops.demo.remove_blink(index=0)
    assert not portrait.blinks


def test_there_is_no_blink_before_the_take(portrait: Any) -> None:
    bpy.context.scene.demo.clip_start_frame = 10.0
    bpy.context.scene.frame_set(3)
    with pytest.raises(RuntimeError, match="begins at frame 10"):
        bpy.ops.demo.blink_now()
    assert not portrait.blinks


def test_a_voice_gives_a_new_take_which_is_then_the_present_one(portrait: Any, recording: Path, tmp_path: Path) -> None:
    settings = bpy.context.scene.demo
    portrait.motion, settings.audio_path, settings.start_frame = "VOICE", str(recording), 12
    assert bpy.ops.demo.render_portrait() == {"FINISHED"}
    assert Path(settings.clip_path) == tmp_path / "demo_takes" / "line_one_seed0.npz"
    assert len(MotionClip.load(Path(settings.clip_path))) == 60
    assert settings.clip_start_frame == 12.0
    assert _user(_plane().active_material).frame_start == 12


def test_an_object_and_a_node_get_it_too(portrait: Any) -> None:
    bpy.ops.demo.render_portrait()
    screen = _plane()
    bpy.context.view_layer.objects.active = screen
    portrait.target, portrait.look = "OBJECT", "PRINCIPLED"
    assert bpy.ops.demo.render_portrait() == {"FINISHED"}
    nodes = screen.active_material.node_tree.nodes
    assert "Principled BSDF" in nodes
    nodes.active = next(node for node in nodes if node.type == "TEX_IMAGE")
    portrait.target, bpy.context.scene.demo.clip_start_frame = "NODE", 7.0
    assert bpy.ops.demo.render_portrait() == {"FINISHED"}
    assert nodes.active.image_user.frame_start == 7


@pytest.mark.parametrize("movie", ["MP4", "WEBM"])
def test_a_movie_lies_beside_the_frames(portrait: Any, recording: Path, tmp_path: Path, movie: str) -> None:
    portrait.movie, bpy.context.scene.demo.audio_path = movie, str(recording)
    assert bpy.ops.demo.render_portrait() == {"FINISHED"}
    assert (tmp_path / "demo_portraits" / "anna_b" / f"anna_b.{movie.lower()}").stat().st_size > 1000


@pytest.mark.parametrize("picture", ["faceless.png", "none.png"])
def test_a_failure_leaves_the_scene_alone(portrait: Any, tmp_path: Path, picture: str) -> None:
    (tmp_path / "faceless.png").touch()
    portrait.image = str(tmp_path / picture)
    assert picture in _refusal()
    assert not bpy.data.images
    assert not bpy.data.materials
    assert not [obj for obj in bpy.context.scene.objects if obj.type == "MESH"]
    assert not SESSION.busy


def test_a_frame_is_looked_at_before_all_are_rendered(portrait: Any, tmp_path: Path) -> None:
    scene: Any = bpy.context.scene
    scene.demo.clip_start_frame = 5.0
    scene.frame_set(3)
    with pytest.raises(RuntimeError, match="begins at frame 5"):
        bpy.ops.demo.preview_portrait()
    scene.frame_set(9)
    for lip in (1.0, 2.0):
        portrait.lip = lip
        assert bpy.ops.demo.preview_portrait() == {"FINISHED"}
    assert [image.name for image in bpy.data.images] == ["anna_b preview"]
    assert tuple(bpy.data.images[0].size) == (64, 64)
    assert not [obj for obj in scene.objects if obj.type == "MESH"]
    portrait.motion = "VOICE"
    with pytest.raises(RuntimeError, match="Generate a take"):
        bpy.ops.demo.preview_portrait()


def test_the_person_becomes_a_head_at_the_cursor_that_takes_are_baked_onto(portrait: Any) -> None:
    scene: Any = bpy.context.scene
    scene.cursor.location = (1.0, 2.0, 3.0)
    assert bpy.ops.demo.add_portrait_head() == {"FINISHED"}
    face = scene.demo.character
    assert face.name == "anna_b Head"
    assert tuple(face.parent.location) == (1.0, 2.0, 3.0)
    assert scene.demo.character_ready
    assert bpy.ops.demo.bake() == {"FINISHED"}
    assert face.data.shape_keys.animation_data.nla_tracks
    assert not SESSION.busy


def test_a_head_that_cannot_be_leaves_the_scene_alone(portrait: Any, tmp_path: Path) -> None:
    (tmp_path / "faceless.png").touch()
    portrait.image = str(tmp_path / "faceless.png")
    with pytest.raises(RuntimeError, match="no face in"):
        bpy.ops.demo.add_portrait_head()
    assert not bpy.context.scene.objects
    assert bpy.context.scene.demo.character is None
    portrait.image = ""
    with pytest.raises(RuntimeError, match="Choose a picture"):
        bpy.ops.demo.add_portrait_head()
