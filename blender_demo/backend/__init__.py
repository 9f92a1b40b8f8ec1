# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that does not need Blender: recordings, the model, motion clips, the head, and the worker process.

Nothing below here imports bpy or anything above itself, and all imports are relative, so that the worker can import
this folder as a top-level package. Torch is imported on the worker's side only.
"""
