# SPDX-License-Identifier: GPL-3.0-or-later
"""Give motion that the character has already to the takes to come."""

from typing import Final

import bpy
from bpy.props import EnumProperty

from ..backend.errors import DemoError
from ..properties import FACTOR_LABELS, settings_of
from .report import missing

__all__ = ["CLASSES"]


class DEMO_OT_use_keys(bpy.types.Operator):
    """Take this factor from the character's present keys: your own, else those of the take as you have edited it.
    They are read from the start of the voice to the end of the scene"""

    bl_idname = "demo.use_keys"
    bl_label = "Use Keys as Given Motion"
    bl_options = {"REGISTER", "UNDO"}

    factor: EnumProperty(name="Factor", items=tuple((name, label, "") for name, label in FACTOR_LABELS.items()))

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        reason = missing(settings_of(context.scene))
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Read the keys."""
        from .take import use_keys

        try:
            track = use_keys(context, self.factor)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        label, seconds = FACTOR_LABELS[self.factor], track.clip.duration_s
        stays = "Your keys stay, so it is not baked." if track.is_artists else "It is baked with the next take."
        self.report({"INFO"}, f"{label}: {seconds:.1f} s of keys are given. {stays}")
        return {"FINISHED"}


CLASSES: Final = (DEMO_OT_use_keys,)
