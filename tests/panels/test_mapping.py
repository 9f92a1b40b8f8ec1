# SPDX-License-Identifier: GPL-3.0-or-later
"""The Mapping panel draws for every channel, with fields, buttons and icons that exist."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import bpy
import pytest

import blender_demo
from blender_demo.backend.motion.factors import ARKIT_NAMES, CHANNELS
from blender_demo.panels.mapping import DEMO_PT_mapping, DEMO_UL_channels
from blender_demo.scene.profiles import shown_profile

pytestmark = pytest.mark.matrix
ICONS = set(bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items.keys())


class Layout:
    """Stands in for UILayout: refuses what Blender would refuse, and keeps all that is drawn."""

    def __init__(self, drawn: list[str] | None = None) -> None:
        self.drawn: list[str] = [] if drawn is None else drawn

    def _part(self, **_: Any) -> "Layout":
        return Layout(self.drawn)

    row = column = box = split = _part

    def label(self, text: str = "", icon: str = "NONE") -> None:
        assert icon in ICONS, icon
        self.drawn += [text, icon]

    def prop(self, data: Any, name: str, icon: str = "NONE", **_: Any) -> None:
        assert icon in ICONS, icon
        assert name in data.bl_rna.properties, name
        getattr(data, name)
        self.drawn.append(name)

    def prop_search(self, data: Any, name: str, holder: Any, collection: str, **keywords: Any) -> None:
        assert collection in holder.bl_rna.properties
        self.prop(data, name, icon=keywords["icon"])

    def operator(self, name: str, icon: str = "NONE", **_: Any) -> Any:
        assert icon in ICONS, icon
        assert name.partition(".")[2] in dir(bpy.ops.demo), name
        self.drawn.append(name)
        return SimpleNamespace()

    def template_list(self, kind: str, _id: str, data: Any, items: str, active: Any, index: str, **_: Any) -> None:
        assert hasattr(bpy.types, kind)
        assert isinstance(getattr(active, index), int)
        self.drawn.append(f"{len(getattr(data, items))} rows")

    def separator(self, **_: Any) -> None:
        """Draws nothing."""


@pytest.fixture
def mapping() -> Iterator[Any]:
    """The mapping of a face that lacks jawOpen."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_demo.register()
    mesh = bpy.data.meshes.new("Face")
    mesh.from_pydata([(0.03, 0.0, 0.1), (-0.03, 0.0, 0.1), (0.0, 0.0, 0.0)], [], [])
    face = bpy.data.objects.new("Face", mesh)
    bpy.context.scene.collection.objects.link(face)
    for name in ("Basis", *ARKIT_NAMES):
        if name != "jawOpen":
            block = face.shape_key_add(name=name)
            block.value = 0.0
            block.data[2].co.z -= 0.01 * (name != "Basis")
    bpy.context.scene.demo.character = face
    yield bpy.context.scene.demo.mapping
    blender_demo.unregister()


def _drawn() -> list[str]:
    layout = Layout()
    panel = SimpleNamespace(layout=layout)
    for name in ("_draw_file", "_draw_list", "_draw_channel", "_draw_binding"):
        setattr(panel, name, getattr(DEMO_PT_mapping, name).__get__(panel))
    DEMO_PT_mapping.draw(panel, bpy.context)
    return layout.drawn


def _shown(mapping: Any) -> list[str]:
    view = SimpleNamespace(bitflag_filter_item=1)
    flags, _ = DEMO_UL_channels.filter_items(view, bpy.context, mapping, "channels")
    return [row.name for row, flag in zip(mapping.channels, flags, strict=True) if flag]


def test_every_channel_is_drawn_with_what_shows_it_or_why_nothing_does(mapping: Any) -> None:
    for index, channel in enumerate(CHANNELS):
        mapping.active = index
        drawn = _drawn()
        assert f"{len(CHANNELS)} rows" in drawn, channel
        assert ("share" in drawn) == ("demo.mapping_done" in drawn) == bool(mapping.rows), channel
    mapping.active = CHANNELS.index("jawOpen")
    assert "No shape key" in " ".join(_drawn())


def test_every_row_of_the_list_is_drawn(mapping: Any) -> None:
    missing = shown_profile(bpy.context.scene).missing
    for item in mapping.channels:
        layout = Layout()
        DEMO_UL_channels.draw_item(SimpleNamespace(), bpy.context, layout, mapping, item, 0, mapping, "active")
        assert item.name in layout.drawn
        assert ("UNLINKED" in layout.drawn) == (item.name in missing)


def test_search_and_toggles_filter_the_list(mapping: Any) -> None:
    assert _shown(mapping) == list(CHANNELS)
    mapping.search = "SMILE"
    assert _shown(mapping) == ["mouthSmileLeft", "mouthSmileRight"]
    mapping.search, mapping.only_missing = "", True
    assert "jawOpen" in _shown(mapping)
    assert "mouthFunnel" not in _shown(mapping)
    mapping.only_missing, mapping.only_guessed = False, True
    assert _shown(mapping) == []


def test_without_a_character_the_panel_says_what_to_do(mapping: Any) -> None:
    bpy.context.scene.demo.character = None
    assert "Pick a character" in " ".join(_drawn())


def test_a_lost_key_does_not_break_the_panel(mapping: Any) -> None:
    mapping.channels["mouthFunnel"].gain = 2.0
    bpy.data.objects["Face"].shape_key_clear()
    mapping.active = CHANNELS.index("mouthFunnel")
    assert _drawn()
