# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages survive the pipe; anything else is refused with a reason."""

import json

import pytest

from blender_demo.backend.errors import WorkerError
from blender_demo.backend.worker import protocol
from blender_demo.backend.worker.protocol import Decoder, encode

MESSAGES = [
    protocol.Hello(protocol.PROTOCOL_VERSION, "3.11.7", 42),
    protocol.Ready("2.13.0", "cpu", 1.5),
    protocol.Generate(1, "/a/ß\u4e2d \n.wav", {"seed": 3, "factors": {}}, 0.5, None, "/tmp/take.npz"),
    protocol.Generate(2, "a.wav", {}, 0, 2.5, "take.npz"),
    protocol.PlacePoints(5, {"image": "a.png", "landmarks": ""}),
    protocol.RenderPortrait(3, {"image": "a.png", "size": 512, "alpha": True}),
    protocol.BuildHead(4, "a.png", "", "/tmp/head.npz"),
    protocol.Cancel(1),
    protocol.Progress(1, "flow", 0.25),
    protocol.Done(1, "cpu", {"flow": 1.0}, ["a note"], 1 << 40),
    protocol.Done(3, "cpu", {}, [], 0, {"held": "a_0000.png", "count": 24}),
    protocol.Failed(0, "WorkerError", "no"),
]


def raw(**values):
    return json.dumps(values).encode() + b"\0"


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_comes_back_as_it_was_sent(message):
    assert Decoder().feed(encode(message)) == [message]


def test_messages_may_arrive_in_any_pieces():
    stream = b"".join(map(encode, MESSAGES))
    decoder = Decoder()
    received = [message for i in range(len(stream)) for message in decoder.feed(stream[i : i + 1])]
    assert received == MESSAGES
    assert Decoder().feed(stream) == MESSAGES


@pytest.mark.parametrize(
    "data",
    [
        b"Python 3.11.7\n\0",
        b"\xff\xfe\0",
        b"[1]\0",
        b"7\0",
        b"\0",
        b"[" * 100_000 + b"\0",
        raw(type="Nonsense"),
        raw(type=["Progress"]),
        raw(job=1),
        raw(type="Progress", job=1, stage="flow"),
        raw(type="Progress", job=1, stage="flow", fraction=0.5, more=1),
        raw(type="Progress", job="1", stage="flow", fraction=0.5),
        raw(type="Progress", job=True, stage="flow", fraction=0.5),
        raw(type="Progress", job=1, stage="flow", fraction="0.5"),
        b'{"type": "Progress", "job": 1, "stage": "flow", "fraction": NaN}\0',
        raw(type="Done", job=1, device="cpu", timings={"flow": "x"}, notes=[], peak_memory_bytes=0),
        raw(type="Done", job=1, device="cpu", timings={}, notes=[1], peak_memory_bytes=0),
    ],
    ids=range(17),
)
def test_what_is_not_a_message_is_refused(data):
    with pytest.raises(WorkerError, match="worker sent"):
        Decoder().feed(data)


def test_a_stream_without_an_end_is_refused_before_it_fills_the_memory():
    decoder = Decoder()
    for _ in range(16):
        decoder.feed(b"x" * (1 << 16))
    with pytest.raises(WorkerError, match="without ending"):
        decoder.feed(b"x")


def test_a_message_that_is_too_long_is_not_sent():
    with pytest.raises(WorkerError, match="too long"):
        encode(protocol.Failed(1, "WorkerError", "x" * protocol.MAX_MESSAGE_BYTES))


def test_a_number_that_json_cannot_say_is_not_sent():
    with pytest.raises(WorkerError, match="cannot be written"):
        encode(protocol.Progress(1, "flow", float("nan")))


@pytest.mark.parametrize("version", [0, protocol.PROTOCOL_VERSION + 1, None])
def test_another_version_asks_for_a_restart(version):
    with pytest.raises(WorkerError, match="Restart Blender"):
        Decoder().feed(raw(type="Hello", protocol=version, news=1))
