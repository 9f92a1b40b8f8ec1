# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators share that let the worker make something: modal when a person presses the button, blocking
otherwise.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

import bpy

from ..backend.errors import DemoError, JobCancelled
from .report import redraw, status
from .session import SESSION

if TYPE_CHECKING:
    from ..backend.worker.client import Job

__all__ = ["JobOperator", "Making"]

_TICK_S: Final = 0.1


class Making(Protocol):
    """Something in the making: a job, and what is to be done with its result."""

    @property
    def job(self) -> "Job[Any]":
        """The job."""
        ...

    def apply(self) -> Any:
        """Bring the result of the finished job into the scene. Raises DemoError, that of the job included."""
        ...


class JobOperator:
    """Mixed into an operator that has `start`, from context to Making, and `tell`, which reports what `apply` gave."""

    doing: ClassVar[str]
    """For the status bar."""

    _timer: Any = None
    _making: Any  # Blender evaluates the annotations of its classes

    def invoke(self: Any, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Start the job and let Blender go on."""
        if bpy.app.background or context.window is None:
            return self.execute(context)
        if not self._start(context):
            return {"CANCELLED"}
        manager = context.window_manager
        self._timer = manager.event_timer_add(_TICK_S, window=context.window)
        manager.modal_handler_add(self)
        status(context, f"{self.doing}. Esc cancels.")
        return {"RUNNING_MODAL"}

    def modal(self: Any, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Drive the job; Escape cancels it."""
        if event.type == "ESC" and event.value == "PRESS":
            self._making.job.cancel()
        elif event.type != "TIMER":
            return {"PASS_THROUGH"}
        finished = self._making.job.step()
        redraw(context)
        if not finished:
            return {"RUNNING_MODAL"}
        self._stop(context)
        return self._finish()

    def execute(self: Any, context: bpy.types.Context) -> set[str]:
        """The same in one go, for scripts and render farms."""
        if not self._start(context):
            return {"CANCELLED"}
        try:
            self._making.job.run()
        except DemoError:
            pass  # the job keeps it for _finish
        finally:
            SESSION.job = None
        return self._finish()

    def cancel(self: Any, context: bpy.types.Context) -> None:
        """Blender itself ends the operator: another file is opened, or a window closed."""
        self._making.job.cancel()
        self._stop(context)

    def _start(self: Any, context: bpy.types.Context) -> bool:
        try:
            self._making = self.start(context)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return False
        SESSION.job = self._making.job
        return True

    def _stop(self: Any, context: bpy.types.Context) -> None:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        if SESSION.job is self._making.job:
            SESSION.job = None
        status(context, None)
        redraw(context)

    def _finish(self: Any) -> set[str]:
        try:
            result = self._making.apply()
        except JobCancelled as cancelled:
            self.report({"INFO"}, str(cancelled))
            return {"CANCELLED"}
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        for note in self._making.job.notes:
            self.report({"WARNING"}, note)
        self.tell(result)
        return {"FINISHED"}
