# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of the portrait renderer, and what it answers. Plain values: they travel between processes as JSON."""

import math
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from ..errors import PortraitError
from ..settings import AUTO
from .controls import NEUTRAL, PortraitControls

__all__ = ["FILE_FORMATS", "SIZES", "PointsOrder", "PointsResult", "PortraitOrder", "PortraitResult"]

SIZES: Final = (64, 4096)
"""Least and greatest length of the longer side, in pixels."""
FILE_FORMATS: Final = ("png", "png16", "exr")
"""PNG of 8 or of 16 bits, sRGB with straight alpha, or OpenEXR, scene-linear with premultiplied alpha."""


@dataclass(frozen=True)
class PortraitOrder:
    """All that, with the renderer, determines the frames of a portrait, and where they go.

    image: path of the picture. clip: path of the motion, in any format.
    folder, name: of the frames; see `sequence`.
    size: pixels of the longer side. fps: frames per second.
    landmarks: path of points placed by hand, JSON; empty where they are to be found.
    file_format: one of FILE_FORMATS.
    alpha: what moves with the head alone, fading out over the shoulders; otherwise before the picture's own background.
    overwrite: frames of another portrait in the folder give way.
    controls: how the motion is directed. refine: a neural network repairs mouth, lids and seams.
    still: index of the one frame to render, to look at; None for all of them.
    speed: how much faster than recorded the motion plays. later_s: seconds by which it comes after the first frame.
    device: "auto", "cuda", "mps" or "cpu".
    """

    image: str
    clip: str
    folder: str
    name: str = "portrait"
    size: int = 512
    fps: float = 24.0
    landmarks: str = ""
    file_format: str = "png"
    alpha: bool = False
    overwrite: bool = False
    controls: PortraitControls = NEUTRAL
    refine: bool = True
    still: int | None = None
    speed: float = 1.0
    later_s: float = 0.0
    device: str = AUTO

    def __post_init__(self) -> None:
        if not SIZES[0] <= self.size <= SIZES[1]:
            raise PortraitError(f"The size must be between {SIZES[0]} and {SIZES[1]} pixels, not {self.size}.")
        if not (math.isfinite(self.fps) and 1.0 <= self.fps <= 1000.0):
            raise PortraitError(f"The frame rate must be between 1 and 1000, not {self.fps:g}.")
        if not re.fullmatch(r"[^\W.][\w .-]*", self.name):
            raise PortraitError(f"'{self.name}' cannot be the name of the frames. Use letters, digits and - only.")
        if self.file_format not in FILE_FORMATS:
            raise PortraitError(f"Unknown file format '{self.file_format}'. Use {', '.join(FILE_FORMATS)}.")
        if self.device not in (AUTO, "cuda", "mps", "cpu"):
            raise PortraitError(f"Unknown device '{self.device}'. Use auto, cuda, mps or cpu.")

    def absolute(self) -> "PortraitOrder":
        """The same order for a process with another working folder."""
        paths = {name: str(Path(text).absolute()) for name in _PATHS if (text := getattr(self, name))}
        return replace(self, **paths)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, the inverse of `from_json`."""
        return {**asdict(self), "controls": self.controls.to_json()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "PortraitOrder":
        """An order from plain JSON values. Raises PortraitError for what is none."""
        try:
            return cls(**{**values, "controls": PortraitControls.from_json(values.get("controls", {}))})
        except TypeError as error:
            raise PortraitError(f"The order for a portrait cannot be read: {error}.") from error


_PATHS: Final = ("image", "clip", "folder", "landmarks")


@dataclass(frozen=True)
class PortraitResult:
    """A portrait on disk.

    held: path of frame 0, which is shown before the first; those from 1 to `count` follow it.
    kept: how many of them were there already. width, height: pixels. timings: seconds by stage.
    notes: sentences for the artist.
    """

    held: str
    count: int
    kept: int
    width: int
    height: int
    fps: float
    device: str
    timings: dict[str, float]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: the fields."""
        return asdict(self)


@dataclass(frozen=True)
class PointsOrder:
    """Where the points of a face are in a picture: `image` and `landmarks` are read, the other two written.

    landmarks: path of those that are known, JSON; all others are put where the fitted head has them. Empty: find all.
    out: path of all of them. preview: path of the picture as it is read, upright and in 8 bits; empty for none.
    """

    image: str
    landmarks: str
    out: str
    preview: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, the inverse of `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "PointsOrder":
        """An order from plain JSON values. Raises PortraitError for what is none."""
        try:
            return cls(**values)
        except TypeError as error:
            raise PortraitError(f"The order for the points of a face cannot be read: {error}.") from error


@dataclass(frozen=True)
class PointsResult:
    """Points of a face on disk.

    width, height: pixels of the upright picture. found: whether anybody has seen the face, or it is a mean one.
    timings: seconds by stage. notes: sentences for the artist.
    """

    width: int
    height: int
    found: bool
    device: str
    timings: dict[str, float]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: the fields."""
        return asdict(self)
