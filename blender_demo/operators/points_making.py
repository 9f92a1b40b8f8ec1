# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators do for the points of a face: they let the worker find them, or fit those that nobody placed."""

from dataclasses import dataclass
from math import inf, pi
from typing import Any, Final

import bpy
from mathutils import Matrix, Vector

from ..backend.errors import PortraitError, WorkerError
from ..backend.portrait.landmarks import Landmarks
from ..backend.worker.client import PlacedPoints, PointsJob
from ..preferences import preferences, worker_python
from ..properties import settings_of
from ..scene.character import IdRef
from ..scene.portrait_points import add_points, landmarks_of, put_rest, remove_points
from .portrait_making import picture_file
from .session import SESSION

__all__ = ["FirstPoints", "RestOfPoints", "start_fit", "start_points"]

_SHARE_OF_VIEW: Final = 0.5
"""Longer side of the picture over the distance of a 3D view, so that it is seen whole."""
_MARGIN: Final = 0.01
"""Between the picture and what is behind it, over its longer side."""


@dataclass(frozen=True)
class FirstPoints:
    """The points of a face in the making, and where they are to be."""

    job: PointsJob
    scene: IdRef
    picture: str
    place: Matrix

    def apply(self) -> str:
        """Put them into the scene; what they are, as a sentence. Raises DemoError."""
        placed, scene = _result(self.job), self.scene.resolve()
        if scene is None:
            raise PortraitError("The scene is no longer there. Place the points again.")
        remove_points(scene)
        portrait = settings_of(scene).portrait
        portrait.points, portrait.points_picture = add_points(scene, placed, self.place), self.picture
        if placed.found:
            return "The face was found. Correct its points with Move Points where they are off."
        return "Bring the marked points to where they belong with Move Points, then press Fit the Rest."


@dataclass(frozen=True)
class RestOfPoints:
    """The rest of the points in the making."""

    job: PointsJob
    wire: IdRef

    def apply(self) -> str:
        """Put them where they are; how many were placed by hand, as a sentence. Raises DemoError."""
        placed, wire = _result(self.job), self.wire.resolve()
        if wire is None:
            raise PortraitError("The points are no longer there. Place them again.")
        count = put_rest(wire, placed.landmarks)
        return f"{count} points stay where they were placed; the others follow from them."


def start_points(context: bpy.types.Context) -> FirstPoints:
    """Check everything and make the job. Raises DemoError before any work is done."""
    scene: Any = context.scene
    picture = settings_of(scene).portrait.image
    job = PointsJob(_worker(context), picture_file(picture))
    return FirstPoints(job, IdRef.of("scenes", scene), picture, _place(context))


def start_fit(context: bpy.types.Context) -> RestOfPoints:
    """Check everything and make the job. Raises DemoError before any work is done."""
    scene: Any = context.scene
    picture = settings_of(scene).portrait.image
    wire = settings_of(scene).portrait.wire()
    known: Landmarks = landmarks_of(wire)
    return RestOfPoints(PointsJob(_worker(context), picture_file(picture), known), IdRef.of("objects", wire))


def _worker(context: bpy.types.Context) -> Any:
    chosen = preferences(context)
    return SESSION.worker_for(worker_python(chosen), 60.0 * chosen.idle_minutes)


def _result(job: PointsJob) -> PlacedPoints:
    if job.result is None:
        raise job.error or WorkerError("The points came to no result.")
    return job.result


def _place(context: Any) -> Matrix:
    """Where the picture goes: in the middle of the 3D view, facing it; without one upright at the 3D cursor.

    Before all meshes that are there, so that none hides it; in perspective not too near to the eye.
    """
    view = getattr(context, "region_data", None)
    if isinstance(view, bpy.types.RegionView3D):
        turn, middle, size = view.view_rotation.to_matrix(), view.view_location, _SHARE_OF_VIEW * view.view_distance
        farthest = _SHARE_OF_VIEW * view.view_distance if view.is_perspective else inf
    else:
        turn, middle = Matrix.Rotation(pi / 2.0, 3, "X"), context.scene.cursor.location
        size, farthest = 1.0 / context.scene.unit_settings.scale_length, inf
    meshes = [obj for obj in context.view_layer.objects if obj.type == "MESH" and obj.visible_get()]
    corners = [obj.matrix_world @ Vector(corner) for obj in meshes for corner in obj.bound_box]
    depths = [(corner - middle).dot(turn.col[2]) for corner in corners]
    before = min(max(depths, default=0.0) + _MARGIN * size, farthest) if max(depths, default=0.0) > 0.0 else 0.0
    return Matrix.LocRotScale(middle + before * turn.col[2], turn, Vector((size, size, size)))
