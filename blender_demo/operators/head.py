# SPDX-License-Identifier: GPL-3.0-or-later
"""Add the project's own head to the scene."""

from typing import Final

import bpy

from ..backend.errors import DemoError
from ..properties import settings_of

__all__ = ["CLASSES"]


class DEMO_OT_add_head(bpy.types.Operator):
    """Add a head that is ready to speak, and pick it as the character"""

    bl_idname = "demo.add_head"
    bl_label = "Add Demo Head"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add the head."""
        from ..scene.head import add_head  # reads a file of shapes, which most sessions never need

        try:
            added = add_head(context.scene)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        settings_of(context.scene).character = added.meshes[0]
        return {"FINISHED"}


CLASSES: Final = (DEMO_OT_add_head,)
