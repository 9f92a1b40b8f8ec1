# SPDX-License-Identifier: GPL-3.0-or-later
"""What the portrait operator does: from the panel's settings to an order, and from the frames to what shows them."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import bpy

from ..backend.errors import AudioError, ClipError, PortraitError, WorkerError
from ..backend.motion.atomic import written_whole
from ..backend.portrait.order import PortraitOrder
from ..backend.worker.client import GenerationJob, HeadJob, PortraitJob
from ..preferences import preferences, worker_python
from ..properties import settings_of
from ..scene.character import IdRef
from ..scene.draft import scene_fps
from ..scene.head import add_person
from ..scene.movie import write_movie
from ..scene.portrait import ImageSequence, active_image_node, add_plane, put_into_node, put_on_object
from ..scene.portrait_points import landmarks_of
from ..scene.strips import Heard
from .session import SESSION
from .take import chosen_recording, free_path, project_folder

__all__ = [
    "HeadMaking",
    "PortraitMaking",
    "PreviewMaking",
    "blink_now",
    "picture_file",
    "start_head",
    "start_portrait",
    "start_preview",
]

_FOLDER: Final = "demo_portraits"
_PREVIEW: Final = "demo_preview"
"""What the image of a preview remembers its file by."""


@dataclass(frozen=True)
class PortraitMaking:
    """A portrait in the making: all that is needed to show it, read from the scene once.

    start_frame: of the scene, which shows the first frame. goal: the object that gets it, if it is to go onto one.
    movie: path of the video to write, None for none. voice: what is heard in it.
    """

    job: PortraitJob
    scene: IdRef
    start_frame: int
    target: str
    look: Any
    goal: IdRef | None
    movie: Path | None
    voice: Heard | None

    def apply(self) -> str:
        """Show the finished frames; what was made, as a sentence. Raises DemoError."""
        result, order = self.job.result, self.job.order
        if result is None:
            raise self.job.error or WorkerError("The portrait ended without a result.")
        sequence = ImageSequence(Path(result.held), result.count, self.start_frame)
        scene = self.scene.resolve()
        if scene is None:
            raise PortraitError(f"The scene is no longer there. The frames are kept in {order.folder}.")
        shown = self._show(scene, sequence)
        if self.job.voice is not None:
            settings = settings_of(scene)
            settings.clip_path, settings.clip_take = order.clip, Path(order.clip).stem
            settings.clip_start_frame = self.start_frame + order.later_s * order.fps
            settings.clip_speed = order.speed
        if self.movie is not None:
            self._write_movie(sequence, self.movie)
        last = self.start_frame + result.count - 1
        return f"{shown} shows frames {self.start_frame} to {last}, {result.width} x {result.height} pixels."

    def _write_movie(self, sequence: ImageSequence, path: Path) -> None:
        order, voice = self.job.order, self.voice
        start_s = 0.0 if voice is None else voice.start_s - order.later_s
        write_movie(sequence, order.fps, path, voice.path if voice else None, start_s, order.alpha)

    def _show(self, scene: Any, sequence: ImageSequence) -> str:
        if self.target == "PLANE":
            return f"'{add_plane(scene, sequence, self.look, self.job.order.alpha).name}'"
        goal = self.goal.resolve() if self.goal else None
        if goal is None:
            raise PortraitError(f"The object is no longer there. The frames are kept in {sequence.held.parent}.")
        if self.target == "OBJECT":
            put_on_object(goal, sequence, self.look, self.job.order.alpha)
            return f"'{goal.name}'"
        node = active_image_node(goal)
        if node is None:
            raise PortraitError(f"The image node of '{goal.name}' is no longer selected. Select it, and render again.")
        put_into_node(node, sequence)
        return f"The node '{node.name}' of '{goal.name}'"


@dataclass(frozen=True)
class _Motion:
    """What the face does. clip: its file, which is yet to be made where `generate` is set. start: scene frame."""

    clip: Path
    start: float
    speed: float
    heard: Heard | None
    generate: bool


def start_portrait(context: bpy.types.Context) -> PortraitMaking:
    """Check everything and make the job. Raises DemoError before any work is done."""
    scene: Any = context.scene
    settings, chosen = settings_of(scene), preferences(context)
    portrait, fps = settings.portrait, scene_fps(scene)
    image, motion = picture_file(portrait.image), _motion(scene, context)
    if portrait.movie != "NONE" and motion.heard is not None and motion.speed != 1.0:
        raise PortraitError(
            f"The strip '{motion.heard.name}' plays faster or slower than it was recorded, which a movie cannot have. "
            "Render its sound to a file (Render Audio) and use that, or do without the movie."
        )
    name = bpy.path.clean_name(image.stem)
    folder = project_folder(_FOLDER, "portraits") / name
    later_s = (motion.start - math.floor(motion.start)) / fps
    order = PortraitOrder(
        image=str(image),
        clip=str(motion.clip),
        folder=str(folder),
        name=name,
        size=portrait.size,
        fps=fps,
        landmarks=_landmarks(portrait, folder / f"{name}_points.json"),
        file_format=portrait.file_format.lower(),
        alpha=portrait.alpha,
        overwrite=portrait.overwrite,
        controls=portrait.controls(motion.speed, later_s),
        refine=portrait.refine,
        speed=motion.speed,
        later_s=later_s,
        device=chosen.device,
    )
    worker, heard, voice = SESSION.worker_for(worker_python(chosen), 60.0 * chosen.idle_minutes), motion.heard, None
    if motion.generate and heard is not None:
        voice = GenerationJob(worker, heard.path, settings.generation(chosen.device), heard.start_s, heard.duration_s)
    return PortraitMaking(
        job=PortraitJob(worker, order, voice),
        scene=IdRef.of("scenes", scene),
        start_frame=math.floor(motion.start),
        target=portrait.target,
        look=portrait.look,
        goal=None if portrait.target == "PLANE" else IdRef.of("objects", context.object),
        movie=None if portrait.movie == "NONE" else folder / f"{name}.{portrait.movie.lower()}",
        voice=heard,
    )


@dataclass(frozen=True)
class PreviewMaking:
    """One frame of a portrait in the making, to look at. name: of the image that shows it."""

    job: PortraitJob
    name: str

    def apply(self) -> str:
        """Show the frame in every Image Editor; how it is shown, as a sentence. Raises DemoError."""
        if self.job.result is None:
            raise self.job.error or WorkerError("The frame ended without a result.")
        path = self.job.result.held
        image = next((image for image in bpy.data.images if image.get(_PREVIEW) == path), None)
        if image is None:
            image = bpy.data.images.load(path)
            image.name, image[_PREVIEW] = self.name, path
        image.reload()
        areas = [area for window in bpy.context.window_manager.windows for area in window.screen.areas]
        editors = [area for area in areas if area.type == "IMAGE_EDITOR"]
        for editor in editors:
            editor.spaces.active.image = image
            editor.tag_redraw()
        return f"The image '{image.name}' shows this frame." + ("" if editors else " Open an Image Editor to see it.")


def start_preview(context: bpy.types.Context) -> PreviewMaking:
    """Check everything and make the job for the present frame. Raises DemoError before any work is done."""
    making, frame = start_portrait(context), context.scene.frame_current
    order = making.job.order
    if frame < making.start_frame:
        raise PortraitError(f"The take begins at frame {making.start_frame}. Go to a frame of it first.")
    order = replace(
        order,
        folder=str(Path(order.folder) / "preview"),
        file_format="png",
        overwrite=True,
        still=frame - making.start_frame,
    )
    return PreviewMaking(PortraitJob(making.job.worker, order), f"{order.name} preview")


@dataclass(frozen=True)
class HeadMaking:
    """The head of a person in the making, for a scene. name: what its objects are called by."""

    job: HeadJob
    scene: IdRef
    name: str

    def apply(self) -> str:
        """Put the head into the scene, as the character; the name of its face. Raises DemoError."""
        if self.job.result is None:
            raise self.job.error or WorkerError("The head ended without a result.")
        scene = self.scene.resolve()
        if scene is None:
            raise PortraitError("The scene is no longer there.")
        head = add_person(scene, self.job.result, self.name)
        settings_of(scene).character = head.meshes[0]
        return head.meshes[0].name


def start_head(context: bpy.types.Context) -> HeadMaking:
    """Check everything and make the job. Raises DemoError before any work is done."""
    scene: Any = context.scene
    portrait, chosen = settings_of(scene).portrait, preferences(context)
    image = picture_file(portrait.image)
    name = bpy.path.clean_name(image.stem)
    landmarks = _landmarks(portrait, project_folder(_FOLDER, "portraits") / name / f"{name}_points.json")
    worker = SESSION.worker_for(worker_python(chosen), 60.0 * chosen.idle_minutes)
    return HeadMaking(HeadJob(worker, image, Path(landmarks) if landmarks else None), IdRef.of("scenes", scene), name)


def blink_now(context: bpy.types.Context) -> None:
    """Keep a blink at the present frame, by its second in the take. Raises DemoError where there is none."""
    scene: Any = context.scene
    motion = _motion(scene, context)
    seconds = (scene.frame_current - motion.start) / scene_fps(scene) * motion.speed
    if seconds < 0.0:
        raise PortraitError(f"The take begins at frame {motion.start:g}. Go to a frame of it first.")
    settings_of(scene).portrait.blinks.add().seconds = seconds


def _motion(scene: Any, context: bpy.types.Context) -> _Motion:
    """A new take of the recording, or the present one; that may come from elsewhere, without a recording."""
    settings = settings_of(scene)
    if settings.portrait.motion == "VOICE":
        heard = chosen_recording(scene, context)
        clip = free_path(f"{bpy.path.clean_name(heard.name)}_seed{settings.seed}")
        return _Motion(clip, heard.start_frame, heard.speed, heard, True)
    if not settings.clip_path:
        raise ClipError("Generate a take, or choose a motion clip.")
    try:
        heard = chosen_recording(scene, context)
    except AudioError:
        heard = None
    clip = _file(settings.clip_path, "motion clip")
    return _Motion(clip, settings.clip_start_frame, settings.clip_speed, heard, False)


def _landmarks(portrait: Any, kept: Path) -> str:
    """Path of the landmarks: the points in the scene, which are `kept` there, else a file, else none."""
    wire = portrait.wire()
    if wire is None:
        return str(_file(portrait.landmarks, "file of landmarks")) if portrait.landmarks else ""
    landmarks = landmarks_of(wire)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PortraitError(f"The folder {kept.parent} cannot be made: {error.strerror or error}.") from error
    landmarks.save(kept)
    return str(kept)


def picture_file(stored: str) -> Path:
    """The file of a picture; of one that is only packed into this Blender file, a copy beside it.

    Raises PortraitError where there is neither.
    """
    path = Path(bpy.path.abspath(stored))
    for image in bpy.data.images:
        if not path.is_file() and image.packed_file and Path(bpy.path.abspath(image.filepath)) == path:
            path = project_folder(_FOLDER, "portraits") / path.name
            with written_whole(path, "picture", PortraitError) as temporary:
                temporary.write_bytes(image.packed_file.data)
    return _file(str(path), "picture")


def _file(stored: str, what: str) -> Path:
    path = Path(bpy.path.abspath(stored))
    if not path.is_file():
        raise PortraitError(f"The {what} {path} does not exist. Choose another one.")
    return path
