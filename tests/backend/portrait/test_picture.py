# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever kind of picture comes, it is read as it looks, or refused with a remedy."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from blender_demo.backend.errors import PortraitError
from blender_demo.backend.portrait.picture import LARGEST_PICTURE_PX, read_picture

SIZE = 96
ORIENTATION = 0x0112


@pytest.fixture
def ramp() -> Image.Image:
    """Red grows to the right, green downwards."""
    grow = np.linspace(0, 255, SIZE).astype(np.uint8)
    red, green = np.broadcast_to(grow, (SIZE, SIZE)), np.broadcast_to(grow[:, None], (SIZE, SIZE))
    return Image.fromarray(np.stack([red, green, np.full_like(red, 60)], axis=-1))


def test_eight_bit_color_is_read_exactly(tmp_path, ramp) -> None:
    ramp.save(tmp_path / "a.png")
    color, alpha = read_picture(tmp_path / "a.png")
    assert color.dtype == np.float32
    np.testing.assert_allclose(color * 255, np.asarray(ramp), atol=1e-3)
    assert alpha is None


def test_sixteen_bit_gray_keeps_its_range(tmp_path) -> None:
    gray = np.tile(np.linspace(0, 65535, SIZE).astype(np.uint16), (SIZE, 1))
    Image.fromarray(gray).save(tmp_path / "a.png")
    color, _ = read_picture(tmp_path / "a.png")
    assert color.shape == (SIZE, SIZE, 3)
    np.testing.assert_allclose(color[..., 1], gray / 65535, atol=1e-4)


def test_a_palette_with_transparency_gives_alpha(tmp_path, ramp) -> None:
    indexed = ramp.quantize(16)
    indexed.save(tmp_path / "a.png", transparency=indexed.getpixel((0, 0)))
    color, alpha = read_picture(tmp_path / "a.png")
    assert alpha is not None
    assert alpha[0, 0] == 0
    assert alpha[-1, -1] == 1
    assert np.abs(color * 255 - np.asarray(ramp)).mean() < 30


def test_an_opaque_alpha_is_none(tmp_path, ramp) -> None:
    ramp.convert("RGBA").save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png")[1] is None


def test_a_cmyk_jpeg_looks_as_it_should(tmp_path, ramp) -> None:
    ramp.convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    color, _ = read_picture(tmp_path / "a.jpg")
    assert np.abs(color * 255 - np.asarray(ramp)).mean() < 4


def test_a_rotated_phone_picture_is_turned_upright(tmp_path, ramp) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # the camera's right side was down
    ramp.crop((0, 0, SIZE, 80)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    color, _ = read_picture(tmp_path / "a.jpg")
    assert color.shape == (SIZE, 80, 3)
    assert color[-1, 40, 0] > 0.9 > 0.1 > color[0, 40, 0]  # red grows downwards now


def test_a_color_profile_is_converted(tmp_path) -> None:
    gray = Image.new("RGB", (SIZE, SIZE), (128, 128, 128))
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ"))
    gray.save(tmp_path / "a.png", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    np.testing.assert_allclose(read_picture(tmp_path / "a.png")[0], 128 / 255, atol=0.01)
    gray.save(tmp_path / "b.png", icc_profile=lab.tobytes())
    assert read_picture(tmp_path / "b.png")[0].shape == (SIZE, SIZE, 3)
    gray.save(tmp_path / "c.png", icc_profile=b"no profile at all")
    np.testing.assert_allclose(read_picture(tmp_path / "c.png")[0], 128 / 255, atol=0.01)


def test_an_animation_gives_its_first_frame(tmp_path, ramp) -> None:
    ramp.save(tmp_path / "a.gif", save_all=True, append_images=[Image.new("RGB", ramp.size)])
    assert read_picture(tmp_path / "a.gif")[0].mean() > 0.2


def encoded(image: Image.Image, form: str) -> bytes:
    out = BytesIO()
    image.save(out, form)
    return out.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("kept", [0.0, 0.03, 0.5])
def test_a_truncated_file_is_refused_by_name(tmp_path, ramp, form: str, kept: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), np.uint8))
    data = encoded(noise, form)
    (tmp_path / "cut.png").write_bytes(data[: int(kept * len(data))])
    with pytest.raises(PortraitError, match=r"cut\.png"):
        read_picture(tmp_path / "cut.png")


@pytest.mark.parametrize(
    ("start", "remedy"), [(b"\x76\x2f\x31\x01", "PNG"), (b"#?RADIANCE\n", "PNG"), (b"%PDF-1.7", "PNG")]
)
def test_hdr_and_foreign_files_are_refused_with_a_remedy(tmp_path, start: bytes, remedy: str) -> None:
    (tmp_path / "a.exr").write_bytes(start + bytes(500))
    with pytest.raises(PortraitError, match=rf"a\.exr.*{remedy}"):
        read_picture(tmp_path / "a.exr")


def test_missing_files_and_folders_are_refused(tmp_path) -> None:
    with pytest.raises(PortraitError, match=r"none\.png"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(PortraitError, match=tmp_path.name):
        read_picture(tmp_path)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (63, 400)])
def test_tiny_pictures_are_refused(tmp_path, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(tmp_path / "a.png")
    with pytest.raises(PortraitError, match="pixels"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("side", [9000, 10_000, 16_384])
def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path, side: int) -> None:
    assert side**2 > LARGEST_PICTURE_PX
    Image.new("1", (side, side)).save(tmp_path / "a.png")
    with pytest.raises(PortraitError, match="million pixels"):
        read_picture(tmp_path / "a.png")
