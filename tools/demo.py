# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job from start to end, as `make demo`: a recording becomes a talking head in build/demo.

    python -m tools.demo [--audio FILE] [--out FOLDER] [--device auto|cuda|mps|cpu] [--seed N] [--no-video]

Writes talking_head.blend, preview video, contact_sheet.png and report.json.
"""

import argparse
import json
import resource
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy
import soundfile
from tqdm import tqdm

from blender_demo.backend.errors import DemoError
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.resample import resample
from blender_demo.backend.settings import GenerationSettings
from blender_demo.backend.worker.client import GenerationJob, Worker
from blender_demo.scene.bake import BakeOptions, BakeReport, bake, scene_fps
from blender_demo.scene.character import find_character
from blender_demo.scene.detect import detect_character
from blender_demo.scene.head import add_head, add_stage

from . import preview
from .mouth_shapes import choose_frames, lip_aperture, load_phones, phone_at

ROOT = Path(__file__).resolve().parent.parent
SPEECH = ROOT / "demo" / "speech.ogg"
SCENE_FPS = 24


@dataclass
class Generated:
    """Two takes of one recording by one worker, and what they cost. Times are in seconds."""

    clip: MotionClip
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
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    settings = GenerationSettings(seed=arguments.seed, device=arguments.device)
    generated = generate(arguments.audio, settings)
    scene, baked = build_scene(generated.clip, arguments.audio)
    started = time.perf_counter()
    blend = out / "talking_head.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend), compress=True)
    saved_s = time.perf_counter() - started

    clip = resample(generated.clip, scene_fps(scene))
    phone_file = arguments.audio.with_suffix(".phones.json")
    phones = load_phones(phone_file) if phone_file.is_file() else ()
    frames = choose_frames(clip, phones)
    started = time.perf_counter()
    sheet = out / "contact_sheet.png"
    preview.contact_sheet(scene, [scene.frame_start + frame for frame in frames], sheet)
    sheet_s = time.perf_counter() - started
    started = time.perf_counter()
    video = None if arguments.no_video else preview.video(scene, arguments.audio, out / "preview.mp4")
    video_s = time.perf_counter() - started

    aperture = lip_aperture(clip)
    report = {
        "audio": {"file": arguments.audio.name, "seconds": round(soundfile.info(arguments.audio).duration, 3)},
        "seconds": {
            "worker_start": generated.start_s, "generate_cold": generated.cold_s, "generate_warm": generated.warm_s,
            **{f"warm_{stage}": seconds for stage, seconds in generated.stages.items()},
            "bake": baked.seconds, "save": saved_s, "contact_sheet": sheet_s, "video": video_s,
        },
        "curves": baked.curves,
        "keys": baked.keys,
        "frames_per_second": scene_fps(scene),
        "device": generated.device,
        "blender": bpy.app.version_string,
        "peak_memory_mib": {"blender": peak_memory_bytes() / 2**20, "worker": generated.worker_bytes / 2**20},
        "contact_sheet": [
            {"frame": f + 1, "phone": phone_at(phones, f / clip.fps), "aperture": float(aperture[f])} for f in frames
        ],
        "notes": [*generated.notes, *baked.warnings],
    }
    seconds = report["audio"]["seconds"]
    report["real_time_factor"] = {"cold": generated.cold_s / seconds, "warm": generated.warm_s / seconds}
    report = rounded(report)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print_table(report, [path for path in (blend, video, sheet, out / "report.json") if path])


def generate(audio: Path, settings: GenerationSettings) -> Generated:
    """Two takes: the first with the start of the worker, the second when it is warm. Raises DemoError."""
    with Worker(Path(sys.executable)) as worker:
        first, cold_s = timed_job(worker, audio, settings, "Generating (cold)")
        start_s = float((worker.hello or {}).get("seconds", 0.0))
        again, warm_s = timed_job(worker, audio, settings, "Generating (warm)")
    assert first.clip is not None
    return Generated(
        clip=first.clip, device=again.device, start_s=start_s, cold_s=cold_s, warm_s=warm_s, stages=again.timings,
        worker_bytes=again.peak_memory_bytes, notes=first.notes,
    )


def timed_job(worker: Worker, audio: Path, settings: GenerationSettings, label: str) -> tuple[GenerationJob, float]:
    """Run one job under a progress bar. Returns it with the seconds it took."""
    job = GenerationJob(worker, audio, settings)
    started = time.perf_counter()
    with tqdm(total=100, desc=label, unit="%", bar_format="{desc:18} {bar} {n:3.0f} % {postfix}") as bar:

        def show(current: GenerationJob) -> None:
            bar.set_postfix_str(current.stage, refresh=False)
            bar.update(100.0 * current.progress - bar.n)

        job.run(show)
    return job, time.perf_counter() - started


def build_scene(clip: MotionClip, audio: Path) -> tuple[bpy.types.Scene, BakeReport]:
    """A scene with the head, its performance and its sound, ready to play."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.data.scenes[0]
    scene.render.fps, scene.render.fps_base = SCENE_FPS, 1.0
    head = add_head(scene)
    character = find_character(head.meshes[0])
    profile = detect_character(character)
    report = bake(clip, character, profile, BakeOptions(start_frame=1, take=audio.stem), scene)
    add_stage(scene)
    editor = scene.sequence_editor_create()
    editor.strips.new_sound(audio.stem, str(audio), channel=1, frame_start=1).sound.pack()
    scene.frame_start, scene.frame_end = 1, round(clip.duration_s * scene_fps(scene))
    scene.sync_mode = "AUDIO_SYNC"
    scene.frame_set(1)
    return scene, report


def peak_memory_bytes() -> int:
    """The most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def rounded(value: Any) -> Any:
    """The same JSON value with numbers rounded for reading."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value


def print_table(report: dict[str, Any], files: list[Path]) -> None:
    """The report in short."""
    seconds, factor, memory = report["seconds"], report["real_time_factor"], report["peak_memory_mib"]
    stages = ", ".join(f"{name[5:]} {value:.2f}" for name, value in seconds.items() if name.startswith("warm_"))
    rows = (
        ("Recording", f"{report['audio']['file']}, {report['audio']['seconds']:.1f} s"),
        ("Blender, device", f"{report['blender']}, {report['device']}"),
        ("Generate, cold", f"{seconds['generate_cold']:.2f} s with worker start {seconds['worker_start']:.2f}"),
        ("Generate, warm", f"{seconds['generate_warm']:.2f} s: {stages}"),
        ("Real-time factor", f"{factor['cold']:.3f} cold, {factor['warm']:.3f} warm"),
        ("Bake", f"{seconds['bake']:.2f} s, {report['curves']} curves, {report['keys']} keys"),
        ("Video, sheet", f"{seconds['video']:.1f} s, {seconds['contact_sheet']:.1f} s"),
        ("Peak memory", f"Blender {memory['blender']:.0f} MiB, worker {memory['worker']:.0f} MiB"),
        *(("Note", note) for note in report["notes"]),
        *(("Written", str(path)) for path in files),
    )
    print()
    for name, text in rows:
        print(f"{name:18}{text}")


if __name__ == "__main__":
    raise SystemExit(main())
