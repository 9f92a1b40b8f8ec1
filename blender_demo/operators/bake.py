# SPDX-License-Identifier: GPL-3.0-or-later
"""Bake a kept take again, bring it to other characters, remove what was baked, make room in the NLA."""

from typing import Final

import bpy

from ..backend.errors import DemoError
from ..properties import settings_of
from .report import report_bake

__all__ = ["CLASSES"]


def _has_character(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """For `poll`: whether a character is picked, with the reason where none is."""
    settings = settings_of(context.scene)
    if settings.character is None:
        cls.poll_message_set("Pick a character first")
        return False
    return True


class DEMO_OT_bake(bpy.types.Operator):
    """Bake the take onto the character again, with the strengths set now; nothing is generated"""

    bl_idname = "demo.bake"
    bl_label = "Bake"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        if not _has_character(cls, context):
            return False
        if not settings_of(context.scene).clip_path:
            cls.poll_message_set("Generate a take, or choose a motion clip")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Bake the clip named in the panel."""
        from .take import bake_again

        try:
            report = bake_again(context.scene)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        report_bake(self, report)
        return {"FINISHED"}


class DEMO_OT_remove_bake(bpy.types.Operator):
    """Remove every take of this add-on; your own animation stays"""

    bl_idname = "demo.remove_bake"
    bl_label = "Remove Takes"
    bl_options = {"REGISTER", "UNDO"}

    scope: bpy.props.EnumProperty(
        name="From",
        items=(
            ("CHARACTER", "Character", "From the character in the panel"),
            ("SCENE", "Scene", "From everything in the scene, and from the panel's memory"),
        ),
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        return _has_character(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask first."""
        return context.window_manager.invoke_confirm(self, event)  # pyright: ignore[reportReturnType]

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remove the takes."""
        from .take import remove_takes_of_picked, remove_takes_of_scene

        try:
            count = (remove_takes_of_scene if self.scope == "SCENE" else remove_takes_of_picked)(context.scene)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, "Removed all takes." if count else "There is no take.")
        return {"FINISHED"} if count else {"CANCELLED"}


class DEMO_OT_retarget(bpy.types.Operator):
    """Bring the takes of the character in the panel to the other selected characters; nothing is generated"""

    bl_idname = "demo.retarget"
    bl_label = "Retarget Take"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        if not _has_character(cls, context):
            return False
        if not [obj for obj in context.selected_objects if obj != settings_of(context.scene).character]:
            cls.poll_message_set("Select the characters to bring the take to")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Bake onto each of them."""
        from .take import retarget_picked

        try:
            names = retarget_picked(context.scene, context.selected_objects)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, f"Brought to {', '.join(names)}.")
        return {"FINISHED"}


class DEMO_OT_push_down(bpy.types.Operator):
    """Push the active Actions that hide the take down into the NLA, beneath it, so that both play"""

    bl_idname = "demo.push_down"
    bl_label = "Push Down My Actions"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        return _has_character(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Push down the active Action of each data-block that carries a take."""
        from .take import push_down_of_picked

        try:
            names = push_down_of_picked(context.scene)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, f"Pushed down {', '.join(names)}." if names else "No active Action hides the take.")
        return {"FINISHED"} if names else {"CANCELLED"}


class DEMO_OT_override_meshes(bpy.types.Operator):
    """Override the meshes of a linked character too, so that its shape keys can be animated in this file"""

    bl_idname = "demo.override_meshes"
    bl_label = "Make Shape Keys Editable"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        return _has_character(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Override the meshes."""
        from .take import override_meshes_of_picked

        try:
            count = override_meshes_of_picked(context.scene)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, f"{count} meshes can be animated now." if count else "They are editable already.")
        return {"FINISHED"} if count else {"CANCELLED"}


CLASSES: Final = (
    DEMO_OT_bake,
    DEMO_OT_remove_bake,
    DEMO_OT_retarget,
    DEMO_OT_push_down,
    DEMO_OT_override_meshes,
)
