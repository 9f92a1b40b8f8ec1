# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m blender_demo.backend.training.refiner`: synthetic people are drawn, and the portrait's refiner learns to
turn their portraits' frames into the true ones.

The error is L1 and squared, of colors and of their slopes; a small adversary that sees patches keeps teeth and lids
crisp (hinge loss, Lim and Ye 2017; patches, Isola et al. 2017). A person in a patch is complexion, lips and eyes: for
identity, the means over squares of eight pixels have to be those of the truth as well.
"""

import argparse
import json
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import DemoError
from ..pipeline import Generator
from ..portrait.refiner import EYE, MOUTH, REFINER_FILE, RefinerNetwork, Region, fade, networks, save_refiner
from ..settings import GenerationSettings
from .loop import TrainingLoop, averaged, cosine_rate
from .portrait_pairs import write_pairs

__all__ = ["Pairs", "RefinerRecipe", "gain_db", "train", "train_refiner"]

_SPEECH: Final = Path("demo/speech.ogg")
_TAKES: Final = 3
_HELD_OUT: Final = 10
"""Every tenth person is never trained on."""


@dataclass(frozen=True)
class RefinerRecipe:
    people: int = 320
    frames: int = 16
    """Of each person."""
    steps: int = 8000
    """Of the mouth's network, and of the eyes'."""
    batch: int = 16
    rate: float = 8e-4
    squared: float = 10.0
    slopes: float = 0.5
    identity: float = 0.5
    adversarial: float = 0.003
    """Weights of the terms of the loss beside L1's."""
    adversary_from: float = 0.4
    """Part of the run before the adversary counts."""
    color: float = 0.15
    """Standard deviation of the logarithm of the power that is applied to colors."""
    average: float = 0.998
    seed: int = 4


@dataclass(frozen=True)
class Pairs:
    """Patches of one region: what the network sees (n, C, h, w), the truth (n, 3, h, w), how far it has moved (n,)."""

    inputs: Tensor
    truth: Tensor
    moved: Tensor

    @classmethod
    def load(cls, paths: list[Path], region: Region) -> "Pairs":
        columns: dict[str, list[NDArray]] = {"inputs": [], "truth": [], "moved": []}
        for path in paths:
            with np.load(path, allow_pickle=False) as stored:
                for name, parts in columns.items():
                    parts.append(stored[f"{region.name}_{name}"])
        return cls(**{name: torch.from_numpy(np.concatenate(parts)) for name, parts in columns.items()})

    def batch(self, chosen: Tensor) -> "Pairs":
        return Pairs(self.inputs[chosen].float(), self.truth[chosen].float(), self.moved[chosen])

    def refined(self, network: RefinerNetwork, region: Region) -> Tensor:
        """The patches of the frame (n, 3, h, w) with what the network adds, as the product draws them."""
        added = network(self.inputs.contiguous(memory_format=torch.channels_last)).float()
        return self.inputs[:, :3] + added * fade(region) * self.moved[:, None, None, None]


class _Adversary(nn.Module):
    """Tells true patches from refined ones, place by place; it sees the picture and the kinds of parts beside them."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        widths = (inputs, 32, 64, 96)
        layers = [
            layer for a, b in pairwise(widths) for layer in (nn.Conv2d(a, b, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, patch: Tensor, known: Tensor) -> Tensor:
        return self.layers(torch.cat([patch, known], dim=1)).float()


def train_refiner(region: Region, pairs: Pairs, recipe: RefinerRecipe, loop: TrainingLoop) -> RefinerNetwork:
    """One region's network, trained. Raises DemoError."""
    torch.manual_seed(recipe.seed)
    network = networks()[region.name]
    count = len(region.kinds)
    both = nn.ModuleDict({"refiner": network, "adversary": _Adversary(3 + 3 + count)})
    optimizer = torch.optim.AdamW(both.parameters(), lr=recipe.rate, weight_decay=1e-4)
    rng = torch.Generator().manual_seed(recipe.seed)

    def step(index: int) -> dict[str, Tensor]:
        chosen = torch.randint(len(pairs.inputs), (recipe.batch,), generator=rng)
        batch = _varied(pairs.batch(chosen), region, recipe.color, rng)
        refined = batch.refined(network, region)
        known = torch.cat([batch.inputs[:, _picture(region)], batch.inputs[:, 3 : 3 + count]], dim=1)
        adversary = both["adversary"]
        frozen = {name: value.detach() for name, value in adversary.named_parameters()}
        fooled = -functional_call(adversary, frozen, (refined, known)).mean()
        told = F.relu(1 - adversary(batch.truth, known)).mean() + F.relu(1 + adversary(refined.detach(), known)).mean()
        off = refined - batch.truth
        values = {
            "l1": off.abs().mean(),
            "squared": off.square().mean(),
            "slopes": sum(_slopes(F.avg_pool2d(off, scale)) for scale in (1, 2)),
            "identity": F.avg_pool2d(off, 8).abs().mean(),
            "adversary": told,
        }
        weight = recipe.adversarial * float(index >= recipe.adversary_from * recipe.steps)
        terms = recipe.squared * values["squared"] + recipe.slopes * values["slopes"]
        terms = terms + recipe.identity * values["identity"] + weight * fooled
        return {"loss": values["l1"] + terms + told, **values}

    loop.run(
        both,
        averaged(both, recipe.average),
        optimizer,
        step,
        recipe.steps,
        cosine_rate(recipe.rate, recipe.steps),
        [rng],
    )
    return network


def gain_db(network: RefinerNetwork, pairs: Pairs, region: Region) -> tuple[float, float]:
    """PSNR of all patches without and with the refiner."""
    off, on, count = 0.0, 0.0, 0
    with torch.inference_mode():
        for chosen in torch.arange(len(pairs.inputs)).split(16):
            batch = pairs.batch(chosen)
            off += float((batch.inputs[:, :3] - batch.truth).square().sum())
            on += float((batch.refined(network, region) - batch.truth).square().sum())
            count += batch.truth.numel()
    return -10 * float(np.log10(off / count)), -10 * float(np.log10(on / count))


def _varied(pairs: Pairs, region: Region, spread: float, rng: torch.Generator) -> Pairs:
    """The batch in other colors, frame, picture and truth alike, half of it mirrored."""
    inputs, truth = pairs.inputs, pairs.truth
    size = (len(inputs), 1, 1, 1)
    power = torch.exp(
        spread * (torch.randn(len(inputs), 3, 1, 1, generator=rng) + torch.randn(size, generator=rng)) / 2**0.5
    )
    gain = 1 - 0.2 * torch.rand(size, generator=rng)

    def colored(picture: Tensor) -> Tensor:
        return gain * picture.clamp(0, 1) ** power

    picture = _picture(region)
    inputs[:, :3], inputs[:, picture], truth = colored(inputs[:, :3]), colored(inputs[:, picture]), colored(truth)
    mirrored = torch.rand(size, generator=rng) < 0.5
    inputs, truth = (torch.where(mirrored, values.flip(3), values) for values in (inputs, truth))
    sign = torch.where(mirrored, -1.0, 1.0)
    across = [3 + len(region.kinds), inputs.shape[1] - 2]
    inputs[:, across] *= sign
    return replace(pairs, inputs=inputs, truth=truth)


def _picture(region: Region) -> slice:
    """Channels of the inputs that show the picture."""
    first = 3 + len(region.kinds) + 3
    return slice(first, first + 3)


def _slopes(off: Tensor) -> Tensor:
    return off.diff(dim=2).abs().mean() + off.diff(dim=3).abs().mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/training/portrait"), help="pairs, checkpoints, curves")
    parser.add_argument("--out", type=Path, default=REFINER_FILE, help="where the weights are written")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves it to torch")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the people and steps, to try the recipe out")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    full = RefinerRecipe()
    recipe = replace(
        full, people=max(2, round(full.people * arguments.scale)), steps=max(1, round(full.steps * arguments.scale))
    )
    print(json.dumps(train(recipe, arguments.work, arguments.out), indent=2))


def train(recipe: RefinerRecipe, work: Path, out: Path) -> dict[str, dict[str, float]]:
    """Pairs, both networks, and the weights at `out`. Returns PSNR without and with, on people held out."""
    generator = Generator("cpu")
    motions = [
        generator.generate(_SPEECH, GenerationSettings(seed=seed), lambda *_: None).clip for seed in range(_TAKES)
    ]
    paths = write_pairs(work / "pairs", range(recipe.people), motions, recipe.frames)
    held_out = paths[::_HELD_OUT]
    known = [path for path in paths if path not in held_out]
    if not known:
        raise DemoError("Too few people to train on. Raise --scale.")
    trained, figures = {}, {}
    for region in (MOUTH, EYE):
        trained[region.name] = train_refiner(
            region, Pairs.load(known, region), recipe, TrainingLoop(f"refiner-{region.name}", work, autocast=True)
        )
        off, on = gain_db(trained[region.name], Pairs.load(held_out, region), region)
        figures[region.name] = {"off_db": round(off, 2), "on_db": round(on, 2)}
    save_refiner(trained, out)
    return figures


if __name__ == "__main__":
    main()
