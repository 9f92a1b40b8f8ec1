# SPDX-License-Identifier: GPL-3.0-or-later
"""Generate a take from a recording and bake it: modal when a person presses the button, blocking otherwise."""

from typing import Final

import bpy

from ..backend.errors import DemoError, JobCancelled
from ..backend.worker.client import GenerationJob
from ..preferences import preferences, worker_python
from .report import redraw, report_bake, status
from .session import SESSION
from .take import TakeOrder, bake_take, keep_clip, order_take, settings_of

__all__ = ["CLASSES"]

_TICK_S: Final = 0.1


class DEMO_OT_generate(bpy.types.Operator):
    """Generate a facial performance from the recording and bake it onto the character"""

    bl_idname = "demo.generate"
    bl_label = "Generate"
    bl_options = {"UNDO"}

    _timer: bpy.types.Timer | None = None
    _order: TakeOrder
    _job: GenerationJob

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        settings = settings_of(context.scene)
        if SESSION.busy:
            reason = "A take is being generated"
        elif settings.character is None:
            reason = "Pick a character first"
        elif not settings.character_ready:
            reason = settings.character_status or "Pick the character again"
        elif not (settings.strip if settings.source == "STRIP" else settings.audio_path):
            reason = "Choose a recording first"
        else:
            return True
        cls.poll_message_set(reason)
        return False

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
        if not self._start(context):
            return {"CANCELLED"}
        try:
            self._job.run()
        except DemoError:
            pass  # the job keeps it, and _finish reports it
        finally:
            SESSION.job = None
        return self._finish(context)

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender itself ends the operator: another file is opened, or a window closed."""
        self._job.cancel()
        self._stop(context)

    def _start(self, context: bpy.types.Context) -> bool:
        try:
            chosen = preferences(context)
            self._order = order_take(context)
            worker = SESSION.worker_for(worker_python(chosen), 60.0 * chosen.idle_minutes)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return False
        heard = self._order.heard
        self._job = GenerationJob(worker, heard.path, self._order.generation, heard.start_s, heard.duration_s)
        SESSION.job = self._job
        return True

    def _stop(self, context: bpy.types.Context) -> None:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        if SESSION.job is self._job:
            SESSION.job = None
        status(context, None)
        redraw(context)

    def _finish(self, context: bpy.types.Context) -> set[str]:
        job, order = self._job, self._order
        if job.clip is None:
            cancelled = isinstance(job.error, JobCancelled)
            self.report(
                {"INFO"} if cancelled else {"ERROR"}, str(job.error or "The generation ended without a result.")
            )
            return {"CANCELLED"}
        try:
            path = keep_clip(job.clip, order)
            report = bake_take(job.clip, order)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        settings = settings_of(order.scene.resolve())
        settings.clip_path = str(path)
        settings.clip_take = order.bake.take
        settings.clip_start_frame = order.bake.start_frame
        settings.clip_speed = order.heard.speed
        seconds = sum(job.timings.values())
        settings.clip_summary = (
            f"{job.clip.duration_s:.1f} s of motion, made in {seconds:.1f} s on {job.device or 'an unknown device'}"
        )
        for note in job.notes:
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


CLASSES: Final = (DEMO_OT_generate, DEMO_OT_cancel)
