# SPDX-License-Identifier: GPL-3.0-or-later
"""Going on from given weights with a performer's takes: small networks, two takes of three seconds."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from blender_demo.backend.audio.encoder import AudioEncoder, AudioEncoderConfig
from blender_demo.backend.fcme.model import Fcme, FcmeConfig
from blender_demo.backend.flow.model import FlowConfig, LipPrior, VectorFields
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNEL_INDEX, CHANNELS, LATENT_DIM, channel_slice
from blender_demo.backend.motion.livelink import write_live_link
from blender_demo.backend.networks import WEIGHTS_DIR, Networks
from blender_demo.backend.training import finetune as command
from blender_demo.backend.training.finetune import RECIPE, finetune
from blender_demo.backend.training.performer import captured_channels, load_performer

REPO = Path(__file__).resolve().parents[3]
STEPS = 30
SMALL = replace(RECIPE, steps=STEPS, batch=4, frames=60, rate=3e-3)


@pytest.fixture(scope="module")
def performer(tmp_path_factory) -> Path:
    """Two takes of 3 s of real speech with a made-up face: the jaw follows the loudness, the head never moves."""
    folder = tmp_path_factory.mktemp("performer")
    speech, rate = soundfile.read(REPO / "demo" / "speech.ogg", dtype="float32")
    for name, start in (("one", 0), ("two", 3 * rate)):
        sound = speech[start : start + 3 * rate]
        soundfile.write(folder / f"{name}.wav", sound, rate)
        level = np.sqrt([np.square(block).mean() for block in np.array_split(sound, 90)])
        channels = np.zeros((90, len(CHANNELS)), np.float32)
        channels[:, CHANNEL_INDEX["jawOpen"]] = np.clip(level / level.max(), 0.0, 1.0)
        channels[:, CHANNEL_INDEX["browInnerUp"]] = 0.2 + 0.2 * np.sin(np.arange(90) / 9)
        write_live_link(MotionClip(fps=30.0, channels=channels), folder / f"{name}.csv")
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Small networks, not trained, in the place of the shipped ones."""
    torch.manual_seed(0)
    flow = FlowConfig(
        lip_width=16, lip_depth=1, lip_reach=2, other_width=16, other_depth=1, other_reach=2, head_size=8,
        prior_width=16, prior_depth=1,
    )  # fmt: skip
    encoder = AudioEncoder(AudioEncoderConfig(width=16, depth=1, heads=2, reach=2))
    networks = Networks(
        encoder, Fcme(FcmeConfig(hidden=8)), LipPrior(flow), VectorFields(flow),
        torch.zeros(LATENT_DIM), torch.full((LATENT_DIM,), 0.5),
    )  # fmt: skip
    return networks.save(tmp_path_factory.mktemp("weights")).parent


@pytest.fixture(scope="module")
def tuned(performer, weights, tmp_path_factory) -> Path:
    """What the command leaves behind, with the loop's checkpoint in `work`."""
    out = tmp_path_factory.mktemp("tuned")
    argv = [performer, "--out", out, "--work", out / "work", "--weights", weights, "--steps", STEPS, "--threads", 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "RECIPE", SMALL)
        assert command.main([str(word) for word in argv]) == 0
    return out


def changed(before: Path, after: Path) -> set[str]:
    """Names of the networks that differ between two folders of weights."""
    one, other = Networks.load(before).modules(), Networks.load(after).modules()
    return {
        name
        for name, module in one.items()
        for a, b in zip(module.state_dict().values(), other[name].state_dict().values(), strict=True)
        if not torch.equal(a, b)
    }


def test_only_the_flow_changes(weights, tuned):
    assert changed(weights, tuned) == {"prior", "fields"}
    assert torch.equal(Networks.load(weights).latent_mean, Networks.load(tuned).latent_mean)


def test_training_goes_on_from_the_given_weights(performer, weights, tmp_path):
    finetune(load_performer(performer), tmp_path, tmp_path / "work", replace(SMALL, steps=2, rate=0.0), weights)
    assert changed(weights, tmp_path) == set()


def test_the_loss_on_the_performer_s_takes_falls(tuned):
    checkpoint = next((tuned / "work").glob("finetune-*.pt"))
    losses = torch.load(checkpoint, weights_only=True)["curves"]["loss"]
    assert len(losses) == STEPS
    assert np.mean(losses[-5:]) < 0.95 * np.mean(losses[:5])


def test_the_report_tells_takes_and_how_well_the_held_out_one_is_followed(tuned):
    report = json.loads((tuned / "finetune.json").read_text())
    assert [(take["name"], take["split"], take["seconds"]) for take in report["takes"]] == [
        ("one", "train", 3.0), ("two", "val", 3.0),
    ]  # fmt: skip
    assert report["takes"][0]["factors"] == ["lip", "expression"]
    before, after = report["held out"]["before"], report["held out"]["after"]
    assert before.keys() == after.keys() >= {"jaw_pearson", "aperture_pearson"}
    assert before != after


def test_a_factor_without_capture_is_the_shipped_model_s(performer, tuned):
    take = load_performer(performer)[0]
    performance = command._performance(take, command.Generator(weights=tuned), 0)
    captured = captured_channels(take.utterance)
    for factor in ("lip", "expression"):
        np.testing.assert_array_equal(
            performance.channels[:, channel_slice(factor)], captured[:, channel_slice(factor)]
        )
    for factor in ("pose", "eyes"):
        assert np.ptp(performance.channels[:, channel_slice(factor)], axis=0).max() > 1e-3


def test_other_takes_begin_another_checkpoint(performer, weights, tmp_path):
    takes = load_performer(performer)
    name = command._digest(takes, SMALL, weights)
    assert name == command._digest(load_performer(performer), SMALL, weights)
    assert name != command._digest(takes, replace(SMALL, steps=7), weights)
    folder = shutil.copytree(performer, tmp_path / "other")
    shutil.copy(folder / "one.csv", folder / "two.csv")
    assert name != command._digest(load_performer(folder), SMALL, weights)


def test_the_shipped_weights_are_never_overwritten(performer, tmp_path, capsys):
    before = sorted((path.name, path.stat().st_mtime_ns) for path in WEIGHTS_DIR.iterdir())
    assert command.main([str(performer), "--out", str(WEIGHTS_DIR), "--work", str(tmp_path)]) == 1
    assert "Choose another folder" in capsys.readouterr().err
    assert sorted((path.name, path.stat().st_mtime_ns) for path in WEIGHTS_DIR.iterdir()) == before


def test_an_empty_folder_gets_one_sentence(tmp_path, capsys):
    assert command.main([str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "Put take1.wav beside take1.csv" in capsys.readouterr().err
