# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is wrong with what comes in: a sentence that names it and the remedy, a status that is not 0, nothing
half-written.

One end-to-end case for each kind of bad input, through the command line where it goes in there.
"""

import errno
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import bpy
import numpy as np
import pytest
import soundfile

from blender_demo import cli
from blender_demo.backend.errors import DemoError
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNELS
from blender_demo.backend.settings import GenerationSettings
from blender_demo.backend.worker.client import GenerationJob, Worker
from tests.worker_python import WORKER_PYTHON

ROOT = Path(__file__).parents[1]
FAKE_CHILD = ROOT / "tests" / "backend" / "worker" / "fake_child.py"
WEIGHTS = ROOT / "blender_demo" / "backend" / "weights" / "demo.safetensors"
NEEDS_WEIGHTS = pytest.mark.skipif(not WEIGHTS.is_file(), reason="needs the trained weights")
NOISE = 0.1 * np.random.default_rng(0).standard_normal(48000)


@pytest.fixture(scope="module")
def worker():
    """One real worker, with the real generator, for all recordings: it must survive every one of them."""
    with Worker(WORKER_PYTHON) as worker:
        yield worker


@pytest.fixture
def clip(tmp_path):
    """A clip that is all right."""
    path = tmp_path / "clip.npz"
    MotionClip(30.0, np.full((30, len(CHANNELS)), 0.3, np.float32)).save(path)
    return path


@pytest.fixture
def face(tmp_path):
    """A Blender file with one character that is all right."""
    return save_scene(tmp_path / "face.blend", make_face())


@pytest.fixture(autouse=True)
def _empty_blender():
    bpy.ops.wm.read_homefile(use_empty=True, app_template="")
    yield
    bpy.ops.wm.read_homefile(use_empty=True, app_template="")


def make_face(keys=("jawOpen", "mouthSmileLeft", "mouthSmileRight", "eyeBlinkLeft", "eyeBlinkRight")):
    mesh = bpy.data.meshes.new("Face")
    mesh.from_pydata([(0.03, -0.1, 1.7), (-0.03, -0.1, 1.7), (0.0, -0.12, 1.6), (0.0, 0.0, 1.0)], [], [])
    face = bpy.data.objects.new("Face", mesh)
    bpy.context.scene.collection.objects.link(face)
    for name in ("Basis", *keys) if keys else ():
        block = face.shape_key_add(name=name)
        block.value = 0.0
        block.data[2].co.z -= 0.01 * (name != "Basis")
    return face


def save_scene(path, *_):
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    return path


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def files(folder):
    """Every file below a folder, with what it holds."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def one_sentence(text):
    """The error on stderr: one line that ends like a sentence."""
    errors = [line for line in text.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, text
    assert errors[0].endswith((".", ")")), errors
    return errors[0]


def write_wav(path, samples=NOISE, rate=48000, subtype="FLOAT"):
    soundfile.write(path, samples, rate, subtype=subtype)


def write_cut_off(path):
    write_wav(path)
    path.write_bytes(path.read_bytes()[:50000])


def write_nan(path):
    write_wav(path, np.where(np.arange(48000) == 7, np.nan, NOISE))


BAD_SOUNDS = {
    "missing": (lambda path: None, "does not exist"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "empty": (lambda path: path.touch(), "Export it again"),
    "no samples": (lambda path: write_wav(path, np.zeros(0)), "Export it again"),
    "cut off": (write_cut_off, "xport it again"),
    "nan": (write_nan, "Export it again"),
    "nine channels": (lambda path: write_wav(path, np.zeros((99, 9))), "Export the voice alone"),
    "text": (lambda path: path.write_text("hello " * 99), "Convert it"),
    "video": (lambda path: path.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(999)), "Extract the sound first"),
    "4 kHz": (lambda path: write_wav(path, rate=4000), "Export it with"),
}


@NEEDS_WEIGHTS
@pytest.mark.parametrize(("write", "remedy"), BAD_SOUNDS.values(), ids=BAD_SOUNDS)
def test_a_recording_that_cannot_be_used(worker, tmp_path, write, remedy):
    path = tmp_path / "voice.wav"
    write(path)
    before = files(tmp_path)
    job = GenerationJob(worker, path, GenerationSettings(device="cpu"))
    with pytest.raises(DemoError, match=remedy) as caught:
        job.run()
    assert str(path) in str(caught.value)
    assert files(tmp_path) == before
    assert worker.alive


@NEEDS_WEIGHTS
@pytest.mark.parametrize(
    ("samples", "rate", "subtype", "note"),
    [
        (np.zeros(48000), 48000, "PCM_16", "silent"),
        (np.clip(NOISE * 100, -1, 1), 48000, "PCM_24", "clipped"),
        (NOISE[:8000], 8000, "PCM_16", "telephone"),
        (np.tile(NOISE[:, None], 7), 192000, "PCM_24", "7 channels"),
        (NOISE[:100], 48000, "PCM_16", ""),
    ],
    ids=["silent", "clipped", "8 kHz", "7 channels at 192 kHz", "2 milliseconds"],
)
def test_a_recording_that_is_odd_gives_a_take_and_a_note(worker, tmp_path, samples, rate, subtype, note):
    write_wav(tmp_path / "voice.wav", samples, rate, subtype)
    job = GenerationJob(worker, tmp_path / "voice.wav", GenerationSettings(device="cpu"))
    clip = job.run()
    assert np.isfinite(clip.channels).all()
    assert [text for text in job.notes if note in text] or not note


@NEEDS_WEIGHTS
def test_the_command_line_tells_it_and_writes_nothing(tmp_path, capfd):
    (tmp_path / "voice.wav").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(999))
    before = files(tmp_path)
    out = tmp_path / "take.npz"
    assert run("generate", tmp_path / "voice.wav", "--out", out, "--python", WORKER_PYTHON) == cli.FAILED
    assert "ffmpeg" in one_sentence(capfd.readouterr().err)
    assert files(tmp_path) == before


@pytest.mark.parametrize("behaviour", ["weights", "bug", "memory", "suicide", "damaged"])
def test_a_generator_that_fails_leaves_nothing_and_says_so(tmp_path, capfd, monkeypatch, behaviour):
    monkeypatch.setattr(cli, "Worker", partial(Worker, script=FAKE_CHILD))
    sound = tmp_path / f"{behaviour}.wav"
    sound.touch()
    assert run("generate", sound, "--out", tmp_path / "take.npz", "--python", WORKER_PYTHON) == cli.FAILED
    one_sentence(capfd.readouterr().err)
    assert list(tmp_path.iterdir()) == [sound]


def test_a_python_without_torch_is_refused_with_the_remedy(tmp_path, capfd, monkeypatch):
    site = tmp_path / "site"
    site.mkdir()
    (site / "torch.py").write_text("raise ImportError('DLL load failed')")
    monkeypatch.setattr(cli, "worker_site_dirs", lambda _: [site])
    write_wav(tmp_path / "a.wav")
    out = tmp_path / "take.npz"
    assert run("generate", tmp_path / "a.wav", "--out", out, "--python", WORKER_PYTHON) == cli.FAILED
    message = one_sentence(capfd.readouterr().err)
    assert "DLL load failed" in message
    assert "--python" in message
    assert not out.exists()


CHILD_WITH = """
import sys
sys.path.insert(0, sys.argv[1])
from functools import partial
from pathlib import Path
from backend.worker import bootstrap

def make_generator(device):
    import torch
    from backend import pipeline
{body}

sys.exit(bootstrap.main(sys.argv[1:], make_generator=make_generator))
"""


def child_with(tmp_path, *body):
    """The real server and generator, with a fault put in before the generator is made."""
    script = tmp_path / "child.py"
    script.write_text(CHILD_WITH.format(body="\n".join(f"    {line}" for line in body)))
    return Worker(WORKER_PYTHON, script=script)


@pytest.mark.parametrize("content", [b"", b"\0" * 1000, b"PK\3\4", None], ids=["empty", "zeros", "zip", "missing"])
def test_weights_that_are_damaged_or_missing(tmp_path, content):
    folder = tmp_path / "weights"
    folder.mkdir()
    if content is not None:
        (folder / "demo.safetensors").write_bytes(content)
    write_wav(tmp_path / "a.wav")
    with child_with(tmp_path, f"return pipeline.Generator(device, Path({str(folder)!r}))") as worker:
        job = GenerationJob(worker, tmp_path / "a.wav", GenerationSettings(device="cpu"))
        with pytest.raises(DemoError, match="Install the add-on again") as caught:
            job.run()
        assert type(caught.value).__name__ == "WeightsError"
        assert worker.alive


@NEEDS_WEIGHTS
def test_a_device_out_of_memory_is_told_and_the_cpu_takes_over(tmp_path):
    """The fault: the generator thinks it is on a GPU, whose memory is full whenever the flow begins there."""
    write_wav(tmp_path / "a.wav")
    fault = [
        "generator = pipeline.Generator('cpu')",
        "real, generator._device = pipeline.sample_latents, torch.device('meta')",
        "def sample_latents(*arguments):",
        "    if generator._device.type == 'meta': raise torch.OutOfMemoryError('out of memory')",
        "    return real(*arguments)",
        "pipeline.sample_latents = sample_latents",
        "pipeline.audio_condition = (lambda f: lambda n, x, d, t=None: f(n, x, torch.device('cpu'), t))"
        "(pipeline.audio_condition)",
        "return generator",
    ]
    with child_with(tmp_path, *fault) as worker:
        job = GenerationJob(worker, tmp_path / "a.wav", GenerationSettings())
        expected = GenerationJob(worker, tmp_path / "a.wav", GenerationSettings())
        first, second = job.run(), expected.run()
    assert [note for note in job.notes if "out of memory" in note and "CPU" in note]
    assert job.device == "cpu"
    assert np.array_equal(first.channels, second.channels)


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4 and then nothing", b"hello" * 100], ids=["empty", "cut off", "something else"]
)
def test_a_damaged_clip(face, tmp_path, capfd, content):
    (tmp_path / "bad.npz").write_bytes(content)
    before = files(tmp_path)
    assert run("bake", tmp_path / "bad.npz", "--blend", face, "--out", tmp_path / "b.blend") == cli.FAILED
    assert "bad.npz" in one_sentence(capfd.readouterr().err)
    assert files(tmp_path) == before


BAD_MOTIONS = {
    "missing.csv": (None, "does not exist"),
    "empty.csv": (b"", "Choose the CSV file"),
    "other.csv": (b"a,b\n1,2\n", "Choose the CSV file"),
    "empty.json": (b"", "Export the motion again"),
    "cut off.json": (b'[{"jawOpen": 0.1}, {"jaw', "Export the motion again"),
    "other.json": (b'{"shots": []}', "Choose another file"),
    "nan.json": (b'[{"jawOpen": NaN}]', "Export the motion again"),
    "text.npz": (b"hello" * 100, "Generate it again"),
}


@pytest.mark.parametrize(
    ("name", "content", "remedy"), [(n, *told) for n, told in BAD_MOTIONS.items()], ids=BAD_MOTIONS
)
def test_motion_that_cannot_be_read_is_neither_converted_nor_baked(face, tmp_path, capfd, name, content, remedy):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    before = files(tmp_path)
    for command in (
        ["convert", tmp_path / name, tmp_path / "out.csv"],
        ["bake", tmp_path / name, "--blend", face, "--out", tmp_path / "b.blend"],
    ):
        assert run(*command) == cli.FAILED
        told = one_sentence(capfd.readouterr().err)
        assert name in told
        assert remedy in told or content is None
    assert files(tmp_path) == before


@pytest.mark.parametrize("out", ["out.npz", "out.csv", "out.json"])
def test_a_disk_that_is_full_while_motion_is_converted(clip, tmp_path, capfd, monkeypatch, out):
    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("blender_demo.backend.motion.atomic.os.replace", refuse)
    before = files(tmp_path)
    assert run("convert", clip, tmp_path / out) == cli.FAILED
    assert "No space left on device" in one_sentence(capfd.readouterr().err)
    assert files(tmp_path) == before


@pytest.mark.parametrize("option", ["--given=pose=", "--prefix=", "--suffix="])
@pytest.mark.parametrize("content", [None, b"PK\3\4 and then nothing"], ids=["missing", "cut off"])
def test_a_given_clip_that_cannot_be_read(tmp_path, capfd, option, content):
    """Told before the worker starts: there is none at that path."""
    write_wav(tmp_path / "a.wav")
    if content:
        (tmp_path / "bad.npz").write_bytes(content)
    before = files(tmp_path)
    options = ["--out", tmp_path / "take.npz", "--python", tmp_path / "none", f"{option}{tmp_path / 'bad.npz'}"]
    assert run("generate", tmp_path / "a.wav", *options) == cli.FAILED
    assert "bad.npz" in one_sentence(capfd.readouterr().err)
    assert files(tmp_path) == before


def test_a_clip_with_a_pickle_in_it_is_not_opened(face, tmp_path, capfd):
    header = json.dumps({"fps": 30, "audio_hash": "", "settings": {}, "version": 1})
    channels = np.array([{}], dtype=object)
    np.savez(tmp_path / "bad.npz", channels=channels, names=np.array(["a"]), header=np.array(header))
    assert run("bake", tmp_path / "bad.npz", "--blend", face, "--out", tmp_path / "b.blend") == cli.FAILED
    assert "damaged" in one_sentence(capfd.readouterr().err)


def test_a_file_that_is_no_blender_file(clip, tmp_path, capfd):
    (tmp_path / "scene.blend").write_bytes(b"BLENDER" + bytes(500))
    before = files(tmp_path)
    assert run("bake", clip, "--blend", tmp_path / "scene.blend", "--out", tmp_path / "b.blend") == cli.FAILED
    assert "scene.blend" in capfd.readouterr().err
    assert files(tmp_path) == before


def test_a_character_without_keys(clip, tmp_path, capfd):
    scene = save_scene(tmp_path / "scene.blend", make_face(keys=()))
    for options in ([], ["--object", "Face"]):
        assert run("bake", clip, "--blend", scene, "--out", tmp_path / "b.blend", *options) == cli.FAILED
        assert one_sentence(capfd.readouterr().err)
    assert not (tmp_path / "b.blend").exists()


def test_several_characters_and_none_chosen(clip, tmp_path, capfd):
    make_face(), make_face()
    scene = save_scene(tmp_path / "scene.blend")
    assert run("bake", clip, "--blend", scene, "--out", tmp_path / "b.blend") == cli.FAILED
    assert "Choose one with --object: Face, Face.001" in one_sentence(capfd.readouterr().err)


def test_keys_that_follow_drivers_are_left_alone_and_told(clip, tmp_path, capfd):
    face = make_face()
    face.data.shape_keys.key_blocks["jawOpen"].driver_add("value")
    scene = save_scene(tmp_path / "scene.blend")
    assert run("bake", clip, "--blend", scene, "--out", tmp_path / "b.blend") == cli.OK
    assert "'jawOpen' of 'Face' follows a driver" in capfd.readouterr().err


def test_a_linked_character_is_refused_with_the_remedy(face, clip, tmp_path, capfd):
    bpy.ops.wm.read_homefile(use_empty=True, app_template="")
    with bpy.data.libraries.load(str(face), link=True) as (source, target):
        target.objects = source.objects
    bpy.context.scene.collection.objects.link(target.objects[0])
    scene = save_scene(tmp_path / "shot.blend")
    before = files(tmp_path)
    assert run("bake", clip, "--blend", scene, "--out", tmp_path / "b.blend") == cli.FAILED
    assert "verride" in one_sentence(capfd.readouterr().err)
    assert files(tmp_path) == before


def test_a_disk_that_is_full_while_the_clip_is_written(tmp_path, capfd, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cli, "Worker", partial(Worker, script=FAKE_CHILD))
    monkeypatch.setattr("blender_demo.backend.motion.clip.np.savez_compressed", refuse)
    sound = tmp_path / "a.wav"
    sound.touch()
    assert run("generate", sound, "--out", tmp_path / "take.npz", "--python", WORKER_PYTHON) == cli.FAILED
    assert "No space left on device" in one_sentence(capfd.readouterr().err)
    assert list(tmp_path.iterdir()) == [sound]


def test_a_blender_file_that_cannot_be_replaced(face, clip, tmp_path, capfd, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("blender_demo.blend_file.os.replace", refuse)
    before = files(tmp_path)
    assert run("bake", clip, "--blend", face, "--out", face, "--overwrite") == cli.FAILED
    assert "No space left on device" in one_sentence(capfd.readouterr().err)
    assert files(tmp_path) == before


def test_a_folder_that_does_not_exist(clip, tmp_path, capfd):
    write_wav(tmp_path / "a.wav")
    out = tmp_path / "none" / "take"
    assert run("generate", tmp_path / "a.wav", "--out", out.with_suffix(".npz")) == cli.FAILED
    assert "Make it first" in one_sentence(capfd.readouterr().err)
    assert run("bake", clip, "--head", "--out", out.with_suffix(".blend")) == cli.FAILED
    assert "Make it first" in one_sentence(capfd.readouterr().err)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_killed_worker_is_told_and_replaced(tmp_path):
    with Worker(WORKER_PYTHON, script=FAKE_CHILD) as worker:
        job = GenerationJob(worker, tmp_path / "long.wav", GenerationSettings())
        with pytest.raises(DemoError, match=r"killed.*next job starts a new worker"):
            job.run(lambda job: os.kill(worker.pid, signal.SIGKILL) if job.progress > 0 and worker.alive else None)
        assert GenerationJob(worker, tmp_path / "fine.wav", GenerationSettings()).run() is not None


@pytest.mark.slow
def test_an_hour_of_sound_is_read_in_little_memory(tmp_path):
    import resource

    from blender_demo.backend.audio.load import load_audio

    path = tmp_path / "hour.wav"
    with soundfile.SoundFile(path, "w", 48000, 2) as sound:
        for _ in range(3600):
            sound.write(np.stack([NOISE, NOISE], axis=1))
    recording = load_audio(path)
    assert recording.duration_s == 3600
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 3 << 20
