# SPDX-License-Identifier: GPL-3.0-or-later
"""Generate Rigify rigs of a head and write them to files: `python make_rigify.py <face or skin> <file>`.

Not a test: it runs as a process of its own, as Blender does not shut down cleanly once Rigify has generated.
"""

import os
import sys

import bpy


def main(kind: str, path: str) -> None:
    """Generate from the human meta-rig without limbs, with the classic face ("face") or the newer one ("skin")."""
    import addon_utils  # Blender brings it along once bpy is there

    bpy.ops.wm.read_factory_settings(use_empty=True)
    addon_utils.enable("rigify", default_set=True)
    bpy.ops.object.armature_human_metarig_add()
    meta = bpy.context.object
    bpy.ops.object.mode_set(mode="EDIT")
    bones = meta.data.edit_bones
    kept = {"face", *(bone.name for bone in bones["face"].children_recursive)}
    for bone in list(bones):
        if bone.name not in kept and not bone.name.startswith("spine"):
            bones.remove(bone)
    if kind == "skin":
        bpy.ops.object.mode_set(mode="POSE")
        bpy.ops.pose.rigify_upgrade_face()
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.pose.rigify_generate()
    bpy.ops.wm.save_as_mainfile(filepath=path)


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)
