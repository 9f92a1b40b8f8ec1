# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panels share: their tab, and text that wraps."""

import textwrap
from typing import Any, ClassVar, Final

import bpy

__all__ = ["DemoPanel", "paragraph"]

_CHARACTER_PX: Final = 7.0
"""Average width of a letter at interface scale 1."""


class DemoPanel:
    """What all panels of the tab share."""

    bl_space_type: ClassVar = "VIEW_3D"
    bl_region_type: ClassVar = "UI"
    bl_category: ClassVar = "DEMO"


def paragraph(layout: Any, context: bpy.types.Context, text: str, icon: str) -> None:
    """Text wrapped to the width of the sidebar; only the first line carries the icon."""
    scale = context.preferences.system.ui_scale
    letters = max(int(context.region.width / (scale * _CHARACTER_PX)) - 6, 16) if context.region else 40
    column = layout.column(align=True)
    column.scale_y = 0.8
    for i, line in enumerate(textwrap.wrap(text, letters)):
        column.label(text=line, icon="BLANK1" if i else icon)
