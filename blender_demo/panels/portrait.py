# SPDX-License-Identifier: GPL-3.0-or-later
"""The Talking Portrait panel: a picture, what it does, and what shows it."""

from typing import Any, ClassVar, Final

import bpy

from ..properties import settings_of
from .drawing import DemoPanel, job_button, paragraph

__all__ = ["CLASSES"]


class DEMO_PT_portrait(DemoPanel, bpy.types.Panel):
    """A picture that speaks."""

    bl_idname = "DEMO_PT_portrait"
    bl_label = "Talking Portrait"
    bl_options: ClassVar = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the panel."""
        layout: Any = self.layout
        portrait = settings_of(context.scene).portrait
        layout.prop(portrait, "image", text="", icon="IMAGE_DATA")
        layout.row(align=True).prop(portrait, "motion", expand=True)
        fields = layout.column()
        fields.use_property_split = True
        fields.use_property_decorate = False
        fields.prop(portrait, "size")
        fields.prop(portrait, "alpha")
        fields.prop(portrait, "refine")
        fields.prop(portrait, "file_format")
        fields.separator()
        fields.prop(portrait, "target")
        row = fields.row()
        row.enabled = portrait.target != "NODE"
        row.prop(portrait, "look")
        fields.prop(portrait, "overwrite")
        fields.prop(portrait, "movie")
        job_button(layout, "demo.render_portrait", "The portrait", "RENDER_ANIMATION")
        layout.operator("demo.preview_portrait", icon="IMAGE_DATA")
        layout.separator()
        job_button(layout, "demo.add_portrait_head", "The head", "USER")


class DEMO_PT_portrait_points(DemoPanel, bpy.types.Panel):
    """Where the face lies in the picture."""

    bl_idname = "DEMO_PT_portrait_points"
    bl_parent_id = "DEMO_PT_portrait"
    bl_label = "Face Points"
    bl_options: ClassVar = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the panel."""
        layout: Any = self.layout
        portrait = settings_of(context.scene).portrait
        placed = portrait.wire() is not None
        row = layout.row()
        row.use_property_split, row.use_property_decorate, row.enabled = True, False, not placed
        row.prop(portrait, "landmarks", text="File")
        job_button(layout, "demo.place_points", "Placing points", "EMPTY_DATA")
        if placed:
            paragraph(layout, context, "The portrait uses the points in the scene.", "INFO")
        elif portrait.points:
            paragraph(layout, context, "The points in the scene are of another picture.", "ERROR")
        row = layout.row(align=True)
        row.operator("demo.move_points", icon="VERTEXSEL")
        row.operator("demo.fit_points", icon="MOD_SHRINKWRAP")
        row.operator("demo.remove_points", text="", icon="TRASH")


class DEMO_PT_portrait_performance(DemoPanel, bpy.types.Panel):
    """How the portrait performs the take."""

    bl_idname = "DEMO_PT_portrait_performance"
    bl_parent_id = "DEMO_PT_portrait"
    bl_label = "Performance"
    bl_options: ClassVar = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the panel."""
        layout: Any = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        portrait = settings_of(context.scene).portrait
        gains = layout.column(align=True)
        gains.prop(portrait, "lip", text="Gain Lips")
        gains.prop(portrait, "pose")
        gains.prop(portrait, "eyes")
        gains.prop(portrait, "expression")
        gaze = layout.column(align=True)
        gaze.prop(portrait, "gaze_yaw")
        gaze.prop(portrait, "gaze_pitch")
        head = layout.column(align=True)
        head.prop(portrait, "head_yaw")
        head.prop(portrait, "head_pitch")
        head.prop(portrait, "head_roll")
        row = layout.row(align=True)
        row.operator("demo.blink_now", icon="ADD")
        if portrait.blinks:
            row.operator("demo.remove_blink", text="", icon="TRASH").index = -1
        blinks = layout.column(align=True)
        for index, blink in enumerate(portrait.blinks):
            row = blinks.row(align=True)
            row.prop(blink, "seconds")
            row.operator("demo.remove_blink", text="", icon="X").index = index


CLASSES: Final = (DEMO_PT_portrait, DEMO_PT_portrait_points, DEMO_PT_portrait_performance)
