# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m blender_demo.backend.evaluation.disentanglement --out report.json`: how well the latent space keeps lip,
pose, eyes and expression apart, for both inputs of the auto-encoder.

Nothing measured here was seen in training: people, cameras and motion are drawn with a seed of their own. Factors of
the drawn channels are independent, so that whatever one factor's latents tell of another is leakage.
"""

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import subspace_angles
from torch import Tensor

from ..errors import WeightsError
from ..fcme.model import Fcme
from ..motion.clip import MotionClip
from ..motion.factors import (
    CHANNEL_INDEX,
    CHANNELS,
    FACTORS,
    LIMITS,
    channel_slice,
    eye_look_from_gaze,
    latent_slice,
)
from ..networks import WEIGHTS_DIR, Networks
from ..training.fcme import least_scale
from ..training.observations import Observer, shuffled_factors
from .measures import pearson

matplotlib.use("Agg")
from matplotlib import pyplot

__all__ = ["Report", "drawn_from_prior", "measure"]

_NAMES: Final = [f.name for f in FACTORS]
_BINS: Final = 20
_RIDGE: Final = 1e-2
_GAZE: Final = [CHANNEL_INDEX["gazeYaw"], CHANNEL_INDEX["gazePitch"]]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Report:
    """Figures of one input ("rig" or "landmarks")."""

    leakage: Floats
    """(4, 4): change of the column's channels, in their standard deviations (RMS), when the row's factor is swapped."""
    probe: Floats
    """(4, 4): R2 of a linear probe that reads the column's channels from the row's latents, on frames it was not fitted
    to."""
    mig: float
    """Mutual information gap (Chen et al. 2018, sec. 4.1), mean over channels, between the best latent of the channel's
    own factor and the best of any other factor."""
    sap: float
    """Separated attribute predictability (Kumar et al. 2018, sec. 3), mean over channels: R2 of the probe from the two
    factors that tell most."""
    disentanglement: float
    completeness: float
    informativeness: float
    """DCI (Eastwood and Williams 2018, sec. 2) with ridge regression: importance of a latent for a channel is its
    squared coefficient, both standardized; channels count by factor, and so do latents for completeness."""
    accuracy: dict[str, float]

    @property
    def leakage_ratio(self) -> float:
        """Mean of the leakage off the diagonal over the mean on it."""
        own = np.diag(self.leakage)
        return float((self.leakage.sum() - own.sum()) / (self.leakage.size - len(own)) / own.mean())

    def to_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain = {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in values.items()}
        return plain | {"leakage_ratio": self.leakage_ratio}


@torch.inference_mode()
def measure(fcme: Fcme, channels: Tensor, landmarks: bool) -> Report:
    """Figures over channels (N, 60) of independent factors, through the rig input or landmarks of new people."""
    half = len(channels) // 2
    first, other = channels[:half], channels[half : 2 * half]
    spread = torch.maximum(channels.std(0), least_scale())
    observer = Observer()
    identity, distance = observer.people(half)

    def latents_of(chosen: Tensor, noise: bool) -> Tensor:
        if not landmarks:
            return fcme.encode(chosen).mean
        seen = observer.observe(chosen, identity, distance, noise)
        return fcme.encode_landmarks(seen.landmarks, seen.neutral).mean

    base, replacing = latents_of(first, noise=False), latents_of(other, noise=False)
    leakage = np.zeros((len(FACTORS), len(FACTORS)))
    for row, f in enumerate(FACTORS):
        if landmarks:
            swapped = first.clone()
            swapped[:, channel_slice(f.name)] = other[:, channel_slice(f.name)]
            latents = latents_of(swapped, noise=False)
        else:
            latents = base.clone()
            latents[:, latent_slice(f.name)] = replacing[:, latent_slice(f.name)]
        change = (fcme.decode(latents) - fcme.decode(base)) / spread
        leakage[row] = [float(change[:, channel_slice(g.name)].square().mean().sqrt()) for g in FACTORS]
    seen = latents_of(first, noise=True)
    return Report(
        leakage,
        **_attributes(seen.double().numpy(), (first / spread).double().numpy()),
        accuracy=_accuracy(fcme.decode(seen), first),
    )


def _attributes(latents: Floats, channels: Floats) -> dict[str, Any]:
    """What latents (N, 42) tell of channels (N, 60): probe, MIG, SAP and DCI over the channels that move."""
    moving = np.flatnonzero(channels.std(0) > 0.1)
    owner = np.repeat(np.arange(len(FACTORS)), [len(f.channels) for f in FACTORS])[moving]
    truth = (channels[:, moving] - channels[:, moving].mean(0)) / channels[:, moving].std(0)
    code = (latents - latents.mean(0)) / np.maximum(latents.std(0), 1e-6)
    groups = [latent_slice(f.name) for f in FACTORS]
    told = np.stack([_held_out_r2(code[:, group], truth) for group in groups])
    probe = np.array([[r2[owner == j].mean() for j in range(len(FACTORS))] for r2 in told])
    ordered = np.sort(told, axis=0)

    information = np.array([[_mutual_information(z, v) for v in truth.T] for z in code.T])
    by_group = np.stack([information[group].max(axis=0) for group in groups])
    own = by_group[owner, np.arange(len(owner))]
    by_group[owner, np.arange(len(owner))] = -np.inf
    entropy = np.array([_mutual_information(v, v) for v in truth.T])

    importance = _ridge(code, truth) ** 2
    per_factor = np.stack([importance[:, owner == j].mean(axis=1) for j in range(len(FACTORS))], axis=1)
    in_group = np.stack([per_factor[group].sum(axis=0) for group in groups])
    return {
        "probe": probe,
        "mig": float(((own - by_group.max(axis=0)) / entropy).mean()),
        "sap": float((ordered[-1] - ordered[-2]).mean()),
        "disentanglement": float(np.average(_purity(per_factor), weights=per_factor.sum(axis=1))),
        "completeness": float(_purity(in_group.T).mean()),
        "informativeness": float(_held_out_r2(code, truth).mean()),
    }


def _ridge(inputs: Floats, targets: Floats) -> Floats:
    gram = inputs.T @ inputs + _RIDGE * len(inputs) * np.eye(inputs.shape[1])
    return np.linalg.solve(gram, inputs.T @ targets)


def _held_out_r2(inputs: Floats, targets: Floats) -> Floats:
    """R2 (C,) on the second half of the frames of a ridge regression on the first; never below 0."""
    half = len(inputs) // 2
    left = targets[half:] - inputs[half:] @ _ridge(inputs[:half], targets[:half])
    return np.clip(1.0 - (left**2).mean(axis=0) / targets[half:].var(axis=0), 0.0, 1.0)


def _mutual_information(a: Floats, b: Floats) -> float:
    """In nats, over bins of equal width, less its expected value for independent variables (Miller 1955)."""
    joint = np.histogram2d(a, b, _BINS)[0]
    joint_p, a_p, b_p = (p / len(a) for p in (joint, joint.sum(1), joint.sum(0)))
    at = joint_p > 0
    plain = float((joint_p[at] * np.log((joint_p / np.outer(a_p, b_p).clip(1e-300))[at])).sum())
    bias = (at.sum() - (a_p > 0).sum() - (b_p > 0).sum() + 1) / (2 * len(a))
    return max(0.0, plain - float(bias) * (a is not b))


def _purity(weights: Floats) -> Floats:
    """1 minus the entropy of each row, in units of the highest possible one: 1 where one entry has it all."""
    share = weights / weights.sum(axis=1, keepdims=True).clip(1e-12)
    return 1.0 + (share * np.log(share.clip(1e-12))).sum(axis=1) / np.log(weights.shape[1])


def _accuracy(guess: Tensor, truth: Tensor) -> dict[str, float]:
    """Mean errors of head and gaze in degrees, of translation in hundredths of a head height; correlations of jaw and
    lids."""
    off = (guess - truth).abs().mean(0)
    out = {f"{name} degrees": float(torch.rad2deg(off[CHANNEL_INDEX[name]])) for name in CHANNELS[29:32]}
    out |= {f"{name} degrees": float(torch.rad2deg(off[CHANNEL_INDEX[name]])) for name in ("gazeYaw", "gazePitch")}
    out |= {f"{name} % of head height": 100.0 * float(off[CHANNEL_INDEX[name]]) for name in CHANNELS[32:35]}
    for name in ("jawOpen", "mouthPucker", "eyeBlinkLeft", "browInnerUp"):
        out[f"{name} correlation"] = pearson(*(c[:, CHANNEL_INDEX[name]].numpy() for c in (guess, truth)))
    return out


def angles_between_factors(fcme: Fcme) -> Floats:
    """Smallest principal angle (4, 4), in degrees, between the factors' sub-spaces of the dictionary."""
    directions = fcme.directions().detach().double().numpy()
    parts = [directions[:, latent_slice(f.name)] for f in FACTORS]
    return np.array([[np.degrees(subspace_angles(a, b).min()) for b in parts] for a in parts])


def drawn_from_prior(fcme: Fcme, count: int) -> Tensor:
    """Channels (count, 60) with independent factors, from the spread of motion that the landmark input expects."""
    if not fcme.config.landmarks:
        raise WeightsError("These weights have no landmark input to be measured: train the auto-encoder again.")
    spread = fcme.fit.spread[: len(CHANNELS), : len(CHANNELS)]
    channels = fcme.fit.mean + torch.randn(count, len(CHANNELS)) @ spread.T
    low, high = torch.tensor([LIMITS[name] for name in CHANNELS]).T
    channels = torch.minimum(torch.maximum(channels, low), high)
    looks = channel_slice("eyes").start
    channels[:, looks : looks + 8] = torch.from_numpy(eye_look_from_gaze(channels[:, _GAZE].numpy()))
    return channels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="report.json; a heat map lies beside it as .png")
    parser.add_argument("--weights", type=Path, default=WEIGHTS_DIR)
    parser.add_argument(
        "--motion", type=Path, nargs="*", help="motion clips to draw from, instead of the model's prior"
    )
    parser.add_argument("--count", type=int, default=2000, help="channel vectors")
    parser.add_argument("--seed", type=int, default=1234)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    fcme = Networks.load(arguments.weights).fcme.eval()
    if arguments.motion:
        motion = torch.from_numpy(np.concatenate([MotionClip.load(path).channels for path in arguments.motion]))
        channels = shuffled_factors(motion[torch.randint(len(motion), (arguments.count,))])
    else:
        channels = drawn_from_prior(fcme, arguments.count)
    reports = {name: measure(fcme, channels, name == "landmarks") for name in ("rig", "landmarks")}
    angles = angles_between_factors(fcme)
    text = json.dumps(
        {name: report.to_json() for name, report in reports.items()} | {"angles_degrees": angles.tolist()}, indent=2
    )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    temporary = arguments.out.with_suffix(".tmp")
    temporary.write_text(text)
    os.replace(temporary, arguments.out)
    _draw(reports, arguments.out.with_suffix(".png"))
    _print(reports)
    print(f"smallest angle between factors {angles[~np.eye(len(FACTORS), dtype=bool)].min():.4f} degrees")


def _print(reports: dict[str, Report]) -> None:
    for name, report in reports.items():
        print(f"{name}: leakage {report.leakage_ratio:.4f}, MIG {report.mig:.3f}, SAP {report.sap:.3f}, ", end="")
        print(f"D {report.disentanglement:.3f}, C {report.completeness:.3f}, I {report.informativeness:.3f}")
        for title, matrix in (
            ("leakage, swapped -> changed", report.leakage),
            ("probe R2, latents -> channels", report.probe),
        ):
            print(f"  {title:32}" + "".join(f"{column:>12}" for column in _NAMES))
            for row, values in zip(_NAMES, matrix, strict=True):
                print(f"  {row:32}" + "".join(f"{value:12.4f}" for value in values))
        for key, value in report.accuracy.items():
            print(f"  {key:32}{value:12.3f}")


def _draw(reports: dict[str, Report], path: Path) -> None:
    figure, axes = pyplot.subplots(
        1, len(reports), figsize=(5.6 * len(reports), 4.6), squeeze=False, layout="constrained"
    )
    for axis, (name, report) in zip(axes[0], reports.items(), strict=True):
        share = report.leakage / np.diag(report.leakage)
        axis.imshow(share, cmap="magma_r", vmin=0.0, vmax=0.2)
        for (row, column), value in np.ndenumerate(share):
            axis.text(column, row, f"{value:.3f}", ha="center", va="center", color="white" if value > 0.1 else "black")
        axis.set_xticks(range(len(_NAMES)), _NAMES)
        axis.set_yticks(range(len(_NAMES)), _NAMES)
        axis.set_xlabel("channels that change")
        axis.set_ylabel("factor that is swapped")
        axis.set_title(f"{name}: leakage {report.leakage_ratio:.4f}")
    temporary = path.with_suffix(".tmp.png")
    figure.savefig(temporary, dpi=110)
    os.replace(temporary, path)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
