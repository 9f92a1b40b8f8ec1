# SPDX-License-Identifier: GPL-3.0-or-later
"""A portrait is kept beside its frames, so that another take of the same picture begins at once."""

from contextlib import suppress
from pathlib import Path
from typing import Final

from ..errors import ClipError, PortraitError
from .portrait import Portrait

__all__ = ["KeptPortrait"]

_DIGITS: Final = 16


class KeptPortrait:
    """The file in the folder of frames `name` with the portrait that is made from what has this hash.

    It is there for speed alone: one that is damaged, or of something else, is made again.
    """

    def __init__(self, folder: Path, name: str, made_from: str) -> None:
        self._folder, self._start = folder, f"{name}_face_"
        self.path = folder / f"{self._start}{made_from[:_DIGITS]}.npz"

    def load(self) -> Portrait | None:
        """The portrait, if it is there and whole."""
        with suppress(PortraitError):
            return Portrait.load(self.path)
        return None

    def save(self, portrait: Portrait) -> None:
        """Put it in the place of earlier ones; nothing happens where that cannot be done."""
        with suppress(ClipError, OSError):
            for earlier in self._folder.glob("*.npz"):
                if earlier.name.startswith(self._start) and len(earlier.name) == len(self.path.name):
                    earlier.unlink()
            portrait.save(self.path)
