# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker process that holds the networks, and the supervisor that Blender or the command line talks to.

`client` is what the rest of the project imports: it needs neither torch nor bpy. `server` runs in the child alone,
and `protocol` is what the two say to each other.
"""
