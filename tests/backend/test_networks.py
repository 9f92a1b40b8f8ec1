# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import pytest
import torch

from blender_demo.backend.audio.encoder import AudioEncoder, AudioEncoderConfig
from blender_demo.backend.errors import WeightsError
from blender_demo.backend.fcme.model import Fcme, FcmeConfig
from blender_demo.backend.flow.model import FlowConfig, LipPrior, VectorFields
from blender_demo.backend.motion.factors import LATENT_DIM
from blender_demo.backend.networks import WEIGHTS_FILE, Networks


@pytest.fixture
def networks() -> Networks:
    torch.manual_seed(0)
    flow = FlowConfig(
        lip_width=16, lip_depth=1, lip_reach=2, other_width=16, other_depth=1, other_reach=2, head_size=8,
        prior_width=16, prior_depth=1,
    )  # fmt: skip
    return Networks(
        AudioEncoder(AudioEncoderConfig(width=16, depth=1, heads=2, reach=2)),
        Fcme(FcmeConfig(hidden=8)),
        LipPrior(flow),
        VectorFields(flow),
        torch.randn(LATENT_DIM),
        torch.rand(LATENT_DIM),
    )


def test_what_is_saved_is_loaded(networks, tmp_path):
    networks.save(tmp_path)
    again = Networks.load(tmp_path)
    for name, module in networks.modules().items():
        for key, tensor in module.state_dict().items():
            assert torch.equal(again.modules()[name].state_dict()[key], tensor), key
    assert torch.equal(again.latent_mean, networks.latent_mean)
    assert [path.name for path in tmp_path.iterdir()] == [WEIGHTS_FILE]


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(WeightsError, match=r"missing.*Install the add-on again"):
        Networks.load(tmp_path)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def overwrite_with_text(path: Path) -> None:
    path.write_text("not a model")


def lose_its_header(path: Path) -> None:
    path.write_bytes(b"\xff" * 64 + path.read_bytes()[64:])


@pytest.mark.parametrize("damage", [cut_short, overwrite_with_text, lose_its_header])
def test_damaged_weights_are_refused_with_a_remedy(networks, tmp_path, damage):
    damage(networks.save(tmp_path))
    with pytest.raises(WeightsError, match="Install the add-on again"):
        Networks.load(tmp_path)
