# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever picture is to speak, it does, or a sentence names its file and the remedy, and nothing is written.

Through a real worker; two cases through the command line. What MediaPipe has to see is skipped where it is missing.
"""

import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from blender_demo import cli
from blender_demo.backend.errors import DemoError
from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNEL_INDEX, CHANNELS
from blender_demo.backend.portrait.landmarks import Landmarks
from blender_demo.backend.portrait.order import PortraitOrder
from blender_demo.backend.portrait.picture import read_picture
from blender_demo.backend.portrait.png import encode_png
from blender_demo.backend.worker.client import PortraitJob, Worker
from tests.backend.portrait.synthetic import scene
from tests.backend.portrait.test_fit import cat, landmarks_of, person
from tests.worker_python import WORKER_PYTHON

SIZE = 128
FACE = {
    "chin": (128, 236), "jaw_right": (70, 190), "jaw_left": (186, 190), "brow_right": (96, 84), "brow_left": (160, 84),
    "nose_tip": (128, 160), "eye_right_outer": (74, 118), "eye_right_inner": (118, 118), "eye_right_upper": (89, 98),
    "eye_right_lower": (89, 138), "eye_left_inner": (138, 118), "eye_left_outer": (182, 118),
    "eye_left_upper": (167, 98), "eye_left_lower": (167, 138), "mouth_right": (96, 194), "mouth_left": (160, 194),
    "lip_upper": (128, 198), "lip_lower": (128, 204), "lips_inside_upper": (128, 201), "lips_inside_lower": (128, 201),
}  # fmt: skip
"""Where `drawn_face` has what, in pixels of twice its size."""


def drawn_face() -> Image.Image:
    """Two round eyes, a line for a mouth: a face to people, and no human's."""
    image = Image.new("RGB", (256, 256), (150, 190, 215))
    draw = ImageDraw.Draw(image)
    draw.ellipse((56, 30, 200, 236), fill=(245, 190, 150))
    for x in (96, 160):
        draw.ellipse((x - 22, 96, x + 22, 140), fill="white", outline=(40, 30, 30), width=2)
        draw.ellipse((x - 7, 111, x + 7, 125), fill=(20, 60, 30))
        draw.line((x - 20, 88, x, 84, x + 20, 88), fill=(70, 40, 20), width=4)
    draw.line((96, 194, 112, 200, 144, 200, 160, 194), fill=(170, 50, 50), width=6)
    return image.resize((SIZE, SIZE), Image.Resampling.BOX)


@pytest.fixture(scope="module")
def worker():
    """One worker for all pictures: it must survive every one of them."""
    with Worker(WORKER_PYTHON) as worker:
        yield worker


@pytest.fixture
def clip(tmp_path):
    """Two frames: the picture, and the mouth open."""
    channels = np.zeros((2, len(CHANNELS)), np.float32)
    channels[1, CHANNEL_INDEX["jawOpen"]] = 0.6
    MotionClip(24.0, channels).save(tmp_path / "clip.npz")
    return tmp_path / "clip.npz"


@pytest.fixture
def job(worker, clip, tmp_path):
    """Makes jobs for a picture, with its landmarks if they are given."""

    def make(name, landmarks=None):
        if landmarks is not None:
            landmarks.save(tmp_path / "face.json")
        known = "" if landmarks is None else str(tmp_path / "face.json")
        order = PortraitOrder(str(tmp_path / name), str(clip), str(tmp_path / "out"), size=SIZE, landmarks=known)
        return PortraitJob(worker, order)

    return make


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_head(path):
    """The head model, whose landmarks are known."""
    path.write_bytes(encode_png(np.round(scene().picture * 255).astype(np.uint8)))


def write_chunks(path, width, height):
    """A PNG that says it is so large, and holds nothing."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")))


BAD_PICTURES = {
    "missing.png": (lambda path: None, "does not exist"),
    "folder.png": (lambda path: path.mkdir(), "cannot be read"),
    "empty.png": (lambda path: path.touch(), "Use a PNG, JPEG"),
    "text.jpg": (lambda path: path.write_text("hello " * 99), "Use a PNG, JPEG"),
    "cut off.png": (lambda path: (write_head(path), path.write_bytes(path.read_bytes()[:9000])), "Save it again"),
    "one pixel.png": (lambda path: Image.new("RGB", (1, 1)).save(path), "Use a larger picture"),
    "16k.png": (lambda path: write_chunks(path, 16384, 16384), "scale it down"),
    "hdr.exr": (lambda path: path.write_bytes(b"\x76\x2f\x31\x01" + bytes(99)), "Save it as PNG"),
    "hdr.hdr": (lambda path: path.write_bytes(b"#?RADIANCE\n" + bytes(99)), "Save it as PNG"),
}


@pytest.mark.parametrize(
    ("name", "write", "remedy"), [(n, *told) for n, told in BAD_PICTURES.items()], ids=BAD_PICTURES
)
def test_a_picture_that_cannot_be_used(worker, job, tmp_path, name, write, remedy):
    write(tmp_path / name)
    landmarks = scene().landmarks
    landmarks.save(tmp_path / "face.json")
    before = files(tmp_path)
    with pytest.raises(DemoError, match=remedy) as caught:
        job(name, landmarks).run()
    assert name in str(caught.value)
    assert files(tmp_path) == before
    assert not (tmp_path / "out").exists()
    assert worker.alive


def turned_over():
    known = scene().landmarks
    return Landmarks(256 - known.points)


BAD_FACES = {
    "profile": (lambda: landmarks_of(load_head(), person(3, yaw_deg=70.0)).scaled(0.5), "seen more from the front"),
    "upside down": (turned_over, "Turn the picture"),
    "mirrored": (lambda: Landmarks((scene().landmarks.points * (-1, 1) + (256, 0)).astype(np.float32)), "mirrored"),
    "small": (lambda: scene().landmarks.scaled(0.3), "Use a larger picture"),
    "outside": (lambda: Landmarks(scene().landmarks.points + 150), "outside of the picture"),
    "few": (lambda: Landmarks(np.full((68, 2), np.nan, np.float32), by_hand=True), "Place its two corners"),
}


@pytest.mark.parametrize(("make", "remedy"), BAD_FACES.values(), ids=BAD_FACES)
def test_a_face_that_cannot_speak(job, tmp_path, make, remedy):
    write_head(tmp_path / "anna.png")
    landmarks = make()
    landmarks.save(tmp_path / "face.json")
    before = files(tmp_path)
    with pytest.raises(DemoError, match=remedy) as caught:
        job("anna.png", landmarks).run()
    assert "anna.png" in str(caught.value)
    assert files(tmp_path) == before
    assert not (tmp_path / "out").exists()


def in_palette(image):
    """With what is left of the head transparent."""
    indexed = image.quantize(200)
    indexed.info["transparency"] = indexed.getpixel((2, 2))
    return indexed


ODD_PICTURES = {
    "cmyk.jpg": (lambda image, path: image.convert("CMYK").save(path, quality=95), 0.05),
    "palette.png": (lambda image, path: in_palette(image).save(path), 0.35),
    "gray 16 bit.png": (
        lambda image, path: Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(path),
        0.3,
    ),
    "color 16 bit.png": (
        lambda image, path: path.write_bytes(encode_png(np.asarray(image).astype(np.uint16) * 257)),
        0.02,
    ),
    "Zoë, 2 – größer.webp": (lambda image, path: image.save(path, quality=90), 0.05),
}


@pytest.mark.parametrize(("name", "save", "off"), [(n, *how) for n, how in ODD_PICTURES.items()], ids=ODD_PICTURES)
def test_a_picture_that_is_odd_speaks_all_the_same(job, tmp_path, name, save, off):
    image = Image.fromarray(np.round(scene().picture * 255).astype(np.uint8))
    save(image, tmp_path / name)
    result = job(name, scene().landmarks).run()
    assert (result.count, result.width, result.height) == (2, SIZE, SIZE)
    held, _ = read_picture(Path(result.held))
    expected = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BOX)) / 255
    assert np.abs(held - expected).mean() < off


def test_a_drawn_face_speaks_with_points_from_its_artist(clip, tmp_path, capfd):
    drawn_face().save(tmp_path / "drawn.png")
    (tmp_path / "few.json").write_text(
        json.dumps({"points": {name: (x / 2, y / 2) for name, (x, y) in FACE.items()}}), encoding="utf-8"
    )
    options = ["--image", tmp_path / "drawn.png", "--clip", clip, "--size", SIZE, "--python", WORKER_PYTHON]
    options += ["--landmarks", tmp_path / "few.json", "--out", tmp_path / "out"]
    assert cli.main(["portrait", *map(str, options)]) == cli.OK
    assert "The head was bent" in capfd.readouterr().err
    still, speaking = (read_picture(tmp_path / "out" / f"portrait_000{n}.png")[0] for n in (1, 2))
    assert np.abs(still - np.asarray(drawn_face()) / 255).mean() < 0.01
    moved = np.abs(speaking - still).mean(axis=2)
    assert moved[95:108, 50:78].mean() > 0.05  # the mouth
    assert moved[:45].mean() < 0.01  # and not the hair


def test_the_command_line_tells_it_and_writes_nothing(clip, tmp_path, capfd):
    drawn_face().save(tmp_path / "drawn.png")
    (tmp_path / "few.json").write_text(json.dumps({"points": {"whisker": [1, 2]}}), encoding="utf-8")
    before = files(tmp_path)
    options = ["--image", tmp_path / "drawn.png", "--clip", clip, "--python", WORKER_PYTHON]
    options += ["--landmarks", tmp_path / "few.json", "--out", tmp_path / "out"]
    assert cli.main(["portrait", *map(str, options)]) == cli.FAILED
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert "few.json" in errors[0]
    assert "whisker" in errors[0]
    assert files(tmp_path) == before


def test_an_animals_face_is_taken_as_it_was_placed(job, tmp_path):
    Image.new("RGB", (180, 225), (200, 150, 90)).save(tmp_path / "cat.png")
    meant = replace(cat(), by_hand=True).scaled(0.35)
    made = job("cat.png", meant)
    assert made.run().count == 2
    assert [note for note in made.notes if "bent" in note]


@pytest.fixture
def portraits(shared_data):
    pytest.importorskip("mediapipe", reason="needs MediaPipe")
    return shared_data / "portraits"


SEEN = {
    "two faces": (lambda face: np.concatenate([face, face], axis=1), "2 faces.*Crop it"),
    "no face": (lambda face: np.full((300, 300, 3), 120, np.uint8), "No face was found.*place the landmarks"),
    "upside down": (lambda face: face[::-1, ::-1], "upside down.*Turn the picture"),
    "small": (lambda face: face[::2, ::2], "Use a larger picture"),
}


@pytest.mark.parametrize(("change", "remedy"), SEEN.values(), ids=SEEN)
def test_what_mediapipe_sees_is_told_by_the_name_of_the_picture(job, tmp_path, portraits, change, remedy):
    face = np.asarray(Image.open(portraits / "astronaut.png").convert("RGB"))
    Image.fromarray(np.ascontiguousarray(change(face))).save(tmp_path / "anna.png")
    before = files(tmp_path)
    with pytest.raises(DemoError, match=f"anna.png: .*{remedy}"):
        job("anna.png").run()
    assert files(tmp_path) == before


def test_a_drawn_face_is_seen_or_the_remedy_is_told(job, tmp_path, portraits):
    del portraits
    drawn_face().save(tmp_path / "drawn.png")
    try:
        assert job("drawn.png").run().count == 2
    except DemoError as error:
        assert "drawn.png" in str(error)  # noqa: PT017
        assert "place the landmarks" in str(error)  # noqa: PT017
