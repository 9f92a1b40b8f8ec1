# SPDX-License-Identifier: GPL-3.0-or-later
"""From the shape keys of any character to the channels, and back: by name, by shape, and by conversion.

Numpy only, no bpy. May be imported from `scene`.
"""
