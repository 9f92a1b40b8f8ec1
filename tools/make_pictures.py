# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw docs/head.png: the project's own head with the mouth of "ah", "oo", "ee" and "m".

    python -m tools.make_pictures
"""

from pathlib import Path
from typing import Final

import bpy
import numpy as np

from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNEL_INDEX, CHANNELS
from blender_demo.scene.bake import BakeOptions, bake
from blender_demo.scene.character import find_character
from blender_demo.scene.detect import detect_character
from blender_demo.scene.head import add_head, add_stage

from .preview import contact_sheet

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"

MOUTHS: Final = (
    {"jawOpen": 0.55, "mouthLowerDownLeft": 0.3, "mouthLowerDownRight": 0.3, "browInnerUp": 0.5, "headPitch": -0.06},
    {"jawOpen": 0.2, "mouthFunnel": 0.4, "mouthPucker": 0.7, "browOuterUpLeft": 0.5, "headYaw": -0.2},
    {"jawOpen": 0.15, "mouthSmileLeft": 0.7, "mouthSmileRight": 0.7, "mouthUpperUpLeft": 0.35,
     "mouthUpperUpRight": 0.35, "cheekSquintLeft": 0.5, "cheekSquintRight": 0.5, "headRoll": 0.1},
    {"mouthPressLeft": 0.5, "mouthPressRight": 0.5, "mouthRollLower": 0.3, "headYaw": 0.25,
     "gazeYaw": -0.2, "browDownLeft": 0.3, "browDownRight": 0.3},
)


def main() -> None:
    """Pose, bake and draw."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.data.scenes[0]
    scene.render.fps, scene.render.fps_base = 24, 1.0
    values = np.zeros((len(MOUTHS), len(CHANNELS)), np.float32)
    for row, mouth in zip(values, MOUTHS, strict=True):
        for name, value in mouth.items():
            row[CHANNEL_INDEX[name]] = value
    character = find_character(add_head(scene).meshes[0])
    clip = MotionClip(fps=24.0, channels=values)
    bake(clip, character, detect_character(character), BakeOptions(start_frame=1, ease_s=0.0, tolerance=0.0), scene)
    add_stage(scene)
    contact_sheet(scene, range(1, len(MOUTHS) + 1), DOCS / "head.png", engine="CYCLES", samples=64)


if __name__ == "__main__":
    main()
