# SPDX-License-Identifier: GPL-3.0-or-later
"""Generate a take from a recording and bake it: modal when a person presses the button, blocking otherwise."""

from typing import Any, Final

import bpy

from ..backend.errors import DemoError, JobCancelled
from ..properties import FACTOR_LABELS, settings_of
from .report import missing, redraw, report_bake, status
from .session import SESSION

__all__ = ["CLASSES"]

_TICK_S: Final = 0.1


class DEMO_OT_generate(bpy.types.Operator):
    """Generate a facial performance from the recording and bake it onto the character"""

    bl_idname = "demo.generate"
    bl_label = "Generate"
    bl_options = {"UNDO"}

    _timer: bpy.types.Timer | None = None
    _take: Any  # a Take; Blender evaluates the annotations of its classes

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        settings = settings_of(context.scene)
        reason = "A take is being generated" if SESSION.busy else missing(settings)
        locked = [label for factor, label in FACTOR_LABELS.items() if settings.factor(factor).lock]
        if not reason and locked and not settings.clip_path:
            reason = f"{locked[0]}: locked, but there is no take yet. Unlock, or choose a take"
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Start the job and let Blender go on."""
        if bpy.app.background or context.window is None:
            return self.execute(context)
        if not self._start(context):
            return {"CANCELLED"}
        manager = context.window_manager
        self._timer = manager.event_timer_add(_TICK_S, window=context.window)
        manager.modal_handler_add(self)
        status(context, "Generating a take. Esc cancels.")
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Drive the job; Escape cancels it."""
        if event.type == "ESC" and event.value == "PRESS":
            self._take.job.cancel()
        elif event.type != "TIMER":
            return {"PASS_THROUGH"}
        finished = self._take.job.step()
        redraw(context)
        if not finished:
            return {"RUNNING_MODAL"}
        self._stop(context)
        return self._finish()

    def execute(self, context: bpy.types.Context) -> set[str]:
        """The same in one go, for scripts and render farms."""
        if not self._start(context):
            return {"CANCELLED"}
        try:
            self._take.job.run()
        except DemoError:
            pass  # the job keeps it for _finish
        finally:
            SESSION.job = None
        return self._finish()

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender itself ends the operator: another file is opened, or a window closed."""
        self._take.job.cancel()
        self._stop(context)

    def _start(self, context: bpy.types.Context) -> bool:
        from .take import start_take

        try:
            self._take = start_take(context)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return False
        return True

    def _stop(self, context: bpy.types.Context) -> None:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        if SESSION.job is self._take.job:
            SESSION.job = None
        status(context, None)
        redraw(context)

    def _finish(self) -> set[str]:
        try:
            report = self._take.apply()
        except JobCancelled as cancelled:
            self.report({"INFO"}, str(cancelled))
            return {"CANCELLED"}
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        for note in self._take.job.notes:
            self.report({"WARNING"}, note)
        report_bake(self, report)
        return {"FINISHED"}


class DEMO_OT_cancel(bpy.types.Operator):
    """Stop generating; the scene stays as it is"""

    bl_idname = "demo.cancel"
    bl_label = "Cancel"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """Only while a take is in the making."""
        if not SESSION.busy:
            cls.poll_message_set("Nothing is being generated")
        return SESSION.busy

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Ask the job to end; the modal operator sees it to its end."""
        if SESSION.job is not None:
            SESSION.job.cancel()
        return {"FINISHED"}


class DEMO_OT_add_sound(bpy.types.Operator):
    """Put the recording into the sequencer at the start frame, to hear it during playback"""

    bl_idname = "demo.add_sound"
    bl_label = "Hear It"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        if not settings_of(context.scene).audio_path:
            cls.poll_message_set("Choose a recording first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add the strip."""
        from .take import add_recording

        try:
            name = add_recording(context)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, f"'{name}' is in the sequencer.")
        return {"FINISHED"}


CLASSES: Final = (DEMO_OT_generate, DEMO_OT_cancel, DEMO_OT_add_sound)
