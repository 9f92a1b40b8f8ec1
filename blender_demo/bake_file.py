# SPDX-License-Identifier: GPL-3.0-or-later
"""Bake a clip into a Blender file, for the command line: open, bake, write a new file whole or not at all."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import bpy

from .backend.errors import RigError
from .backend.motion.clip import MotionClip
from .blend_file import open_scene, save_whole
from .scene.bake import BakeReport, bake, scene_fps
from .scene.bake_options import BakeOptions
from .scene.character import Character, find_character
from .scene.draft import set_scene_fps
from .scene.head import add_head
from .scene.preflight import Finding, preflight
from .scene.profiles import fit_profile, has_stored, profile_of
from .scene.rig_profile import RigProfile

__all__ = ["BakeOrder", "bake_into_file", "preflight_of_file", "registered"]


@dataclass(frozen=True)
class BakeOrder:
    """blend: the scene, or None for an empty one.

    object_name: any object of the character; may be None where there is one character only.
    add_own_head: bake onto the project's own head, added to the scene. fps: of the scene, or None to leave it.
    options: how it is baked.
    profile: a saved mapping; without one, that of the scene counts, else what is detected.
    """

    blend: Path | None
    object_name: str | None = None
    add_own_head: bool = False
    fps: float | None = None
    options: BakeOptions = field(default_factory=BakeOptions)
    profile: Path | None = None


def bake_into_file(clip: MotionClip, order: BakeOrder, out: Path) -> BakeReport:
    """Bake a clip as ordered and write `out`, which may be the scene's own file.

    Replaces what is open in this Blender; raises DemoError before anything is written.
    """
    with registered():
        scene, character = _opened(clip, order)
        profile, told = _profile(scene, character, order.profile)
        report = bake(clip, character, profile, order.options, scene)
        if order.blend is None:
            scene.frame_start, scene.frame_end = math.floor(report.first_frame), math.ceil(report.last_frame)
        save_whole(out)
    return replace(report, notes=(*told, *report.notes))


def preflight_of_file(clip: MotionClip, order: BakeOrder) -> list[Finding]:
    """What `bake_into_file` would do, and what is in its way. Replaces what is open in this Blender; writes nothing."""
    with registered():
        scene, character = _opened(clip, order)
        profile, _ = _profile(scene, character, order.profile)
        return preflight(character, profile, order.options, scene, clip)


@contextmanager
def registered() -> Iterator[None]:
    """With the add-on registered, as Blender gives the mappings in a file to registered add-ons only."""
    if hasattr(bpy.types.Scene, "demo"):
        yield
        return
    from . import registration

    registration.register()
    try:
        yield
    finally:
        registration.unregister()


def _opened(clip: MotionClip, order: BakeOrder) -> tuple[bpy.types.Scene, Character]:
    """The scene of an order, at its frame rate, and the character in it."""
    scene = open_scene(order.blend)
    if order.fps is not None:
        set_scene_fps(scene, order.fps)
    target = add_head(scene).meshes[0] if order.add_own_head else _target(scene, order)
    if order.blend is None:  # a scene of its own is as long as the take
        scene.frame_end = math.ceil(order.options.start_frame + clip.duration_s * scene_fps(scene))
    return scene, find_character(target)


def _target(scene: bpy.types.Scene, order: BakeOrder) -> bpy.types.Object:
    keyed = sorted(
        obj.name for obj in scene.objects if obj.type == "MESH" and getattr(obj.data, "shape_keys", None) is not None
    )
    if order.object_name is not None:
        named = scene.objects.get(order.object_name)
        if named is not None:
            return named
        hint = f"Objects with shape keys are {', '.join(keyed)}." if keyed else "None of its objects has shape keys."
        raise RigError(f"{order.blend} has no object '{order.object_name}'. {hint}")
    if not keyed:
        raise RigError(f"No object in {order.blend} has shape keys. Name the character with --object, or use --head.")
    roots = {find_character(scene.objects[name]).root.name for name in keyed}
    if len(roots) > 1:
        raise RigError(f"{order.blend} has several characters. Choose one with --object: {', '.join(sorted(roots))}.")
    return scene.objects[keyed[0]]


def _profile(scene: bpy.types.Scene, character: Character, saved: Path | None) -> tuple[RigProfile, list[str]]:
    """What drives the character, and sentences on where that is from."""
    if saved is None:
        told = [f"The mapping that the scene keeps for '{character.name}' is used."]
        return profile_of(scene, character), told if has_stored(scene, character) else []
    profile, left_out = fit_profile(RigProfile.load(saved), character)
    return profile, [f"'{character.name}' lacks {', '.join(left_out)} of {saved}."] if left_out else []
