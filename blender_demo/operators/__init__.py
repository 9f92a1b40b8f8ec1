# SPDX-License-Identifier: GPL-3.0-or-later
"""What buttons do: thin operators over `scene` and the worker.

`CLASSES`, `session.SESSION` and `take.settings_of` may be imported from outside.
"""

from typing import Final

from . import bake, doctor, generate, given, head, mapping, selected, set_up_environment

__all__ = ["CLASSES"]

CLASSES: Final = (
    *generate.CLASSES,
    *given.CLASSES,
    *bake.CLASSES,
    *mapping.CLASSES,
    *selected.CLASSES,
    *head.CLASSES,
    *doctor.CLASSES,
    *set_up_environment.CLASSES,
)
