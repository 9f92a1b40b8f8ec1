# SPDX-License-Identifier: GPL-3.0-or-later
"""Place the points of a face by hand: where nothing finds it, or finds it not quite where it is."""

from typing import TYPE_CHECKING, Any, Final

import bpy

from ..backend.errors import DemoError
from ..properties import settings_of
from .modal_job import JobOperator
from .session import SESSION

if TYPE_CHECKING:
    from .points_making import FirstPoints, RestOfPoints

__all__ = ["CLASSES"]


class DEMO_OT_place_points(JobOperator, bpy.types.Operator):
    """Show the picture with the points of the face over it: where they are found, else those of a mean face"""

    bl_idname = "demo.place_points"
    bl_label = "Place Face Points"
    bl_options = {"UNDO"}

    doing = "Looking for the face"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        reason = SESSION.busy_with
        if not reason and not settings_of(context.scene).portrait.image:
            reason = "Choose a picture first"
        if not reason and context.mode != "OBJECT":
            reason = "Go to Object Mode first"
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def start(self, context: bpy.types.Context) -> "FirstPoints":
        """The points in the making. Raises DemoError before any work is done."""
        from .points_making import start_points

        return start_points(context)

    def tell(self, made: str) -> None:
        """Say what to do with them."""
        self.report({"INFO"}, made)


class DEMO_OT_fit_points(JobOperator, bpy.types.Operator):
    """Put the points that you have not placed where a head has them whose other points lie where you placed them"""

    bl_idname = "demo.fit_points"
    bl_label = "Fit the Rest"
    bl_options = {"UNDO"}

    doing = "Fitting a head to the points"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        return _has_points(cls, context)

    def start(self, context: bpy.types.Context) -> "RestOfPoints":
        """The points in the making. Raises DemoError before any work is done."""
        from .points_making import start_fit

        return start_fit(context)

    def tell(self, made: str) -> None:
        """Say how many there were."""
        self.report({"INFO"}, made)


class DEMO_OT_move_points(bpy.types.Operator):
    """Select the points of the face and go to Edit Mode, where each can be dragged to its place"""

    bl_idname = "demo.move_points"
    bl_label = "Move Points"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        return _has_points(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Go to Edit Mode."""
        from ..scene.portrait_points import edit_points

        try:
            edit_points(context, settings_of(context.scene).portrait.wire())
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class DEMO_OT_remove_points(bpy.types.Operator):
    """Take the points of the face and the picture behind them out of the scene"""

    bl_idname = "demo.remove_points"
    bl_label = "Remove Points"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        reason = "" if settings_of(context.scene).portrait.points else "There are no points"
        if not reason and SESSION.busy:
            reason = SESSION.busy_with
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remove them."""
        from ..scene.portrait_points import remove_points

        if context.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        remove_points(context.scene)
        return {"FINISHED"}


def _has_points(operator: Any, context: bpy.types.Context) -> bool:
    """Whether there are points of the present picture, and nothing is in the making; says why not."""
    reason = SESSION.busy_with
    if not reason and settings_of(context.scene).portrait.wire() is None:
        reason = "Place the points of this picture first"
    if reason:
        operator.poll_message_set(reason)
    return not reason


CLASSES: Final = (DEMO_OT_place_points, DEMO_OT_fit_points, DEMO_OT_move_points, DEMO_OT_remove_points)
