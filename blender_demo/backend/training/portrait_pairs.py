# SPDX-License-Identifier: GPL-3.0-or-later
"""What the refiner learns from: patches of drawn portraits of synthetic people, and the same patches of the truth."""

from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from ..errors import PortraitError
from ..motion.atomic import written_whole
from ..motion.clip import MotionClip
from ..motion.factors import CHANNEL_INDEX, CHANNELS, LIMITS
from ..portrait.frames import render_frames
from ..portrait.performance import perform
from ..portrait.portrait import build_portrait
from ..portrait.refiner import Regions, View
from ..portrait.stage import PosedHead
from .synthetic_heads import SyntheticPerson

__all__ = ["draw_clip", "make_pairs", "write_pairs"]

Floats = NDArray[np.float32]

_SIZES: Final = (256, 320, 320, 384, 384, 512)
_POSED: Final = {
    "jawOpen": 0.7, "mouthFunnel": 0.7, "mouthPucker": 0.7, "mouthClose": 0.3, "mouthSmile": 0.9, "mouthFrown": 0.6,
    "mouthStretch": 0.6, "mouthUpperUp": 0.6, "mouthLowerDown": 0.6, "mouthRollLower": 0.5, "mouthRollUpper": 0.5,
    "mouthPress": 0.5, "tongueOut": 0.6, "browInnerUp": 0.8, "browDown": 0.8, "browOuterUp": 0.8, "eyeSquint": 0.7,
    "eyeWide": 0.7, "cheekSquint": 0.6, "noseSneer": 0.5,
}  # fmt: skip
"""Largest weights of shapes that are added to spoken motion."""
_TURNS: Final = {"headYaw": 0.22, "headPitch": 0.14, "headRoll": 0.12, "gazeYaw": 0.4, "gazePitch": 0.25}
"""Standard deviations, in radians, of what is added to head and gaze."""


def draw_clip(rng: np.random.Generator, motions: list[MotionClip], frames: int) -> MotionClip:
    """Single frames of the motions, in no order, more or less expressive, some with poses of their own."""
    channels = np.stack(
        [(m := motions[rng.integers(len(motions))]).channels[rng.integers(len(m))] for _ in range(frames)]
    )
    channels = channels * rng.uniform(0.6, 1.5, (frames, 1)).astype(np.float32)
    for row in channels:
        for name, largest in _POSED.items():
            if rng.uniform() < 0.10:
                for side in ("Left", "Right") if name + "Left" in CHANNEL_INDEX else ("",):
                    row[CHANNEL_INDEX[name + side]] += rng.uniform(0, largest)
        if rng.uniform() < 0.25:
            row[[CHANNEL_INDEX["eyeBlinkLeft"], CHANNEL_INDEX["eyeBlinkRight"]]] = rng.uniform(0, 1)
        if rng.uniform() < 0.5:
            for name, spread in _TURNS.items():
                row[CHANNEL_INDEX[name]] += rng.normal(0, spread)
    low, high = np.array([LIMITS[name] for name in CHANNELS], np.float32).T
    return MotionClip(motions[0].fps, np.clip(channels, low, high).astype(np.float32))


def make_pairs(seed: int, motions: list[MotionClip], frames: int, size: int | None = None) -> dict[str, NDArray]:
    """Patches of one person: for each region what the network sees and the truth, (n, C, h, w), and `moved` (n,)."""
    rng = np.random.default_rng([seed, 7])
    person = SyntheticPerson(seed, size or int(rng.choice(_SIZES)))
    clip = draw_clip(rng, motions, frames)
    camera = _Camera(rng)
    portrait = build_portrait(camera.recorded(person.picture(), rng), person.landmarks())
    posed = PosedHead(portrait.fit, person.size, person.size, "cpu")
    regions = Regions(portrait.fit, posed, _planes(portrait.picture[None]))
    part = perform(portrait.fit, clip)
    drawn = np.stack(list(render_frames(portrait, clip, person.size, person.size, refine=False)))[..., :3]
    with torch.inference_mode():
        at = posed.projected(posed.turned(posed.shaped(part), part))
        painted = regions.views(_planes(drawn.astype(np.float32) / 255), at, part)
        window = _window(painted, person.size)
        true = np.broadcast_to(person.background, (len(clip), *person.background.shape)).copy()
        true[:, *window] = np.stack([camera.seen(frame) for frame in person.frames(clip, window=window)])
        truth = [view.inputs[:, :3] for view in regions.views(_planes(true), at, part)]
    out: dict[str, NDArray] = {}
    for name, chosen in (("mouth", [0]), ("eye", [1, 2])):
        out[f"{name}_inputs"] = torch.cat([painted[i].inputs for i in chosen]).half().numpy()
        out[f"{name}_truth"] = torch.cat([truth[i] for i in chosen]).half().numpy()
        out[f"{name}_moved"] = torch.cat([painted[i].moved for i in chosen]).numpy()
    return out


def write_pairs(folder: Path, seeds: range, motions: list[MotionClip], frames: int) -> list[Path]:
    """One file for each person, kept where it is there already. People whose portrait cannot be made are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for seed in seeds:
        path = folder / f"{seed:05}.npz"
        if not path.is_file():
            try:
                pairs = make_pairs(seed, motions, frames)
            except PortraitError:
                continue
            with written_whole(path, "pairs") as partial, partial.open("wb") as stream:
                np.savez(stream, **pairs)
        paths.append(path)
    return paths


class _Camera:
    """What a camera makes of a picture: blur and colors, alike in still and frames, and noise and JPEG in the still."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.blur = max(0.0, rng.uniform(-0.8, 0.8))
        self.power = np.exp(rng.normal(0, 0.05, 3) + rng.normal(0, 0.10)).astype(np.float32)
        self.gain, self.lift = rng.uniform(0.9, 1.0), max(0.0, rng.uniform(-0.05, 0.05))

    def seen(self, picture: Floats) -> Floats:
        blurred = gaussian_filter(picture, (self.blur, self.blur, 0))
        return (self.lift + (self.gain - self.lift) * blurred.clip(0, 1) ** self.power).astype(np.float32)

    def recorded(self, picture: Floats, rng: np.random.Generator) -> Floats:
        seen = self.seen(picture)
        if rng.uniform() < 0.5:
            seen = seen + rng.uniform(0.002, 0.02) * rng.standard_normal(seen.shape)
        pixels = (seen.clip(0, 1) * 255).round().astype(np.uint8)
        if rng.uniform() < 0.5:
            file = BytesIO()
            Image.fromarray(pixels).save(file, "JPEG", quality=int(rng.integers(60, 96)))
            pixels = np.asarray(Image.open(file))
        return (pixels / 255).astype(np.float32)


def _planes(pictures: Floats) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))


def _window(views: list[View], size: int) -> tuple[slice, slice]:
    """Rows and columns of frames within which all patches lie."""
    low = torch.stack([(view.origin - view.axes.abs().sum(2)).amin(0) for view in views]).amin(0).floor()
    high = torch.stack([(view.origin + view.axes.abs().sum(2)).amax(0) for view in views]).amax(0).ceil()
    (left, top), (right, bottom) = (low - 2).clamp(0, size - 1).int().tolist(), (high + 2).clamp(1, size).int().tolist()
    return slice(top, bottom), slice(left, right)
