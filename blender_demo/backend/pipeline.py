# SPDX-License-Identifier: GPL-3.0-or-later
"""From a recording to a MotionClip: audio features, flow, decoding. For the worker process; needs torch, not bpy."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .audio.encoder import ARTICULATION, PHONES, Heard, condition, silent_condition
from .audio.features import MEL_PER_FRAME, Features, extract, frame_count
from .audio.load import load_audio
from .flow.given_tracks import load_given
from .flow.sampler import in_chunks, sample_latents
from .motion.clip import MotionClip
from .motion.factors import CHANNELS, FACTORS, LIMITS, MODEL_FPS, channel_slice, eye_look_from_gaze
from .networks import WEIGHTS_DIR, Networks
from .settings import GenerationSettings

__all__ = ["GenerationResult", "Generator", "audio_condition", "choose_device", "decode_latents"]

Progress = Callable[[str, float], None]
_SHARES = {"audio": (0.0, 0.2), "flow": (0.2, 0.95), "decode": (0.95, 1.0)}
"""Where each stage lies on the job's progress bar."""


@dataclass(frozen=True)
class GenerationResult:
    """A take, the seconds spent in each stage, the device it ran on, and notes for the artist."""

    clip: MotionClip
    timings: dict[str, float]
    device: str
    notes: tuple[str, ...]


def choose_device(wanted: str) -> torch.device:
    """The device to run on: the one wanted if it is there, else CUDA, MPS or the CPU, in this order."""
    available = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available, "cpu": lambda: True}
    if wanted in available and available[wanted]():
        return torch.device(wanted)
    return torch.device(next(name for name, is_there in available.items() if is_there()))


class Generator:
    """Holds the networks on one device, ready for one recording after another."""

    def __init__(self, device: str = "auto", weights: Path = WEIGHTS_DIR) -> None:
        self._device = choose_device(device)
        self._networks = Networks.load(weights).to(self._device)
        self._notes: list[str] = []
        if device not in ("auto", self._device.type):
            self._notes.append(f"The device {device} is not available here; {self._device.type} is used.")

    @property
    def device(self) -> str:
        """Name of the device in use."""
        return self._device.type

    def generate(
        self,
        audio: Path,
        settings: GenerationSettings,
        progress: Progress,
        start_s: float = 0.0,
        duration_s: float | None = None,
    ) -> GenerationResult:
        """Generate a take. `progress` may raise to stop; raises AudioError for a recording that cannot be used."""
        try:
            return self._generate(audio, settings, progress, start_s, duration_s)
        except RuntimeError as error:
            # CUDA raises OutOfMemoryError; other devices a plain RuntimeError that says so.
            if self._device.type == "cpu" or "out of memory" not in str(error).lower():
                raise
            self._networks.to(torch.device("cpu"))
            note = f"The {self._device.type} device ran out of memory; the CPU took over."
            self._device = torch.device("cpu")
            self._notes.append(note)
            return self._generate(audio, settings, progress, start_s, duration_s)

    @torch.inference_mode()
    def _generate(
        self, audio: Path, settings: GenerationSettings, progress: Progress, start_s: float, duration_s: float | None
    ) -> GenerationResult:
        def tick(stage: str) -> Callable[[float], None]:
            low, high = _SHARES[stage]
            return lambda done: progress(stage, low + done * (high - low))

        began = time.perf_counter()
        tick("audio")(0.0)
        recording = load_audio(audio, start_s, duration_s)
        tick("audio")(0.4)
        networks, frames = self._networks, frame_count(len(recording.samples))
        given = load_given(settings, frames)
        heard = audio_condition(networks, extract(recording.samples), self._device, tick("audio"))
        known = given and given.known(networks.fcme, networks.latent_mean, networks.latent_scale)
        if given:
            quiet = silent_condition(heard)
            heard = torch.cat([quiet.expand(given.lead, -1), heard, quiet.expand(given.tail, -1)])
        heard_at = time.perf_counter()
        latents = sample_latents(networks.fields, networks.prior, heard, settings, tick("flow"), known)
        latents = latents * networks.latent_scale + networks.latent_mean
        flowed_at = time.perf_counter()
        channels = decode_latents(networks, latents, settings)
        if given:
            channels, latents = given.restore(channels), latents[given.lead : given.lead + frames]
        clip = MotionClip(
            fps=MODEL_FPS,
            channels=channels,
            latents=latents.float().cpu().numpy(),
            audio_hash=recording.sha256,
            settings=settings.to_json(),
        )
        tick("decode")(1.0)
        decoded_at = time.perf_counter()
        timings = {"audio": heard_at - began, "flow": flowed_at - heard_at, "decode": decoded_at - flowed_at}
        notes = (*self._notes, *recording.notes)
        self._notes.clear()
        return GenerationResult(clip, timings, self._device.type, notes)


def audio_condition(
    networks: Networks, features: Features, device: torch.device, tick: Callable[[float], None] | None = None
) -> Tensor:
    """The flow's audio conditions (T, CONDITION_DIM) for the features of a recording."""

    def hear(part: slice) -> Tensor:
        rows = features.mel[part.start * MEL_PER_FRAME : part.stop * MEL_PER_FRAME]
        return torch.cat(networks.encoder(torch.from_numpy(rows.astype(np.float32)).to(device)[None]), dim=-1)

    heard = in_chunks(len(features), networks.encoder.halo, hear, tick)
    tracks = [
        torch.from_numpy(track.astype(np.float32)).to(device)[None]
        for track in (features.mel, features.energy, features.pitch, features.voicing)
    ]
    return condition(Heard(*heard.split([len(PHONES), len(ARTICULATION)], dim=-1)), *tracks)[0]


def decode_latents(networks: Networks, latents: Tensor, settings: GenerationSettings) -> NDArray[np.float32]:
    """Channels (T, 60) within their limits for latents (T, 42), each factor scaled by its gain; eyeLook follows gaze
    exactly.
    """
    channels = networks.fcme.decode(latents).float().cpu().numpy()
    for factor in FACTORS:
        channels[:, channel_slice(factor.name)] *= settings.control(factor.name).gain
    low, high = np.array([LIMITS[name] for name in CHANNELS], np.float32).T
    channels = np.clip(channels, low, high)
    eyes = channel_slice("eyes")
    channels[:, eyes.start : eyes.start + 8] = eye_look_from_gaze(channels[:, eyes.stop - 2 : eyes.stop])
    return channels
