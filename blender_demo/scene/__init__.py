# SPDX-License-Identifier: GPL-3.0-or-later
"""What knows Blender's data: characters, rig profiles, Actions and NLA tracks, baking, sound strips.

May be imported from operators, panels and the command line. Imports `compat`
and `backend`, nothing above itself, and never torch.
"""
