# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenEXR files, for compositing: half floats, scene-linear with the primaries of sRGB, alpha premultiplied."""

import struct
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import PortraitError

__all__ = ["check_exr", "exr_is_whole", "write_exr"]

_ROWS: Final = 16
"""Rows in each chunk of a file that is packed by ZIP."""
_START: Final = 8
"""Bytes before the header: a magic number and the version."""
_LONGEST_HEADER: Final = 4096


def check_exr() -> None:
    """Raises PortraitError if EXR files cannot be written here."""
    try:
        import OpenEXR  # noqa: F401
    except ImportError as error:
        raise PortraitError(
            "EXR frames need the package OpenEXR in the generator's Python. Install it (pip install OpenEXR), or "
            "choose PNG with 16 bits."
        ) from error


def write_exr(path: Path, pixels: NDArray[np.float16]) -> None:
    """Write (H, W, 3) RGB or (H, W, 4) RGBA pixels, row 0 on top. Raises OSError where that cannot be done."""
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    name = "RGBA" if pixels.shape[2] == 4 else "RGB"
    try:
        OpenEXR.File(header, {name: np.ascontiguousarray(pixels)}).write(str(path))
    except RuntimeError as error:  # without the number of the error
        raise OSError(str(error)) from error


def exr_is_whole(path: Path) -> bool:
    """Whether a file that `write_exr` wrote is there to its last byte: its table of chunks says where the last ends."""
    with path.open("rb") as stream:
        start = stream.read(_LONGEST_HEADER)
        try:
            place, rows = _START, 0
            while start[place]:
                name, kind, rest = start[place:].split(b"\0", 2)
                (length,) = struct.unpack_from("<i", rest)
                if name == b"dataWindow":
                    _, top, _, bottom = struct.unpack_from("<4i", rest, 4)
                    rows = bottom - top + 1
                place += len(name) + len(kind) + 2 + 4 + length
            stream.seek(place + 1 + 8 * (-(-rows // _ROWS) - 1))
            (last,) = struct.unpack("<Q", stream.read(8))
            stream.seek(last)
            _, length = struct.unpack("<ii", stream.read(8))
        except (IndexError, ValueError, struct.error):
            return False
        return stream.seek(0, 2) == last + 8 + length
