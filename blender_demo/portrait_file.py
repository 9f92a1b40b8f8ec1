# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a rendered portrait into a Blender file, for the command line: one that is there, or one that is made for it."""

from math import pi
from pathlib import Path

import bpy

from .blend_file import open_scene, save_whole
from .scene.draft import scene_fps, set_scene_fps
from .scene.portrait import ImageSequence, add_plane

__all__ = ["put_into_file", "rate_of_file"]


def rate_of_file(blend: Path) -> float:
    """Frames per second of a file's scene. Replaces what is open in this Blender. Raises BakeError."""
    return scene_fps(open_scene(blend))


def put_into_file(blend: Path, sequence: ImageSequence, fps: float, alpha: bool) -> str:
    """Add the frames to a file's scene, which runs at `fps` then, as a plane; the name of that.

    A file that is made for it has a camera that shows the plane and nothing else, and the range of its frames.
    Replaces what is open in this Blender. Raises DemoError, with the file unchanged.
    """
    there = blend.exists()
    scene = open_scene(blend if there else None)
    set_scene_fps(scene, fps)
    plane = add_plane(scene, sequence, "EMISSION", alpha)
    if not there:
        _film(scene, plane)
        scene.frame_start, scene.frame_end = sequence.start_frame, sequence.start_frame + sequence.count - 1
        plane.active_material.node_tree.nodes["Image Texture"].image.filepath = _relative(sequence.held, blend)
    name = plane.name
    save_whole(blend)
    return name


def _relative(path: Path, blend: Path) -> str:
    """The path as seen from a file that is not saved yet; as it is where no way leads there."""
    try:
        return bpy.path.relpath(str(path), start=str(blend.absolute().parent))
    except ValueError:
        return str(path)


def _film(scene: bpy.types.Scene, plane: bpy.types.Object) -> None:
    """A camera on the plane alone, and colors as they are in the frames."""
    width, _, height = plane.dimensions
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.type, camera.data.ortho_scale = "ORTHO", max(width, height)
    camera.location = (plane.location.x, plane.location.y - 2.0, plane.location.z + height / 2.0)
    camera.rotation_euler = (pi / 2.0, 0.0, 0.0)
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.view_settings.view_transform = "Standard"
