# SPDX-License-Identifier: GPL-3.0-or-later
"""What the worker and its parent say to each other: one JSON object per message, ended by a NUL byte, on the child's
stdin and stdout.

The child speaks first, with `Hello`; the two sides must have the same PROTOCOL_VERSION. Arrays do not travel here: they
are .npz files in the job folder. Everything that arrives is checked against the fields below, so the rest of the code
handles values of known types only.
"""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

from ..errors import WorkerError

__all__ = [
    "MAX_MESSAGE_BYTES",
    "PROTOCOL_VERSION",
    "BuildHead",
    "Cancel",
    "Decoder",
    "Done",
    "Failed",
    "Generate",
    "Hello",
    "Message",
    "PlacePoints",
    "Progress",
    "Ready",
    "RenderPortrait",
    "Request",
    "encode",
]

PROTOCOL_VERSION: Final = 3

MAX_MESSAGE_BYTES: Final = 1 << 20
"""No honest message is near this long; a stream without a NUL byte for so long is not ours."""


@dataclass(frozen=True)
class Hello:
    """Child to parent, first of all, before anything heavy is imported."""

    protocol: int
    python: str
    pid: int


@dataclass(frozen=True)
class Ready:
    """Child to parent: torch is imported, jobs can come. seconds: from the start of the process to here."""

    torch: str
    device: str
    seconds: float


@dataclass(frozen=True)
class Generate:
    """Parent to child: make a clip. settings: `GenerationSettings.to_json()`; out: where the .npz is to be written."""

    job: int
    audio: str
    settings: dict[str, Any]
    start_s: float
    duration_s: float | None
    out: str


@dataclass(frozen=True)
class RenderPortrait:
    """Parent to child: make the frames of a portrait. order: `PortraitOrder.to_json()`, with absolute paths."""

    job: int
    order: dict[str, Any]


@dataclass(frozen=True)
class PlacePoints:
    """Parent to child: say where the points of a face are. order: `PointsOrder.to_json()`, with absolute paths."""

    job: int
    order: dict[str, Any]


@dataclass(frozen=True)
class BuildHead:
    """Parent to child: make the head of the person in a picture.

    landmarks: path of points placed by hand, empty where they are to be found. out: where the .npz is to be written.
    """

    job: int
    image: str
    landmarks: str
    out: str


@dataclass(frozen=True)
class Cancel:
    """Parent to child: stop that job, if it is still under way."""

    job: int


@dataclass(frozen=True)
class Progress:
    """Child to parent: fraction 0..1 of the whole job, never falling."""

    job: int
    stage: str
    fraction: float


@dataclass(frozen=True)
class Done:
    """Child to parent: what was asked for lies where it was asked for.

    peak_memory_bytes is 0 where the system does not tell. result: what else there is to say of it, for each kind of
    request in its own words.
    """

    job: int
    device: str
    timings: dict[str, float]
    notes: list[str] = field(default_factory=list)
    peak_memory_bytes: int = 0
    result: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed:
    """Child to parent: nothing was made.

    kind: name of a class in `errors`. job: 0 when the worker itself could not start.
    """

    job: int
    kind: str
    message: str


Request = Generate | RenderPortrait | PlacePoints | BuildHead
"""What a worker can be asked to make."""

Message = Hello | Ready | Request | Cancel | Progress | Done | Failed

_KINDS: Final[dict[str, type[Message]]] = {kind.__name__: kind for kind in get_args(Message)}

_M = TypeVar("_M", bound=Message)


def encode(message: Message) -> bytes:
    """The bytes of one message, with its closing NUL.

    Raises WorkerError when it is too long or holds something JSON cannot say.
    """
    try:
        text = json.dumps({"type": type(message).__name__, **asdict(message)}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise WorkerError(f"A message to the worker cannot be written: {error}.") from error
    data = text.encode() + b"\0"
    if len(data) > MAX_MESSAGE_BYTES:
        raise WorkerError(f"A message to the worker is too long ({len(data)} bytes).")
    return data


class Decoder:
    """Cuts a stream of bytes into messages. One per stream."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete with `data`. Raises WorkerError for anything that is not one."""
        *whole, self._rest = (self._rest + data).split(b"\0")
        if max(map(len, (*whole, self._rest))) > MAX_MESSAGE_BYTES:
            raise WorkerError(f"The worker sent more than {MAX_MESSAGE_BYTES} bytes without ending its message.")
        return [_decode(text) for text in whole]


def _decode(data: bytes) -> Message:
    try:
        values = json.loads(data.decode(), parse_constant=_refuse_constant)
        kind = _KINDS[values.pop("type")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WorkerError(f"The worker sent something that is not a message: {data[:80]!r}.") from error
    if kind is Hello and values.get("protocol") != PROTOCOL_VERSION:
        raise WorkerError(
            f"The worker speaks version {values.get('protocol')} of the protocol, the add-on {PROTOCOL_VERSION}: "
            "the add-on was updated while it was running. Restart Blender."
        )
    return _checked(kind, values)


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _checked(kind: type[_M], values: dict[str, Any]) -> _M:
    hints = get_type_hints(kind)
    if values.keys() != {f.name for f in fields(kind)}:
        raise WorkerError(f"The worker sent a {kind.__name__} message with the fields {', '.join(sorted(values))}.")
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise WorkerError(f"The worker sent a {kind.__name__} message whose {name} is {value!r:.80}.")
    return kind(**values)


def _fits(value: object, hint: Any) -> bool:
    """Whether a JSON value has the type of a field; an integer is good enough for a float, a bool for neither."""
    if hint == float | None:
        return value is None or _fits(value, float)
    if isinstance(value, bool):
        return False
    if hint is float:
        return isinstance(value, int | float)
    if hint == dict[str, float]:
        return isinstance(value, dict) and all(_fits(entry, float) for entry in value.values())
    if hint == list[str]:
        return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    return isinstance(value, get_origin(hint) or hint)
