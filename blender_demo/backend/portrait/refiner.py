# SPDX-License-Identifier: GPL-3.0-or-later
"""The neural refiner: repairs the mouth and the eyes of drawn frames, which geometry alone cannot know.

Each region is looked at through a patch that goes with the skull, in the frame and in the picture. A small U-Net sees
both, and what the rasterizer knows of them, and says what to add. Only that is brought back onto the frame, which so
stays as sharp as it was. It fades out towards the patch's border, and grows with how far the region has moved from the
picture: what is at rest stays the picture. Nothing is kept from frame to frame.
"""

from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ..errors import PortraitError
from ..head.head_model import load_head
from ..motion.atomic import written_whole
from ..motion.factors import ARKIT_NAMES
from .carry import sampled
from .fill import smoothstep
from .fit import HeadFit
from .performance import Performance, at_rest
from .rasterize import rasterize
from .stage import PosedHead, triangles

__all__ = ["EYE", "MOUTH", "REFINER_FILE", "Refiner", "RefinerNetwork", "Region", "Regions", "View", "fade",
           "load_refiner", "networks", "save_refiner"]  # fmt: skip

REFINER_FILE: Final = Path(__file__).parents[1] / "weights" / "portrait.safetensors"
_FORMAT: Final = "1"


@dataclass(frozen=True)
class Region:
    """A part of the face that one network refines, and the patch (height, width) through which it sees it.

    reach_m: half of the patch's width and height, in metres; kinds: materials that it tells apart.
    """

    name: str
    reach_m: tuple[float, float]
    height: int
    width: int
    kinds: tuple[tuple[str, ...], ...]
    widths: tuple[int, ...]
    """Channels of the network, by level: each level has half the size of the one before, the first half the patch's."""

    @property
    def inputs(self) -> int:
        """Channels: frame and picture, the kinds in both, where the picture shows each point (2), depth, place (2)."""
        return 6 + 2 * len(self.kinds) + 5


MOUTH: Final = Region(
    "mouth",
    (0.040, 0.040),
    96,
    96,
    (("skin",), ("teethUpper", "gumsUpper"), ("teethLower", "gumsLower"), ("tongue",), ("mouth",)),
    (32, 64, 128, 192),
)
EYE: Final = Region(
    "eye",
    (0.0260, 0.0195),
    48,
    64,
    (("skin",), ("sclera",), ("iris",), ("pupil",), ("lidRims",)),
    (24, 48, 96, 160),
)
_FADE: Final = 0.2
"""Part of a patch, at each of its borders, over which what is added fades out."""
_LARGEST: Final = 0.5
"""Largest change of a color."""
_COLORFUL: Final = (0.0, 0.02)
"""Mean difference of a picture's channels up to which it is gray, as what is added to it, and from which it is not."""
_LEVELS: Final = 4096
"""Steps of what is seen: the last bits, which depend on what else is drawn, change nothing."""
_DEPTH_M: Final = 0.03
_BEHIND_SKIN_M: Final = 0.0015
_MARGIN: Final = 1.5
"""Faces up to this far from the middle of a patch are drawn in it, in its reach."""
_WEIGHT_MOVED: Final = (0.01, 0.12)
"""Change of an ARKit weight of a region from which it is refined, and fully."""
_TURNED: Final = (0.02, 0.15)
"""The same of the angles of head and gaze, in radians."""
_LIDS_MOVED: Final = (0.02, 0.15)
_OF_MOUTH: Final = ("jaw", "mouth", "tongue", "cheekPuff", "noseSneer")
_OF_EYES: Final = ("eyeSquint", "eyeWide", "brow", "cheekSquint")


def _places(region: Region) -> Tensor:
    """Place (h, w, 2) in -1..1 of the patch's pixels, to the right and down."""
    y, x = ((torch.arange(size) + 0.5) * 2 / size - 1 for size in (region.height, region.width))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def fade(region: Region) -> Tensor:
    """How much (1, 1, h, w) of what is added counts: nothing at the patch's border."""
    return smoothstep(1.0, 1 - 2 * _FADE, _places(region).abs()).prod(-1)[None, None]


class RefinerNetwork(nn.Module):
    """A U-Net of residual blocks: inputs (B, C, H, W) to what to add to the frame's colors (B, 3, H, W)."""

    def __init__(self, inputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * inputs, widths[0], 1))
        self.down = nn.ModuleList(_Block(width) for width in widths)
        self.smaller = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths))
        self.larger = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.up = nn.ModuleList(_Block(width) for width in widths[:-1])
        last = nn.Conv2d(widths[0], 12, 3, padding=1)
        self.leave = nn.Sequential(last, nn.PixelShuffle(2))
        for parameter in last.parameters():  # untrained, it adds nothing
            nn.init.zeros_(parameter)

    def forward(self, inputs: Tensor) -> Tensor:
        x = self.enter(inputs)
        skipped = []
        for block, smaller in zip(self.down, self.smaller, strict=False):
            x = block(x)
            skipped.append(x)
            x = smaller(x)
        x = self.down[-1](x)
        for block, larger, skip in reversed(list(zip(self.up, self.larger, skipped, strict=True))):
            x = block(skip + F.interpolate(larger(x), scale_factor=2, mode="nearest"))
        return _LARGEST * torch.tanh(self.leave(x))


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(F.silu(x))))


@dataclass(frozen=True)
class View:
    """One region in a batch of frames. inputs: (B, C, h, w); moved: (B,) how far it is refined, 0..1.

    origin (B, 2) and axes (B, 2, 2): the pixel at the middle of the patch, and the ways (columns) to its right and
    lower border.
    """

    inputs: Tensor
    moved: Tensor
    origin: Tensor
    axes: Tensor


class Regions:
    """Mouth, left and right eye of a portrait, as the networks see them. picture: (1, 3, H, W), in the frames' size."""

    def __init__(self, fit: HeadFit, posed: PosedHead, picture: Tensor) -> None:
        head = load_head()
        self.posed, self.picture = posed, picture
        points = posed.base[torch.as_tensor(head.landmarks.astype(np.int64), device=posed.device)]
        ahead = points.new_tensor([0, 0, head.eye_radius])
        left, right = posed.eye_centres + ahead
        self.rest = at_rest(fit)
        shaped = posed.shaped(self.rest)
        self.patches = (
            _Patch(MOUTH, (points[33] + points[8]) / 2, False, self),
            _Patch(EYE, left, False, self),
            _Patch(EYE, right, True, self),
        )
        at = posed.projected(shaped)
        for patch in self.patches:
            patch.remember(at)

    def views(self, frames: Tensor, at: Tensor, part: Performance) -> list[View]:
        """The regions in frames (B, 3 or more, H, W), whose vertices are seen at `at` (B, V, 3)."""
        return [patch.view(frames, at, part) for patch in self.patches]


class _Patch:
    def __init__(self, region: Region, middle: Tensor, mirrored: bool, regions: Regions) -> None:
        head = load_head()
        self.region, self.posed, self.picture = region, regions.posed, regions.picture
        device = self.posed.device
        right, up = region.reach_m
        right = -right if mirrored else right
        self.anchors = middle + middle.new_tensor([[0, 0, 0], [right, 0, 0], [0, -up, 0]])
        reach = middle.new_tensor(region.reach_m) * _MARGIN
        near = ((self.posed.base[:, :2] - middle[:2]).abs() < reach).all(1).cpu().numpy() & (head.vertices[:, 2] > 0)
        shown = ~np.isin(head.material, [head.materials.index(name) for name in ("brows", "lashes")])
        shown &= near[head.quads].any(1)
        kinds = np.full(len(head.quads), len(region.kinds) - 1)
        for number, names in reversed(list(enumerate(region.kinds))):
            kinds[np.isin(head.material, [i for i, name in enumerate(head.materials) if name in names])] = number
            parts = [i for i, name in enumerate(head.parts) if name in names and name != "skin"]
            kinds[np.isin(head.part[head.quads[:, 0]], parts)] = number
        faces = triangles(head.quads[shown])
        lining = (head.part[faces] == head.parts.index("mouth")).any(1)  # seen from within
        turned = lining ^ mirrored
        faces[turned] = faces[turned, ::-1]
        used, faces = np.unique(faces, return_inverse=True)
        self.used = torch.as_tensor(used, device=device)
        self.faces = torch.as_tensor(faces.reshape(-1, 3), device=device)
        count = len(region.kinds)
        self.kinds = F.one_hot(torch.as_tensor(np.tile(kinds[shown], 2), device=device), count).float()
        deeper = ~np.isin(head.part[used], [head.parts.index(name) for name in ("skin", "mouth", "lidRims")])
        self.deeper = _BEHIND_SKIN_M * torch.as_tensor(deeper.astype(np.float32), device=device)
        self.places = _places(region).to(device)
        self.fade = fade(region).to(device)
        channels = _OF_EYES if region is EYE else _OF_MOUTH
        side = "Left" if mirrored else "Right"
        own = [i for i, name in enumerate(ARKIT_NAMES)
               if name.startswith(channels) and not (region is EYE and name.endswith(side))]  # fmt: skip
        self.own, self.eye = own, (1 if mirrored else 0) if region is EYE else None
        self.rest = regions.rest

    def remember(self, at: Tensor) -> None:
        """What the picture shows, with the vertices at `at` (1, V, 3)."""
        self.middle = self.posed.shaped(self.rest)[:, self.used].mean(1, keepdim=True)
        origin, axes = self._frame(self.rest)
        corners = self._on_patch(at, origin, axes)
        self.at_rest = corners[0, :, :2]
        kinds, _, _ = self._drawn(corners, self.rest)
        self.own_inputs = torch.cat([self._seen(self.picture, origin, axes), kinds], dim=1)

    def view(self, frames: Tensor, at: Tensor, part: Performance) -> View:
        origin, axes = self._frame(part)
        seen = self._seen(frames[:, :3], origin, axes)
        kinds, flow, depth = self._drawn(self._on_patch(at, origin, axes), part)
        fixed = torch.cat([self.own_inputs, self.places.permute(2, 0, 1)[None]], dim=1).expand(len(seen), -1, -1, -1)
        return View(torch.cat([seen, kinds, flow, depth, fixed], dim=1), self._moved(part), origin, axes)

    def _frame(self, part: Performance) -> tuple[Tensor, Tensor]:
        """Origin (B, 2) and axes (B, 2, 2) of the patch in the frames."""
        points = self.posed.projected(self.posed.turned(self.anchors.expand(len(part), -1, -1), part))[..., :2]
        origin = points[:, 0]
        return origin, torch.stack([points[:, 1] - origin, points[:, 2] - origin], dim=2)

    def _on_patch(self, at: Tensor, origin: Tensor, axes: Tensor) -> Tensor:
        """The patch's own vertices (B, n, 3): place in -1..1, and depth."""
        at = at[:, self.used]
        place = (at[..., :2] - origin[:, None]) @ torch.linalg.inv(axes).transpose(1, 2)
        return torch.cat([place, at[..., 2:] + self.deeper[:, None]], dim=2)

    def _seen(self, picture: Tensor, origin: Tensor, axes: Tensor) -> Tensor:
        """The patch (B, 3, h, w) of pictures (B, 3, H, W)."""
        places = origin[:, None, None] + self.places @ axes.transpose(1, 2)[:, None]
        step = int((axes.norm(dim=1).amax() * 2 / self.region.width).clamp(min=1))
        seen = sampled(picture, places) if step == 1 else sampled(F.avg_pool2d(picture, step), places / step)
        return (seen * _LEVELS).round() / _LEVELS

    def _drawn(self, corners: Tensor, part: Performance) -> tuple[Tensor, Tensor, Tensor]:
        """Cover of each kind (B, K, h, w), way to where the picture shows a point (B, 2, h, w), depth (B, 1, h, w)."""
        size = corners.new_tensor([self.region.width, self.region.height])
        at = torch.cat([(corners[..., :2] + 1) / 2 * size, corners[..., 2:]], dim=2)
        raster = rasterize(at, self.faces, self.region.height, self.region.width)
        here = (raster.picture[:, None] * corners.shape[1] + self.faces[raster.face]).flatten()
        middle = self.posed.projected(self.posed.turned(self.middle.expand(len(part), -1, -1), part))
        ways = torch.cat([self.at_rest - corners[..., :2], corners[..., 2:] - middle[..., 2:]], dim=2)
        ways = (ways.flatten(0, 1)[here].view(-1, 3, 3) * raster.weights[..., None]).sum(1)
        ways[:, 2] /= _DEPTH_M
        drawn = raster.resolve(torch.cat([self.kinds[raster.face], ways.clamp(-1, 1)], dim=1))
        return drawn[:, : self.kinds.shape[1]], drawn[:, -3:-1], drawn[:, -1:]

    def _moved(self, part: Performance) -> Tensor:
        """How far (B,) the region is from what the picture shows; for the mouth no matter where the eyes look."""

        def tensor(values: NDArray) -> Tensor:
            return torch.as_tensor(np.asarray(values, np.float32), device=self.posed.device)

        weights = tensor(part.weights[:, self.own] - self.rest.weights[:, self.own]).abs().amax(1)
        moved = torch.maximum(
            smoothstep(*_WEIGHT_MOVED, weights), smoothstep(*_TURNED, tensor(part.angles).norm(dim=1))
        )
        if self.eye is None:
            return torch.maximum(moved, smoothstep(*_WEIGHT_MOVED, tensor(part.lips).abs()))
        gaze = tensor(part.gaze[:, self.eye] - self.rest.gaze[:, self.eye]).norm(dim=1)
        lids = tensor(part.lids[:, self.eye] - 1).abs()
        return torch.maximum(moved, torch.maximum(smoothstep(*_TURNED, gaze), smoothstep(*_LIDS_MOVED, lids)))


class Refiner:
    """The trained networks at work on one portrait."""

    def __init__(self, fit: HeadFit, posed: PosedHead, picture: Tensor) -> None:
        self.networks = {name: deepcopy(network).to(posed.device) for name, network in load_refiner().items()}
        self.regions = Regions(fit, posed, picture)
        self.colorful = smoothstep(*_COLORFUL, (picture.amax(1) - picture.amin(1)).mean())

    def refine(self, frames: Tensor, at: Tensor, part: Performance) -> None:
        """Repairs frames (B, 4, H, W), colors times alpha and alpha, whose vertices are seen at `at` (B, V, 3)."""
        views = self.regions.views(frames, at, part)
        for patch, view in zip(self.regions.patches, views, strict=True):
            inputs = view.inputs.contiguous(memory_format=torch.channels_last)
            added = self.networks[patch.region.name](inputs) * patch.fade * view.moved[:, None, None, None]
            _add(frames, torch.lerp(added.mean(1, keepdim=True), added, self.colorful), view)


def _add(frames: Tensor, added: Tensor, view: View) -> None:
    """Brings what is added (B, 3, h, w) from the patches back onto the frames."""
    reach = view.axes.abs().sum(2)
    size = reach.new_tensor([frames.shape[3], frames.shape[2]])
    low = (view.origin - reach).amin(0).floor().clamp(min=0).minimum(size - 1).long().tolist()
    high = (view.origin + reach).amax(0).ceil().clamp(min=0).minimum(size).long().tolist()
    (left, top), (right, bottom) = low, high
    x, y = (torch.arange(a, max(b, a + 1), device=frames.device) + 0.5 for a, b in ((left, right), (top, bottom)))
    pixels = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    places = (pixels - view.origin[:, None, None]) @ torch.linalg.inv(view.axes).transpose(1, 2)[:, None]
    brought = F.grid_sample(added, places, mode="bilinear", padding_mode="zeros", align_corners=False)
    window = frames[:, :, top : top + len(y), left : left + len(x)]
    window[:, :3] += brought * window[:, 3:]


def networks() -> dict[str, RefinerNetwork]:
    """Untrained networks by their region's name."""
    return {region.name: RefinerNetwork(region.inputs, region.widths) for region in (MOUTH, EYE)}


def save_refiner(trained: dict[str, RefinerNetwork], path: Path) -> None:
    """Writes the networks, in half precision, whole or not at all."""
    tensors = {
        f"{name}.{key}": value.half().contiguous()
        for name, network in trained.items()
        for key, value in network.state_dict().items()
    }
    with written_whole(path, "weights") as partial:
        partial.write_bytes(save(tensors, metadata={"format": _FORMAT}))


@cache
def load_refiner(path: Path = REFINER_FILE) -> dict[str, RefinerNetwork]:
    """What `save_refiner` wrote, by region. Raises PortraitError for a file that is missing, damaged or too new."""
    remedy = "Install the add-on again, or switch the refiner off."
    if not path.is_file():
        raise PortraitError(f"The weights of the portrait's refiner are missing: {path}. {remedy}")
    loaded = networks()
    try:
        with safe_open(path, framework="pt") as stored:
            if (stored.metadata() or {}).get("format") != _FORMAT:
                raise PortraitError(f"{path} belongs to another version of this add-on. {remedy}")
            tensors = {key: stored.get_tensor(key).float() for key in stored.keys()}  # noqa: SIM118  not a dictionary
        for name, network in loaded.items():
            network.load_state_dict(
                {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
            )
    except (OSError, SafetensorError, RuntimeError) as error:
        raise PortraitError(f"The weights of the portrait's refiner in {path} are damaged. {remedy}") from error
    for network in loaded.values():
        network.eval().requires_grad_(False)
    return loaded
