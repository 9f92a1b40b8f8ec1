# SPDX-License-Identifier: GPL-3.0-or-later
"""The portrait panel names things that exist, so that it does not break while it is drawn."""

import ast
from pathlib import Path

import bpy
import pytest

import blender_demo
from blender_demo.panels import portrait

pytestmark = pytest.mark.matrix


def test_every_field_and_the_button_exist() -> None:
    calls = [
        node for node in ast.walk(ast.parse(Path(portrait.__file__).read_text("utf-8"))) if isinstance(node, ast.Call)
    ]
    fields = {ast.literal_eval(call.args[1]) for call in calls if ast.unparse(call.func).endswith(".prop")}
    buttons = {ast.literal_eval(call.args[1]) for call in calls if ast.unparse(call.func) == "job_button"}
    small = {ast.literal_eval(call.args[0]) for call in calls if ast.unparse(call.func).endswith(".operator")}
    blender_demo.register()
    try:
        portrait_fields = bpy.context.scene.demo.portrait.bl_rna.properties
        assert fields <= set(portrait_fields.keys()) | set(portrait_fields["blinks"].fixed_type.properties.keys())
        assert fields >= {"image", "landmarks", "size", "target"}
        assert buttons == {"demo.render_portrait", "demo.place_points", "demo.add_portrait_head"}
        assert {name.removeprefix("demo.") for name in buttons | small} <= set(dir(bpy.ops.demo))
    finally:
        blender_demo.unregister()
