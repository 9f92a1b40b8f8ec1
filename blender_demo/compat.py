# SPDX-License-Identifier: GPL-3.0-or-later
"""Every difference between Blender 4.2 and 5.2 that this add-on meets, and the only place that asks for the version."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import bpy

__all__ = [
    "EEVEE",
    "HAS_SLOTS",
    "StripTimes",
    "action_curves",
    "add_image_strip",
    "add_sound_strip",
    "assign_slot",
    "cache_folder",
    "curves_of_active",
    "import_model",
    "movie_output",
    "new_curves",
    "register_cli_command",
    "remove_strip",
    "sequencer_scene",
    "slot_of",
    "sound_seconds",
    "sound_strips",
    "strip_times",
    "unregister_cli_command",
]

HAS_SLOTS: Final = bpy.app.version >= (4, 4, 0)
"""Whether one Action can animate several data-blocks, each through a slot."""

EEVEE: Final = "BLENDER_EEVEE" if bpy.app.version >= (5, 0, 0) else "BLENDER_EEVEE_NEXT"
"""Identifier of the EEVEE render engine."""


def new_curves(action: bpy.types.Action, id_type: str, slot_name: str) -> tuple[Any, Any]:
    """The empty curves for one data-block of `id_type` ('KEY', 'OBJECT'), and their slot (None before Blender 4.4)."""
    if not HAS_SLOTS:
        action.id_root = id_type  # pyright: ignore[reportAttributeAccessIssue]
        return action.fcurves, None  # pyright: ignore[reportAttributeAccessIssue]
    slot = action.slots.new(id_type=id_type, name=slot_name)  # pyright: ignore[reportArgumentType]
    return _curves_of_slot(action, slot), slot


def curves_of_active(animation: Any, id_type: str, slot_name: str) -> Any:
    """The curves of animation data's active Action, to add to; a slot is made where none is assigned."""
    if not HAS_SLOTS:
        return animation.action.fcurves
    if animation.action_slot is None:
        animation.action_slot = animation.action.slots.new(id_type=id_type, name=slot_name)
    return _curves_of_slot(animation.action, animation.action_slot)


def _curves_of_slot(action: Any, slot: Any) -> Any:
    layer = action.layers[0] if action.layers else action.layers.new("Layer")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    return strip.channelbag(slot, ensure=True).fcurves


def action_curves(action: bpy.types.Action, slot: Any) -> Iterator[bpy.types.FCurve]:
    """The curves of an Action that animate whatever `slot` is assigned to; all of them before Blender 4.4."""
    if not HAS_SLOTS:
        yield from action.fcurves  # pyright: ignore[reportAttributeAccessIssue]
        return
    if slot is None:
        return
    for layer in action.layers:
        for strip in layer.strips:
            bag = strip.channelbag(slot)  # pyright: ignore[reportAttributeAccessIssue]
            if bag is not None:
                yield from bag.fcurves


def assign_slot(owner: Any, slot: Any) -> None:
    """Tell an NLA strip, or animation data, which slot of its Action to use. Nothing to do before Blender 4.4."""
    if HAS_SLOTS:
        owner.action_slot = slot


def slot_of(owner: Any) -> Any:
    """The slot that an NLA strip, or animation data, uses; None before Blender 4.4."""
    return owner.action_slot if HAS_SLOTS else None


def sequencer_scene(context: bpy.types.Context) -> Any:
    """The scene whose sequencer is shown; from Blender 5.0 this may be another than the active one."""
    return getattr(context, "sequencer_scene", None) or context.scene


def strips_of(editor: Any) -> Any:
    """The strips of a sequencer, those inside meta strips left out."""
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def sound_strips(scene: bpy.types.Scene) -> list[Any]:
    """The sound strips of a scene's sequencer."""
    editor = scene.sequence_editor
    return [] if editor is None else [strip for strip in strips_of(editor) if strip.type == "SOUND"]


def _strips(scene: bpy.types.Scene) -> Any:
    """The strips of a scene's sequencer, which is made if there is none."""
    editor = scene.sequence_editor or scene.sequence_editor_create()
    return editor.strips if hasattr(editor, "strips") else editor.sequences  # pyright: ignore[reportAttributeAccessIssue]


def add_sound_strip(scene: bpy.types.Scene, path: Path, frame: int) -> Any:
    """A new sound strip in a channel of its own above all others."""
    strips = _strips(scene)
    channel = max((strip.channel for strip in strips), default=0) + 1
    return strips.new_sound(name=path.stem, filepath=str(path), channel=channel, frame_start=frame)


def add_image_strip(scene: bpy.types.Scene, files: Sequence[Path]) -> Any:
    """A new strip in channel 1 that shows files of one folder, one a frame from frame 1 on, at their own size."""
    first, *rest = files
    strip = _strips(scene).new_image(
        name=first.stem, filepath=str(first), channel=1, frame_start=1, fit_method="ORIGINAL"
    )
    for path in rest:
        strip.elements.append(path.name)
    return strip


def remove_strip(scene: bpy.types.Scene, strip: Any) -> None:
    """Take a strip out of a scene's sequencer."""
    _strips(scene).remove(strip)


@contextmanager
def movie_output(render: Any) -> Iterator[None]:
    """Video output for a while; from Blender 5.0 this is another kind of medium."""
    settings = render.image_settings
    medium, file_format = getattr(settings, "media_type", None), settings.file_format
    try:
        if medium is not None:
            settings.media_type = "VIDEO"
        settings.file_format = "FFMPEG"
        yield
    finally:
        if medium is not None:
            settings.media_type = medium
        settings.file_format = file_format


@dataclass(frozen=True)
class StripTimes:
    """Scene frames of a sound strip.

    content_start, content_frames: where its whole content begins, and how long that is at the speed it plays at.
    start, end: from where to where it is heard.
    trim: frames of the content that a hard cut took off before content_start.
    speeds: how many speeds it plays at; 0 where Blender does not tell.
    """

    content_start: float
    content_frames: float
    start: float
    end: float
    trim: float
    speeds: int


def strip_times(strip: Any) -> StripTimes:
    """The times of a sound strip; Blender 5.2 renamed all of them."""
    keys = getattr(strip, "retiming_keys", None)
    speeds = 0 if keys is None else max(len(keys) - 1, 1)
    if hasattr(strip, "content_start"):
        names = ("content_start", "content_duration", "left_handle", "right_handle", "content_trim_start")
    else:
        names = ("frame_start", "frame_duration", "frame_final_start", "frame_final_end", "animation_offset_start")
    content_start, content_frames, start, end, trim = (float(getattr(strip, name)) for name in names)
    return StripTimes(content_start, content_frames, start, end, trim, speeds)


def sound_seconds(path: Path) -> float | None:
    """Length of a sound file, None where Blender was built without sound or does not know."""
    try:
        import aud

        sound: Any = aud.Sound(str(path))  # pyright: ignore[reportCallIssue]
        return sound.length / sound.specs[0] if sound.length > 0 else None
    except Exception:
        return None


def cache_folder(package: str, name: str) -> Path:
    """A folder this add-on may write to: its own, or one beside Blender's settings where it is no extension."""
    try:
        return Path(bpy.utils.extension_path_user(package, path=name, create=True))
    except ValueError:
        return Path(bpy.utils.user_resource("DATAFILES", path=f"demo_for_blender/{name}", create=True))


def import_model(path: Path) -> None:
    """Import an FBX or glTF file, a VRM as the glTF that it is. Raises RuntimeError."""
    if path.suffix.lower() == ".fbx":
        importer = bpy.ops.import_scene.fbx if hasattr(bpy.types, "IMPORT_SCENE_OT_fbx") else bpy.ops.wm.fbx_import
        importer(filepath=str(path))
        return
    if path.suffix.lower() != ".vrm":
        bpy.ops.import_scene.gltf(filepath=str(path))
        return
    with tempfile.TemporaryDirectory() as folder:  # the importer asks for the suffix
        copy = Path(folder) / f"{path.stem}.glb"
        shutil.copyfile(path, copy)
        bpy.ops.import_scene.gltf(filepath=str(copy))


def register_cli_command(name: str, function: Callable[[list[str]], int]) -> Any:
    """Make `blender --command <name>` call `function`; the return value is for `unregister_cli_command`."""
    return bpy.utils.register_cli_command(name, function)


def unregister_cli_command(handle: Any) -> None:
    """Undo `register_cli_command`."""
    bpy.utils.unregister_cli_command(handle)
