# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job from start to end, as `make demo`: a recording becomes a talking head and a talking portrait in
build/demo.

    python -m tools.demo [--audio FILE] [--picture FILE] [--out FOLDER] [--device auto|cuda|mps|cpu] [--seed N]
                         [--no-video]

Writes talking_head.blend, in which the portrait stands beside the head, both videos, the portrait's frames,
contact_sheet.png and report.json.
"""

import argparse
import hashlib
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import bpy
import soundfile
from tqdm import tqdm

from blender_demo.backend.errors import DemoError
from blender_demo.backend.head.head_model import HEAD_FILE
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.resample import resample
from blender_demo.backend.portrait.order import PortraitOrder, PortraitResult
from blender_demo.backend.settings import GenerationSettings
from blender_demo.backend.worker.client import GenerationJob, Job, PortraitJob, Worker
from blender_demo.scene import head
from blender_demo.scene.bake import BakeOptions, BakeReport, bake, scene_fps
from blender_demo.scene.character import find_character
from blender_demo.scene.detect import detect_character
from blender_demo.scene.movie import write_movie
from blender_demo.scene.portrait import ImageSequence, add_plane

from . import preview
from .demo_report import REPORT, print_table, read_report, write_report
from .mouth_shapes import choose_frames, lip_aperture, load_phones, phone_at

ROOT = Path(__file__).resolve().parent.parent
SPEECH = ROOT / "demo" / "speech.ogg"
PICTURE = ROOT / "demo" / "portrait.jpg"
SCENE_FPS = 24
VIDEO_PIXELS = 400
PORTRAIT_PIXELS = 512
PORTRAIT_PLACE = (0.62, 0.0, -0.5)
"""Where the portrait stands, which is one meter high: beside what the camera sees of the head."""
SHEET_SAMPLES = 16

AnyJob = TypeVar("AnyJob", bound=Job[Any])


@dataclass
class Generated:
    """Two takes of one recording and a portrait by one worker, and what they cost. Times are in seconds."""

    clip: MotionClip
    portrait: PortraitResult
    portrait_s: float
    device: str
    start_s: float
    cold_s: float
    warm_s: float
    stages: dict[str, float]
    worker_bytes: int
    notes: list[str] = field(default_factory=list)


def main() -> int:
    """Run the demo. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Speech to a talking head, from start to end.")
    parser.add_argument("--audio", type=Path, default=SPEECH, help="recording (the project's own)")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="portrait (the project's own)")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "demo", help="folder for the results")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu")
    parser.add_argument("--seed", type=int, default=0, help="the take")
    parser.add_argument("--no-video", action="store_true", help="leave out the preview video")
    arguments = parser.parse_args()
    try:
        run(arguments)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Generate, bake, save, draw, report. Raises DemoError."""
    audio, out = arguments.audio, arguments.out
    out.mkdir(parents=True, exist_ok=True)
    settings = GenerationSettings(seed=arguments.seed, device=arguments.device)
    generated = generate(audio, settings, portrait_order(arguments.picture, out, arguments.device))
    scene, baked = build_scene(generated.clip, audio)
    drawn = generated.portrait
    sequence = ImageSequence(Path(drawn.held), drawn.count, scene.frame_start)
    blend = out / "talking_head.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend), compress=True)  # the portrait's path is relative to it
    add_plane(scene, sequence, "EMISSION", alpha=False).location = PORTRAIT_PLACE
    bpy.ops.wm.save_as_mainfile(filepath=str(blend), compress=True)

    clip = resample(generated.clip, scene_fps(scene))
    phone_file = audio.with_suffix(".phones.json")
    phones = load_phones(phone_file) if phone_file.is_file() else ()
    frames = choose_frames(clip, phones)
    pictures = draw(scene, audio, clip, frames, sequence, out, with_video=not arguments.no_video)

    aperture = lip_aperture(clip)
    seconds = soundfile.info(audio).duration
    report = {
        "audio": {"file": audio.name, "seconds": seconds},
        "seconds": {
            "worker_start": generated.start_s,
            "generate_cold": generated.cold_s,
            "generate_warm": generated.warm_s,
            **{f"warm_{stage}": value for stage, value in generated.stages.items()},
            "portrait": generated.portrait_s,
            **{f"portrait_{stage}": value for stage, value in drawn.timings.items()},
            "bake": baked.seconds,
            "contact_sheet": pictures.sheet_s,
            "video": pictures.video_s,
        },
        "real_time_factor": {"cold": generated.cold_s / seconds, "warm": generated.warm_s / seconds},
        "portrait": {"frames": drawn.count, "kept": drawn.kept, "width": drawn.width, "height": drawn.height},
        "curves": baked.curves,
        "keys": baked.keys,
        "frames_per_second": scene_fps(scene),
        "device": generated.device,
        "blender": bpy.app.version_string,
        "peak_memory_mib": {"blender": peak_memory_bytes() / 2**20, "worker": generated.worker_bytes / 2**20},
        "contact_sheet": [
            {"frame": f + 1, "phone": phone_at(phones, f / clip.fps), "aperture": float(aperture[f])} for f in frames
        ],
        "notes": [*generated.notes, *drawn.notes, *baked.warnings],
        "drawn": pictures.fingerprint,
    }
    write_report(report, out)
    print_table(report, [path for path in (blend, *pictures.files, out / REPORT) if path.is_file()])


@dataclass(frozen=True)
class Pictures:
    """What was drawn, and the seconds it took: 0 where the pictures of the last run still hold."""

    files: tuple[Path, ...]
    fingerprint: str
    sheet_s: float = 0.0
    video_s: float = 0.0


def draw(
    scene: bpy.types.Scene,
    audio: Path,
    clip: MotionClip,
    frames: list[int],
    portrait: ImageSequence,
    out: Path,
    with_video: bool,
) -> Pictures:
    """The contact sheet of `frames` and both videos, unless the same ones lie in `out` already."""
    files = (out / "preview.mp4", out / "portrait.mp4", out / "contact_sheet.png")[0 if with_video else 2 :]
    files_of_frames = portrait.files
    beside = [files_of_frames[frame] for frame in frames]
    pictures = Pictures(files, fingerprint(clip, audio, frames, beside))
    if read_report(out).get("drawn") == pictures.fingerprint and all(file.is_file() for file in files):
        return pictures
    started = time.perf_counter()
    with progress_bar("Contact sheet") as show, quiet():
        stills = [scene.frame_start + frame for frame in frames]
        preview.contact_sheet(
            scene, stills, files[-1], engine="CYCLES", samples=SHEET_SAMPLES, progress=show, beside=beside
        )
    sheet_s = time.perf_counter() - started
    if with_video:
        with progress_bar("Video") as show, quiet():
            preview.video(scene, audio, files[0], size=VIDEO_PIXELS, progress=show)
            write_movie(portrait, scene_fps(scene), files[1], audio)
    return replace(pictures, sheet_s=sheet_s, video_s=time.perf_counter() - started - sheet_s)


def fingerprint(clip: MotionClip, audio: Path, frames: list[int], portrait: list[Path]) -> str:
    """Changes with everything that the pictures show: motion, sound, head, and how they are drawn."""
    digest = hashlib.sha256(clip.channels.tobytes() + str(frames).encode() + audio.read_bytes())
    for file in (HEAD_FILE, Path(head.__file__), Path(preview.__file__), Path(__file__), *portrait):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def portrait_order(picture: Path, out: Path, device: str) -> PortraitOrder:
    """The portrait of a take that is yet to be made; with the face points beside the picture, where there are any."""
    points = picture.with_suffix(".landmarks.json")
    return PortraitOrder(
        image=str(picture), clip=str(out / "take.npz"), folder=str(out / "portrait"), size=PORTRAIT_PIXELS,
        fps=SCENE_FPS, landmarks=str(points) if points.is_file() else "", overwrite=True, device=device,
    )  # fmt: skip


def generate(audio: Path, settings: GenerationSettings, order: PortraitOrder) -> Generated:
    """Two takes, the first with the start of the worker, the second when it is warm, and the portrait of them.

    Raises DemoError.
    """
    with Worker(Path(sys.executable)) as worker:
        first, cold_s = timed_job(GenerationJob(worker, audio, settings), "Generating (cold)")
        start_s = float((worker.hello or {}).get("seconds", 0.0))
        again, warm_s = timed_job(GenerationJob(worker, audio, settings), "Generating (warm)")
        assert first.clip is not None
        first.clip.save(Path(order.clip))
        portrait, portrait_s = timed_job(PortraitJob(worker, order), "Portrait")
    assert portrait.result is not None
    return Generated(
        clip=first.clip, portrait=portrait.result, portrait_s=portrait_s, device=again.device, start_s=start_s,
        cold_s=cold_s, warm_s=warm_s, stages=again.timings, worker_bytes=again.peak_memory_bytes, notes=first.notes,
    )  # fmt: skip


def timed_job(job: AnyJob, label: str) -> tuple[AnyJob, float]:
    """Run one job under a progress bar. Returns it with the seconds it took."""
    started = time.perf_counter()
    with progress_bar(label) as show:
        job.run(lambda current: show(current.progress))
    return job, time.perf_counter() - started


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[float], None]]:
    """A bar on the terminal, moved by fractions of the whole."""
    with tqdm(total=100, desc=label, bar_format="{desc:18}{bar:40} {n:3.0f} %  {elapsed}") as bar:

        def show(fraction: float) -> None:
            bar.update(100.0 * fraction - bar.n)

        yield show


def build_scene(clip: MotionClip, audio: Path) -> tuple[bpy.types.Scene, BakeReport]:
    """A scene with the head, its performance and its sound, ready to play."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.data.scenes[0]
    scene.render.fps, scene.render.fps_base = SCENE_FPS, 1.0
    scene.frame_start, scene.frame_end = 1, round(clip.duration_s * scene_fps(scene))
    character = find_character(head.add_head(scene).meshes[0])
    profile = detect_character(character)
    report = bake(clip, character, profile, BakeOptions(start_frame=1, take=audio.stem), scene)
    head.add_stage(scene)
    editor = scene.sequence_editor_create()
    editor.strips.new_sound(audio.stem, str(audio), channel=1, frame_start=1).sound.pack()
    scene.sync_mode = "AUDIO_SYNC"
    scene.display.render_aa = "FXAA"  # a sixth of the time of the default where there is no GPU
    scene.frame_set(1)
    return scene, report


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what Blender prints about every frame from the terminal."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def peak_memory_bytes() -> int:
    """The most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    raise SystemExit(main())
