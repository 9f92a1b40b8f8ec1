# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar names things that exist, so that no panel breaks while it is drawn."""

import ast
from pathlib import Path

import bpy
import pytest

import blender_demo
from blender_demo.panels import sidebar

pytestmark = pytest.mark.matrix


def _arguments(method: str, position: int) -> set[str]:
    """String constants given to calls of a layout method."""
    tree = ast.parse(Path(sidebar.__file__).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    found = [call.args[position] for call in calls if call.func.attr == method and len(call.args) > position]
    return {str(argument.value) for argument in found if isinstance(argument, ast.Constant)}


@pytest.fixture(autouse=True)
def registered():
    blender_demo.register()
    yield
    blender_demo.unregister()


def test_every_button_has_its_operator() -> None:
    names = _arguments("operator", 0)
    assert names
    for name in names:
        assert name.partition(".")[2] in dir(bpy.ops.demo), name


def test_every_field_has_its_property() -> None:
    settings = bpy.context.scene.demo
    for name in _arguments("prop", 1):
        assert hasattr(settings, name) or hasattr(settings.lip, name), name


def test_every_icon_exists() -> None:
    icons = bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items.keys()
    tree = ast.parse(Path(sidebar.__file__).read_text(encoding="utf-8"))
    used = {
        k.value.value
        for n in ast.walk(tree)
        if isinstance(n, ast.Call)
        for k in n.keywords
        if k.arg == "icon" and isinstance(k.value, ast.Constant)
    }
    assert used <= set(icons)


def test_all_panels_share_one_tab() -> None:
    assert {panel.bl_category for panel in sidebar.CLASSES} == {"DEMO"}
