# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m blender_demo.backend.evaluation CLIPS --out report.json`: generate for every recording of a folder and
measure.

Measures whatever a clip has: captured motion (`<id>.motion.npz`), timed phones (`<id>.phones.json`), or sound alone.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.interpolate import PchipInterpolator
from tqdm import tqdm

from ..motion.clip import MotionClip
from ..motion.factors import CHANNEL_INDEX, CHANNELS
from ..networks import WEIGHTS_DIR
from ..pipeline import Generator
from ..settings import FactorControl, GenerationSettings
from .measures import aperture, blinks_per_minute, closure_recall, jerk, pearson

_RECORDINGS: Final = (".flac", ".ogg", ".wav")
_LAGS: Final = range(-3, 4)
"""Frames by which captured motion is also shifted, so that a tracker's delay can be told from bad sync."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, help="folder of recordings, with motion and phones beside them where known")
    parser.add_argument("--splits", type=Path, help="splits.json: measure only the validation recordings")
    parser.add_argument("--weights", type=Path, default=WEIGHTS_DIR)
    parser.add_argument("--steps", type=int, default=GenerationSettings().steps)
    parser.add_argument("--lip-temperature", type=float, default=GenerationSettings().control("lip").temperature)
    parser.add_argument("--lip-guidance", type=float, default=GenerationSettings().control("lip").guidance)
    parser.add_argument("--style", default=GenerationSettings().style)
    parser.add_argument("--out", type=Path, required=True, help="report.json")
    arguments = parser.parse_args()

    paths = sorted(path for path in arguments.clips.iterdir() if path.suffix in _RECORDINGS)
    if arguments.splits:
        wanted = set(json.loads(arguments.splits.read_text())["val"][arguments.clips.name])
        paths = [path for path in paths if path.stem in wanted]
    factors = GenerationSettings().factors | {
        "lip": FactorControl(temperature=arguments.lip_temperature, guidance=arguments.lip_guidance)
    }
    settings = GenerationSettings(steps=arguments.steps, style=arguments.style, factors=factors)
    generator = Generator(weights=arguments.weights)
    rows = [_measure(path, generator, settings) for path in tqdm(paths, mininterval=2.0)]
    report = {"settings": settings.to_json(), "ours": _pooled(rows), "clips": [row["figures"] for row in rows]}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=2))
    for name, value in report["ours"].items():
        print(f"{name:28} {value:8.3f}")


def _measure(path: Path, generator: Generator, settings: GenerationSettings) -> dict[str, Any]:
    began = time.perf_counter()
    clip = generator.generate(path, settings, lambda stage, fraction: None).clip
    seconds = time.perf_counter() - began
    opening = aperture(clip.channels)
    row: dict[str, Any] = {
        "figures": {
            "clip": path.stem,
            "seconds": clip.duration_s,
            "real_time_factor": seconds / clip.duration_s,
            "blinks_per_minute": blinks_per_minute(clip),
            "jerk": jerk(clip.channels, clip.fps),
        }
    }
    phones = path.with_suffix(".phones.json")
    if phones.is_file():
        row["closures"] = closure_recall(opening, json.loads(phones.read_text()), clip.fps)
    motion = path.with_suffix(".motion.npz")
    if motion.is_file():
        captured = _captured(motion, clip)
        row["jaw"] = (clip["jawOpen"], captured[:, CHANNEL_INDEX["jawOpen"]])
        row["aperture"] = (opening, aperture(captured))
        row["figures"]["jaw_pearson"] = pearson(*row["jaw"])
    return row


def _captured(path: Path, clip: MotionClip) -> np.ndarray:
    """Captured motion (T, 60) at the times of a clip's frames, held at the ends; channels that were not captured are
    zero.
    """
    with np.load(path, allow_pickle=False) as stored:
        names, values, fps = stored["names"].tolist(), stored["values"], float(stored["fps"])
    times = np.clip(np.arange(len(clip)) / clip.fps, 0.0, (len(values) - 1) / fps)
    at_times = PchipInterpolator(np.arange(len(values)) / fps, values)(times)
    out = np.zeros((len(clip), len(CHANNELS)), np.float32)
    for name in set(names) & set(CHANNELS):
        out[:, CHANNEL_INDEX[name]] = at_times[:, names.index(name)]
    return out


def _pooled(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Figures over all clips: tracks are joined before they are correlated, rates are weighted by length."""
    lengths = np.array([row["figures"]["seconds"] for row in rows])
    out = {
        name: float(np.average([row["figures"][name] for row in rows], weights=lengths))
        for name in ("blinks_per_minute", "jerk", "real_time_factor")
    }
    closures = np.array([row["closures"] for row in rows if "closures" in row])
    if len(closures):
        out["closure_recall"] = float(closures[:, 0].sum() / max(1, closures[:, 1].sum()))
    for name in ("jaw", "aperture"):
        pairs = [row[name] for row in rows if name in row]
        if pairs:
            ours, truth = (np.concatenate(tracks) for tracks in zip(*pairs, strict=True))
            out[f"{name}_pearson"] = pearson(ours, truth)
            for lag in _LAGS:
                shifted = np.concatenate([np.roll(pair[1], -lag) for pair in pairs])
                out[f"{name}_pearson_lag_{lag:+d}"] = pearson(ours, shifted)
            out[f"{name}_std_ratio"] = float(ours.std() / truth.std())
    return out


if __name__ == "__main__":
    main()
