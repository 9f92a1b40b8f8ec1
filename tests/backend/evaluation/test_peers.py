# SPDX-License-Identifier: GPL-3.0-or-later
"""Mouth cues of other programs as motion."""

import json
from pathlib import Path

import numpy as np
import pytest

from blender_demo.backend.errors import ClipError
from blender_demo.backend.evaluation.measures import aperture, full_channels, rounding
from blender_demo.backend.evaluation.peers import SHAPES, Peer, cues_to_motion

CUES = [(0.0, 0.5, "X"), (0.5, 1.0, "D"), (1.0, 1.02, "A"), (1.02, 1.5, "D")]


def shown(shape: str) -> np.ndarray:
    clip = cues_to_motion([(0.0, 1.0, shape)], 1.0)
    return full_channels(clip, clip.names)[:1]


def test_the_shapes_look_as_their_documentation_says():
    opening = {shape: aperture(shown(shape))[0] for shape in SHAPES}
    assert opening["A"] == opening["X"] == 0.0
    assert 0.0 < opening["B"] < opening["E"] <= opening["C"] < opening["H"] < opening["D"]
    narrow = {shape: rounding(shown(shape))[0] for shape in SHAPES}
    assert narrow["F"] == max(narrow.values())
    assert narrow["B"] == min(narrow.values())
    assert narrow["X"] < narrow["E"] < narrow["F"]


def test_shapes_blend_linearly_over_80_ms_around_the_border():
    clip = cues_to_motion(CUES, 1.5)
    times = np.arange(len(clip)) / clip.fps
    blend = np.clip((times - 0.46) / 0.08, 0.0, 1.0) * SHAPES["D"]["jawOpen"]
    before = times < 0.95
    np.testing.assert_allclose(clip["jawOpen"][before], blend[before], atol=1e-6)


def test_a_cue_shorter_than_the_blend_is_reached_in_its_middle():
    cues = [(0.0, 0.49, "D"), (0.49, 0.51, "A"), (0.51, 1.0, "D")]
    jaw = cues_to_motion(cues, 1.0)["jawOpen"]
    assert jaw[15] == pytest.approx(0.0, abs=1e-6)
    assert jaw[14] == jaw[16] == pytest.approx(SHAPES["D"]["jawOpen"])


def test_one_cue_is_held_throughout():
    assert cues_to_motion([(0.0, 1.0, "C")], 1.0)["jawOpen"] == pytest.approx(SHAPES["C"]["jawOpen"])


def test_both_sides_follow_a_name_without_a_side():
    clip = cues_to_motion([(0.0, 1.0, "B")], 1.0)
    assert clip["mouthStretchLeft"][0] == clip["mouthStretchRight"][0] == pytest.approx(SHAPES["B"]["mouthStretch"])


def test_a_clip_is_found_in_another_folder_and_a_missing_one_is_none(tmp_path):
    file = tmp_path / "peer.json"
    file.write_text(json.dumps({"clips": {"elsewhere": {"one": {"cues": CUES, "seconds": 0.2, "audio": 1.5}}}}))
    peer = Peer.read("rhubarb", file)
    taken = peer.take(Path("here") / "one.wav")
    assert taken is not None
    assert (len(taken[0]), taken[1]) == (45, 0.2)
    assert peer.take(Path("here") / "two.wav") is None


def test_a_file_without_cues_and_an_unknown_shape_are_named(tmp_path):
    file = tmp_path / "peer.json"
    file.write_text("[]")
    with pytest.raises(ClipError, match=r"peer\.json"):
        Peer.read("rhubarb", file)
    broken = Peer("rhubarb", {"here": {"one": {"cues": [[0.0, 1.0, "Q"]], "seconds": 0.1, "audio": 1.0}}})
    with pytest.raises(ClipError, match="one"):
        broken.take(Path("here") / "one.wav")
