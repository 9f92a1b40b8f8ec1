# SPDX-License-Identifier: GPL-3.0-or-later
"""Live Link Face recordings (CSV) to motion clips and back, number for number.

A file has one row per captured frame: timecode, number of values, 52 ARKit weights (51 in early versions, without the
tongue), then yaw, pitch and roll of the head and of each eye in radians. The channel table has the same units and
signs, so that values are copied; gaze is the mean of the two eyes. What a clip has no channel for (timecodes, the
eyes apart, the spelling of the columns, digits beyond single precision) is kept in its settings under "live_link", and
used again when it is written. Columns that are no channel are told in the settings' "notes".

Other programs write the same table with their own case and order of columns, quotation marks or `_L` for Left; where
the decimal sign is a comma, spreadsheets put semicolons between the cells. All of that is read.

Timecodes read `hh:mm:ss:ff.fff`, and `ff` counts sixtieths of a second whatever the camera's rate: a recording at 30
frames per second takes every second number. The rate is therefore measured from the timecodes. Frames that the phone
dropped, or in which it saw no face (a count of 0), are interpolated linearly; they are left out again when writing.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import ClipError
from .atomic import written_whole
from .clip import MotionClip
from .digits import lost_digits, restored
from .factors import CHANNEL_INDEX, CHANNELS, channel_slice, gaze_from_eye_look
from .spelling import plain
from .timing import frame_places

__all__ = ["WEIGHT_COLUMNS", "read_live_link", "write_live_link"]


def _eye(side: str) -> tuple[str, ...]:
    return tuple(f"Eye{part}{side}" for part in ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide"))


def _mouth(*parts: str) -> tuple[str, ...]:
    return tuple(f"Mouth{part}{side}" for part in parts for side in ("Left", "Right"))


WEIGHT_COLUMNS: Final = (
    *_eye("Left"), *_eye("Right"),
    "JawForward", "JawRight", "JawLeft", "JawOpen",
    "MouthClose", "MouthFunnel", "MouthPucker", "MouthRight", "MouthLeft",
    *_mouth("Smile", "Frown", "Dimple", "Stretch"),
    "MouthRollLower", "MouthRollUpper", "MouthShrugLower", "MouthShrugUpper",
    *_mouth("Press", "LowerDown", "UpperUp"),
    "BrowDownLeft", "BrowDownRight", "BrowInnerUp", "BrowOuterUpLeft", "BrowOuterUpRight",
    "CheekPuff", "CheekSquintLeft", "CheekSquintRight", "NoseSneerLeft", "NoseSneerRight", "TongueOut",
)  # fmt: skip
"""The 52 ARKit weights in the order of the app."""

_HEAD: Final = ("HeadYaw", "HeadPitch", "HeadRoll")
_EYES: Final = tuple(f"{side}Eye{axis}" for side in ("Left", "Right") for axis in ("Yaw", "Pitch", "Roll"))
_BOTH_EYES: Final = ([0, 3], [1, 4])
"""Columns of _EYES whose means are yaw and pitch of the gaze."""
_GAZE: Final = [CHANNEL_INDEX["gazeYaw"], CHANNEL_INDEX["gazePitch"]]
_COLUMNS: Final = ("Timecode", "BlendShapeCount", *WEIGHT_COLUMNS, *_HEAD, *_EYES)
_BY_PLAIN_NAME: Final = {plain(column): column for column in _COLUMNS[2:]}
_MAY_LACK: Final = {"TongueOut", *_HEAD, *_EYES}

_SETTING: Final = "live_link"
_DECIMALS: Final = 10
_MOST_DECIMALS: Final = 17
_TIMECODE: Final = re.compile(r"\d{1,4}:[0-5]?\d:[0-5]?\d:[0-5]?\d(\.\d+)?")
_TICKS: Final = 60
_OTHER_TICK_RATES: Final = (24, 25, 30, 50)
"""Of other programs that write this format; told from a whole second in which no higher number comes up."""
_LEAST_FPS: Final = 6.0
"""At fewer frames per second the highest tick of a second is one that a count of 50 has as well."""
_DAY_S: Final = 86400.0


def read_live_link(path: Path) -> MotionClip:
    """The recording as a clip with the full channel table, at the rate it was captured with.

    The rate is measured as `frame_places` does. Values are neither limited to 0..1 nor smoothed. A last row that is cut
    off is left out. Raises ClipError with the file, the line and the remedy.
    """
    path = Path(path)
    table = _read_table(path)
    times = _seconds(path, table.rows)
    places, fps = frame_places(times)
    frames = np.arange(places[-1] + 1)
    captured = np.array([row.values for row in table.rows])
    tracks = {
        _BY_PLAIN_NAME[plain(name)]: np.interp(frames, places, track)
        for name, track in zip(table.columns[2:], captured.T, strict=True)
    }

    channels = np.zeros((len(frames), len(CHANNELS)), np.float32)
    for name in (*WEIGHT_COLUMNS, *_HEAD):
        if name in tracks:
            channels[:, CHANNEL_INDEX[_channel(name)]] = tracks[name]
    decimals = max(row.decimals for row in table.rows)
    eyes = np.stack([tracks.get(name, np.zeros(len(frames))) for name in _EYES], axis=1).round(decimals)
    channels[:, _GAZE] = _gaze(eyes, channels)
    timecodes = dict(zip(places.tolist(), (row.timecode for row in table.rows), strict=True))
    source = {
        "fps": fps,
        "columns": table.columns,
        "count": table.rows[0].count,
        "decimals": decimals,
        "timecodes": [timecodes.get(frame) for frame in frames.tolist()],
        "eyes": eyes.tolist(),
        "values": lost_digits(captured, decimals),
    }
    return MotionClip(fps=fps, channels=channels, settings={_SETTING: source, "notes": table.notes(path)})


def write_live_link(clip: MotionClip, path: Path) -> None:
    """Write a clip, atomically; channels that it lacks are zero.

    A clip that was read from such a file gets its columns and digits again and, unless rate or length changed, its
    timecodes, its two eyes, and no rows for frames that were not captured. Where gaze was edited, both eyes turn by as
    much. Translation of the head has no column and is left out. Raises ClipError.
    """
    if clip.fps < _LEAST_FPS:
        raise ClipError(f"{path} cannot be written: its timecodes need {_LEAST_FPS:g} frames per second or more.")
    clip = clip.completed()
    source = clip.settings.get(_SETTING, {})
    columns, timecodes = source.get("columns", list(_COLUMNS)), source.get("timecodes", [])
    same_frames = source.get("fps") == clip.fps and len(timecodes) == len(clip)
    eyes = _eyes(clip, np.array(source["eyes"]) if same_frames else None)
    if not same_frames:
        start_s = _parse(timecodes[0], _TICKS) if timecodes else 0.0
        timecodes = [_timecode(start_s + frame / clip.fps) for frame in range(len(clip))]
    tracks = {name: clip[_channel(name)] for name in (*WEIGHT_COLUMNS, *_HEAD)} | dict(zip(_EYES, eyes.T, strict=True))
    table = np.stack([tracks[_BY_PLAIN_NAME[plain(name)]] for name in columns[2:]], axis=1).astype(np.float32)
    decimals = source.get("decimals", _DECIMALS)
    captured = [frame for frame, timecode in enumerate(timecodes) if timecode]
    numbers = restored(table[captured], decimals, source.get("values"))
    if (numbers.round(decimals) != numbers).any():
        decimals = max(decimals, _DECIMALS)
    number = f"{{:.{decimals}f}}".format
    count = source.get("count", str(len(columns) - 2))
    lines = [
        ",".join([timecodes[frame], count, *map(number, row)])
        for frame, row in zip(captured, numbers.tolist(), strict=True)
    ]
    with written_whole(Path(path), "recording") as temporary:
        temporary.write_text("\n".join([",".join(columns), *lines, ""]), "utf-8", newline="\n")


def _channel(column: str) -> str:
    return column[0].lower() + column[1:]


def _gaze(eyes: NDArray[np.float64], channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaze (T, 2) of eye rotations (T, 6), or of the eyeLook weights in channels (T, 60) where the eyes never turn."""
    if eyes.any():
        return np.stack([eyes[:, both].mean(axis=1) for both in _BOTH_EYES], axis=1).astype(np.float32)
    first = channel_slice("eyes").start
    return gaze_from_eye_look(channels[:, first : first + 8])


def _eyes(clip: MotionClip, captured: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Rotations (T, 6) of both eyes: the captured ones, turned by what the clip's gaze differs from theirs."""
    turn = clip.channels[:, _GAZE]
    eyes = np.zeros((len(clip), len(_EYES)))
    if captured is not None:
        turn, eyes = turn - _gaze(captured, clip.channels), captured
    for axis, both in enumerate(_BOTH_EYES):
        eyes[:, both] += turn[:, [axis]]
    return eyes


@dataclass(frozen=True)
class _Row:
    """One captured frame. line: its number in the file; decimals: the most digits after a point."""

    line: int
    timecode: str
    count: str
    values: list[float]
    decimals: int


@dataclass(frozen=True)
class _Table:
    """columns: those that the app writes too, as spelled in the file; rows: those in which a face was seen."""

    columns: list[str]
    rows: list[_Row]
    unknown: list[str]

    def notes(self, path: Path) -> list[str]:
        """What the artist should know."""
        text = f"{path.name} has columns that are no channels of a face; they were left out: {', '.join(self.unknown)}."
        return [text] if self.unknown else []


def _read_table(path: Path) -> _Table:
    if not path.is_file():
        raise ClipError(f"The recording {path} does not exist.")
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ClipError(f"{path} cannot be read as text. Choose the CSV file that Live Link Face saved.") from error
    separator = ";" if lines and ";" in lines[0] else ","
    names = _cells(lines[0], separator) if lines else []
    columns = [_BY_PLAIN_NAME.get(plain(name)) for name in names]
    missing = set(_COLUMNS[2:]) - set(columns) - _MAY_LACK
    begins_well = [name.lower() for name in names[:2]] == ["timecode", "blendshapecount"]
    if missing or not begins_well:
        lacks = f"lacks the column {min(missing)}" if begins_well else "does not begin with Timecode,BlendShapeCount"
        raise ClipError(f"{path}, line 1: the header {lacks}. Choose the CSV file that Live Link Face saved.")
    known = [i for i, column in enumerate(columns) if column]
    if len({columns[i] for i in known}) != len(known):
        raise ClipError(f"{path}, line 1: the header names a column twice. Export the recording again.")
    rows = []
    for line, text in enumerate(lines[1:], start=2):
        cells = _cells(text, separator)
        if not any(cells) or cells[1:2] == ["0"]:
            continue
        try:
            rows.append(_row(line, cells, names, known))
        except ValueError as error:
            if line < len(lines):
                raise ClipError(f"{path}, line {line}: {error}. Export the recording again.") from error
    if len(rows) < 2:
        raise ClipError(f"{path} has fewer than two frames with a face. Record with the face in view of the camera.")
    unknown = [name for name, column in zip(names[2:], columns[2:], strict=True) if name and not column]
    return _Table([*names[:2], *(names[i] for i in known)], rows, unknown)


def _cells(text: str, separator: str) -> list[str]:
    """The cells of a line. With semicolons between them a comma is the decimal sign."""
    cells = [cell.strip().strip('"') for cell in text.split(separator)]
    return [cell.replace(",", ".") for cell in cells] if separator == ";" else cells


def _row(line: int, cells: list[str], names: list[str], known: list[int]) -> _Row:
    """Raises ValueError saying what is wrong with the cells."""
    if len(cells) != len(names):
        raise ValueError(f"{len(cells)} values where the header has {len(names)}")
    if not _TIMECODE.fullmatch(cells[0]):
        raise ValueError(f"'{cells[0]}' is not a timecode")
    values = [float(cells[i]) for i in known]
    if not np.isfinite(values).all():
        raise ValueError("a value is not a number")
    return _Row(line, cells[0], cells[1], values, max(_decimals(cells[i]) for i in known))


def _decimals(cell: str) -> int:
    """Digits after the point, written out."""
    digits, _, exponent = cell.lower().partition("e")
    return min(max(0, len(digits.partition(".")[2]) - int(exponent or 0)), _MOST_DECIMALS)


def _seconds(path: Path, rows: list[_Row]) -> NDArray[np.float64]:
    """Times (T,) of the rows; a recording may run past midnight."""
    ticks = [float(row.timecode.rpartition(":")[2]) for row in rows]
    whole = [int(_parse(row.timecode, _TICKS)) for row in rows]
    tick_rate = _TICKS
    if whole[-1] - whole[0] >= 2:
        tick_rate = next((rate for rate in _OTHER_TICK_RATES if max(ticks) < rate), _TICKS)
    times = np.array([_parse(row.timecode, tick_rate) for row in rows])
    times[1:] += _DAY_S * np.cumsum(np.diff(times) < -_DAY_S / 2)
    late = np.flatnonzero(np.diff(times) <= 0)
    if len(late):
        line = rows[late[0] + 1].line
        raise ClipError(f"{path}, line {line}: the timecode does not go on from the line before. Export it again.")
    return times


def _parse(timecode: str, tick_rate: float) -> float:
    """Seconds since midnight."""
    hours, minutes, seconds, ticks = timecode.split(":")
    return (int(hours) * 60 + int(minutes)) * 60 + int(seconds) + float(ticks) / tick_rate


def _timecode(seconds: float) -> str:
    """The inverse of `_parse`, to a thousandth of a tick."""
    whole, thousandths = divmod(round(seconds * _TICKS * 1000), _TICKS * 1000)
    hours, minutes = whole // 3600 % 24, whole // 60 % 60
    return f"{hours:02}:{minutes:02}:{whole % 60:02}:{thousandths / 1000:06.3f}"
