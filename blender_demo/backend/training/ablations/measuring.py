# SPDX-License-Identifier: GPL-3.0-or-later
"""The same figures for every model: lips on clips with captured motion and with phones, blinks over a minute."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ...audio.encoder import SPEECH_DIM
from ...evaluation import disentanglement
from ...evaluation.clips import Truth, at_frames_of
from ...evaluation.control import wanted_motion
from ...evaluation.measures import blinks_per_minute, energy_split, jerk
from ...evaluation.observation import figures, observe, pool
from ...fcme.model import Fcme
from ...flow.sampler import Known
from ...motion.clip import MotionClip
from ...motion.factors import CHANNELS, FACTORS, LATENT_DIM, LIMITS, MODEL_FPS, channel_slice, latent_slice
from ..fcme import _cross_correlation
from .ground import Clip, Ground
from .sampling import Sampling, sample
from .variants import ALL, Model

__all__ = ["controlled", "measure", "measure_fcme", "measure_lips", "pose_influence", "variance_kept"]

_LIP_FIELDS: Final = (ALL, "lip")
_EYE_FIELDS: Final = (ALL, "pose", "eyes")
_PHONE_FIGURES: Final = ("closure_auc", "rounding_auc", "open_auc", "closure_recall")
_OBSERVED: Final = 600
_LIMITS: Final = np.array([LIMITS[name] for name in CHANNELS], np.float32).T


def controlled(factor: str, sampling: Sampling, **changes: float) -> Sampling:
    """Sampling in which the control of one factor is changed."""
    settings = sampling.settings
    factors = settings.factors | {factor: replace(settings.control(factor), **changes)}
    return replace(sampling, settings=replace(settings, factors=factors))


def measure(model: Model, ground: Ground, sampling: Sampling) -> dict[str, float]:
    """Figures of the lips, and blinks per minute where the model moves eyes."""
    out = measure_lips(model, ground, sampling)
    if ALL in model.fields or "eyes" in model.fields:
        latents = sample(model, ground.speech, sampling, only=_EYE_FIELDS)
        out["blinks_per_minute"] = blinks_per_minute(MotionClip(MODEL_FPS, _decode(model, latents)))
    return out


def measure_lips(model: Model, ground: Ground, sampling: Sampling) -> dict[str, float]:
    """Against captured motion: correlation and spread of the opening, jerk over captured jerk, share of energy above 10
    Hz; against phones: separation of their classes, and closures met.
    """

    def take(clip: Clip) -> MotionClip:
        return MotionClip(MODEL_FPS, _decode(model, sample(model, clip.audio, sampling, only=_LIP_FIELDS)))

    ours = [take(clip) for clip in ground.captured]
    seen = figures(pool(observe(one, c.truth) for one, c in zip(ours, ground.captured, strict=True)))
    said = figures(pool(observe(take(c), Truth(c.truth.path, None, c.truth.phones)) for c in ground.timed))
    return {
        "aperture_pearson": seen["aperture_pearson"],
        "std_ratio": seen["std_ratio"],
        **_roughness(zip(ours, (c.truth.captured for c in ground.captured), strict=True)),
        **{name: said[name] for name in _PHONE_FIGURES if name in said},
    }


def _roughness(pairs: Iterable[tuple[MotionClip, MotionClip | None]]) -> dict[str, float]:
    """Jerk over captured jerk, and energy above 10 Hz in %, over the lip channels that were captured."""
    jerks, energies = [], []
    for ours, captured in pairs:
        assert captured is not None
        there = at_frames_of(ours, captured)
        names = [name for name in FACTORS[0].channels if name in captured.names]
        tracks = [np.stack([clip[name][: len(there)] for name in names], axis=1) for clip in (ours, there)]
        jerks.append([jerk(track, MODEL_FPS).mean() for track in tracks])
        energies.append(energy_split(tracks[0], MODEL_FPS))
    (jerky, captured_jerk), (fast, whole) = np.mean(jerks, axis=0), np.sum(energies, axis=0)
    return {"jerk_ratio": float(jerky / captured_jerk), "fast_energy_percent": float(100 * fast / whole)}


@torch.no_grad()
def pose_influence(model: Model, ground: Ground, sampling: Sampling) -> dict[str, float]:
    """RMS change of the lips, in % of their standard deviation, when the head is drawn with another seed, and when it
    is given (sweeping over 25 degrees).
    """
    plain, redrawn, given = [], [], []
    for clip in ground.captured:
        plain.append(_lips(model, sample(model, clip.audio, sampling)))
        redrawn.append(_lips(model, sample(model, clip.audio, controlled("pose", sampling, seed_offset=1))))
        given.append(_lips(model, sample(model, clip.audio, sampling, _swept_head(model, len(clip.audio)))))
    before = np.concatenate(plain)
    spread = np.sqrt(before.var(axis=0).mean())
    changes = [
        float(100 * np.sqrt(np.mean((np.concatenate(after) - before) ** 2)) / spread) for after in (redrawn, given)
    ]
    return {"lip_change_redrawn_percent": changes[0], "lip_change_given_percent": changes[1]}


def measure_fcme(network: Fcme, ground: Ground) -> dict[str, float]:
    """What the channel input keeps; how well sound tells the lip latents (R2); correlation between latents of different
    factors (mean square); and how the landmark input keeps factors apart and finds head and gaze, on new people.
    """
    with torch.no_grad():
        latents = [network.encode(torch.from_numpy(p.channels)).mean for p in ground.performances]
    torch.manual_seed(0)
    seen = disentanglement.measure(network, disentanglement.drawn_from_prior(network, _OBSERVED), landmarks=True)
    return {
        **variance_kept(network, ground),
        "lips_told_by_sound": _told_by_sound(latents, ground.sounds),
        "cross_correlation": float(_cross_correlation(torch.cat(latents))),
        "leakage_percent": 100 * seen.leakage_ratio,
        "pose_error_deg": float(np.mean([seen.accuracy[f"head{axis} degrees"] for axis in ("Yaw", "Pitch", "Roll")])),
        "gaze_error_deg": float(np.mean([seen.accuracy[f"gaze{axis} degrees"] for axis in ("Yaw", "Pitch")])),
    }


@torch.no_grad()
def variance_kept(network: Fcme, ground: Ground) -> dict[str, float]:
    """Variance of unseen motion that each factor keeps through an auto-encoder, in %, channels in their own scale."""
    truth = torch.from_numpy(np.concatenate([p.channels for p in ground.unseen]))
    left = (network.decode(network.encode(truth).mean) - truth) / network.channel_scale
    whole = truth / network.channel_scale
    parts = {f.name: channel_slice(f.name) for f in FACTORS}
    return {
        f"{name}_kept_percent": float(100 * (1 - left[:, own].var(0).sum() / whole[:, own].var(0).sum()))
        for name, own in parts.items()
    }


def _told_by_sound(latents: list[Tensor], sounds: list[Tensor]) -> float:
    """R2 of a linear reading of the lip latents (T, 42) from the sound (T, D), fitted on every other clip and measured
    on the rest.
    """

    def part(first: int) -> tuple[Tensor, Tensor]:
        heard = torch.cat(sounds[first::2])[:, :SPEECH_DIM].double()
        return F.pad(heard, (0, 1), value=1.0), torch.cat(latents[first::2])[:, latent_slice("lip")].double()

    (heard, lips), (unheard, truth) = part(0), part(1)
    left = truth - unheard @ torch.linalg.lstsq(heard, lips, driver="gelsd").solution
    return float(1 - left.square().sum() / (truth - truth.mean(0)).square().sum())


def _swept_head(model: Model, frames: int) -> Known:
    space = model.space
    motion = torch.from_numpy(wanted_motion(frames)[0].channels)
    latents = torch.zeros(frames, LATENT_DIM)
    pose = latent_slice("pose")
    latents[:, pose] = ((space.network.encode(motion).mean - space.mean) / space.scale)[:, pose]
    is_known = torch.zeros(frames, len(FACTORS))
    is_known[:, [f.name for f in FACTORS].index("pose")] = 1.0
    return Known(latents, is_known)


def _lips(model: Model, latents: Tensor) -> NDArray[np.float32]:
    return _decode(model, latents)[:, channel_slice("lip")]


@torch.no_grad()
def _decode(model: Model, latents: Tensor) -> NDArray[np.float32]:
    space = model.space
    return space.network.decode(latents * space.scale + space.mean).numpy().clip(*_LIMITS)
