# SPDX-License-Identifier: GPL-3.0-or-later
"""Download PyTorch into a Python of the add-on's own, on request and only when Blender may go online."""

import sys
import time
from pathlib import Path
from typing import Any, Final

import bpy

from ..preferences import environment_folder, environment_python
from .report import status
from .session import SESSION

__all__ = ["CLASSES"]

_TICK_S: Final = 0.5


class DEMO_OT_set_up_environment(bpy.types.Operator):
    """Download PyTorch (about 3 GB) into the add-on's own folder. Blender stays usable; Esc cancels"""

    bl_idname = "demo.set_up_environment"
    bl_label = "Set Up Generator"
    bl_options = {"INTERNAL"}

    _timer: bpy.types.Timer | None = None
    _setup: Any  # an EnvironmentSetup; Blender evaluates the annotations of its classes

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        if not bpy.app.online_access:
            cls.poll_message_set("Allow Online Access in Preferences > System first")
            return False
        if SESSION.busy or SESSION.setup is not None:
            cls.poll_message_set("Wait until the work under way is done")
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Any:
        """Ask before a large download."""
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start; in background, wait for the end."""
        from .environment import EnvironmentSetup

        SESSION.close()
        self._setup = SESSION.setup = EnvironmentSetup(Path(sys.executable), environment_folder(), environment_python())
        if bpy.app.background or context.window is None:
            while not self._setup.step():
                time.sleep(_TICK_S)
            return self._finish(context)
        manager = context.window_manager
        self._timer = manager.event_timer_add(_TICK_S, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Watch the child processes."""
        if event.type == "ESC" and event.value == "PRESS":
            self._setup.cancel()
            return self._finish(context)
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        if self._setup.step():
            return self._finish(context)
        status(context, f"{self._setup.stage} ... Esc cancels.")
        return {"RUNNING_MODAL"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender itself ends the operator."""
        self._setup.cancel()
        self._finish(context)

    def _finish(self, context: bpy.types.Context) -> set[str]:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        SESSION.setup = None
        status(context, None)
        if self._setup.error is not None:
            self.report({"ERROR"}, str(self._setup.error))
            return {"CANCELLED"}
        self.report({"INFO"}, "The generator is set up.")
        return {"FINISHED"}


CLASSES: Final = (DEMO_OT_set_up_environment,)
