# SPDX-License-Identifier: GPL-3.0-or-later
"""Portraits measured: against real videos, against true frames of synthetic people, and factor against region.

docs/evaluation.md defines the figures.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.stats import t as student
from tqdm import tqdm

from ..errors import DemoError, PortraitError
from ..head.head_model import load_head
from ..motion.clip import MotionClip
from ..motion.factors import CHANNEL_INDEX, CHANNELS
from ..portrait.frames import render_frames
from ..portrait.landmarks import find_landmarks
from ..portrait.performance import perform
from ..portrait.portrait import Portrait, build_portrait
from ..portrait.stage import PosedHead
from ..training.synthetic_heads import SyntheticPerson
from .capture import followed_clip, read_captured_clip
from .face_warp import region_masks, warped
from .picture_measures import flicker, gradient_difference, largest_change, psnr, similarity
from .video import read_video, track_face

__all__ = ["FIGURES", "FIRST_SEED", "leakage_report", "synthetic_report", "table", "video_report"]

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]

FIGURES: Final = ("psnr_face", "psnr_mouth", "psnr_eyes", "ssim_face", "ssim_mouth", "ssim_eyes", "gradients_face")
_CONFIDENCE: Final = 0.95
_AWAY: Final = 0.5
"""How far from what may move the background is looked at, in distances of the eyes."""
_HELD: Final = {"jawOpen": 0.3, "headYaw": 0.1, "eyeBlinkLeft": 0.4}
_HELD_FRAMES: Final = 10
FIRST_SEED: Final = 50_000
"""Of the synthetic people that are measured: far from those that the refiner learns from."""
_SPARE_PX: Final = 8
_PUT_TO_TRACK: Final = 10
"""Frames of each video whose output is tracked again."""

_PROBES: Final[dict[str, tuple[dict[str, float], ...]]] = {
    "gaze": ({"gazeYaw": 0.35}, {"gazePitch": 0.3}),
    "lids": ({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},),
    "lips": ({"jawOpen": 0.5}, {"mouthFunnel": 0.7}, {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7}),
    "brows": ({"browInnerUp": 0.8, "browOuterUpLeft": 0.8, "browOuterUpRight": 0.8},),
}
"""What is shown of one part alone, to see what it changes of the others."""
_FACES: Final = {
    "jawOpen": 0.6, "mouthFunnel": 0.6, "mouthPucker": 0.6, "mouthSmileLeft": 0.6, "mouthStretchLeft": 0.5,
    "mouthUpperUpLeft": 0.5, "mouthLowerDownLeft": 0.6, "mouthClose": 0.1, "mouthRollLower": 0.3, "mouthPressLeft": 0.4,
    "browInnerUp": 0.6, "browDownLeft": 0.5, "eyeBlinkLeft": 1.0, "eyeSquintLeft": 0.5,
}  # fmt: skip
"""Largest weights of the random faces that synthetic people make; what is Left is Right too."""
_AT_A_TIME: Final = 0.4
_TURN_RAD, _GAZE_RAD = 0.06, 0.12


def video_report(videos: Sequence[Path], clips: Path | None, landmarks: Path, every: int = 1) -> dict[str, Any]:
    """First frames of videos as portraits, moved as the faces in them move, against the frames themselves.

    clips: folder of captures `<id>.motion.npz`. landmarks: folder of tracks, written there when they are found.
    every: only each so-maniest frame is measured. Videos that cannot be used are named under "skipped".
    """
    measured, skipped = {}, []
    for path in tqdm(videos, leave=False, desc="videos"):
        try:
            measured[path.stem] = _measure_video(path, clips, landmarks, every)
        except DemoError as error:
            skipped.append({"clip": path.stem, "reason": str(error)})
    names = list(measured)
    halves = {"all": names, "tuned": names[::2], "held_out": names[1::2]}
    return {
        "videos": measured,
        **{half: _pooled([measured[name] for name in chosen]) for half, chosen in halves.items() if chosen},
        "skipped": skipped,
    }


def _measure_video(path: Path, clips: Path | None, landmarks: Path, every: int) -> dict[str, dict[str, float]]:
    """For each way to make the frames its figures, means over the frames after the first."""
    frames, fps = read_video(path)
    track = track_face(frames, path, landmarks)
    height, width = frames.shape[1:3]
    portrait = build_portrait(frames[0], track[0])
    acts = {"followed": followed_clip(track, portrait.fit, fps)}
    capture = None if clips is None else clips / f"{path.stem}.motion.npz"
    if capture is not None and capture.is_file():
        acts["captured"] = read_captured_clip(capture, portrait.fit)
    count = min(len(frames), *(len(clip) for clip in acts.values()))
    chosen = np.arange(0, count, every)
    masks = {t: region_masks(track.points[t], height, width) for t in chosen[1:]}
    first, rest = frames[0], track.points[0]

    def figures(pictures: Callable[[int, int], Floats]) -> dict[str, float]:
        rows = [_figures(pictures(i, t), frames[t], masks[t]) for i, t in enumerate(chosen) if i]
        return {name: float(np.mean([row[name] for row in rows])) for name in FIGURES}

    out = {
        "still": figures(lambda i, t: first),
        "warp_tracked": figures(lambda i, t: warped(first, rest, track.points[t])),
    }
    for name, clip in acts.items():
        part = MotionClip(clip.fps, clip.channels[chosen])
        ours = _rendered(portrait, part, width, height)
        points = _model_points(portrait, part)
        moved = rest + points - points[0]
        out[f"warp_{name}"] = figures(lambda i, t, moved=moved: warped(first, rest, moved[i]))
        for way, pictures in ours.items():
            out[f"{way}_{name}"] = figures(lambda i, t, pictures=pictures: pictures[i])
            out[f"{way}_{name}"] |= _steadiness(portrait, pictures, frames[chosen])
        out[f"ours_{name}"] |= _tracked_again(ours["ours"], points)
    return out


def _rendered(portrait: Portrait, clip: MotionClip, width: int, height: int) -> dict[str, Floats]:
    """Frames (T, H, W, 3) with the refiner, "ours", and without, "plain"."""
    return {
        way: np.stack(list(render_frames(portrait, clip, width, height, refine=refine)))[..., :3] / np.float32(255)
        for way, refine in (("ours", True), ("plain", False))
    }


def _figures(ours: Floats, truth: Floats, masks: dict[str, Mask]) -> dict[str, float]:
    box = _box(np.any(list(masks.values()), axis=0))
    ours, truth, masks = ours[box], truth[box], {name: mask[box] for name, mask in masks.items()}
    return {
        **{f"psnr_{name}": psnr(ours, truth, mask) for name, mask in masks.items()},
        **{f"ssim_{name}": similarity(ours, truth, mask) for name, mask in masks.items()},
        "gradients_face": 100 * gradient_difference(ours, truth, masks["face"]),
    }


def _box(where: Mask) -> tuple[slice, slice]:
    """Rows and columns of all that is measured in a mask, windows around its pixels too."""
    rows, columns = (np.flatnonzero(where.any(axis)) for axis in (1, 0))
    top, left = (max(int(along[0]) - _SPARE_PX, 0) for along in (rows, columns))
    return slice(top, rows[-1] + 1 + _SPARE_PX), slice(left, columns[-1] + 1 + _SPARE_PX)


def _model_points(portrait: Portrait, clip: MotionClip) -> Floats:
    """Where the landmarks of the head model are seen (T, 68, 2), in pixels of the picture."""
    acts = perform(portrait.fit, clip)
    posed = PosedHead(portrait.fit, portrait.fit.width, portrait.fit.height, "cpu")
    with torch.inference_mode():
        at = posed.projected(posed.turned(posed.shaped(acts), acts))
    return at[:, torch.as_tensor(load_head().landmarks.astype(np.int64)), :2].numpy().astype(float)


def _steadiness(portrait: Portrait, ours: Floats, truth: Floats) -> dict[str, float]:
    """Change from frame to frame of the background, and of the camera's, as a mark of its noise."""
    reach = int(_AWAY * 0.063 * portrait.fit.focal_px / portrait.fit.translation[2])
    away = np.logical_not(binary_dilation(portrait.cutout > 0, iterations=max(reach, 1)))
    away[len(away) // 2 :] = False  # there are shoulders, which breathe
    if not away.any():
        return {}
    return {"flicker_background": flicker(ours, away), "flicker_camera": flicker(truth, away)}


def _tracked_again(ours: Floats, points: Floats) -> dict[str, float]:
    """How far landmarks found in the frames moved otherwise than those of the clip, in % of the eyes' distance."""
    if find_spec("mediapipe") is None:
        return {}
    chosen = np.linspace(1, len(ours) - 1, _PUT_TO_TRACK).astype(int)
    first = find_landmarks(ours[0])
    found = np.stack([find_landmarks(ours[t]).points for t in chosen])
    error = (found - first.points) - (points[chosen] - points[0])
    return {"landmark_error_percent": float(100 * np.linalg.norm(error, axis=-1).mean() / first.eye_distance)}


def _pooled(measured: Sequence[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Means over videos, half-widths of their confidence intervals, and those of our lead over each other way."""
    ways = [way for way in measured[0] if all(way in one for one in measured)]
    out: dict[str, Any] = {"count": len(measured), "mean": {}, "interval": {}, "lead": {}}
    for way in ways:
        by_figure = {
            name: np.array([one[way][name] for one in measured if name in one[way]])
            for name in dict.fromkeys(name for one in measured for name in one[way])
        }
        out["mean"][way] = {name: float(values.mean()) for name, values in by_figure.items()}
        out["interval"][way] = {name: _half_width(values) for name, values in by_figure.items()}
    for ours in (way for way in ways if way.startswith("ours")):
        for other in (way for way in ways if way != ours):
            leads = {f: np.array([one[ours][f] - one[other][f] for one in measured]) for f in FIGURES}
            out["lead"][f"{ours} - {other}"] = {
                name: {"mean": float(values.mean()), "interval": _half_width(values)} for name, values in leads.items()
            }
    return out


def _half_width(values: Floats) -> float:
    """Half of the confidence interval of the mean of values (n,), by Student's t; 0 for a single one."""
    if len(values) < 2:
        return 0.0
    return float(student.ppf((1 + _CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def leakage_report(seeds: Iterable[int], size: int) -> dict[str, Any]:
    """What each part of the motion changes when shown alone, and flicker of a face that is held; worst of all people.

    "changes": by part and region, the largest difference from the still, in 1/255.
    """
    changes = {part: dict.fromkeys(("mouth", "eyes"), 0.0) for part in _PROBES}
    held = 0.0
    for seed in tqdm(list(seeds), leave=False, desc="leakage"):
        person = SyntheticPerson(seed, size)
        portrait = build_portrait(person.picture(), person.landmarks())
        masks = person.regions(_clip_of([{}]))
        still, *shown = _shown(portrait, {}, *(act for acts in _PROBES.values() for act in acts))
        for part, acts in _PROBES.items():
            frames, shown = np.stack(shown[: len(acts)]), shown[len(acts) :]
            for name, most in changes[part].items():
                changes[part][name] = max(most, largest_change(frames, still, masks[name][0]))
        frames = np.stack(list(_shown(portrait, *[_HELD] * _HELD_FRAMES)))
        held = max(held, flicker(frames, np.ones((size, size), bool)))
    return {"changes": changes, "flicker_held": held}


def _shown(portrait: Portrait, *acts: dict[str, float]) -> Iterator[Floats]:
    height, width = portrait.picture.shape[:2]
    for frame in render_frames(portrait, _clip_of(acts), width, height):
        yield frame[..., :3] / np.float32(255)


def _clip_of(acts: Iterable[dict[str, float]], fps: float = 25.0) -> MotionClip:
    rows = []
    for act in acts:
        row = np.zeros(len(CHANNELS), np.float32)
        row[[CHANNEL_INDEX[name] for name in act]] = list(act.values())
        rows.append(row)
    return MotionClip(fps, np.stack(rows))


def synthetic_report(seeds: Iterable[int], size: int, frames: int = 12) -> dict[str, Any]:
    """Portraits made from pictures of synthetic people against the true frames of a clip of random faces.

    seeds: of the people. size: of their pictures, in pixels. frames: of each person.
    """
    people = {}
    for seed in tqdm(list(seeds), leave=False, desc="people"):
        person = SyntheticPerson(seed, size)
        clip = _random_faces(seed, frames)
        truth, masks = np.stack(list(person.frames(clip))), person.regions(clip)
        still = person.picture()
        try:
            portrait = build_portrait(still, person.landmarks())
        except PortraitError as error:
            people[str(seed)] = {"skipped": str(error)}
            continue
        ways = {"still": np.broadcast_to(still, truth.shape), **_rendered(portrait, clip, size, size)}
        people[str(seed)] = {way: _means(pictures, truth, masks) for way, pictures in ways.items()}
    measured = [one for one in people.values() if "skipped" not in one]
    return {"people": people, **(_pooled(measured) if measured else {})}


def _means(pictures: Floats, truth: Floats, masks: dict[str, Mask]) -> dict[str, float]:
    rows = [
        _figures(picture, true, {name: mask[t] for name, mask in masks.items()})
        for t, (picture, true) in enumerate(zip(pictures, truth, strict=True))
    ]
    return {name: float(np.mean([row[name] for row in rows])) for name in FIGURES}


def _random_faces(seed: int, frames: int) -> MotionClip:
    """Mouths as in speech, with all that a portrait can do, the head a few degrees from its place."""
    rng = np.random.default_rng([seed, 7])
    acts = []
    for _ in range(frames):
        act = {name: rng.uniform(0, most) for name, most in _FACES.items() if rng.uniform() < _AT_A_TIME}
        act |= {name: rng.normal(0, _TURN_RAD) for name in ("headYaw", "headPitch", "headRoll")}
        act |= {name: rng.normal(0, _GAZE_RAD) for name in ("gazeYaw", "gazePitch")}
        for name in [name for name in act if name.endswith("Left")]:
            act[name.removesuffix("Left") + "Right"] = act[name]
        acts.append(act)
    return _clip_of(acts)


def table(report: dict[str, Any]) -> str:
    """The means of a pooled report as text, a row for each way."""
    rows = [f"{'':16}" + "".join(f"{name:>22}" for name in FIGURES)]
    for way, mean in report["mean"].items():
        cells = (f"{mean[name]:.3f} ± {report['interval'][way][name]:.3f}" for name in FIGURES)
        rows.append(f"{way:16}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join(rows)
