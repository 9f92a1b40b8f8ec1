# SPDX-License-Identifier: GPL-3.0-or-later
"""ARKit weights in JSON: every layout in use comes in, Audio2Face's goes out, digit for digit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blender_demo.backend.errors import ClipError
from blender_demo.backend.motion.arkit_json import read_arkit_json, write_arkit_json
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import ARKIT_NAMES, CHANNELS, EYE_LOOK_YAW_RAD

JAW = [0.0, 0.25, 0.5, 0.75]
SMILE = [0.125, 0.0, 0.125, 0.0]
ROWS = [list(row) for row in zip(JAW, SMILE, strict=True)]
TABLES = [{"jawOpen": jaw, "mouthSmileLeft": smile} for jaw, smile in ROWS]
CATEGORIES = [[{"categoryName": name, "score": value} for name, value in table.items()] for table in TABLES]
AZURE = [[jaw if column == 17 else 0.0 for column in range(55)] for jaw in JAW]


def file(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "in.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


LAYOUTS = {
    "Audio2Face": {"exportFps": 60.0, "trackPath": "a.wav", "numPoses": 2, "numFrames": 4,
                   "facsNames": ["jawOpen", "mouthSmileLeft"], "weightMat": ROWS, "joints": [], "rotations": []},
    "names and frames": {"fps": 60, "names": ["JawOpen", "MouthSmile_L"], "frames": ROWS},
    "frames with times": {"fps": 60, "channels": ["jaw_open", "mouthSmileL"],
                          "frames": [{"t": i / 60, "w": row} for i, row in enumerate(ROWS)]},
    "metadata": {"names": ["jawOpen", "mouthSmileLeft"], "metadata": {"fps": 60, "frame_count": 4},
                 "frames": [{"weights": row, "time": i / 60, "rotation": []} for i, row in enumerate(ROWS)]},
    "seconds": [{"time": 5 + i / 60, **table} for i, table in enumerate(TABLES)],
    "milliseconds": [{"timestamp": 1.7e12 + round(i * 1000 / 60), "blendshapes": table}
                     for i, table in enumerate(TABLES)],
    "categories": [{"timestamp": 16.667 * i, "blendShapes": categories} for i, categories in enumerate(CATEGORIES)],
    "landmarker": {"fps": 60, "frames": [{"faceBlendshapes": [{"categories": c}]} for c in CATEGORIES]},
    "frame numbers": {"frameRate": 60, "frames": [{"frame": 7 + i, **table} for i, table in enumerate(TABLES)]},
    "lines": "\n".join(json.dumps({"time": i / 60, **table}) for i, table in enumerate(TABLES)),
}  # fmt: skip


@pytest.mark.parametrize("content", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_same_motion(tmp_path, content):
    clip = read_arkit_json(file(tmp_path, content))
    assert (clip.fps, clip.names, len(clip)) == (60.0, CHANNELS, 4)
    assert clip["jawOpen"].tolist() == JAW
    assert clip["mouthSmileLeft"].tolist() == SMILE
    assert not clip["mouthSmileRight"].any()


@pytest.mark.parametrize(
    "content",
    [
        {"FrameIndex": 0, "BlendShapes": AZURE},
        [{"FrameIndex": 0, "BlendShapes": AZURE[:3]}, {"FrameIndex": 3, "BlendShapes": AZURE[3:]}],
        "\n".join(json.dumps({"FrameIndex": i, "BlendShapes": [row]}) for i, row in enumerate(AZURE)),
    ],
    ids=["one piece", "pieces", "a piece a line"],
)
def test_azure_s_pieces_are_one_motion_at_60_fps(tmp_path, content):
    clip = read_arkit_json(file(tmp_path, content))
    assert (clip.fps, len(clip)) == (60.0, 4)
    assert clip["jawOpen"].tolist() == JAW
    assert clip.settings["notes"] == [
        "in.json has columns that are no channels of a face; they were left out: "
        "Azure's head roll, Azure's left eye roll, Azure's right eye roll."
    ]


def random_clip(fps: float = 30.0) -> MotionClip:
    channels = np.random.default_rng(3).random((25, len(CHANNELS)), np.float32)
    return MotionClip(fps, channels, audio_hash="abc", settings={"seed": 5})


@pytest.mark.parametrize("fps", [24000 / 1001, 25.0, 30.0, 59.94, 60.0])
def test_a_clip_comes_back_whole(tmp_path, fps):
    clip = random_clip(fps)
    write_arkit_json(clip, tmp_path / "out.json")
    again = read_arkit_json(tmp_path / "out.json")
    np.testing.assert_array_equal(again.channels, clip.channels)
    assert (again.fps, again.audio_hash, again.settings["seed"]) == (clip.fps, "abc", 5)
    assert again.settings["notes"] == []


def test_what_is_written_is_audio2face_s_layout_in_arkit_s_order(tmp_path):
    clip = random_clip()
    write_arkit_json(clip, tmp_path / "out.json")
    written = json.loads((tmp_path / "out.json").read_text())
    assert (written["exportFps"], written["numPoses"], written["numFrames"]) == (30, 52, 25)
    assert isinstance(written["exportFps"], int)
    assert sorted(written["facsNames"]) == sorted(ARKIT_NAMES)
    order = [written["facsNames"].index(name) for name in ("jawForward", "jawLeft", "jawRight", "jawOpen", "tongueOut")]
    assert order == [14, 15, 16, 17, 51]
    np.testing.assert_array_equal(np.float32(written["weightMat"])[:, 17], clip["jawOpen"])


DIGITS = {
    "few": lambda rng: rng.random((9, 52)).round(3),
    "single precision": lambda rng: rng.random((9, 52), np.float32).astype(float),
    "ten decimals": lambda rng: rng.random((9, 52)).round(10),
    "double precision": lambda rng: rng.random((9, 52)) ** 9,
}


@pytest.mark.parametrize("numbers", DIGITS.values(), ids=DIGITS)
@pytest.mark.parametrize("way", ["straight", "over a clip file"])
def test_numbers_come_out_with_the_digits_of_the_file(tmp_path, numbers, way):
    weights = numbers(np.random.default_rng(1)).tolist()
    source = {"exportFps": 30, "facsNames": list(ARKIT_NAMES), "weightMat": weights}
    clip = read_arkit_json(file(tmp_path, source))
    if way != "straight":
        clip.save(tmp_path / "clip.npz")
        clip = MotionClip.load(tmp_path / "clip.npz")
    write_arkit_json(clip, tmp_path / "out.json")
    out = json.loads((tmp_path / "out.json").read_text())
    order = [out["facsNames"].index(name) for name in ARKIT_NAMES]
    assert [[row[i] for i in order] for row in out["weightMat"]] == weights


def test_an_edited_value_is_written_and_the_others_keep_their_digits(tmp_path):
    source = {"exportFps": 30, "facsNames": ["jawOpen"], "weightMat": [[0.1234567890123], [0.25]]}
    clip = read_arkit_json(file(tmp_path, source))
    channels = clip.channels.copy()
    channels[1, CHANNELS.index("jawOpen")] = 0.7
    write_arkit_json(clip.with_channels(channels), tmp_path / "out.json")
    out = json.loads((tmp_path / "out.json").read_text())
    assert [row[17] for row in out["weightMat"]] == [0.1234567890123, 0.7]


def test_a_clip_of_the_lips_alone_is_written_with_the_rest_at_zero(tmp_path):
    write_arkit_json(MotionClip(30.0, np.ones((2, 1), np.float32), ("jawOpen",)), tmp_path / "out.json")
    assert read_arkit_json(tmp_path / "out.json").channels.sum() == 2.0


def test_turns_of_head_and_eyes_are_read_in_radians(tmp_path):
    turns = {"HeadYaw": 0.2, "headPitch": -0.1, "LeftEyeYaw": 0.1, "RightEyeYaw": 0.3, "jawOpen": 0.5}
    clip = read_arkit_json(file(tmp_path, {"fps": 30, "frames": [turns, turns]}))
    assert clip["headYaw"] == pytest.approx(0.2)
    assert clip["headPitch"] == pytest.approx(-0.1)
    assert clip["gazeYaw"] == pytest.approx(0.2)


def test_gaze_follows_the_eye_look_weights_where_the_eyes_do_not_turn(tmp_path):
    look = {"eyeLookInLeft": 0.5, "eyeLookOutRight": 0.5}
    clip = read_arkit_json(file(tmp_path, {"fps": 30, "frames": [look]}))
    assert clip["gazeYaw"] == pytest.approx(0.5 * EYE_LOOK_YAW_RAD)


def test_what_is_left_out_and_what_is_missing_is_told(tmp_path):
    rows = [{"_neutral": 1.0, "jawOpen": 0.1, "tongueTwist": 0.3, "headYaw": 20.0, "emotion": "sad"}]
    notes = read_arkit_json(file(tmp_path, {"fps": 30, "frames": rows})).settings["notes"]
    assert "left out: tongueTwist, headYaw (not in radians)." in notes[0]
    assert "lacks channels, which stay at rest: jawForward, jawLeft" in notes[1]
    assert "and 45 more" in notes[1]


def test_without_a_rate_it_is_thirty_and_that_is_told(tmp_path):
    clip = read_arkit_json(file(tmp_path, {"facsNames": ["jawOpen"], "weightMat": [[0.1], [0.2]]}))
    assert clip.fps == 30.0
    assert "in.json tells no rate" in clip.settings["notes"][0]


@pytest.mark.parametrize("gap", [None, {}, {"time": 3 / 60}, {"time": 3 / 60, "blendShapes": []}, "left out"])
def test_frames_without_a_face_are_interpolated(tmp_path, gap):
    frames: list[Any] = [{"time": i / 60, "jawOpen": i / 16} for i in range(8)]
    frames[3:4] = [] if gap == "left out" else [gap]
    clip = read_arkit_json(file(tmp_path, frames))
    assert (clip.fps, len(clip)) == (60.0, 8)
    assert clip["jawOpen"].tolist() == [i / 16 for i in range(8)]


def test_gaps_between_frame_numbers_are_interpolated(tmp_path):
    frames = [{"frame": i, "jawOpen": i / 16} for i in (2, 3, 6)]
    clip = read_arkit_json(file(tmp_path, {"fps": 25, "frames": frames}))
    assert clip["jawOpen"].tolist() == [2 / 16, 3 / 16, 4 / 16, 5 / 16, 6 / 16]


def test_uneven_times_are_interpolated_to_an_even_rate_and_that_is_told(tmp_path):
    times = np.cumsum([0, 16, 17, 16, 3, 33, 16, 17, 16])
    clip = read_arkit_json(file(tmp_path, [{"time": int(t), "jawOpen": t / 200} for t in times]))
    assert clip["jawOpen"] == pytest.approx(np.arange(len(clip)) / clip.fps / 0.2, abs=1e-6)
    assert "timed unevenly" in clip.settings["notes"][0]


def told(**changes: Any) -> dict[str, Any]:
    return {"exportFps": 30, "facsNames": ["jawOpen", "mouthClose"], "weightMat": [[0.1, 0.2], [0.3, 0.4]]} | changes


BAD = {
    "empty": ("", "line 1: this is not JSON"),
    "cut off": (json.dumps(told(), indent=1)[:-20], "line 13: this is not JSON, or it is cut off"),
    "a word": ('"hello"', "holds no frames"),
    "no frames": ({"exportFps": 30}, "holds no frames"),
    "empty frames": (told(weightMat=[]), "has no frames with weights"),
    "empty list": ([], "has no frames with weights"),
    "frames of words": (told(weightMat=["a", "b"]), "frame 1 holds no weights, but 'a'"),
    "ragged": (told(weightMat=[[0.1, 0.2], [0.3]]), "frame 2 has 1 values for 2 names"),
    "NaN": ('{"fps": 30, "names": ["jawOpen"], "frames": [[0.5], [NaN]]}', "frame 2: jawOpen is not a number"),
    "null": (told(weightMat=[[0.1, None]]), "frame 1: mouthClose is not a number"),
    "text": ([{"jawOpen": 0.1}, {"jawOpen": "wide"}], "frame 2: jawOpen is not a number"),
    "no names": ({"fps": 30, "frames": [[0.1] * 52]}, "does not name its 52 columns"),
    "names unknown": (told(facsNames=["AU1", "AU2"]), "no column with the name of an ARKit channel, but AU1, AU2"),
    "named twice": (told(facsNames=["jawOpen", "JawOpen"]), "names jawOpen twice"),
    "no rate": (told(exportFps=0), "gives 0 as its frames per second"),
    "rate in words": (told(exportFps="30"), "gives '30' as its frames per second"),
    "wrong rate": ({"fps": 60, "frames": [{"time": i / 30, "jawOpen": 0.1} for i in range(4)]}, "do not fit its 60 fr"),
    "times of nothing": ([{"time": i, "jawOpen": 0.1} for i in range(4)], "neither seconds nor milliseconds"),
    "time in words": ([{"time": "noon", "jawOpen": 0.1}], "frame 1: its time or number is 'noon'"),
    "backwards": ([{"time": t, "jawOpen": 0.1} for t in (0.0, 0.1, 0.1)], "frame 3 does not come after"),
    "percent": (told(weightMat=[[80, 0.2]]), "jawOpen reaches 80, and weights lie between 0 and 1"),
    "fewer than told": (told(numFrames=3), "tells of 3 frames and has 2: it is cut off"),
    "damaged table": (told(demo={"names": ["headYaw"]}), 'its table "demo" is damaged'),
    "short table": (told(demo={"names": ["headYaw"], "values": [[0]], "audioHash": "", "settings": {}}), "is damaged"),
    "huge": (told(weightMat=[[0.1, 10**400]]), "frame 1: mouthClose is not a number"),
    "deep": ("[" * 100_000, "this is not JSON"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_named_with_file_frame_and_remedy(tmp_path, content, message):
    path = file(tmp_path, content)
    with pytest.raises(ClipError) as caught:
        read_arkit_json(path)
    text = str(caught.value)
    assert message in text
    assert str(path) in text
    assert text.endswith(".")
    assert any(remedy in text for remedy in ("Export", "Choose", "Add", "Rename", "Write", "Divide", "Remove")), text


def test_a_missing_file_and_one_that_is_no_text_are_named(tmp_path):
    with pytest.raises(ClipError, match=r"gone\.json does not exist"):
        read_arkit_json(tmp_path / "gone.json")
    (tmp_path / "in.json").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ClipError, match="cannot be read as text"):
        read_arkit_json(tmp_path / "in.json")


def test_a_byte_order_mark_is_no_obstacle(tmp_path):
    (tmp_path / "in.json").write_text(json.dumps(told()), "utf-8-sig")
    assert len(read_arkit_json(tmp_path / "in.json")) == 2
