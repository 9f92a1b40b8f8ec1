# SPDX-License-Identifier: GPL-3.0-or-later
"""The points of a face over its picture, in the scene: a wire whose vertices an artist moves, before an image.

The vertices are the 78 points of `backend.portrait.placing`, in the plane of the image: its middle is the origin, its
longer side 1. Each remembers where it was put and whether it was placed by hand, in attributes of the mesh, so that
undo, copies and saved files have it too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Final

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from ..backend.errors import PortraitError
from ..backend.portrait.landmarks import IRIS_NAMES, MAIN_POINTS, Landmarks
from ..backend.portrait.placing import CONTOURS, POINTS, as_landmarks, as_points, known_points, placed_points
from ..backend.worker.client import PlacedPoints

__all__ = ["add_points", "edit_points", "landmarks_of", "put_rest", "remove_points"]

Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

_TITLE: Final = "Face Points"
_NUMBER, _START, _PLACED = "demo_point", "demo_start", "demo_placed"
"""Attributes of the vertices: which point, where it was put (pixels), whether an artist has placed it."""
_SIZE, _FOUND = "demo_size", "demo_found"
"""Properties of the wire: the pixels of the picture, and whether the face was seen in it."""
_MARK: Final = "demo_face_points"
"""Property of every object that is made here."""
_DOT: Final = 0.006
"""Radius of the marks on the main points, over the longer side of the picture."""
_BEFORE: Final = 0.002
"""How far before the picture the points lie, so that they are not drawn into it."""
_COLOR: Final = (0.1, 0.9, 0.6, 1.0)


def add_points(scene: bpy.types.Scene, placed: PlacedPoints, place: Matrix) -> bpy.types.Object:
    """The wire of a face over its picture, of which the longer side is 1 in the frame of `place`."""
    collection = bpy.data.collections.new(_TITLE)
    scene.collection.children.link(collection)
    image = bpy.data.images.new(f"{_TITLE} Picture", placed.width, placed.height)
    image.source = "FILE"
    image.pack(data=placed.preview, data_len=len(placed.preview))
    behind = _add(collection, f"{_TITLE} Picture", None)
    behind.empty_display_type, behind.empty_display_size, behind.empty_image_depth = "IMAGE", 1.0, "DEFAULT"
    behind.data, behind.hide_select = image, True
    behind.matrix_basis = place
    wire = _add(collection, _TITLE, _mesh())
    wire.parent, wire.show_in_front, wire.color = behind, True, _COLOR
    wire[_SIZE], wire[_FOUND] = [placed.width, placed.height], placed.found
    _put(wire, as_points(placed.landmarks), np.zeros(POINTS, bool))
    for name, point in (MAIN_POINTS | {name: 68 + 5 * eye for eye, name in enumerate(IRIS_NAMES)}).items():
        dot = _add(collection, f"{_TITLE} {name}", None)
        dot.parent, dot.parent_type, dot.parent_vertices = wire, "VERTEX", (point, 0, 0)
        dot.empty_display_type, dot.empty_display_size = "SPHERE", _DOT * place.median_scale
        dot.hide_select, dot.show_in_front, dot.color = True, True, _COLOR
    return wire


def landmarks_of(wire: Any) -> Landmarks:
    """What is known of the face; NaN where only the head model can say it. Raises PortraitError where nothing is."""
    now, start, before = _points(wire)
    placed, whole = placed_points(np.where(before[:, None], now, start), now)
    placed |= before
    known = known_points(placed, whole, bool(wire[_FOUND]))
    if not known.any():
        raise PortraitError(
            "No point of the face was placed yet. Press Move Points and bring the marked points to where they belong."
        )
    return as_landmarks(now, known, by_hand=bool(placed.any() or whole))


def put_rest(wire: Any, landmarks: Landmarks) -> int:
    """Put the points that nobody has placed where `landmarks` has them; returns how many were placed."""
    now, start, before = _points(wire)
    placed = before | placed_points(np.where(before[:, None], now, start), now)[0]
    _put(wire, np.where(placed[:, None], now, as_points(landmarks)), placed)
    return int(placed.sum())


def edit_points(context: Any, wire: Any) -> None:
    """Let the artist move the points, in Edit Mode. Raises PortraitError where they cannot be seen."""
    if wire.name not in context.view_layer.objects:
        raise PortraitError("The collection of the points is switched off in this view layer. Switch it on first.")
    if context.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    for obj in context.view_layer.objects.selected:
        obj.select_set(False)
    wire.hide_set(False)
    wire.select_set(True)
    context.view_layer.objects.active = wire
    bpy.ops.object.mode_set(mode="EDIT")
    context.tool_settings.mesh_select_mode = (True, False, False)
    bpy.ops.mesh.select_all(action="DESELECT")


def remove_points(scene: Any) -> None:
    """Take the points and their picture away; what else lies in their collection, or hangs on them, stays."""
    wire = scene.demo.portrait.points
    scene.demo.portrait.points = None
    family = {obj for obj in (*scene.objects, wire) if obj is not None and obj.get(_MARK)}
    collections = {collection for obj in family for collection in obj.users_collection}
    for obj in family:
        data = obj.data
        bpy.data.objects.remove(obj)
        if data is not None and data.users == 0:
            (bpy.data.meshes if isinstance(data, bpy.types.Mesh) else bpy.data.images).remove(data)
    for collection in collections - {scene.collection}:
        if not collection.all_objects and not collection.children:
            bpy.data.collections.remove(collection)


def _add(collection: Any, name: str, data: Any) -> Any:
    obj = bpy.data.objects.new(name, data)
    obj.hide_render, obj[_MARK] = True, True
    collection.objects.link(obj)
    return obj


def _mesh() -> bpy.types.Mesh:
    """The points, joined along the contours."""
    edges = []
    for row, closed in CONTOURS:
        edges += pairwise(row)
        edges += [(row[-1], row[0])] if closed else []
    mesh = bpy.data.meshes.new(_TITLE)
    mesh.from_pydata(np.zeros((POINTS, 3)).tolist(), edges, [])
    mesh.attributes.new(_NUMBER, "INT", "POINT").data.foreach_set("value", np.arange(POINTS, dtype=np.int32))
    mesh.attributes.new(_START, "FLOAT_VECTOR", "POINT")
    mesh.attributes.new(_PLACED, "BOOLEAN", "POINT")
    return mesh


def _points(wire: Any) -> tuple[Doubles, Doubles, Mask]:
    """Where the points are (78, 2), where they were put (78, 2), both in pixels, and which were placed by hand (78,).

    Raises PortraitError where points were deleted, or the wire has left its picture.
    """
    if wire.parent is None or wire.parent_type != "OBJECT":
        raise PortraitError("The points of the face are no longer tied to their picture. Place them again.")
    with _out_of_edit_mode(wire):
        number = _values(wire, _NUMBER, 1, np.int32)[:, 0]
        if sorted(number) != list(range(POINTS)):
            raise PortraitError("Points of the face were deleted, or copied. Undo that, or place the points again.")
        order = np.argsort(number)
        places = np.empty(3 * POINTS, np.float32)
        wire.data.vertices.foreach_get("co", places)
        start = _values(wire, _START, 3, np.float32)[order, :2]
        placed = _values(wire, _PLACED, 1, np.bool_)[order, 0]
    to_picture = np.array(wire.matrix_parent_inverse @ wire.matrix_basis)
    places = places.reshape(-1, 3)[order] @ to_picture[:3, :3].T + to_picture[:3, 3]
    return _pixels(places, *wire[_SIZE]), start.astype(float), placed


def _put(wire: Any, points: Doubles, placed: Mask) -> None:
    """Put all points (78, 2), in pixels, and remember which were placed by hand (78,)."""
    with _out_of_edit_mode(wire):
        number = _values(wire, _NUMBER, 1, np.int32)[:, 0]
        from_picture = np.linalg.inv(np.array(wire.matrix_parent_inverse @ wire.matrix_basis))
        places = _places(points, *wire[_SIZE])[number] @ from_picture[:3, :3].T + from_picture[:3, 3]
        wire.data.vertices.foreach_set("co", places.astype(np.float32).ravel())
        start = np.concatenate([points, np.zeros((POINTS, 1))], axis=1)[number]
        wire.data.attributes[_START].data.foreach_set("vector", start.astype(np.float32).ravel())
        wire.data.attributes[_PLACED].data.foreach_set("value", placed[number])
        wire.data.update()


def _values(wire: Any, name: str, size: int, kind: type) -> NDArray[Any]:
    """An attribute (V, size) of the vertices. Raises PortraitError where it is gone."""
    attribute = wire.data.attributes.get(name)
    if attribute is None:
        raise PortraitError("The points of the face are no longer whole. Undo that, or place the points again.")
    values = np.zeros(size * len(wire.data.vertices), kind)
    attribute.data.foreach_get("vector" if size == 3 else "value", values)
    return values.reshape(-1, size)


@contextmanager
def _out_of_edit_mode(wire: Any) -> Iterator[None]:
    """Edit Mode holds a mesh of its own, whose attributes cannot be read, and which would be written over this one."""
    if wire.mode != "EDIT":
        yield
        return
    with bpy.context.temp_override(object=wire, active_object=wire):
        bpy.ops.object.mode_set(mode="OBJECT")
        try:
            yield
        finally:
            bpy.ops.object.mode_set(mode="EDIT")


def _pixels(places: Doubles, width: float, height: float) -> Doubles:
    """Pixels (n, 2) of places (n, 3) in the plane of the image."""
    return (places[:, :2] * (1, -1)) * max(width, height) + (width / 2, height / 2)


def _places(points: Doubles, width: float, height: float) -> Doubles:
    """Inverse of `_pixels`, just before the plane."""
    flat = (points - (width / 2, height / 2)) / max(width, height) * (1, -1)
    return np.concatenate([flat, np.full((len(points), 1), _BEFORE)], axis=1)
