# SPDX-License-Identifier: GPL-3.0-or-later
"""What buttons do: thin operators over `scene` and the worker.

`CLASSES`, `MENUS`, `session.SESSION` and `take.settings_of` may be imported from outside.
"""

from typing import Final

from . import (
    bake,
    check,
    doctor,
    generate,
    given,
    head,
    mapping,
    motion_files,
    points,
    portrait,
    selected,
    set_up_environment,
)

__all__ = ["CLASSES", "MENUS"]

CLASSES: Final = (
    *generate.CLASSES,
    *portrait.CLASSES,
    *points.CLASSES,
    *given.CLASSES,
    *bake.CLASSES,
    *motion_files.CLASSES,
    *check.CLASSES,
    *mapping.CLASSES,
    *selected.CLASSES,
    *head.CLASSES,
    *doctor.CLASSES,
    *set_up_environment.CLASSES,
)
MENUS: Final = motion_files.MENUS
