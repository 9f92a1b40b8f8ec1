# SPDX-License-Identifier: GPL-3.0-or-later
"""Render a talking portrait and show it in the scene: modal when a person presses the button, blocking otherwise."""

from typing import TYPE_CHECKING, Any, Final

import bpy
from bpy.props import IntProperty

from ..backend.errors import DemoError
from ..properties import settings_of
from .modal_job import JobOperator
from .session import SESSION

if TYPE_CHECKING:
    from .portrait_making import HeadMaking, PortraitMaking, PreviewMaking

__all__ = ["CLASSES"]


class DEMO_OT_render_portrait(JobOperator, bpy.types.Operator):
    """Let the face in the picture perform the take, and show the frames in the scene"""

    bl_idname = "demo.render_portrait"
    bl_label = "Render Portrait"
    bl_options = {"UNDO"}

    doing = "Rendering the portrait"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        reason = SESSION.busy_with or _missing(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def start(self, context: bpy.types.Context) -> "PortraitMaking":
        """A portrait in the making. Raises DemoError before any work is done."""
        from .portrait_making import start_portrait

        return start_portrait(context)

    def tell(self, shown: str) -> None:
        """Say what shows it."""
        self.report({"INFO"}, shown)


class DEMO_OT_preview_portrait(JobOperator, bpy.types.Operator):
    """Render the present frame of the portrait alone, and show it in the Image Editors"""

    bl_idname = "demo.preview_portrait"
    bl_label = "Preview Frame"
    bl_options = {"UNDO"}

    doing = "Rendering a frame"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        settings = settings_of(context.scene)
        reason = SESSION.busy_with or ("" if settings.portrait.image else "Choose a picture first")
        if not reason and (settings.portrait.motion == "VOICE" or not settings.clip_path):
            reason = "Generate a take, or choose a motion clip"
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def start(self, context: bpy.types.Context) -> "PreviewMaking":
        """A frame in the making. Raises DemoError before any work is done."""
        from .portrait_making import start_preview

        return start_preview(context)

    def tell(self, shown: str) -> None:
        """Say where it is seen."""
        self.report({"INFO"}, shown)


class DEMO_OT_add_portrait_head(JobOperator, bpy.types.Operator):
    """Build the head of the person in the picture as a mesh with texture, shape keys and rig, at the 3D cursor, and
    pick it as the character"""

    bl_idname = "demo.add_portrait_head"
    bl_label = "Portrait as 3D Head"
    bl_options = {"UNDO"}

    doing = "Building the head"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        reason = SESSION.busy_with or ("" if settings_of(context.scene).portrait.image else "Choose a picture first")
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def start(self, context: bpy.types.Context) -> "HeadMaking":
        """A head in the making. Raises DemoError before any work is done."""
        from .portrait_making import start_head

        return start_head(context)

    def tell(self, face: str) -> None:
        """Say what was built."""
        self.report({"INFO"}, f"'{face}' is the character now: Generate, or Bake, lets it perform.")


class DEMO_OT_blink_now(bpy.types.Operator):
    """Let the portrait blink at the present frame; rendering again is enough to see it"""

    bl_idname = "demo.blink_now"
    bl_label = "Blink Now"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Keep the blink."""
        from .portrait_making import blink_now

        try:
            blink_now(context)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class DEMO_OT_remove_blink(bpy.types.Operator):
    """Take a blink of the portrait back"""

    bl_idname = "demo.remove_blink"
    bl_label = "Remove Blink"
    bl_options = {"REGISTER", "UNDO"}

    index: IntProperty(name="Blink", description="Which one; all of them where it is -1", default=-1, min=-1)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remove it."""
        blinks = settings_of(context.scene).portrait.blinks
        if self.index < 0:
            blinks.clear()
        elif self.index < len(blinks):
            blinks.remove(self.index)
        return {"FINISHED"}


def _missing(context: bpy.types.Context) -> str:
    """What has to be chosen before there can be a portrait; empty where nothing is."""
    settings: Any = settings_of(context.scene)
    portrait = settings.portrait
    if not portrait.image:
        return "Choose a picture first"
    if portrait.motion == "TAKE" and not settings.clip_path:
        return "Generate a take, or choose a motion clip"
    if portrait.motion == "VOICE" and not (settings.strip if settings.source == "STRIP" else settings.audio_path):
        return "Choose a recording first"
    if portrait.target == "PLANE":
        return ""
    goal = context.object
    if goal is None or goal.type != "MESH":
        return "Make a mesh the active object, or choose a plane"
    if portrait.target == "NODE":
        from ..scene.portrait import active_image_node

        if active_image_node(goal) is None:
            return "Select an Image Texture node in the material of the active object"
    elif not goal.data.uv_layers:
        return f"'{goal.name}' has no UV map; unwrap it first"
    return ""


CLASSES: Final = (
    DEMO_OT_render_portrait,
    DEMO_OT_preview_portrait,
    DEMO_OT_add_portrait_head,
    DEMO_OT_blink_now,
    DEMO_OT_remove_blink,
)
