# SPDX-License-Identifier: GPL-3.0-or-later
"""The measures call a code that keeps factors apart good, and a mixed one bad."""

import json
import sys

import numpy as np
import pytest
import torch

from blender_demo.backend.errors import WeightsError
from blender_demo.backend.evaluation import disentanglement
from blender_demo.backend.evaluation.disentanglement import angles_between_factors, drawn_from_prior, measure
from blender_demo.backend.fcme.model import Fcme, FcmeConfig
from blender_demo.backend.motion.factors import CHANNELS, FACTORS, LATENT_DIM, LIMITS, channel_slice, latent_slice
from blender_demo.backend.training.fcme import fitted_pairs


class Straight(Fcme):
    """Latents are the first channels of their factor, then turned by `mixing`."""

    def __init__(self, mixing: torch.Tensor) -> None:
        super().__init__()
        self.mixing = mixing
        self.kept = torch.cat(
            [torch.arange(channel_slice(f.name).start, channel_slice(f.name).stop)[: f.latent_dim] for f in FACTORS]
        )
        places = [latent_slice(f.name).start + i for f in FACTORS for i in range(min(f.latent_dim, len(f.channels)))]
        self.places = torch.tensor(places)

    def encode(self, channels):
        latents = torch.zeros(*channels.shape[:-1], LATENT_DIM)
        latents[..., self.places] = channels[..., self.kept]
        return type("Sure", (), {"mean": latents @ self.mixing})

    def decode(self, latents):
        channels = torch.zeros(*latents.shape[:-1], len(CHANNELS))
        channels[..., self.kept] = (latents @ self.mixing.inverse())[..., self.places]
        return channels


@pytest.fixture
def channels() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.rand(1200, len(CHANNELS))


def test_a_code_with_factors_apart_has_no_leakage_and_full_marks(channels):
    report = measure(Straight(torch.eye(LATENT_DIM)), channels, landmarks=False)
    assert report.leakage_ratio == 0
    assert np.diag(report.leakage).min() > 0.5
    assert report.disentanglement > 0.9
    assert report.completeness > 0.9
    off = report.probe[~np.eye(4, dtype=bool)]
    assert off.max() < 0.02
    assert report.mig > 0.5
    assert report.sap > 0.5


def test_a_mixed_code_is_told_from_it(channels):
    mixing, _ = torch.linalg.qr(torch.randn(LATENT_DIM, LATENT_DIM))
    report = measure(Straight(mixing), channels, landmarks=False)
    assert report.leakage_ratio > 0.3
    assert report.disentanglement < 0.4
    assert report.completeness < 0.4
    assert report.mig < 0.1
    assert report.sap < 0.4


def test_sub_spaces_of_the_dictionary_are_orthogonal():
    angles = angles_between_factors(Fcme())
    assert np.abs(angles[~np.eye(4, dtype=bool)] - 90).max() < 1e-3
    assert np.abs(np.diag(angles)).max() < 1e-3


def test_weights_without_landmark_input_are_refused():
    with pytest.raises(WeightsError, match="train"):
        drawn_from_prior(Fcme(), 10)


def test_the_command_writes_report_and_heat_map(tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    fcme = Fcme(FcmeConfig(hidden=16, landmarks=True))
    fitted_pairs(fcme, torch.rand(500, len(CHANNELS)) * 0.3, 4)
    drawn = drawn_from_prior(fcme, 50)
    low, high = torch.tensor([LIMITS[name] for name in CHANNELS]).T
    assert (drawn >= low).all()
    assert (drawn <= high).all()

    loaded = type("Loaded", (), {"fcme": fcme})
    monkeypatch.setattr(disentanglement.Networks, "load", lambda folder: loaded)
    monkeypatch.setattr(sys, "argv", ["disentanglement", "--out", str(tmp_path / "report.json"), "--count", "60"])
    disentanglement.main()
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["rig"]["leakage_ratio"] == 0
    assert np.shape(report["landmarks"]["leakage"]) == (4, 4)
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")
    assert "landmarks: leakage" in capsys.readouterr().out
