# SPDX-License-Identifier: GPL-3.0-or-later
"""The DEMO tab: character and voice on top, then what shapes the performance, then the take."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import bpy

from ..properties import FACTOR_LABELS, settings_of
from .drawing import DemoPanel, job_button, paragraph

__all__ = ["CLASSES"]

_LABEL_SHARE: Final = 0.42
"""Part of a table's width that the names of the factors take."""


class DEMO_PT_speech(DemoPanel, bpy.types.Panel):
    """Character, voice, and the button."""

    bl_idname = "DEMO_PT_speech"
    bl_label = "Speech to Face"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the panel."""
        layout: Any = self.layout
        settings = settings_of(context.scene)
        self._draw_character(layout, context, settings)
        layout.separator()
        self._draw_voice(layout, settings)
        layout.separator()
        self._draw_generate(layout, settings)

    def _draw_character(self, layout: Any, context: bpy.types.Context, settings: Any) -> None:
        column = layout.column()
        column.label(text="Character")
        row = column.row(align=True)
        row.prop(settings, "character", text="")
        row.operator("demo.add_head", text="", icon="ADD")
        if settings.character is None:
            paragraph(column, context, "Pick a face mesh, or press + for a head.", "INFO")
        elif settings.character_status:
            paragraph(column, context, settings.character_status, "CHECKMARK" if settings.character_ready else "ERROR")
        if settings.character_half_linked:
            column.operator("demo.override_meshes", icon="LIBRARY_DATA_OVERRIDE")

    def _draw_voice(self, layout: Any, settings: Any) -> None:
        column = layout.column()
        column.label(text="Voice")
        column.row(align=True).prop(settings, "source", expand=True)
        if settings.source == "STRIP":
            column.prop(settings, "strip", text="", icon="SOUND")
            return
        row = column.row(align=True)
        row.prop(settings, "audio_path", text="")
        row.operator("demo.add_sound", text="", icon="SOUND")
        row = column.row()
        row.use_property_split = True
        row.use_property_decorate = False
        row.prop(settings, "start_frame")

    def _draw_generate(self, layout: Any, settings: Any) -> None:
        column = layout.column()
        fields = column.column()
        fields.use_property_split = True
        fields.use_property_decorate = False
        fields.prop(settings, "style")
        fields.prop(settings, "emotion")
        row = fields.row()
        row.enabled = settings.emotion not in {"auto", "neutral"}
        row.prop(settings, "intensity")
        fields.prop(settings, "seed")
        job_button(column, "demo.generate", "The generation", "PLAY")


def _factor_table(layout: Any, settings: Any, names: Mapping[str, str]) -> None:
    """One row for each factor with its lock and a number for each of `names`, properties and their headings."""
    table = layout.column(align=True)
    heading = table.row(align=True).split(factor=_LABEL_SHARE)
    heading.label(text="")
    columns = heading.row(align=True)
    for title in names.values():
        columns.label(text=title)
    for factor, label in FACTOR_LABELS.items():
        controls = settings.factor(factor)
        row = table.row(align=True).split(factor=_LABEL_SHARE, align=True)
        row.prop(controls, "include", text=label)
        cell = row.row(align=True)
        numbers = cell.row(align=True)
        numbers.enabled = controls.include
        for name in names:
            numbers.prop(controls, name, text="")
        cell.prop(controls, "lock", text="", icon="LOCKED" if controls.lock else "UNLOCKED")


class DEMO_PT_performance(DemoPanel, bpy.types.Panel):
    """How strong each factor is, which variation of it, and whether it stays as it is."""

    bl_idname = "DEMO_PT_performance"
    bl_parent_id = "DEMO_PT_speech"
    bl_label = "Performance"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the panel."""
        _factor_table(self.layout, settings_of(context.scene), {"gain": "Gain", "seed_offset": "Variation"})


class DEMO_PT_sampling(DemoPanel, bpy.types.Panel):
    """How each factor is sampled."""

    bl_idname = "DEMO_PT_sampling"
    bl_parent_id = "DEMO_PT_performance"
    bl_label = "Sampling"
    bl_options: ClassVar = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the panel."""
        layout: Any = self.layout
        settings = settings_of(context.scene)
        _factor_table(layout, settings, {"guidance": "Guidance", "temperature": "Variety"})
        row = layout.row()
        row.use_property_split = True
        row.use_property_decorate = False
        row.prop(settings, "steps")


class DEMO_PT_given(DemoPanel, bpy.types.Panel):
    """Motion that is there already, and that the take is to fit."""

    bl_idname = "DEMO_PT_given"
    bl_parent_id = "DEMO_PT_performance"
    bl_label = "Given Motion"
    bl_options: ClassVar = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the panel."""
        layout: Any = self.layout
        settings = settings_of(context.scene)
        column = layout.column(align=True)
        for factor, label in FACTOR_LABELS.items():
            controls = settings.factor(factor)
            row = column.row(align=True).split(factor=_LABEL_SHARE)
            row.enabled = not controls.lock
            row.label(text=f"{label} (locked)" if controls.lock else label)
            fields = row.row(align=True)
            fields.prop(controls, "given", text="")
            fields.operator("demo.use_keys", text="", icon="KEYINGSET").factor = factor
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(settings, "prefix")
        column.prop(settings, "suffix")


class DEMO_PT_take(DemoPanel, bpy.types.Panel):
    """The last take, and what can be done with it."""

    bl_idname = "DEMO_PT_take"
    bl_parent_id = "DEMO_PT_speech"
    bl_label = "Take"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the panel."""
        layout: Any = self.layout
        settings = settings_of(context.scene)
        column = layout.column()
        column.prop(settings, "clip_path", text="")
        row = column.row(align=True)
        row.operator("demo.import_motion", text="Import", icon="IMPORT")
        row.operator("demo.export_motion", text="Export", icon="EXPORT")
        if settings.clip_summary:
            paragraph(column, context, settings.clip_summary, "INFO")
        row = column.row(align=True)
        row.operator("demo.bake", icon="ACTION")
        row.operator("demo.remove_bake", text="Remove", icon="TRASH")
        row = column.row(align=True)
        row.operator("demo.push_down", icon="NLA_PUSHDOWN")
        row = column.row(align=True)
        row.operator("demo.bake_selected")
        row.operator("demo.retarget", icon="COMMUNITY")


class DEMO_PT_bake_options(DemoPanel, bpy.types.Panel):
    """Where a take goes, and with which keys."""

    bl_idname = "DEMO_PT_bake_options"
    bl_parent_id = "DEMO_PT_take"
    bl_label = "Bake Options"
    bl_options: ClassVar = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the panel."""
        layout: Any = self.layout
        settings = settings_of(context.scene)
        fields = layout.column()
        fields.use_property_split = True
        fields.use_property_decorate = False
        fields.prop(settings, "target")
        fields.prop(settings, "interpolation")
        fields.prop(settings, "step")
        row = fields.row()
        row.enabled = settings.step == 0
        row.prop(settings, "tolerance")
        fields.prop(settings, "ease_s")
        fields.prop(settings, "use_range")
        frames = fields.column(align=True)
        frames.enabled = settings.use_range
        frames.prop(settings, "first")
        frames.prop(settings, "last")
        _factor_table(layout, settings, {"offset_ms": "Offset ms", "smoothing_ms": "Smooth ms"})
        layout.label(text="Over My Animation")
        blends = layout.column(align=True)
        blends.use_property_split = True
        blends.use_property_decorate = False
        for factor, label in FACTOR_LABELS.items():
            blends.prop(settings.factor(factor), "blend", text=label)
        operator = layout.operator("demo.remove_bake", text="Remove from Scene", icon="TRASH")
        operator.scope = "SCENE"


_SEVERITY_ICONS: Final = {"ERROR": "CANCEL", "WARNING": "ERROR", "INFO": "INFO"}


class DEMO_PT_check(DemoPanel, bpy.types.Panel):
    """What a bake will do, and what is in its way."""

    bl_idname = "DEMO_PT_check"
    bl_parent_id = "DEMO_PT_take"
    bl_label = "Check"
    bl_options: ClassVar = {"DEFAULT_CLOSED"}

    def draw_header_preset(self, context: bpy.types.Context) -> None:
        """How many things there are to look at, to be seen while the panel is closed."""
        layout: Any = self.layout
        count = sum(finding.severity != "INFO" for finding in settings_of(context.scene).findings)
        if count:
            layout.label(text=str(count), icon="ERROR")

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the panel."""
        layout: Any = self.layout
        settings = settings_of(context.scene)
        row = layout.row(align=True)
        row.operator("demo.check", icon="VIEWZOOM")
        row.operator("demo.mend", text="Mend All", icon="MODIFIER")
        for finding in settings.findings:
            column = layout.column(align=True)
            paragraph(column, context, finding.text, _SEVERITY_ICONS.get(finding.severity, "DOT"))
            if finding.remedy:
                operator = column.operator("demo.mend", text=finding.remedy)
                operator.kind, operator.target = finding.kind, finding.target
        if settings.checked and not settings.findings:
            layout.label(text="Nothing is in the way.", icon="CHECKMARK")


class DEMO_PT_setup(DemoPanel, bpy.types.Panel):
    """What generating needs."""

    bl_idname = "DEMO_PT_setup"
    bl_parent_id = "DEMO_PT_speech"
    bl_label = "Setup"
    bl_options: ClassVar = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the panel."""
        layout: Any = self.layout
        column = layout.column(align=True)
        column.operator("demo.doctor", icon="CHECKMARK")
        column.operator("demo.set_up_environment", icon="IMPORT")


CLASSES: Final = (
    DEMO_PT_speech,
    DEMO_PT_performance,
    DEMO_PT_sampling,
    DEMO_PT_given,
    DEMO_PT_take,
    DEMO_PT_bake_options,
    DEMO_PT_check,
    DEMO_PT_setup,
)
