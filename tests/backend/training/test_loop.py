# SPDX-License-Identifier: GPL-3.0-or-later
"""An interrupted run ends as an unbroken one; several processes keep one set of weights."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from blender_demo.backend.errors import DemoError
from blender_demo.backend.training.loop import TrainingLoop, averaged, cosine_rate

REPO = Path(__file__).resolve().parents[3]
STEPS = 20


class Interrupted(Exception):
    pass


def train(folder: Path, steps: int = STEPS, stop_at: int = STEPS, **options) -> tuple[nn.Module, list[float]]:
    """A toy network with dropout that draws from all three kinds of generators; its weights and what it drew."""
    torch.manual_seed(5)
    rng, generator = np.random.default_rng(6), torch.Generator().manual_seed(7)
    network = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 1))
    average = averaged(network, 0.9)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    drawn = []

    def step(index: int) -> dict[str, torch.Tensor]:
        if index == stop_at:
            raise Interrupted
        x = torch.from_numpy(rng.normal(size=(16, 4)).astype(np.float32)) + torch.randn(16, 4, generator=generator)
        drawn.append(float(x.sum()))
        loss = (network(x) - x.sum(1, keepdim=True)).square().mean()
        return {"loss": loss}

    loop = TrainingLoop("toy", folder, save_every=5, **options)
    loop.run(network, average, optimizer, step, steps, cosine_rate(1e-2, steps), rngs=(rng, generator))
    return network, drawn


def weights(network: nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten() for value in network.state_dict().values()])


def test_an_interrupted_run_ends_bit_for_bit_as_an_unbroken_one(tmp_path):
    unbroken, drawn = train(tmp_path / "unbroken")
    with pytest.raises(Interrupted):
        train(tmp_path / "broken", stop_at=13)
    resumed, drawn_again = train(tmp_path / "broken")
    assert drawn_again == drawn[10:]
    assert torch.equal(weights(resumed), weights(unbroken))
    curves = [torch.load(tmp_path / run / "toy.pt", weights_only=True)["curves"] for run in ("unbroken", "broken")]
    assert curves[0] == curves[1]


def test_every_step_draws_something_else(tmp_path):
    drawn = train(tmp_path)[1]
    assert len(set(drawn)) == STEPS


def test_training_lowers_the_loss_and_leaves_the_averaged_weights(tmp_path):
    network, _ = train(tmp_path, steps=300, stop_at=300)
    stored = torch.load(tmp_path / "toy.pt", weights_only=True)
    losses = stored["curves"]["loss"]
    assert np.mean(losses[-50:]) < 0.5 * np.mean(losses[:50])
    average = {key.removeprefix("module."): value for key, value in stored["average"].items()}
    assert all(torch.equal(value, average[key]) for key, value in network.state_dict().items())
    assert (tmp_path / "toy.png").is_file()
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize(("steps", "warmup"), [(5000, 150), (300, 30), (1, 0)])
def test_the_rate_warms_up_and_falls_to_a_hundredth(steps, warmup):
    rates = [cosine_rate(2.0, steps)(step) for step in range(steps + 1)]
    assert int(np.argmax(rates)) in (max(0, warmup - 1), warmup)
    assert max(rates) == 2.0
    assert rates[-1] == pytest.approx(0.02)


def average_of_a_ramp(steps: int, decay: float) -> float:
    """The average after a weight went through 1, 2, ... `steps`, one step each."""
    network = nn.Linear(1, 1, bias=False)
    average = averaged(network, decay)
    for value in range(1, steps + 1):
        nn.init.constant_(network.weight, float(value))
        average.update_parameters(network)
    return float(weights(average.module))


def test_weights_are_averaged_over_the_later_part_of_a_short_run_and_over_the_decay_of_a_long_one():
    assert 50 < average_of_a_ramp(100, 0.998) < 80
    assert average_of_a_ramp(2000, 0.99) == pytest.approx(2000 - 99, abs=1.0)


def test_autocast_computes_in_bfloat16_and_keeps_weights_in_single_precision(tmp_path):
    seen = []
    network = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)

    def step(index: int) -> dict[str, torch.Tensor]:
        out = network(torch.ones(2, 4))
        seen.append(out.dtype)
        return {"loss": out.float().square().mean()}

    for autocast in (False, True):
        loop = TrainingLoop(f"autocast {autocast}", tmp_path, autocast=autocast)
        loop.run(network, AveragedModel(network), optimizer, step, 1, lambda _: 0.1)
    assert seen == [torch.float32, torch.bfloat16]
    assert network.weight.dtype == torch.float32


def test_a_checkpoint_of_another_network_is_refused_with_the_remedy(tmp_path):
    train(tmp_path)
    network = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    with pytest.raises(DemoError, match=r"toy\.pt belongs to another network.*Delete it"):
        TrainingLoop("toy", tmp_path).run(network, AveragedModel(network), optimizer, lambda _: {}, 30, lambda _: 0.1)


def test_a_loss_that_is_no_number_stops_the_run_before_it_spoils_the_checkpoint(tmp_path):
    network = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)

    def step(index: int) -> dict[str, torch.Tensor]:
        return {"loss": network(torch.ones(1, 1)).sum() * (float("nan") if index == 7 else 1.0)}

    with pytest.raises(DemoError, match="no number any more at step 7"):
        TrainingLoop("toy", tmp_path, 5).run(network, AveragedModel(network), optimizer, step, 10, lambda _: 0.1)
    stored = torch.load(tmp_path / "toy.pt", weights_only=True)
    assert stored["step"] == 5
    assert all(value.isfinite().all() for value in stored["network"].values())


TWO_PROCESSES = """
import importlib.util, os, pathlib, sys, time, torch
from torch.optim.swa_utils import AveragedModel
from blender_demo.backend.training.loop import TrainingLoop, first_process_first

spec = importlib.util.spec_from_file_location("toy", sys.argv[1])
toy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(toy)
out, rank = pathlib.Path(sys.argv[2]), int(os.environ["RANK"])
with first_process_first():
    if rank == 0:
        time.sleep(0.5)
        (out / "made").touch()
    found = (out / "made").exists()
network, drawn = toy.train(out / "work")

line = torch.nn.Linear(1, 1, bias=False)
torch.nn.init.constant_(line.weight, 10.0 * rank)
optimizer = torch.optim.SGD(line.parameters(), lr=1.0)
step = lambda index: {"loss": 0.2 * (1 + rank) * line(torch.ones(1, 1)).sum()}
TrainingLoop("line", out / "work").run(line, AveragedModel(line), optimizer, step, 1, lambda _: 1.0)
stored = {"found": found, "weights": toy.weights(network), "drawn": drawn, "line": line.weight.item()}
torch.save(stored, out / f"{rank}.pt")
"""


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory) -> list[dict]:
    """What each of two processes under torchrun found, drew and learned."""
    folder = tmp_path_factory.mktemp("two")
    script = folder / "script.py"
    script.write_text(TWO_PROCESSES)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)}
    done = subprocess.run(
        [*torchrun, script, __file__, folder], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert {path.name for path in (folder / "work").iterdir()} == {"toy.pt", "toy.png", "line.pt", "line.png"}
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_two_processes_draw_different_batches_and_end_with_equal_weights(two_processes, tmp_path):
    first, second = two_processes
    assert torch.equal(first["weights"], second["weights"])
    assert not set(first["drawn"]) & set(second["drawn"])
    alone, drawn = train(tmp_path)
    assert drawn == first["drawn"]
    assert not torch.equal(weights(alone), first["weights"])


def test_processes_start_from_the_first_one_s_weights_and_average_their_gradients(two_processes):
    assert [stored["line"] for stored in two_processes] == pytest.approx([-(0.2 + 0.4) / 2] * 2)


def test_the_first_process_makes_a_file_that_the_other_finds(two_processes):
    assert all(stored["found"] for stored in two_processes)
