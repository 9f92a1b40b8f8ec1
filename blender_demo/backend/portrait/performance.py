# SPDX-License-Identifier: GPL-3.0-or-later
"""What the head in a picture does in a clip: the clip's motion, with expression, gaze and pose of the picture as zero.

A clip at rest leaves the picture as it is. Lips and lids that shut in the clip shut in the picture too, however open
they are in it; that is measured on the person's own lips and lids.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..head.head_model import load_head
from ..motion.clip import MotionClip
from ..motion.factors import (
    ARKIT_NAMES,
    CHANNEL_INDEX,
    CHANNELS,
    FACTOR_OF,
    eye_look_from_gaze,
    gaze_from_eye_look,
)
from .controls import NEUTRAL, PortraitControls
from .fill import smoothstep
from .fit import HeadFit

__all__ = ["Performance", "at_rest", "perform"]

Floats = NDArray[np.float32]

_PART: Final = ("jawOpen", "mouthFunnel", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft",
                "mouthUpperUpRight")  # fmt: skip
"""What parts lips: this much of the picture's expression goes where the clip shuts them."""
_SHUT: Final = ("jawOpen", "mouthClose", "mouthPressLeft", "mouthPressRight", "mouthRollLower", "mouthRollUpper")
"""What moves when lips shut in speech. Lips that rest are shut without, and leave those of the picture alone."""
_AT_WORK: Final = (0.10, 0.30)
"""Sum of these weights from which lips are at work, and fully."""
_NEARLY_SHUT: Final = 0.03
"""Aperture below which lips begin to count as shut, in widths of the mouth."""
_BLINK_S: Final = (0.08, 0.04, 0.16)
"""Seconds that lids take to shut, stay shut and open."""
_LOOK: Final = [i for i, name in enumerate(ARKIT_NAMES) if name.startswith("eyeLook")]
_LEFT: Final = [name.endswith("Left") for name in ARKIT_NAMES if name.startswith("eyeLook")]
_BISECTIONS: Final = 16


@dataclass(frozen=True)
class Performance:
    """T frames of the head in a picture; angles in radians."""

    weights: Floats  # (T, 52) of the ARKit shapes
    gaze: Floats  # (T, 2, 2) yaw and pitch of the left and the right eye
    angles: Floats  # (T, 3) yaw, pitch and roll of the head, from its pose in the picture
    shift: Floats  # (T, 3) in head heights
    lips: Floats  # (T,) how much more open they are than in the picture, in widths of the mouth
    lids: Floats  # (T, 2) how open the left and the right ones are: 1 as in the picture, 0 shut

    def __len__(self) -> int:
        return len(self.weights)

    def __getitem__(self, frames: slice) -> "Performance":
        return Performance(**{field.name: getattr(self, field.name)[frames] for field in fields(self)})


def perform(fit: HeadFit, clip: MotionClip, controls: PortraitControls = NEUTRAL) -> Performance:
    """The performance of a clip by the head of a picture."""
    clip = _directed(clip, controls)
    own = clip.channels[:, [CHANNEL_INDEX[name] for name in ARKIT_NAMES]]
    looking = _own_gaze(fit)
    gaze = looking + np.stack([clip["gazeYaw"], clip["gazePitch"]], axis=1)[:, None]
    looks = _looks(gaze) - _looks(looking[None])
    own[:, _LOOK] = 0  # said by the gaze, and nothing to the lips
    weights = np.minimum(fit.expression + own, np.maximum(1, fit.expression))
    weights = _with_lips(fit, weights, _lips_shut(own))
    person, pictured = fit.person, np.asarray(fit.expression)[None]
    lips = person.aperture(weights) - person.aperture(pictured)
    own[:, _LOOK] = looks
    weights[:, _LOOK] += looks
    lids = load_head().lid_opening(own)
    weights = _with_lids(fit, own, weights, lids * person.lid_opening(pictured))
    turn = ("headYaw", "headPitch", "headRoll")
    shift = ("headX", "headY", "headZ")
    angles, move = (clip.channels[:, [CHANNEL_INDEX[name] for name in names]] for names in (turn, shift))
    return Performance(weights, gaze, angles + np.array(controls.head_offset, np.float32), move, lips, lids)


def _directed(clip: MotionClip, controls: PortraitControls) -> MotionClip:
    """The clip with the full channel table, the gaze among it, each factor as large as the controls say."""
    whole = clip.completed()
    channels = whole.channels.copy()
    looks = [CHANNEL_INDEX[ARKIT_NAMES[i]] for i in _LOOK]
    gaze = [CHANNEL_INDEX[name] for name in ("gazeYaw", "gazePitch")]
    if not {"gazeYaw", "gazePitch"} & set(clip.names):
        channels[:, gaze] = gaze_from_eye_look(channels[:, looks])
    channels *= np.array([getattr(controls, FACTOR_OF[name]) for name in CHANNELS], np.float32)
    channels[:, gaze] += np.array(controls.gaze_offset, np.float32)
    times = np.arange(len(whole)) / clip.fps
    shutting, shut, opening = _BLINK_S
    for at in controls.blinks:
        blink = np.interp(times - at, [-shutting - shut / 2, -shut / 2, shut / 2, shut / 2 + opening], [0, 1, 1, 0])
        for name in ("eyeBlinkLeft", "eyeBlinkRight"):
            column = channels[:, CHANNEL_INDEX[name]]
            np.maximum(column, blink.astype(np.float32), out=column)
    return replace(whole, channels=channels)


def at_rest(fit: HeadFit) -> Performance:
    """One frame that is the picture."""
    zero = np.zeros((1, 3), np.float32)
    weights = np.asarray(fit.expression, np.float32)[None]
    return Performance(weights, _own_gaze(fit)[None], zero, zero, zero[:, 0], np.ones((1, 2), np.float32))


def _own_gaze(fit: HeadFit) -> Floats:
    """Yaw and pitch (2, 2) of the left and the right eye in the picture."""
    looks = np.repeat(np.asarray(fit.expression, np.float32)[None, _LOOK], 2, axis=0)
    left = np.array(_LEFT)
    looks[0, ~left] = looks[1, left] = 0
    return 2 * gaze_from_eye_look(looks)  # the mean of both eyes, of which one looks ahead


def _looks(gaze: Floats) -> Floats:
    """eyeLook weights (T, 8) for the gaze (T, 2, 2) of each eye."""
    left, right = (eye_look_from_gaze(gaze[:, eye]) for eye in (0, 1))
    return np.where(_LEFT, left, right)


def _lips_shut(own: Floats) -> Floats:
    """How far (T,) lips at work are shut by a clip's own weights (T, 52), 0..1."""
    work = smoothstep(*_AT_WORK, own[:, [ARKIT_NAMES.index(name) for name in _SHUT]].sum(axis=1))
    return (1 - smoothstep(0, _NEARLY_SHUT, load_head().aperture(own))) * work


def _with_lips(fit: HeadFit, weights: Floats, shut: Floats) -> Floats:
    """Weights (T, 52) whose lips are as shut as `shut` (T,) says."""
    person = fit.person
    natural = person.aperture(weights)
    columns = [ARKIT_NAMES.index(name) for name in _PART]
    weights = weights.copy()
    weights[:, columns] -= shut[:, None] * fit.expression[columns].clip(0)
    closing = np.zeros_like(weights)
    closing[:, ARKIT_NAMES.index("mouthClose")] = 1

    def opening(amount: Floats) -> Floats:
        return person.aperture(weights + amount[:, None] * closing)

    target = (1 - shut) * natural
    amount = np.where(opening(np.zeros_like(shut)) > target, _least(opening, target, 0.0, 1.0), 0)
    return weights + (amount * (shut > 0)).astype(np.float32)[:, None] * closing


def _with_lids(fit: HeadFit, own: Floats, weights: Floats, target: Floats) -> Floats:
    """Weights (T, 52) whose lids are as open as `target` (T, 2)."""
    person = fit.person
    weights = weights.copy()
    for eye, name in enumerate(("eyeBlinkLeft", "eyeBlinkRight")):
        blinking = np.zeros_like(weights)
        blinking[:, ARKIT_NAMES.index(name)] = 1
        weights = weights - blinking * own  # said anew, by how open the lids are to be

        def opening(amount: Floats, base: Floats = weights, blinking: Floats = blinking, eye: int = eye) -> Floats:
            return person.lid_opening(base + amount[:, None] * blinking)[:, eye]

        amount = _least(opening, target[:, eye], -1.0, 2.0)
        settled = np.abs(opening(np.zeros(len(own), np.float32)) - target[:, eye]) < 1e-4
        weights = weights + np.where(settled, 0, amount).astype(np.float32)[:, None] * blinking
    return weights


def _least(opening: Callable[[Floats], Floats], target: Floats, low: float, high: float) -> Floats:
    """The least amounts (T,) with which `opening` falls to its target (T,)."""
    below, above = np.full(len(target), low, np.float32), np.full(len(target), high, np.float32)
    for _ in range(_BISECTIONS):
        middle = (below + above) / 2
        reached = opening(middle) <= target
        below, above = np.where(reached, below, middle), np.where(reached, middle, above)
    return above
