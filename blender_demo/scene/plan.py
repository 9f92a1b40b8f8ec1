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
from . import rotations
from .bake_options import BakeOptions
from .character import Character, shape_keys
from .conditioning import FACTOR_OF
from .rig_profile import RigProfile, RotationBinding

__all__ = ["Plan", "Samples", "make_plan", "rotation_property"]

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
    values = {name: clip[name] for name in clip.names}
    for binding in profile.keys:
        mesh = _part(character, binding.object)
        factor = FACTOR_OF[binding.channel]
        if binding.channel not in values or not _included(options, factor):
            continue
        keys = shape_keys(mesh)
        block = keys.key_blocks.get(binding.key) if keys is not None else None
        if block is None:
            raise BakeError(f"'{mesh.name}' has no shape key '{binding.key}' any more. Detect the character again.")
        path = block.path_from_id("value")
        if _is_driven(keys, path):
            warnings.append(f"'{binding.key}' of '{mesh.name}' follows a driver and was left alone.")
            continue
        if block.mute:
            warnings.append(f"The shape key '{binding.key}' of '{mesh.name}' is muted, so it will not show.")
        weights = np.clip(binding.offset + binding.gain * values[binding.channel], block.slider_min, block.slider_max)
        plan[keys, factor].append(Samples(path, 0, weights.astype(np.float64), options.tolerance))
    for binding in profile.rotations:
        factor, names = (
            ("eyes", ("gazeYaw", "gazePitch", None))
            if binding.role == "eye"
            else ("pose", ("headYaw", "headPitch", "headRoll"))
        )
        if names[0] not in values or not _included(options, factor):
            continue
        obj = _part(character, binding.object)
        zero = np.zeros(len(clip), np.float32)
        angles = rotations.from_angles(*(values.get(name, zero) if name else zero for name in names))
        samples = _rotation_samples(obj, binding, angles, options.tolerance)
        driven = [s for s in samples if _is_driven(obj, s.path)]
        if driven:
            warnings.append(f"The rotation of '{binding.bone or obj.name}' follows a driver and was left alone.")
            continue
        plan[obj, factor] += samples
    return dict(plan), warnings


def _included(options: BakeOptions, factor: str) -> bool:
    return options.factor(factor).include


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
