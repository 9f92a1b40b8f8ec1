# SPDX-License-Identifier: GPL-3.0-or-later
"""The training loop all stages share: progress bar, averaged weights, checkpoints to resume from, a curve of every
loss, and any number of processes.

Under `torchrun` each process draws batches of its own; gradients are averaged, so that all keep the same weights, and
the batch is as many times larger. Randomness is set anew before each step, from the seed, the number of the step and
of the process: a run that was interrupted goes on exactly as if it had not been.
"""

import atexit
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from ..errors import DemoError

matplotlib.use("Agg")
from matplotlib import pyplot

__all__ = ["TrainingLoop", "averaged", "cosine_rate", "first_process_first", "join_processes"]


def cosine_rate(peak: float, steps: int) -> Callable[[int], float]:
    """Learning rate by step: linear warm-up over 150 steps, or a tenth of a short run, then half a cosine down to a
    hundredth of the peak.
    """
    warmup = min(150, steps // 10)

    def rate(step: int) -> float:
        if step < warmup:
            return peak * (step + 1) / warmup
        return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))))

    return rate


def averaged(network: nn.Module, decay: float, use_buffers: bool = False) -> AveragedModel:
    """A running average of the weights for `TrainingLoop.run`.

    Exponential, but at first no longer than half the run so far: (1 + n) / (3 + n) instead of `decay` after n steps. A
    plain one would give back the weights it began with after a run that is short for its decay.
    """

    def update(averages, weights, count) -> None:
        get_ema_multi_avg_fn(min(decay, (1 + int(count)) / (3 + int(count))))(averages, weights, count)

    return AveragedModel(network, multi_avg_fn=update, use_buffers=use_buffers)


def join_processes() -> tuple[int, int]:
    """Number of this process, and of all that `torchrun` started: (0, 1) without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0, 1
    if not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group()  # gloo for tensors on the CPU, nccl for those on CUDA
        atexit.register(dist.destroy_process_group)
    return dist.get_rank(), dist.get_world_size()


@contextmanager
def first_process_first() -> Iterator[None]:
    """The first process goes through the block alone, then all others: for files that are made once and kept."""
    rank, count = join_processes()
    if rank > 0:
        dist.barrier()
    yield
    if rank == 0 and count > 1:
        dist.barrier()


@dataclass
class TrainingLoop:
    """Runs one stage. A checkpoint lies in `folder` every `save_every` steps; an interrupted stage goes on from it.

    autocast: compute in bfloat16 where that is safe; weights stay in single precision.
    """

    name: str
    folder: Path
    save_every: int = 200
    autocast: bool = False

    def run(
        self,
        network: nn.Module,
        average: AveragedModel,
        optimizer: torch.optim.Optimizer,
        step: Callable[[int], dict[str, Tensor]],
        steps: int,
        rate: Callable[[int], float],
        rngs: Sequence[np.random.Generator | torch.Generator] = (),
    ) -> None:
        """Minimize the "loss" that `step` returns and leave the averaged weights in `network`.

        What else `step` returns is only recorded. rngs: the generators that `step` draws from, besides torch's global
        one. Raises DemoError for a checkpoint of another network, and where the loss is no longer a number.
        """
        rank, count = join_processes()
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoint = self.folder / f"{self.name}.pt"
        first, curves = self._resume(checkpoint, network, average, optimizer)
        if count > 1:
            for tensor in (*network.state_dict().values(), *average.state_dict().values()):
                dist.broadcast(tensor, 0)
        seeds = [torch.initial_seed(), *(_seed(rng) for rng in rngs)]
        device = next(network.parameters()).device.type
        network.train()
        with tqdm(range(first, steps), self.name, steps, initial=first, mininterval=5.0, disable=rank > 0) as bar:
            for index in bar:
                for group in optimizer.param_groups:
                    group["lr"] = rate(index)
                _reseed(rngs, seeds, index, rank)
                with torch.autocast(device, torch.bfloat16, enabled=self.autocast):
                    values = step(index)
                if not values["loss"].isfinite():
                    raise DemoError(f"{self.name}: the loss is no number any more at step {index}. Lower the rate.")
                optimizer.zero_grad(set_to_none=True)
                values["loss"].backward()
                if count > 1:
                    _average_gradients(network, count)
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                average.update_parameters(network)
                for key, value in values.items():
                    curves.setdefault(key, []).append(value.item())
                if index % 25 == 0:
                    bar.set_postfix({key: f"{_tail_mean(curve):.4f}" for key, curve in curves.items()})
                if rank == 0 and ((index + 1) % self.save_every == 0 or index + 1 == steps):
                    self._save(checkpoint, network, average, optimizer, index + 1, curves)
        network.load_state_dict(average.module.state_dict())
        network.eval()

    def _resume(
        self, path: Path, network: nn.Module, average: AveragedModel, optimizer: torch.optim.Optimizer
    ) -> tuple[int, dict[str, list[float]]]:
        """Load the checkpoint if there is one: the step to go on from, and the curves until then."""
        if not path.is_file():
            return 0, {}
        try:
            stored = torch.load(path, map_location="cpu", weights_only=True)
            network.load_state_dict(stored["network"])
            average.load_state_dict(stored["average"])
            optimizer.load_state_dict(stored["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise DemoError(f"{path} belongs to another network or is damaged. Delete it to train anew.") from error
        return stored["step"], stored["curves"]

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


def _seed(rng: np.random.Generator | torch.Generator) -> int:
    return rng.initial_seed() if isinstance(rng, torch.Generator) else int(rng.integers(2**63))


def _reseed(rngs: Sequence[np.random.Generator | torch.Generator], seeds: list[int], step: int, rank: int) -> None:
    """Set torch's global generator and `rngs` for one step of one process; other steps and processes get others."""
    sequences = [np.random.SeedSequence((seed, step, rank)) for seed in seeds]
    torch.manual_seed(_integer(sequences[0]))
    for rng, sequence in zip(rngs, sequences[1:], strict=True):
        if isinstance(rng, torch.Generator):
            rng.manual_seed(_integer(sequence))
        else:
            rng.bit_generator.state = type(rng.bit_generator)(sequence).state


def _integer(sequence: np.random.SeedSequence) -> int:
    return int(sequence.generate_state(1, np.uint64)[0])


def _average_gradients(network: nn.Module, count: int) -> None:
    """Replace each gradient by its mean over all processes, which have to compute the same graph."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, mean in zip(gradients, (flat / count).split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
