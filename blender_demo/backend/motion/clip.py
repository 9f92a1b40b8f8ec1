# SPDX-License-Identifier: GPL-3.0-or-later
"""MotionClip: the one value that crosses from the model to Blender. Saved as one .npz, without pickle."""

import json
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import ClipError
from .atomic import written_whole
from .factors import CHANNEL_INDEX, CHANNELS, LATENT_DIM, channel_slice

__all__ = ["CLIP_VERSION", "MotionClip"]

CLIP_VERSION: Final = 1


@dataclass(frozen=True)
class MotionClip:
    """A facial performance sampled at a fixed rate. Frame k lies at k / fps seconds.

    fps: frames per second.
    channels: (T, C) float32; units and signs as in `factors`.
    names: the C channel names, in column order.
    latents: (T, 42) float32 factor latents, or None where the clip did not come from the model.
    audio_hash: SHA-256 of the recording, empty where there was none.
    settings: what the clip was made with; plain JSON values.
    """

    fps: float
    channels: NDArray[np.float32]
    names: tuple[str, ...] = CHANNELS
    latents: NDArray[np.float32] | None = None
    audio_hash: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    version: int = CLIP_VERSION

    def __post_init__(self) -> None:
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise ClipError(f"A motion clip needs a positive frame rate, not {self.fps}.")
        if self.channels.ndim != 2 or self.channels.shape[1] != len(self.names):
            shape = self.channels.shape
            raise ClipError(f"A motion clip needs one column per channel: {shape} for {len(self.names)} names.")
        if len(set(self.names)) != len(self.names):
            raise ClipError("A motion clip names one of its channels twice.")
        if not np.isfinite(self.channels).all():
            raise ClipError("A motion clip contains values that are not numbers (NaN or infinity).")
        if self.latents is not None and self.latents.shape != (len(self.channels), LATENT_DIM):
            raise ClipError(f"Latents must be {(len(self.channels), LATENT_DIM)}, not {self.latents.shape}.")

    def __len__(self) -> int:
        return len(self.channels)

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the end of the last."""
        return len(self) / self.fps

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """One channel, (T,)."""
        if name not in self.names:
            raise ClipError(f"This motion clip has no channel '{name}'.")
        return self.channels[:, self.names.index(name)]

    def factor(self, name: str) -> NDArray[np.float32]:
        """The channels of one factor, (T, n). The clip must hold the full channel table."""
        if self.names != CHANNELS:
            raise ClipError("Only a clip with the full channel table can be split into factors.")
        return self.channels[:, channel_slice(name)]

    def with_channels(self, channels: NDArray[np.float32], fps: float | None = None) -> "MotionClip":
        """The same clip with other values (and so without latents), optionally at another rate."""
        return replace(self, channels=channels.astype(np.float32), fps=fps or self.fps, latents=None)

    def completed(self) -> "MotionClip":
        """The same clip with the full channel table: what it lacks is zero. Raises ClipError if it lacks everything."""
        if self.names == CHANNELS:
            return self
        columns = {CHANNEL_INDEX[name]: column for column, name in enumerate(self.names) if name in CHANNEL_INDEX}
        if not columns:
            raise ClipError(f"A motion clip has none of the {len(CHANNELS)} channels of a face.")
        channels = np.zeros((len(self), len(CHANNELS)), np.float32)
        channels[:, list(columns)] = self.channels[:, list(columns.values())]
        return replace(self, channels=channels, names=CHANNELS)

    def save(self, path: Path) -> None:
        """Write the clip atomically: a reader sees the old file or the whole new one. Raises ClipError."""
        header = {"fps": self.fps, "audio_hash": self.audio_hash, "settings": self.settings, "version": self.version}
        arrays = {"channels": self.channels, "names": np.array(self.names), "header": np.array(json.dumps(header))}
        if self.latents is not None:
            arrays["latents"] = self.latents
        with written_whole(Path(path), "motion clip") as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **arrays)

    @classmethod
    def load(cls, path: Path) -> "MotionClip":
        """Read a clip written by `save`. Raises ClipError for a file that is missing, damaged or of a newer version."""
        path = Path(path)
        if not path.is_file():
            raise ClipError(f"The motion clip {path} does not exist.")
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {key: stored[key] for key in stored.files}
            header = json.loads(str(arrays["header"]))
            version = int(header["version"])
            if version <= CLIP_VERSION:
                return cls(
                    fps=float(header["fps"]),
                    channels=arrays["channels"].astype(np.float32),
                    names=tuple(str(name) for name in arrays["names"]),
                    latents=arrays["latents"].astype(np.float32) if "latents" in arrays else None,
                    audio_hash=str(header["audio_hash"]),
                    settings=dict(header["settings"]),
                    version=version,
                )
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ClipError(f"{path} is not a motion clip, or it is damaged. Generate it again.") from error
        raise ClipError(
            f"{path} was written by a newer version of this add-on (clip format {version}). Update the add-on."
        )
