# SPDX-License-Identifier: GPL-3.0-or-later
"""Variants do what their names say, what is measured of ours is ours, and an interrupted run goes on."""

import json
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from blender_demo.backend.audio.encoder import CONDITION_DIM, PHONES, AudioEncoder
from blender_demo.backend.audio.features import extract
from blender_demo.backend.evaluation.clips import Truth
from blender_demo.backend.fcme.model import Fcme, FcmeConfig
from blender_demo.backend.flow.model import CONTEXT, FlowConfig, LipPrior, VectorField, VectorFields
from blender_demo.backend.flow.sampler import Known, sample_latents
from blender_demo.backend.motion.factors import CHANNELS, FACTOR_INDEX, FACTORS, LATENT_DIM, channel_slice, latent_slice
from blender_demo.backend.settings import GenerationSettings
from blender_demo.backend.training.ablations import __main__ as ablations
from blender_demo.backend.training.ablations import measuring, report, sampling, workshop
from blender_demo.backend.training.ablations.ground import Clip, Frozen, Ground
from blender_demo.backend.training.ablations.measuring import controlled, pose_influence
from blender_demo.backend.training.ablations.questions import QUESTIONS
from blender_demo.backend.training.ablations.sampling import Sampling, sample
from blender_demo.backend.training.ablations.variants import (
    ALL,
    JointField,
    Model,
    Space,
    Vae,
    cosine_schedule,
    couple,
)
from blender_demo.backend.training.ablations.workshop import Workshop
from blender_demo.backend.training.fcme import CHANNEL_LOSSES, LANDMARK_LOSSES, fitted_pairs
from blender_demo.backend.training.targets import Performance

FRAMES = 70
CONFIG = FlowConfig(
    lip_width=32, lip_depth=2, lip_reach=3, other_width=32, other_depth=1, other_reach=4, head_size=16, prior_width=32,
    prior_depth=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def audio() -> torch.Tensor:
    return torch.rand(FRAMES, CONDITION_DIM, generator=torch.Generator().manual_seed(1))


def model(*names: str) -> Model:
    """A model with random weights everywhere, also where training starts from zero."""
    torch.manual_seed(0)
    fields: dict[str, VectorField] = {n: JointField(CONFIG) if n == ALL else VectorField(n, CONFIG) for n in names}
    for field in fields.values():
        for parameter in field.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    space = Space(Fcme(), torch.zeros(LATENT_DIM), torch.ones(LATENT_DIM), [])
    return Model(space, LipPrior(CONFIG), fields)


def head_given() -> Known:
    is_known = torch.zeros(FRAMES, len(FACTORS))
    is_known[:, FACTOR_INDEX["pose"]] = 1.0
    return Known(torch.randn(FRAMES, LATENT_DIM, generator=torch.Generator().manual_seed(2)), is_known)


@pytest.mark.parametrize("grid", ["uniform", "sway"])
@pytest.mark.parametrize("known", [None, head_given()], ids=["free", "head given"])
def test_ours_is_sampled_as_the_product_samples_it(audio, grid, known):
    ours = model(*CONTEXT)
    fields = VectorFields(CONFIG)
    fields.update(ours.fields)
    how = controlled("lip", Sampling(GenerationSettings(grid=grid, seed=3)), guidance=1.5, temperature=0.7)
    with torch.no_grad():
        expected = sample_latents(fields, ours.prior, audio, how.settings, lambda done: None, known)
    torch.testing.assert_close(sample(ours, audio, how, known), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [ALL, *CONTEXT])
def test_noise_has_the_spread_that_is_asked_for(name):
    for spread in (0.0, 0.5, 1.0):
        noise = sampling._first_noise(name, 3000, Sampling(noise=spread))
        assert noise.std(0).numpy() == pytest.approx(np.full(noise.shape[1], spread), rel=0.06)


def test_second_order_steps_come_nearer_to_the_solution_than_euler_s():
    start = torch.ones(1, 1, 1)
    ends = {
        euler: sampling._solve(lambda x, t: x, start, Sampling(GenerationSettings(steps=10), euler), "flow").item()
        for euler in (True, False)
    }
    assert ends[True] == pytest.approx(1.1**10)
    assert abs(ends[False] - np.e) < 0.2 * abs(ends[True] - np.e)


@pytest.mark.parametrize("steps", [1, 5, 50])
def test_diffusion_that_knows_the_noise_ends_at_the_motion(steps):
    motion = torch.randn(1, 40, 6, generator=torch.Generator().manual_seed(4))

    def predict(state: torch.Tensor, t: float) -> torch.Tensor:
        signal, noise = cosine_schedule(t)
        return (state - signal * motion) / noise

    end = sampling._solve(predict, torch.randn(1, 40, 6), Sampling(GenerationSettings(steps=steps)), "diffusion")
    torch.testing.assert_close(end, motion, rtol=0, atol=1e-3)


def test_transport_pairs_the_same_noise_at_the_least_cost():
    noise, goal = torch.randn(2, 6, 3, 2, generator=torch.Generator().manual_seed(5))
    paired = couple(noise, goal)
    assert sorted(paired.flatten().tolist()) == sorted(noise.flatten().tolist())
    others = [(noise[torch.randperm(6)] - goal).square().sum() for _ in range(200)]
    assert (paired - goal).square().sum() <= min(others)
    torch.testing.assert_close(couple(goal.flip(0) + 0.01 * noise, goal), goal + 0.01 * noise.flip(0))


def test_a_joint_field_keeps_what_is_given_and_lets_it_leak_into_the_lips(audio):
    joint, known = model(ALL), head_given()
    free, given = sample(joint, audio, Sampling()), sample(joint, audio, Sampling(), known)
    pose, lips = latent_slice("pose"), latent_slice("lip")
    torch.testing.assert_close(given[:, pose], known.latents[:, pose])
    assert not torch.equal(free[:, lips], given[:, lips])


def test_lips_of_separate_fields_do_not_feel_the_head_and_those_of_a_joint_field_do(audio):
    clip = Clip(audio, Truth(Path("clip.flac"), None, None))
    ground = Ground([], [], [], (torch.zeros(LATENT_DIM), torch.ones(LATENT_DIM)), [clip], [clip], audio)
    assert set(pose_influence(model(*CONTEXT), ground, Sampling()).values()) == {0.0}
    assert min(pose_influence(model(ALL), ground, Sampling()).values()) > 0.0


def test_latents_of_the_plain_vae_belong_to_no_factor():
    torch.manual_seed(0)
    latents = torch.zeros(1, LATENT_DIM, requires_grad=True)
    for network, is_mixed in ((Vae(), True), (Fcme(), False)):
        lips = network.decode(latents)[:, channel_slice("lip")].sum()
        (slope,) = torch.autograd.grad(lips, latents)
        assert bool((slope[:, latent_slice("pose")] != 0).all()) == is_mixed
    weights = [sum(p.numel() for p in network.parameters()) for network in (Vae(), Fcme())]
    assert weights[0] == pytest.approx(weights[1], rel=0.35)


def test_each_row_of_fcme_leaves_out_one_loss_and_the_first_none(tmp_path, monkeypatch):
    left_out = []

    def train(motions, sounds, recipe, loop) -> Fcme:
        left_out.append({f.name for f in fields(recipe) if getattr(recipe, f.name) == 0.0})
        fcme = Fcme(FcmeConfig(landmarks=True))
        fitted_pairs(fcme, torch.from_numpy(motions[0]), 4)
        return fcme

    monkeypatch.setattr(workshop, "train_fcme", train)
    monkeypatch.setattr(measuring, "_OBSERVED", 40)
    motion = 0.1 * np.random.default_rng(0).random((40, len(CHANNELS)), np.float32)
    performance = Performance(extract(np.zeros(32_000, np.float32)), motion, 0)
    statistics = (torch.zeros(LATENT_DIM), torch.ones(LATENT_DIM))
    ground = Ground(
        [performance] * 2, [torch.rand(40, CONDITION_DIM)] * 2, [performance], statistics, [], [], torch.zeros(0)
    )
    shop = Workshop(Frozen(AudioEncoder(), Fcme()), ground, tmp_path, ablations._RECIPE)
    rows = next(q for q in QUESTIONS if q.name == "fcme").rows
    for row in rows.values():
        assert np.isfinite(list(row(shop).values())).all()
    assert left_out == [set(), *({name.removeprefix("no ")} for name in list(rows)[1:])]
    assert set(rows) == {"all losses (ours)", *(f"no {loss}" for loss in CHANNEL_LOSSES + LANDMARK_LOSSES)}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    """A made-up data set in the clip format, and checkpoints of untrained encoders."""
    root = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    for corpus in ("grid_s1", "facegood", "speechocean_train"):
        folder = root / "data" / "clips" / corpus
        folder.mkdir(parents=True)
        for i in range(3):
            soundfile.write(folder / f"clip{i}.flac", 0.1 * rng.standard_normal(48_000), 16_000)
            cuts = np.linspace(0.5, 2.5, 15)
            timed = [[str(rng.choice(PHONES)), float(a), float(b)] for a, b in pairwise(cuts)]
            (folder / f"clip{i}.phones.json").write_text(json.dumps(timed))
            if corpus != "speechocean_train":
                names, values = np.array(["jawOpen", "mouthPucker"]), rng.random((75, 2), dtype=np.float32)
                np.savez(folder / f"clip{i}.motion.npz", names=names, values=values, fps=25.0)
    splits = {"val": {corpus: ["clip0"] for corpus in ("grid_s1", "facegood", "speechocean_train")}}
    (root / "data" / "splits.json").write_text(json.dumps(splits))
    (root / "work").mkdir()
    for name, network in (("encoder", AudioEncoder()), ("fcme", Fcme())):
        average = {f"module.{key}": value for key, value in network.state_dict().items()}
        torch.save({"average": average}, root / "work" / f"{name}.pt")
    return root


def command(root: Path, *more: str) -> list[str]:
    return [
        str(root / "data"), "--work", str(root / "work"), "--weights", str(root), "--out", str(root / "tables.md"),
        "--steps", "2", *more,
    ]  # fmt: skip


def test_a_rerun_computes_only_the_rows_that_are_missing(recordings):
    assert ablations.main(command(recordings, "--only", "coupling", "prior")) == 0
    rows = {path.name: path.stat().st_mtime_ns for path in recordings.glob("work/ablations/*/*.json")}
    assert len(rows) == sum(len(q.rows) for q in QUESTIONS if q.name in ("coupling", "prior"))
    tables = (recordings / "tables.md").read_text()
    assert tables.count("\n## ") == 2
    assert all(f"| {row} |" in tables for q in QUESTIONS if q.name in ("coupling", "prior") for row in q.rows)

    lost = next(recordings.glob("work/ablations/*/coupling-optimal-transport.json"))
    figures = json.loads(lost.read_text())
    lost.unlink()
    assert ablations.main(command(recordings, "--only", "coupling")) == 0
    assert json.loads(lost.read_text()) == figures
    again = {path.name: path.stat().st_mtime_ns for path in recordings.glob("work/ablations/*/*.json")}
    assert {name for name, stamp in again.items() if rows[name] != stamp} == {lost.name}
    assert (recordings / "tables.md").read_text() == tables


def test_rows_of_another_budget_are_not_mixed_in(recordings):
    ablations.main(command(recordings, "--only", "coupling"))
    assert ablations.main([*command(recordings, "--only", "coupling"), "--steps", "1"]) == 0
    assert "1 steps" in (recordings / "tables.md").read_text()
    assert len(list(recordings.glob("work/ablations/*-1/*.json"))) == 2


def test_without_weights_and_checkpoints_the_remedy_is_named(recordings, tmp_path, capsys):
    assert ablations.main([*command(recordings), "--work", str(tmp_path)]) == 1
    assert "train the stages first" in capsys.readouterr().err


def test_without_recordings_the_remedy_is_named(recordings, tmp_path, capsys):
    assert ablations.main([str(tmp_path), *command(recordings)[1:]]) == 1
    assert "needs clips/ and splits.json" in capsys.readouterr().err


def test_figures_are_shown_relative_to_the_reference_and_blanks_where_there_are_none():
    question = next(q for q in QUESTIONS if q.reference)
    first, last = next(iter(question.rows)), question.reference
    found = {question.name: {first: {"jerk_ratio": 3.0}, last: {"jerk_ratio": 2.0, "blinks_per_minute": 12.0}}}
    text = report.tables(found, ablations._RECIPE, has_fields=True)
    assert f"| {first} | 3.00 (1.50) |  |" in text
    assert f"| {last} | 2.00 (1.00) | 12 (1.00) |" in text
