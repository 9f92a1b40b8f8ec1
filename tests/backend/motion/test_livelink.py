# SPDX-License-Identifier: GPL-3.0-or-later
"""Live Link Face recordings come in with their own rate and signs, and go out with their own digits."""

from pathlib import Path

import numpy as np
import pytest

from blender_demo.backend.errors import ClipError
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import ARKIT_NAMES, CHANNELS, EYE_LOOK_YAW_RAD, channel_slice
from blender_demo.backend.motion.livelink import read_live_link, write_live_link
from blender_demo.backend.motion.resample import resample

HEAD = ["HeadYaw", "HeadPitch", "HeadRoll"]
EYES = ["LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll"]
WEIGHTS = [name[0].upper() + name[1:] for name in ARKIT_NAMES]
VALUES = [*WEIGHTS, *HEAD, *EYES]


def timecodes(frames: int, step: float, start: float = 13 * 216000.0, base: int = 60) -> list[str]:
    """Timecodes of frames `step` ticks apart, on a count of `base` ticks per second."""
    out = []
    for tick in start + step * np.arange(frames):
        second = int(tick // base)
        out.append(f"{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}:{tick % base:06.3f}")
    return out


def recording(path: Path, codes: list[str], values=None, columns=VALUES, count="BlendShapeCount", seed=0) -> Path:
    """A made-up file with single-precision values, as the app writes them."""
    if values is None:
        values = np.random.default_rng(seed).random((len(codes), len(columns)), np.float32)
    rows = [
        f"{code},{len(columns)}," + ",".join(f"{value:.10f}" for value in row)
        for code, row in zip(codes, values.tolist(), strict=True)
    ]
    path.write_text("\n".join([f"Timecode,{count}," + ",".join(columns), *rows, ""]))
    return path


def columns_of(path: Path) -> dict[str, np.ndarray]:
    lines = [line.split(",") for line in path.read_text().splitlines()]
    return {name: np.array([float(row[i]) for row in lines[1:]]) for i, name in enumerate(lines[0]) if i > 1}


@pytest.mark.parametrize("name", ["alex_rom_3.csv", "alex_rom_4.csv"])
def test_real_recordings_come_out_byte_for_byte_after_a_stay_in_a_clip_file(shared_data, tmp_path, name):
    source = shared_data / "livelink" / name
    clip = read_live_link(source)
    assert clip.fps == 30.0
    clip.save(tmp_path / "take.npz")
    write_live_link(MotionClip.load(tmp_path / "take.npz"), tmp_path / name)
    assert (tmp_path / name).read_bytes() == source.read_bytes()


def test_gaze_of_a_real_recording_agrees_with_its_eye_look_weights(shared_data):
    clip = read_live_link(shared_data / "livelink" / "alex_rom_3.csv")
    right = (clip["eyeLookInLeft"] - clip["eyeLookOutLeft"] + clip["eyeLookOutRight"] - clip["eyeLookInRight"]) / 2
    assert np.corrcoef(clip["gazeYaw"], right)[0, 1] > 0.999
    assert np.abs(clip["gazeYaw"] - EYE_LOOK_YAW_RAD * right).mean() < 0.001


@pytest.mark.parametrize("count", ["BlendshapeCount", "BlendShapeCount"])
@pytest.mark.parametrize(("step", "fps"), [(2.0, 30.0), (1.0, 60.0), (2.5, 24.0), (2.002, 30000 / 1001)])
def test_both_spellings_and_every_rate_are_read_and_written_again(tmp_path, count, step, fps):
    source = recording(tmp_path / "in.csv", timecodes(40, step), count=count)
    clip = read_live_link(source)
    assert clip.fps == fps
    assert len(clip) == 40
    write_live_link(clip, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == source.read_bytes()


def test_every_column_lands_in_its_channel_with_its_sign(tmp_path):
    truth = columns_of(recording(tmp_path / "in.csv", timecodes(3, 2)))
    clip = read_live_link(tmp_path / "in.csv")
    for name in (*WEIGHTS, *HEAD):
        np.testing.assert_array_equal(clip[name[0].lower() + name[1:]], truth[name].astype(np.float32))
    np.testing.assert_allclose(clip["gazeYaw"], (truth["LeftEyeYaw"] + truth["RightEyeYaw"]) / 2, atol=1e-7)
    np.testing.assert_allclose(clip["gazePitch"], (truth["LeftEyePitch"] + truth["RightEyePitch"]) / 2, atol=1e-7)


def test_timecodes_that_count_thirtieths_are_told_from_sixtieths_once_a_second_has_passed(tmp_path):
    clip = read_live_link(recording(tmp_path / "in.csv", timecodes(100, 1.0, start=0.0, base=30)))
    assert clip.fps == 30.0


def test_the_rate_of_a_drifting_clock_is_measured(tmp_path):
    """Ten minutes at 30.03: at 30 the end would be 18 frames late, at 29.97 still more."""
    clip = read_live_link(recording(tmp_path / "in.csv", timecodes(18_000, 60 / 30.03), np.ones((18_000, 61))))
    assert clip.fps == pytest.approx(30.03, abs=1e-4)


def test_a_recording_may_run_past_midnight(tmp_path):
    source = recording(tmp_path / "in.csv", timecodes(200, 2.0, start=24 * 216000 - 100.0))
    clip = read_live_link(source)
    assert (clip.fps, len(clip)) == (30.0, 200)
    write_live_link(clip, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == source.read_bytes()


def test_dropped_frames_are_interpolated_and_left_out_again(tmp_path):
    codes = timecodes(20, 2.0)
    ramp = np.linspace(0.0, 0.5, 20, dtype=np.float32)[:, None] * np.ones(61, np.float32)
    kept = [i for i in range(20) if i not in (4, 9, 10, 11)]
    source = recording(tmp_path / "in.csv", [codes[i] for i in kept], ramp[kept])
    clip = read_live_link(source)
    assert (clip.fps, len(clip)) == (30.0, 20)
    np.testing.assert_allclose(clip["jawOpen"], ramp[:, 0], atol=1e-7)
    write_live_link(clip, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == source.read_bytes()


def test_frames_without_a_face_are_interpolated(tmp_path):
    source = recording(tmp_path / "in.csv", timecodes(9, 1.0))
    lines = source.read_text().splitlines()
    lines[5] = lines[5].split(",")[0] + ",0"
    source.write_text("\n".join(lines))
    clip = read_live_link(source)
    assert len(clip) == 9
    np.testing.assert_allclose(clip["jawOpen"][4], clip["jawOpen"][[3, 5]].mean(), atol=1e-7)


def test_a_recording_without_tongue_head_and_eyes_looks_where_its_weights_say(tmp_path):
    columns = [name for name in WEIGHTS if name != "TongueOut"]
    values = np.zeros((5, len(columns)), np.float32)
    values[:, columns.index("EyeLookInLeft")] = values[:, columns.index("EyeLookOutRight")] = 0.5
    source = recording(tmp_path / "in.csv", timecodes(5, 2.0), values, columns)
    clip = read_live_link(source)
    np.testing.assert_allclose(clip["gazeYaw"], 0.5 * EYE_LOOK_YAW_RAD, atol=1e-6)
    assert not clip["tongueOut"].any()
    write_live_link(clip, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == source.read_bytes()


def test_eyes_turn_with_an_edited_gaze_and_keep_their_difference(tmp_path):
    clip = read_live_link(recording(tmp_path / "in.csv", timecodes(6, 2.0)))
    channels = clip.channels.copy()
    channels[:, CHANNELS.index("gazeYaw")] += 0.125
    write_live_link(clip.with_channels(channels), tmp_path / "out.csv")
    before, after = columns_of(tmp_path / "in.csv"), columns_of(tmp_path / "out.csv")
    for eye in ("LeftEyeYaw", "RightEyeYaw"):
        np.testing.assert_allclose(after[eye], before[eye] + 0.125, atol=1e-6)
    np.testing.assert_array_equal(after["LeftEyePitch"], before["LeftEyePitch"])


def test_a_generated_clip_is_written_and_read_again(tmp_path):
    rng = np.random.default_rng(1)
    channels = rng.random((50, len(CHANNELS)), np.float32)
    channels[:, channel_slice("pose")][:, 3:] = 0.0
    write_live_link(MotionClip(fps=24.0, channels=channels), tmp_path / "out.csv")
    clip = read_live_link(tmp_path / "out.csv")
    assert clip.fps == 24.0
    np.testing.assert_allclose(clip.channels, channels, atol=1e-7)
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("00:00:00:00.000,61,")


def test_a_clip_at_another_rate_starts_at_the_recording_s_timecode(tmp_path):
    clip = resample(read_live_link(recording(tmp_path / "in.csv", timecodes(60, 1.0))), 30.0)
    write_live_link(clip, tmp_path / "out.csv")
    again = read_live_link(tmp_path / "out.csv")
    assert (again.fps, len(again)) == (30.0, 30)
    assert (tmp_path / "out.csv").read_text().splitlines()[2].startswith("13:00:00:02.000")


def _rewritten(path: Path, change) -> Path:
    path.write_bytes(change(path.read_text()).encode())
    return path


def _semicolons(text: str) -> str:
    """As a spreadsheet writes it where the decimal sign is a comma."""
    return text.replace(",", ";").replace(".", ",")


OTHER_PROGRAMS = {
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "byte order mark": lambda text: "\ufeff" + text,
    "empty lines": lambda text: text.replace("\n", "\n\n"),
    "blank rows": lambda text: text + "," * 62 + "\n",
    "semicolons": _semicolons,
    "quotation marks": lambda text: "\n".join(
        ",".join(f'"{cell}"' for cell in line.split(",")) for line in text.splitlines()
    ),
    "lower case": lambda text: text.replace(text.splitlines()[0], text.splitlines()[0].lower()),
    "camel case": lambda text: text.replace(",Jaw", ",jaw").replace(",Eye", ",eye").replace(",Mouth", ",mouth"),
    "underscores": lambda text: text.replace("EyeBlinkLeft", "eyeBlink_L").replace("EyeBlinkRight", "eyeBlink_R"),
    "spaces": lambda text: text.replace(",", " , "),
}


@pytest.mark.parametrize("change", OTHER_PROGRAMS.values(), ids=OTHER_PROGRAMS)
def test_what_other_programs_make_of_it_is_read_alike(tmp_path, change):
    source = recording(tmp_path / "in.csv", timecodes(8, 2.0))
    truth = read_live_link(source)
    clip = read_live_link(_rewritten(source, change))
    np.testing.assert_array_equal(clip.channels, truth.channels)
    assert clip.fps == truth.fps
    write_live_link(clip, tmp_path / "out.csv")
    np.testing.assert_array_equal(read_live_link(tmp_path / "out.csv").channels, truth.channels)


def test_a_header_keeps_its_own_spelling(tmp_path):
    source = _rewritten(recording(tmp_path / "in.csv", timecodes(8, 2.0)), OTHER_PROGRAMS["camel case"])
    write_live_link(read_live_link(source), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == source.read_bytes()


def test_columns_that_are_no_channels_are_told(tmp_path):
    source = recording(tmp_path / "in.csv", timecodes(4, 2.0), columns=[*VALUES, "Confidence", "Neck"])
    notes = read_live_link(source).settings["notes"]
    assert notes == ["in.csv has columns that are no channels of a face; they were left out: Confidence, Neck."]


@pytest.mark.parametrize(
    "columns",
    [WEIGHTS, [w for w in WEIGHTS if w != "TongueOut"], [*WEIGHTS, *HEAD[1:], *EYES], VALUES],
    ids=["52", "51", "no HeadYaw", "61"],
)
def test_every_count_of_values_comes_out_as_it_was(tmp_path, columns):
    source = recording(tmp_path / "in.csv", timecodes(6, 2.0), columns=columns)
    write_live_link(read_live_link(source), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == source.read_bytes()


def test_digits_beyond_single_precision_come_out_again(tmp_path):
    values = np.random.default_rng(2).random((12, 61)).round(10)
    source = recording(tmp_path / "in.csv", [c for i, c in enumerate(timecodes(14, 2.0)) if i not in (3, 7)], values)
    clip = read_live_link(source)
    clip.save(tmp_path / "take.npz")
    write_live_link(MotionClip.load(tmp_path / "take.npz"), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == source.read_bytes()


def test_an_edited_value_is_not_rounded_to_the_few_digits_of_the_file(tmp_path):
    source = _rewritten(
        recording(tmp_path / "in.csv", timecodes(4, 2.0), np.full((4, 61), 0.5)),
        lambda t: t.replace("0.5000000000", "0.5"),
    )
    clip = read_live_link(source)
    channels = clip.channels.copy()
    channels[2, CHANNELS.index("jawOpen")] = 0.123456
    write_live_link(clip.with_channels(channels), tmp_path / "out.csv")
    assert columns_of(tmp_path / "out.csv")["JawOpen"][2] == pytest.approx(0.123456, abs=1e-9)


@pytest.mark.parametrize("number", ["1.5e-05", "1E-3", "5e-1"])
def test_numbers_with_an_exponent_keep_their_value(tmp_path, number):
    text = recording(tmp_path / "in.csv", timecodes(4, 2.0), np.zeros((4, 61))).read_text()
    source = _rewritten(tmp_path / "in.csv", lambda _: text.replace(",0.0000000000", f",{number}"))
    write_live_link(read_live_link(source), tmp_path / "out.csv")
    assert columns_of(tmp_path / "out.csv")["JawOpen"].tolist() == [float(number)] * 4


@pytest.mark.parametrize("cut", [3, 200, -4, -13])
def test_a_last_row_that_is_cut_off_is_left_out(tmp_path, cut):
    source = recording(tmp_path / "in.csv", timecodes(8, 2.0))
    lines = source.read_text().splitlines()
    source.write_text("\n".join([*lines[:-1], lines[-1][:cut].rstrip("0123456789.") + "-"]))
    assert len(read_live_link(source)) == 7


def damaged(path: Path, line: int, old: str, new: str) -> Path:
    lines = recording(path, timecodes(8, 2.0)).read_text().splitlines()
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(
    ("line", "old", "new", "message"),
    [
        (1, "Timecode", "Frame", "line 1: the header does not begin with Timecode,BlendShapeCount"),
        (1, "JawOpen", "Jaw", "line 1: the header lacks the column JawOpen"),
        (1, "HeadYaw", "JawOpen", "line 1: the header names a column twice"),
        (4, ",61,", ",61,0.5,", "line 4: 64 values where the header has 63"),
        (5, "13:00:00:06.000", "0.2", "line 5: '0.2' is not a timecode"),
        (5, "13:00:00:06.000", "13:00:00:61.000", "line 5: '13:00:00:61.000' is not a timecode"),
        (5, "13:00:00:06.000", f"{'9' * 400}:00:00:06.000", "is not a timecode"),
        (6, "13:00:00:08.000", "13:00:00:06.000", "line 6: the timecode does not go on"),
        (3, ",0.", ",O.", "line 3: could not convert"),
        (3, ",0.", ",nan0.", "line 3: could not convert"),
        (3, ",61,0", ",61,9e999", "line 3: "),
    ],
)
def test_damage_is_named_with_file_line_and_remedy(tmp_path, line, old, new, message):
    source = damaged(tmp_path / "take.csv", line, old, new)
    with pytest.raises(ClipError) as caught:
        read_live_link(source)
    text = str(caught.value)
    assert str(source) in text
    assert message in text
    assert "Export" in text or "Choose" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "does not begin with"), (b"\xff\xfe\x00\x01", "cannot be read as text"), (None, "does not exist")],
)
def test_what_is_no_recording_is_refused(tmp_path, content, message):
    path = tmp_path / "take.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ClipError, match=message):
        read_live_link(path)


def test_a_recording_in_which_no_face_was_seen_is_refused(tmp_path):
    source = recording(tmp_path / "in.csv", timecodes(1, 2.0))
    with pytest.raises(ClipError, match="fewer than two frames with a face"):
        read_live_link(source)


def test_a_failure_leaves_nothing_behind(tmp_path):
    whole = MotionClip(fps=30.0, channels=np.zeros((2, len(CHANNELS)), np.float32))
    with pytest.raises(ClipError, match="Choose a folder you may write to"):
        write_live_link(whole, tmp_path / "missing" / "out.csv")
    assert not list(tmp_path.iterdir())
