# SPDX-License-Identifier: GPL-3.0-or-later
"""Generate a take from a recording and bake it: modal when a person presses the button, blocking otherwise."""

from typing import TYPE_CHECKING, Final

import bpy

from ..backend.errors import DemoError
from ..properties import FACTOR_LABELS, settings_of
from .modal_job import JobOperator
from .report import missing, report_bake
from .session import SESSION

if TYPE_CHECKING:
    from ..scene.bake import BakeReport
    from .take import Take

__all__ = ["CLASSES"]


class DEMO_OT_generate(JobOperator, bpy.types.Operator):
    """Generate a facial performance from the recording and bake it onto the character"""

    bl_idname = "demo.generate"
    bl_label = "Generate"
    bl_options = {"UNDO"}

    doing = "Generating a take"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        settings = settings_of(context.scene)
        reason = SESSION.busy_with or missing(settings)
        locked = [label for factor, label in FACTOR_LABELS.items() if settings.factor(factor).lock]
        if not reason and locked and not settings.clip_path:
            reason = f"{locked[0]}: locked, but there is no take yet. Unlock, or choose a take"
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def start(self, context: bpy.types.Context) -> "Take":
        """A take in the making. Raises DemoError before any work is done."""
        from .take import start_take

        return start_take(context)

    def tell(self, report: "BakeReport") -> None:
        """Say what was baked."""
        report_bake(self, report)


class DEMO_OT_cancel(bpy.types.Operator):
    """Stop what is being made; the scene stays as it is"""

    bl_idname = "demo.cancel"
    bl_label = "Cancel"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """Only while something is in the making."""
        if not SESSION.busy:
            cls.poll_message_set("Nothing is being made")
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
