# SPDX-License-Identifier: GPL-3.0-or-later
"""Generate for a folder of recordings, and put the figures of ours, of peers and of the captured motion together."""

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..errors import DemoError
from ..motion.clip import MotionClip
from ..pipeline import Generator
from ..settings import GenerationSettings
from .clips import Truth, read_truth
from .observation import Observation, figures, observe, pool
from .peers import Peer

__all__ = ["Problem", "Take", "evaluate_folder", "evaluate_takes", "generate_takes", "read_truths", "write_json"]


@dataclass(frozen=True)
class Problem:
    """A clip that was left out, and why."""

    clip: str
    reason: str


@dataclass(frozen=True)
class Take:
    """One generated performance of a recording, and what it cost."""

    truth: Truth
    sample: int
    clip: MotionClip
    seconds: float
    evaluations: int


def _attempt(
    paths: Iterable[Any], work: Callable[[Any], Any], name: Callable[[Any], str]
) -> tuple[list, list[Problem]]:
    done, problems = [], []
    for item in paths:
        try:
            done.append(work(item))
        except DemoError as error:
            problems.append(Problem(name(item), str(error)))
    return done, problems


def read_truths(paths: Sequence[Path]) -> tuple[list[Truth], list[Problem]]:
    """What lies beside the recordings, to be used for many evaluations, and the clips that are broken."""
    return _attempt(paths, read_truth, lambda path: path.stem)


def generate_takes(
    truths: Sequence[Truth], generator: Generator, settings: GenerationSettings, samples: int = 1
) -> tuple[list[Take], list[Problem]]:
    """`samples` takes of every recording, each with a seed of its own, from that of the settings on: with one seed for
    all, short clips would share their noise, and blinks would come in all of them or in none.
    """
    first_seeds = {truth.name: settings.seed + samples * index for index, truth in enumerate(truths)}

    def generate(truth: Truth) -> list[Take]:
        takes = []
        for sample in range(samples):
            own = replace(settings, seed=first_seeds[truth.name] + sample)
            began = time.perf_counter()
            clip = generator.generate(truth.path, own, lambda stage, fraction: None).clip
            takes.append(Take(truth, sample, clip, time.perf_counter() - began, settings.steps))
        return takes

    bar = tqdm(truths, mininterval=2.0, leave=False, desc="generate")
    groups, problems = _attempt(bar, generate, lambda truth: truth.name)
    return [take for group in groups for take in group], problems


def evaluate_takes(takes: Sequence[Take], settings: GenerationSettings, peers: Sequence[Peer] = ()) -> dict[str, Any]:
    """The report: `ours`, `captured` where there is captured motion, and `peers`, pooled and clip by clip."""
    truths = list({take.truth.name: take.truth for take in takes}.values())
    seen = [observe(take.clip, take.truth, take.seconds, take.evaluations) for take in takes]
    samples = sorted({take.sample for take in takes})
    by_sample = [[one for one, take in zip(seen, takes, strict=True) if take.sample == k] for k in samples]
    by_clip = {t.name: pool(one for one, take in zip(seen, takes, strict=True) if take.truth is t) for t in truths}
    report: dict[str, Any] = {
        "settings": settings.to_json(),
        "samples": len(samples),
        "ours": figures(pool(seen)),
        "clips": _rows(by_clip),
        "peers": {peer.name: _peer_figures(peer, truths, by_clip) for peer in peers},
    }
    if len(samples) > 1:
        apart = [figures(pool(group)) for group in by_sample]
        report["ours_std_over_samples"] = {name: float(np.std([f[name] for f in apart])) for name in report["ours"]}
    captured = {t.name: observe(t.captured, t) for t in truths if t.captured is not None}
    if captured:
        report["captured"] = figures(pool(captured.values())) | {"clips": _rows(captured)}
    return report


def evaluate_folder(
    truths: Sequence[Truth],
    generator: Generator,
    settings: GenerationSettings,
    samples: int = 1,
    peers: Sequence[Peer] = (),
) -> dict[str, Any]:
    """Generate and measure, without plots: the report of `evaluate_takes`, with `skipped` clips and why."""
    takes, problems = generate_takes(truths, generator, settings, samples)
    return evaluate_takes(takes, settings, peers) | {"skipped": [vars(problem) for problem in problems]}


def write_json(path: Path, value: object) -> None:
    """Write a file atomically. Raises DemoError where that is not possible."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(value, indent=2), "utf-8")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DemoError(f"Cannot write {path}: {error.strerror}. Choose a folder you may write to.") from error


def _rows(by_clip: dict[str, Observation]) -> list[dict[str, Any]]:
    return [{"clip": name, "seconds": float(one.sums["duration"][0]), **figures(one)} for name, one in by_clip.items()]


def _peer_figures(peer: Peer, truths: list[Truth], ours: dict[str, Observation]) -> dict[str, Any]:
    seen = {}
    for truth in truths:
        if (taken := peer.take(truth.path)) is not None:
            seen[truth.name] = observe(taken[0], truth, taken[1])
    out: dict[str, Any] = figures(pool(seen.values())) if seen else {}
    out |= {"clips_measured": len(seen), "clips_missing": len(truths) - len(seen), "clips": _rows(seen)}
    if 0 < len(seen) < len(truths):
        out["ours_on_peer_clips"] = figures(pool(ours[name] for name in seen))
    return out
