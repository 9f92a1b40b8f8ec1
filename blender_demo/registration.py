# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that Blender is told about this add-on, in one place: classes, menus, scene properties, handlers, the
command.
"""

import atexit
from typing import Any, Final

import bpy
from bpy.app.handlers import persistent

from . import compat, mapping_properties, operators, panels, portrait_properties, preferences, properties
from .operators.session import SESSION

__all__ = ["CLASSES", "COMMAND", "register", "unregister"]

COMMAND: Final = "demo"
"""`blender --command demo ...`"""

CLASSES: Final[tuple[type, ...]] = (
    *mapping_properties.CLASSES,
    *portrait_properties.CLASSES,
    *properties.CLASSES,
    *preferences.CLASSES,
    *operators.CLASSES,
    *panels.CLASSES,
)

_cli_handles: Final[list[Any]] = []


def _run_command(argv: list[str]) -> int:
    """Entry of the command line; imported only when it is used."""
    from . import cli

    return cli.main(argv)


@persistent
def _before_data_goes(*_: Any) -> None:
    """Another file is about to be opened, or Blender to exit: the character of a running job is about to go."""
    SESSION.close()


@persistent
def _end_tests(*_: Any) -> None:
    """What the Mapping panel shows on a character belongs neither into a file nor into a picture."""
    mapping_properties.end_tests()


_HANDLERS: Final = {
    "load_pre": _before_data_goes,
    "exit_pre": _before_data_goes,
    "save_pre": _end_tests,
    "load_post": _end_tests,
    "render_init": _end_tests,
}


def _handlers() -> list[tuple[Any, Any]]:
    """Blender's lists of handlers, and what goes into each; not every version has every list."""
    return [
        (handlers, function)
        for name, function in _HANDLERS.items()
        if (handlers := getattr(bpy.app.handlers, name, None)) is not None
    ]


def register() -> None:
    """Make the add-on known to Blender."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    for menu, draw in operators.MENUS.items():
        getattr(bpy.types, menu).append(draw)
    bpy.types.Scene.demo = bpy.props.PointerProperty(type=properties.DemoSettings)  # pyright: ignore[reportAttributeAccessIssue]
    for handlers, function in _handlers():
        handlers.append(function)
    _cli_handles.append(compat.register_cli_command(COMMAND, _run_command))
    atexit.register(SESSION.leave)


def unregister() -> None:
    """Undo `register`, in reverse."""
    atexit.unregister(SESSION.leave)
    SESSION.leave()
    while _cli_handles:
        compat.unregister_cli_command(_cli_handles.pop())
    for handlers, function in _handlers():
        handlers.remove(function)
    mapping_properties.end_tests()
    for menu, draw in operators.MENUS.items():
        getattr(bpy.types, menu).remove(draw)
    del bpy.types.Scene.demo  # pyright: ignore[reportAttributeAccessIssue]
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
