# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures of generated motion against captured motion and timed phones. Not part of the installed add-on."""
