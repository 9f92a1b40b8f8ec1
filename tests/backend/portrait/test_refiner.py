# SPDX-License-Identifier: GPL-3.0-or-later
"""The refiner repairs what has moved, and leaves alone what has not."""

from pathlib import Path

import numpy as np
import pytest
import torch

from blender_demo.backend.errors import PortraitError
from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.portrait.frames import render_frames
from blender_demo.backend.portrait.portrait import build_portrait
from blender_demo.backend.portrait.refiner import (
    EYE,
    MOUTH,
    REFINER_FILE,
    RefinerNetwork,
    load_refiner,
    networks,
    save_refiner,
)
from blender_demo.backend.training.synthetic_heads import SyntheticPerson

from .heads import SIZE, both, clip_of, fit_with, portrait_of

TALK = {"jawOpen": 0.4, **both("mouthUpperUp", 0.3)}


@pytest.fixture(scope="module")
def portrait():
    return portrait_of(fit_with(jawOpen=0.1))


def frames(portrait, *acts: dict[str, float], refine: bool = True) -> np.ndarray:
    return np.stack(list(render_frames(portrait, clip_of(*acts), SIZE, SIZE, refine=refine)))[..., :3].astype(int)


def near(portrait, landmarks: range, margin: float) -> tuple[slice, slice]:
    at = portrait.fit.project(portrait.fit.vertices()[load_head().landmarks[landmarks]])
    low, high = np.floor(at.min(0) - margin).astype(int), np.ceil(at.max(0) + margin).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])


def test_what_is_at_rest_is_left_alone_to_the_bit(portrait):
    assert np.array_equal(frames(portrait, {}), frames(portrait, {}, refine=False))


def test_gaze_changes_the_eyes_alone(portrait):
    talking, looking = frames(portrait, TALK, {**TALK, "gazeYaw": 0.3})
    mouth = near(portrait, range(48, 68), margin=12)
    assert np.array_equal(talking[mouth], looking[mouth])
    added = frames(portrait, {"gazeYaw": 0.3}) - frames(portrait, {"gazeYaw": 0.3}, refine=False)
    eyes = near(portrait, range(36, 48), margin=16)
    assert np.abs(added[0][eyes]).max() > 2
    added[0][eyes] = 0
    assert not added.any()


def test_a_talking_mouth_is_repaired_and_nothing_far_from_it(portrait):
    added = (frames(portrait, TALK) - frames(portrait, TALK, refine=False))[0]
    mouth = near(portrait, range(31, 68), margin=0)
    assert np.abs(added[near(portrait, range(60, 68), margin=0)]).mean() > 2
    rows, columns = np.nonzero(np.abs(added).max(-1))
    below = near(portrait, range(17), margin=25)
    assert rows.min() > mouth[0].start
    assert rows.max() < below[0].stop
    assert below[1].start < columns.min()
    assert columns.max() < below[1].stop


def test_slow_motion_does_not_pulse(portrait):
    """Ten steps on the way from one pose to the next: what is added changes as steadily as the frame does."""
    steps = [{name: weight * k / 10 for name, weight in TALK.items()} for k in range(1, 11)]
    on, off = (frames(portrait, *steps, refine=refine).astype(float) for refine in (True, False))
    mouth = near(portrait, range(48, 68), margin=2)
    jerk = {
        name: np.abs(np.diff(values[:, *mouth], n=2, axis=0)).mean() for name, values in {"on": on, "off": off}.items()
    }
    assert jerk["on"] < 1.5 * jerk["off"] + 0.5


def test_the_same_frame_is_the_same_to_the_bit(portrait):
    assert np.array_equal(frames(portrait, TALK, {}, TALK)[0], frames(portrait, TALK, {}, TALK)[2])


def test_the_shipped_network_is_small_and_its_weights_are_read_once():
    loaded = load_refiner()
    assert set(loaded) == {MOUTH.name, EYE.name}
    assert loaded is load_refiner()
    assert 1e6 < sum(p.numel() for network in loaded.values() for p in network.parameters()) < 5e6


def test_an_untrained_network_adds_nothing():
    network = RefinerNetwork(MOUTH.inputs, MOUTH.widths)
    assert not network(torch.rand(1, MOUTH.inputs, MOUTH.height, MOUTH.width)).any()


def test_weights_come_back_as_they_were_saved(tmp_path: Path):
    trained = networks()
    for network in trained.values():
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    save_refiner(trained, tmp_path / "portrait.safetensors")
    back = load_refiner(tmp_path / "portrait.safetensors")
    for name, network in trained.items():
        for parameter, saved in zip(network.parameters(), back[name].parameters(), strict=True):
            assert torch.equal(parameter.half().float(), saved)


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"\0" * 100])
def test_damaged_weights_are_refused_with_a_remedy(tmp_path: Path, damage):
    path = tmp_path / "portrait.safetensors"
    path.write_bytes(damage(REFINER_FILE.read_bytes()))
    with pytest.raises(PortraitError, match="switch the refiner off"):
        load_refiner(path)


def test_missing_weights_are_refused_with_a_remedy(tmp_path: Path):
    with pytest.raises(PortraitError, match=r"missing.*switch the refiner off"):
        load_refiner(tmp_path / "portrait.safetensors")


def test_mouths_of_people_it_never_saw_come_out_better():
    clip = clip_of(TALK, {"jawOpen": 0.25, "headYaw": 0.1}, both("mouthSmile", 0.8) | both("mouthLowerDown", 0.5))
    off, on = [], []
    for seed in (70_001, 70_002, 70_003):
        person = SyntheticPerson(seed, 256)
        portrait = build_portrait(person.picture(), person.landmarks())
        true, mouth = np.stack(list(person.frames(clip))), person.regions(clip)["mouth"]
        for refine, errors in ((False, off), (True, on)):
            drawn = np.stack(list(render_frames(portrait, clip, 256, 256, refine=refine))) / 255
            errors.append(((drawn - true)[mouth] ** 2).mean())
    assert 10 * np.log10(np.mean(off) / np.mean(on)) > 1
