# SPDX-License-Identifier: GPL-3.0-or-later
"""A still picture and a MotionClip become frames of a talking portrait.

`order.py` says what is wanted and needs neither torch nor Pillow; it may be imported from everywhere, as `png.py` and
`sequence.py` may, which write frames. The rest is for the worker: `render.py` is its entry, `picture.py` reads the
picture, `landmarks.py` finds the face in it, `fit.py` fits the head model, `portrait.py` takes the picture apart,
`frames.py` draws it talking. Nothing here needs Blender.
"""
