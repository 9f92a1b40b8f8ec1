# SPDX-License-Identifier: GPL-3.0-or-later
"""DEMO for Blender: speech in, a facial performance that an artist can direct out.

Imports nothing by itself, so that `blender_demo.backend` can be used where there is no Blender.
"""

__all__ = ["register", "unregister"]


def register() -> None:
    """Called by Blender when the extension is switched on."""
    from . import registration

    registration.register()


def unregister() -> None:
    """Called by Blender when the extension is switched off."""
    from . import registration

    registration.unregister()
