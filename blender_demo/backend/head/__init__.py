# SPDX-License-Identifier: GPL-3.0-or-later
"""The project's own morphable head. From outside, import `HeadModel` and `load_head` from `head_model`."""
