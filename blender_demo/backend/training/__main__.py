# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m blender_demo.backend.training DATA --work DIR --out DIR`: all stages, from recordings to
`demo.safetensors`.
"""

import argparse
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from ..networks import WEIGHTS_DIR, Networks
from .captured import captured_lips
from .coarticulation import fit_teacher
from .corpus import load_corpus
from .encoder import EncoderRecipe, evaluate_encoder, train_encoder
from .fcme import FcmeRecipe, evaluate_fcme, train_fcme
from .flow import FlowRecipe, hear, heard_latents, latent_statistics, train_flow
from .loop import TrainingLoop, first_process_first, join_processes
from .targets import draw_performances, silent_performances

_CORPORA = ("grid_s1", "facegood", "speechocean_train", "ljspeech")
_VOICES = "voices"
_DRAWS = 3
_Recipe = TypeVar("_Recipe", EncoderRecipe, FcmeRecipe, FlowRecipe)
_TEACHER_STEPS = 500
_SILENT_CLIPS = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with clips/ and splits.json")
    parser.add_argument(
        "--work", type=Path, default=Path("build/training"), help="checkpoints, curves and cached features"
    )
    parser.add_argument("--out", type=Path, default=WEIGHTS_DIR, help="where demo.safetensors is written")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves it to torch")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the recipe's steps, to try the recipe out")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    figures = _train(arguments.data, arguments.work, arguments.out, arguments.scale)
    if join_processes()[0] == 0:
        (arguments.work / "figures.json").write_text(json.dumps(figures, indent=2))
        print(json.dumps(figures, indent=2))


def _train(data: Path, work: Path, out: Path, scale: float) -> dict[str, dict[str, float]]:
    validation = {name: set(ids) for name, ids in json.loads((data / "splits.json").read_text())["val"].items()}
    with first_process_first():
        utterances = [
            u
            for corpus in _CORPORA
            for u in load_corpus(data / "clips" / corpus, work / "cache", validation.get(corpus, set()))
        ]
        if (work / _VOICES).is_dir():
            utterances += load_corpus(work / _VOICES, work / "cache", set())
    tracked = [u for u in utterances if u.captured is not None and u.phones is not None]
    teacher, teacher_figures = fit_teacher(
        tracked, [captured_lips(u) for u in tracked], max(1, int(_TEACHER_STEPS * scale))
    )
    loop = TrainingLoop("encoder", work, autocast=True)
    encoder = train_encoder(utterances, teacher, _scaled(EncoderRecipe(), scale), loop)
    figures = {"teacher": teacher_figures, "encoder": evaluate_encoder(encoder, utterances, teacher)}

    training = [u for u in utterances if u.split == "train"]
    recorded = [u for u in training if u.corpus != _VOICES]
    draws = [
        draw_performances(training if seed == 0 else recorded, teacher, np.random.default_rng(seed))
        for seed in range(_DRAWS)
    ]
    draws[0] += silent_performances(max(1, int(_SILENT_CLIPS * scale)), 8.0, np.random.default_rng(_DRAWS))
    tracks = [p.channels for performances in draws for p in performances]
    sounds = [hear(performances, encoder, augmented=seed > 0, seed=seed) for seed, performances in enumerate(draws)]
    all_sounds = [sound for part in sounds for sound in part]
    fcme = train_fcme(tracks, all_sounds, _scaled(FcmeRecipe(), scale), TrainingLoop("fcme", work))
    unseen = draw_performances([u for u in utterances if u.split == "val"], teacher, np.random.default_rng(99))
    figures["fcme"] = evaluate_fcme(fcme, [p.channels for p in unseen])

    statistics = latent_statistics(fcme, draws[0])
    heard = [h for d, s in zip(draws, sounds, strict=True) for h in heard_latents(d, s, fcme, statistics)]
    loop = TrainingLoop("flow", work, autocast=True)
    flow = train_flow(heard, fcme, statistics, _scaled(FlowRecipe(), scale), loop)
    if join_processes()[0] == 0:
        Networks(encoder, fcme, flow.prior, flow.fields, *statistics).save(out)
    return figures


def _scaled(recipe: _Recipe, scale: float) -> _Recipe:
    lengths = {f.name: getattr(recipe, f.name) for f in fields(recipe) if f.name.endswith("steps")}
    return replace(recipe, **{name: max(1, int(steps * scale)) for name, steps in lengths.items()})


if __name__ == "__main__":
    main()
