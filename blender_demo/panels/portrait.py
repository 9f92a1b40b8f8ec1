# SPDX-License-Identifier: GPL-3.0-or-later
"""The Talking Portrait panel: a picture, what it does, and what shows it."""

from typing import Any, ClassVar, Final

import bpy

from ..properties import settings_of
from .drawing import DemoPanel, job_button

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
        fields.prop(portrait, "landmarks")
        fields.prop(portrait, "size")
        fields.prop(portrait, "alpha")
        fields.separator()
        fields.prop(portrait, "target")
        row = fields.row()
        row.enabled = portrait.target != "NODE"
        row.prop(portrait, "look")
        fields.prop(portrait, "overwrite")
        fields.prop(portrait, "movie")
        job_button(layout, "demo.render_portrait", "The portrait", "RENDER_ANIMATION")


CLASSES: Final = (DEMO_PT_portrait,)
