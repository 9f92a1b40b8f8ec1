# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bake will do, what forbids it, and what would keep it from being seen, each with what mends it.

All is found without writing anything. A bake refuses what forbids it, and tells what hinders it, from here too.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import bpy
import numpy as np

from ..backend.errors import DemoError
from ..backend.motion.clip import MotionClip
from ..backend.motion.factors import CHANNELS
from . import actions
from .bake_options import BakeOptions
from .character import Character, half_linked_meshes, override_meshes, shape_keys
from .draft import Draft, draft_bake, scene_fps
from .rig_profile import RigProfile

__all__ = ["Finding", "Remedy", "Severity", "blockers", "hindrances", "left_alone", "preflight"]

Severity = Literal["ERROR", "WARNING", "INFO"]
"""What forbids a bake, what hinders it or should be known before, and what it will do."""


@dataclass(frozen=True)
class Remedy:
    """label: what the button says. apply: does it."""

    label: str
    apply: Callable[[], object]


@dataclass(frozen=True)
class Finding:
    """kind: what was found, as an identifier. target: the name of what it was found on. text: a sentence."""

    kind: str
    target: str
    severity: Severity
    text: str
    remedy: Remedy | None = field(default=None, compare=False)


def preflight(
    character: Character,
    profile: RigProfile,
    options: BakeOptions,
    scene: bpy.types.Scene,
    clip: MotionClip | None = None,
) -> list[Finding]:
    """Everything there is to say of a bake before it: what forbids it, what hinders it, what it will do.

    Without a clip nothing is said of its frames and keys.
    """
    found = list(blockers(character, profile))
    still = MotionClip(scene_fps(scene), np.zeros((2, len(CHANNELS)), np.float32))
    try:
        draft = draft_bake(
            clip or still, character, profile, options if clip else replace(options, first=None, last=None), scene
        )
    except DemoError as error:
        return [*found, Finding("refused", character.name, "ERROR", str(error))]
    found += left_alone(draft)
    found += [f for f in hindrances(character, profile, draft, options, scene) if clip or f.kind != "scene_range"]
    return found + list(_outlook(draft, options, with_clip=clip is not None))


def left_alone(draft: Draft) -> list[Finding]:
    """What a bake does not touch, and why."""
    return [Finding("left_alone", draft.take.name, "WARNING", text) for text in draft.warnings]


def blockers(character: Character, profile: RigProfile) -> Iterator[Finding]:
    """What forbids a bake."""
    driven = _driven_objects(character, profile)
    for part in driven:
        if part.library is not None:
            yield Finding(
                "linked",
                part.name,
                "ERROR",
                f"'{part.name}' is linked from {part.library.filepath} and cannot be animated here. "
                "Make a library override of it: Object > Library Override > Make.",
            )
    for mesh in half_linked_meshes(character):
        yield Finding(
            "half_linked",
            mesh.name,
            "ERROR",
            f"The shape keys of '{mesh.name}' are still linked, as library overrides leave them out. "
            "Press 'Make Shape Keys Editable' in the sidebar.",
            Remedy("Make Shape Keys Editable", partial(override_meshes, character)),
        )
    for block in _driven_blocks(driven):
        animation = block.animation_data
        if animation is not None and animation.use_tweak_mode:
            yield Finding(
                "tweak_mode",
                block.name,
                "ERROR",
                f"{_name(block)} is in tweak mode. Leave it (Tab over the NLA Editor), then bake again.",
                Remedy("Leave Tweak Mode", partial(setattr, animation, "use_tweak_mode", False)),
            )
        if isinstance(block, bpy.types.Key) and not block.use_relative:
            yield Finding(
                "absolute_keys",
                block.name,
                "ERROR",
                f"The shape keys of {_name(block)} are absolute. Switch them to Relative in the Shape Keys panel.",
                Remedy("Make Relative", partial(setattr, block, "use_relative", True)),
            )


def hindrances(
    character: Character, profile: RigProfile, draft: Draft, options: BakeOptions, scene: bpy.types.Scene
) -> Iterator[Finding]:
    """What would keep a take from being seen, or will hide what the artist has."""
    paths: dict[Any, set[actions.CurveId]] = {}
    for layer in draft.layers:
        paths.setdefault(layer.block, set()).update((curve.path, curve.index) for curve in layer.curves)
    for block, own in paths.items():
        yield from _hidden_in_nla(block, own, options) if options.target == "NLA" else _hidden_in_active(block, own)
    yield from _locked(draft)
    yield from _keys_cut(character, profile)
    for obj in _driven_objects(character, profile):
        yield from _object_hidden(obj, character, scene)
    yield from _scene_range(draft, scene)


def _warn(kind: str, target: str, text: str, label: str = "", apply: Callable[[], object] | None = None) -> Finding:
    return Finding(kind, target, "WARNING", text, Remedy(label, apply) if apply is not None else None)


def _each(setters: Iterable[Callable[[], object]]) -> Callable[[], object]:
    """All of some remedies as one."""
    kept = list(setters)
    return lambda: [apply() for apply in kept]


def _driven_objects(character: Character, profile: RigProfile) -> list[bpy.types.Object]:
    names = {binding.object for binding in (*profile.keys, *profile.rotations)}
    return [part for part in character.parts if part.name in names]


def _driven_blocks(objects: Iterable[bpy.types.Object]) -> list[Any]:
    """The objects, and the shape keys of those that have such; each once."""
    keys = [shape_keys(obj) for obj in objects if getattr(obj.data, "shape_keys", None) is not None]
    return list(dict.fromkeys([*objects, *keys]))


def _hidden_in_nla(block: Any, own: set[actions.CurveId], options: BakeOptions) -> Iterator[Finding]:
    animation, name, called = block.animation_data, block.name, _name(block)
    if animation is None:
        return
    if hidden := own & actions.active_paths(block):
        yield _warn(
            "active_action",
            name,
            f"The active Action '{animation.action.name}' of {called} hides {len(hidden)} of its curves. "
            "Push it down into the NLA to see both.",
            "Push Down",
            partial(actions.push_down, block),
        )
    if not animation.use_nla:
        yield _warn(
            "nla_off",
            name,
            f"The NLA of {called} is switched off, so the take does not show.",
            "Switch On",
            partial(setattr, animation, "use_nla", True),
        )
    if solo := actions.solo_of_artist(block):
        yield _warn(
            "solo_track",
            name,
            f"The track '{solo.name}' of {called} is solo in the NLA, so the take does not show.",
            "End Solo",
            partial(setattr, solo, "is_solo", False),
        )
    for track in actions.own_tracks(block):
        muted = [owner for owner in (track, *track.strips) if owner.mute]
        if muted:
            yield _warn(
                "muted_track",
                f"{name}: {track.name}",
                f"The track '{track.name}' of {called} is muted.",
                "Unmute",
                _each(partial(setattr, owner, "mute", False) for owner in muted),
            )


def _hidden_in_active(block: Any, own: set[actions.CurveId]) -> Iterator[Finding]:
    curves = actions.active_curves(block)
    muted = [o for key in own & set(curves) for o in (curves[key], curves[key].group) if o is not None and o.mute]
    if muted:
        yield _warn(
            "muted_curves",
            block.name,
            f"Curves of {_name(block)}, or their group, are muted in '{block.animation_data.action.name}'.",
            "Unmute",
            _each(partial(setattr, owner, "mute", False) for owner in muted),
        )
    modifiers = [modifier for key in own & set(curves) for modifier in curves[key].modifiers if not modifier.mute]
    if modifiers:
        yield _warn(
            "curve_modifiers",
            block.name,
            f"Curves of {_name(block)} have F-curve modifiers, which change the take too.",
            "Mute",
            _each(partial(setattr, modifier, "mute", True) for modifier in modifiers),
        )


def _locked(draft: Draft) -> Iterator[Finding]:
    for block in {block: None for block, _ in draft.locked}:
        curves = actions.active_curves(block)
        own = [curves[key] for of, key in draft.locked if of == block]
        owners = [owner for curve in own for owner in (curve, curve.group) if owner is not None and owner.lock]
        yield _warn(
            "locked_curves",
            block.name,
            f"{_counted(len(own), 'locked curve')} of {_name(block)} in '{block.animation_data.action.name}' (locked "
            "alone or with the group) will be left alone.",
            "Unlock",
            _each(partial(setattr, owner, "lock", False) for owner in owners),
        )


def _keys_cut(character: Character, profile: RigProfile) -> Iterator[Finding]:
    """Shape keys that are muted, or whose slider does not go as far as the profile does."""
    for binding in profile.keys:
        mesh = character.object(binding.object)
        block: Any = shape_keys(mesh).key_blocks.get(binding.key) if mesh is not None else None
        if block is None:
            continue
        target = f"{mesh.name}: {binding.key}"  # pyright: ignore[reportOptionalMemberAccess]
        if block.mute:
            yield _warn(
                "muted_key",
                target,
                f"The shape key '{binding.key}' of '{binding.object}' is muted, so it will not show.",
                "Unmute",
                partial(setattr, block, "mute", False),
            )
        ends = sorted(binding.offset + binding.gain * edge for edge in (binding.low, binding.high))
        low, high = min(block.slider_min, ends[0]), max(block.slider_max, ends[1])
        if block.slider_min > ends[0] + 1e-6 or block.slider_max < ends[1] - 1e-6:
            yield _warn(
                "key_limits",
                target,
                f"The shape key '{binding.key}' of '{binding.object}' only goes from {block.slider_min:g} to "
                f"{block.slider_max:g}, so what lies beyond is cut.",
                "Widen",
                _each((partial(setattr, block, "slider_min", low), partial(setattr, block, "slider_max", high))),
            )


def _object_hidden(obj: bpy.types.Object, character: Character, scene: bpy.types.Scene) -> Iterator[Finding]:
    data: Any = obj.data
    if obj.mode == "EDIT":
        yield _warn(
            "edit_mode",
            obj.name,
            f"'{obj.name}' is in Edit Mode, where no animation shows.",
            "Leave Edit Mode",
            partial(_leave_edit_mode, obj),
        )
    if obj.type == "ARMATURE":
        if data.pose_position == "REST":
            yield _warn(
                "rest_position",
                obj.name,
                f"The armature '{obj.name}' is in Rest Position, so its bones do not move.",
                "Pose Position",
                partial(setattr, data, "pose_position", "POSE"),
            )
        return  # rigs are often hidden on purpose
    if obj.type == "MESH" and obj.show_only_shape_key:
        yield _warn(
            "only_shape_key",
            obj.name,
            f"'{obj.name}' shows its active shape key only ('Shape Key Lock'), so the take does not show.",
            "Show All",
            partial(setattr, obj, "show_only_shape_key", False),
        )
    if hiders := _hiders(obj, scene):
        names = ", ".join(hiders)
        yield _warn("hidden", obj.name, f"'{obj.name}' is hidden: {names}.", "Show", _each(hiders.values()))
    off = [m for m in obj.modifiers if m.type == "ARMATURE" and not (m.show_viewport and m.show_render)]
    if off and character.armature is not None:
        yield _warn(
            "modifier_off",
            obj.name,
            f"The armature modifier of '{obj.name}' is switched off in the viewport or the render, so it does not "
            "follow the bones.",
            "Switch On",
            _each(partial(setattr, m, show, True) for m in off for show in ("show_viewport", "show_render")),
        )


def _leave_edit_mode(obj: bpy.types.Object) -> None:
    with bpy.context.temp_override(active_object=obj, object=obj):
        bpy.ops.object.mode_set(mode="OBJECT")


def _hiders(obj: bpy.types.Object, scene: bpy.types.Scene) -> dict[str, Callable[[], object]]:
    """What hides an object, in an artist's words, with what shows it again."""
    hiders: dict[str, Callable[[], object]] = {}
    layer = bpy.context.view_layer if bpy.context.scene == scene else scene.view_layers[0]
    if obj.hide_viewport:
        hiders["in all viewports"] = partial(setattr, obj, "hide_viewport", False)
    if obj.hide_render:
        hiders["in renders"] = partial(setattr, obj, "hide_render", False)
    if layer is None:
        return hiders
    if obj.name in layer.objects and obj.hide_get(view_layer=layer):
        hiders["in the view layer"] = partial(obj.hide_set, False, view_layer=layer)
    chain = _collections_to(obj, layer.layer_collection) or []
    for held in chain:
        name = held.collection.name
        if held.exclude:
            hiders[f"collection '{name}' is excluded"] = partial(setattr, held, "exclude", False)
        if held.hide_viewport or held.collection.hide_viewport:
            hiders[f"collection '{name}' is hidden"] = _each(
                partial(setattr, owner, "hide_viewport", False) for owner in (held, held.collection)
            )
        if held.collection.hide_render:
            hiders[f"collection '{name}' is hidden in renders"] = partial(
                setattr, held.collection, "hide_render", False
            )
    return hiders


def _collections_to(obj: bpy.types.Object, top: Any) -> list[Any] | None:
    """The layer collections from `top` down to one that holds an object; None where it is in none of them."""
    if obj.name in top.collection.objects:
        return [top]
    for child in top.children:
        below = _collections_to(obj, child)
        if below is not None:
            return [top, *below]
    return None


def _scene_range(draft: Draft, scene: bpy.types.Scene) -> Iterator[Finding]:
    end = math.ceil(draft.take.end)
    if end > scene.frame_end:
        yield _warn(
            "scene_range",
            scene.name,
            f"The take ends on frame {draft.take.end:g}, the scene on {scene.frame_end}.",
            "Extend Scene",
            partial(setattr, scene, "frame_end", end),
        )
    if draft.take.end < scene.frame_start:
        yield _warn(
            "scene_range",
            scene.name,
            f"The take ends on frame {draft.take.end:g}, before the scene begins on {scene.frame_start}.",
        )


def _outlook(draft: Draft, options: BakeOptions, with_clip: bool) -> Iterator[Finding]:
    """What will be written."""
    blocks = list(dict.fromkeys(layer.block for layer in draft.layers))
    properties = {
        (block, curve.path)
        for block in blocks
        for layer in draft.layers
        if layer.block == block
        for curve in layer.curves
    }
    keys = sum(isinstance(block, bpy.types.Key) for block, _ in properties)
    parts = [
        _counted(keys, "shape key"),
        _counted(len(properties) - keys, "rotation"),
    ]
    what = " and ".join(part for part in parts if part)
    yield Finding("outlook", "what", "INFO", f"Animates {what} of {', '.join(_name(block) for block in blocks)}.")
    if with_clip:
        yield Finding(
            "outlook",
            "keys",
            "INFO",
            f"Writes {draft.keys} keys on {draft.curves} curves, frames {draft.take.start:g} to {draft.take.end:g}.",
        )
    yield Finding("outlook", "target", "INFO", _TARGETS[options.target](draft, blocks))
    if draft.replaced:
        names = ", ".join(f"'{name}'" for name in sorted(draft.replaced))
        yield Finding("outlook", "replaced", "INFO", f"Replaces the take {names}.")


def _counted(count: int, thing: str) -> str:
    """'1 rotation', '2 rotations'; empty for none."""
    return f"{count} {thing}{'s' if count > 1 else ''}" if count else ""


def _name(block: Any) -> str:
    """What an artist knows a data-block by: shape keys by their mesh."""
    return f"'{block.user.name if isinstance(block, bpy.types.Key) else block.name}'"


def _active_names(blocks: Sequence[Any]) -> str:
    found = [b.animation_data.action.name for b in blocks if b.animation_data and b.animation_data.action]
    return ", ".join(f"'{name}'" for name in dict.fromkeys(found))


def _tell_nla(draft: Draft, _blocks: Sequence[Any]) -> str:
    factors = dict.fromkeys(layer.factor for layer in draft.layers)
    return f"Goes onto the NLA tracks {', '.join(actions.TRACK_PREFIX + factor for factor in factors)}."


def _tell_new(draft: Draft, blocks: Sequence[Any]) -> str:
    names = _active_names([block for block in blocks if not actions.own_active(block)])
    beneath = f" Your {names} is pushed down into the NLA." if names else ""
    return f"Makes a new Action '{actions.TRACK_PREFIX}{draft.take.name}' the active one.{beneath}"


def _tell_active(draft: Draft, blocks: Sequence[Any]) -> str:
    names = _active_names(blocks)
    if not names:
        return "There is no active Action yet, so one is made."
    kept = "" if all(map(actions.own_active, blocks)) else " The keys are yours then: Remove leaves them."
    return f"Changes the active Action {names} between frames {draft.take.start:g} and {draft.take.end:g}.{kept}"


_TARGETS = {"NLA": _tell_nla, "NEW": _tell_new, "ACTIVE": _tell_active}
