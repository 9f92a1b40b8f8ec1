# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panels share: their tab, and text that wraps."""

import textwrap
from typing import Any, ClassVar, Final

import bpy

from ..operators.session import SESSION

__all__ = ["DemoPanel", "job_button", "paragraph"]

_STAGES: Final = {
    "": "Waiting",
    "start": "Starting the generator",
    "audio": "Listening",
    "flow": "Performing",
    "decode": "Shaping the face",
    "picture": "Looking at the picture",
    "face": "Fitting the face",
    "frames": "Drawing",
}

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


def job_button(layout: Any, operator: str, what: str, icon: str) -> None:
    """A large button; while the worker makes what it is for, the progress of that, with a button to cancel."""
    row = layout.row(align=True)
    row.scale_y = 1.5
    job = SESSION.job
    if job is None or job.what != what:
        row.operator(operator, icon=icon)
        return
    row.progress(factor=job.progress, text=_STAGES.get(job.stage, job.stage))
    row.operator("demo.cancel", text="", icon="X")
