# SPDX-License-Identifier: GPL-3.0-or-later
"""The still picture, of whatever kind the file is, as the portrait's arrays have it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..errors import PortraitError

__all__ = ["Picture", "read_picture"]

LONGEST: Final = 2048
"""Pixels of the longer side that are worked with; a texture has no more."""

_SHORTEST: Final = 64
_BACKDROP: Final = (255, 255, 255, 255)
"""What is seen through the transparent parts of a picture."""


@dataclass(frozen=True)
class Picture:
    """pixels: (H, W, 3) float32 in 0..1, sRGB-encoded. scale: their number over that of the file's, along one side."""

    pixels: NDArray[np.float32]
    scale: float

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.pixels.shape[1]


def read_picture(path: Path) -> Picture:
    """Read a picture upright and in color. Raises PortraitError for what is none, or too small or large to be used."""
    if not path.is_file():
        raise PortraitError(f"The picture {path} does not exist. Choose another one.")
    try:
        with Image.open(path) as opened:
            stored = ImageOps.exif_transpose(opened)
            if min(stored.size) < _SHORTEST:
                raise PortraitError(
                    f"The picture {path} has {stored.width} x {stored.height} pixels, which is too little for a face. "
                    f"Use one of at least {_SHORTEST} x {_SHORTEST}."
                )
            scale = min(1.0, LONGEST / max(stored.size))
            color = _in_color(stored)
            if scale < 1.0:
                color = color.resize((round(color.width * scale), round(color.height * scale)), Image.Resampling.BOX)
    except Image.DecompressionBombError as error:
        raise PortraitError(f"The picture {path} is too large. Make it smaller than 10000 x 10000 pixels.") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise PortraitError(f"{path} cannot be read as a picture. Save it as PNG or JPEG, and try again.") from error
    return Picture(np.asarray(color, np.float32) / np.float32(255.0), scale)


def _in_color(stored: Image.Image) -> Image.Image:
    """Any mode of Pillow as RGB; what is transparent shows the backdrop."""
    if stored.mode.startswith("I"):  # 16 bits of gray, in up to 32
        return Image.fromarray((np.asarray(stored, np.float64) / 257.0).clip(0, 255).astype(np.uint8)).convert("RGB")
    if not stored.has_transparency_data:
        return stored.convert("RGB")
    seen = stored.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, _BACKDROP), seen).convert("RGB")
