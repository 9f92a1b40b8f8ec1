# SPDX-License-Identifier: GPL-3.0-or-later
"""From the shape keys of any character to the ARKit channels: by name, by shape, and by conversion of one to the other.

Numpy only, no bpy. `names.recognize`, `by_shape` and `conversion.convert` may be imported from `scene`.
"""
