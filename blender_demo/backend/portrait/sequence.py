# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbered frames on disk. A run that was ended halfway is gone on with, and gives the bytes of an unbroken one.

`NAME_0001.png` is the first frame, and `NAME_0000.png` the same picture again: Blender shows number 0 before a sequence
starts. They may be `.exr` as well. `NAME_frames.json` says what the frames are made from; others of that name are never
mixed in.
"""

import json
import re
import shutil
from collections import deque
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import PortraitError
from ..motion.atomic import written_whole
from .exr import exr_is_whole, write_exr
from .png import png_is_whole, write_png

__all__ = ["FrameSet", "Pixels", "write_sequence"]

Pixels = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float16]

_THREADS: Final = 4
_WAITING: Final = 8
"""Frames in memory that are not written yet; keeps memory flat however long the sequence is."""

_FILES: Final[dict[str, tuple[Callable[[Path, Any], None], Callable[[Path], bool]]]] = {
    ".png": (write_png, png_is_whole),
    ".exr": (write_exr, exr_is_whole),
}
"""How files are written, and how to tell that one is whole, by their ending."""

_PACKED_SHARE: Final = 0.7
"""Size of a file of a photograph over that of its pixels: half of them as a rule, and some noise on top."""

_MANIFEST_VERSION: Final = 1


@dataclass(frozen=True)
class FrameSet:
    """Where the frames of a sequence lie.

    count: of the frames, without the one that is held. made_from: all that determines them, by the name an artist has
    for it; plain JSON values. suffix: ".png" for whole numbers of 8 or 16 bits, ".exr" for half floats.
    """

    folder: Path
    name: str
    count: int
    made_from: Mapping[str, Any]
    suffix: str = ".png"

    def path(self, number: int) -> Path:
        """The file of a frame: 1 to `count`, or 0 for the one that is held before the first."""
        return self.folder / f"{self.name}_{number:04d}{self.suffix}"

    @property
    def manifest(self) -> Path:
        """The file that says what the frames are made from."""
        return self.folder / f"{self.name}_frames.json"

    def others(self) -> list[Path]:
        """Every file that has the name of a frame of this sequence, or of what a killed run left of one."""
        name = re.compile(rf"\.?{re.escape(self.name)}_\d{{4,}}\.(png|exr)(\.\d+\.tmp)?")
        return sorted(path for path in self.folder.iterdir() if name.fullmatch(path.name))


def write_sequence(
    frames: FrameSet,
    render: Callable[[int], Generator[Pixels]],
    frame_bytes: int,
    batch: int = 1,
    overwrite: bool = False,
    progress: Callable[[float], None] = lambda _: None,
) -> int:
    """Write the frames that are missing. Returns how many were there already.

    render: from the index of a frame, 0 to count - 1 and a multiple of `batch`, to (H, W, 3 or 4) pixels of that frame
    and all after it; not called when nothing is missing. frame_bytes: of the pixels of one.
    overwrite: frames that are made from something else give way.
    progress: hears 0..1; whatever it raises, such as JobCancelled, ends the work, and the frames so far are kept.

    Raises PortraitError before anything is rendered if there are other frames, or too little space.
    """
    try:
        frames.folder.mkdir(parents=True, exist_ok=True)
        _make_room(frames, overwrite)
        missing = [index for index in range(frames.count) if not _is_whole(frames, index)]
        _check_space(frames, len(missing) * frame_bytes)
    except OSError as error:
        raise PortraitError(
            f"The folder {frames.folder} cannot be used: {error.strerror or error}. Choose one you may write to."
        ) from error
    if missing:
        _write_missing(frames, render, missing, missing[0] // batch * batch, progress)
    else:
        progress(1.0)
    return frames.count - len(missing)


def _write_missing(
    frames: FrameSet,
    render: Callable[[int], Generator[Pixels]],
    missing: list[int],
    first: int,
    progress: Callable[[float], None],
) -> None:
    wanted, waiting, written = set(missing), deque[Future[None]](), frames.count - len(missing)

    def settle(most: int) -> None:
        nonlocal written
        while len(waiting) > most:
            waiting.popleft().result()
            written += 1
            progress(written / frames.count)

    pool = ThreadPoolExecutor(_THREADS)
    try:
        with closing(render(first)) as pixels:
            for index in range(first, missing[-1] + 1):
                picture = next(pixels, None)
                if picture is None:
                    raise PortraitError(f"Only {index} of {frames.count} frames were rendered.")
                if index in wanted:
                    waiting.append(pool.submit(_write, frames, index, picture))
                    settle(_WAITING)
        settle(0)
    finally:
        pool.shutdown(cancel_futures=True)


def _write(frames: FrameSet, index: int, pixels: Pixels) -> None:
    """One frame, from its index; the first of them is also the one that is held, and that is written before."""
    write, _ = _FILES[frames.suffix]
    for number in (0, 1) if index == 0 else (index + 1,):
        with written_whole(frames.path(number), "frame", PortraitError) as temporary:
            write(temporary, pixels)


def _is_whole(frames: FrameSet, index: int) -> bool:
    """Whether a frame is there to its last byte; a computer that went down may have left its name alone."""
    _, is_whole = _FILES[frames.suffix]
    paths = [frames.path(number) for number in ((0, 1) if index == 0 else (index + 1,))]
    return all(path.is_file() and is_whole(path) for path in paths)


def _make_room(frames: FrameSet, overwrite: bool) -> None:
    """See to it that every frame in the folder is one of ours, and say in the manifest whose they are."""
    told = {"version": _MANIFEST_VERSION, "frames": frames.count, **frames.made_from}
    stored = _stored(frames.manifest)
    there = frames.others()
    if stored == told:
        for path in there:
            if path.suffix == ".tmp":
                path.unlink()
        return
    if there and not overwrite:
        changed = [name for name in told if stored.get(name) != told[name]] if stored else []
        why = f"other {', '.join(changed)}" if changed else "nothing says what they are made from"
        raise PortraitError(
            f"{frames.folder} holds frames '{frames.name}' of another portrait ({why}). "
            "Choose another folder or name, or allow to overwrite them."
        )
    for path in there:
        path.unlink()
    with written_whole(frames.manifest, "list of frames", PortraitError) as temporary:
        temporary.write_text(json.dumps(told, indent=1), encoding="utf-8")


def _stored(manifest: Path) -> dict[str, Any]:
    """What a manifest says; nothing where there is none, or one that cannot be read."""
    try:
        stored = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _check_space(frames: FrameSet, pixel_bytes: int) -> None:
    needed, free = int(_PACKED_SHARE * pixel_bytes), shutil.disk_usage(frames.folder).free
    if needed > free:
        raise PortraitError(
            f"The frames need about {needed / 2**20:.0f} MiB, and {frames.folder} has {free / 2**20:.0f} MiB left. "
            "Free some space, choose another folder, or a smaller size."
        )
