# SPDX-License-Identifier: GPL-3.0-or-later
"""All that is known of the person in a picture: the fitted head, its texture, the cut-out and the background.

Pictures are float32 (H, W, C) in 0..1, sRGB-encoded, row 0 at the top.
"""

import zipfile
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from ..errors import PortraitError
from ..motion.atomic import written_whole
from .fit import LARGEST_RESIDUAL_PERCENT, HeadFit, completed, fit_head
from .landmarks import Landmarks
from .light import estimate_light, eye_colors
from .plate import complete_plate, find_person
from .texture import lay_on_head

__all__ = [
    "PORTRAIT_VERSION",
    "FittedFace",
    "Portrait",
    "build_portrait",
    "fit_face",
    "misfit",
    "take_apart",
    "whole_picture",
]

Floats = NDArray[np.float32]

PORTRAIT_VERSION: Final = 2
LARGEST_SIDE_PX: Final = 2048
"""Larger pictures are scaled down: no frame of a talking portrait shows more."""
SMALLEST_EYE_DISTANCE_PX: Final = 16.0
_PICTURES: Final = ("texture", "skin_mask", "plate", "cutout", "picture", "person")
_FIT: Final = "fit_"
"""Before the names of what is of the fit, in the file."""


@dataclass(frozen=True)
class Portrait:
    """A picture, taken apart so that the head can move in it.

    The texture lies over the head model's UVs as said in `texture.py`. plate and picture are equal where nothing moves.
    light: white with normal n (head frame) shows the linear color light[0] + n @ light[1:].
    """

    fit: HeadFit
    texture: Floats  # (S, S, 3), complete
    skin_mask: Floats  # (S, S) how well the picture shows a texel: 1 facing, falling to 0 where it turns away or is cut
    plate: Floats  # (H, W, 3) the background, also behind head and hair; shoulders and all else as in the picture
    cutout: Floats  # (H, W) what moves with the head: 1 on head and hair, falling over neck and shoulders
    iris_color: Floats  # (3,) sRGB
    sclera_color: Floats  # (3,) sRGB
    light: Floats  # (4, 3)
    picture: Floats  # (H, W, 3)
    person: Floats  # (H, W, 4) without the background: color times alpha, and alpha

    def save(self, path: Path) -> None:
        """Writes one .npz, whole or not at all; pictures in 16 bits. Raises ClipError where it cannot be written."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "fit"}
        arrays |= {name: _in_16_bits(arrays[name]) for name in _PICTURES}
        fitted = {_FIT + field.name: getattr(self.fit, field.name) for field in fields(HeadFit)}
        with written_whole(Path(path), "portrait") as temporary, temporary.open("wb") as stream:
            np.savez(stream, version=PORTRAIT_VERSION, **arrays, **fitted)

    @classmethod
    def load(cls, path: Path) -> "Portrait":
        """Reads what `save` wrote. Raises PortraitError for a file that is missing, damaged or of a newer version."""
        path = Path(path)
        if not path.is_file():
            raise PortraitError(f"The portrait {path} does not exist.")
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            version = int(arrays.pop("version"))
            if version <= PORTRAIT_VERSION:
                arrays |= {name: _from_16_bits(arrays[name]) for name in _PICTURES}
                fitted = {name: arrays.pop(name) for name in tuple(arrays) if name.startswith(_FIT)}
                plain = {name.removeprefix(_FIT): v if v.ndim else v.item() for name, v in fitted.items()}
                return cls(fit=HeadFit(**plain), **arrays)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise PortraitError(f"{path} is no portrait, or it is damaged. Make it from the picture again.") from error
        raise PortraitError(
            f"{path} was written by a newer version of this add-on (portrait format {version}). Update the add-on."
        )


@dataclass(frozen=True)
class FittedFace:
    """A picture (H, W, 3) of the size in which it is worked on, all landmarks in it, and the head fitted to them."""

    color: Floats
    landmarks: Landmarks
    fit: HeadFit


def build_portrait(picture: NDArray, landmarks: Landmarks, matte: NDArray | None = None) -> Portrait:
    """The portrait of the face at the landmarks of a picture, of any kind that `whole_picture` takes.

    matte: (H, W) in 0..1, what of the picture is the person, where that is known; else it is found.
    Raises PortraitError for a face that is too small, or that `fit_head` refuses.
    """
    return take_apart(fit_face(picture, landmarks), matte)


def take_apart(face: FittedFace, matte: NDArray | None = None) -> Portrait:
    """The portrait of a face that is fitted. matte: as of `build_portrait`."""
    color, landmarks, fit = face.color, face.landmarks, face.fit
    cut_out = None if matte is None else whole_picture(matte)[0][..., 0]
    person = find_person(color, fit, cut_out)
    plate, alone = complete_plate(color, person)
    laid = lay_on_head(color, fit, landmarks, person.alpha)
    light = estimate_light(laid)
    iris_color, sclera_color = eye_colors(color, fit, landmarks, light)
    portrait = Portrait(
        fit=fit,
        texture=laid.color,
        skin_mask=laid.seen,
        plate=plate,
        cutout=person.cutout,
        iris_color=iris_color,
        sclera_color=sclera_color,
        light=light,
        picture=color,
        person=alone,
    )
    # as it is in a file, so that it does not matter whether it comes from one
    return replace(portrait, **{name: _from_16_bits(_in_16_bits(getattr(portrait, name))) for name in _PICTURES})


def fit_face(picture: NDArray, landmarks: Landmarks) -> FittedFace:
    """The head of the face at the landmarks of a picture, of any kind that `whole_picture` takes.

    Raises PortraitError for a face that is too small, or that `fit_head` refuses.
    """
    color, scale = whole_picture(picture)
    landmarks = landmarks.scaled(scale)
    if landmarks.eye_distance < SMALLEST_EYE_DISTANCE_PX:
        raise PortraitError(
            f"The face is too small: its eyes are {landmarks.eye_distance:.0f} pixels apart, and "
            f"{SMALLEST_EYE_DISTANCE_PX:.0f} are needed. Use a larger picture, or crop it to the head and enlarge it."
        )
    fit = fit_head(landmarks, color.shape[1], color.shape[0])
    return FittedFace(color, completed(landmarks, fit), fit)


def _in_16_bits(picture: Floats) -> NDArray[np.uint16]:
    return np.round(picture * 65535).astype(np.uint16)


def _from_16_bits(picture: NDArray[np.uint16]) -> Floats:
    return (picture / 65535).astype(np.float32)


def misfit(fit: HeadFit) -> list[str]:
    """What an artist should know of how far the head is from the points: a sentence, or none."""
    if fit.residual_percent < LARGEST_RESIDUAL_PERCENT:
        return []
    return [
        f"The points are {fit.residual_percent:.0f} percent of the distance of the eyes away from any human head. The "
        "head was bent to meet them: look whether that is what you mean."
    ]


def whole_picture(picture: NDArray) -> tuple[Floats, float]:
    """A picture as float32 (H, W, 3), at most LARGEST_SIDE_PX long, and the scale (at most 1) that this took.

    picture: (H, W) or (H, W, 1) gray, (H, W, 2) gray with alpha, (H, W, 3) or (H, W, 4) with alpha, which is not used;
    integers of any depth, or 0..1. Raises PortraitError for other arrays.
    """
    if picture.ndim == 2:
        picture = picture[..., None]
    if picture.ndim != 3 or not 1 <= picture.shape[2] <= 4 or min(picture.shape[:2]) < 2:
        raise PortraitError(f"An array of shape {picture.shape} is not a picture. Use a color or a gray picture.")
    channels = picture[..., :3] if picture.shape[2] > 2 else np.repeat(picture[..., :1], 3, axis=2)
    full = np.iinfo(picture.dtype).max if np.issubdtype(picture.dtype, np.integer) else 1
    block = max(1, max(picture.shape[:2]) // LARGEST_SIDE_PX)
    color = np.nan_to_num(_block_means(channels, block) / np.float32(full)).clip(0, 1)
    scale = min(1.0, LARGEST_SIDE_PX / max(color.shape[:2]))
    if scale < 1:
        color = gaussian_filter(color, (0.4 / scale, 0.4 / scale, 0))
        color = np.asarray(zoom(color, (scale, scale, 1), order=1, grid_mode=True, mode="nearest")).clip(0, 1)
    return color, scale / block


def _block_means(values: NDArray, block: int) -> Floats:
    """Means of `block` x `block` pixels (H, W, C), without a copy of them all; the last are dropped that fill none."""
    height, width = (side // block for side in values.shape[:2])
    blocks = values[: height * block, : width * block].reshape(height, block, width, block, -1)
    return blocks.mean(axis=(1, 3), dtype=np.float32)
