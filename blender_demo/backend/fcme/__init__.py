# SPDX-License-Identifier: GPL-3.0-or-later
"""The motion auto-encoder: channels, or landmarks of a face, to factor latents and back.

From outside, import `Fcme` from `model`; `landmarks` renders what a camera sees of the head, `fitting` inverts that.
"""
