# SPDX-License-Identifier: GPL-3.0-or-later
"""The Mapping panel: what shows each channel on the picked character, how sure that is, how to change and try it."""

from typing import TYPE_CHECKING, Any, ClassVar, Final

import bpy

from ..properties import settings_of
from .drawing import DemoPanel, paragraph

if TYPE_CHECKING:
    from ..scene.profiles import ChannelRow

__all__ = ["CLASSES"]

_STATE_ICONS: Final = {"missing": "UNLINKED", "guessed": "QUESTION", "named": "CHECKMARK", "artist": "USER"}
_FACTOR_ICONS: Final = {
    "lip": "OUTLINER_OB_SPEAKER",
    "pose": "ORIENTATION_GIMBAL",
    "eyes": "HIDE_OFF",
    "expression": "SHAPEKEY_DATA",
}
_NAME_SHARE: Final = 0.6
_WIDE_NAME_SHARE: Final = 0.45
"""Part of a row that the channel's name takes, beside what carries it; in a narrow sidebar and in a wide one."""

_TEST_SHARE: Final = 0.66
"""Part of a row that the test's slider takes, beside its button."""

_WIDE_PX: Final = 400
"""From this width of the sidebar on, the rows have room for the gain, and for what an icon says already."""


class DEMO_UL_channels(bpy.types.UIList):
    """All channels in their order, or those that are searched for."""

    def filter_items(self, context: bpy.types.Context, data: Any, _name: str) -> tuple[list[int], list[int]]:
        """Those whose name holds the text searched for, and whose state is asked for."""
        from ..scene.profiles import shown_rows

        rows = shown_rows(context.scene)
        states = {state for state in ("missing", "guessed") if getattr(data, f"only_{state}")} or set(_STATE_ICONS)
        text = data.search.lower()
        shown = [
            channel.name in rows and rows[channel.name].state in states and text in channel.name.lower()
            for channel in data.channels
        ]
        return [self.bitflag_filter_item * one for one in shown], []

    def draw_item(
        self, context: bpy.types.Context, layout: Any, _data: Any, item: Any, _icon: Any, _active: Any, _name: str
    ) -> None:
        """Factor and name, what carries it, how it was found; the gain where there is room."""
        from ..backend.motion.factors import FACTORS
        from ..scene.profiles import shown_rows

        row: ChannelRow = shown_rows(context.scene)[item.name]
        factor = next(factor.name for factor in FACTORS if item.name in factor.channels)
        wide = context.region is not None and context.region.width > _WIDE_PX * context.preferences.system.ui_scale
        if not wide and (row.state == "missing" or (row.state == "named" and row.carriers == (item.name,))):
            line = layout.row(align=True)
            line.label(text=item.name, icon=_FACTOR_ICONS[factor])
            right = line.row(align=True)
            right.alignment = "RIGHT"
        else:
            line = layout.split(factor=_WIDE_NAME_SHARE if wide else _NAME_SHARE, align=True)
            line.label(text=item.name, icon=_FACTOR_ICONS[factor])
            right = line.row(align=True)
            right.label(text=_carried(item.name, row))
            if row.carriers and wide:
                right.prop(item, "gain", text="", emboss=False)
        right.label(text="", icon=_STATE_ICONS[row.state])


def _carried(channel: str, row: "ChannelRow") -> str:
    """What carries a channel, unless it has the same name, and how that was found: "oh +2, shape 82 %"."""
    if not row.carriers:
        return "nothing"
    if row.carriers == (channel,):
        return row.found
    first, *others = row.carriers
    return first + (f" +{len(others)}" if others else "") + f", {row.found}"


class DEMO_PT_mapping(DemoPanel, bpy.types.Panel):
    """What shows each channel on this character."""

    bl_idname = "DEMO_PT_mapping"
    bl_parent_id = "DEMO_PT_speech"
    bl_label = "Mapping"
    bl_options: ClassVar = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the panel."""
        layout: Any = self.layout
        mapping = settings_of(context.scene).mapping
        if mapping.root is None:
            paragraph(layout, context, "Pick a character to see what shows each channel on it.", "INFO")
            layout.operator("demo.detect_selected", icon="FILE_REFRESH")
            return
        from ..scene.profiles import shown_profile

        profile = shown_profile(context.scene)
        if profile is None:
            return
        paragraph(layout, context, profile.summary(), "ARMATURE_DATA")
        self._draw_file(layout)
        self._draw_list(layout, mapping)
        if mapping.channel:
            self._draw_channel(layout, context, mapping, profile.missing.get(mapping.channel, ""))
        for note in profile.notes:
            paragraph(layout, context, note, "INFO")

    def _draw_file(self, layout: Any) -> None:
        column = layout.column(align=True)
        row = column.row(align=True)
        row.operator("demo.mapping_detect", icon="FILE_REFRESH")
        row.operator("demo.mapping_load", text="Load", icon="FILE_FOLDER")
        row.operator("demo.mapping_save", text="Save", icon="FILE_TICK")
        column.operator("demo.detect_selected")

    def _draw_list(self, layout: Any, mapping: Any) -> None:
        column = layout.column(align=True)
        row = column.row(align=True)
        row.prop(mapping, "search", text="", icon="VIEWZOOM")
        row.prop(mapping, "only_missing", text="", icon=_STATE_ICONS["missing"])
        row.prop(mapping, "only_guessed", text="", icon=_STATE_ICONS["guessed"])
        column.template_list("DEMO_UL_channels", "", mapping, "channels", mapping, "active", rows=8)

    def _draw_channel(self, layout: Any, context: bpy.types.Context, mapping: Any, reason: str) -> None:
        from ..scene.edit_profile import role_of
        from ..scene.live_test import is_signed

        column = layout.column()
        if reason:
            paragraph(column, context, f"{mapping.channel}: {reason}", _STATE_ICONS["missing"])
        else:
            about = column.column(align=True)
            about.prop(mapping.channels[mapping.active], "gain", text=f"{mapping.channel} Gain")
            test = about.split(factor=_TEST_SHARE, align=True)
            test.prop(mapping, "turn" if is_signed(mapping.channel) else "weight", slider=True)
            test.operator("demo.mapping_done", icon="LOOP_BACK")
        if mapping.note:
            paragraph(column, context, mapping.note, "INFO")
        for row in mapping.rows:
            self._draw_binding(column.box(), row)
        adding = column.row(align=True)
        if not is_signed(mapping.channel):
            adding.operator("demo.mapping_add", text="Shape Key", icon="ADD").kind = "KEY"
        if role_of(mapping.channel):
            adding.operator("demo.mapping_add", text="Bone", icon="ADD").kind = "BONE"

    def _draw_binding(self, box: Any, row: Any) -> None:
        binding = row.binding()
        if binding is None:
            return
        part = bpy.data.objects.get(binding.object)
        is_key = hasattr(binding, "key")
        name, holder, collection, icon = (
            ("key", getattr(part and part.data, "shape_keys", None), "key_blocks", "SHAPEKEY_DATA")
            if is_key
            else ("bone", part and part.pose, "bones", "BONE_DATA")
        )
        column = box.column(align=True)
        top = column.row(align=True)
        top.prop(row, "object", text="", icon="OBJECT_DATA")
        top.operator("demo.mapping_remove", text="", icon="TRASH").position = row.position
        field = column.row(align=True)
        if holder is not None:
            named = getattr(binding, name)
            field.alert = bool(named) and named not in getattr(holder, collection)
            field.prop_search(row, name, holder, collection, text="", icon=icon)
        column.prop(row, "share")
        if is_key:
            for names in (("gain", "offset"), ("low", "high")):
                line = column.row(align=True)
                for one in names:
                    line.prop(row, one)


CLASSES: Final = (DEMO_UL_channels, DEMO_PT_mapping)
