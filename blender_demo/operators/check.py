# SPDX-License-Identifier: GPL-3.0-or-later
"""Look before a bake at what it will do and what is in its way, and mend that."""

from typing import Final

import bpy

from ..backend.errors import DemoError
from ..properties import settings_of

__all__ = ["CLASSES"]


class DEMO_OT_check(bpy.types.Operator):
    """See what a bake will do, and what would keep it from being seen; nothing is changed"""

    bl_idname = "demo.check"
    bl_label = "Check"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        if settings_of(context.scene).character is None:
            cls.poll_message_set("Pick a character first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """List the findings in the panel."""
        from .take import check_picked

        try:
            found = check_picked(context.scene)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        count = sum(finding.severity != "INFO" for finding in found)
        self.report(
            {"INFO"}, f"{count} thing{'s' if count > 1 else ''} to look at." if count else "Nothing is in the way."
        )
        return {"FINISHED"}


class DEMO_OT_mend(bpy.types.Operator):
    """Mend what keeps the take from being seen"""

    bl_idname = "demo.mend"
    bl_label = "Mend"
    bl_options = {"REGISTER", "UNDO"}

    kind: bpy.props.StringProperty(name="Kind", description="What was found; empty for all", options={"SKIP_SAVE"})
    target: bpy.props.StringProperty(name="Target", description="What it was found on", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        settings = settings_of(context.scene)
        if settings.character is None or not any(finding.remedy for finding in settings.findings):
            cls.poll_message_set("The last check found nothing that can be mended from here")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Mend it, and check again."""
        from .take import mend_picked

        try:
            done = mend_picked(context.scene, self.kind, self.target)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, ", ".join(done) + "." if done else "That is mended already.")
        return {"FINISHED"} if done else {"CANCELLED"}


CLASSES: Final = (DEMO_OT_check, DEMO_OT_mend)
