# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators do with takes: from the panel's settings to an order, and from the clip to the baked character."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

import bpy

from .. import compat
from ..backend.errors import AudioError, BakeError, ClipError, RigError, WorkerError
from ..backend.motion.clip import MotionClip
from ..backend.motion.formats import read_motion
from ..backend.settings import GenerationSettings
from ..backend.worker.client import GenerationJob
from ..preferences import PACKAGE, preferences, worker_python
from ..properties import settings_of
from ..scene.actions import active_paths, own_tracks, push_down
from ..scene.bake import BakeReport, bake, remove_all, remove_bake
from ..scene.bake_options import BakeOptions
from ..scene.character import Character, IdRef, find_character, override_meshes
from ..scene.preflight import Finding, preflight
from ..scene.profiles import profile_of
from ..scene.read_keys import KeyedTrack, read_keys
from ..scene.retarget import retarget
from ..scene.strips import Heard, add_sound, heard, sound_strip
from .session import SESSION

__all__ = [
    "Take",
    "TakeOrder",
    "add_recording",
    "bake_again",
    "check_picked",
    "chosen_recording",
    "free_path",
    "mend_picked",
    "override_meshes_of_picked",
    "project_folder",
    "push_down_of_picked",
    "remove_takes_of_picked",
    "remove_takes_of_scene",
    "retarget_picked",
    "start_take",
    "use_keys",
]

_FOLDER: Final = "demo_takes"


@dataclass(frozen=True)
class TakeOrder:
    """Everything a take needs, read from the scene once, so that what the artist does meanwhile cannot mix into it."""

    character: IdRef
    scene: IdRef
    heard: Heard
    generation: GenerationSettings
    bake: BakeOptions


def picked_character(scene: Any) -> Character:
    """The character picked in the panel. Raises RigError."""
    picked = settings_of(scene).character
    if picked is None:
        raise RigError("Pick a character first.")
    return find_character(picked)


def _recording_file(settings: Any) -> Path:
    """The recording named in the panel. Raises AudioError."""
    if not settings.audio_path:
        raise AudioError("Choose a recording first.")
    path = Path(bpy.path.abspath(settings.audio_path))
    if not path.is_file():
        raise AudioError(f"The recording {path} does not exist. Choose another one.")
    return path


def chosen_recording(scene: Any, context: bpy.types.Context) -> Heard:
    """What the take is made from. Raises AudioError."""
    settings = settings_of(scene)
    if settings.source == "STRIP":
        editor_scene = compat.sequencer_scene(context)
        return heard(sound_strip(editor_scene, settings.strip), editor_scene, compat.cache_folder(PACKAGE, "audio"))
    path = _recording_file(settings)
    return Heard(path.stem, path, 0.0, None, float(settings.start_frame))


def add_recording(context: bpy.types.Context) -> str:
    """Put the recording named in the panel into the sequencer; the name of its strip. Raises AudioError."""
    settings = settings_of(context.scene)
    return add_sound(compat.sequencer_scene(context), _recording_file(settings), settings.start_frame).name


def _order(context: bpy.types.Context) -> TakeOrder:
    """Read and check everything; raises DemoError before any work is done."""
    scene: Any = context.scene
    settings = settings_of(scene)
    recording = chosen_recording(scene, context)
    profile_of(scene, picked_character(scene))
    return TakeOrder(
        character=IdRef.of("objects", settings.character),
        scene=IdRef.of("scenes", scene),
        heard=recording,
        generation=settings.generation(preferences(context).device),
        bake=settings.bake_options(bpy.path.clean_name(recording.name), recording.start_frame),
    )


@dataclass(frozen=True)
class Take:
    """A take in the making."""

    order: TakeOrder
    job: GenerationJob

    def apply(self) -> BakeReport:
        """Keep the finished clip and bake it onto the character, if that is still there. Raises DemoError."""
        clip, order = self.job.clip, self.order
        if clip is None:
            raise self.job.error or WorkerError("The generation ended without a result.")
        path = _keep(clip, f"{order.bake.take}_seed{order.generation.seed}")
        picked, scene = order.character.resolve(), order.scene.resolve()
        if picked is None or scene is None:
            raise BakeError(f"'{order.character.name}' is no longer there. The take was kept as {path}.")
        settings, character = settings_of(scene), find_character(picked)
        settings.mapping.end_test()
        options = replace(order.bake, clip_path=str(path), clip_speed=order.heard.speed)
        report = bake(_as_heard(clip, order.heard.speed), character, profile_of(scene, character), options, scene)
        settings.show(report.findings)
        settings.clip_path = str(path)
        settings.clip_take = order.bake.take
        settings.clip_start_frame = order.bake.start_frame
        settings.clip_speed = order.heard.speed
        seconds = sum(self.job.timings.values())
        settings.clip_summary = f"{clip.duration_s:.1f} s of motion, made in {seconds:.1f} s on {self.job.device}"
        return report


def start_take(context: bpy.types.Context) -> Take:
    """Check everything and make the job. Raises DemoError before any work is done."""
    order, chosen = _order(context), preferences(context)
    worker = SESSION.worker_for(worker_python(chosen), 60.0 * chosen.idle_minutes)
    heard_part = order.heard
    job = GenerationJob(worker, heard_part.path, order.generation, heard_part.start_s, heard_part.duration_s)
    return Take(order, job)


def bake_again(scene: Any, character: Character | None = None) -> BakeReport:
    """Bake the clip named in the panel onto a character, the picked one if none is given. Raises DemoError."""
    character, (clip, options) = character or picked_character(scene), _kept_take(scene)
    if clip is None:
        raise ClipError("Generate a take, or choose a motion clip.")
    settings_of(scene).mapping.end_test()
    report = bake(clip, character, profile_of(scene, character), options, scene)
    settings_of(scene).show(report.findings)
    return report


def _kept_take(scene: Any) -> tuple[MotionClip | None, BakeOptions]:
    """The clip named in the panel, None where none is, and how it is baked. Raises ClipError, BakeError."""
    settings = settings_of(scene)
    path = Path(bpy.path.abspath(settings.clip_path))
    name = settings.clip_take or bpy.path.clean_name(path.stem) or "take"
    options = settings.bake_options(name, settings.clip_start_frame)
    return (_as_heard(read_motion(path), settings.clip_speed) if settings.clip_path else None), options


def check_picked(scene: Any) -> list[Finding]:
    """What a bake would do to the picked character, and what is in its way; kept for the panel. Raises DemoError."""
    character, (clip, options) = picked_character(scene), _kept_take(scene)
    found = preflight(character, profile_of(scene, character), options, scene, clip)
    settings_of(scene).show(found)
    return found


def mend_picked(scene: Any, kind: str, target: str) -> list[str]:
    """Mend one finding, or all where `kind` is empty, and check again; what was done. Raises DemoError."""
    chosen = [
        finding for finding in check_picked(scene) if not kind or (finding.kind, finding.target) == (kind, target)
    ]
    done = []
    for finding in chosen:
        if finding.remedy is not None:
            finding.remedy.apply()
            done.append(f"{finding.remedy.label}: {finding.target}")
    check_picked(scene)
    return done


def retarget_picked(scene: Any, objects: Iterable[bpy.types.Object]) -> list[str]:
    """Bring the takes of the picked character to the characters of some objects; their names. Raises DemoError."""
    source, (_, options) = picked_character(scene), _kept_take(scene)
    targets = {character.root: character for character in map(find_character, objects)}
    targets.pop(source.root, None)
    if not targets:
        raise RigError(f"Select the characters that are to perform what '{source.name}' performs.")
    for target in targets.values():
        retarget(source, target, scene, options)
    return [target.name for target in targets.values()]


def use_keys(context: bpy.types.Context, factor: str) -> KeyedTrack:
    """Keep what animates a factor of the picked character now as a clip, and give it to the takes to come.

    Raises DemoError, with the scene unchanged.
    """
    scene: Any = context.scene
    recording, character = chosen_recording(scene, context), picked_character(scene)
    settings_of(scene).mapping.end_test()
    track = read_keys(character, profile_of(scene, character), factor, scene, recording.start_frame, recording.speed)
    path = _keep(track.clip, f"{bpy.path.clean_name(recording.name)}_{factor}_keys")
    controls = settings_of(scene).factor(factor)
    controls.given, controls.lock = str(path), False
    if track.is_artists:
        controls.include = False
    else:
        controls.gain = 1.0  # these keys have it already
    return track


def remove_takes_of_picked(scene: Any) -> int:
    """Remove all takes from the picked character; how many strips and Actions went. Raises RigError."""
    count = remove_bake(picked_character(scene))
    settings_of(scene).show(())
    return count


def remove_takes_of_scene(scene: Any) -> int:
    """Remove all takes from the scene, and what the panel remembers of them; how many strips and Actions went."""
    settings = settings_of(scene)
    settings.show(())
    for name in ("checked", "clip_path", "clip_take", "clip_start_frame", "clip_speed", "clip_summary"):
        settings.property_unset(name)
    settings.mapping.end_test()
    return remove_all(scene)


def override_meshes_of_picked(scene: Any) -> int:
    """Make the shape keys of the picked character editable; the number of meshes that needed it. Raises RigError."""
    count = override_meshes(picked_character(scene))
    settings = settings_of(scene)
    settings.character = settings.character  # look at it again
    return count


def push_down_of_picked(scene: Any) -> list[str]:
    """Push down the active Actions that hide a take of the picked character; their names. Raises RigError."""
    blocks = [block for block in picked_character(scene).data_blocks() if own_tracks(block) and active_paths(block)]
    return [name for block in blocks if (name := push_down(block))]


def _as_heard(clip: MotionClip, speed: float) -> MotionClip:
    """The clip as fast as the strip plays its recording."""
    return replace(clip, fps=clip.fps * speed)


def _keep(clip: MotionClip, name: str) -> Path:
    """Save the clip beside the scene, or in the add-on's own folder where that is not possible."""
    path = free_path(name)
    clip.save(path)
    return path


def free_path(name: str) -> Path:
    """A path for a clip that none has yet: undo and locks go back to earlier ones."""
    folder = project_folder(_FOLDER, "takes")
    names = (f"{name}.npz" if number == 1 else f"{name}_{number}.npz" for number in count(1))
    return next(folder / free for free in names if not (folder / free).exists())


def project_folder(beside: str, own: str) -> Path:
    """A folder to write to: one beside the scene, or in the add-on's own where that is not possible.

    beside, own: its name in either place.
    """
    if bpy.data.filepath:
        folder = Path(bpy.data.filepath).parent / beside
        try:
            folder.mkdir(exist_ok=True)
            with TemporaryFile(dir=folder):
                return folder
        except OSError:
            pass  # a folder that may not be written to, as on a file server
    return compat.cache_folder(PACKAGE, own)
