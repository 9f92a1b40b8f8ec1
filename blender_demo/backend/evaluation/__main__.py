# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m blender_demo.backend.evaluation CLIPS --out report.json`: generate for every recording of a folder and
measure.

Measures whatever a clip has: captured motion (`<id>.motion.npz`), timed phones (`<id>.phones.json`), or sound alone.
With --portrait, measures portraits instead: against videos, and against true frames of synthetic people.
docs/evaluation.md defines the figures. The exit code is 1 where a clip had to be left out.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..errors import DemoError
from ..networks import WEIGHTS_DIR
from ..pipeline import Generator
from ..settings import GenerationSettings
from .clips import find_recordings
from .control import control_report
from .observation import FIGURES
from .peers import Peer
from .plots import plot_bars, plot_tracks
from .portrait_report import FIRST_SEED, leakage_report, synthetic_report, table, video_report
from .report import evaluate_folder, evaluate_takes, generate_takes, read_truths, write_json
from .video import find_videos


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return _evaluate(arguments)
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="blender_demo.backend.evaluation", description=__doc__)
    parser.add_argument(
        "clips", type=Path, nargs="?", help="folder of recordings, with motion and phones beside them where known"
    )
    parser.add_argument("--portrait", action="store_true", help="measure portraits: of videos, of synthetic people")
    parser.add_argument("--videos", type=Path, help="folder of videos of one face each, for --portrait")
    parser.add_argument("--landmarks", type=Path, help="folder of their landmarks; written where they have to be found")
    parser.add_argument("--captures", type=Path, help="folder of captured motion of the videos, <id>.motion.npz")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="measure only each Nth frame of the videos")
    parser.add_argument("--people", type=int, default=0, metavar="N", help="measure N synthetic people, for --portrait")
    parser.add_argument("--size", type=int, default=384, help="of the pictures of synthetic people, in pixels")
    parser.add_argument("--control", action="store_true", help="measure control instead; CLIPS may be one recording")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=FILE.json", help="mouth cues of a peer")
    parser.add_argument("--splits", type=Path, help="measure only the validation recordings, where it names the folder")
    parser.add_argument("--samples", type=int, default=1, metavar="K", help="takes of each recording")
    parser.add_argument("--limit", type=int, metavar="N", help="measure only the first N recordings")
    parser.add_argument("--weights", type=Path, default=WEIGHTS_DIR, help="folder of the weights")
    parser.add_argument("--settings", type=Path, metavar="FILE.json", help="settings that differ from the default")
    parser.add_argument("--function-evaluations", type=int, nargs="+", default=[], metavar="N", help="also at N steps")
    parser.add_argument("--threads", type=int, help="of the CPU")
    parser.add_argument("--out", type=Path, required=True, help="report.json; plots are written beside it")
    return parser


def _evaluate(arguments: argparse.Namespace) -> int:
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.portrait:
        return _portrait(arguments)
    if arguments.clips is None:
        raise DemoError("Name a folder of recordings, or --portrait.")
    settings = _settings(arguments.settings)
    if arguments.control:
        return _control(arguments, settings)
    peers = [Peer.read(name, Path(file)) for name, _, file in (peer.partition("=") for peer in arguments.peer)]
    truths, problems = read_truths(find_recordings(arguments.clips, arguments.splits)[: arguments.limit])
    generator = Generator(settings.device, arguments.weights)
    takes, failed = generate_takes(truths, generator, settings, arguments.samples)
    problems += failed
    report = evaluate_takes(takes, settings, peers) if takes else {"settings": settings.to_json(), "clips": []}
    report |= {"folder": arguments.clips.name, "skipped": [vars(problem) for problem in problems]}
    if arguments.function_evaluations:
        report["by_function_evaluations"] = {
            str(steps): evaluate_folder(truths, generator, replace(settings, steps=steps))["ours"]
            for steps in arguments.function_evaluations
        }
    write_json(arguments.out, report)
    if takes:
        print(_table(_columns(report)))
        plot_tracks(takes, peers, arguments.out.with_name(f"{arguments.out.stem}_tracks.png"))
        plot_bars(_columns(report), arguments.out.with_name(f"{arguments.out.stem}_bars.png"))
    for problem in problems:
        print(f"Left out {problem.clip}: {problem.reason}", file=sys.stderr)
    return 1 if problems else 0


def _control(arguments: argparse.Namespace, settings: GenerationSettings) -> int:
    clips = arguments.clips
    paths = [clips] if clips.is_file() else find_recordings(clips, arguments.splits)[: arguments.limit]
    report = control_report(paths, Generator(settings.device, arguments.weights), settings)
    write_json(arguments.out, report)
    print(json.dumps({name: report[name] for name in ("given", "redrawn", "gain")}, indent=2))
    return 0


def _portrait(arguments: argparse.Namespace) -> int:
    report: dict[str, Any] = {}
    if arguments.videos:
        videos = find_videos(arguments.videos)[: arguments.limit]
        landmarks = arguments.landmarks or arguments.videos
        report["videos"] = video_report(videos, arguments.captures, landmarks, arguments.every)
    if arguments.people:
        report["synthetic"] = synthetic_report(range(FIRST_SEED, FIRST_SEED + arguments.people), arguments.size)
        report["leakage"] = leakage_report(range(FIRST_SEED, FIRST_SEED + arguments.people), arguments.size)
    if not report:
        raise DemoError("Say what to measure: --videos FOLDER, --people N, or both.")
    write_json(arguments.out, report)
    for name, part in (
        ("videos, all", report.get("videos", {}).get("all")),
        ("synthetic people", report.get("synthetic")),
    ):
        if part and "mean" in part:
            print(f"{name}: {part['count']}\n{table(part)}")
    if "leakage" in report:
        print(json.dumps(report["leakage"], indent=2))
    problems = report.get("videos", {}).get("skipped", [])
    for problem in problems:
        print(f"Left out {problem['clip']}: {problem['reason']}", file=sys.stderr)
    return 1 if problems else 0


def _settings(path: Path | None) -> GenerationSettings:
    if path is None:
        return GenerationSettings()
    try:
        return GenerationSettings.from_json(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise DemoError(f"{path} holds no settings ({error}). Write them as JSON, for instance {{}}.") from error


def _columns(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    captured = {"captured": report["captured"]} if "captured" in report else {}
    steps = {f"{n} steps": figures for n, figures in report.get("by_function_evaluations", {}).items()}
    return {"ours": report["ours"], **report["peers"], **captured, **steps}


def _table(columns: dict[str, dict[str, Any]]) -> str:
    rows = [f"{'':26}" + "".join(f"{name:>12}" for name in columns)]
    for figure in FIGURES:
        values = [column.get(figure) for column in columns.values()]
        if any(value is not None for value in values):
            rows.append(f"{figure:26}" + "".join(f"{'' if v is None else f'{v:.4g}':>12}" for v in values))
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
