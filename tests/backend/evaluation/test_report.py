# SPDX-License-Identifier: GPL-3.0-or-later
"""The evaluation of whole folders: what is in the report for whatever a folder has."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from blender_demo.backend.errors import ClipError
from blender_demo.backend.evaluation.__main__ import main
from blender_demo.backend.evaluation.clips import Truth, find_recordings, read_truth
from blender_demo.backend.evaluation.observation import FIGURES, figures, observe, pool
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNEL_INDEX, CHANNELS, MODEL_FPS

REPO = Path(__file__).resolve().parents[3]
BY_PHONES = {"closure_auc", "rounding_auc", "open_auc", "closure_recall", "closure_precision", "av_offset_ms"}
BY_MOTION = {
    "aperture_pearson", "aperture_concordance", "jaw_pearson", "rounding_pearson", "lip_pearson", "std_ratio",
    "lip_vertex_error_percent",
}  # fmt: skip
BY_SOUND = {"blinks_per_minute", "jerk", "energy_above_10hz", "real_time_factor", "function_evaluations"}
PHONES = [["SIL", 0.0, 0.2], ["AA1", 0.2, 0.5], ["M", 0.5, 0.6], ["IY", 0.6, 0.8], ["UW0", 0.8, 1.0], ["S", 1.0, 1.2]]


def write_sound(folder: Path, name: str) -> None:
    samples, rate = soundfile.read(REPO / "demo" / "speech.ogg", frames=24_000)
    soundfile.write(folder / f"{name}.wav", samples, rate)


def write_phones(folder: Path, name: str) -> None:
    (folder / f"{name}.phones.json").write_text(json.dumps(PHONES))


def write_motion(folder: Path, name: str) -> None:
    jaw = 0.2 + 0.2 * np.sin(np.arange(30) / 3)
    values = np.stack([jaw, np.zeros(30), jaw], axis=1)
    np.savez(folder / f"{name}.motion.npz", names=["jawOpen", "mouthFunnel", "notAChannel"], values=values, fps=25.0)


def clip_of(frames: int = 60, **tracks: np.ndarray | float) -> MotionClip:
    channels = np.zeros((frames, len(CHANNELS)), np.float32)
    for name, track in tracks.items():
        channels[:, CHANNEL_INDEX[name]] = track
    return MotionClip(MODEL_FPS, channels)


def report_of(folder: Path, *options: str) -> tuple[int, dict]:
    out = folder / "out" / "report.json"
    code = main([str(folder), "--out", str(out), "--threads", "1", *options])
    return code, json.loads(out.read_text())


@pytest.fixture
def steps(tmp_path_factory) -> str:
    """A settings file that makes generation quick."""
    path = tmp_path_factory.mktemp("settings") / "settings.json"
    path.write_text('{"steps": 1}')
    return str(path)


def test_a_folder_of_all_kinds_is_measured_beside_a_peer(tmp_path, steps, capsys):
    for name in ("all", "heard"):
        write_sound(tmp_path, name)
    write_phones(tmp_path, "all")
    write_motion(tmp_path, "all")
    cues = {"cues": [[0.0, 0.5, "D"], [0.5, 0.6, "A"], [0.6, 1.5, "F"]], "seconds": 0.3, "audio": 1.5}
    peer = tmp_path / "peer.json"
    peer.write_text(json.dumps({"peer": "cues", "clips": {"anywhere": {"all": cues}}}))
    code, report = report_of(tmp_path, "--settings", steps, "--peer", f"cues={peer}", "--function-evaluations", "2")
    assert code == 0
    assert set(report["ours"]) == BY_PHONES | BY_MOTION | BY_SOUND == set(FIGURES)
    by_name = {row["clip"]: row for row in report["clips"]}
    assert set(by_name["all"]) - {"clip", "seconds"} == set(FIGURES)
    assert set(by_name["heard"]) - {"clip", "seconds"} == BY_SOUND
    theirs = report["peers"]["cues"]
    assert set(theirs) >= BY_PHONES | BY_MOTION
    assert theirs["real_time_factor"] == pytest.approx(0.2)
    assert (theirs["clips_measured"], theirs["clips_missing"]) == (1, 1)
    assert theirs["ours_on_peer_clips"]["aperture_pearson"] == by_name["all"]["aperture_pearson"]
    assert set(report["captured"]) >= BY_PHONES
    assert report["by_function_evaluations"]["2"]["function_evaluations"] == 2
    assert {"report_tracks.png", "report_bars.png"} <= {path.name for path in (tmp_path / "out").iterdir()}
    table = capsys.readouterr().out
    assert table.split()[:3] == ["ours", "cues", "captured"]
    assert "closure_auc" in table


def test_sound_alone_is_measured_as_far_as_that_goes(tmp_path, steps):
    write_sound(tmp_path, "heard")
    code, report = report_of(tmp_path, "--settings", steps)
    assert code == 0
    assert set(report["ours"]) == BY_SOUND
    assert "captured" not in report


def test_samples_are_pooled_and_their_spread_is_told(tmp_path, steps):
    write_sound(tmp_path, "heard")
    write_phones(tmp_path, "heard")
    _, report = report_of(tmp_path, "--settings", steps, "--samples", "2")
    assert report["samples"] == 2
    assert len(report["clips"]) == 1
    assert report["ours_std_over_samples"]["jerk"] > 0


def test_broken_clips_are_named_and_the_others_measured(tmp_path, steps, capsys):
    for name in ("a", "b", "c"):
        write_sound(tmp_path, name)
    (tmp_path / "a.phones.json").write_text("{")
    (tmp_path / "b.motion.npz").write_bytes(b"no archive")
    (tmp_path / "d.flac").write_bytes(b"")
    code, report = report_of(tmp_path, "--settings", steps)
    assert code == 1
    assert [row["clip"] for row in report["clips"]] == ["c"]
    assert {problem["clip"] for problem in report["skipped"]} == {"a", "b", "d"}
    said = capsys.readouterr().err
    assert all(f"Left out {name}: " in said for name in "abd")


def test_a_folder_of_nothing_but_broken_clips_still_gets_a_report(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"")
    code, report = report_of(tmp_path)
    assert code == 1
    assert len(report["skipped"]) == 1


@pytest.mark.parametrize("arguments", [["nowhere"], ["."]])
def test_a_folder_without_recordings_gets_one_sentence(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--out", "report.json"]) == 1
    said = capsys.readouterr().err
    assert "recordings" in said
    assert said.count("\n") == 1


def test_splits_choose_the_validation_clips_of_the_folders_they_name(tmp_path):
    folder = tmp_path / "known"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.wav").touch()
    splits = tmp_path / "splits.json"
    splits.write_text('{"val": {"known": ["two"]}}')
    assert [path.stem for path in find_recordings(folder, splits)] == ["two"]
    splits.write_text('{"val": {"other": []}}')
    assert len(find_recordings(folder, splits)) == 2


def test_phones_lose_their_stress_and_are_put_in_order(tmp_path):
    (tmp_path / "a.phones.json").write_text('[["s", 0.5, 0.6], ["AA1", 0.1, 0.5]]')
    assert read_truth(tmp_path / "a.wav").phones == (("AA", 0.1, 0.5), ("S", 0.5, 0.6))


@pytest.mark.parametrize("rows", ['[["AA", 1.0, 0.5]]', '[["AA", 0.1]]', '[["AA", "now", 0.5]]', "3"])
def test_phones_that_are_none_are_refused(rows, tmp_path):
    (tmp_path / "a.phones.json").write_text(rows)
    with pytest.raises(ClipError, match="Align it again"):
        read_truth(tmp_path / "a.wav")


def test_motion_equal_to_the_captured_one_is_perfect():
    jaw = 0.3 + 0.2 * np.sin(np.arange(60) / 4)
    clip = clip_of(jawOpen=jaw, mouthPucker=jaw[::-1], mouthLeft=0.01 * jaw)
    found = figures(observe(clip, Truth(Path("a.wav"), clip_of(jawOpen=jaw, mouthPucker=jaw[::-1]), None)))
    for name in BY_MOTION - {"lip_vertex_error_percent"}:
        assert found[name] == pytest.approx(1.0, abs=2e-3), name


def test_lip_channels_that_were_not_captured_are_left_out_of_the_comparison():
    jaw = 0.3 + 0.2 * np.sin(np.arange(60) / 4).astype(np.float32)
    captured = MotionClip(MODEL_FPS, jaw[:, None], ("jawOpen",))
    found = figures(observe(clip_of(jawOpen=jaw, mouthFunnel=0.5), Truth(Path("a.wav"), captured, None)))
    assert found["lip_vertex_error_percent"] == pytest.approx(0.0, abs=1e-4)
    assert found["lip_pearson"] == pytest.approx(1.0)


def test_motion_captured_at_another_rate_is_compared_at_the_same_times():
    def jaw(frames: int, fps: float) -> np.ndarray:
        return (0.3 + 0.2 * np.sin(np.arange(frames) / fps * 5)).astype(np.float32)

    captured = MotionClip(50.0, jaw(80, 50.0)[:, None], ("jawOpen",))
    observed = observe(clip_of(jawOpen=jaw(60, MODEL_FPS)), Truth(Path("a.wav"), captured, None))
    assert observed.tracks["jaw"].shape == (2, 48)
    assert figures(observed)["jaw_pearson"] > 0.9999


def test_pooled_figures_weigh_frames_and_segments_alike():
    truth = Truth(Path("a.wav"), None, (("AA", 0.0, 1.0), ("M", 1.0, 2.0)))
    shut = np.repeat([0.5, 0.0], 30)
    right, wrong = observe(clip_of(jawOpen=shut), truth), observe(clip_of(jawOpen=0.5), truth)
    long = Truth(Path("b.wav"), None, (("AA", 0.0, 3.0), ("M", 3.0, 4.0)))
    still = observe(clip_of(frames=120, jawOpen=0.5), long)
    assert figures(right)["closure_auc"] == 1.0
    assert figures(pool([right, wrong]))["closure_recall"] == 0.5
    pooled = figures(pool([right, wrong, still]))
    shut_share = 30 / (30 + 30 + 30)  # of the frames in M: they lie under all vowels, the others are level with them
    assert pooled["closure_auc"] == pytest.approx(shut_share + 0.5 * (1 - shut_share))
    assert pooled["closure_recall"] == pytest.approx(1 / 3)


def test_blinks_pool_by_minutes():
    truth = Truth(Path("a.wav"), None, None)
    lid = np.zeros(60)
    lid[10:14] = 1.0
    pooled = figures(pool([observe(clip_of(eyeBlinkLeft=lid), truth), observe(clip_of(frames=540), truth)]))
    assert pooled["blinks_per_minute"] == pytest.approx(1 / (600 / MODEL_FPS / 60))
