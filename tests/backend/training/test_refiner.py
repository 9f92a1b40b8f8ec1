# SPDX-License-Identifier: GPL-3.0-or-later
"""The refiner's training: pairs of patches, a loss that falls, a run that goes on where it stopped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNEL_INDEX, CHANNELS
from blender_demo.backend.portrait.refiner import EYE, MOUTH, load_refiner
from blender_demo.backend.training.loop import TrainingLoop
from blender_demo.backend.training.portrait_pairs import make_pairs, write_pairs
from blender_demo.backend.training.refiner import Pairs, RefinerRecipe, gain_db, train, train_refiner

SIZE, FRAMES = 192, 4
QUICK = replace(RefinerRecipe(), batch=4, steps=12)


@pytest.fixture(scope="module")
def motion() -> MotionClip:
    channels = np.zeros((20, len(CHANNELS)), np.float32)
    channels[:, CHANNEL_INDEX["jawOpen"]] = np.linspace(0.2, 0.6, 20)
    return MotionClip(30.0, channels)


@pytest.fixture(scope="module")
def stored(motion: MotionClip) -> dict[str, np.ndarray]:
    return make_pairs(11, [motion], FRAMES, SIZE)


@pytest.fixture(scope="module")
def pairs(stored: dict[str, np.ndarray]) -> Pairs:
    return Pairs(*(torch.from_numpy(stored[f"mouth_{name}"]) for name in ("inputs", "truth", "moved")))


def test_pairs_are_the_same_patch_of_portrait_and_truth(stored: dict[str, np.ndarray]):
    for region, each in ((MOUTH, 1), (EYE, 2)):
        inputs, truth, moved = (stored[f"{region.name}_{name}"] for name in ("inputs", "truth", "moved"))
        assert inputs.shape == (each * FRAMES, region.inputs, region.height, region.width)
        assert truth.shape == (each * FRAMES, 3, region.height, region.width)
        assert ((moved >= 0) & (moved <= 1)).all()
        for one, other in zip(inputs[:, :3].astype(float), truth.astype(float), strict=True):
            assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.6
            assert np.abs(one - other).mean() < 0.1
    cover = stored["mouth_inputs"][:, 3 : 3 + len(MOUTH.kinds)].astype(float)
    assert np.allclose(cover.sum(1).max((1, 2)), 1, atol=0.01)
    assert (cover[:, 1:].sum(1) > 0.5).any((1, 2)).all()  # jaws are open


def test_a_person_is_drawn_once(motion: MotionClip, tmp_path: Path):
    (path,) = write_pairs(tmp_path, range(12, 13), [motion], 1)
    before = path.stat().st_mtime_ns
    assert write_pairs(tmp_path, range(12, 13), [motion], 1) == [path]
    assert path.stat().st_mtime_ns == before
    with np.load(path) as data:
        assert data["eye_moved"].shape == (2,)


def test_the_error_falls(pairs: Pairs, tmp_path: Path):
    network = train_refiner(MOUTH, pairs, replace(QUICK, steps=30), TrainingLoop("mouth", tmp_path))
    off, on = gain_db(network, pairs, MOUTH)
    assert on > off + 0.3


def test_a_run_that_was_interrupted_ends_as_an_unbroken_one(pairs: Pairs, tmp_path: Path):
    class Killed(Exception):
        pass

    class Mortal(TrainingLoop):
        def _save(self, path, network, average, optimizer, step, curves) -> None:
            super()._save(path, network, average, optimizer, step, curves)
            if step == 6:
                raise Killed

    whole = train_refiner(MOUTH, pairs, QUICK, TrainingLoop("whole", tmp_path))
    with pytest.raises(Killed):
        train_refiner(MOUTH, pairs, QUICK, Mortal("broken", tmp_path, save_every=6))
    broken = train_refiner(MOUTH, pairs, QUICK, TrainingLoop("broken", tmp_path))
    for one, other in zip(whole.parameters(), broken.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_the_whole_recipe_runs(tmp_path: Path):
    recipe = replace(RefinerRecipe(), people=6, frames=6, steps=120, batch=8)
    figures = train(recipe, tmp_path, tmp_path / "portrait.safetensors")
    for name in (MOUTH.name, EYE.name):
        assert figures[name]["on_db"] > figures[name]["off_db"]
    assert set(load_refiner(tmp_path / "portrait.safetensors")) == {MOUTH.name, EYE.name}
