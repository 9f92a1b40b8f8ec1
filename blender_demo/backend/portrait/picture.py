# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures as arrays: whatever an artist's file is, upright sRGB in 0..1 comes out, or a sentence that says why not."""

import warnings
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from ..errors import PortraitError

__all__ = ["on_white", "read_on_white", "read_picture"]

Floats = NDArray[np.float32]

SMALLEST_SIDE_PX: Final = 64
LARGEST_PICTURE_PX: Final = 64_000_000
"""Width times height; a few hundred megabytes as numbers."""
_LINEAR_FORMATS: Final = {
    b"\x76\x2f\x31\x01": "an OpenEXR",
    b"#?RADIANCE": "a Radiance HDR",
    b"#?RGBE": "a Radiance HDR",
}
"""First bytes of files that hold scene light, not a picture: what looks right depends on a view transform."""
_SIXTEEN_BITS: Final = 65535.0


def read_picture(path: Path) -> tuple[Floats, Floats | None]:
    """The picture (H, W, 3) and its alpha (H, W), both 0..1; None for alpha if nothing is transparent.

    The picture is turned upright as its EXIF orientation says, and converted to sRGB from its color profile; of an
    animation it is the first frame. Raises PortraitError for a file that is missing, damaged, no picture, HDR, too
    small or too large.
    """
    try:
        with path.open("rb") as file:
            start = file.read(10)
        for magic, name in _LINEAR_FORMATS.items():
            if start.startswith(magic):
                raise PortraitError(f"{path.name} is {name} file. Save it as PNG, as it should look, and use that.")
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                _check_size(path, *image.size)
                return _as_arrays(ImageOps.exif_transpose(image))
    except FileNotFoundError as error:
        raise PortraitError(f"{path} does not exist. Choose the picture again.") from error
    except Image.UnidentifiedImageError as error:
        raise PortraitError(
            f"{path.name} is no picture that can be read. Use a PNG, JPEG, TIFF or WebP file."
        ) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_large(path) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise PortraitError(
            f"{path.name} cannot be read ({error}). Save it again from an image editor, or choose another picture."
        ) from error


def read_on_white(path: Path) -> Floats:
    """The picture (H, W, 3) as `read_picture` reads it; what is transparent in it lies over white."""
    return on_white(*read_picture(path))


def on_white(color: Floats, alpha: Floats | None) -> Floats:
    """The picture (H, W, 3) over white where its alpha (H, W) says so."""
    return color if alpha is None else color * alpha[..., None] + (1 - alpha[..., None])


def _check_size(path: Path, width: int, height: int) -> None:
    if min(width, height) < SMALLEST_SIDE_PX:
        raise PortraitError(
            f"{path.name} has {width} x {height} pixels; at least {SMALLEST_SIDE_PX} each way are needed. "
            "Use a larger picture."
        )
    if width * height > LARGEST_PICTURE_PX:
        raise _too_large(path)


def _too_large(path: Path) -> PortraitError:
    millions = LARGEST_PICTURE_PX // 1_000_000
    return PortraitError(
        f"{path.name} has more than {millions} million pixels. Crop it to the person, or scale it down."
    )


def _as_arrays(image: Image.Image) -> tuple[Floats, Floats | None]:
    """Color and alpha of an opened, upright picture of any mode."""
    if image.mode.startswith(("I", "F")):  # grays of 16 or more bits, which Pillow would cut off at 255
        gray = np.asarray(image, np.float32) / (1.0 if image.mode == "F" else _SIXTEEN_BITS)
        return np.repeat(np.clip(gray, 0.0, 1.0)[..., None], 3, axis=2), None
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = np.asarray(image.getchannel("A"), np.float32) / 255
    color = np.array(_in_srgb(image), np.float32)
    color /= 255  # in place: a large picture should not come twice
    return color, None if alpha is None or (alpha == 1).all() else alpha


def _in_srgb(image: Image.Image) -> Image.Image:
    """The picture as RGB, its colors converted from the embedded profile if there is one that fits."""
    if profile := image.info.get("icc_profile"):
        opaque = image.convert("RGB") if image.mode == "RGBA" else image
        try:
            embedded = ImageCms.ImageCmsProfile(BytesIO(profile))
            converted = ImageCms.profileToProfile(opaque, embedded, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):  # a damaged profile, or one of another color space: the numbers stand
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")
