# SPDX-License-Identifier: GPL-3.0-or-later
"""Look whether everything that generating needs is there, and say what to do where it is not."""

from typing import TYPE_CHECKING, Any, Final

import bpy

from ..backend.errors import DemoError
from ..preferences import preferences, worker_python

if TYPE_CHECKING:
    from ..doctor import Finding

__all__ = ["CLASSES"]


class DEMO_OT_doctor(bpy.types.Operator):
    """Check that the generator can run: its Python, PyTorch, the device, the weights"""

    bl_idname = "demo.doctor"
    bl_label = "Check Setup"
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask the Python that would run the generator; takes a few seconds."""
        from ..doctor import examine

        try:
            findings = examine(worker_python(preferences(context)))
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if bpy.app.background or context.window is None:
            for finding in findings:
                self.report(
                    {"INFO"} if finding.ok else {"WARNING"}, f"{finding.name}: {finding.found} {finding.remedy}"
                )
        else:
            context.window_manager.popup_menu(lambda menu, _: _draw(menu.layout, findings), title="Setup of DEMO")
        return {"FINISHED"}


def _draw(layout: Any, findings: "list[Finding]") -> None:
    for finding in findings:
        layout.label(text=f"{finding.name}: {finding.found}", icon="CHECKMARK" if finding.ok else "ERROR")
        if finding.remedy:
            layout.label(text=finding.remedy, icon="BLANK1")


CLASSES: Final = (DEMO_OT_doctor,)
