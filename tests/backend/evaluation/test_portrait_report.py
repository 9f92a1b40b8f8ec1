# SPDX-License-Identifier: GPL-3.0-or-later
"""The report on portraits, on people that are the head model itself."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student

from blender_demo.backend.evaluation import portrait_report
from blender_demo.backend.evaluation.__main__ import main
from blender_demo.backend.evaluation.portrait_report import FIGURES, leakage_report, table, video_report
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.portrait.performance import perform
from blender_demo.backend.training.synthetic_heads import SyntheticPerson

from ..portrait.heads import clip_of

SIZE = 160
WAYS = {"still", "warp_tracked", "warp_followed", "ours_followed", "plain_followed"}


@pytest.fixture(scope="module")
def person() -> SyntheticPerson:
    return SyntheticPerson(50_003, SIZE)


@pytest.fixture
def video(person: SyntheticPerson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two videos of a person whose head turns and whose mouth opens, and with its landmarks."""
    clip = clip_of(*({"headYaw": 0.02 * t, "jawOpen": 0.06 * t} for t in range(6)))
    frames, points = np.stack(list(person.frames(clip))), landmarks_of(person, clip)
    for name in ("a", "b"):
        (tmp_path / f"{name}.mp4").touch()
        np.savez(tmp_path / f"{name}.landmarks.npz", points=points[:, :68], iris=points[:, 68:].reshape(-1, 2, 5, 2))
    monkeypatch.setattr(portrait_report, "read_video", lambda path: (frames, 25.0))
    monkeypatch.setattr(portrait_report, "find_spec", lambda name: None)
    return tmp_path


def landmarks_of(person: SyntheticPerson, clip: MotionClip) -> np.ndarray:
    head, acts = portrait_report.load_head(), perform(person.fit, clip)
    at = person.posed.projected(person.posed.turned(person.posed.shaped(acts), acts))[..., :2].numpy()
    return at[:, np.concatenate([head.landmarks, head.iris.ravel()])]


def test_all_ways_are_measured_and_moving_beats_holding_still(video: Path):
    out = video / "report.json"
    assert main(["--portrait", "--videos", str(video), "--out", str(out)]) == 0
    report = json.loads(out.read_text())["videos"]
    assert report["skipped"] == []
    mean = report["all"]["mean"]
    assert set(mean) == WAYS
    assert mean["ours_followed"]["psnr_face"] > mean["still"]["psnr_face"] + 3
    assert mean["ours_followed"]["ssim_face"] > mean["still"]["ssim_face"]
    assert report["all"]["count"] == 2
    assert report["tuned"]["count"] == report["held_out"]["count"] == 1
    lead = report["all"]["lead"]["ours_followed - still"]["psnr_face"]
    assert lead["mean"] == pytest.approx(mean["ours_followed"]["psnr_face"] - mean["still"]["psnr_face"])
    assert all(figure in table(report["all"]) for figure in FIGURES)


def test_a_video_that_cannot_be_used_is_named_and_left_out(video: Path):
    (video / "b.landmarks.npz").write_bytes(b"nothing")
    report = video_report([video / "a.mp4", video / "b.mp4"], None, video, every=5)
    assert [entry["clip"] for entry in report["skipped"]] == ["b"]
    assert report["all"]["count"] == 1


def test_intervals_are_those_of_student():
    rows = [{"still": dict.fromkeys(FIGURES, value), "ours": dict.fromkeys(FIGURES, 2 * value)} for value in (1.0, 3.0)]
    pooled = portrait_report._pooled(rows)
    half = student.ppf(0.975, 1) * np.sqrt(2.0) / np.sqrt(2)
    assert pooled["mean"]["still"]["psnr_face"] == pytest.approx(2.0)
    assert pooled["interval"]["still"]["psnr_face"] == pytest.approx(half)
    assert pooled["lead"]["ours - still"]["psnr_face"]["interval"] == pytest.approx(half)


def test_gaze_and_lids_leave_the_mouth_and_a_held_face_does_not_flicker():
    report = leakage_report([50_003], SIZE)
    for part in ("gaze", "lids"):
        assert report["changes"][part]["mouth"] == 0
        assert report["changes"][part]["eyes"] > 20
    assert report["changes"]["lips"]["mouth"] > 20
    assert report["flicker_held"] == 0


def test_synthetic_people_are_measured_against_their_true_frames():
    report = portrait_report.synthetic_report([50_003], SIZE, frames=3)
    assert report["mean"]["ours"]["psnr_face"] > report["mean"]["still"]["psnr_face"]


def test_nothing_to_measure_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture):
    assert main(["--portrait", "--out", str(tmp_path / "report.json")]) == 1
    assert "--videos" in capsys.readouterr().err
