# SPDX-License-Identifier: GPL-3.0-or-later
"""ARKit weights in JSON files: reads the layouts that are in use, writes NVIDIA Audio2Face's.

A file holds frames, and says in one of these ways what their numbers mean:

    Audio2Face       {"exportFps", "facsNames": [...], "weightMat": [[...], ...]}
    much the same    {"fps", "names": [...], "frames": [[...], ...]}, where a frame may be {"time", "weights": [...]}
    recorders        [{"time" or "frame", "jawOpen": 0.1, ...}, ...], where the weights may lie in a "blendShapes" of
                     the frame, as a table or as MediaPipe's list of {"categoryName", "score"}
    Azure speech     {"FrameIndex", "BlendShapes": [[55 numbers], ...]} for each piece of speech, in a list or each on
                     a line

Keys and names count without case and separators. Weights are 0..1. Turns of head and eyes are read under Live Link
Face's names, with its units and signs. Channels that the file lacks stay zero, and what is no channel is left out; both
are told in the clip's settings under "notes". Messages count frames from 1.

The written file has the 52 weights in ARKit's order, for readers that go by position, and a table "demo" that other
programs pass over: the remaining channels and the clip's settings, so that all but latents comes back.
"""

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import ClipError
from .atomic import written_whole
from .clip import MotionClip
from .digits import DOUBLE, SHORTEST, lost_digits, restored, shortest
from .factors import ARKIT_NAMES, CHANNEL_INDEX, CHANNELS, channel_slice, gaze_from_eye_look
from .livelink import WEIGHT_COLUMNS
from .spelling import plain
from .timing import frame_places

__all__ = ["read_arkit_json", "write_arkit_json"]

_NAMES: Final = ("facsnames", "names", "blendshapenames", "channels")
_FRAMES: Final = ("weightmat", "frames", "blendshapes")
_RATES: Final = ("exportfps", "fps", "framerate")
_COUNTS: Final = ("numframes", "framecount")
_TIMES: Final = ("time", "timestamp", "timestampms", "t")
_NUMBERS: Final = ("frame", "frameindex", "framenumber", "index")
_WEIGHTS: Final = ("blendshapes", "faceblendshapes", "weights", "w", "values", "categories")
_LABELS: Final = ("categoryname", "name")
_SCORES: Final = ("score", "value", "weight")

_SWAPPED: Final = {"JawLeft": "JawRight", "JawRight": "JawLeft", "MouthLeft": "MouthRight", "MouthRight": "MouthLeft"}
_ORDER: Final = tuple(column[0].lower() + column[1:] for column in (_SWAPPED.get(c, c) for c in WEIGHT_COLUMNS))
"""ARKit's own order, which Audio2Face and Azure share; Live Link Face has two pairs the other way round."""

_AZURE_NAMES: Final = (*_ORDER, "Azure's head roll", "Azure's left eye roll", "Azure's right eye roll")
"""What its 55 numbers mean. The units of the last three are not documented, so they are no channels here."""

_GAZE: Final = ("gazeYaw", "gazePitch")
_OTHERS: Final = tuple(name for name in CHANNELS if name not in ARKIT_NAMES)
_CHANNEL_OF: Final = {
    **{plain(name): name for name in (*ARKIT_NAMES, "headYaw", "headPitch", "headRoll", *_GAZE)},
    **{f"{side}eye{axis.lower()}": f"gaze{axis}" for side in ("left", "right") for axis in ("Yaw", "Pitch")},
}
_NO_SHAPE: Final = ("neutral",)
"""MediaPipe's first category, the face at rest: nothing is lost without it."""

_DEFAULT_FPS: Final = 30.0
_AZURE_FPS: Final = 60.0
_MOST_FPS: Final = 1000.0
_PLAUSIBLE_FPS: Final = (4.0, 300.0)
"""By these the unit of times is told: none other gives such a rate."""
_TIME_UNITS_S: Final = (1.0, 1e-3, 1e-6, 1e-9)
_MOST_OFF: Final = 0.1
"""By how much of it a rate may differ from that of the times: milliseconds are rounded."""
_MOST_WEIGHT: Final = 10.0
"""Captured weights may leave 0..1 by a little; these are percent."""

_TABLE: Final = "demo"
_SETTING: Final = "arkit_json"
_NAMED_AT_MOST: Final = 6


def read_arkit_json(path: Path) -> MotionClip:
    """The file as a clip with the full channel table.

    A file that tells neither rate nor times counts as 30 frames per second, and a note says so; Azure's count as 60.
    Frames that are empty, or missing among numbered or timed ones, are interpolated. Raises ClipError with the file,
    the frame and the remedy.
    """
    path = Path(path)
    header, entries = _parts(path)
    frames = [frame for frame in _frames(path, entries) if frame.weights]
    if not frames:
        raise ClipError(f"{path} has no frames with weights. Export the motion again.")
    names, numbers = _numbers(path, header, frames)
    members, unknown = _members(path, names, numbers)
    places, fps, notes = _places(path, header, frames)
    count = math.floor(places[-1]) + 1
    told = _first(header, _COUNTS)
    if isinstance(told, int) and told > count:
        raise ClipError(f"{path} tells of {told} frames and has {count}: it is cut off. Export it again.")

    channels = np.zeros((count, len(CHANNELS)), np.float32)
    for channel, columns in members.items():
        track = numbers[:, columns].mean(axis=1)
        channels[:, CHANNEL_INDEX[channel]] = np.interp(np.arange(count), places, track)
    gaze = [CHANNEL_INDEX[name] for name in _GAZE]
    if not channels[:, gaze].any():
        first = channel_slice("eyes").start
        channels[:, gaze] = gaze_from_eye_look(channels[:, first : first + 8])
    audio_hash, settings = _read_table(path, header, channels)

    missing = [name for name in ARKIT_NAMES if name not in members]
    if unknown:
        notes.append(f"{path.name} has columns that are no channels of a face; they were left out: {_listed(unknown)}.")
    if missing:
        notes.append(f"{path.name} lacks channels, which stay at rest: {_listed(missing)}.")
    weights = [name for name in _ORDER if name in members]
    settings |= {"notes": notes, _SETTING: _digits(weights, numbers[:, [members[name][0] for name in weights]])}
    return MotionClip(fps, channels, audio_hash=audio_hash, settings=settings)


def write_arkit_json(clip: MotionClip, path: Path) -> None:
    """Write a clip in Audio2Face's layout, atomically; channels that it lacks are zero.

    Numbers that were read from such a file come out with its digits, others with as many as single precision needs.
    Raises ClipError.
    """
    clip = clip.completed()
    weights = clip.channels[:, [CHANNEL_INDEX[name] for name in _ORDER]]
    numbers = shortest(weights)
    source = clip.settings.get(_SETTING)
    if source is not None and source["names"]:
        columns = [_ORDER.index(name) for name in source["names"]]
        numbers[:, columns] = restored(weights[:, columns], source["digits"], source["values"])
    header = {
        "exportFps": int(clip.fps) if clip.fps == int(clip.fps) else clip.fps,
        "trackPath": "",
        "numPoses": len(_ORDER),
        "numFrames": len(clip),
        "facsNames": _ORDER,
    }
    table = {
        "names": _OTHERS,
        "values": shortest(clip.channels[:, [CHANNEL_INDEX[name] for name in _OTHERS]]).tolist(),
        "audioHash": clip.audio_hash,
        "settings": {name: value for name, value in clip.settings.items() if name != _SETTING},
    }
    rows = ",\n".join(json.dumps(row) for row in numbers.tolist())
    text = f'{json.dumps(header)[:-1]}, "weightMat": [\n{rows}\n],\n"{_TABLE}": {json.dumps(table)}}}\n'
    with written_whole(Path(path), "motion") as temporary:
        temporary.write_text(text, "utf-8", newline="\n")


def _digits(names: Sequence[str], numbers: NDArray[np.float64]) -> dict[str, Any]:
    """What `write_arkit_json` needs for the digits of the file."""
    digits = next((digits for digits in (SHORTEST, DOUBLE) if lost_digits(numbers, digits) is None), SHORTEST)
    return {"names": names, "digits": digits, "values": lost_digits(numbers, digits)}


@dataclass(frozen=True)
class _Frame:
    """index: its place in the file; number, time: what it tells of itself; weights: by name, or in the file's order."""

    index: int
    number: float | None
    time: float | None
    weights: Mapping[str, Any] | Sequence[Any]


def _parts(path: Path) -> tuple[dict[str, Any], list[Any]]:
    """What a file tells about all its frames, by plain keys, and its frames."""
    if not path.is_file():
        raise ClipError(f"The motion file {path} does not exist.")
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ClipError(f"{path} cannot be read as text. Choose a JSON file with ARKit weights.") from error
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        document = _lines(path, text, error)
    if isinstance(document, dict):
        header = _plain_keys(document)
        metadata = header.get("metadata")
        header = (_plain_keys(metadata) if isinstance(metadata, dict) else {}) | header
        document = [document] if "frameindex" in header else _first(header, _FRAMES)
        if isinstance(document, list):
            return header, document
    elif isinstance(document, list):
        return {}, document
    raise ClipError(f"{path} holds no frames: there is no weightMat, no frames and no list. Choose another file.")


def _lines(path: Path, text: str, error: Exception) -> list[Any]:
    """One JSON object a line."""
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        if len(lines) < 2:
            raise error
        return [json.loads(line) for line in lines]
    except (ValueError, RecursionError):
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ClipError(f"{path}{where}: this is not JSON, or it is cut off. Export the motion again.") from error


def _frames(path: Path, entries: Sequence[Any]) -> Iterator[_Frame]:
    """The frames; a piece of Azure's holds several."""
    index = 0
    for entry in entries:
        keys = _plain_keys(entry) if isinstance(entry, dict) else {}
        number, time = _first(keys, _NUMBERS), _first(keys, _TIMES)
        for what in (number, time):
            if not (what is None or _is_number(what)):
                raise ClipError(f"{path}, frame {index + 1}: its time or number is {what!r}. Export it again.")
        weights = _weights(entry)
        if weights is None:
            raise ClipError(f"{path}, frame {index + 1} holds no weights, but {str(entry)[:40]!r}. Export it again.")
        if weights and isinstance(weights, list) and isinstance(weights[0], list):
            for offset, row in enumerate(weights):
                yield _Frame(index, None if number is None else number + offset, None, row)
                index += 1
        else:
            yield _Frame(index, number, time, weights)
            index += 1


def _weights(entry: Any) -> Mapping[str, Any] | list[Any] | None:
    """The weights in a frame, however deep they lie; None where there can be none."""
    if entry is None:
        return []
    if isinstance(entry, dict):
        keys = _plain_keys(entry)
        inner = _first(keys, _WEIGHTS)
        if inner is not None:
            return _weights(inner)
        return {name: value for name, value in entry.items() if plain(name) not in (*_TIMES, *_NUMBERS)}
    if not isinstance(entry, list):
        return None
    if not entry or not all(isinstance(part, dict) for part in entry):
        return entry
    parts = [_plain_keys(part) for part in entry]
    if "categories" in parts[0]:
        return _weights(parts[0]["categories"])
    return {str(_first(part, _LABELS)): _first(part, _SCORES) for part in parts}


def _numbers(
    path: Path, header: Mapping[str, Any], frames: Sequence[_Frame]
) -> tuple[Sequence[str], NDArray[np.float64]]:
    """Names (n) of the columns and their numbers (T, n)."""
    if all(isinstance(frame.weights, Mapping) for frame in frames):
        weights: list[Any] = [frame.weights for frame in frames]
        first = {name: values[name] for values in reversed(weights) for name in values}
        names = [name for name, value in first.items() if _is_number(value) or plain(name) in _CHANNEL_OF]
        rows = [[values.get(name, 0.0) for name in names] for values in weights]
    else:
        rows = [frame.weights for frame in frames]
        names = _first(header, _NAMES)
        if names is None and len(rows[0]) == len(_AZURE_NAMES):
            names = _AZURE_NAMES
        if not names or not all(isinstance(name, str) for name in names):
            raise ClipError(
                f'{path} does not name its {len(rows[0])} columns. Add a list "facsNames" with their names.'
            )
    for frame, row in zip(frames, rows, strict=True):
        if not isinstance(row, list) or len(row) != len(names):
            raise ClipError(
                f"{path}, frame {frame.index + 1} has {len(row)} values for {len(names)} names. Export it again."
            )
        bad = next((name for name, value in zip(names, row, strict=True) if not _is_number(value)), None)
        if bad is not None:
            raise ClipError(f"{path}, frame {frame.index + 1}: {bad} is not a number. Export the motion again.")
    return names, np.array(rows, np.float64).reshape(len(rows), len(names))


def _members(path: Path, names: Sequence[str], numbers: NDArray[np.float64]) -> tuple[dict[str, list[int]], list[str]]:
    """For each channel its columns (two eyes have one gaze), and the names that are no channels."""
    members: dict[str, list[int]] = {}
    unknown = []
    for column, name in enumerate(names):
        channel = _CHANNEL_OF.get(plain(name))
        most = float(np.abs(numbers[:, column]).max())
        if channel is None and plain(name) not in _NO_SHAPE:
            unknown.append(name)
        elif channel in ARKIT_NAMES and most > _MOST_WEIGHT:
            raise ClipError(f"{path}: {name} reaches {most:g}, and weights lie between 0 and 1. Divide percent by 100.")
        elif channel in _OTHERS and most > math.pi:
            unknown.append(f"{name} (not in radians)")
        elif channel in members and channel not in _GAZE:
            raise ClipError(f"{path} names {channel} twice. Export the motion again.")
        elif channel is not None:
            members.setdefault(channel, []).append(column)
    if not members:
        raise ClipError(f"{path} has no column with the name of an ARKit channel, but {_listed(names)}. Rename them.")
    return members, unknown


def _places(
    path: Path, header: Mapping[str, Any], frames: Sequence[_Frame]
) -> tuple[NDArray[np.float64], float, list[str]]:
    """On which frame of the clip each frame of the file lies (T,), the rate, and what to tell about it."""
    fps = _first(header, _RATES)
    if fps is not None and not (_is_number(fps) and 0.0 < fps <= _MOST_FPS):
        raise ClipError(f"{path} gives {fps!r} as its frames per second. Write a number between 0 and {_MOST_FPS:g}.")
    times = [frame.time for frame in frames if frame.time is not None]
    numbers = [frame.number for frame in frames if frame.number is not None]
    at = next((at for at in (times, numbers) if len(at) == len(frames)), [frame.index for frame in frames])
    places = np.array(at, np.float64)
    late = np.flatnonzero(np.diff(places) <= 0.0)
    if len(late):
        frame = frames[late[0] + 1].index + 1
        raise ClipError(f"{path}, frame {frame} does not come after the one before it. Export the motion again.")
    if at is times and len(frames) > 1:
        return _timed(path, places - places[0], fps)
    if at is not times and at is numbers:
        places -= places[0]
    if fps is not None:
        return places, float(fps), []
    if at is numbers and len(frames[0].weights) == len(_AZURE_NAMES):
        return places, _AZURE_FPS, []
    note = (
        f'{path.name} tells no rate: it is taken as {_DEFAULT_FPS:g} frames per second. If it has another, add "fps".'
    )
    return places, _DEFAULT_FPS, [note]


def _timed(path: Path, times: NDArray[np.float64], fps: float | None) -> tuple[NDArray[np.float64], float, list[str]]:
    """`_places` of times in a unit that has to be found out."""
    step = float(np.median(np.diff(times)))
    rates = {unit: 1.0 / (step * unit) for unit in _TIME_UNITS_S}
    low, high = _PLAUSIBLE_FPS if fps is None else (fps * (1.0 - _MOST_OFF), fps * (1.0 + _MOST_OFF))
    unit = next((unit for unit, rate in rates.items() if low <= rate <= high), None)
    if unit is None:
        wrong = "are neither seconds nor milliseconds" if fps is None else f"do not fit its {fps:g} frames per second"
        raise ClipError(f"{path}: its times, which lie {step:g} apart, {wrong}. Export the motion again.")
    if fps is None:
        fps = frame_places(times * unit)[1]
    places = times * unit * fps
    whole = np.rint(places)
    if (np.diff(whole) > 0.0).all():
        return whole, float(fps), []
    return places, float(fps), [f"{path.name} is timed unevenly; it was interpolated to {fps:g} frames per second."]


def _read_table(path: Path, header: Mapping[str, Any], channels: NDArray[np.float32]) -> tuple[str, dict[str, Any]]:
    """Take the channels of this project's own table into `channels`; the clip's audio hash and settings."""
    table = header.get(_TABLE)
    if table is None:
        return "", {}
    try:
        columns = [CHANNEL_INDEX[name] for name in table["names"]]
        values = np.array(table["values"], np.float32).reshape(-1, len(columns))
        if values.shape[0] != len(channels) or not np.isfinite(values).all():
            raise ValueError("another number of frames")
        audio_hash, settings = str(table["audioHash"]), dict(table["settings"])
    except (KeyError, TypeError, ValueError) as error:
        raise ClipError(f'{path}: its table "{_TABLE}" is damaged. Remove it, or export the motion again.') from error
    channels[:, columns] = values
    return audio_hash, settings


def _plain_keys(table: Mapping[str, Any]) -> dict[str, Any]:
    return {plain(key): value for key, value in table.items()}


def _first(table: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """What stands under the first of some keys that is there; None where none is."""
    return next((table[key] for key in keys if key in table), None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(names[:_NAMED_AT_MOST]) + more
