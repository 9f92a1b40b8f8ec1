# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons of the Mapping panel: detect, load and save a character's profile, edit it, end the test."""

from pathlib import Path
from typing import Final

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from ..backend.errors import DemoError
from ..properties import settings_of

__all__ = ["CLASSES"]

_KINDS: Final = (
    ("KEY", "Shape Key", "Let a shape key show this channel"),
    ("BONE", "Bone", "Let a bone, or a whole object, turn with this channel"),
)


def _is_shown(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """For `poll`: whether the panel shows a character's profile, with the reason where it does not."""
    settings = settings_of(context.scene)
    if settings.mapping.root is None:
        cls.poll_message_set((settings.character_status if settings.character else "") or "Pick a character first")
        return False
    return True


class DEMO_OT_mapping_detect(bpy.types.Operator):
    """Find out anew what shows each channel. What you changed of the mapping by hand is thrown away"""

    bl_idname = "demo.mapping_detect"
    bl_label = "Detect"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        return _is_shown(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask before edits go."""
        from ..scene.profiles import has_stored

        try:
            edited = has_stored(context.scene, settings_of(context.scene).mapping.character())
        except DemoError:
            edited = False
        if not edited:
            return self.execute(context)
        answer = context.window_manager.invoke_confirm(
            self,
            event,
            title="Detect Again?",
            message="Your own changes to the mapping of this character are thrown away.",
            confirm_text="Detect",
        )
        return {*answer}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Detect."""
        from ..scene.profiles import forget_profile

        settings = settings_of(context.scene)
        try:
            forget_profile(context.scene, settings.mapping.character())
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        settings.character = settings.character  # look at it again
        self.report({"INFO" if settings.character_ready else "WARNING"}, settings.character_status)
        return {"FINISHED"}


class DEMO_OT_mapping_load(bpy.types.Operator):
    """Load a mapping that was saved, from this character or one like it"""

    bl_idname = "demo.mapping_load"
    bl_label = "Load Mapping"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH")
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        return _is_shown(cls, context)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Ask for the file."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Load it."""
        from ..scene.profiles import fit_profile, store_profile
        from ..scene.rig_profile import RigProfile

        settings = settings_of(context.scene)
        try:
            character = settings.mapping.character()
            profile, left_out = fit_profile(RigProfile.load(Path(bpy.path.abspath(self.filepath))), character)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        store_profile(context.scene, character, profile)
        settings.character = settings.character  # look at it again
        if left_out:
            self.report({"WARNING"}, f"'{character.name}' lacks {', '.join(left_out)}, so that was left out.")
        self.report({"INFO"}, f"'{character.name}': {profile.summary()}.")
        return {"FINISHED"}


class DEMO_OT_mapping_save(bpy.types.Operator):
    """Save the mapping of this character, to load it elsewhere or to bake with it on a render farm"""

    bl_idname = "demo.mapping_save"
    bl_label = "Save Mapping"
    bl_options = {"REGISTER"}

    filepath: StringProperty(subtype="FILE_PATH")
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})
    check_existing: BoolProperty(default=True, options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        return _is_shown(cls, context)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Ask for the file."""
        if not self.filepath:
            root = settings_of(context.scene).mapping.root
            self.filepath = bpy.path.abspath(f"//{bpy.path.clean_name(root.name)}.json").removeprefix("//")
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Save it."""
        from ..scene.profiles import shown_profile
        from ..scene.rig_profile import RigProfile

        path = Path(bpy.path.abspath(self.filepath)).with_suffix(".json")
        try:
            (shown_profile(context.scene) or RigProfile()).save(path)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, f"Saved {path}.")
        return {"FINISHED"}


class DEMO_OT_mapping_add(bpy.types.Operator):
    """Let one more shape key or bone show the selected channel; then choose which"""

    bl_idname = "demo.mapping_add"
    bl_label = "Add"
    bl_options = {"REGISTER", "UNDO"}

    kind: EnumProperty(name="Kind", items=_KINDS)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        return _is_shown(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add it."""
        from ..scene.edit_profile import add_key, add_rotation

        mapping = settings_of(context.scene).mapping
        add = add_key if self.kind == "KEY" else add_rotation
        changed = mapping.change(lambda profile, character: add(profile, character, mapping.channel))
        return _outcome(self, changed, mapping.note)


class DEMO_OT_mapping_remove(bpy.types.Operator):
    """Let this no longer show the selected channel"""

    bl_idname = "demo.mapping_remove"
    bl_label = "Remove"
    bl_options = {"REGISTER", "UNDO"}

    position: IntProperty(options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        return _is_shown(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remove it."""
        from ..scene.edit_profile import remove

        mapping = settings_of(context.scene).mapping
        bindings = mapping.bindings()
        if not 0 <= self.position < len(bindings):
            return {"CANCELLED"}
        old = bindings[self.position]
        changed = mapping.change(lambda profile, _character: remove(profile, old, mapping.channel))
        return _outcome(self, changed, mapping.note)


def _outcome(operator: bpy.types.Operator, changed: bool, note: str) -> set[str]:
    if changed:
        return {"FINISHED"}
    operator.report({"ERROR"}, note)
    return {"CANCELLED"}


class DEMO_OT_mapping_done(bpy.types.Operator):
    """End the test: the character is as it was before"""

    bl_idname = "demo.mapping_done"
    bl_label = "Done"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        if not settings_of(context.scene).mapping.is_testing:
            cls.poll_message_set("Nothing is being tested")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Put everything back."""
        settings_of(context.scene).mapping.end_test()
        return {"FINISHED"}


CLASSES: Final = (
    DEMO_OT_mapping_detect,
    DEMO_OT_mapping_load,
    DEMO_OT_mapping_save,
    DEMO_OT_mapping_add,
    DEMO_OT_mapping_remove,
    DEMO_OT_mapping_done,
)
