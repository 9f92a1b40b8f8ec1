# SPDX-License-Identifier: GPL-3.0-or-later
"""From a clip and a profile to the value of every property on every frame. Reads the scene and writes nothing."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..backend.errors import BakeError
from ..backend.motion.clip import MotionClip
from ..backend.motion.factors import LIMITS
from . import rotations
from .bake_options import BakeOptions
from .character import Character, shape_keys
from .key_values import factor_of, shown
from .rig_profile import RigProfile, Role, RotationBinding

__all__ = ["Plan", "Samples", "make_plan", "rotation_property"]

Channels = dict[str, NDArray[np.float32]]

JAW_OPEN_RAD: Final = 0.46
JAW_ASIDE_RAD: Final = 0.10
"""Turn of a jaw bone for jawOpen and for jawLeft or jawRight at 1: what the lower teeth of the own head turn."""

_ROTATION_TOLERANCE: Final = 0.25
"""Key tolerance of rotations over that of shape keys: a quarter of 0.002 in a quaternion is 0.06 degrees."""


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
    """The properties to animate with a value for each frame of a conditioned clip, and warnings for what is left alone.

    Raises BakeError.
    """
    plan: Plan = defaultdict(list)
    warnings: list[str] = []
    values = _with_gains({name: clip[name] for name in clip.names}, profile)
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
    return options.factor(factor).include


def _with_gains(values: Channels, profile: RigProfile) -> Channels:
    """The channels as strong as the profile wants each, within their limits; the jaw shuts where nothing else does."""
    strong = {
        name: np.clip(profile.gains[name] * track, *LIMITS[name]) if name in profile.gains else track
        for name, track in values.items()
    }
    jaw_turns = any(binding.role == "jaw" for binding in profile.rotations)
    if jaw_turns and "jawOpen" in strong and "mouthClose" not in profile.carried:
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
    return animation is not None and any(d.data_path == path and not d.mute for d in animation.drivers)


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
