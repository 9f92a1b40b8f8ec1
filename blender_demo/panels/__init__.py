# SPDX-License-Identifier: GPL-3.0-or-later
"""What is drawn in the sidebar of the 3D viewport. Drawing only; `CLASSES` may be imported from outside."""

from typing import Final

from . import mapping, portrait, sidebar

__all__ = ["CLASSES"]

_TAKE: Final = sidebar.CLASSES.index(sidebar.DEMO_PT_take)

CLASSES: Final = (  # Blender draws in this order
    *sidebar.CLASSES[:_TAKE],
    *mapping.CLASSES,
    *sidebar.CLASSES[_TAKE:],
    *portrait.CLASSES,
)
