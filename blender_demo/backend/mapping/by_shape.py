# SPDX-License-Identifier: GPL-3.0-or-later
"""What shape keys show, told from what they move: for keys whose names say nothing.

First the face is found: the places of eyes and mouth with which the keys, all together, look most like those of known
heads. Then each key is compared with what the channels, alone and on both sides at once, look like on several heads,
and keys and channels are paired so that the sum of their likeness is greatest. Mouths that are drawn as a line, and the
lids of cartoon eyes, are judged by what opens, widens and shuts. Numpy only.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..motion.factors import ARKIT_NAMES
from .assignment import best_pairs
from .conversion import least_squares_in_box, meanings_matrix
from .face_map import EYE_Y, HALF_MOUTH, MOUTH_Y, OPENING, FaceMap, on_face
from .shape_features import key_amplitudes, local_features, place_features, unit

__all__ = ["CLASSES", "PROTOTYPE_FILE", "FaceFound", "Reading", "find_face", "find_face_in", "read_shapes"]

Floats = NDArray[np.float32]

PROTOTYPE_FILE: Final = Path(__file__).with_name("prototypes.npz")


def _both(stem: str) -> dict[str, float]:
    return {f"{stem}Left": 1.0, f"{stem}Right": 1.0}


CLASSES: Final[tuple[dict[str, float], ...]] = (
    *({name: 1.0} for name in ARKIT_NAMES),
    *(_both(stem) for stem in ("eyeBlink", "eyeWide", "eyeSquint", "browDown", "browOuterUp")),
    {**_both("browOuterUp"), "browInnerUp": 1.0},
    _both("eyeLookUp"),
    _both("eyeLookDown"),
    {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0},
    {"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0},
    *(_both(stem) for stem in ("mouthSmile", "mouthFrown", "mouthStretch", "mouthDimple", "mouthUpperUp")),
    *(_both(stem) for stem in ("mouthLowerDown", "mouthPress", "noseSneer", "cheekSquint")),
    {"mouthRollLower": 1.0, "mouthRollUpper": 1.0},
)
"""What a key may show: a channel, or several at once that characters often have as one key."""

_SINGLES: Final = len(ARKIT_NAMES)
_BLINKS: Final = [i for i, channels in enumerate(CLASSES) if any(name.startswith("eyeBlink") for name in channels)]
_GAZES: Final = [i for i, channels in enumerate(CLASSES) if len(channels) > 1 and any("eyeLook" in n for n in channels)]
_LOOKS: Final = [i for i, channels in enumerate(CLASSES) if len(channels) == 1 and "eyeLook" in next(iter(channels))]
_ASIDE: Final = [i for i, channels in enumerate(CLASSES) if any("LookIn" in n or "LookOut" in n for n in channels)]
_SIDED_MOUTH: Final = [i for i, name in enumerate(ARKIT_NAMES) if re.fullmatch("mouth.+(Left|Right)", name)]

_PAIR_COST: Final = 0.1
"""Likeness that a key of both sides must have over a key of one, where there are both."""

_SIZE_COST: Final = 0.03
"""Likeness lost for each doubling or halving of the usual motion, three at most."""

_SIDE_COST: Final = 0.3
"""Likeness lost by a key of both sides to a class of one, and half of what is lost by a key of the other side."""

_OTHER_SIDE: Final = 0.75
"""Difference of sides from which a key and a class cannot be the same: one is of both sides, the other of one."""

_TOO_FAR: Final = (0.10, 0.14)
"""Meters on the common face: no key of a face moves a vertex farther than the second, few farther than the first."""

_LEAST_LIKENESS: Final = 0.45
_LEAST_MIXTURE: Final = 0.75
_MOUTH_PARTS: Final = (
    {"jawOpen": 1.0}, {"mouthClose": 1.0}, {"mouthFunnel": 1.0}, {"mouthPucker": 1.0}, {"jawForward": 1.0},
    {"mouthRollLower": 1.0}, {"mouthRollUpper": 1.0}, {"mouthShrugLower": 1.0}, {"mouthShrugUpper": 1.0},
    *(_both(f"mouth{s}") for s in ("Smile", "Frown", "Stretch", "UpperUp", "LowerDown", "Press")), {"tongueOut": 1.0},
)  # fmt: skip
"""What visemes are mixed of."""

_LINE_OPENING, _LINE_WIDENING, _LINE_NARROWING, _LINE_LIFT = 0.54, 0.50, 0.18, 0.10
"""What jawOpen, mouthStretch, mouthPucker and mouthSmile do to a line, in widths of the mouth: as on the own head, but
for widening, as a mouth that is a line is drawn small at rest."""

_LINE: Final = 0.35
"""Height of a line over its width at most; keys of a modeled mouth move cheeks and chin as well."""

_MOST_PARTS: Final = 4
_LEAST_PART: Final = 0.2
"""Parts of a mixture, and the least of one beside the largest."""

_ENOUGH_SIDED: Final = 2
"""Keys for one side of the mouth from which keys stand for one channel each, and are no visemes."""

_MIXTURE_GAIN: Final = 0.1
"""A mixture is believed where it is so much more like the key than the most similar channel."""

_GAZE_BONUS: Final = 0.15

_CARTOON_CONFIDENCE: Final = 0.5
"""Of what is told by opening and widening alone."""

_SHUTS: Final = (0.20, 0.35)
"""Part of its height that a region loses: a blink loses more than the second, every other key less than the first."""

_SHUTS_MOST: Final = (0.5, 0.8)
"""The same, over the most that a key of the lids loses: a squint shuts them by half."""

_BLINK_BONUS: Final = 0.3

_LIKELIEST_FRAME: Final = 0.8
"""What likeness counts in other directions than the likeliest."""

_CLEARLY_A_FACE: Final = 0.4
"""Mean likeness of keys in a first look from which no other direction is tried."""

_COUNTED: Final = 0.3
"""Likeness from which a key speaks for a guess of where the face is."""

_ROUGH, _FINE, _FULL = 300, 800, 3000
"""Vertices that are looked at while the face is searched, while its place is improved, and in the end."""

_ENOUGH_KEYS: Final = 80
"""Keys that are looked at while the face is searched."""

_EYES_OVER_MOUTH: Final = (EYE_Y - MOUTH_Y) / 0.020
"""Height of the eyes over the mouth, over the spread of what keys of the mouth move, on the own head."""

_STEPS: Final = (0.12, 0.07, 0.04)
_STARTS: Final = 3


@dataclass(frozen=True)
class Reading:
    """What a key shows: ARKit channels with the weight that looks like the key at 1, and how sure that is (0..1)."""

    channels: Mapping[str, float]
    confidence: float


@dataclass(frozen=True)
class FaceFound:
    """Where the face is. likeness: mean over the keys of how much each looks like a key of a face."""

    face: FaceMap
    likeness: float


@dataclass(frozen=True)
class _Prototypes:
    """Features of all classes on several heads: place (H, N, 3 A), local (H, N, 147), amplitude in meters (N,)."""

    anchors: Floats
    place: Floats
    local: Floats
    amplitude: Floats
    shapes: Floats  # (52, 3 A) mean motion of each channel in meters, for mixtures
    sidedness: Floats  # (N,)


@cache
def _prototypes(heads: tuple[str, ...] | None = None) -> _Prototypes:
    """Of all heads, or of those named."""
    with np.load(PROTOTYPE_FILE, allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    chosen = [i for i, name in enumerate(arrays["heads"].tolist()) if heads is None or name in heads]
    place, local, amplitude = (arrays[name][chosen].astype(np.float32) for name in ("place", "local", "amplitude"))
    there = amplitude > 0.0
    count = np.maximum(there.sum(axis=0), 1)
    return _Prototypes(
        arrays["anchors"].astype(np.float32), unit(place), local,
        np.maximum((amplitude * there).sum(axis=0) / count, 1e-4),
        (place.sum(axis=0) / count[:, None])[:_SINGLES],
        _sidedness(place.sum(axis=0) / count[:, None], arrays["anchors"].astype(np.float32)),
    )  # fmt: skip


def _sidedness(features: Floats, anchors: Floats) -> Floats:
    """1 for motion (N, 3 A) on the character's left only, -1 for the right, 0 for both sides alike."""
    energy = np.sum(features.reshape(len(features), -1, 3) ** 2, axis=2)
    return energy @ np.sign(anchors[:, 0]) / np.maximum(energy.sum(axis=1), 1e-20)


def _sample(points: NDArray[np.floating], deltas: NDArray[np.floating], most: int) -> tuple[Floats, Floats]:
    """Some of the vertices that keys move, the same ones each time."""
    motion = np.abs(deltas).max(axis=2)
    motion /= np.maximum(motion.max(axis=1, keepdims=True), 1e-12)
    moved = np.flatnonzero(motion.max(axis=0) > 0.02)
    if len(moved) > most:
        moved = np.random.default_rng(0).choice(moved, most, replace=False)
    return points[moved].astype(np.float32), deltas[:, moved].astype(np.float32)


@dataclass(frozen=True)
class _Seen:
    """Keys on the common face: places (V, 2), motions (K, V, 3), and the part of each key that lies there (K,)."""

    places: Floats
    motions: Floats
    share: Floats

    @classmethod
    def through(cls, face: FaceMap, points: Floats, deltas: Floats) -> "_Seen":
        """Look at keys through a map of the face."""
        places, motions = face.apply(points, deltas)
        inside = on_face(places)
        energy = np.sum(motions**2, axis=2)
        share = energy[:, inside].sum(axis=1) / np.maximum(energy.sum(axis=1), 1e-20)
        near, far = _TOO_FAR
        share = share * np.clip((far - key_amplitudes(motions)) / (far - near), 0.0, 1.0)
        return cls(places[inside], motions[:, inside], share.astype(np.float32))

    def place_likeness(self, known: _Prototypes) -> Floats:
        """Cosines (K, N) with each class, on the head where it is most alike; little where little lies on the face."""
        features = unit(place_features(self.places, self.motions, known.anchors))
        return np.tensordot(features, known.place, axes=(1, 2)).max(axis=1) * self.share[:, None]

    def likeness(self, known: _Prototypes) -> Floats:
        """As `place_likeness`, and what the key does as much as where; less where its size is unusual."""
        local = np.tensordot(local_features(self.places, self.motions), known.local, axes=(1, 2)).max(axis=1)
        octaves = np.abs(np.log2(np.maximum(key_amplitudes(self.motions), 1e-5)[:, None] / known.amplitude))
        sided = _sidedness(place_features(self.places, self.motions, known.anchors), known.anchors)
        aside = np.abs(sided[:, None] - known.sidedness)
        unlike = _SIZE_COST * octaves.clip(0, 3) + _SIDE_COST * aside + 1.0 * (aside > _OTHER_SIDE)
        alike = 0.5 * self.place_likeness(known) + (0.5 * local - unlike) * self.share[:, None]
        alike[:, _SINGLES:] -= _PAIR_COST
        return alike


def find_face(
    points: NDArray[np.floating],
    deltas: NDArray[np.floating],
    heads: tuple[str, ...] | None = None,
) -> FaceFound | None:
    """The face that the keys, points (V, 3) and motions (K, V, 3) in the head frame, speak for; None without any.

    heads: names of the known heads to compare with; all by default.
    """
    found = find_face_in([np.eye(3)], points, deltas, heads)
    return None if found is None else found[0]


def find_face_in(
    frames: Sequence[NDArray[np.floating]],
    points: NDArray[np.floating],
    deltas: NDArray[np.floating],
    heads: tuple[str, ...] | None = None,
) -> tuple[FaceFound, NDArray[np.floating]] | None:
    """`find_face`, and that of some head frames (3, 3) in which the keys look most like those of a face.

    frames: the likeliest first. It is the one unless another is clearly better.
    """
    known = _prototypes(heads)
    keys = np.flatnonzero(np.abs(deltas).max(axis=(1, 2), initial=0.0) > 0.0)
    if not len(keys):
        return None
    if len(keys) > _ENOUGH_KEYS:  # those that move least of a head: what changes all of it is no expression
        moved = [int((np.abs(deltas[key]).max(axis=1) > 0.1 * np.abs(deltas[key]).max()).sum()) for key in keys]
        local = keys[np.array(moved) <= max(np.median(moved), 0.5 * max(moved))]
        keys = np.random.default_rng(0).choice(local, min(_ENOUGH_KEYS, len(local)), replace=False)
    points, deltas = _sample(points, deltas[keys], _FULL)
    coarse = replace(known, anchors=known.anchors[::2], place=unit(_every_other_anchor(known.place)))

    def rated(face: FaceMap, sample: tuple[Floats, Floats], by: _Prototypes) -> float:
        alike = _Seen.through(face, *sample).place_likeness(by).max(axis=1)
        return float(np.clip(alike - _COUNTED, 0.0, None).mean())

    def best(faces: Iterable[FaceMap], sample: tuple[Floats, Floats], count: int) -> list[tuple[float, FaceMap]]:
        return sorted(((rated(face, sample, coarse), face) for face in faces), key=lambda pair: -pair[0])[:count]

    searched: list[tuple[float, int, list[FaceMap], tuple[Floats, Floats]]] = []
    for place, frame in enumerate(frames):
        sample = _sample(points @ frame, deltas @ frame, _FINE)
        rough = _sample(*sample, _ROUGH)

        people = best(_guesses(*rough), rough, 2 * _STARTS)
        starts = best((variant for _, face in people for variant in _cartoons(face)), rough, _STARTS)
        if starts:
            likeness = starts[0][0] * (1.0 if place == 0 else _LIKELIEST_FRAME)
            searched.append((likeness, place, [face for _, face in starts], sample))
            if likeness >= _CLEARLY_A_FACE:
                break
    if not searched:
        return None
    _, place, starts, sample = max(searched, key=lambda one: one[0])
    improved = [_improved(face, lambda guess: rated(guess, sample, known)) for face in starts]
    return max(improved, key=lambda face: face.likeness), frames[place]


def _every_other_anchor(place: Floats) -> Floats:
    return place.reshape(*place.shape[:2], -1, 3)[:, :, ::2].reshape(*place.shape[:2], -1)


def _guesses(points: Floats, deltas: Floats) -> Iterator[FaceMap]:
    """Faces whose mouth, and eyes where they have keys, lie where some keys have their middle."""
    energy = np.sum(deltas**2, axis=2)
    there = energy.sum(axis=1) > 0.0
    weights = energy[there] / energy[there].sum(axis=1, keepdims=True)
    centers = weights @ points
    middle = float(np.median(centers[:, 0]))
    aside = weights @ np.abs(points[:, 0] - middle)
    spread = np.sqrt(weights @ (points[:, 0] - middle) ** 2)
    low, high = np.quantile(centers[:, 1], (0.05, 0.95))
    near = 0.06 * (high - low)
    levels: list[float] = []
    for height in np.sort(centers[:, 1]).tolist():
        if not levels or height - levels[-1] > near:
            levels.append(height)
    for mouth in levels:
        at_mouth = np.abs(centers[:, 1] - mouth) <= near
        half_mouth = float(np.median(spread[at_mouth]))
        above = [mouth + half_mouth * size * _EYES_OVER_MOUTH for size in (0.8, 1.0, 1.25)]  # eyes may have no keys
        for eye in (*levels, *above):
            if eye - mouth <= 2.0 * near:
                continue
            usual = FaceMap.of_usual_size(eye, mouth, middle)
            at_eye = np.abs(centers[:, 1] - eye) <= near
            aside_eye = [float(np.median(aside[at_eye]))] if at_eye.any() else []
            for eye_x in {*aside_eye, usual.eye_x}:
                for half in {half_mouth, usual.half_mouth}:
                    guess = replace(usual, eye_x=eye_x, half_mouth=half)
                    if guess.is_face:
                        yield guess


def _cartoons(face: FaceMap) -> Iterator[FaceMap]:
    """A face, and the same with large eyes, with a line for a mouth, and with both."""
    for large in (1.0, 3.0):
        for small in (1.0, 0.25):
            yield replace(face, eye_opening=large * face.eye_opening, mouth_opening=small * face.mouth_opening)


def _improved(face: FaceMap, rate: Callable[[FaceMap], float]) -> FaceFound:
    """Climb from a guess by changing one number at a time, in ever smaller steps."""
    best = rate(face)
    for step in _STEPS:
        height = face.eye_y - face.mouth_y
        moves = (0.6 * step * height, 0.6 * step * height, None, None, 0.3 * step * height, None, None)
        for place, move in enumerate(moves):
            factor = 1.0 + (2.5 if place > 4 else 1.0) * step
            for sign in (1, -1):
                values = list(astuple(face))
                values[place] = values[place] + sign * move if move is not None else values[place] * factor**sign
                guess = FaceMap(*values)
                if guess.is_face and (rating := rate(guess)) > best:
                    best, face = rating, guess
    return FaceFound(face, best)


def read_shapes(
    points: NDArray[np.floating],
    deltas: NDArray[np.floating],
    face: FaceMap,
    taken: Iterable[str] = (),
    heads: tuple[str, ...] | None = None,
) -> list[Reading | None]:
    """What each key of one mesh shows; None for those that show nothing of a face, or nothing that can be told.

    points (V, 3), deltas (K, V, 3): in the head frame. taken: channels that other keys carry already.
    """
    known = _prototypes(heads)
    points, deltas = _sample(points, deltas, _FULL)
    seen = _Seen.through(face, points, deltas)
    alike = seen.likeness(known)
    alike[:, _BLINKS] += _blink_bonus(alike[:, _BLINKS], _shutting(points, deltas), seen.share)
    gone = set(taken)
    alike[:, [i for i, channels in enumerate(CLASSES) if gone & set(channels)]] = -1.0
    pairs = _pairs(alike)
    if not any(row in _ASIDE and alike[key, row] > _LEAST_LIKENESS for key, row in pairs):
        alike[:, _LOOKS] = -1.0  # an eye that no key turns aside none turns up or down: its lids move by themselves
        pairs = _pairs(alike)
    together = _with_gazes(deltas, [key for key, row in pairs if row in _GAZES and alike[key, row] > _LEAST_LIKENESS])
    alike[np.ix_(together, _GAZES)] += _GAZE_BONUS
    pairs = _pairs(alike)

    readings: list[Reading | None] = [None] * len(deltas)
    for key, row in pairs:
        likeness = float(alike[key, row]) + (_PAIR_COST if row >= _SINGLES else 0.0)
        if likeness >= _LEAST_LIKENESS:
            readings[key] = Reading(CLASSES[row], min(likeness, 0.99))
    sided = sum(row in _SIDED_MOUTH and alike[key, row] > _LEAST_LIKENESS for key, row in pairs)
    for key in np.flatnonzero(_at_mouth(seen)).tolist():
        single = readings[key]
        if single is not None and not any(set(single.channels) <= set(part) for part in _MOUTH_PARTS):
            single = replace(single, confidence=_LEAST_LIKENESS)  # seldom a viseme
        if single is None or sided < _ENOUGH_SIDED:
            readings[key] = _mouth_reading(seen, key, known, gone, single, points, deltas[key])
    return readings


def _pairs(alike: Floats) -> list[tuple[int, int]]:
    """Keys and classes paired for the greatest sum of likeness, in which what is hardly alike does not count."""
    return best_pairs(np.clip(alike - (_LEAST_LIKENESS - _PAIR_COST), 0.0, None))


def _with_gazes(deltas: Floats, gazes: Sequence[int]) -> list[int]:
    """Keys that move all that at least two gaze keys move: more of the same, where one direction is still missing."""
    moved = np.abs(deltas).max(axis=2) > 0.1 * np.abs(deltas).max(axis=(1, 2))[:, None]
    if len(gazes) < 2:
        return []
    core = moved[list(gazes)].sum(axis=0) >= 2
    return np.flatnonzero((moved & core).sum(axis=1) >= 0.9 * max(int(core.sum()), 1)).tolist()


def _shutting(points: Floats, deltas: Floats) -> Floats:
    """The part of its height (K,) that what each key moves loses."""
    shut = np.zeros(len(deltas), np.float32)
    motion = np.linalg.norm(deltas, axis=2)
    for key in range(len(deltas)):
        moved = motion[key] > 0.05 * max(float(motion[key].max(initial=0.0)), 1e-12)
        height = points[moved, 1] - (points[moved, 1].mean() if moved.any() else 0.0)
        shut[key] = -(height @ deltas[key, moved, 1]) / max(float(height @ height), 1e-12)
    return shut


def _blink_bonus(alike: Floats, shutting: Floats, share: Floats) -> Floats:
    """What keys that shut something like lids are more alike to blinks (K, N): those that shut it most."""
    like_lids = alike > _COUNTED
    most = max(float(shutting[like_lids.any(axis=1)].max(initial=0.0)), 1e-6)
    bonus = share * np.interp(shutting, _SHUTS, (0.0, 1.0)) * np.interp(shutting / most, _SHUTS_MOST, (0.0, 1.0))
    return np.where(like_lids, _BLINK_BONUS * bonus[:, None], 0.0).astype(np.float32)


def _at_mouth(seen: _Seen) -> NDArray[np.bool_]:
    """Which keys (K,) move the mouth more than all else."""
    energy = np.sum(seen.motions**2, axis=2)
    centers = energy @ seen.places / np.maximum(energy.sum(axis=1, keepdims=True), 1e-20)
    near = (np.abs(centers[:, 0]) < HALF_MOUTH) & (np.abs(centers[:, 1] - MOUTH_Y) < 2.5 * OPENING)
    return near & (seen.share > 0.6)


def _mouth_reading(
    seen: _Seen, key: int, known: _Prototypes, taken: set[str], single: Reading | None, points: Floats, delta: Floats
) -> Reading | None:
    """What a key of the mouth shows where keys do not stand for one channel each: a mixture, or what its line does."""
    if (line := _line_reading(points, delta, taken)) is not None:
        return line
    target = place_features(seen.places, seen.motions[[key]], known.anchors)[0].astype(np.float64)
    parts = [channels for channels in _MOUTH_PARTS if not taken & set(channels)]
    shapes = meanings_matrix(parts) @ known.shapes.astype(np.float64)
    chosen: list[int] = []
    weights, likeness = np.zeros(0), 0.0
    while len(chosen) < min(_MOST_PARTS, len(parts)):
        rest = target - weights @ shapes[chosen]
        gains = shapes @ rest / np.linalg.norm(shapes, axis=1)
        gains[chosen] = -np.inf
        chosen.append(int(np.argmax(gains)))
        weights = _non_negative(shapes[chosen] @ shapes[chosen].T, shapes[chosen] @ target)
        made = weights @ shapes[chosen]
        likeness = float(made @ target) / max(float(np.linalg.norm(made) * np.linalg.norm(target)), 1e-12)
    if likeness < max(_LEAST_MIXTURE, single.confidence + _MIXTURE_GAIN if single is not None else 0.0):
        return single
    mixed = _mixture([parts[i] for i in chosen], weights)
    return Reading(mixed, min(likeness, 0.99)) if mixed else single


def _line_reading(points: Floats, delta: Floats, taken: set[str]) -> Reading | None:
    """What a mouth drawn as a line does, from the changes of its height, width and corners in widths of the mouth.

    None for a mouth that is no line.
    """
    motion = np.linalg.norm(delta, axis=1)
    moved = motion > 0.02 * float(motion.max(initial=0.0))
    rest, after = points[moved], points[moved] + delta[moved]
    width, height = np.ptp(rest[:, :2], axis=0) if moved.any() else (0.0, 0.0)
    if width <= 0.0 or height > _LINE * width:
        return None
    aside = np.abs(rest[:, 0] - np.median(rest[:, 0])) / width
    inner, outer = aside < 0.25, aside > 0.4
    if not inner.any() or not outer.any():
        return None
    upper, lower = after[inner, 1].max() - rest[inner, 1].max(), after[inner, 1].min() - rest[inner, 1].min()
    opening = float(upper - lower) / width
    widening = float(np.ptp(after[:, 0]) - width) / width
    corners = float(np.mean(after[outer, 1] - rest[outer, 1]))
    lift = (corners - 0.5 * float(upper + lower)) / width
    lift = 0.0 if opening > 0.1 else lift  # an opening mouth drops more below than it rises above
    amounts = {"jawOpen": opening / _LINE_OPENING, "mouthPucker": -widening / _LINE_NARROWING}
    amounts |= dict.fromkeys(_both("mouthStretch"), widening / _LINE_WIDENING)
    amounts |= dict.fromkeys(_both("mouthSmile"), lift / _LINE_LIFT) | dict.fromkeys(
        _both("mouthFrown"), -lift / _LINE_LIFT
    )
    shown = {name: round(min(float(amount), 1.0), 3) for name, amount in amounts.items() if name not in taken}
    most = max(shown.values(), default=0.0)
    channels = {name: amount for name, amount in shown.items() if amount >= max(_LEAST_PART * most, 0.1)}
    return Reading(channels, _CARTOON_CONFIDENCE) if channels else None


def _non_negative(products: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights between 0 and 1 with the least squared error, and little of what is not needed."""
    size = np.mean(np.diag(products))
    bounded = products + 0.01 * size * np.eye(len(products))
    return least_squares_in_box(bounded, wanted[:, None], np.zeros(len(wanted)), np.ones(len(wanted)))[:, 0]


def _mixture(parts: Sequence[Mapping[str, float]], weights: NDArray[np.float64]) -> dict[str, float]:
    """The sum of the parts whose weights matter beside the largest."""
    least = max(_LEAST_PART * float(weights.max(initial=0.0)), 0.05)
    mixed: dict[str, float] = {}
    for part, weight in zip(parts, weights.tolist(), strict=True):
        for name, share in part.items() if weight >= least else ():
            mixed[name] = round(mixed.get(name, 0.0) + weight * share, 3)
    return mixed
