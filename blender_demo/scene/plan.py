# SPDX-License-Identifier: GPL-3.0-or-later
"""From a clip and a profile to the value of every property on every frame. Reads the scene and writes nothing."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import BakeError
from ..backend.motion.clip import MotionClip
from ..backend.motion.factors import ARKIT_NAMES, FACTORS, LIMITS, eye_look_from_gaze, gaze_from_eye_look
from . import rotations
from .character import Character, shape_keys
from .key_values import factor_of, shown
from .rig_profile import RigProfile, Role, RotationBinding

__all__ = ["EYE_LOOK", "BakeOptions", "FactorBake", "Plan", "Samples", "make_plan", "rotation_property"]

_FACTOR_OF: Final = {channel: factor.name for factor in FACTORS for channel in factor.channels}
Channels = dict[str, NDArray[np.float32]]

JAW_OPEN_RAD: Final = 0.46
JAW_ASIDE_RAD: Final = 0.10
"""Turn of a jaw bone for jawOpen and for jawLeft or jawRight at 1: what the lower teeth of the own head turn."""

EYE_LOOK: Final = tuple(name for name in ARKIT_NAMES if name.startswith("eyeLook"))
"""Channels of the gaze on characters whose eyes do not turn, in channel order."""

_ROTATION_TOLERANCE: Final = 0.25
"""Key tolerance of rotations over that of shape keys: a quarter of 0.002 in a quaternion is 0.06 degrees."""


@dataclass(frozen=True)
class FactorBake:
    """How one factor goes onto the character.

    include: whether it is baked at all.
    gain: scale around rest.
    blend: how its track goes over the artist's tracks beneath it: REPLACE, or COMBINE to add to them.
    """

    include: bool = True
    gain: float = 1.0
    blend: str = "REPLACE"


def _default_factors() -> dict[str, FactorBake]:
    return {factor.name: FactorBake(blend="COMBINE" if factor.name == "pose" else "REPLACE") for factor in FACTORS}


@dataclass(frozen=True)
class BakeOptions:
    """start_frame: scene frame of the clip's first frame; may lie between frames.
    take: the name of the take; a take of the same name, or one in the same place, is replaced.
    tolerance: how far a curve may leave the clip to save keys, in shape key units.
    ease_s: seconds before and after the clip in which the face leaves and finds its rest.
    factors: for each factor how it is baked. The head adds to what the artist animated beneath, the face replaces it.
    """

    start_frame: float = 1.0
    take: str = "take"
    tolerance: float = 0.002
    ease_s: float = 0.2
    factors: Mapping[str, FactorBake] = field(default_factory=_default_factors)


@dataclass(frozen=True)
class Samples:
    """One property before its keys are chosen.

    values: one for each frame, (T,).
    tolerance: how far the curve may leave them.
    neutral: what the property is when nothing moves it.
    """

    path: str
    index: int
    values: NDArray[np.float64]
    tolerance: float
    neutral: float = 0.0


Plan = dict[tuple[Any, str], list[Samples]]
"""For each data-block and factor the properties to animate."""


def make_plan(
    clip: MotionClip, character: Character, profile: RigProfile, options: BakeOptions
) -> tuple[Plan, list[str]]:
    """The properties to animate with a value for each frame of the clip, and warnings for what had to be left alone.

    Raises BakeError.
    """
    plan: Plan = defaultdict(list)
    warnings: list[str] = []
    values = _with_gains(_channels(clip, options), profile)
    included = [binding for binding in profile.keys if _included(options, factor_of(binding))]
    for binding, amount in zip(included, shown(included, values), strict=True):
        mesh = _part(character, binding.object)
        block = _key_block(mesh, binding.key)
        keys, path = shape_keys(mesh), block.path_from_id("value")
        if amount is None:
            continue
        if _is_driven(keys, path):
            warnings.append(f"'{binding.key}' of '{mesh.name}' follows a driver and was left alone.")
            continue
        if block.mute:
            warnings.append(f"The shape key '{binding.key}' of '{mesh.name}' is muted, so it will not show.")
        weights = np.clip(binding.offset + binding.gain * amount, block.slider_min, block.slider_max)
        plan[keys, factor_of(binding)].append(Samples(path, 0, weights, options.tolerance))
    for binding in profile.rotations:
        factor, angles = _turn(binding.role, values, len(clip))
        if angles is None or not _included(options, factor):
            continue
        obj = _part(character, binding.object)
        samples = _rotation_samples(obj, binding, angles, options.tolerance)
        driven = [s for s in samples if _is_driven(obj, s.path)]
        if driven:
            warnings.append(f"The rotation of '{binding.bone or obj.name}' follows a driver and was left alone.")
            continue
        plan[obj, factor] += samples
    return dict(plan), warnings


def _turn(role: Role, values: Channels, frames: int) -> tuple[str, NDArray[np.float64] | None]:
    """The factor of what turns, and its rotations (T, 4) in the head frame; None where no channel tells them."""
    zero = np.zeros(frames)
    if role == "jaw":
        if "jawOpen" not in values:
            return "lip", None
        aside = values.get("jawRight", zero) - values.get("jawLeft", zero)
        return "lip", rotations.from_angles(JAW_ASIDE_RAD * aside, JAW_OPEN_RAD * values["jawOpen"], zero)
    factor, names = (
        ("eyes", ("gazeYaw", "gazePitch")) if role == "eye" else ("pose", ("headYaw", "headPitch", "headRoll"))
    )
    if names[0] not in values:
        return factor, None
    angles = [values.get(name, zero) for name in names]
    return factor, rotations.from_angles(*angles, *[zero] * (3 - len(angles)))


def _key_block(mesh: bpy.types.Object, name: str) -> bpy.types.ShapeKey:
    keys = shape_keys(mesh)
    block = keys.key_blocks.get(name) if keys is not None else None
    if block is None:
        raise BakeError(f"'{mesh.name}' has no shape key '{name}' any more. Detect the character again.")
    return block


def _included(options: BakeOptions, factor: str) -> bool:
    return options.factors.get(factor, FactorBake()).include


def _channels(clip: MotionClip, options: BakeOptions) -> dict[str, NDArray[np.float32]]:
    """The clip's channels with each factor's gain, within their limits.

    Where a clip has only one of gaze and eyeLook, the other is made from it.
    """
    values = {name: clip[name] for name in clip.names if name in LIMITS}
    gaze = ("gazeYaw", "gazePitch")
    if not set(gaze) & set(values) and set(EYE_LOOK) <= set(values):
        values.update(
            zip(gaze, gaze_from_eye_look(np.stack([values[name] for name in EYE_LOOK], axis=1)).T, strict=True)
        )
    elif set(gaze) <= set(values) and not set(EYE_LOOK) & set(values):
        values.update(
            zip(EYE_LOOK, eye_look_from_gaze(np.stack([values[name] for name in gaze], axis=1)).T, strict=True)
        )
    gains = {name: options.factors.get(_FACTOR_OF[name], FactorBake()).gain for name in values}
    return {name: np.clip(gains[name] * channel, *LIMITS[name]) for name, channel in values.items()}


def _with_gains(values: Channels, profile: RigProfile) -> Channels:
    """The channels as strong as the profile wants each, within their limits; the jaw shuts where nothing else does."""
    strong = {
        name: np.clip(profile.gains[name] * track, *LIMITS[name]) if name in profile.gains else track
        for name, track in values.items()
    }
    if any(binding.role == "jaw" for binding in profile.rotations) and "mouthClose" not in profile.carried:
        strong["jawOpen"] = np.clip(strong["jawOpen"] - strong.get("mouthClose", 0.0), 0.0, 1.0)
    return strong


def _part(character: Character, name: str) -> bpy.types.Object:
    part = character.object(name)
    if part is None:
        raise BakeError(
            f"The profile names '{name}', which is no part of '{character.name}'. Detect the character again."
        )
    return part


def _is_driven(block: Any, path: str) -> bool:
    animation = block.animation_data
    return animation is not None and any(driver.data_path == path for driver in animation.drivers)


def _rotation_samples(
    obj: bpy.types.Object, binding: RotationBinding, angles: NDArray[np.float64], tolerance: float
) -> list[Samples]:
    """The rotation property of a bone or object, by component. Angles are (T, 4) quaternions in the head frame."""
    path, mode = rotation_property(obj, binding)
    turned = rotations.conjugate_by(rotations.power(angles, binding.share), np.array(binding.frame).reshape(3, 3))
    columns = rotations.to_mode(turned, mode).T
    neutral = rotations.NEUTRAL.get(mode, (0.0, 0.0, 0.0))
    return [Samples(path, i, column, tolerance * _ROTATION_TOLERANCE, neutral[i]) for i, column in enumerate(columns)]


def rotation_property(obj: bpy.types.Object, binding: RotationBinding) -> tuple[str, str]:
    """RNA path and rotation mode of what turns with a binding. Raises BakeError where it cannot turn.

    A bone turns around its rest pose. An object turns by its delta rotation, so that its own stays the artist's.
    """
    if binding.bone:
        bone = obj.pose.bones.get(binding.bone) if obj.pose is not None else None
        if bone is None:
            raise BakeError(f"'{obj.name}' has no bone '{binding.bone}' any more. Detect the character again.")
        mode = bone.rotation_mode
        return bone.path_from_id(rotations.ROTATION_PATHS.get(mode, "rotation_euler")), mode
    mode = obj.rotation_mode
    if mode == "AXIS_ANGLE":
        raise BakeError(
            f"'{obj.name}' rotates by axis and angle, which has no delta. Set its rotation mode to Quaternion."
        )
    return f"delta_{rotations.ROTATION_PATHS.get(mode, 'rotation_euler')}", mode
