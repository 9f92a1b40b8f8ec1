# SPDX-License-Identifier: GPL-3.0-or-later
"""A still picture and a MotionClip become frames of a talking portrait.

`picture.py` reads the picture, `landmarks.py` finds the face in it, `fit.py` fits the head model,
`portrait.py` takes the picture apart, `frames.py` draws it talking. From outside, import from those modules;
nothing here needs Blender.
"""
