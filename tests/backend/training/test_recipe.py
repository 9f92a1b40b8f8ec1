# SPDX-License-Identifier: GPL-3.0-or-later
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from blender_demo.backend.audio.encoder import PHONES
from blender_demo.backend.networks import Networks

REPO = Path(__file__).resolve().parents[3]


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A made-up data set in the clip format: buzzing "speech" with made-up phones and, for one set, made-up motion."""
    rng = np.random.default_rng(0)
    splits: dict[str, list[str]] = {}
    for corpus in ("grid_s1", "facegood", "speechocean_train", "ljspeech"):
        folder = tmp_path / "data" / "clips" / corpus
        folder.mkdir(parents=True)
        splits[corpus] = ["clip0"]
        for i in range(3):
            sound = (
                np.sign(np.sin(2 * np.pi * rng.uniform(90, 200) * np.arange(48_000) / 16_000))
                * 0.1
                * (rng.random(48_000) > 0.3)
            )
            soundfile.write(folder / f"clip{i}.flac", sound, 16_000)
            if corpus in ("grid_s1", "facegood"):
                values = rng.random((75, 3), dtype=np.float32)
                np.savez(
                    folder / f"clip{i}.motion.npz",
                    names=np.array(["jawOpen", "mouthPucker", "mouthClose"]),
                    values=values,
                    fps=25.0,
                )
            if corpus != "facegood":
                cuts = np.linspace(0.5, 2.5, 15)
                timed = [
                    [str(rng.choice(PHONES)), float(a), float(b)] for a, b in pairwise(cuts)
                ]
                (folder / f"clip{i}.phones.json").write_text(json.dumps(timed))
    (tmp_path / "data" / "splits.json").write_text(json.dumps({"val": splits}))
    return tmp_path


def train(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "blender_demo.backend.training",
        folder / "data",
        "--work",
        folder / "work",
        "--out",
        folder,
        "--scale",
        "0.002",
        "--threads",
        "1",
    ]
    return subprocess.run(
        command, cwd=REPO, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )


def test_the_recipe_makes_loadable_weights_from_any_data_and_goes_on_from_its_checkpoints(recordings):
    first = train(recordings)
    assert first.returncode == 0, first.stderr[-2000:]
    Networks.load(recordings)
    checkpoint = recordings / "work" / "flow.pt"
    stamp = checkpoint.stat().st_mtime_ns
    again = train(recordings)
    assert again.returncode == 0, again.stderr[-2000:]
    assert checkpoint.stat().st_mtime_ns == stamp, "a finished stage was trained again"
