# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender files, for the command line: opened, and written whole or not at all."""

import os
from pathlib import Path

import bpy

from .backend.errors import BakeError

__all__ = ["open_scene", "save_whole"]


def open_scene(blend: Path | None) -> bpy.types.Scene:
    """The scene of a file, or an empty one. Replaces what is open in this Blender. Raises BakeError."""
    if blend is None:
        bpy.ops.wm.read_homefile(use_empty=True, app_template="")
    else:
        try:
            bpy.ops.wm.open_mainfile(filepath=str(blend.absolute()), load_ui=False)
        except RuntimeError as error:
            raise BakeError(
                f"{blend} cannot be opened; it is damaged, or no Blender file. ({_reason(error)})"
            ) from error
    scene = bpy.context.scene
    if scene is None:
        raise BakeError(f"{blend} has no scene.")
    return scene


def save_whole(out: Path) -> None:
    """Write to a file beside `out` first, so that `out` is the old one or the whole new one. Raises BakeError."""
    temporary = out.absolute().with_name(f".{out.stem}.{os.getpid()}.blend")
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(temporary), copy=True, compress=True, check_existing=False)
        os.replace(temporary, out)
    except (RuntimeError, OSError) as error:
        remedy = "Free some space, or choose another place"
        raise BakeError(f"{out} cannot be written: {_reason(error)}. {remedy}.") from error
    finally:
        for leftover in (temporary, temporary.with_name(temporary.name + "@")):
            leftover.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    return str(error).strip().removeprefix("Error: ").rstrip(".").replace("\n", " ")
