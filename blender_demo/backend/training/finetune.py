# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m blender_demo.backend.training.finetune FOLDER --out DIR`: the shipped model takes after one performer.

Only the flow goes on training, on the takes of FOLDER (see `performer`); audio encoder and motion auto-encoder stay as
they are, so that latents keep their meaning. Where a take lacks a factor, the shipped model's own motion for the same
sound stands in: the flow is asked to leave that factor as it was. One take in five is held out; DIR gets the new
`demo.safetensors`, and `finetune.json` says how well shipped and new model follow the held-out takes.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from ..errors import DemoError
from ..evaluation.measures import aperture, concordance, pearson
from ..evaluation.report import write_json
from ..motion.factors import CHANNEL_INDEX, FACTORS, MODEL_FPS, channel_slice
from ..networks import WEIGHTS_DIR, WEIGHTS_FILE, Networks
from ..pipeline import Generator
from ..settings import STYLES, GenerationSettings
from .flow import FlowRecipe, PriorAndFields, hear, heard_latents, train_flow
from .loop import TrainingLoop
from .performer import PerformerTake, captured_channels, load_performer
from .targets import Performance

__all__ = ["RECIPE", "finetune", "main"]

RECIPE: Final = FlowRecipe(steps=300, rate=2e-4)
_DRAWS: Final = 2
"""How often each take is heard: as it is, and with its sound augmented."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="blender_demo.backend.training.finetune", description=__doc__)
    parser.add_argument("folder", type=Path, help="takes: take1.wav beside take1.csv (Live Link Face), and so on")
    parser.add_argument("--out", type=Path, required=True, help="where demo.safetensors and finetune.json are written")
    parser.add_argument("--weights", type=Path, default=WEIGHTS_DIR, help="folder of the weights to go on from")
    parser.add_argument("--steps", type=int, default=RECIPE.steps)
    parser.add_argument("--work", type=Path, default=Path("build/finetune"), help="checkpoints and curves")
    parser.add_argument(
        "--offset-ms",
        type=_offset_ms,
        default=0.0,
        help="at which millisecond of the sound the motion begins; 'auto' estimates it for each take",
    )
    parser.add_argument("--threads", type=int, help="of the CPU")
    arguments = parser.parse_args(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    try:
        takes = load_performer(arguments.folder, arguments.offset_ms)
        for note in (note for take in takes for note in take.notes):
            print(note)
        recipe = replace(RECIPE, steps=arguments.steps)
        report = finetune(takes, arguments.out, arguments.work, recipe, arguments.weights)
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(report["held out"], indent=2))
    return 0


def _offset_ms(text: str) -> float | None:
    return None if text == "auto" else float(text)


def finetune(
    takes: list[PerformerTake], out: Path, work: Path, recipe: FlowRecipe = RECIPE, weights: Path = WEIGHTS_DIR
) -> dict[str, Any]:
    """Go on from `weights` with the takes of the split "train"; write weights and report into `out`; return the report.

    Raises DemoError where `out` is the folder of the shipped weights.
    """
    if out.resolve() == WEIGHTS_DIR.resolve():
        raise DemoError(f"{out} holds the shipped weights, which stay as they are. Choose another folder with --out.")
    out.mkdir(parents=True, exist_ok=True)
    networks, generator = Networks.load(weights), Generator(weights=weights)
    statistics = (networks.latent_mean, networks.latent_scale)
    training = [take for take in takes if take.utterance.split == "train"]
    held_out = [take for take in takes if take.utterance.split == "val"]
    heard = []
    for draw in range(_DRAWS):
        performances = [_performance(take, generator, draw) for take in tqdm(training, desc="complete", leave=False)]
        sounds = hear(performances, networks.encoder, augmented=draw > 0, seed=draw)
        heard += heard_latents(performances, sounds, networks.fcme, statistics)
    flow = PriorAndFields(networks.fields.config)
    flow.prior, flow.fields = networks.prior, networks.fields
    loop = TrainingLoop(f"finetune-{_digest(takes, recipe, weights)}", work)
    train_flow(heard, networks.fcme, statistics, recipe, loop, flow)
    networks.save(out)
    report = {
        "takes": [_described(take) for take in takes],
        "recipe": asdict(recipe),
        "held out": {"before": _follow(held_out, generator), "after": _follow(held_out, Generator(weights=out))},
    }
    write_json(out / "finetune.json", report)
    return report


def _performance(take: PerformerTake, generator: Generator, seed: int) -> Performance:
    """What the performer did, completed by the model where a factor was not captured."""
    channels = captured_channels(take.utterance)
    if missing := [f.name for f in FACTORS if f.name not in take.factors]:
        generated = _generate(take, generator, GenerationSettings(seed=seed))
        for name in missing:
            channels[:, channel_slice(name)] = generated[:, channel_slice(name)]
    return Performance(take.utterance.features, channels, STYLES.index("captured"))


def _generate(take: PerformerTake, generator: Generator, settings: GenerationSettings) -> NDArray[np.float32]:
    """Channels (T, 60) of a generated take at the frames of the captured one."""
    clip = generator.generate(take.sound, settings, lambda stage, done: None).clip
    return clip.channels[take.first_frame : take.first_frame + len(take.utterance)]


def _follow(takes: list[PerformerTake], generator: Generator) -> dict[str, float]:
    """How well generated lips follow captured ones, over all frames of some takes."""
    ours = np.concatenate([_generate(take, generator, GenerationSettings()) for take in takes])
    truth = np.concatenate([captured_channels(take.utterance) for take in takes])
    jaw, opening = CHANNEL_INDEX["jawOpen"], (aperture(ours), aperture(truth))
    return {
        "jaw_pearson": pearson(ours[:, jaw], truth[:, jaw]),
        "aperture_pearson": pearson(*opening),
        "aperture_concordance": concordance(*opening),
        "std_ratio": float(opening[0].std() / opening[1].std()),
    }


def _described(take: PerformerTake) -> dict[str, Any]:
    return {
        "name": take.utterance.name,
        "split": take.utterance.split,
        "seconds": len(take.utterance) / MODEL_FPS,
        "factors": take.factors,
        "offset_ms": 1000 * take.offset_s,
        "estimated_offset_ms": 1000 * take.estimated_offset_s,
        "agreement": take.agreement,
        "notes": take.notes,
    }


def _digest(takes: list[PerformerTake], recipe: FlowRecipe, weights: Path) -> str:
    """Names the checkpoint after all that it depends on: with other takes, another one is begun."""
    digest = hashlib.sha256(repr(recipe).encode() + (weights / WEIGHTS_FILE).read_bytes())
    for take in takes:
        assert take.utterance.captured is not None
        digest.update(take.utterance.split.encode())
        digest.update(take.utterance.captured.values.tobytes())
        digest.update(take.utterance.features.mel.tobytes())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    sys.exit(main())
