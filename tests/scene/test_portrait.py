# SPDX-License-Identifier: GPL-3.0-or-later
"""A portrait shows the right frame at every time, as rendered pixels tell: the files differ in how bright they are."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from blender_demo.backend.errors import PortraitError
from blender_demo.backend.portrait.exr import write_exr
from blender_demo.backend.portrait.png import encode_png, write_png
from blender_demo.scene.portrait import ImageSequence, active_image_node, add_plane, put_into_node, put_on_object

pytestmark = pytest.mark.matrix
COUNT = 5
STEP = 40
"""Brightness of a file over that of the one before; number 0 is 20."""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The held file of five frames, 16 x 8 pixels, transparent in their right half."""
    return write_files(tmp_path / "frames")


def write_files(folder: Path, first: int = 0) -> Path:
    folder.mkdir()
    for number in range(COUNT + 1):
        pixels = np.full((8, 16, 4), 20 + STEP * number, np.uint8)
        pixels[..., 3] = np.where(np.arange(16) < 8, 255, 0)
        (folder / f"talk_{first + number:04d}.png").write_bytes(encode_png(pixels))
    return folder / f"talk_{first:04d}.png"


def look_at(plane: bpy.types.Object) -> None:
    """Film a plane of aspect 2 by itself, exactly, at 64 x 32."""
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.type, camera.data.ortho_scale = "ORTHO", 2.0
    camera.location = plane.location + plane.matrix_basis.to_3x3() @ camera.location.__class__((0.0, -2.0, 0.5))
    camera.rotation_euler = (np.pi / 2, 0.0, 0.0)
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 1, False
    scene.render.resolution_x, scene.render.resolution_y, scene.render.film_transparent = 64, 32, True
    scene.view_settings.view_transform, scene.render.dither_intensity = "Standard", 0.0


def pixels_at(frame: int, folder: Path) -> np.ndarray:
    """Rendered RGBA in 0..255, (32, 64, 4)."""
    scene = bpy.context.scene
    scene.frame_set(frame)
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGBA"
    scene.render.filepath = str(folder / "render.png")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    image.colorspace_settings.name = "Non-Color"
    values = np.array(image.pixels[:]).reshape(32, 64, 4)
    bpy.data.images.remove(image)
    return 255.0 * values


def number_at(frame: int, folder: Path) -> int:
    """Number of the file that is seen at a frame, counted from the held one."""
    seen = pixels_at(frame, folder)[8:24, 8:24, :3]
    assert np.ptp(seen) < 2.0, "it is not of one color, as a missing texture is magenta"
    number = (seen.mean() - 20) / STEP
    assert abs(number - round(number)) < 0.05
    return round(number)


@pytest.mark.parametrize("start", [1, 101, -7])
def test_the_right_frame_is_seen_before_during_and_after(files: Path, tmp_path: Path, start: int) -> None:
    look_at(add_plane(bpy.context.scene, ImageSequence(files, COUNT, start), "EMISSION", alpha=False))
    times = (start - 50, start - 1, start, start + 2, start + COUNT - 1, start + COUNT, start + 500)
    assert [number_at(frame, tmp_path) for frame in times] == [0, 0, 1, 3, 5, 5, 5]


@pytest.mark.parametrize("ending", ["png16", "exr"])
def test_files_of_all_formats_have_the_colors_and_the_alpha_of_png(files: Path, tmp_path: Path, ending: str) -> None:
    wanted = np.array([200, 120, 40, 128], np.float32) / 255
    plain = np.broadcast_to(wanted, (8, 16, 4))
    write_png(tmp_path / "a_0000.png", np.round(255 * plain).astype(np.uint8))
    other = tmp_path / f"b_0000.{ending[:3]}"
    if ending == "exr":
        pytest.importorskip("OpenEXR", reason="needs OpenEXR")
        linear = ((plain[..., :3] + 0.055) / 1.055) ** 2.4 * plain[..., 3:]
        write_exr(other, np.concatenate([linear, plain[..., 3:]], axis=-1).astype(np.float16))
    else:
        write_png(other, np.round(65535 * plain).astype(np.uint16))
    seen = []
    for path in (tmp_path / "a_0000.png", other):
        plane = add_plane(bpy.context.scene, ImageSequence(path, 1, 1), "EMISSION", alpha=True)
        look_at(plane)
        seen.append(pixels_at(0, tmp_path)[16, 32])
        bpy.data.objects.remove(plane)
    assert seen[0][:3] == pytest.approx(255 * wanted[:3], abs=1.5)
    assert seen[1] == pytest.approx(seen[0], abs=1.5)


def test_a_scene_of_23_976_frames_per_second_shows_a_file_a_frame(files: Path, tmp_path: Path) -> None:
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = 24, 1.001
    look_at(add_plane(scene, ImageSequence(files, COUNT, 10), "EMISSION", alpha=False))
    assert [number_at(frame, tmp_path) for frame in (9, 10, 11, 14, 15)] == [0, 1, 2, 5, 5]


def test_files_that_were_renumbered_are_found_by_the_number_in_their_name(tmp_path: Path) -> None:
    held = write_files(tmp_path / "frames", first=1000)
    look_at(add_plane(bpy.context.scene, ImageSequence(held, COUNT, 3), "EMISSION", alpha=False))
    assert [number_at(frame, tmp_path) for frame in (1, 3, 5, 7, 9)] == [0, 1, 3, 5, 5]


def test_it_plays_after_saving_and_moving_the_folder(files: Path, tmp_path: Path) -> None:
    shot = tmp_path / "shot"
    shot.mkdir()
    files.parent.rename(shot / "frames")
    held = shot / "frames" / files.name
    bpy.ops.wm.save_as_mainfile(filepath=str(shot / "a.blend"))
    look_at(add_plane(bpy.context.scene, ImageSequence(held, COUNT, 2), "EMISSION", alpha=False))
    assert bpy.data.images["talk"].filepath == "//frames/talk_0000.png"
    bpy.ops.wm.save_mainfile()
    shot.rename(tmp_path / "moved")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "moved" / "a.blend"))
    assert [number_at(frame, tmp_path) for frame in (1, 2, 4, 9)] == [0, 1, 3, 5]


@pytest.mark.parametrize("look", ["EMISSION", "PRINCIPLED"])
def test_what_is_transparent_in_the_frames_is_transparent_in_the_scene(files: Path, tmp_path: Path, look: Any) -> None:
    look_at(add_plane(bpy.context.scene, ImageSequence(files, COUNT, 1), look, alpha=True))
    seen = pixels_at(3, tmp_path)[..., 3]
    assert seen[8:24, 8:28].min() == 255
    assert seen[8:24, 36:56].max() == 0


def test_without_alpha_all_of_the_plane_is_seen(files: Path, tmp_path: Path) -> None:
    look_at(add_plane(bpy.context.scene, ImageSequence(files, COUNT, 1), "PRINCIPLED", alpha=False))
    assert pixels_at(3, tmp_path)[8:24, 4:60, 3].min() == 255


def test_the_plane_has_the_aspect_of_the_picture_and_stands_at_the_cursor(files: Path) -> None:
    bpy.context.scene.cursor.location = (1.0, 2.0, 3.0)
    plane = add_plane(bpy.context.scene, ImageSequence(files, COUNT, 1), "EMISSION", alpha=False)
    assert tuple(plane.dimensions) == pytest.approx((2.0, 0.0, 1.0))
    assert tuple(plane.location) == (1.0, 2.0, 3.0)
    assert tuple(plane.data.polygons[0].normal) == pytest.approx((0.0, -1.0, 0.0))


def test_an_object_gets_it_in_its_active_slot(files: Path) -> None:
    sequence = ImageSequence(files, COUNT, 1)
    screen = add_plane(bpy.context.scene, sequence, "EMISSION", alpha=False)
    for name in ("Left", "Right"):
        screen.data.materials.append(bpy.data.materials.new(name))
    screen.active_material_index = 1
    put = put_on_object(screen, sequence, "PRINCIPLED", alpha=False)
    assert [slot.material.name for slot in screen.material_slots] == ["talk", put.name, "Right"]


def test_an_object_without_uvs_is_refused_and_nothing_made(files: Path) -> None:
    mesh = bpy.data.meshes.new("Bare")
    with pytest.raises(PortraitError, match="Unwrap it first"):
        put_on_object(bpy.data.objects.new("Bare", mesh), ImageSequence(files, COUNT, 1), "EMISSION", alpha=False)
    assert not bpy.data.images
    assert not bpy.data.materials


def test_a_node_plays_it_and_keeps_its_links(files: Path, tmp_path: Path) -> None:
    sequence = ImageSequence(files, COUNT, 1)
    plane = add_plane(bpy.context.scene, sequence, "EMISSION", alpha=False)
    tree = plane.active_material.node_tree
    assert active_image_node(plane) is None
    tree.nodes.active = next(node for node in tree.nodes if node.type == "TEX_IMAGE")
    node, links = active_image_node(plane), len(tree.links)
    node.image, node.image_user.use_cyclic = None, True
    put_into_node(node, ImageSequence(files, COUNT, 4))
    assert len(tree.links) == links
    look_at(plane)
    assert [number_at(frame, tmp_path) for frame in (3, 4, 99)] == [0, 1, 5]


def test_frames_that_were_rendered_again_are_seen_and_have_one_image_and_plane(files: Path, tmp_path: Path) -> None:
    sequence = ImageSequence(files, COUNT, 1)
    look_at(add_plane(bpy.context.scene, sequence, "EMISSION", alpha=False))
    assert number_at(1, tmp_path) == 1
    files.with_name("talk_0001.png").write_bytes(files.with_name("talk_0005.png").read_bytes())
    add_plane(bpy.context.scene, sequence, "EMISSION", alpha=False)
    assert number_at(1, tmp_path) == 5
    assert [obj.name for obj in bpy.context.scene.objects if obj.type == "MESH"] == ["talk"]
    assert len([image for image in bpy.data.images if image.source == "SEQUENCE"]) == 1


def test_frames_that_are_gone_are_told_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(PortraitError, match="Render the portrait again"):
        add_plane(bpy.context.scene, ImageSequence(tmp_path / "a_0000.png", COUNT, 1), "EMISSION", alpha=False)
    assert not bpy.data.materials
    assert not bpy.data.objects
