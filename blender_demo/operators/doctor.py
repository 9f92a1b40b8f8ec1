# SPDX-License-Identifier: GPL-3.0-or-later
"""Look whether everything that generating needs is there, and say what to do where it is not."""

from typing import Final

import bpy

from ..backend.errors import DemoError
from ..backend.worker.client import worker_site_dirs
from ..backend.worker.interpreter import PythonReport, check_python
from ..preferences import preferences, worker_python

__all__ = ["CLASSES", "findings"]

def findings(report: PythonReport) -> list[tuple[str, str]]:
    """What a report on a Python says, as (icon, sentence)."""
    lines = [("INFO", f"Python {report.version or '?'}: {report.python}")]
    lines += [("CHECKMARK", f"{name} {version}") for name, version in report.packages.items()]
    lines += [("ERROR", f"{name}: {problem}") for name, problem in report.problems.items()]
    if report.device:
        lines.append(("CHECKMARK", f"Generates on {report.device}"))
    lines.append(("ERROR", "The generator cannot run. Choose another Python in the preferences.") if report.problems
                 else ("CHECKMARK", "The generator can run."))
    return lines


class DEMO_OT_doctor(bpy.types.Operator):
    """Check that the generator can run: its Python, PyTorch, the device"""

    bl_idname = "demo.doctor"
    bl_label = "Check Setup"
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask the Python that would run the generator; takes a few seconds."""
        try:
            python = worker_python(preferences(context))
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        lines = findings(check_python(python, worker_site_dirs(python)))
        for icon, sentence in lines:
            self.report({"ERROR"} if icon == "ERROR" and bpy.app.background else {"INFO"}, sentence)
        if not bpy.app.background and context.window is not None:
            context.window_manager.popup_menu(lambda menu, _: _draw(menu.layout, lines), title="DEMO: Speech to Face", icon="INFO")
        return {"FINISHED"}


def _draw(layout: bpy.types.UILayout, lines: list[tuple[str, str]]) -> None:
    for icon, sentence in lines:
        layout.label(text=sentence, icon=icon)  # pyright: ignore[reportArgumentType]


CLASSES: Final = (DEMO_OT_doctor,)
