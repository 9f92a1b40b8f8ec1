# SPDX-License-Identifier: GPL-3.0-or-later
"""One sentence on many characters: a contact sheet of each, to judge mappings by eye.

    .venv/bin/python -m tools.character_sheets FILE... [--audio FILE] [--out build/characters]

Each file is mapped as `python -m blender_demo map` does it, the sentence is baked, and twelve of its frames are drawn
from the front. The pictures show other people's characters and stay on this machine.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

import bpy
import numpy as np
from mathutils import Matrix, Vector

from blender_demo.backend.errors import DemoError
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.map_file import characters_in, open_model
from blender_demo.scene.bake import bake
from blender_demo.scene.bake_options import BakeOptions
from blender_demo.scene.character import Character
from blender_demo.scene.detect import detect_character
from blender_demo.scene.face_frame import frames_from_normals
from blender_demo.scene.face_points import KeyedMesh, read_mesh
from blender_demo.scene.rig_profile import RigProfile

from . import preview
from .mouth_shapes import choose_frames, load_phones
from .takes import kept_take

ROOT: Final = Path(__file__).resolve().parent.parent
SPEECH: Final = ROOT / "demo" / "speech.ogg"
_VIEW: Final = 1.5
"""Height of the picture over that of what the keys of the face move."""


def main() -> int:
    """Draw the sheets. Returns the exit status: 1 if a character could not be drawn."""
    parser = argparse.ArgumentParser(description="One sentence on many characters.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--audio", type=Path, default=SPEECH, help="recording (the project's own)")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "characters", help="folder for the pictures")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    clip = kept_take(arguments.audio, arguments.out)
    phones = arguments.audio.with_suffix(".phones.json")
    frames = choose_frames(clip, load_phones(phones) if phones.is_file() else ())
    failed = 0
    for file in arguments.files:
        try:
            summary = _draw(file, clip, frames, arguments.out / f"{file.stem}.png")
            print(f"{file.name}: {summary}")
        except DemoError as error:
            failed += 1
            print(f"{file.name}: {error}", file=sys.stderr)
    return int(failed > 0)


def _draw(file: Path, clip: MotionClip, frames: list[int], sheet: Path) -> str:
    """Bake the clip onto the character of a file with most channels and draw it; the summary of its mapping."""
    open_model(file)
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = round(clip.fps), 1.0
    character, profile = _best(file)
    bake(clip, character, profile, BakeOptions(take="speech"), scene)
    _set_stage(scene, character, profile)
    preview.contact_sheet(scene, [1 + frame for frame in frames], sheet)
    return profile.summary()


def _best(file: Path) -> tuple[Character, RigProfile]:
    """The character with most channels. Raises RigError where none can be driven."""
    found, refusal = [], None
    for character in characters_in(file):
        try:
            found.append((character, detect_character(character)))
        except DemoError as error:
            refusal = error
    if not found:
        raise refusal or DemoError(f"{file} holds no character.")
    return max(found, key=lambda pair: len(pair[1].carried))


def _set_stage(scene: bpy.types.Scene, character: Character, profile: RigProfile) -> None:
    """A camera in front of the face, and plain light."""
    keyed = _face(character, profile)
    frame = frames_from_normals(keyed, character)[0]
    places = keyed.points @ frame
    low, high = np.quantile(places, 0.02, axis=0), np.quantile(places, 0.98, axis=0)
    middle, height = frame @ (0.5 * (low + high)), float(high[1] - low[1])
    camera = bpy.data.objects.new("Sheet", bpy.data.cameras.new("Sheet"))
    camera.data.type, camera.data.ortho_scale = "ORTHO", _VIEW * height
    camera.data.clip_start, camera.data.clip_end = 0.001 * height, 100.0 * height
    away = Vector(middle + 20.0 * height * frame[:, 2])
    camera.matrix_world = Matrix.Translation(away) @ Matrix(frame.tolist()).to_4x4()
    scene.collection.objects.link(camera)
    scene.camera = camera
    shading = scene.display.shading
    shading.light, shading.color_type, shading.show_cavity = "STUDIO", "MATERIAL", True
    shading.background_type, shading.background_color = "VIEWPORT", (0.06, 0.07, 0.08)


def _face(character: Character, profile: RigProfile) -> KeyedMesh:
    """The mesh with most keys that are driven, and what they move."""
    by_mesh: dict[str, set[str]] = {}
    for binding in profile.keys:
        by_mesh.setdefault(binding.object, set()).add(binding.key)
    if not by_mesh:
        raise DemoError(f"'{character.name}' has no keys to draw.")
    name = max(by_mesh, key=lambda mesh: len(by_mesh[mesh]))
    mesh = character.object(name)
    assert mesh is not None
    return read_mesh(mesh, by_mesh[name])


if __name__ == "__main__":
    raise SystemExit(main())
