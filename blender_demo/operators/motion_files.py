# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion from and for other programs: what is read becomes the present take, and the present take can be written."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from ..backend.errors import DemoError
from ..properties import settings_of

if TYPE_CHECKING:
    from ..backend.motion.clip import MotionClip

__all__ = ["CLASSES", "FILTER", "MENUS"]

FILTER: Final = "*.csv;*.json;*.npz"
"""What the file browser shows. The formats themselves are in `backend.motion.formats`, which needs numpy."""

_ENTRY: Final = f"Facial Motion ({FILTER.replace('*', '').replace(';', ', ')})"


class DEMO_OT_import_motion(bpy.types.Operator):
    """Make a file the present take: a Live Link Face recording, ARKit weights in JSON, or a motion clip. Bake puts it
    onto the character"""

    bl_idname = "demo.import_motion"
    bl_label = "Import Motion"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default=FILTER, options={"HIDDEN"})
    start_frame: IntProperty(
        name="Start Frame", description="Scene frame at which the motion begins", default=1, options={"SKIP_SAVE"}
    )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Ask for the file."""
        self.start_frame = settings_of(context.scene).start_frame
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Read the whole file, to tell now what is wrong with it."""
        from ..backend.motion.formats import read_motion

        path = Path(bpy.path.abspath(self.filepath))
        try:
            clip = read_motion(path)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        settings = settings_of(context.scene)
        settings.clip_path = str(path)
        settings.clip_take = bpy.path.clean_name(path.stem)
        settings.clip_start_frame = self.start_frame
        settings.clip_speed = 1.0
        settings.clip_summary = f"{clip.duration_s:.1f} s of motion at {clip.fps:g} frames per second, from {path.name}"
        for note in clip.settings.get("notes", ()):
            self.report({"WARNING"}, note)
        self.report({"INFO"}, f"{settings.clip_summary}. Bake puts it onto the character.")
        return {"FINISHED"}


class DEMO_OT_export_motion(bpy.types.Operator):
    """Write the motion to a file: .csv for Unreal, Unity and all that reads Live Link Face recordings, .json as
    Audio2Face has it, .npz for this add-on"""

    bl_idname = "demo.export_motion"
    bl_label = "Export Motion"
    bl_options = {"REGISTER"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default=FILTER, options={"HIDDEN"})
    check_existing: BoolProperty(default=True, options={"HIDDEN"})
    source: EnumProperty(
        name="Motion",
        items=(
            ("TAKE", "Take", "The present take as it was made; it goes with the recording"),
            ("CHARACTER", "Character", "What animates the character now, your own keys and edits included"),
        ),
    )
    rate: EnumProperty(
        name="Rate",
        items=(
            ("OWN", "Own", "The frames per second that the motion has"),
            ("SCENE", "Scene", "The frames per second of the scene"),
        ),
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is grey."""
        settings = settings_of(context.scene)
        if settings.clip_path or settings.character_ready:
            return True
        cls.poll_message_set("Generate a take, import one, or pick a character that is animated")
        return False

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """Ask for the file."""
        settings = settings_of(context.scene)
        if not settings.clip_path:
            self.source = "CHARACTER"
        self.filepath = str(Path(bpy.path.abspath("//")) / f"{settings.clip_take or 'take'}.csv")
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write the file."""
        from ..backend.motion.formats import write_motion
        from ..scene.bake import scene_fps

        path = Path(bpy.path.abspath(self.filepath))
        try:
            clip, notes = _motion(context.scene, self.source)
            fps = scene_fps(context.scene) if self.rate == "SCENE" else clip.fps
            notes += write_motion(clip, path, fps)
        except DemoError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        for note in notes:
            self.report({"WARNING"}, note)
        self.report({"INFO"}, f"Wrote {path}: {clip.duration_s:.1f} s at {fps:g} frames per second.")
        return {"FINISHED"}


def _motion(scene: Any, source: str) -> "tuple[MotionClip, tuple[str, ...]]":
    """The motion to write, and what to tell about it. Raises DemoError."""
    from ..backend.errors import ClipError
    from ..backend.motion.formats import read_motion
    from ..scene.profiles import profile_of
    from ..scene.read_keys import read_clip
    from .take import picked_character

    settings = settings_of(scene)
    if source == "TAKE":
        if not settings.clip_path:
            raise ClipError("There is no take yet. Generate or import one, or write what animates the character.")
        return read_motion(Path(bpy.path.abspath(settings.clip_path))), ()
    character = picked_character(scene)
    start_frame = settings.clip_start_frame if settings.clip_path else float(scene.frame_start)
    return read_clip(character, profile_of(scene, character), scene, start_frame)


def _draw_import(self: bpy.types.Menu, _context: bpy.types.Context) -> None:
    self.layout.operator("demo.import_motion", text=_ENTRY)


def _draw_export(self: bpy.types.Menu, _context: bpy.types.Context) -> None:
    self.layout.operator("demo.export_motion", text=_ENTRY)


CLASSES: Final = (DEMO_OT_import_motion, DEMO_OT_export_motion)
MENUS: Final = {"TOPBAR_MT_file_import": _draw_import, "TOPBAR_MT_file_export": _draw_export}
"""Entries to draw in Blender's own menus."""
