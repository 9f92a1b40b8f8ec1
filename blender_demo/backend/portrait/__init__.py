# SPDX-License-Identifier: GPL-3.0-or-later
"""The talking portrait: a still picture and a motion clip become the frames of a face that speaks.

`order` says what is wanted and needs neither torch nor Pillow; `render` makes it and belongs to the worker's side.
"""
