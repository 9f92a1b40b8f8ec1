# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that Blender is told about this add-on, in one place: classes, menus, scene properties, handlers, the
command.
"""

import atexit
from typing import Any, Final

import bpy
from bpy.app.handlers import persistent

from . import compat, operators, panels, preferences, properties
from .operators.session import SESSION

__all__ = ["CLASSES", "COMMAND", "register", "unregister"]

COMMAND: Final = "demo"
"""`blender --command demo ...`"""

CLASSES: Final[tuple[type, ...]] = (*properties.CLASSES, *preferences.CLASSES, *operators.CLASSES, *panels.CLASSES)

_cli_handles: Final[list[Any]] = []


def _run_command(argv: list[str]) -> int:
    """Entry of the command line; imported only when it is used."""
    from . import cli

    return cli.main(argv)


@persistent
def _before_data_goes(*_: Any) -> None:
    """Another file is about to be opened, or Blender to exit: the character of a running job is about to go."""
    SESSION.close()


def _handler_lists() -> list[Any]:
    return [
        handlers for name in ("load_pre", "exit_pre") if (handlers := getattr(bpy.app.handlers, name, None)) is not None
    ]


def register() -> None:
    """Make the add-on known to Blender."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    for menu, draw in operators.MENUS.items():
        getattr(bpy.types, menu).append(draw)
    bpy.types.Scene.demo = bpy.props.PointerProperty(type=properties.DemoSettings)  # pyright: ignore[reportAttributeAccessIssue]
    for handlers in _handler_lists():
        handlers.append(_before_data_goes)
    _cli_handles.append(compat.register_cli_command(COMMAND, _run_command))
    atexit.register(SESSION.leave)


def unregister() -> None:
    """Undo `register`, in reverse."""
    atexit.unregister(SESSION.leave)
    SESSION.leave()
    while _cli_handles:
        compat.unregister_cli_command(_cli_handles.pop())
    for handlers in _handler_lists():
        handlers.remove(_before_data_goes)
    for menu, draw in operators.MENUS.items():
        getattr(bpy.types, menu).remove(draw)
    del bpy.types.Scene.demo  # pyright: ignore[reportAttributeAccessIssue]
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
