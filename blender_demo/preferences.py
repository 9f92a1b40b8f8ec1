# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's preferences: which Python runs the generator, on which device, and for how long it stays warm."""

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from . import compat
from .backend.errors import WorkerError

__all__ = [
    "CLASSES",
    "PACKAGE",
    "DemoPreferences",
    "Preferences",
    "environment_folder",
    "environment_python",
    "preferences",
    "worker_python",
]

PACKAGE: Final = __package__ or ""
"""Name under which Blender knows this add-on, `bl_ext.<repository>.blender_demo`."""

_DEVICES: Final = (
    ("auto", "Automatic", "The fastest device there is"),
    ("cuda", "NVIDIA GPU", "CUDA"),
    ("mps", "Apple GPU", "Metal"),
    ("cpu", "CPU", "Slower, works everywhere"),
)


@dataclass(frozen=True)
class Preferences:
    """The preferences as plain values; the defaults serve where the add-on was registered by hand."""

    python: str = ""
    device: str = "auto"
    idle_minutes: int = 5


class DemoPreferences(bpy.types.AddonPreferences):
    """Shown in Blender's preferences under this add-on."""

    bl_idname = PACKAGE

    python: StringProperty(
        name="Python",
        description="A Python with PyTorch; empty: the one set up below, else Blender's own",
        subtype="FILE_PATH",
    )
    device: EnumProperty(name="Device", description="Where the generator runs", items=_DEVICES, default="auto")
    idle_minutes: IntProperty(
        name="Keep Warm",
        description="Minutes without work after which the generator leaves memory",
        default=5,
        min=1,
        max=240,
    )

    def draw(self, _context: bpy.types.Context) -> None:
        """Draw the preferences."""
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "python")
        layout.prop(self, "device")
        layout.prop(self, "idle_minutes")
        row = layout.row()
        row.operator("demo.set_up_environment", icon="IMPORT")
        row.operator("demo.doctor", icon="CHECKMARK")


def preferences(context: bpy.types.Context) -> Preferences:
    """The artist's preferences."""
    addon: Any = context.preferences.addons.get(PACKAGE)
    stored = addon.preferences if addon is not None else None
    if stored is None:
        return Preferences()
    return Preferences(stored.python, stored.device, stored.idle_minutes)


def environment_folder() -> Path:
    """Where the add-on sets up a Python of its own."""
    return compat.cache_folder(PACKAGE, "environment")


def environment_python() -> Path:
    """The Python set up there, whether it exists or not."""
    folder = environment_folder()
    return folder / "Scripts" / "python.exe" if sys.platform == "win32" else folder / "bin" / "python"


def worker_python(chosen: Preferences) -> Path:
    """The Python that runs the generator: the artist's, the one set up by the add-on, Blender's own.

    Raises WorkerError where none will do.
    """
    if chosen.python:
        python = Path(bpy.path.abspath(chosen.python))
        if not python.is_file():
            raise WorkerError(f"There is no Python at {python}. Correct the path in the add-on's preferences.")
        return python
    if environment_python().is_file():
        return environment_python()
    if importlib.util.find_spec("torch") is not None:
        return Path(sys.executable)
    raise WorkerError(
        "The generator needs a Python with PyTorch, and Blender's own has none. "
        "Name one in the add-on's preferences, or press 'Set Up Generator' there."
    )


CLASSES: Final = (DemoPreferences,)
