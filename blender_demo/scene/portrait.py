# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbered frames in the scene: as the image of a material, on a plane, an object, or in a node that is there already.

Blender shows the file whose number is clamp(frame - start + 1, 0, count) + offset: one file for each frame of the
scene, so frames are right at the scene's own rate only. Before the start that is the file of the offset itself, which
is the one that `backend.portrait.sequence` writes as number 0; after the end it is the last.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import bpy

from ..backend.errors import PortraitError

__all__ = ["ImageSequence", "Look", "active_image_node", "add_plane", "put_into_node", "put_on_object"]

Look = Literal["EMISSION", "PRINCIPLED"]
"""Whether a portrait shines in its own colors, or is lit by the scene."""

_MARK: Final = "demo_portrait"
_COLUMN: Final = 320
"""From one node to the next in the editor."""

_STORED: Final = {".png": ("sRGB", "STRAIGHT"), ".exr": ("Linear Rec.709", "PREMUL")}
"""Color space and alpha of the files, by their ending."""

_NUMBER: Final = re.compile(r"\d+$")


@dataclass(frozen=True)
class ImageSequence:
    """held: the file that is shown before the first; those from its number + 1 to its number + `count` follow it.

    start_frame: frame of the scene that shows the first.
    """

    held: Path
    count: int
    start_frame: int

    @property
    def offset(self) -> int:
        """The number in the name of the file that is held. Raises PortraitError where there is none."""
        number = _NUMBER.search(self.held.stem)
        if number is None:
            raise PortraitError(f"{self.held.name} has no number at the end of its name, so no frame can follow it.")
        return int(number[0])

    @property
    def files(self) -> list[Path]:
        """The files of the frames, without the one that is held. Raises PortraitError as `offset` does."""
        first = self.offset + 1
        digits = len(self.held.stem) - len(_NUMBER.sub("", self.held.stem))
        stem = self.held.stem[:-digits]
        numbers = range(first, first + self.count)
        return [self.held.with_name(f"{stem}{number:0{digits}d}{self.held.suffix}") for number in numbers]

    @property
    def title(self) -> str:
        """The name of the files without their number."""
        return _NUMBER.sub("", self.held.stem).rstrip("_-. ") or "portrait"

    @property
    def mark(self) -> str:
        """What a plane made for these files remembers them by, wherever the project is moved to."""
        return f"{self.held.parent.name}/{self.title}"


def add_plane(scene: bpy.types.Scene, sequence: ImageSequence, look: Look, alpha: bool) -> bpy.types.Object:
    """An upright plane that faces -Y, one meter high, as wide as the picture's aspect asks for. Raises PortraitError.

    It stands on the ground at the 3D cursor. The plane that was made for these files before, if there is one, is shaped
    and colored anew and stays where it is.
    """
    half = _aspect(sequence.held) / 2.0
    material = _material(sequence, look, alpha)
    mesh = bpy.data.meshes.new(sequence.title)
    mesh.from_pydata([(-half, 0, 0), (half, 0, 0), (half, 0, 1), (-half, 0, 1)], [], [(0, 1, 2, 3)])
    corners = mesh.uv_layers.new(name="UVMap").data
    for corner, place in zip(corners, ((0, 0), (1, 0), (1, 1), (0, 1)), strict=True):
        corner.uv = place
    mesh.materials.append(material)
    for plane in scene.objects:
        if plane.get(_MARK) == sequence.mark and plane.type == "MESH":
            plane.data = mesh
            return plane
    plane = bpy.data.objects.new(sequence.title, mesh)
    plane[_MARK] = sequence.mark
    plane.location = scene.cursor.location
    scene.collection.objects.link(plane)
    return plane


def put_on_object(obj: bpy.types.Object, sequence: ImageSequence, look: Look, alpha: bool) -> bpy.types.Material:
    """A new material in the active slot of an object, which must have a UV map. Raises PortraitError."""
    if not getattr(obj.data, "uv_layers", None):
        raise PortraitError(f"'{obj.name}' has no UV map to lay a picture out by. Unwrap it first.")
    if obj.library is not None or obj.data.library is not None:
        raise PortraitError(f"'{obj.name}' is linked from another file. Make a library override of it first.")
    material = _material(sequence, look, alpha)
    if obj.material_slots:
        obj.material_slots[obj.active_material_index].material = material
    else:
        obj.data.materials.append(material)
    return material


def active_image_node(obj: bpy.types.Object | None) -> Any:
    """The Image Texture node that is selected in the active material of an object, else None."""
    material = obj.active_material if obj is not None else None
    node = material.node_tree.nodes.active if material is not None and material.node_tree is not None else None
    return node if node is not None and node.bl_idname == "ShaderNodeTexImage" else None


def put_into_node(node: Any, sequence: ImageSequence) -> None:
    """Let an Image Texture node play the frames; its links stay as they are. Raises PortraitError."""
    node.image = _image(sequence)
    user = node.image_user
    user.frame_start = sequence.start_frame
    user.frame_duration = sequence.count
    user.frame_offset = sequence.offset
    user.use_auto_refresh = True
    user.use_cyclic = False


def _image(sequence: ImageSequence) -> bpy.types.Image:
    """The image of these files: the one there is, read again, or a new one; its path is relative in a saved file."""
    _aspect(sequence.held)
    for image in bpy.data.images:
        if image.source == "SEQUENCE" and Path(bpy.path.abspath(image.filepath)) == sequence.held:
            image.reload()
            return image
    image = bpy.data.images.load(str(sequence.held))
    image.name = sequence.title
    image.source = "SEQUENCE"
    image.colorspace_settings.name, image.alpha_mode = _STORED[sequence.held.suffix]
    if bpy.data.filepath:
        with suppress(ValueError):  # there is no way from one drive of Windows to another
            image.filepath = bpy.path.relpath(str(sequence.held))
    return image


def _aspect(frame: Path) -> float:
    """Width over height of a frame. Raises PortraitError where there is none that can be read."""
    if not frame.is_file():
        raise PortraitError(f"The frame {frame} does not exist. Render the portrait again.")
    image = bpy.data.images.load(str(frame))
    width, height = image.size
    bpy.data.images.remove(image)
    if not height:
        raise PortraitError(f"The frame {frame} is damaged. Render the portrait again.")
    return width / height


def _material(sequence: ImageSequence, look: Look, alpha: bool) -> bpy.types.Material:
    material = bpy.data.materials.new(sequence.title)
    material.use_nodes = True
    tree: Any = material.node_tree
    tree.nodes.clear()
    picture, output = tree.nodes.new("ShaderNodeTexImage"), tree.nodes.new("ShaderNodeOutputMaterial")
    try:
        put_into_node(picture, sequence)
    except PortraitError:
        bpy.data.materials.remove(material)
        raise
    tree.links.new(_LOOKS[look](tree, picture, alpha), output.inputs["Surface"])
    for column, node in enumerate(sorted(tree.nodes, key=lambda node: (node != picture, node == output))):
        node.location.x = _COLUMN * column
    if alpha:
        material.surface_render_method = "BLENDED"
    return material


def _emission(tree: Any, picture: Any, alpha: bool) -> Any:
    shader = tree.nodes.new("ShaderNodeEmission")
    tree.links.new(picture.outputs["Color"], shader.inputs["Color"])
    if not alpha:
        return shader.outputs[0]
    clear, mix = tree.nodes.new("ShaderNodeBsdfTransparent"), tree.nodes.new("ShaderNodeMixShader")
    tree.links.new(picture.outputs["Alpha"], mix.inputs[0])
    tree.links.new(clear.outputs[0], mix.inputs[1])
    tree.links.new(shader.outputs[0], mix.inputs[2])
    return mix.outputs[0]


def _principled(tree: Any, picture: Any, alpha: bool) -> Any:
    shader = tree.nodes.new("ShaderNodeBsdfPrincipled")
    tree.links.new(picture.outputs["Color"], shader.inputs["Base Color"])
    if alpha:
        tree.links.new(picture.outputs["Alpha"], shader.inputs["Alpha"])
    return shader.outputs[0]


_LOOKS: Final = {"EMISSION": _emission, "PRINCIPLED": _principled}
