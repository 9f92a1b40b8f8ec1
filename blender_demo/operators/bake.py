# SPDX-License-Identifier: GPL-3.0-or-later
"""Bake a kept take again, remove what was baked, make room in the NLA."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import bpy

from ..backend.errors import DemoError
from ..backend.motion.clip import MotionClip
from ..scene.actions import active_paths, own_tracks, push_down
from ..scene.bake import bake, remove_bake
from ..scene.detect import detect_character
from .report import report_bake
from .take import picked_character, settings_of

__all__ = ["CLASSES"]


def _has_character(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """For `poll`: whether a character is picked, with the reason where none is."""
    settings = settings_of(context.scene)
    if settings.character is None:
        cls.poll_message_set("Pick a character first")
        return False
    return True


class DEMO_OT_bake(bpy.types.Operator):
    """Bake the take onto the character again, with the strengths set now; nothing is generated"""

    bl_idname = "demo.bake"
    bl_label = "Bake"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        if not _has_character(cls, context):
            return False
        if not settings_of(context.scene).clip_path:
            cls.poll_message_set("Generate a take, or choose a motion clip")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Bake the clip named in the panel."""
        scene: Any = context.scene
        settings = settings_of(scene)
        path = Path(bpy.path.abspath(settings.clip_path))
        take = settings.clip_take or bpy.path.clean_name(path.stem)
        try:
            clip = MotionClip.load(path)
            character = picked_character(scene)
            played = replace(clip, fps=clip.fps * settings.clip_speed)
            options = settings.bake_options(take, settings.clip_start_frame)
            report = bake(played, character, detect_character(character), options, scene)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        report_bake(self, report)
        return {"FINISHED"}


class DEMO_OT_remove_bake(bpy.types.Operator):
    """Remove every take of this add-on from the character; your own animation stays"""

    bl_idname = "demo.remove_bake"
    bl_label = "Remove Takes"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        return _has_character(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remove the takes."""
        try:
            character = picked_character(context.scene)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if not remove_bake(character):
            self.report({"INFO"}, f"'{character.name}' carries no take.")
            return {"CANCELLED"}
        self.report({"INFO"}, f"Removed all takes from '{character.name}'.")
        return {"FINISHED"}


class DEMO_OT_push_down(bpy.types.Operator):
    """Push the active Actions that hide the take down into the NLA, beneath it, so that both play"""

    bl_idname = "demo.push_down"
    bl_label = "Push Down My Actions"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        return _has_character(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Push down the active Action of each data-block that carries a take."""
        try:
            blocks = list(picked_character(context.scene).data_blocks())
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        names = [push_down(block) for block in blocks if own_tracks(block) and active_paths(block)]
        if not names:
            self.report({"INFO"}, "No active Action hides the take.")
            return {"CANCELLED"}
        self.report({"INFO"}, f"Pushed down {', '.join(str(name) for name in names)}.")
        return {"FINISHED"}


CLASSES: Final = (DEMO_OT_bake, DEMO_OT_remove_bake, DEMO_OT_push_down)
