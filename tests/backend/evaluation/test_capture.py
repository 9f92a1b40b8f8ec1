# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion captured from videos: what is put into landmarks and matrices comes out as channels."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from blender_demo.backend.errors import ClipError
from blender_demo.backend.evaluation.capture import followed_clip, read_captured_clip
from blender_demo.backend.evaluation.video import Track
from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.portrait.performance import perform
from blender_demo.backend.portrait.stage import PosedHead

from ..portrait.heads import SIZE, both, clip_of, fit_with

FIT = fit_with(jawOpen=0.1)
FRAMES = 30


def eased(**ends: float) -> list[dict[str, float]]:
    """A still start and a still end, so that smoothing leaves both as they are."""
    way = np.clip((np.arange(FRAMES) - 8) / 12, 0, 1)
    return [{name: end * amount for name, end in ends.items()} for amount in way * way * (3 - 2 * way)]


def track_of(clip: MotionClip) -> Track:
    """What a tracker without errors would see of a clip, off the model's own places as faces are."""
    head, acts = load_head(), perform(FIT, clip)
    posed = PosedHead(FIT, SIZE, SIZE, "cpu")
    at = posed.projected(posed.turned(posed.shaped(acts), acts))[..., :2].numpy()
    off = np.random.default_rng(2).normal(0, 0.5, (68, 2))
    return Track(at[:, head.landmarks] + off, at[:, head.iris])


@pytest.mark.parametrize(
    ("act", "tolerance"),
    [({"headYaw": 0.1, "headPitch": -0.06, "headRoll": 0.05}, 0.01), ({"headX": 0.02, "headY": -0.03}, 0.003)],
)
def test_the_head_of_a_track_is_followed(act: dict[str, float], tolerance: float):
    found = followed_clip(track_of(clip_of(*eased(**act))), FIT, 25.0)
    for name, value in act.items():
        assert found[name][-1] == pytest.approx(value, abs=tolerance)
    assert np.abs(found["jawOpen"]).max() < 0.02


@pytest.mark.parametrize(
    "act", [{"jawOpen": 0.4}, both("mouthSmile", 0.5), both("eyeBlink", 0.8), {"mouthPucker": 0.6}]
)
def test_landmarks_of_the_clip_come_where_those_of_the_track_are(act: dict[str, float]):
    track = track_of(clip_of(*eased(**act)))
    again = track_of(followed_clip(track, FIT, 25.0))
    moved = np.linalg.norm(track.points[-1] - track.points[0], axis=-1)
    missed = np.linalg.norm((again.points[-1] - again.points[0]) - (track.points[-1] - track.points[0]), axis=-1)
    assert moved.max() > 1.0
    assert missed.max() < 0.15 * moved.max() + 0.1


def test_gaze_is_where_the_irises_go():
    found = followed_clip(track_of(clip_of(*eased(gazeYaw=0.25, gazePitch=-0.15))), FIT, 25.0)
    assert found["gazeYaw"][-1] == pytest.approx(0.25, abs=0.05)
    assert found["gazePitch"][-1] == pytest.approx(-0.15, abs=0.05)


def write_capture(path: Path, **changed: object) -> Path:
    """The head still, then turned and moved, while the jaw opens and the lids shut."""
    way = np.array([act["to"] for act in eased(to=1.0)])
    matrices = np.tile(np.eye(4), (FRAMES, 1, 1))
    matrices[:, :3, :3] = Rotation.from_euler("YXZ", way[:, None] * [-0.2, 0.1, 0.05]).as_matrix()
    matrices[:, :3, 3] = [1.0, -2.0, -40.0]
    content = {
        "names": ["jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "notAChannel"],
        "values": np.stack([0.1 + 0.3 * way, 0.2 + 0.8 * way, 0.8 * way, way], axis=1),
        "head": matrices.astype(np.float32),
        "fps": 25.0,
    }
    np.savez(path, **(content | changed))
    return path


def test_a_capture_is_relative_to_its_first_frame(tmp_path: Path):
    clip = read_captured_clip(write_capture(tmp_path / "a.motion.npz"), FIT)
    assert np.abs(clip.channels[0]).max() == 0
    assert clip["jawOpen"][-1] == pytest.approx(0.3, abs=1e-5)
    assert clip["eyeBlinkLeft"][-1] == pytest.approx(1.0, abs=1e-5)  # shut, though narrow at first
    for name, angle in (("headYaw", 0.2), ("headPitch", 0.1), ("headRoll", 0.05)):
        assert clip[name][-1] == pytest.approx(angle, abs=1e-4)


def test_a_head_that_comes_nearer_grows_as_much(tmp_path: Path):
    matrices = np.tile(np.eye(4, dtype=np.float32), (FRAMES, 1, 1))
    matrices[:, 2, 3] = -40 + np.array([act["to"] for act in eased(to=4.0)])
    clip = read_captured_clip(write_capture(tmp_path / "a.motion.npz", head=matrices), FIT)
    still = MotionClip(clip.fps, np.where(np.arange(clip.channels.shape[1]) < 29, 0, clip.channels))
    points = track_of(still).points
    grown = np.ptp(points[-1, :17, 0]) / np.ptp(points[0, :17, 0])
    assert grown == pytest.approx(40 / 36, abs=0.02)


@pytest.mark.parametrize("changed", [{"head": np.zeros((2, 4, 4))}, {"values": np.zeros((FRAMES, 2))}])
def test_what_is_no_capture_is_refused(tmp_path: Path, changed: dict):
    with pytest.raises(ClipError, match="no capture"):
        read_captured_clip(write_capture(tmp_path / "a.motion.npz", **changed), FIT)
