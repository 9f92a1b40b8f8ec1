# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw the own head with the mouth of "ah", "oo", "ee" and "m": docs/head.png; dressed as others build theirs, with a
row for each of `dressed_head.CONVENTIONS`: docs/mapping.png; and the demo's portrait speaking: docs/portrait.jpg.

    python -m tools.make_pictures
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import bpy
import numpy as np
from PIL import Image

from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNEL_INDEX, CHANNELS
from blender_demo.backend.pipeline import Generator
from blender_demo.backend.portrait.frames import render_frames
from blender_demo.backend.portrait.landmarks import Landmarks
from blender_demo.backend.portrait.picture import read_picture
from blender_demo.backend.portrait.portrait import build_portrait
from blender_demo.backend.settings import GenerationSettings
from blender_demo.scene.bake import bake
from blender_demo.scene.bake_options import BakeOptions
from blender_demo.scene.character import Character, find_character
from blender_demo.scene.detect import detect_character
from blender_demo.scene.head import add_head, add_stage

from .demo import PICTURE, SPEECH
from .dressed_head import CONVENTIONS, dressed_head
from .preview import contact_sheet

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"

MOUTHS: Final = (
    {"jawOpen": 0.55, "mouthLowerDownLeft": 0.3, "mouthLowerDownRight": 0.3, "browInnerUp": 0.5, "headPitch": -0.06},
    {"jawOpen": 0.2, "mouthFunnel": 0.4, "mouthPucker": 0.7, "browOuterUpLeft": 0.5, "headYaw": -0.2},
    {
        "jawOpen": 0.15,
        "mouthSmileLeft": 0.7,
        "mouthSmileRight": 0.7,
        "mouthUpperUpLeft": 0.35,
        "mouthUpperUpRight": 0.35,
        "cheekSquintLeft": 0.5,
        "cheekSquintRight": 0.5,
        "headRoll": 0.1,
    },
    {
        "mouthPressLeft": 0.5,
        "mouthPressRight": 0.5,
        "mouthRollLower": 0.3,
        "headYaw": 0.25,
        "gazeYaw": -0.2,
        "browDownLeft": 0.3,
        "browDownRight": 0.3,
    },
)


SPOKEN_S: Final = (1.52, 2.52, 4.6, 6.0)
"""Seconds into the recording at which the portrait is drawn."""
PORTRAIT_PIXELS: Final = (640, 800)
PORTRAIT_BOX: Final = (45, 100, 595, 650)
"""Of these pixels the part that is shown, and how large."""
PORTRAIT_SHOWN: Final = 320


def main() -> None:
    """Pose, bake and draw."""
    _draw_portrait(DOCS / "portrait.jpg")
    _draw(lambda scene: find_character(add_head(scene).meshes[0]), DOCS / "head.png", samples=64)
    with tempfile.TemporaryDirectory() as folder:
        rows = [Path(folder) / f"{row}.png" for row in range(len(CONVENTIONS))]
        for convention, row in zip(CONVENTIONS, rows, strict=True):
            _draw(lambda scene, c=convention: dressed_head(scene, c), row, samples=24)
        pictures = [Image.open(row) for row in rows]
        sheet = Image.new("RGB", (pictures[0].width, sum(picture.height for picture in pictures)))
        for number, picture in enumerate(pictures):
            sheet.paste(picture, (0, number * picture.height))
        sheet.resize((sheet.width // 2, sheet.height // 2)).quantize(256).save(DOCS / "mapping.png", optimize=True)


def _draw_portrait(path: Path) -> None:
    """The picture, and four frames of the demo's take."""
    take = Generator("cpu").generate(SPEECH, GenerationSettings(), lambda *_: None).clip.completed()
    spoken = MotionClip(take.fps, take.channels[[round(seconds * take.fps) for seconds in SPOKEN_S]])
    width, height = PORTRAIT_PIXELS
    color, _ = read_picture(PICTURE)
    portrait = build_portrait(color, Landmarks.load(PICTURE.with_suffix(".landmarks.json")))
    frames = [frame[..., :3] for frame in render_frames(portrait, spoken, width, height)]
    row = [Image.fromarray(np.ascontiguousarray(frame)) for frame in ((color * 255).round().astype(np.uint8), *frames)]
    sheet = Image.new("RGB", (len(row) * PORTRAIT_SHOWN, PORTRAIT_SHOWN))
    for number, picture in enumerate(row):
        shown = picture.resize((PORTRAIT_SHOWN,) * 2, Image.Resampling.LANCZOS, box=PORTRAIT_BOX)
        sheet.paste(shown, (number * PORTRAIT_SHOWN, 0))
    sheet.save(path, quality=92, subsampling=0)


def _draw(add_character: Callable[[bpy.types.Scene], Character], path: Path, samples: int) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.data.scenes[0]
    scene.render.fps, scene.render.fps_base = 24, 1.0
    values = np.zeros((len(MOUTHS), len(CHANNELS)), np.float32)
    for row, mouth in zip(values, MOUTHS, strict=True):
        for name, value in mouth.items():
            row[CHANNEL_INDEX[name]] = value
    character = add_character(scene)
    clip = MotionClip(fps=24.0, channels=values)
    bake(clip, character, detect_character(character), BakeOptions(start_frame=1, ease_s=0.0, tolerance=0.0), scene)
    add_stage(scene)
    contact_sheet(scene, range(1, len(MOUTHS) + 1), path, engine="CYCLES", samples=samples)


if __name__ == "__main__":
    main()
