# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written as PNG is read again, bit by bit, by a reader that is not ours."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from blender_demo.backend.portrait.png import encode_png, png_is_whole, write_png

NOISE = np.random.default_rng(0).integers(0, 256, (13, 17, 4), np.uint8)


@pytest.mark.parametrize("channels", [3, 4], ids=["RGB", "RGBA"])
def test_eight_bits_come_back(channels):
    with Image.open(io.BytesIO(encode_png(NOISE[..., :channels]))) as read:
        assert np.array_equal(np.asarray(read), NOISE[..., :channels])
        assert read.info["srgb"] == 0


def test_one_pixel_comes_back():
    with Image.open(io.BytesIO(encode_png(NOISE[:1, :1]))) as read:
        assert np.array_equal(np.asarray(read), NOISE[:1, :1])


def test_sixteen_bits_come_back():
    """Pillow reads eight of them; the low ones are looked at in a picture of one row, where the filter is plain."""
    deep = np.random.default_rng(1).integers(0, 65536, (1, 9, 3), np.uint16)
    data = encode_png(deep)
    start = data.index(b"IDAT") + 4
    (length,) = struct.unpack(">I", data[start - 8 : start - 4])
    plain = np.frombuffer(zlib.decompress(data[start : start + length])[1:], np.uint8).reshape(9, 6)
    assert np.array_equal(plain.view(">u2"), deep[0])
    with Image.open(io.BytesIO(encode_png(np.repeat(deep, 5, axis=0)))) as read:
        assert np.array_equal(np.asarray(read)[3], deep[0] >> 8)


def test_a_file_is_whole_or_known_not_to_be(tmp_path):
    path = tmp_path / "noise.png"
    write_png(path, NOISE)
    assert png_is_whole(path)
    data = path.read_bytes()
    for part in (data[:-1], data[:5], b""):
        path.write_bytes(part)
        assert not png_is_whole(path)
