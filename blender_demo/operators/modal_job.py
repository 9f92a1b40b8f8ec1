# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators share that drive a job of the worker: modal when a person presses the button, blocking otherwise."""

from typing import TYPE_CHECKING, Any, ClassVar, Final

import bpy

from ..backend.errors import DemoError, JobCancelled
from .report import redraw, status
from .session import SESSION

if TYPE_CHECKING:
    from ..backend.worker.client import Job

__all__ = ["JobOperator"]

_TICK_S: Final = 0.1


class JobOperator:
    """Mixed into an operator: a job is one object, so both ways run the same code with the same result."""

    progressive: ClassVar[str]
    """What is being done, for the status bar."""

    _timer: Any = None
    _job: Any = None

    def start(self, context: bpy.types.Context) -> "Job[Any]":
        """Check everything and make the job. Raises DemoError before any work is done."""
        raise DemoError("This operator does nothing.")

    def apply(self, context: bpy.types.Context) -> None:
        """Bring what the job has made into the scene, and report it. Raises DemoError, that of the job included."""

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Start the job and let Blender go on."""
        if bpy.app.background or context.window is None:
            return self.execute(context)
        if not self._started(context):
            return {"CANCELLED"}
        manager = context.window_manager
        self._timer = manager.event_timer_add(_TICK_S, window=context.window)
        manager.modal_handler_add(self)
        status(context, f"{self.progressive}. Esc cancels.")
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Drive the job; Escape cancels it."""
        if event.type == "ESC" and event.value == "PRESS":
            self._job.cancel()
        elif event.type != "TIMER":
            return {"PASS_THROUGH"}
        finished = self._job.step()
        redraw(context)
        if not finished:
            return {"RUNNING_MODAL"}
        self._stop(context)
        return self._finish(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """The same in one go, for scripts and render farms."""
        if not self._started(context):
            return {"CANCELLED"}
        try:
            self._job.run()
        except DemoError:
            pass  # the job keeps it for `apply`
        finally:
            SESSION.end()
        return self._finish(context)

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender itself ends the operator: another file is opened, or a window closed."""
        self._job.cancel()
        self._stop(context)
