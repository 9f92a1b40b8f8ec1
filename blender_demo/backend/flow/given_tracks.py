# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion that the artist gives: factors of another take, the end of the take before, the start of the one after."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import ClipError
from ..fcme.model import Fcme
from ..motion.factors import CHANNELS, FACTORS, MODEL_FPS, channel_slice
from ..motion.formats import read_motion
from ..motion.resample import resample
from ..settings import GenerationSettings
from .sampler import Known

__all__ = ["NEIGHBOR_FRAMES", "GivenTracks", "load_given"]

NEIGHBOR_FRAMES: Final = 15
"""Frames of the takes before and after that this one must join: half a second (DEMO's F')."""


@dataclass(frozen=True)
class GivenTracks:
    """Channels (lead + T + tail, 60) and where they are given (same rows, 4 factors), around a take of T frames."""

    lead: int
    tail: int
    channels: NDArray[np.float32]
    is_given: NDArray[np.bool_]

    def known(self, fcme: Fcme, latent_mean: torch.Tensor, latent_scale: torch.Tensor) -> Known:
        """The same as normalized latents, on the networks' device."""
        channels = torch.from_numpy(self.channels).to(latent_mean.device)
        latents = (fcme.encode(channels).mean - latent_mean) / latent_scale
        return Known(latents, torch.from_numpy(self.is_given).to(latents))

    def restore(self, channels: NDArray[np.float32]) -> NDArray[np.float32]:
        """A generated (lead + T + tail, 60) without lead and tail, given factors exactly as they were given."""
        for index, factor in enumerate(FACTORS):
            rows, columns = self.is_given[:, index], channel_slice(factor.name)
            channels[rows, columns] = self.channels[rows, columns]
        return channels[self.lead : len(channels) - self.tail]


def load_given(settings: GenerationSettings, frames: int) -> GivenTracks | None:
    """What the settings name, for a take of `frames` frames; None if they name nothing.

    A given track that ends before the take does is carried on by the model. Raises ClipError for a file that is
    missing, damaged or lacks a factor's channels.
    """
    before = _channels(settings.prefix)[-NEIGHBOR_FRAMES:] if settings.prefix else np.zeros((0, len(CHANNELS)))
    after = _channels(settings.suffix)[:NEIGHBOR_FRAMES] if settings.suffix else np.zeros((0, len(CHANNELS)))
    paths = {f.name: settings.control(f.name).given for f in FACTORS}
    if not (len(before) or len(after) or any(paths.values())):
        return None
    channels = np.concatenate([before, np.zeros((frames, len(CHANNELS))), after]).astype(np.float32)
    is_given = np.ones((len(channels), len(FACTORS)), bool)
    is_given[len(before) : len(before) + frames] = False
    for index, factor in enumerate(FACTORS):
        if paths[factor.name]:
            track = _channels(paths[factor.name], factor.name)[:frames]
            rows = slice(len(before), len(before) + len(track))
            channels[rows, channel_slice(factor.name)] = track[:, channel_slice(factor.name)]
            is_given[rows, index] = True
    return GivenTracks(len(before), len(after), channels, is_given)


def _channels(path: str, factor: str = "") -> NDArray[np.float32]:
    """All channels (T, 60) of a take at the model's rate; those of other factors that it lacks are zero."""
    clip = resample(read_motion(Path(path)), MODEL_FPS)
    wanted = FACTORS if not factor else [f for f in FACTORS if f.name == factor]
    missing = [name for f in wanted for name in f.channels if name not in clip.names]
    if missing:
        raise ClipError(f"{path} has no channel '{missing[0]}'. Give a take that holds the whole {factor or 'face'}.")
    return clip.completed().channels
