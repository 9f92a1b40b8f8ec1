# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: `blender --command demo ...` and `python -m blender_demo ...` alike. Blender is imported by `bake`
only.

Results go to stdout, progress and errors to stderr; with --json everything goes to stdout, one JSON object per line.
Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted. Nothing half-written is left behind.
"""

import argparse
import ctypes
import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final, NoReturn

from . import doctor
from .backend.errors import AudioError, ClipError, DemoError, WorkerError
from .backend.motion.clip import MotionClip
from .backend.motion.factors import FACTORS
from .backend.settings import AUTO, EMOTIONS, GRIDS, NEUTRAL, STYLES, FactorControl, GenerationSettings
from .backend.worker.client import GenerationJob, Worker, worker_site_dirs

__all__ = ["FAILED", "INTERRUPTED", "OK", "USAGE", "main"]

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

_BAR_COLUMNS: Final = 30
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
    if not options.audio.exists():
        raise AudioError(f"The sound file {options.audio} does not exist. Check its path, or find the file again.")
    job = GenerationJob(worker, options.audio, settings, options.start, options.duration)
    clip = job.run(lambda job: report.progress(job.stage, job.progress))
    clip.save(options.out)
    for note in job.notes:
        report.note(note)
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


def _bake(options: argparse.Namespace, report: Report) -> int:
    if options.fps is not None and not 1.0 <= options.fps <= 1000.0:
        raise _UsageError(f"--fps must be between 1 and 1000, not {options.fps:g}.")
    if options.blend is None and not options.head:
        raise _UsageError("Name a scene with --blend, or ask for the add-on's own head with --head.")
    clip = MotionClip.load(options.clip)
    _check_folder(options.out)
    if options.blend is not None and not options.blend.is_file():
        raise DemoError(f"The Blender file {options.blend} does not exist.")
    if options.out.exists() and not options.overwrite:
        raise DemoError(f"{options.out} exists already. Choose another --out, or allow --overwrite.")
    if importlib.util.find_spec("bpy") is None:
        raise DemoError("Baking needs Blender, and this Python has none. Run it as: blender --command demo bake ...")
    with _stdout_as_stderr():
        from . import bake_file

    order = bake_file.BakeOrder(
        blend=options.blend, out=options.out, object_name=options.object, add_own_head=options.head, fps=options.fps,
        start_frame=options.start_frame, take=options.take, profile=options.profile,
    )  # fmt: skip
    with _stdout_as_stderr():
        baked = bake_file.bake_into_file(clip, order)
    for text in (*baked.warnings, *baked.notes):
        report.note(text)
    report.done(
        f"Wrote {options.out}: {baked.curves} curves with {baked.keys} keys, frames {baked.first_frame:g} to "
        f"{baked.last_frame:g}, on the tracks {', '.join(baked.tracks)}.",
        blend=str(options.out),
        curves=baked.curves,
        keys=baked.keys,
        action=baked.action,
        tracks=list(baked.tracks),
        first_frame=baked.first_frame,
        last_frame=baked.last_frame,
    )
    return OK


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
    controls = {factor.name: FactorControl() for factor in FACTORS}
    kinds = {f.name: int if f.name == "seed_offset" else float for f in fields(FactorControl) if f.name != "given"}
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
            raise _UsageError(f"--factor {text}: {value} is not a number that fits.") from error
    for text in given:
        name, _, take = text.partition("=")
        if name not in controls or not take:
            raise _UsageError(
                f"--given {text} is not understood. Write FACTOR=CLIP.npz, such as pose=take.npz; "
                f"the factors are {', '.join(controls)}."
            )
        controls[name] = replace(controls[name], given=take)
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
    bake.add_argument("clip", type=Path, metavar="CLIP", help="what generate wrote")
    bake.add_argument("--blend", type=Path, metavar="FILE", help="the scene; an empty one if left out with --head")
    character = bake.add_mutually_exclusive_group()
    character.add_argument("--object", metavar="NAME", help="an object of the character, if there is more than one")
    character.add_argument("--head", action="store_true", help="add the head that comes with the add-on")
    bake.add_argument(
        "--profile", type=Path, metavar="FILE.json", help="a saved mapping, in place of the one that the scene keeps"
    )
    bake.add_argument("--out", type=Path, required=True, metavar="FILE", help="the Blender file to write")
    bake.add_argument("--overwrite", action="store_true", help="replace --out if it exists; it may be --blend itself")
    bake.add_argument("--fps", type=float, help="set the frame rate of the scene")
    bake.add_argument("--start-frame", type=float, default=1.0, metavar="FRAME", help="where the clip begins")
    bake.add_argument("--take", default="take", metavar="NAME", help="a take of that name is replaced")

    examine = command("doctor", _doctor, "look whether everything is here that is needed")
    examine.add_argument("--python", type=Path, help="a Python with PyTorch to look at")
    return parser


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
        metavar="FACTOR=CLIP.npz",
        help="keep the track of this factor and fit the others to it; repeatable",
    )
    parser.add_argument("--prefix", default="", metavar="CLIP.npz", help="go on from the end of this clip")
    parser.add_argument("--suffix", default="", metavar="CLIP.npz", help="lead into the start of this clip")
    parser.add_argument(
        "--grid", default=GenerationSettings.grid, help=f"how the steps lie, for experts: {', '.join(GRIDS)}"
    )
    parser.add_argument("--start", type=float, default=0.0, metavar="SECONDS", help="begin here in the sound")
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="use so much of it")
    parser.add_argument(
        "--factor", action="append", default=[], metavar="FACTOR.SETTING=VALUE", help="such as lip.gain=1.2; repeatable"
    )
