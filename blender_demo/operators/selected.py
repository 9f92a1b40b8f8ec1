# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to every selected character at once."""

from typing import TYPE_CHECKING, Final

import bpy

from ..backend.errors import DemoError
from ..properties import settings_of
from .report import report_bake

if TYPE_CHECKING:
    from ..scene.character import Character

__all__ = ["CLASSES", "selected_characters"]

_NOTHING: Final = "No selected object has shape keys or an armature."


def selected_characters(context: bpy.types.Context) -> "list[Character]":
    """The characters that any object is selected of, each once; what belongs to none is left out."""
    from ..scene.character import find_character

    found: dict[bpy.types.Object, Character] = {}
    for obj in context.selected_objects:
        try:
            character = find_character(obj)
        except DemoError:
            continue
        found.setdefault(character.root, character)
    return list(found.values())


def _something_selected(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    if not context.selected_objects:
        cls.poll_message_set("Select the characters in the viewport first")
        return False
    return True


class DEMO_OT_detect_selected(bpy.types.Operator):
    """Detect the mapping of every selected character. A mapping that you edited or loaded is kept"""

    bl_idname = "demo.detect_selected"
    bl_label = "Detect All Selected"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        return _something_selected(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Detect each, and say how much of it was recognized."""
        from ..scene.profiles import has_stored, look_at

        characters = selected_characters(context)
        for character in characters:
            try:
                summary = look_at(context.scene, character).summary()
                yours = " (your own mapping)" if has_stored(context.scene, character) else ""
                self.report({"INFO"}, f"'{character.name}': {summary}{yours}.")
            except DemoError as error:
                self.report({"WARNING"}, str(error))
        if not characters:
            self.report({"WARNING"}, _NOTHING)
            return {"CANCELLED"}
        settings = settings_of(context.scene)
        settings.character = settings.character  # it may be one of them
        return {"FINISHED"}


class DEMO_OT_bake_selected(bpy.types.Operator):
    """Bake the take onto every selected character, each by its own mapping"""

    bl_idname = "demo.bake_selected"
    bl_label = "Bake to All Selected"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        if not settings_of(context.scene).clip_path:
            cls.poll_message_set("Generate a take, or choose a motion clip")
            return False
        return _something_selected(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Bake onto each; one that cannot be animated does not keep the others from it."""
        from .take import bake_again

        refused, baked = [], 0
        for character in selected_characters(context):
            try:
                report = bake_again(context.scene, character)
            except DemoError as error:
                refused.append(f"'{character.name}': {error}")
                continue
            baked += 1
            report_bake(self, report)
        for sentence in refused:
            self.report({"WARNING"} if baked else {"ERROR"}, sentence)
        if not baked and not refused:
            self.report({"WARNING"}, _NOTHING)
        return {"FINISHED"} if baked else {"CANCELLED"}


CLASSES: Final = (DEMO_OT_detect_selected, DEMO_OT_bake_selected)
