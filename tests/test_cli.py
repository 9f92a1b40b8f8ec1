# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line from end to end: clips, Blender files, exit statuses, and what is printed where."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import bpy
import numpy as np
import pytest
import soundfile

import blender_demo
from blender_demo import cli
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNEL_INDEX, CHANNELS
from blender_demo.backend.portrait.controls import PortraitControls
from blender_demo.backend.portrait.png import encode_png
from blender_demo.backend.worker.client import Worker
from blender_demo.scene.character import find_character
from blender_demo.scene.detect import detect_character
from blender_demo.scene.edit_profile import edit, rows_of
from blender_demo.scene.head import add_head
from blender_demo.scene.profiles import store_profile
from tests.worker_python import WORKER_PYTHON

ROOT = Path(__file__).parents[1]
FAKE_CHILD = ROOT / "tests" / "backend" / "worker" / "fake_child.py"
WEIGHTS = ROOT / "blender_demo" / "backend" / "weights" / "demo.safetensors"


@pytest.fixture
def sound(tmp_path):
    """A short recording."""
    path = tmp_path / "a.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(24000), 16000)
    return path


@pytest.fixture
def clip(tmp_path):
    """A clip in which the jaw opens and closes."""
    channels = np.zeros((60, len(CHANNELS)), np.float32)
    channels[:, CHANNEL_INDEX["jawOpen"]] = 0.5 - 0.5 * np.cos(np.arange(60) / 5)
    path = tmp_path / "clip.npz"
    MotionClip(30.0, channels).save(path)
    return path


@pytest.fixture
def fake_generator(monkeypatch):
    """Let the worker use the fake generator."""
    monkeypatch.setattr(cli, "Worker", partial(Worker, script=FAKE_CHILD))


@pytest.fixture(autouse=True)
def _empty_blender():
    yield
    bpy.ops.wm.read_homefile(use_empty=True, app_template="")


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="needs the trained weights")
def test_from_sound_to_a_blender_file(sound, tmp_path, capfd):
    npz, blend = tmp_path / "take.npz", tmp_path / "take.blend"
    assert run("generate", sound, "--out", npz, "--python", WORKER_PYTHON) == cli.OK
    assert run("bake", npz, "--head", "--out", blend) == cli.OK
    clip = MotionClip.load(npz)
    assert clip.names == CHANNELS
    assert clip.duration_s == pytest.approx(1.5, abs=0.05)
    assert "Wrote" in capfd.readouterr().out
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    assert bpy.data.objects["DEMO Head"].data.shape_keys.animation_data.nla_tracks


@pytest.mark.usefixtures("fake_generator")
def test_settings_are_those_of_the_command_line(sound, tmp_path, capsys):
    out = tmp_path / "take.npz"
    options = ["--seed", 7, "--steps", 3, "--device", "cpu", "--start", 0.5, "--duration", 1, "--json"]
    factors = ["--factor", "lip.gain=1.5", "--factor", "pose.seed_offset=2"]
    assert run("generate", sound, "--out", out, "--python", WORKER_PYTHON, *options, *factors) == cli.OK
    done = lines(capsys.readouterr().out)[-1]
    assert done["event"] == "done"
    settings = done["settings"]
    assert (settings["seed"], settings["steps"], settings["device"]) == (7, 3, "cpu")
    assert settings["factors"]["lip"]["gain"] == 1.5
    assert settings["factors"]["pose"]["seed_offset"] == 2
    assert MotionClip.load(out).audio_hash == "0.5-1.0"


DIRECTED = {
    "emotion": "happy",
    "intensity": 0.7,
    "style": "auto",
    "grid": "epss",
    "given": {"pose": "clip.npz", "eyes": "clip.npz"},
    "prefix": "clip.npz",
    "suffix": "clip.npz",
    "factor": {"lip.gain": 1.5},
}


def assert_directed(out, clip):
    """That a take was made with the settings of DIRECTED."""
    told = MotionClip.load(out).settings
    assert (told["emotion"], told["intensity"], told["style"], told["grid"]) == ("happy", 0.7, "auto", "epss")
    assert told["prefix"] == told["suffix"] == str(clip)
    assert [told["factors"][name]["given"] for name in ("lip", "pose", "eyes")] == ["", str(clip), str(clip)]
    assert told["factors"]["lip"]["gain"] == 1.5


@pytest.mark.usefixtures("fake_generator")
def test_every_way_to_direct_a_take_reaches_the_generator(sound, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = [f"--{key}={value}" for key, value in DIRECTED.items() if not isinstance(value, dict)]
    options += ["--given", "pose=clip.npz", "--given", "eyes=clip.npz", "--factor", "lip.gain=1.5"]
    assert run("generate", sound, "--out", "take.npz", "--python", WORKER_PYTHON, *options) == cli.OK
    assert_directed(tmp_path / "take.npz", clip)


def write_job(folder, *shots):
    path = folder / "job.json"
    path.write_text(json.dumps({"shots": shots}))
    return path


@pytest.mark.usefixtures("fake_generator")
def test_a_job_names_its_settings_as_the_command_line_does(sound, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = write_job(tmp_path, {"audio": "a.wav", "out": "take.npz", **DIRECTED})
    assert run("run", job, "--python", WORKER_PYTHON) == cli.OK
    assert_directed(tmp_path / "take.npz", clip)


@pytest.mark.usefixtures("fake_generator")
def test_a_job_goes_on_after_a_shot_that_fails_and_keeps_what_is_there(sound, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shots = [
        {"audio": "a.wav", "out": "1.npz", "seed": 1},
        {"audio": "none.wav", "out": "2.npz"},
        {"audio": "a.wav", "out": "3.npz", "prefix": "1.npz"},
        {"audio": "a.wav", "out": "4.npz", "prefix": "2.npz"},
    ]
    job = write_job(tmp_path, *shots)
    assert run("run", job, "--json", "--python", WORKER_PYTHON) == cli.FAILED
    events = lines(capfd.readouterr().out)
    errors = [event["message"] for event in events if event["event"] == "error"]
    assert [error.partition(":")[0] for error in errors] == ["Shot 2", "Shot 4"]
    assert events[-1] == {"event": "done", "made": 2, "skipped": 0, "failed": 2}
    first = (tmp_path / "1.npz").read_bytes()
    soundfile.write(tmp_path / "none.wav", np.zeros(16000), 16000)
    assert run("run", job, "--json", "--python", WORKER_PYTHON) == cli.OK
    assert lines(capfd.readouterr().out)[-1] == {"event": "done", "made": 2, "skipped": 2, "failed": 0}
    assert (tmp_path / "1.npz").read_bytes() == first
    job = write_job(tmp_path, {**shots[0], "seed": 9})
    assert run("run", job, "--overwrite", "--python", WORKER_PYTHON) == cli.OK
    assert MotionClip.load(tmp_path / "1.npz").settings["seed"] == 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "is no job file"),
        ('{"shots": [{"out": "a.npz"}]}', "is no job file"),
        ('{"shots": [{"audio": "a.wav", "out": "a.npz"}, {"audio": "a.wav"}]}', "Shot 2"),
        ('{"shots": [{"audio": "a.wav", "out": "a.npz", "emotoin": "sad"}]}', "--emotoin"),
        ('{"shots": [{"audio": "a.wav", "out": "a.npz", "emotion": "joy"}]}', "Unknown emotion 'joy'"),
        ('{"shots": [{"audio": "a.wav", "out": "a.npz", "given": {"nose": "b.npz"}}]}', "such as pose=take.npz"),
    ],
)
def test_a_job_that_makes_no_sense_is_refused_before_any_work(tmp_path, capsys, text, message):
    path = tmp_path / "job.json"
    path.write_text(text)
    assert run("run", path) == cli.USAGE
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("fake_generator")
def test_json_is_one_object_per_line_and_progress_never_falls(sound, tmp_path, capfd):
    assert run("generate", sound, "--out", tmp_path / "a.npz", "--json", "--python", WORKER_PYTHON) == cli.OK
    printed = capfd.readouterr()
    events = lines(printed.out)
    fractions = [event["fraction"] for event in events if event["event"] == "progress"]
    assert fractions == sorted(fractions)
    assert printed.err == ""


@pytest.mark.usefixtures("fake_generator")
def test_without_a_terminal_progress_is_a_few_lines(sound, tmp_path, capfd):
    assert run("generate", sound, "--out", tmp_path / "a.npz", "--python", WORKER_PYTHON) == cli.OK
    printed = capfd.readouterr()
    assert printed.out.count("\n") == 1
    assert 1 <= printed.err.count("\n") <= 20
    assert "\r" not in printed.err


def test_bake_makes_a_file_with_the_head_and_its_frame_range(clip, tmp_path, capfd):
    out = tmp_path / "out.blend"
    assert run("bake", clip, "--head", "--out", out, "--fps", 23.976, "--start-frame", 101, "--json") == cli.OK
    done = lines(capfd.readouterr().out)[-1]
    assert done["keys"] > 0
    bpy.ops.wm.open_mainfile(filepath=str(out))
    scene = bpy.context.scene
    assert scene.render.fps / scene.render.fps_base == pytest.approx(23.976)
    assert (scene.frame_start, scene.frame_end) == (101, 148)
    jaw = bpy.data.objects["DEMO Head"].data.shape_keys.key_blocks["jawOpen"]
    scene.frame_set(101 + round(16 / 30 * 23.976))
    assert jaw.value > 0.9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.npz", "out.blend"]


def test_bake_finds_the_only_character_of_a_scene(clip, tmp_path):
    first, second = tmp_path / "first.blend", tmp_path / "second.blend"
    assert run("bake", clip, "--head", "--out", first) == cli.OK
    before = first.read_bytes()
    assert run("bake", clip, "--blend", first, "--out", second) == cli.OK
    assert first.read_bytes() == before
    assert second.is_file()


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_motion_of_other_programs_is_converted_baked_and_given(
    clip, fake_generator, sound, tmp_path, capfd, monkeypatch, suffix
):
    monkeypatch.chdir(tmp_path)
    other = clip.with_suffix(suffix)
    assert run("convert", clip, other) == cli.OK
    assert run("convert", other, "back.npz", "--fps", 24, "--json") == cli.OK
    assert lines(capfd.readouterr().out.splitlines()[-1])[0]["fps"] == 24.0
    assert len(MotionClip.load(Path("back.npz"))) == 48
    given = [f"--given=pose={other}", f"--prefix={other}", f"--suffix={other}"]
    assert run("generate", sound, "--out", "take.npz", "--python", WORKER_PYTHON, *given) == cli.OK
    assert run("bake", other, "--head", "--out", "a.blend") == cli.OK
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.context.scene.frame_set(1 + round(16 / 30 * 24))
    assert bpy.data.objects["DEMO Head"].data.shape_keys.key_blocks["jawOpen"].value > 0.9


def test_converting_overwrites_only_when_told_and_tells_what_is_odd(clip, tmp_path, capfd):
    out = tmp_path / "a.json"
    out.write_text('[{"jawOpen": 0.1, "nostrils": 1}, {"jawOpen": 0.2}]')
    before = out.read_bytes()
    assert run("convert", clip, out) == cli.FAILED
    assert "--overwrite" in capfd.readouterr().err
    assert out.read_bytes() == before
    assert run("convert", out, tmp_path / "b.csv") == cli.OK
    printed = capfd.readouterr()
    assert "nostrils" in printed.err
    assert printed.out.count("\n") == 1
    assert run("convert", clip, out, "--overwrite") == cli.OK
    assert out.read_bytes() != before


def test_converting_needs_neither_blender_nor_pytorch(clip, tmp_path):
    code = (
        "import sys; from blender_demo import cli; status = cli.main(sys.argv[1:]);"
        "sys.exit(status or bool({'bpy', 'torch'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "convert", str(clip), str(tmp_path / "a.csv")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == cli.OK, done.stderr


def test_a_dry_run_tells_and_writes_nothing(clip, tmp_path, capfd):
    assert run("bake", clip, "--head", "--dry-run", "--target", "new", "--start-frame", 11, "--json") == cli.OK
    found = lines(capfd.readouterr().out)[-1]["findings"]
    texts = " ".join(finding["text"] for finding in found)
    assert "frames 11 to" in texts
    assert "new Action 'DEMO take'" in texts
    assert {finding["severity"] for finding in found} <= {"INFO", "WARNING"}
    assert [path.name for path in tmp_path.iterdir()] == ["clip.npz"]


def test_bake_takes_every_option_of_the_panel(clip, tmp_path):
    options = ("--target", "active", "--interpolation", "constant", "--step", 2, "--ease-s", 0)
    frames = ("--first", 5, "--last", 20)
    factors = ("--factor", "lip.gain=0.5", "--factor", "eyes.include=no", "--factor", "pose.blend=replace")
    out = tmp_path / "a.blend"
    assert run("bake", clip, "--head", "--out", out, *options, *frames, *factors) == cli.OK
    bpy.ops.wm.open_mainfile(filepath=str(out))
    action = bpy.data.objects["DEMO Head"].data.shape_keys.animation_data.action
    assert tuple(action.frame_range) == (4.0, 21.0)
    bpy.context.scene.frame_set(17)
    assert 0.2 < bpy.data.objects["DEMO Head"].data.shape_keys.key_blocks["jawOpen"].value <= 0.5


@pytest.fixture
def mapped_scene(tmp_path):
    """A scene whose artist doubled the gain of a smile, then left it to the farm; a clip that smiles; the mapping."""
    blender_demo.register()
    bpy.ops.wm.read_homefile(use_empty=True, app_template="")
    head = find_character(add_head(bpy.context.scene).meshes[0])
    detected = detect_character(head)
    mapping = edit(detected, head, rows_of(detected, "mouthSmileLeft")[0], "mouthSmileLeft", gain=2.0)
    store_profile(bpy.context.scene, head, mapping)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    blender_demo.unregister()
    detected.save(tmp_path / "detected.json")
    channels = np.zeros((30, len(CHANNELS)), np.float32)
    channels[:, CHANNEL_INDEX["mouthSmileLeft"]] = 0.3
    MotionClip(30.0, channels).save(tmp_path / "smile.npz")
    return tmp_path


def smile() -> float:
    bpy.context.scene.frame_set(10)
    keys = next(obj.data.shape_keys for obj in bpy.context.scene.objects if getattr(obj.data, "shape_keys", None))
    return keys.key_blocks["mouthSmileLeft"].value


def test_bake_honors_the_mapping_that_the_scene_keeps(mapped_scene, capfd):
    out = mapped_scene / "out.blend"
    assert run("bake", mapped_scene / "smile.npz", "--blend", mapped_scene / "scene.blend", "--out", out) == cli.OK
    assert "mapping that the scene keeps" in capfd.readouterr().err
    assert not hasattr(bpy.types.Scene, "demo")
    bpy.ops.wm.open_mainfile(filepath=str(out))
    assert smile() == pytest.approx(0.6, abs=0.003)


def test_a_mapping_on_the_command_line_comes_before_that_of_the_scene(mapped_scene, capfd):
    files = ("--blend", mapped_scene / "scene.blend", "--profile", mapped_scene / "detected.json")
    assert run("bake", mapped_scene / "smile.npz", *files, "--out", mapped_scene / "out.blend") == cli.OK
    bpy.ops.wm.open_mainfile(filepath=str(mapped_scene / "out.blend"))
    assert smile() == pytest.approx(0.3, abs=0.003)
    missing = (*files[:-1], mapped_scene / "none.json")
    assert run("bake", mapped_scene / "smile.npz", *missing, "--out", mapped_scene / "b.blend") == cli.FAILED
    assert "none.json" in capfd.readouterr().err


def test_a_file_is_overwritten_only_when_told(clip, tmp_path, capsys):
    blend = tmp_path / "a.blend"
    assert run("bake", clip, "--head", "--out", blend) == cli.OK
    before = blend.read_bytes()
    assert run("bake", clip, "--blend", blend, "--out", blend) == cli.FAILED
    assert "--overwrite" in capsys.readouterr().err
    assert blend.read_bytes() == before
    assert run("bake", clip, "--blend", blend, "--out", blend, "--overwrite", "--take", "second") == cli.OK
    assert blend.read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["dance"], "invalid choice"),
        (["generate"], "AUDIO"),
        (["generate", "a.wav"], "--out"),
        (["generate", "a.wav", "--out", "a.npz", "--seed", "x"], "--seed"),
        (["generate", "a.wav", "--out", "a.npz", "--steps", "0"], "Steps must be between"),
        (["generate", "a.wav", "--out", "a.npz", "--device", "tpu"], "Unknown device 'tpu'"),
        (["generate", "a.wav", "--out", "a.npz", "--style", "loud"], "auto, captured, animated or taught"),
        (["generate", "a.wav", "--out", "a.npz", "--emotion", "joy"], "Unknown emotion 'joy'. Use auto, neutral"),
        (["generate", "a.wav", "--out", "a.npz", "--intensity", "2"], "Intensity must be between 0 and 1"),
        (["generate", "a.wav", "--out", "a.npz", "--grid", "fine"], "uniform, sway or epss"),
        (["generate", "a.wav", "--out", "a.npz", "--given", "nose=a.npz"], "such as pose=take.npz"),
        (["generate", "a.wav", "--out", "a.npz", "--given", "pose"], "such as pose=take.npz"),
        (["generate", "a.wav", "--out", "a.npz", "--factor", "pose.given=a.npz"], "such as lip.gain=1.2"),
        (["generate", "a.wav", "--out", "a.wav"], "ends in .npz"),
        (["generate", "a.wav", "--out", "a.npz", "--factor", "lip=2"], "such as lip.gain=1.2"),
        (["generate", "a.wav", "--out", "a.npz", "--factor", "nose.gain=2"], "lip, pose, eyes, expression"),
        (["generate", "a.wav", "--out", "a.npz", "--factor", "lip.gain=much"], "much is not a number"),
        (["generate", "a.wav", "--out", "a.npz", "--factor", "lip.gain=99"], "between 0 and 4"),
        (["bake", "a.npz", "--out", "a.blend"], "--head"),
        (["bake", "a.npz", "--out", "a.blend", "--head", "--object", "Head"], "not allowed"),
        (["bake", "a.npz", "--out", "a.blend", "--head", "--fps", "0"], "--fps must be"),
        (["convert", "a.npz"], "OUT"),
        (["convert", "a.npz", "a.fbx"], "The endings are .npz (motion clip), .csv"),
        (["convert", "a.bvh", "a.csv"], "a.bvh does not end like a motion file"),
        (["convert", "a.npz", "a.csv", "--fps", "0"], "--fps must be"),
        (["bake", "a.npz", "--head"], "--dry-run"),
        (["bake", "a.npz", "--head", "--dry-run", "--step", "-1"], "step must lie between"),
        (["bake", "a.npz", "--head", "--dry-run", "--target", "moon"], "--target"),
        (["bake", "a.npz", "--head", "--dry-run", "--factor", "lip.include=maybe"], "neither yes nor no"),
        (["bake", "a.npz", "--head", "--dry-run", "--factor", "lip.seed_offset=1"], "such as lip.gain=1.2"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_told_in_one_line(arguments, message, capsys):
    assert run(*arguments) == cli.USAGE
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.startswith("Error: ")
    assert printed.count("\n") == 1


def test_doctor_says_what_is_there(capsys):
    status = run("doctor", "--json", "--python", WORKER_PYTHON)
    findings = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert findings["torch"]["ok"]
    assert findings["Blender"]["found"].startswith(bpy.app.version_string.split()[0])
    assert {"Python", "numpy", "scipy", "soundfile", "safetensors", "device", "weights", "disk"} <= set(findings)
    assert {"pillow", "mediapipe"} <= {name for name, finding in findings.items() if not finding["needed"]}
    needed = [finding["ok"] for finding in findings.values() if finding["needed"]]
    assert status == (cli.OK if all(needed) else cli.FAILED)


def test_doctor_says_what_to_do_about_a_python_that_will_not_do(tmp_path, capsys):
    assert run("doctor", "--python", tmp_path / "python") == cli.FAILED
    text = capsys.readouterr().out
    assert str(tmp_path / "python") in text
    assert "Choose another Python with --python" in text
    assert "Not ready yet: see Python above." in text


def test_it_runs_as_a_module(clip, tmp_path):
    """The Python package of Blender may hang when the interpreter ends: `__main__` must not wait for that."""
    command = [sys.executable, "-m", "blender_demo", "bake", str(clip), "--head", "--out", str(tmp_path / "a.blend")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == cli.OK, done.stderr
    assert done.stdout.startswith("Wrote ")
    done = subprocess.run([*command[:3], "dance"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == cli.USAGE


@pytest.fixture
def picture(tmp_path):
    """A picture for the fake renderer, which does not look at it."""
    path = tmp_path / "face.png"
    path.write_bytes(encode_png(np.full((64, 64, 3), 128, np.uint8)))
    return path


def portrait(picture, *options):
    return run("portrait", "--image", picture, "--size", 64, "--python", WORKER_PYTHON, *options)


@pytest.mark.usefixtures("fake_generator")
def test_a_portrait_speaks_from_a_recording_or_a_clip(picture, sound, clip, tmp_path, capfd):
    for motion in (("--audio", sound), ("--clip", clip)):
        out = tmp_path / motion[0].strip("-")
        assert portrait(picture, *motion, "--out", out, "--fps", 25, "--alpha", "--json") == cli.OK
        done = lines(capfd.readouterr().out)[-1]
        assert (done["event"], done["frames"], done["kept"], done["fps"]) == ("done", 24, 0, 25.0)
        assert done["held"] == str(out / "portrait_0000.png")
        assert len(list(out.glob("portrait_*.png"))) == 25
    assert portrait(picture, "--clip", clip, "--out", out, "--fps", 25, "--alpha", "--json") == cli.OK
    assert lines(capfd.readouterr().out)[-1]["kept"] == 24


@pytest.mark.usefixtures("fake_generator")
def test_a_portrait_is_directed_in_degrees_and_seconds(picture, clip, tmp_path):
    options = ("--lip", 1.2, "--pose", 0.5, "--gaze", -10, 5, "--head", 0, 0, -3, "--blink", 0.5, 2, "--no-refine")
    assert portrait(picture, "--clip", clip, "--out", tmp_path / "out", *options) == cli.OK
    told = json.loads((tmp_path / "out" / "portrait_frames.json").read_text("utf-8"))
    assert told["refine"] is False
    controls = PortraitControls.from_json(told["controls"])
    assert (controls.lip, controls.pose, controls.eyes, controls.blinks) == (1.2, 0.5, 1.0, (0.5, 2.0))
    assert np.degrees([*controls.gaze_offset, *controls.head_offset]) == pytest.approx([-10, 5, 0, 0, -3])


@pytest.mark.usefixtures("fake_generator")
def test_frames_of_another_portrait_are_replaced_only_when_told(picture, clip, tmp_path, capfd):
    motion = ("--clip", clip, "--out", tmp_path / "out")
    assert portrait(picture, *motion) == cli.OK
    assert portrait(picture, *motion, "--fps", 30) == cli.FAILED
    assert "other rate" in capfd.readouterr().err
    assert portrait(picture, *motion, "--fps", 30, "--overwrite") == cli.OK


@pytest.mark.usefixtures("fake_generator")
def test_a_portrait_is_shown_in_a_file_that_is_made_for_it(picture, clip, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shots").mkdir()
    motion = ("--clip", clip, "--out", "out", "--start-frame", 11, "--fps", 23.976)
    assert portrait(picture, *motion, "--blend", "shots/a.blend", "--json") == cli.OK
    assert lines(capfd.readouterr().out)[-1]["object"] == "portrait"
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shots" / "a.blend"))
    scene = bpy.context.scene
    assert scene.render.fps / scene.render.fps_base == pytest.approx(23.976)
    assert (scene.frame_start, scene.frame_end) == (11, 34)
    assert scene.camera is not None
    assert bpy.data.images["portrait"].filepath == "//../out/portrait_0000.png"
    assert bpy.data.images["portrait"].source == "SEQUENCE"


@pytest.mark.usefixtures("fake_generator")
def test_a_portrait_is_a_movie_too(picture, clip, sound, tmp_path, capfd):
    out = tmp_path / "out"
    options = ("--clip", clip, "--audio", sound, "--out", out, "--movie", out / "talk.webm", "--json")
    assert portrait(picture, *options) == cli.OK
    assert lines(capfd.readouterr().out)[-1]["movie"] == str(out / "talk.webm")
    assert bpy.data.movieclips.load(str(out / "talk.webm")).frame_duration == 24


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--blend", "a.blend", "--out", "out"), "neither --out nor --movie"),
        (("--blend", "a.blend", "--gaze", 0, 5), "--gaze, --head and --blink are of frames"),
        (("--blend", "a.blend", "--lip", 9), "gain of lip"),
    ],
    ids=range(3),
)
@pytest.mark.usefixtures("fake_generator")
def test_a_head_is_asked_for_by_what_it_has(picture, tmp_path, capfd, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    assert portrait(picture, "--as-head", *options) == cli.USAGE
    assert message in capfd.readouterr().err


@pytest.mark.usefixtures("fake_generator")
def test_a_portrait_is_a_head_that_performs(picture, clip, tmp_path, capfd):
    blend = tmp_path / "head.blend"
    assert portrait(picture, "--as-head", "--blend", blend, "--json") == cli.OK
    done = lines(capfd.readouterr().out)[-1]
    assert (done["object"], done["curves"]) == ("face Head", 0)
    assert portrait(picture, "--as-head", "--blend", blend) == cli.FAILED
    assert "--overwrite" in capfd.readouterr().err
    options = ("--clip", clip, "--lip", 0.5, "--start-frame", 11, "--fps", 25, "--overwrite")
    assert portrait(picture, "--as-head", "--blend", blend, *options, "--json") == cli.OK
    assert lines(capfd.readouterr().out)[-1]["curves"] > 10
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    assert bpy.context.scene.render.fps == 25
    assert bpy.data.objects["face Head.001"].data.shape_keys.animation_data.nla_tracks


@pytest.mark.usefixtures("fake_generator")
def test_a_portrait_is_added_to_a_scene_at_its_rate_and_once(picture, clip, tmp_path, capfd):
    blend = tmp_path / "scene.blend"
    bpy.context.scene.render.fps = 50
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    before = blend.read_bytes()
    motion = ("--clip", clip, "--out", tmp_path / "out", "--blend", blend)
    assert portrait(picture, *motion) == cli.FAILED
    assert "--overwrite" in capfd.readouterr().err
    assert blend.read_bytes() == before
    assert not (tmp_path / "out").exists()
    for _ in range(2):
        assert portrait(picture, *motion, "--overwrite", "--json") == cli.OK
    assert lines(capfd.readouterr().out)[-1]["fps"] == 50.0
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    assert [obj.name for obj in bpy.context.scene.objects if obj.type == "MESH"] == ["portrait"]
    assert bpy.data.images["portrait"].filepath == "//out/portrait_0000.png"


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ((), cli.USAGE, "a recording with --audio, or a clip with --clip"),
        (("--as-head",), cli.USAGE, "builds a mesh in a --blend"),
        (("--clip", "clip.npz", "--movie", "talk.mov"), cli.FAILED, "must end in .mp4 or .webm"),
        (("--clip", "clip.npz", "--movie", "none/talk.mp4"), cli.FAILED, "Make it first"),
        (("--clip", "clip.npz", "--movie", "there.mp4"), cli.FAILED, "there.mp4 exists already"),
        (("--clip", "clip.npz", "--size", 9), cli.USAGE, "between 64 and 4096"),
        (("--clip", "clip.npz", "--fps", 0), cli.USAGE, "--fps must be between"),
        (("--clip", "clip.npz", "--device", "tpu"), cli.USAGE, "Unknown device 'tpu'"),
        (("--clip", "clip.npz", "--eyes", -1), cli.USAGE, "gain of eyes must be between 0 and 4"),
        (("--clip", "clip.npz", "--gaze", 0, -70), cli.USAGE, "gaze can be turned by 60 degrees at most, not -70"),
        (("--clip", "clip.npz", "--head", 10), cli.USAGE, "--head: expected 3 arguments"),
        (("--clip", "none.npz"), cli.FAILED, "none.npz does not exist"),
        (("--audio", "none.wav"), cli.FAILED, "none.wav does not exist"),
        (("--clip", "clip.npz", "--image", "none.png"), cli.FAILED, "none.png does not exist"),
        (("--clip", "clip.npz", "--landmarks", "none.json"), cli.FAILED, "none.json does not exist"),
        (("--clip", "clip.npz", "--blend", "none/a.blend"), cli.FAILED, "Make it first"),
        (("--clip", "clip.npz", "--image", "faceless.png"), cli.FAILED, "Place the points by hand"),
    ],
    ids=range(17),
)
@pytest.mark.usefixtures("fake_generator", "clip")
def test_a_portrait_that_cannot_be_is_told_in_one_sentence(
    picture, tmp_path, capfd, monkeypatch, options, status, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faceless.png").write_bytes(picture.read_bytes())
    (tmp_path / "there.mp4").touch()
    before = sorted(tmp_path.iterdir())
    assert portrait(picture, "--out", "out", *options) == status
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert sorted(tmp_path.iterdir()) == before
