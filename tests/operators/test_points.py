# SPDX-License-Identifier: GPL-3.0-or-later
"""The points of a face are placed in the scene, moved by hand, fitted, used, and taken away again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Matrix, Quaternion

from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNELS
from blender_demo.backend.portrait.landmarks import MAIN_POINTS, Landmarks
from blender_demo.backend.portrait.png import encode_png
from blender_demo.backend.worker.client import Worker
from blender_demo.operators import points_making, portrait_making
from blender_demo.operators.session import SESSION
from blender_demo.scene.portrait_points import landmarks_of
from tests.worker_python import REPO, WORKER_PYTHON

pytestmark = pytest.mark.matrix
FAKE_CHILD = REPO / "tests" / "backend" / "worker" / "fake_child.py"
WIDTH, HEIGHT = 400, 300
NAME = "anna b ü.png"


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """One worker for all tests: it places points in earnest, and has a FAKE renderer of 24 frames."""
    with Worker(WORKER_PYTHON, script=FAKE_CHILD) as worker:
        yield worker


@pytest.fixture
def portrait(addon: Any, worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The panel's settings in a saved scene, with a take, and a picture that no face is found in."""
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    for module in (portrait_making, points_making):
        monkeypatch.setattr(module, "worker_python", lambda _: WORKER_PYTHON)
    SESSION.worker = worker
    (tmp_path / NAME).write_bytes(encode_png(np.full((HEIGHT, WIDTH, 3), 99, np.uint8)))
    MotionClip(30.0, np.zeros((30, len(CHANNELS)), np.float32)).save(tmp_path / "take.npz")
    settings = bpy.context.scene.demo
    settings.clip_path = str(tmp_path / "take.npz")
    settings.portrait.image, settings.portrait.size = str(tmp_path / NAME), 64
    yield settings.portrait
    SESSION.worker = None


def _refusal(operator: Any) -> str:
    with pytest.raises(RuntimeError) as refused:
        operator()
    return str(refused.value)


def _pixels(wire: Any) -> np.ndarray:
    """Where the vertices of the wire are in the picture."""
    bpy.context.view_layer.update()
    way = wire.parent.matrix_world.inverted() @ wire.matrix_world
    places = np.array([way @ vertex.co for vertex in wire.data.vertices])
    return places[:, :2] * (1, -1) * WIDTH + (WIDTH / 2, HEIGHT / 2)


def _drag(wire: Any, rows: Any, way: np.ndarray) -> None:
    """Move vertices by pixels."""
    for row, (x, y) in zip(rows, np.broadcast_to(way, (len(rows), 2)), strict=True):
        wire.data.vertices[row].co.x += x / WIDTH
        wire.data.vertices[row].co.y -= y / WIDTH


def _objects() -> set[str]:
    return {obj.name for obj in bpy.context.scene.objects}


def test_the_buttons_say_what_is_missing(portrait: Any) -> None:
    assert "Place the points" in _refusal(bpy.ops.demo.fit_points)
    assert "Place the points" in _refusal(bpy.ops.demo.move_points)
    assert "There are no points" in _refusal(bpy.ops.demo.remove_points)
    portrait.image = ""
    assert "Choose a picture" in _refusal(bpy.ops.demo.place_points)


def test_points_of_a_mean_face_lie_over_the_picture_and_go_without_a_trace(portrait: Any) -> None:
    bpy.ops.mesh.primitive_cube_add()
    before = {name: len(getattr(bpy.data, name)) for name in ("objects", "meshes", "images", "collections")}
    assert bpy.ops.demo.place_points() == {"FINISHED"}
    assert bpy.context.object.name == "Cube"
    wire = portrait.wire()
    image = wire.parent.data
    assert tuple(image.size) == (WIDTH, HEIGHT)
    assert image.packed_file
    points = _pixels(wire)
    assert len(points) == 78
    assert np.abs((points[:68].min(0) + points[:68].max(0)) / 2 - (WIDTH / 2, HEIGHT / 2)).max() < 10
    assert points[36:42, 0].max() < points[42:48, 0].min()
    assert points[48:68, 1].min() > points[36:48, 1].max()
    dots = [obj for obj in bpy.context.scene.objects if obj.type == "EMPTY" and obj.parent == wire]
    assert len(dots) == len(MAIN_POINTS) + 2
    bpy.context.view_layer.update()
    chin = next(dot for dot in dots if dot.name.endswith("chin"))
    assert (chin.matrix_world.translation - wire.matrix_world @ wire.data.vertices[8].co).length < 1e-6
    assert all(obj.hide_render for obj in (wire, wire.parent, *dots))
    assert bpy.ops.demo.remove_points() == {"FINISHED"}
    assert before == {name: len(getattr(bpy.data, name)) for name in before}
    assert portrait.wire() is None


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_the_picture_stands_at_the_cursor_a_meter_large(portrait: Any, scale: float) -> None:
    bpy.context.scene.unit_settings.scale_length = scale
    bpy.context.scene.cursor.location = (1.0, 2.0, 3.0)
    bpy.ops.demo.place_points()
    bpy.context.view_layer.update()
    at = portrait.wire().matrix_world
    assert tuple(at.translation) == (1.0, 2.0, 3.0)
    assert at.to_scale().x * scale == pytest.approx(1.0)
    assert at.col[2].to_3d().normalized().y == pytest.approx(-1.0)  # faces the front view


def test_the_picture_stands_before_what_would_hide_it(portrait: Any) -> None:
    bpy.ops.mesh.primitive_cube_add(size=2.0, location=(0.0, 1.0, 0.0))
    bpy.ops.mesh.primitive_cube_add(size=2.0, location=(0.0, -3.0, 0.0))
    bpy.ops.demo.place_points()
    assert tuple(portrait.wire().parent.location) == pytest.approx((0.0, -4.01, 0.0), abs=1e-4)


def test_the_rest_follows_from_a_few_points_that_were_dragged(portrait: Any) -> None:
    bpy.ops.demo.place_points()
    wire, rows = portrait.wire(), list(MAIN_POINTS.values())
    assert "No point of the face was placed" in _refusal(bpy.ops.demo.fit_points)
    _drag(wire, range(78), np.array([2.0, 0.0]))  # the whole face at first, then the main points
    start = _pixels(wire)
    target = (start[rows] - start[30]) * (1.2, 1.1) + start[30] + (15, -10)
    _drag(wire, rows, target - start[rows])
    assert bpy.ops.demo.fit_points() == {"FINISHED"}
    points = _pixels(wire)
    np.testing.assert_allclose(points[rows], target, atol=0.01)
    others = [row for row in range(27, 68) if row not in rows]
    np.testing.assert_allclose(points[others], (start[others] - start[30]) * (1.2, 1.1) + start[30] + (15, -10), atol=6)
    assert np.linalg.norm(points[others] - start[others], axis=1).min() > 3
    assert np.linalg.norm(points[[68, 73]] - [points[42:48].mean(0), points[36:42].mean(0)], axis=1).max() < 6  # pupils
    assert np.isnan(landmarks_of(wire).points).any(axis=1).sum() == 68 - len(rows)
    _drag(wire, [29], np.array([4.0, 0.0]))  # one more, and the first ones are remembered
    assert np.isnan(landmarks_of(wire).points).any(axis=1).sum() == 68 - len(rows) - 1


def test_points_are_fitted_in_edit_mode_too(portrait: Any) -> None:
    bpy.ops.demo.place_points()
    wire, rows = portrait.wire(), list(MAIN_POINTS.values())
    assert bpy.ops.demo.move_points() == {"FINISHED"}
    assert bpy.context.mode == "EDIT_MESH"
    assert bpy.context.edit_object == wire
    for vertex in wire.data.vertices:
        vertex.select = False
    bpy.ops.object.mode_set(mode="OBJECT")
    _drag(wire, rows, np.stack([np.linspace(-9, 9, len(rows)), np.full(len(rows), 5.0)], axis=1))
    bpy.ops.object.mode_set(mode="EDIT")
    before = _pixels(wire)
    assert bpy.ops.demo.fit_points() == {"FINISHED"}
    assert bpy.context.mode == "EDIT_MESH"
    bpy.ops.object.mode_set(mode="OBJECT")
    assert np.abs(_pixels(wire) - before).max() > 3
    bpy.ops.object.mode_set(mode="EDIT")
    assert bpy.ops.demo.remove_points() == {"FINISHED"}
    assert bpy.context.mode == "OBJECT"


def test_a_moved_and_turned_picture_takes_its_points_along(portrait: Any) -> None:
    bpy.ops.demo.place_points()
    wire = portrait.wire()
    _drag(wire, [8], np.array([0.0, 20.0]))
    before = landmarks_of(wire)
    wire.parent.matrix_basis = Matrix.LocRotScale((4, 5, 6), Quaternion((0.5, 0.5, 0.5, 0.5)), (3, 3, 3))
    np.testing.assert_allclose(landmarks_of(wire).points, before.points, atol=1e-3)
    wire.matrix_basis = Matrix.Translation((0.1, 0.0, 0.0)) @ wire.matrix_basis
    moved = landmarks_of(wire)
    assert np.flatnonzero(np.isfinite(moved.points).all(axis=1)).tolist() == [8]
    np.testing.assert_allclose(moved.points[8], before.points[8] + (0.1 * WIDTH, 0.0), atol=1e-3)


def test_a_face_laid_onto_the_picture_as_a_whole_is_placed(portrait: Any) -> None:
    bpy.ops.demo.place_points()
    wire = portrait.wire()
    wire.scale = (1.1, 0.9, 1.0)
    landmarks = landmarks_of(wire)
    assert np.isfinite(landmarks.points).all()
    assert landmarks.by_hand


def test_points_that_were_deleted_or_copied_are_told(portrait: Any) -> None:
    bpy.ops.demo.place_points()
    wire = portrait.wire()
    bpy.ops.demo.move_points()
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.duplicate()
    assert "deleted, or copied" in _refusal(bpy.ops.demo.fit_points)
    bpy.ops.object.mode_set(mode="OBJECT")
    wire.data.clear_geometry()
    assert "no longer whole" in _refusal(bpy.ops.demo.render_portrait)
    wire.parent = None
    assert "no longer tied" in _refusal(bpy.ops.demo.render_portrait)
    assert bpy.ops.demo.remove_points() == {"FINISHED"}
    assert not _objects()


def test_mirrored_points_are_refused_with_the_reason(portrait: Any) -> None:
    bpy.ops.demo.place_points()
    wire = portrait.wire()
    wire.scale.x = -1.0
    assert "mirrored" in _refusal(bpy.ops.demo.fit_points)


def test_a_portrait_uses_the_points_of_its_picture_alone(portrait: Any, tmp_path: Path) -> None:
    bpy.ops.demo.place_points()
    kept = tmp_path / "demo_portraits" / "anna_b__" / "anna_b___points.json"
    assert "No point of the face was placed" in _refusal(bpy.ops.demo.render_portrait)
    assert not kept.exists()
    _drag(portrait.wire(), MAIN_POINTS.values(), np.array([[5.0, 3.0]]) + np.arange(len(MAIN_POINTS))[:, None] % 3)
    assert bpy.ops.demo.render_portrait() == {"FINISHED"}
    landmarks = Landmarks.load(kept)
    assert landmarks.by_hand
    assert np.isfinite(landmarks.points).all(axis=1).sum() == len(MAIN_POINTS)
    kept.unlink()
    (tmp_path / "other.png").write_bytes((tmp_path / NAME).read_bytes())
    portrait.image = str(tmp_path / "other.png")
    assert portrait.wire() is None
    assert bpy.ops.demo.render_portrait() == {"FINISHED"}
    assert not list(tmp_path.rglob("*_points.json"))


def test_points_survive_save_and_reload(portrait: Any, tmp_path: Path) -> None:
    bpy.ops.demo.place_points()
    _drag(portrait.wire(), [8, 30], np.array([7.0, 9.0]))
    before = landmarks_of(portrait.wire())
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    wire = bpy.context.scene.demo.portrait.wire()
    np.testing.assert_array_equal(landmarks_of(wire).points, before.points)
    assert tuple(wire.parent.data.size) == (WIDTH, HEIGHT)


def test_points_that_the_artist_deleted_are_not_used(portrait: Any) -> None:
    bpy.ops.demo.place_points()
    bpy.data.collections["Face Points"].objects.unlink(portrait.wire())
    assert portrait.wire() is None
    assert bpy.ops.demo.place_points() == {"FINISHED"}
    assert len([name for name in _objects() if name.startswith("Face Points Picture")]) == 1


def test_what_the_artist_hung_onto_the_points_stays(portrait: Any) -> None:
    bpy.ops.demo.place_points()
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    cube.parent = portrait.wire()
    bpy.data.collections["Face Points"].objects.link(cube)
    bpy.ops.demo.remove_points()
    assert _objects() == {"Cube"}
    assert "Face Points" in bpy.data.collections


def test_a_packed_picture_needs_no_file(portrait: Any, tmp_path: Path) -> None:
    image = bpy.data.images.load(str(tmp_path / NAME))
    image.pack()
    (tmp_path / NAME).unlink()
    assert bpy.ops.demo.place_points() == {"FINISHED"}
    assert (tmp_path / "demo_portraits" / NAME).is_file()
    image.user_clear()
    bpy.data.images.remove(image)
    (tmp_path / "demo_portraits" / NAME).unlink()
    assert "does not exist" in _refusal(bpy.ops.demo.place_points)


def test_a_failure_leaves_the_scene_alone(portrait: Any, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no picture")
    assert NAME in _refusal(bpy.ops.demo.place_points)
    assert not _objects()
    assert not bpy.data.images
    assert not SESSION.busy
