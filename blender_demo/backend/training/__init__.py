# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipe that makes the weights. Not part of the installed add-on."""
