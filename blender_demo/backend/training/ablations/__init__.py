# SPDX-License-Identifier: GPL-3.0-or-later
"""What each choice of the recipe is worth: small models that differ in one thing only, measured alike. The ways not
taken live here and nowhere else.
"""
