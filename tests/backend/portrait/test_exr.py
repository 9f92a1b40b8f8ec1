# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written as OpenEXR is read again by the reference reader, and files that are cut off are known."""

import sys
from pathlib import Path

import numpy as np
import pytest

from blender_demo.backend.errors import PortraitError
from blender_demo.backend.portrait.exr import check_exr, exr_is_whole, write_exr

NOISE = np.random.default_rng(0).random((37, 20, 4)).astype(np.float16)


@pytest.mark.parametrize(("name", "channels"), [("RGB", 3), ("RGBA", 4)])
def test_half_floats_come_back(tmp_path: Path, name: str, channels: int):
    openexr = pytest.importorskip("OpenEXR", reason="needs OpenEXR")
    write_exr(tmp_path / "noise.exr", NOISE[..., :channels])
    read = openexr.File(str(tmp_path / "noise.exr")).channels()
    assert read.keys() == {name}
    assert np.array_equal(read[name].pixels, NOISE[..., :channels])


@pytest.mark.parametrize("height", [1, 16, 37])
def test_a_file_is_whole_or_known_not_to_be(tmp_path: Path, height: int):
    pytest.importorskip("OpenEXR", reason="needs OpenEXR")
    path = tmp_path / "noise.exr"
    write_exr(path, NOISE[:height])
    assert exr_is_whole(path)
    data = path.read_bytes()
    for part in (data[:-1], data[: len(data) // 2], data[:100], data[:8], b""):
        path.write_bytes(part)
        assert not exr_is_whole(path)


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(PortraitError, match=r"pip install OpenEXR.*16 bits"):
        check_exr()
