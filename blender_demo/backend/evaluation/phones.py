# SPDX-License-Identifier: GPL-3.0-or-later
"""Timed phones: their classes, and how far each is expected to open the lips."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

__all__ = ["CLOSED", "CLOSED_OR_TUCKED", "GRID_S", "OPEN", "PARTED", "ROUNDED", "SPREAD", "VOWELS", "Phones",
           "expected_aperture", "frame_phones"]  # fmt: skip

Phones = tuple[tuple[str, float, float], ...]
"""(ARPAbet without stress, start s, end s), in the order of time."""

CLOSED: Final = ("P", "B", "M")
CLOSED_OR_TUCKED: Final = (*CLOSED, "F", "V")
VOWELS: Final = (
    "AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW",
)  # fmt: skip
ROUNDED: Final = ("UW", "OW", "W", "UH", "AO", "OY")
SPREAD: Final = ("IY", "IH", "EH", "S", "Z", "T", "D")
OPEN: Final = ("AA", "AE", "AY", "AW")
PARTED: Final = ("IY", "IH", "UW", "S", "Z")

_OPENING: Final = {
    phone: value
    for phones, value in (
        (("SIL", *CLOSED), 0.0),
        (("F", "V"), 0.1),
        (("W", "UW"), 0.2),
        (("S", "Z", "SH", "ZH", "CH", "JH", "T", "D", "N", "TH", "DH", "R"), 0.3),
        (("L", "K", "G", "NG", "HH", "Y", "UH", "IY", "ER"), 0.4),
        (("IH", "OW"), 0.5),
        (("EH", "EY", "AH", "OY"), 0.6),
        (("AO",), 0.7),
        (("AE", "AY", "AW"), 0.9),
        (("AA",), 1.0),
    )
    for phone in phones
}
"""Opening of the lips expected of each phone, over that of AA: jaw heights of vowels as in any vowel chart, lips shut
for bilabials. Only the order matters much, since it is used in a correlation.
"""

GRID_S: Final = 0.005
"""Spacing of expected apertures, in seconds."""

_SMOOTH_S: Final = 0.08


def frame_phones(phones: Phones, frames: int, fps: float) -> NDArray[np.str_]:
    """The phone at k / fps seconds for each frame k, (T,); SIL where nothing is said."""
    out = np.full(frames, "SIL", dtype="<U8")
    for phone, start, end in phones:
        out[max(0, int(np.ceil(start * fps - 1e-6))) : max(0, int(np.ceil(end * fps - 1e-6)))] = phone
    return out


def expected_aperture(phones: Phones, duration_s: float) -> NDArray[np.float64]:
    """Expected opening every GRID_S seconds from 0 to `duration_s`, smoothed over 80 ms, (n,)."""
    at = frame_phones(phones, int(np.ceil(duration_s / GRID_S)) + 1, 1 / GRID_S)
    opening = np.array([_OPENING.get(phone, 0.0) for phone in at.tolist()])
    return uniform_filter1d(opening, round(_SMOOTH_S / GRID_S) + 1, mode="nearest")
