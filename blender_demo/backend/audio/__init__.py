# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings: `load` reads any sound file as 16 kHz mono, `features` and `encoder` turn it into what the model hears.
"""
