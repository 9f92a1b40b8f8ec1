# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in Blender's window: generates as the buttons do, cancels, undoes, and leaves a baked face to look at."""

import importlib
import json
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
from mathutils import Vector

FOLDER = Path.cwd()
ORDER = json.loads((FOLDER / "order.json").read_text())
SEEN: dict[str, Any] = {"passed": False}


def _session() -> Any:
    name = next(addon.module for addon in bpy.context.preferences.addons if addon.module.endswith(".blender_demo"))
    return importlib.import_module(f"{name}.operators.session").SESSION


def _view() -> tuple[Any, Any]:
    window = bpy.context.window_manager.windows[0]
    return window, next(area for area in window.screen.areas if area.type == "VIEW_3D")


def _call(operator: Callable[..., set[str]], *args: Any, **options: Any) -> set[str]:
    """Call an operator as if its button in the sidebar had been pressed."""
    window, area = _view()
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        return operator(*args, **options)


def _until(done: Callable[[], bool], seconds: float) -> Iterator[float]:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        yield 0.1


def _settings() -> Any:
    return bpy.context.window_manager.windows[0].scene.demo


def _tracks() -> int:
    keys = bpy.data.objects[ORDER["object"]].data.shape_keys
    return len(keys.animation_data.nla_tracks) if keys.animation_data else 0


def _steps() -> Iterator[float]:
    """The whole visit; each value is how long to wait before going on."""
    bpy.ops.wm.open_mainfile(filepath=str(FOLDER / "character.blend"))
    yield 1.0
    area = _view()[1]
    area.spaces[0].show_region_ui = True
    yield 1.0
    next(region for region in area.regions if region.type == "UI").active_panel_category = "DEMO"
    settings = _settings()
    settings.character = bpy.data.objects[ORDER["object"]]
    settings.audio_path = str(FOLDER / ORDER["audio"])
    _look_at_the_face(area)
    SEEN["character"] = settings.character_status
    yield 0.5
    SEEN["mapping"] = _mapping_with_undo()
    yield 0.5

    _call(bpy.ops.demo.generate, "INVOKE_DEFAULT")
    SEEN["busy"] = _session().busy
    yield 1.0
    _call(bpy.ops.demo.cancel)
    yield from _until(lambda: not _session().busy, 20.0)
    SEEN["cancelled_clean"] = not _session().busy and _tracks() == 0

    started = time.monotonic()
    _call(bpy.ops.demo.generate, "INVOKE_DEFAULT")
    stages: dict[str, float] = {}
    while _session().busy and time.monotonic() - started < 40.0:
        stages[_session().job.stage] = round(_session().job.progress, 2)
        yield 0.1
    SEEN.update(
        seconds=round(time.monotonic() - started, 1), stages=stages, tracks=_tracks(), take=_settings().clip_summary
    )
    _call(bpy.ops.ed.undo)
    yield 0.5
    SEEN["tracks_after_undo"] = _tracks()
    _call(bpy.ops.ed.redo)
    yield 0.5
    SEEN["tracks_after_redo"] = _tracks()
    yield from _bake_into_mine()
    bpy.context.window_manager.windows[0].scene.frame_set(_widest_frame())
    yield 0.5
    SEEN["passed"] = bool(
        SEEN["busy"]
        and SEEN["cancelled_clean"]
        and SEEN["tracks"]
        and not SEEN["tracks_after_undo"]
        and SEEN["mapping"] == _MAPPING
        and SEEN["tracks_after_redo"]
        and SEEN["mine_after_undo"]
        and SEEN["mine_after_redo"]
    )


def _bake_into_mine() -> Iterator[float]:
    """Bake into an Action keyed by hand: one step back is as before to the bit, one forward as baked."""
    jaw = bpy.data.objects[ORDER["object"]].data.shape_keys.key_blocks["jawOpen"]
    for frame, value in ((-20, 0.1), (15, 0.6), (300, 0.2)):
        jaw.value = value
        jaw.keyframe_insert("value", frame=frame)
    _settings().target = "ACTIVE"
    _call(bpy.ops.ed.undo_push)
    before = _active_keys()
    _call(bpy.ops.demo.bake, "EXEC_DEFAULT", True)
    baked = _active_keys()
    _call(bpy.ops.ed.undo)
    yield 0.5
    SEEN["mine_after_undo"] = _active_keys() == before != baked
    _call(bpy.ops.ed.redo)
    yield 0.5
    SEEN["mine_after_redo"] = _active_keys() == baked


def _active_keys() -> list[Any]:
    """Every key, with its handles, of the active Action of the character's shape keys."""
    action: Any = bpy.data.objects[ORDER["object"]].data.shape_keys.animation_data.action
    if hasattr(action, "fcurves"):
        curves = list(action.fcurves)
    else:
        strips = [strip for layer in action.layers for strip in layer.strips]
        curves = [curve for strip in strips for bag in strip.channelbags for curve in bag.fcurves]
    names = ("co", "handle_left", "handle_right")
    return [
        (curve.data_path, curve.array_index, [tuple(getattr(p, name)) for p in curve.keyframe_points for name in names])
        for curve in curves
    ]


_MAPPING: Any = {
    "edited and tested": [2.0, 0.8, True],
    "undone": [1.0, 0.0, False],
    "redone": [2.0, 0.8, True],
    "ended": [2.0, 0.0, False],
    "detected": [1.0, 0.0, False],
}


def _mapping_with_undo() -> dict[str, Any]:
    """Gain of a key, its value and whether it is tested: an edit and a test go with undo and come back with redo."""

    def seen() -> list[Any]:
        mapping, keys = _settings().mapping, bpy.data.objects[ORDER["object"]].data.shape_keys
        return [round(mapping.rows[0].gain, 3), round(keys.key_blocks["jawOpen"].value, 3), mapping.is_testing]

    mapping = _settings().mapping
    mapping.active = mapping.channels.find("jawOpen")
    _call(bpy.ops.ed.undo_push, message="Before")
    mapping.rows[0].gain, mapping.weight = 2.0, 0.4
    _call(bpy.ops.ed.undo_push, message="Mapping")
    found = {"edited and tested": seen()}
    steps = {"undone": "ed.undo", "redone": "ed.redo", "ended": "demo.mapping_done", "detected": "demo.mapping_detect"}
    for name, operator in steps.items():
        module, _, function = operator.partition(".")
        _call(getattr(getattr(bpy.ops, module), function))
        found[name] = seen()
    return found


def _widest_frame() -> int:
    """A frame with an open mouth, to look at."""
    scene = bpy.context.window_manager.windows[0].scene
    jaw = bpy.data.objects[ORDER["object"]].data.shape_keys.key_blocks["jawOpen"]
    best = (0.0, scene.frame_current)
    for frame in range(1, 60):
        scene.frame_set(frame)
        best = max(best, (jaw.value, frame))
    return best[1]


def _look_at_the_face(area: Any) -> None:
    """Front view, close to the top of the character."""
    face = bpy.data.objects[ORDER["object"]]
    corners = [face.matrix_world @ Vector(corner) for corner in face.bound_box]
    view = area.spaces[0].region_3d
    height = max(c.z for c in corners) - min(c.z for c in corners)
    view.view_rotation = (0.7071068, 0.7071068, 0.0, 0.0)
    view.view_location = (0.0, 0.0, max(c.z for c in corners) - 0.12 * height)
    view.view_distance = 0.55 * height


def _tell() -> None:
    (Path(tempfile.gettempdir()) / ORDER["report"]).write_text(json.dumps(SEEN))


def _drive(steps: Iterator[float]) -> Callable[[], float | None]:
    def go() -> float | None:
        try:
            return next(steps)
        except StopIteration:
            pass
        except Exception:
            SEEN["error"] = traceback.format_exc()
        _tell()
        return None

    return go


bpy.app.timers.register(_drive(_steps()), first_interval=1.0, persistent=True)
