# SPDX-License-Identifier: GPL-3.0-or-later
"""Portraits that say recordings: a contact sheet of each, to judge by eye.

    .venv/bin/python -m tools.portrait_sheet PICTURES --audio FILE... [--landmarks FOLDER] [--out build/portrait]

Each picture goes the way of `python -m blender_demo portrait`, but only the frames of the sheet are drawn: the picture
itself, frames spread over the recording, and those with the mouth most open, the lids most shut and the head furthest
turned. Below each frame are its eyes and its mouth, enlarged. The sheets show other people's pictures and stay on this
machine.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from blender_demo.backend.errors import DemoError
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.resample import resample
from blender_demo.backend.portrait.frames import render_frames
from blender_demo.backend.portrait.landmarks import Landmarks, find_landmarks
from blender_demo.backend.portrait.picture import on_white, read_picture
from blender_demo.backend.portrait.portrait import Portrait, build_portrait
from blender_demo.backend.portrait.render import output_size

from .mouth_shapes import lip_aperture
from .takes import kept_take

ROOT: Final = Path(__file__).resolve().parent.parent
SPEECH: Final = ROOT / "demo" / "speech.ogg"
PICTURES: Final = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"}
FPS: Final = 24.0
SPREAD: Final = 8
"""Frames spread evenly over the recording; three with extremes come on top."""
COLUMNS: Final = 6
CELL: Final = 384
_EYES, _MOUTH = (range(17, 27), range(36, 48)), (range(48, 68),)
"""Landmarks that the enlarged parts show."""
_MARGIN: Final = 0.25
"""Around these, in distances of the eyes."""

Pixels = NDArray[np.uint8]


def main() -> int:
    """Draw the sheets. Returns the exit status: 1 if a portrait could not be drawn."""
    parser = argparse.ArgumentParser(description="Portraits that say recordings: a contact sheet of each.")
    parser.add_argument("pictures", type=Path, help="picture, or folder of pictures")
    parser.add_argument("--audio", nargs="+", type=Path, default=[SPEECH], help="recordings (the project's own)")
    parser.add_argument("--landmarks", type=Path, help="folder with PICTURE.landmarks.json (beside the pictures)")
    parser.add_argument("--size", type=int, default=512, help="longer side of the frames in pixels (512)")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "portrait", help="folder for the sheets")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    clips = {audio.stem: resample(kept_take(audio, arguments.out).completed(), FPS) for audio in arguments.audio}
    given: Path = arguments.pictures
    pictures = [given] if given.is_file() else sorted(given.iterdir())
    failed = 0
    for path in (path for path in pictures if path.suffix.lower() in PICTURES):
        try:
            portrait, landmarks = _portrait(path, arguments.landmarks or path.parent)
            for name, clip in clips.items():
                sheet = arguments.out / f"{path.stem}_{name}.png"
                _draw(portrait, landmarks, clip, arguments.size).save(sheet)
                print(sheet, flush=True)
        except DemoError as error:
            failed += 1
            print(f"{path.name}: {error}", file=sys.stderr)
    return int(failed > 0)


def _portrait(path: Path, folder: Path) -> tuple[Portrait, Landmarks]:
    """The portrait in a picture, with the landmarks of a file where there is one."""
    color, matte = read_picture(path)
    picture = on_white(color, matte)
    placed = folder / f"{path.stem}.landmarks.json"
    landmarks = Landmarks.load(placed) if placed.is_file() else find_landmarks(picture)
    return build_portrait(picture, landmarks, matte), landmarks


def chosen_frames(clip: MotionClip) -> list[int]:
    """Indices of the frames of a sheet, in order of time."""
    turn = np.linalg.norm([clip[name] for name in ("headYaw", "headPitch", "headRoll")], axis=0)
    shut = clip["eyeBlinkLeft"] + clip["eyeBlinkRight"]
    extremes = (int(values.argmax()) for values in (lip_aperture(clip), shut, turn))
    return sorted({*np.linspace(0, len(clip) - 1, SPREAD + 2).astype(int)[1:-1].tolist(), *extremes})


def _draw(portrait: Portrait, landmarks: Landmarks, clip: MotionClip, size: int) -> Image.Image:
    """The sheet of a clip."""
    chosen = chosen_frames(clip)
    width, height = output_size(portrait.picture, size)
    few = MotionClip(clip.fps, clip.channels[chosen])
    still = Image.fromarray((portrait.picture * 255).round().astype(np.uint8)).resize((width, height))
    frames = [np.asarray(still), *(frame[..., :3] for frame in render_frames(portrait, few, width, height))]
    points = landmarks.points * (width / portrait.fit.width)
    labels = ["picture", *(f"{frame / clip.fps:.2f} s" for frame in chosen)]
    cells = [_cell(frame, points, label) for frame, label in zip(frames, labels, strict=True)]
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL, rows * cells[0].height))
    for number, cell in enumerate(cells):
        sheet.paste(cell, (number % COLUMNS * CELL, number // COLUMNS * cell.height))
    return sheet


def _cell(frame: Pixels, points: NDArray[np.float32], label: str) -> Image.Image:
    """A frame with its label, and its eyes and its mouth below, each as wide as the cell."""
    parts = [Image.fromarray(np.ascontiguousarray(frame))]
    parts += [parts[0].crop(_box(points, rows)) for rows in (_EYES, _MOUTH)]
    parts = [part.resize((CELL, round(CELL * part.height / part.width)), Image.Resampling.LANCZOS) for part in parts]
    cell = Image.new("RGB", (CELL, sum(part.height for part in parts)))
    top = 0
    for part in parts:
        cell.paste(part, (0, top))
        top += part.height
    ImageDraw.Draw(cell).text((6, 4), label, fill="white", stroke_width=2, stroke_fill="black")
    return cell


def _box(points: NDArray[np.float32], rows: tuple[range, ...]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what landmarks surround, with a margin."""
    chosen = points[np.concatenate([np.array(part) for part in rows])]
    margin = _MARGIN * np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0))
    low, high = chosen.min(0) - margin, chosen.max(0) + margin
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


if __name__ == "__main__":
    raise SystemExit(main())
