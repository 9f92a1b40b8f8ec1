# SPDX-License-Identifier: GPL-3.0-or-later
"""What is drawn in the sidebar of the 3D viewport. Drawing only; `CLASSES` may be imported from outside."""

from .sidebar import CLASSES

__all__ = ["CLASSES"]
