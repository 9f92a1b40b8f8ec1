# SPDX-License-Identifier: GPL-3.0-or-later
"""From an order to files: the mean head itself, as its landmarks lie in a small picture, performs a few frames."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender_demo.backend.errors import ClipError, JobCancelled, PortraitError
from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import CHANNEL_INDEX, CHANNELS
from blender_demo.backend.portrait import render
from blender_demo.backend.portrait.controls import PortraitControls
from blender_demo.backend.portrait.landmarks import Landmarks
from blender_demo.backend.portrait.order import FILE_FORMATS, PortraitOrder
from blender_demo.backend.portrait.render import render_portrait

WIDTH, HEIGHT = 160, 200


@pytest.fixture(scope="module")
def order(tmp_path_factory) -> PortraitOrder:
    """An order for 20 frames at 25 fps, in a folder of its own."""
    folder = tmp_path_factory.mktemp("order")
    shades = np.linspace(90, 200, WIDTH * HEIGHT * 3).reshape(HEIGHT, WIDTH, 3).astype(np.uint8)
    Image.fromarray(shades).save(folder / "face.png")
    head = load_head()
    x, y, z = head.vertices[head.landmarks].T
    points = 320.0 * np.stack([x, -y], axis=1) / (0.75 - z)[:, None] + (WIDTH / 2, HEIGHT / 2)
    Landmarks(points.astype(np.float32), None).save(folder / "points.json")
    channels = np.zeros((24, len(CHANNELS)), np.float32)
    channels[:, CHANNEL_INDEX["jawOpen"]] = np.linspace(0, 0.8, 24)
    MotionClip(30.0, channels).save(folder / "take.npz")
    files = (str(folder / name) for name in ("face.png", "take.npz", "frames"))
    return PortraitOrder(*files, landmarks=str(folder / "points.json"), size=100, fps=25.0)


def in_folder(order: PortraitOrder, folder: Path, **changes) -> PortraitOrder:
    return replace(order, folder=str(folder), **changes)


def silent(stage: str, fraction: float) -> None:
    pass


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_frames_have_the_rate_the_aspect_and_the_motion_that_were_ordered(order, tmp_path):
    told = []
    result = render_portrait(in_folder(order, tmp_path), lambda *progress: told.append(progress))
    assert (result.count, result.width, result.height, result.fps) == (20, 80, 100, 25.0)
    assert set(result.timings) == {"picture", "face", "frames"}
    assert [fraction for _, fraction in told] == sorted(fraction for _, fraction in told)
    first, last = (np.asarray(Image.open(tmp_path / f"portrait_{n:04d}.png"), int) for n in (1, 20))
    assert first.shape == (100, 80, 3)
    assert np.abs(last - first).max() > 20


def test_a_cancelled_portrait_is_gone_on_with_to_the_same_bytes(order, tmp_path):
    def cancel(stage, fraction):
        if stage == "frames" and fraction > 0.1 + 0.9 * 0.4:
            raise JobCancelled("Enough.")

    broken, whole = tmp_path / "broken", tmp_path / "whole"
    with pytest.raises(JobCancelled):
        render_portrait(in_folder(order, broken), cancel)
    assert render_portrait(in_folder(order, broken), silent).kept >= 8
    render_portrait(in_folder(order, whole), silent)
    assert contents(broken) == contents(whole)


def test_the_next_take_of_a_picture_begins_with_its_portrait(order, tmp_path, monkeypatch):
    render_portrait(in_folder(order, tmp_path), silent)
    (kept,) = tmp_path.glob("*.npz")
    with monkeypatch.context() as patch:
        patch.setattr(render, "take_apart", lambda *_: pytest.fail("it is made again"))
        patch.setattr(render, "find_face", lambda *_: pytest.fail("the face is looked for again"))
        render_portrait(in_folder(order, tmp_path, speed=1.2, overwrite=True), silent)
    again = contents(tmp_path)
    kept.write_bytes(kept.read_bytes()[:1000])
    (tmp_path / "portrait_0004.png").unlink()
    render_portrait(in_folder(order, tmp_path, speed=1.2), silent)
    assert contents(tmp_path) == again


def test_the_portrait_of_other_points_takes_the_place_of_the_first(order, tmp_path):
    render_portrait(in_folder(order, tmp_path), silent)
    (kept,) = tmp_path.glob("*.npz")
    landmarks = Landmarks.load(Path(order.landmarks))
    Landmarks(landmarks.points + 2, None).save(tmp_path / "moved.json")
    moved = in_folder(order, tmp_path, landmarks=str(tmp_path / "moved.json"), overwrite=True)
    render_portrait(moved, silent)
    (other,) = tmp_path.glob("*.npz")
    assert other != kept
    (tmp_path / "moved.json").unlink()
    with pytest.raises(PortraitError, match=r"moved\.json"):
        render_portrait(moved, silent)


def test_with_alpha_the_person_is_opaque_and_the_corner_is_not(order, tmp_path):
    render_portrait(in_folder(order, tmp_path, alpha=True), silent)
    seen = np.asarray(Image.open(tmp_path / "portrait_0005.png"))
    assert seen.shape == (100, 80, 4)
    assert seen[50, 40, 3] == 255
    assert seen[2, 2, 3] == 0


def test_all_formats_show_the_same_colors(order, tmp_path):
    openexr = pytest.importorskip("OpenEXR", reason="needs OpenEXR")
    for name in FILE_FORMATS:
        render_portrait(in_folder(order, tmp_path / name, file_format=name, alpha=True), silent)
    shallow = np.asarray(Image.open(tmp_path / "png" / "portrait_0005.png"), np.float32) / 255
    deep = (
        np.asarray(Image.open(tmp_path / "png16" / "portrait_0005.png"), np.float32) / 255
    )  # Pillow reads 8 of 16 bits
    half = openexr.File(str(tmp_path / "exr" / "portrait_0005.exr")).channels()["RGBA"].pixels.astype(np.float32)
    opacity = shallow[..., 3:]
    linear = np.where(shallow <= 0.04045, shallow / 12.92, ((shallow + 0.055) / 1.055) ** 2.4)[..., :3]
    assert ((opacity > 0.1) & (opacity < 0.9)).any()
    assert np.abs(deep - shallow).max() < 1.01 / 255
    assert np.abs(half[..., 3:] - opacity).max() < 0.6 / 255
    assert np.abs(half[..., :3] - linear * opacity).max() < 0.01


@pytest.mark.parametrize(
    ("changes", "other"),
    [
        ({"size": 64}, "size"),
        ({"fps": 24.0}, "motion, rate"),
        ({"alpha": True}, "alpha"),
        ({"speed": 1.1}, "motion"),
        ({"controls": PortraitControls(blinks=(0.2,))}, "controls"),
        ({"refine": False}, "refine"),
        ({"file_format": "png16"}, "format"),
    ],
    ids=["size", "rate", "alpha", "speed", "controls", "refine", "format"],
)
def test_whatever_changes_the_frames_keeps_them_apart(order, tmp_path, changes, other):
    render_portrait(in_folder(order, tmp_path), silent)
    with pytest.raises(PortraitError, match=rf"{other}\).*overwrite"):
        render_portrait(in_folder(order, tmp_path, **changes), silent)


def test_motion_comes_later_by_a_part_of_a_frame(order, tmp_path):
    first = render_portrait(in_folder(order, tmp_path / "a"), silent)
    render_portrait(in_folder(order, tmp_path / "b", later_s=0.02), silent)
    assert first.count == len(list((tmp_path / "b").glob("*.png"))) - 1
    assert contents(tmp_path / "a")["portrait_0010.png"] != contents(tmp_path / "b")["portrait_0010.png"]


def test_a_still_is_a_frame_of_the_whole(order, tmp_path):
    render_portrait(in_folder(order, tmp_path / "whole"), silent)
    for still, number in ((12, 13), (99, 20)):
        result = render_portrait(in_folder(order, tmp_path / "still", still=still, overwrite=True), silent)
        assert result.count == 1
        seen, expected = (
            np.asarray(Image.open(path), int)
            for path in (result.held, tmp_path / "whole" / f"portrait_{number:04d}.png")
        )
        assert np.abs(seen - expected).max() <= 1


def test_what_cannot_be_read_is_told_and_nothing_written(order, tmp_path):
    with pytest.raises(PortraitError, match=r"none\.png"):
        render_portrait(in_folder(order, tmp_path / "out", image="none.png"), silent)
    with pytest.raises(ClipError, match=r"none\.npz"):
        render_portrait(in_folder(order, tmp_path / "out", clip="none.npz"), silent)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 9}, "size must be between"),
        ({"fps": float("nan")}, "frame rate must be between"),
        ({"name": "../x"}, "cannot be the name"),
        ({"device": "tpu"}, "Unknown device"),
        ({"file_format": "jpeg"}, "Unknown file format"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(order, changes, message):
    with pytest.raises(PortraitError, match=message):
        replace(order, **changes)


def test_an_order_survives_json(order):
    directed = replace(order, controls=PortraitControls(lip=1.2, gaze_offset=(0.1, 0.0), blinks=(0.5, 1.0)))
    assert PortraitOrder.from_json(json.loads(json.dumps(directed.to_json()))) == directed
    with pytest.raises(PortraitError, match="cannot be read"):
        PortraitOrder.from_json({**order.to_json(), "mood": "sad"})


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ({"lip": 5.0}, "gain of lip must be between 0 and 4"),
        ({"eyes": float("nan")}, "gain of eyes"),
        ({"gaze_offset": [1.5, 0.0]}, "gaze can be turned by 60 degrees at most, not 85.9"),
        ({"head_offset": [0.1, 0.0]}, "head is turned by 3 angles, not 2"),
        ({"blinks": [-1.0]}, "blink must come 0 or more seconds"),
        ({"blinks": 2.0}, "cannot be read"),
        ({"pose": "much"}, "cannot be read: 'much' is not a number"),
        ({"mood": 1.0}, "cannot be read"),
        ([1.0], "cannot be read"),
    ],
    ids=range(9),
)
def test_controls_that_make_no_sense_are_refused(order, controls, message):
    with pytest.raises(PortraitError, match=message):
        PortraitOrder.from_json({**order.to_json(), "controls": controls})


def test_controls_reach_the_frames(order, tmp_path):
    for name, controls in (("plain", PortraitControls()), ("still", PortraitControls(lip=0.0))):
        render_portrait(in_folder(order, tmp_path / name, controls=controls), silent)
    plain, still = (contents(tmp_path / name) for name in ("plain", "still"))
    assert plain["portrait_0020.png"] != still["portrait_0020.png"]
    assert still["portrait_0001.png"] == still["portrait_0020.png"]
