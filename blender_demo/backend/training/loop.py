# SPDX-License-Identifier: GPL-3.0-or-later
"""The training loop all stages share: progress bar, averaged weights, checkpoints to resume from, a curve of every
loss.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

matplotlib.use("Agg")
from matplotlib import pyplot

__all__ = ["TrainingLoop", "cosine_rate"]


def cosine_rate(peak: float, steps: int, warmup: int = 150) -> Callable[[int], float]:
    """Learning rate by step: linear warm-up, then half a cosine down to a hundredth of the peak."""

    def rate(step: int) -> float:
        if step < warmup:
            return peak * (step + 1) / warmup
        return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))))

    return rate


@dataclass
class TrainingLoop:
    """Runs one stage. A checkpoint lies in `folder` every `save_every` steps; an interrupted stage goes on from it."""

    name: str
    folder: Path
    save_every: int = 200

    def run(
        self,
        network: nn.Module,
        average: AveragedModel,
        optimizer: torch.optim.Optimizer,
        step: Callable[[int], dict[str, Tensor]],
        steps: int,
        rate: Callable[[int], float],
    ) -> None:
        """Minimize the "loss" that `step` returns and leave the averaged weights in `network`.

        What else `step` returns is only recorded.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoint = self.folder / f"{self.name}.pt"
        curves: dict[str, list[float]] = {}
        first = 0
        if checkpoint.is_file():
            stored = torch.load(checkpoint, weights_only=True)
            network.load_state_dict(stored["network"])
            average.load_state_dict(stored["average"])
            optimizer.load_state_dict(stored["optimizer"])
            first, curves = stored["step"], stored["curves"]
        network.train()
        with tqdm(range(first, steps), initial=first, total=steps, desc=self.name, mininterval=5.0) as bar:
            for index in bar:
                for group in optimizer.param_groups:
                    group["lr"] = rate(index)
                values = step(index)
                optimizer.zero_grad(set_to_none=True)
                values["loss"].backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                average.update_parameters(network)
                for key, value in values.items():
                    curves.setdefault(key, []).append(value.item())
                if index % 25 == 0:
                    bar.set_postfix({key: f"{_tail_mean(curve):.4f}" for key, curve in curves.items()})
                if (index + 1) % self.save_every == 0 or index + 1 == steps:
                    self._save(checkpoint, network, average, optimizer, index + 1, curves)
        network.load_state_dict(average.module.state_dict())
        network.eval()

    def _save(
        self,
        path: Path,
        network: nn.Module,
        average: AveragedModel,
        optimizer: torch.optim.Optimizer,
        step: int,
        curves: dict[str, list[float]],
    ) -> None:
        temporary = path.with_suffix(".tmp")
        torch.save(
            {
                "network": network.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
                "curves": curves,
            },
            temporary,
        )
        os.replace(temporary, path)
        figure, axes = pyplot.subplots(1, len(curves), figsize=(4 * len(curves), 3), squeeze=False)
        for axis, (key, curve) in zip(axes[0], curves.items(), strict=True):
            axis.plot([sum(curve[i : i + 20]) / len(curve[i : i + 20]) for i in range(0, len(curve), 20)])
            axis.set_title(f"{self.name}: {key}")
        figure.savefig(path.with_suffix(".png"), dpi=70, bbox_inches="tight")
        pyplot.close(figure)


def _tail_mean(curve: list[float]) -> float:
    return sum(curve[-50:]) / len(curve[-50:])
