# SPDX-License-Identifier: GPL-3.0-or-later
"""From the panel's settings to an order for a take, and from the finished clip to the baked character."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import bpy

from .. import compat
from ..backend.errors import AudioError, BakeError, ClipError, RigError
from ..backend.motion.clip import MotionClip
from ..backend.settings import GenerationSettings
from ..preferences import PACKAGE, preferences
from ..scene.bake import BakeOptions, BakeReport, bake
from ..scene.character import Character, IdRef, find_character
from ..scene.detect import detect_character
from ..scene.strips import Heard, heard, sound_strip

__all__ = ["TakeOrder", "bake_take", "keep_clip", "order_take", "picked_character", "settings_of"]

_FOLDER: Final = "demo_takes"


@dataclass(frozen=True)
class TakeOrder:
    """Everything a take needs, read from the scene once, so that what the artist does meanwhile cannot mix into it."""

    character: IdRef
    scene: IdRef
    heard: Heard
    generation: GenerationSettings
    bake: BakeOptions


def settings_of(scene: Any) -> Any:
    """The add-on's settings of a scene, a DemoSettings."""
    return scene.demo


def picked_character(scene: Any) -> Character:
    """The character picked in the panel. Raises RigError."""
    picked = settings_of(scene).character
    if picked is None:
        raise RigError("Pick a character first.")
    return find_character(picked)


def _recording(scene: Any, context: bpy.types.Context) -> Heard:
    """What the take is made from. Raises AudioError."""
    settings = settings_of(scene)
    if settings.source == "STRIP":
        editor_scene = compat.sequencer_scene(context)
        return heard(sound_strip(editor_scene, settings.strip), editor_scene, compat.cache_folder(PACKAGE, "audio"))
    if not settings.audio_path:
        raise AudioError("Choose a recording first.")
    path = Path(bpy.path.abspath(settings.audio_path))
    if not path.is_file():
        raise AudioError(f"The recording {path} does not exist. Choose another one.")
    return Heard(path.stem, path, 0.0, None, float(settings.start_frame))


def order_take(context: bpy.types.Context) -> TakeOrder:
    """Read and check everything; raises DemoError before any work is done."""
    scene: Any = context.scene
    settings = settings_of(scene)
    recording = _recording(scene, context)
    detect_character(picked_character(scene))
    return TakeOrder(
        character=IdRef.of("objects", settings.character),
        scene=IdRef.of("scenes", scene),
        heard=recording,
        generation=settings.generation(preferences(context).device),
        bake=settings.bake_options(bpy.path.clean_name(recording.name), recording.start_frame),
    )


def keep_clip(clip: MotionClip, order: TakeOrder) -> Path:
    """Save the clip beside the scene, or in the add-on's own folder where that is not possible."""
    name = f"{order.bake.take}_seed{order.generation.seed}.npz"
    if bpy.data.filepath:
        folder = Path(bpy.data.filepath).parent / _FOLDER
        try:
            folder.mkdir(exist_ok=True)
            clip.save(folder / name)
            return folder / name
        except (OSError, ClipError):
            pass  # a folder that may not be written to, as on a file server
    path = compat.cache_folder(PACKAGE, "takes") / name
    clip.save(path)
    return path


def bake_take(clip: MotionClip, order: TakeOrder) -> BakeReport:
    """Bake a finished clip onto the character it was ordered for, if that is still there. Raises DemoError."""
    picked, scene = order.character.resolve(), order.scene.resolve()
    if picked is None or scene is None:
        raise BakeError(
            f"'{order.character.name}' is no longer there. The take was kept: pick a character and bake it."
        )
    character = find_character(picked)
    played = replace(clip, fps=clip.fps * order.heard.speed)
    return bake(played, character, detect_character(character), order.bake, scene)
