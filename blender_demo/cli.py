# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: `blender --command demo ...` and `python -m blender_demo ...` alike. Blender is imported by `bake`,
`map` and `portrait --blend` only.

Results go to stdout, progress and errors to stderr; with --json everything goes to stdout, one JSON object per line.
Exit status: 0 done, 1 failed, 2 wrong usage, 3 a character whose lips cannot move, 130 interrupted. Nothing
half-written is left behind.
"""

import argparse
import ctypes
import importlib.util
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar, get_args

from . import doctor
from .backend.errors import AudioError, BakeError, ClipError, DemoError, PortraitError, WorkerError
from .backend.motion.clip import MotionClip
from .backend.motion.factors import FACTORS
from .backend.motion.formats import FORMATS, check_format, read_motion, write_motion
from .backend.portrait.controls import PortraitControls
from .backend.portrait.order import FILE_FORMATS, PortraitOrder, PortraitResult
from .backend.settings import AUTO, EMOTIONS, GRIDS, NEUTRAL, STYLES, FactorControl, GenerationSettings
from .backend.worker.client import GenerationJob, HeadJob, Job, PortraitJob, Worker, worker_site_dirs
from .scene.bake_options import BakeOptions, Interpolation, Target

__all__ = ["FAILED", "INTERRUPTED", "NOTHING_TO_DRIVE", "OK", "USAGE", "main"]

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOTHING_TO_DRIVE: Final = 3
INTERRUPTED: Final = 130

_R = TypeVar("_R")

_BAR_COLUMNS: Final = 30
_ENDINGS: Final = ", ".join(FORMATS)
_FINE_STEP: Final = 0.01
_SPARSE_STEP: Final = 0.25


def main(argv: Sequence[str]) -> int:
    """Run one sub-command. Returns the exit status and raises nothing."""
    parser = _parser()
    try:
        options = parser.parse_args(argv)
    except _UsageError as error:
        Report(as_json=False).error(str(error))
        return USAGE
    except SystemExit:  # --help
        return OK
    report = Report(options.json)
    try:
        return options.run(options, report)
    except _UsageError as error:
        report.error(str(error))
        return USAGE
    except DemoError as error:
        report.error(str(error))
        return FAILED
    except KeyboardInterrupt:
        report.error("Interrupted; nothing half-written is left.")
        return INTERRUPTED


class _UsageError(Exception):
    """What was asked for makes no sense, whatever the files hold."""


class Report:
    """Tells how it goes: JSON lines, a bar on a terminal, or a few lines in a log."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._bar = not as_json and sys.stderr.isatty()
        self._told = ("", -1.0)

    def progress(self, stage: str, fraction: float) -> None:
        """Show that a job has got so far; called often."""
        told_stage, told_fraction = self._told
        step = _FINE_STEP if self._as_json or self._bar else _SPARSE_STEP
        if stage == told_stage and fraction < told_fraction + step:
            return
        self._told = (stage, fraction)
        if self._as_json:
            self._line({"event": "progress", "stage": stage, "fraction": round(fraction, 4)})
        elif self._bar:
            filled = round(_BAR_COLUMNS * fraction)
            bar = "#" * filled + "-" * (_BAR_COLUMNS - filled)
            print(f"\r{stage:8}[{bar}] {fraction:4.0%}", end="", file=sys.stderr, flush=True)
        else:
            print(f"{stage} {fraction:.0%}", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """Tell something that the artist should know."""
        if self._as_json:
            self._line({"event": "note", "message": text})
        else:
            self._end_bar()
            print(f"Note: {text}", file=sys.stderr)

    def done(self, text: str, **values: Any) -> None:
        """Tell the outcome."""
        if self._as_json:
            self._line({"event": "done", **values})
        else:
            self._end_bar()
            print(text)

    def error(self, text: str) -> None:
        """Tell what went wrong."""
        if self._as_json:
            self._line({"event": "error", "message": text})
        else:
            self._end_bar()
            print(f"Error: {text}", file=sys.stderr)

    def _end_bar(self) -> None:
        if self._bar and self._told[0]:
            print(file=sys.stderr)
            self._told = ("", -1.0)

    def _line(self, values: dict[str, Any]) -> None:
        print(json.dumps(values), flush=True)


def _generate(options: argparse.Namespace, report: Report) -> int:
    settings = _settings(options)
    python = _worker_python(options.python)
    with Worker(python, worker_site_dirs(python)) as worker:
        _make_clip(options, settings, worker, report)
    return OK


def _run(options: argparse.Namespace, report: Report) -> int:
    shots = _shots(options.job)
    python = _worker_python(options.python)
    skipped, failed = 0, 0
    with Worker(python, worker_site_dirs(python)) as worker:
        for number, (shot, settings) in enumerate(shots, 1):
            if shot.out.is_file() and not options.overwrite:
                skipped += 1
                report.note(f"Shot {number}: {shot.out} exists already and is kept; --overwrite makes it again.")
                continue
            try:
                _make_clip(shot, settings, worker, report)
            except DemoError as error:
                failed += 1
                report.error(f"Shot {number}: {error}")
    made = len(shots) - skipped - failed
    report.done(
        f"{made} shots made, {skipped} there already, {failed} failed.", made=made, skipped=skipped, failed=failed
    )
    return FAILED if failed else OK


def _shots(path: Path) -> list[tuple[argparse.Namespace, GenerationSettings]]:
    """What a job file asks for. Raises _UsageError before any work is done, whichever shot is wrong."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        lines = [_command_line(shot) for shot in stored["shots"]]
    except (OSError, ValueError) as error:
        raise _UsageError(f"The job file {path} cannot be read: {error}.") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise _UsageError(f'{path} is no job file. Write {{"shots": [{{"audio": ..., "out": ...}}, ...]}}.') from error
    parser, shots = _Parser("demo generate", add_help=False, allow_abbrev=False), []
    _add_shot_arguments(parser)
    for number, line in enumerate(lines, 1):
        try:
            shot = parser.parse_args(line)
            shots.append((shot, _settings(shot)))
        except _UsageError as error:
            raise _UsageError(f"Shot {number} of {path}: {error}") from error
    return shots


def _command_line(shot: dict[str, Any]) -> list[str]:
    """A shot as it is written after `generate`: a table repeats its option, as "given": {"pose": "take.npz"} does."""
    line = []
    for name, value in shot.items():
        if name != "audio":
            texts = [f"{key}={entry}" for key, entry in value.items()] if isinstance(value, dict) else [value]
            line += [f"--{name}={text}" for text in texts]
    return [*line, "--", str(shot["audio"])]


def _make_clip(options: argparse.Namespace, settings: GenerationSettings, worker: Worker, report: Report) -> None:
    """Make the clip of one shot. Raises DemoError before the work where a file is not what it should be."""
    _check_folder(options.out)
    _check_sound(options.audio)
    job = GenerationJob(worker, options.audio, settings, options.start, options.duration)
    clip = _run_job(job, report)
    clip.save(options.out)
    report.done(
        f"Wrote {options.out}: {clip.duration_s:.2f} s at {clip.fps:g} frames per second, generated on {job.device} "
        f"in {sum(job.timings.values()):.2f} s.",
        clip=str(options.out),
        frames=len(clip),
        fps=clip.fps,
        device=job.device,
        timings=job.timings,
        peak_memory_bytes=job.peak_memory_bytes,
        settings=settings.to_json(),
    )


def _run_job(job: Job[_R], report: Report) -> _R:
    result = job.run(lambda job: report.progress(job.stage, job.progress))
    for note in job.notes:
        report.note(note)
    return result


def _portrait(options: argparse.Namespace, report: Report) -> int:
    _check_rate(options.fps)
    if options.as_head:
        return _head(options, report)
    if options.out is None:
        raise _UsageError("Name the folder of the frames with --out, or ask for --as-head in a --blend.")
    if options.clip is None and options.audio is None:
        raise _UsageError("Say what the face does: name a recording with --audio, or a clip with --clip.")
    _check_portrait_files(options, report)
    if options.movie is not None:
        _check_movie(options)
    rate = _rate_of_portrait(options)
    python = _worker_python(options.python)
    with tempfile.TemporaryDirectory() as folder, Worker(python, worker_site_dirs(python)) as worker:
        clip = options.clip or Path(folder) / "take.npz"
        order = _portrait_order(options, clip, rate)
        voice = None
        if options.clip is None:
            voice = GenerationJob(worker, options.audio, GenerationSettings(device=options.device))
        job = PortraitJob(worker, order, voice)
        result = _run_job(job, report)
    plane = _show_portrait(options, result)
    if options.movie is not None:
        _write_movie(options, result)
    report.done(
        f"Wrote {result.count - result.kept} of {result.count} frames of {result.width} x {result.height} pixels at "
        f"{result.fps:g} frames per second into {options.out}, on {job.device} in {sum(job.timings.values()):.2f} s."
        + (f" {options.blend} shows them on '{plane}'." if plane else "")
        + (f" {options.movie} plays them." if options.movie else ""),
        held=result.held,
        frames=result.count,
        kept=result.kept,
        width=result.width,
        height=result.height,
        fps=result.fps,
        device=job.device,
        timings=job.timings,
        peak_memory_bytes=job.peak_memory_bytes,
        blend=str(options.blend) if options.blend else None,
        object=plane or None,
        movie=str(options.movie) if options.movie else None,
    )
    return OK


def _check_portrait_files(options: argparse.Namespace, report: Report) -> None:
    """Refuse before the work, not after it."""
    for what, path in (("picture", options.image), ("file of landmarks", options.landmarks)):
        if path is not None and not path.is_file():
            raise PortraitError(f"The {what} {path} does not exist. Check its path.")
    if options.audio is not None:
        _check_sound(options.audio)
    if options.clip is not None:
        _read_clip(options.clip, report)


def _head(options: argparse.Namespace, report: Report) -> int:
    """The portrait as a mesh, which performs what was asked for, if anything was."""
    if options.blend is None or options.out or options.movie:
        raise _UsageError("--as-head builds a mesh in a --blend; it has neither --out nor --movie.")
    controls = _checked_controls(options)
    gains = {factor.name: getattr(controls, factor.name) for factor in FACTORS}
    if controls != PortraitControls(**gains):
        raise _UsageError("--gaze, --head and --blink are of frames. Turn and key the head itself, in its file.")
    _check_portrait_files(options, report)
    _check_blend(options)
    python = _worker_python(options.python)
    clip: MotionClip | None = None
    with Worker(python, worker_site_dirs(python)) as worker:
        if options.clip is not None:
            clip = _read_clip(options.clip, report)
        elif options.audio is not None:
            clip = _run_job(GenerationJob(worker, options.audio, GenerationSettings(device=options.device)), report)
        job = HeadJob(worker, options.image, options.landmarks)
        person = _run_job(job, report)
    usual = BakeOptions()
    factors = {name: replace(factor, gain=gains[name]) for name, factor in usual.factors.items()}
    how = replace(usual, start_frame=options.start_frame, take=options.image.stem, factors=factors)
    with _stdout_as_stderr():
        from .head_file import put_head_into_file

        face, baked = put_head_into_file(options.blend, person, options.image.stem, options.fps, clip, how)
    for text in (*baked.warnings, *baked.notes) if baked else ():
        report.note(text)
    report.done(
        f"Wrote {options.blend}: the head '{face}'"
        + (f", which performs frames {baked.first_frame:g} to {baked.last_frame:g}." if baked else "."),
        blend=str(options.blend),
        object=face,
        curves=baked.curves if baked else 0,
        keys=baked.keys if baked else 0,
        timings=job.timings,
        peak_memory_bytes=job.peak_memory_bytes,
    )
    return OK


def _portrait_order(options: argparse.Namespace, clip: Path, fps: float) -> PortraitOrder:
    """Raises _UsageError for what makes no sense."""
    try:
        return PortraitOrder(
            image=str(options.image),
            clip=str(clip),
            folder=str(options.out),
            size=options.size,
            fps=fps,
            landmarks=str(options.landmarks or ""),
            file_format=options.format,
            alpha=options.alpha,
            overwrite=options.overwrite,
            controls=_checked_controls(options),
            refine=options.refine,
            device=options.device,
        )
    except PortraitError as error:
        raise _UsageError(str(error)) from error


def _checked_controls(options: argparse.Namespace) -> PortraitControls:
    """Raises _UsageError for what is out of range."""
    yaw, pitch = map(math.radians, options.gaze)
    turn = tuple(map(math.radians, options.head))
    gains = {factor.name: getattr(options, factor.name) for factor in FACTORS}
    try:
        return PortraitControls(**gains, gaze_offset=(yaw, pitch), head_offset=turn, blinks=tuple(options.blink))
    except PortraitError as error:
        raise _UsageError(str(error)) from error


def _rate_of_portrait(options: argparse.Namespace) -> float:
    """The rate that was asked for, else that of the scene, else the usual one. Refuses a scene before the work."""
    if options.blend is None:
        return options.fps or PortraitOrder.fps
    _check_blend(options)
    if options.fps or not options.blend.exists():
        return options.fps or PortraitOrder.fps
    with _stdout_as_stderr():
        from .portrait_file import rate_of_file

        return rate_of_file(options.blend)


def _check_blend(options: argparse.Namespace) -> None:
    """Refuse before the work, not after it."""
    if options.out is None or options.blend.absolute().parent != options.out.absolute():  # that is made with the frames
        _check_folder(options.blend)
    if options.blend.exists() and not options.overwrite:
        raise DemoError(f"{options.blend} exists already. Choose another --blend, or allow --overwrite to add to it.")
    _check_blender("--blend")


def _check_blender(option: str) -> None:
    if importlib.util.find_spec("bpy") is None:
        raise DemoError(
            f"{option} needs Blender, and this Python has none. Run it as: blender --command demo portrait ..."
        )


def _check_movie(options: argparse.Namespace) -> None:
    """Refuse before the work, not after it."""
    _check_blender("--movie")
    if options.movie.absolute().parent != options.out.absolute():  # that one is made with the frames
        _check_folder(options.movie)
    if options.movie.exists() and not options.overwrite:
        raise DemoError(f"{options.movie} exists already. Choose another --movie, or allow --overwrite.")
    with _stdout_as_stderr():
        from .scene.movie import check_movie

        check_movie(options.movie)


def _write_movie(options: argparse.Namespace, result: PortraitResult) -> None:
    with _stdout_as_stderr():
        from .scene.movie import write_movie
        from .scene.portrait import ImageSequence

        sequence = ImageSequence(Path(result.held), result.count, options.start_frame)
        write_movie(sequence, result.fps, options.movie, options.audio, alpha=options.alpha)


def _show_portrait(options: argparse.Namespace, result: PortraitResult) -> str:
    """Put the frames into the scene, if one was named; the name of the plane."""
    if options.blend is None:
        return ""
    with _stdout_as_stderr():
        from .portrait_file import put_into_file
        from .scene.portrait import ImageSequence

        sequence = ImageSequence(Path(result.held), result.count, options.start_frame)
        return put_into_file(options.blend, sequence, result.fps, options.alpha)


def _bake(options: argparse.Namespace, report: Report) -> int:
    _check_rate(options.fps)
    if options.blend is None and not options.head:
        raise _UsageError("Name a scene with --blend, or ask for the add-on's own head with --head.")
    if options.out is None and not options.dry_run:
        raise _UsageError("Name the file to write with --out, or look first with --dry-run.")
    how = _bake_options(options)
    clip = _read_clip(options.clip, report)
    if options.blend is not None and not options.blend.is_file():
        raise DemoError(f"The Blender file {options.blend} does not exist.")
    if not options.dry_run:
        _check_folder(options.out)
        if options.out.exists() and not options.overwrite:
            raise DemoError(f"{options.out} exists already. Choose another --out, or allow --overwrite.")
    if importlib.util.find_spec("bpy") is None:
        raise DemoError("Baking needs Blender, and this Python has none. Run it as: blender --command demo bake ...")
    with _stdout_as_stderr():
        from . import bake_file

    order = bake_file.BakeOrder(options.blend, options.object, options.head, options.fps, how, options.profile)
    if options.dry_run:
        with _stdout_as_stderr():
            found = bake_file.preflight_of_file(clip, order)
        report.done(
            "\n".join(f"{finding.severity}: {finding.text}" for finding in found),
            findings=[
                {"kind": f.kind, "target": f.target, "severity": f.severity, "text": f.text,
                 "remedy": f.remedy.label if f.remedy else None}
                for f in found
            ],
        )  # fmt: skip
        return OK
    with _stdout_as_stderr():
        baked = bake_file.bake_into_file(clip, order, options.out)
    for text in (*baked.warnings, *baked.notes):
        report.note(text)
    where = f"on the tracks {', '.join(baked.tracks)}" if how.target == "NLA" else f"in the Action {baked.action}"
    report.done(
        f"Wrote {options.out}: {baked.curves} curves with {baked.keys} keys, frames {baked.first_frame:g} to "
        f"{baked.last_frame:g}, {where}.",
        blend=str(options.out),
        curves=baked.curves,
        keys=baked.keys,
        action=baked.action,
        tracks=list(baked.tracks),
        first_frame=baked.first_frame,
        last_frame=baked.last_frame,
    )
    return OK


def _convert(options: argparse.Namespace, report: Report) -> int:
    _check_rate(options.fps)
    try:
        for path in (options.source, options.out):
            check_format(path)
    except ClipError as error:
        raise _UsageError(str(error)) from error
    _check_folder(options.out)
    if options.out.exists() and not options.overwrite:
        raise DemoError(f"{options.out} exists already. Choose another file, or allow --overwrite.")
    clip = _read_clip(options.source, report)
    fps = options.fps or clip.fps
    for text in write_motion(clip, options.out, fps):
        report.note(text)
    text = f"Wrote {options.out}: {clip.duration_s:.2f} s at {fps:g} frames per second."
    report.done(text, clip=str(options.out), duration_s=clip.duration_s, fps=fps)
    return OK


def _map(options: argparse.Namespace, report: Report) -> int:
    if importlib.util.find_spec("bpy") is None:
        raise DemoError("Mapping needs Blender, and this Python has none. Run it as: blender --command demo map ...")
    with _stdout_as_stderr():
        from . import map_file
        from .scene import mapping_table

        mapped = map_file.map_file(options.file, options.object)
    for one in mapped:
        if one.refusal:
            report.error(one.refusal)
        if one.profile is None:
            continue
        summary = one.profile.summary() + ("" if one.profile.moves_lips else "; nothing moves the lips")
        table = mapping_table.as_text(one.profile)
        report.done(f"{one.name}: {summary}.\n{table}", character=one.name, **mapping_table.as_json(one.profile))
    return OK if any(one.speaks for one in mapped) else NOTHING_TO_DRIVE


def _bake_options(options: argparse.Namespace) -> BakeOptions:
    """Raises _UsageError for what makes no sense."""
    kinds = {"include": _yes_or_no, "gain": float, "offset_ms": float, "smoothing_ms": float, "blend": str.upper}
    try:
        return BakeOptions(
            factors=_assigned(options.factor, dict(BakeOptions().factors), kinds),
            clip_path=str(options.clip.absolute()),
            **{name: getattr(options, name) for name in _BAKE_ARGUMENTS},
        )
    except BakeError as error:
        raise _UsageError(str(error)) from error


def _yes_or_no(text: str) -> bool:
    """Raises ValueError for anything else."""
    return ("no", "yes").index(text.lower()) == 1


def _doctor(options: argparse.Namespace, report: Report) -> int:
    try:
        python = _worker_python(options.python)
    except WorkerError:
        python = Path(sys.executable)
    with _stdout_as_stderr():
        findings = doctor.examine(python)
    print(json.dumps(doctor.as_json(findings), indent=1) if options.json else doctor.as_text(findings))
    return FAILED if any(finding.needed and not finding.ok for finding in findings) else OK


def _settings(options: argparse.Namespace) -> GenerationSettings:
    """Raises _UsageError for whatever is wrong in the words themselves."""
    if options.out.suffix != ".npz":
        raise _UsageError(f"--out must name a file that ends in .npz, not {options.out.name}.")
    try:
        return GenerationSettings(
            seed=options.seed,
            steps=options.steps,
            device=options.device,
            style=options.style,
            emotion=options.emotion,
            intensity=options.intensity,
            grid=options.grid,
            prefix=options.prefix,
            suffix=options.suffix,
            factors=_factors(options.factor, options.given),
        )
    except DemoError as error:
        raise _UsageError(str(error)) from error


def _factors(assignments: Sequence[str], given: Sequence[str]) -> dict[str, FactorControl]:
    """Controls from texts like "lip.gain=1.2", and like "pose=take.npz" for given tracks."""
    kinds = {f.name: int if f.name == "seed_offset" else float for f in fields(FactorControl) if f.name != "given"}
    controls = _assigned(assignments, {factor.name: FactorControl() for factor in FACTORS}, kinds)
    for text in given:
        name, _, take = text.partition("=")
        if name not in controls or not take:
            raise _UsageError(
                f"--given {text} is not understood. Write FACTOR=CLIP.npz, such as pose=take.npz; "
                f"the factors are {', '.join(controls)}."
            )
        controls[name] = replace(controls[name], given=take)
    return controls


def _assigned(
    assignments: Sequence[str], controls: dict[str, Any], kinds: Mapping[str, Callable[[str], Any]]
) -> dict[str, Any]:
    """Settings of the factors, dataclasses by name, changed by texts like "lip.gain=1.2". Raises _UsageError.

    kinds: what each of their fields is made from its text by.
    """
    for text in assignments:
        name, _, rest = text.partition(".")
        key, equals, value = rest.partition("=")
        if name not in controls or key not in kinds or not equals:
            raise _UsageError(
                f"--factor {text} is not understood. Write FACTOR.SETTING=VALUE, such as lip.gain=1.2; "
                f"the factors are {', '.join(controls)}, the settings {', '.join(kinds)}."
            )
        try:
            controls[name] = replace(controls[name], **{key: kinds[key](value)})
        except ValueError as error:
            kind = "is neither yes nor no" if kinds[key] is _yes_or_no else "is not a number that fits"
            raise _UsageError(f"--factor {text}: {value} {kind}.") from error
    return controls


def _worker_python(chosen: Path | None) -> Path:
    """The Python named on the command line, else the one of the add-on's preferences, else this one."""
    if chosen is not None:
        return chosen
    if "bpy" in sys.modules:
        import bpy

        from .preferences import preferences, worker_python

        return worker_python(preferences(bpy.context))
    if importlib.util.find_spec("torch") is None:
        raise WorkerError(f"The Python {sys.executable} has no PyTorch. Name one that has it with --python.")
    return Path(sys.executable)


def _read_clip(path: Path, report: Report) -> MotionClip:
    """The motion in a file of any format; tells what was odd about it."""
    clip = read_motion(path)
    for text in clip.settings.get("notes", ()):
        report.note(text)
    return clip


def _check_rate(fps: float | None) -> None:
    if fps is not None and not 1.0 <= fps <= 1000.0:
        raise _UsageError(f"--fps must be between 1 and 1000, not {fps:g}.")


def _check_sound(path: Path) -> None:
    if not path.exists():
        raise AudioError(f"The sound file {path} does not exist. Check its path, or find the file again.")


def _check_folder(path: Path) -> None:
    """Refuse before the work, not after it."""
    if path.is_dir():
        raise ClipError(f"{path} is a folder. Name a file in it.")
    if not path.absolute().parent.is_dir():
        raise ClipError(f"The folder {path.absolute().parent} does not exist. Make it first.")


@contextmanager
def _stdout_as_stderr() -> Iterator[None]:
    """Blender prints what it does to stdout, from Python and from C; here stdout is for results."""
    c_library = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        c_library.fflush(None)
        os.dup2(kept, 1)
        os.close(kept)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{message}. See {self.prog} --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("demo", description="Turn speech into a facial performance.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        added.add_argument("--json", action="store_true", help="report in JSON")
        return added

    generate = command("generate", _generate, "make a motion clip from a sound file")
    _add_shot_arguments(generate)
    generate.add_argument("--python", type=Path, help="a Python with PyTorch to generate with")

    run = command("run", _run, "make the motion clips of a job file, one after the other")
    run.add_argument("job", type=Path, metavar="JOB.json", help="shots with the options of generate by their names")
    run.add_argument("--overwrite", action="store_true", help="make clips again that exist already")
    run.add_argument("--python", type=Path, help="a Python with PyTorch to generate with")

    bake = command("bake", _bake, "put a motion clip onto a character in a Blender file")
    bake.add_argument("clip", type=Path, metavar="CLIP", help=f"what generate wrote, or any of {_ENDINGS}")
    bake.add_argument("--blend", type=Path, metavar="FILE", help="the scene; an empty one if left out with --head")
    character = bake.add_mutually_exclusive_group()
    character.add_argument("--object", metavar="NAME", help="an object of the character, if there is more than one")
    character.add_argument("--head", action="store_true", help="add the head that comes with the add-on")
    bake.add_argument("--out", type=Path, metavar="FILE", help="the Blender file to write")
    bake.add_argument("--dry-run", action="store_true", help="say what would be done and what is in the way")
    bake.add_argument(
        "--profile", type=Path, metavar="FILE.json", help="a saved mapping, in place of the one that the scene keeps"
    )
    bake.add_argument("--overwrite", action="store_true", help="replace --out if it exists; it may be --blend itself")
    bake.add_argument("--fps", type=float, help="set the frame rate of the scene")
    _add_bake_arguments(bake)

    portrait = command("portrait", _portrait, "render a still picture that speaks, as numbered frames")
    _add_portrait_arguments(portrait)

    convert = command("convert", _convert, "write motion in another format, for Unreal, Unity and other programs")
    convert.add_argument("source", type=Path, metavar="IN", help=f"the motion: {_ENDINGS}")
    convert.add_argument("out", type=Path, metavar="OUT", help="the file to write; its ending says in which format")
    convert.add_argument("--fps", type=float, help="frames per second of OUT; those of IN if left out")
    convert.add_argument("--overwrite", action="store_true", help="replace OUT if it exists; it may be IN itself")

    look = command("map", _map, "show which channels reach the characters of a file, and how they were found")
    look.add_argument("file", type=Path, metavar="FILE", help=".blend, .fbx, .glb, .gltf or .vrm")
    look.add_argument("--object", metavar="NAME", help="any object of the one character to look at")

    examine = command("doctor", _doctor, "look whether everything is here that is needed")
    examine.add_argument("--python", type=Path, help="a Python with PyTorch to look at")
    return parser


_BAKE_ARGUMENTS: Final = (
    "start_frame", "take", "target", "first", "last", "step", "tolerance", "interpolation", "ease_s",
)  # fmt: skip
"""The fields of BakeOptions that are an option each."""


def _add_bake_arguments(parser: argparse.ArgumentParser) -> None:
    """How a clip is baked; the options have the names of the fields of BakeOptions."""
    usual = BakeOptions()
    add = parser.add_argument
    add("--start-frame", type=float, default=usual.start_frame, metavar="FRAME", help="where the clip begins")
    add("--take", default=usual.take, metavar="NAME", help="a take of that name is replaced")
    add("--target", type=str.upper, default=usual.target, choices=get_args(Target), help="tracks of the NLA, a new "
        "Action that becomes the active one, or into the active Action in the frames of the take")  # fmt: skip
    add("--first", type=float, metavar="FRAME", help="first scene frame that is baked")
    add("--last", type=float, metavar="FRAME", help="last scene frame that is baked")
    add("--step", type=int, default=usual.step, metavar="FRAMES", help="a key on every so many frames; 0 puts keys "
        "where the tolerance needs them")  # fmt: skip
    add("--tolerance", type=float, default=usual.tolerance, help="how far curves may leave the clip to save keys")
    add("--interpolation", type=str.upper, default=usual.interpolation, choices=get_args(Interpolation),
        help="how keys are joined; constant holds each, for stepped work")  # fmt: skip
    add("--ease-s", type=float, default=usual.ease_s, metavar="SECONDS", help="how long the face leaves its rest")
    add("--factor", action="append", default=[], metavar="FACTOR.SETTING=VALUE",
        help="such as lip.gain=1.2, eyes.offset_ms=-40, lip.smoothing_ms=60, pose.blend=replace or "
        "expression.include=no; repeatable")  # fmt: skip


_GAIN_HELP: Final = {
    "lip": "how far the lips move; 1 is as in the clip",
    "pose": "the same of the head",
    "eyes": "the same of gaze and lids",
    "expression": "the same of brows, cheeks and nose",
}


def _add_portrait_arguments(parser: argparse.ArgumentParser) -> None:
    usual, add = PortraitOrder, parser.add_argument
    add("--image", type=Path, required=True, metavar="PICTURE", help="one face, seen from the front: PNG, JPEG, ...")
    add("--audio", type=Path, metavar="AUDIO", help="what is said: WAV, FLAC, OGG, MP3 or AIFF")
    add("--clip", type=Path, metavar="CLIP", help=f"how it moves, in place of a new take of --audio, which the movie "
        f"plays then: what generate wrote, or {_ENDINGS}")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="the folder of the frames, portrait_0000.png and on")
    add("--as-head", action="store_true", help="instead of frames, build the head in 3D, with texture, shape keys and "
        "rig, in --blend, and bake onto it what it does, if that is said")  # fmt: skip
    add("--size", type=int, default=usual.size, metavar="PIXELS", help="of the longer side")
    add("--fps", type=float, help=f"frames per second; those of --blend, or {usual.fps:g}, if left out")
    add("--landmarks", type=Path, metavar="FILE.json", help="points of the face, where they are not to be found")
    add("--format", default=usual.file_format, help=f"of the files: {', '.join(FILE_FORMATS)}")
    add("--alpha", action="store_true", help="leave the background transparent")
    for factor in FACTORS:
        add(f"--{factor.name}", type=float, default=1.0, metavar="GAIN", help=_GAIN_HELP[factor.name])
    add("--gaze", type=float, nargs=2, default=(0.0, 0.0), metavar=("YAW", "PITCH"), help="degrees by which the eyes "
        "turn further, to the face's right and down")  # fmt: skip
    add("--head", type=float, nargs=3, default=(0.0, 0.0, 0.0), metavar=("YAW", "PITCH", "ROLL"), help="degrees by "
        "which the head turns further, to the face's right and down, and tips to its right shoulder")  # fmt: skip
    add(
        "--blink", type=float, nargs="+", default=(), metavar="SECONDS", help="when the lids shut, from the first frame"
    )
    add("--no-refine", dest="refine", action="store_false", help="do without the network that repairs mouth and lids")
    add("--overwrite", action="store_true", help="replace frames of another portrait in DIR, and add to --blend")
    add("--blend", type=Path, metavar="FILE", help="show the frames in this Blender file, on a plane; made if need be")
    add("--start-frame", type=int, default=1, metavar="FRAME", help="frame of the scene that shows the first")
    add("--movie", type=Path, metavar="FILE", help="write them as .mp4 too, or as .webm, with the sound of --audio")
    add("--device", default=AUTO, help="auto, cuda, mps or cpu")
    add("--python", type=Path, help="a Python with PyTorch to render with")


def _add_shot_arguments(parser: argparse.ArgumentParser) -> None:
    """What says how one clip is made, on the command line and in job files alike."""
    parser.add_argument("audio", type=Path, metavar="AUDIO", help="WAV, FLAC, OGG, MP3 or AIFF")
    parser.add_argument("--out", type=Path, required=True, metavar="CLIP.npz", help="the clip to write")
    parser.add_argument("--seed", type=int, default=0, help="the take")
    parser.add_argument("--steps", type=int, default=GenerationSettings.steps, help="quality against speed")
    parser.add_argument("--device", default=AUTO, help="auto, cuda, mps or cpu")
    parser.add_argument(
        "--style", default=GenerationSettings.style, help=f"whose lips to take after: {', '.join((AUTO, *STYLES))}"
    )
    parser.add_argument(
        "--emotion", default=GenerationSettings.emotion, help=f"what to show: {', '.join((AUTO, NEUTRAL, *EMOTIONS))}"
    )
    parser.add_argument(
        "--intensity", type=float, default=GenerationSettings.intensity, help="how much of the emotion, 0 to 1"
    )
    parser.add_argument(
        "--given",
        action="append",
        default=[],
        metavar="FACTOR=CLIP",
        help="keep the track of this factor and fit the others to it; repeatable",
    )
    parser.add_argument("--prefix", default="", metavar="CLIP", help="go on from the end of this clip")
    parser.add_argument("--suffix", default="", metavar="CLIP", help="lead into the start of this clip")
    parser.add_argument(
        "--grid", default=GenerationSettings.grid, help=f"how the steps lie, for experts: {', '.join(GRIDS)}"
    )
    parser.add_argument("--start", type=float, default=0.0, metavar="SECONDS", help="begin here in the sound")
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="use so much of it")
    parser.add_argument(
        "--factor", action="append", default=[], metavar="FACTOR.SETTING=VALUE", help="such as lip.gain=1.2; repeatable"
    )
