# SPDX-License-Identifier: GPL-3.0-or-later
"""A portrait is built from any kind of picture, and comes back from its file as it was."""

import zipfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from blender_demo.backend.errors import ClipError, PortraitError
from blender_demo.backend.portrait import portrait as module
from blender_demo.backend.portrait.fit import HeadFit
from blender_demo.backend.portrait.landmarks import Landmarks
from blender_demo.backend.portrait.portrait import PORTRAIT_VERSION, Portrait, build_portrait, whole_picture
from tests.backend.portrait.synthetic import scene


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    shown = scene(0.1)
    return build_portrait(shown.picture, shown.landmarks)


def test_all_parts_are_pictures_in_their_range(portrait: Portrait) -> None:
    assert portrait.texture.shape == (*portrait.skin_mask.shape, 3)
    assert portrait.plate.shape == portrait.picture.shape == (*portrait.cutout.shape, 3) == (256, 256, 3)
    for name in ("texture", "skin_mask", "plate", "cutout", "picture", "person", "iris_color", "sclera_color"):
        part = getattr(portrait, name)
        assert part.dtype == np.float32, name
        assert part.min() >= 0, name
        assert part.max() <= 1, name
    assert portrait.light.shape == (4, 3)


def test_a_portrait_comes_back_from_its_file(portrait: Portrait, tmp_path: Path) -> None:
    path = tmp_path / "anna.npz"
    portrait.save(path)
    again = Portrait.load(path)
    for field in fields(Portrait):
        if field.name != "fit":
            before, after = getattr(portrait, field.name), getattr(again, field.name)
            assert after.dtype == before.dtype, field.name
            assert np.array_equal(after, before), field.name
    for field in fields(HeadFit):
        assert np.array_equal(getattr(again.fit, field.name), getattr(portrait.fit, field.name)), field.name
        assert type(getattr(again.fit, field.name)) is type(getattr(portrait.fit, field.name)), field.name
    again.save(tmp_path / "again.npz")
    assert np.array_equal(Portrait.load(tmp_path / "again.npz").picture, again.picture)


def test_the_file_holds_no_pickle(portrait: Portrait, tmp_path: Path) -> None:
    portrait.save(tmp_path / "anna.npz")
    with zipfile.ZipFile(tmp_path / "anna.npz") as archive:
        for name in archive.namelist():
            assert b"'|O'" not in archive.read(name)[:128], name


def test_damaged_missing_and_newer_files_are_refused(
    portrait: Portrait, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "anna.npz"
    with pytest.raises(PortraitError, match="does not exist"):
        Portrait.load(path)
    for content in (b"", b"not an archive"):
        path.write_bytes(content)
        with pytest.raises(PortraitError, match="damaged"):
            Portrait.load(path)
    np.savez(path, version=1, plate=np.zeros(3))
    with pytest.raises(PortraitError, match="damaged"):
        Portrait.load(path)
    monkeypatch.setattr(module, "PORTRAIT_VERSION", PORTRAIT_VERSION + 1)
    portrait.save(path)
    monkeypatch.undo()
    with pytest.raises(PortraitError, match="newer version"):
        Portrait.load(path)
    with pytest.raises(ClipError, match="Cannot write"):
        portrait.save(tmp_path / "nowhere" / "anna.npz")


def test_a_gray_picture_becomes_a_portrait() -> None:
    shown = scene(0.1)
    gray = (shown.picture.mean(-1) * 255).astype(np.uint8)
    portrait = build_portrait(gray, shown.landmarks)
    assert np.ptp(portrait.picture, axis=2).max() == 0
    assert np.ptp(portrait.texture, axis=2).max() < 1e-5


def test_a_small_face_is_refused_with_the_remedy() -> None:
    shown = scene(0.1)
    with pytest.raises(PortraitError, match=r"too small.*larger picture"):
        build_portrait(shown.picture[::8, ::8], Landmarks(shown.landmarks.points / 8))


def test_a_very_large_picture_is_scaled_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_SIDE_PX", 256)
    shown = scene(0.1)
    large = np.kron(shown.picture, np.ones((3, 3, 1), np.float32))
    portrait = build_portrait(large, Landmarks(shown.landmarks.points * 3))
    assert portrait.picture.shape == (256, 256, 3)
    assert (portrait.fit.width, portrait.fit.height) == (256, 256)
    assert np.abs(portrait.picture - shown.picture).mean() < 0.02


@pytest.mark.parametrize(
    ("picture", "value"),
    [
        (np.full((4, 6), 128, np.uint8), 128 / 255),
        (np.full((4, 6, 1), 0.25), 0.25),
        (np.full((4, 6, 2), 0.25, np.float32), 0.25),
        (np.full((4, 6, 3), 2.0, np.float64), 1.0),
        (np.full((4, 6, 3), np.nan, np.float32), 0.0),
        (np.full((4, 6, 4), 65535, np.uint16), 1.0),
    ],
)
def test_arrays_of_all_kinds_are_pictures(picture: np.ndarray, value: float) -> None:
    color, scale = whole_picture(picture)
    assert color.shape == (4, 6, 3)
    assert color.dtype == np.float32
    assert np.allclose(color, value)
    assert scale == 1


@pytest.mark.parametrize("shape", [(4,), (4, 6, 5), (0, 6, 3), (1, 1, 3), (2, 4, 6, 3)])
def test_other_arrays_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PortraitError, match="not a picture"):
        whole_picture(np.zeros(shape))
