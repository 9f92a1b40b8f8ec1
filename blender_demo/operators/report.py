# SPDX-License-Identifier: GPL-3.0-or-later
"""How operators speak to the artist."""

from typing import TYPE_CHECKING, Any

import bpy

if TYPE_CHECKING:
    from ..scene.bake import BakeReport

__all__ = ["missing", "redraw", "report_bake", "status"]


def missing(settings: Any) -> str:
    """What has to be chosen before there can be a take; empty where nothing is."""
    if settings.character is None:
        return "Pick a character first"
    if not settings.character_ready:
        return settings.character_status or "Pick the character again"
    if not (settings.strip if settings.source == "STRIP" else settings.audio_path):
        return "Choose a recording first"
    return ""


def report_bake(operator: bpy.types.Operator, report: "BakeReport") -> None:
    """Say what a bake wrote, and what keeps it from showing."""
    for sentence in report.warnings:
        operator.report({"WARNING"}, sentence)
    frames = f"frames {report.first_frame:g} to {report.last_frame:g}"
    operator.report({"INFO"}, f"Baked {frames}: {report.curves} curves, {report.keys} keys in {report.seconds:.2f} s.")


def redraw(context: bpy.types.Context) -> None:
    """Draw the sidebars again, as progress is no property that Blender watches."""
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


def status(context: bpy.types.Context, text: str | None) -> None:
    """Text in the status bar; None gives it back to Blender."""
    if context.workspace is not None:
        context.workspace.status_text_set(text)
