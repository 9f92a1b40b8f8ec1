# SPDX-License-Identifier: GPL-3.0-or-later
"""The head of the person in a picture as Blender needs it to build it. Numpy only: Blender's own process reads it."""

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..errors import PortraitError
from ..head.head_model import HeadModel, load_head
from ..motion.atomic import written_whole

__all__ = ["PersonHead"]

_VERSION: Final = 1
_OWN: Final = ("vertices", "deltas", "eye_centres", "skin_colors")
"""What of the head model is the person's own."""


@dataclass(frozen=True)
class PersonHead:
    """A head at rest, upright, in the head frame; metres.

    model: the head model with this person's shape, keys and places of the eyes.
    texture: (S, S, 3) sRGB, over the model's UVs, which go on at the left beyond 1; row 0 at the top.
    colors: sRGB (3,) of the materials that do not have the texture, by their names.
    """

    model: HeadModel
    texture: NDArray[np.uint8]
    colors: dict[str, NDArray[np.float32]]

    def save(self, path: Path) -> None:
        """Writes one .npz, whole or not at all. Raises ClipError where it cannot be written."""
        own = {name: getattr(self.model, name) for name in _OWN}
        names, colors = list(self.colors), list(self.colors.values())
        with written_whole(Path(path), "head") as temporary, temporary.open("wb") as stream:
            np.savez(stream, version=_VERSION, texture=self.texture, color_names=names, color_values=colors, **own)

    @classmethod
    def load(cls, path: Path) -> "PersonHead":
        """Reads what `save` wrote. Raises PortraitError for anything else."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                if int(stored["version"]) != _VERSION:
                    raise PortraitError(f"{path} was written by another version of this add-on. Make the head again.")
                model = replace(load_head(), **{name: stored[name] for name in _OWN})
                colors = dict(zip(stored["color_names"].tolist(), stored["color_values"], strict=True))
                return cls(model, stored["texture"], colors)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise PortraitError(f"{path} is no head, or it is damaged. Make it from the picture again.") from error
