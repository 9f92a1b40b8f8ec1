# SPDX-License-Identifier: GPL-3.0-or-later
"""What is edited in the Mapping panel is what is baked; its buttons do what they say, or say why not."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import ARKIT_NAMES, CHANNELS
from blender_demo.scene.character import find_character
from blender_demo.scene.profiles import has_stored, shown_profile

pytestmark = pytest.mark.matrix


def _select(addon: Any, channel: str) -> Any:
    addon.mapping.active = CHANNELS.index(channel)
    return addon.mapping


def _face(name: str, keys: tuple[str, ...] = ARKIT_NAMES) -> Any:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([(0.03, 0.0, 0.1), (-0.03, 0.0, 0.1), (0.0, 0.0, 0.0)], [], [])
    obj = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(obj)
    for key in ("Basis", *keys):
        block = obj.shape_key_add(name=key)
        block.value = 0.0
        block.data[2].co.z -= 0.01 * (key != "Basis")
    return obj


@pytest.fixture
def jaw_clip(addon: Any, tmp_path: Path) -> Path:
    """A clip that holds the jaw open, named in the panel."""
    channels = np.zeros((30, len(CHANNELS)), np.float32)
    channels[:, CHANNELS.index("jawOpen")] = 0.8
    MotionClip(30.0, channels).save(tmp_path / "take.npz")
    addon.clip_path = str(tmp_path / "take.npz")
    return tmp_path / "take.npz"


def _value(obj: Any, key: str) -> float:
    bpy.context.scene.frame_set(10)
    return obj.data.shape_keys.key_blocks[key].value


def test_a_picked_character_shows_all_channels(addon: Any, face: Any) -> None:
    assert [row.name for row in addon.mapping.channels] == list(CHANNELS)
    assert [row.key for row in _select(addon, "jawOpen").rows] == ["jawOpen"]
    assert not _select(addon, "headX").rows


def test_another_key_for_a_channel_is_what_is_baked(addon: Any, face: Any, jaw_clip: Path) -> None:
    face.shape_key_add(name="gape").value = 0.0
    (row,) = _select(addon, "jawOpen").rows
    row.key, row.high = "gape", 0.6
    assert (row.key, row.object) == ("gape", "Face")
    assert has_stored(bpy.context.scene, find_character(face))
    bpy.ops.demo.bake()
    assert _value(face, "gape") > 0.5
    assert _value(face, "jawOpen") == 0.0


def test_a_field_out_of_range_says_so_and_changes_nothing(addon: Any, face: Any) -> None:
    (row,) = _select(addon, "jawOpen").rows
    row.low = 1.0
    assert row.low == 0.0
    assert "limits" in addon.mapping.note
    row.low = -1.0
    assert row.low == -1.0
    assert addon.mapping.note == ""


def test_an_edit_is_seen_at_once_while_testing(addon: Any, face: Any) -> None:
    mapping = _select(addon, "jawOpen")
    mapping.weight = 0.5
    face.shape_key_add(name="gape").value = 0.0
    mapping.rows[0].key = "gape"
    keys = face.data.shape_keys.key_blocks
    assert (keys["jawOpen"].value, keys["gape"].value) == (0.0, 0.5)


def test_the_gain_of_a_channel_is_kept(addon: Any, face: Any) -> None:
    addon.mapping.channels["jawOpen"].gain = 1.5
    assert shown_profile(bpy.context.scene).gains == {"jawOpen": 1.5}
    addon.mapping.channels["jawOpen"].gain = 1.0
    assert shown_profile(bpy.context.scene).gains == {}


def test_each_thing_that_shows_a_channel_has_its_own_row(addon: Any, face: Any) -> None:
    second = _face("Teeth")
    second.parent = face
    addon.character = face
    rows = _select(addon, "jawOpen").rows
    assert {row.object for row in rows} == {"Face", "Teeth"}
    assert [row.position for row in rows] == [0, 1]
    kept = rows[0].object
    assert bpy.ops.demo.mapping_remove(position=rows[1].position) == {"FINISHED"}
    assert [row.object for row in rows] == [kept]


def test_remove_and_add(addon: Any, face: Any) -> None:
    mapping = _select(addon, "jawOpen")
    assert bpy.ops.demo.mapping_remove(position=0) == {"FINISHED"}
    assert len(mapping.rows) == 0
    assert "removed" in shown_profile(bpy.context.scene).missing["jawOpen"]
    assert bpy.ops.demo.mapping_add(kind="KEY") == {"FINISHED"}
    assert mapping.rows[0].key == "jawOpen"
    assert "51 of 52" in addon.character_status or "52 of 52" in addon.character_status


def test_what_cannot_be_added_says_why(addon: Any, face: Any) -> None:
    _select(addon, "jawOpen")
    with pytest.raises(RuntimeError, match="shows something already"):
        bpy.ops.demo.mapping_add(kind="KEY")
    _select(addon, "headX")
    with pytest.raises(RuntimeError, match="no shape"):
        bpy.ops.demo.mapping_add(kind="KEY")


def test_detect_throws_edits_away(addon: Any, face: Any) -> None:
    _select(addon, "jawOpen").rows[0].gain = 2.0
    assert bpy.ops.demo.mapping_detect() == {"FINISHED"}
    assert addon.mapping.rows[0].gain == 1.0
    assert not has_stored(bpy.context.scene, find_character(face))


def test_a_mapping_is_saved_and_loaded_on_another_character(addon: Any, face: Any, tmp_path: Path) -> None:
    _select(addon, "jawOpen").rows[0].gain = 2.0
    assert bpy.ops.demo.mapping_save(filepath=str(tmp_path / "mine")) == {"FINISHED"}
    addon.character = other = _face("Other")
    assert addon.mapping.rows[0].gain == 1.0
    assert bpy.ops.demo.mapping_load(filepath=str(tmp_path / "mine.json")) == {"FINISHED"}
    assert (addon.mapping.rows[0].gain, addon.mapping.rows[0].object) == (2.0, "Other")
    assert has_stored(bpy.context.scene, find_character(other))


def test_a_file_that_is_no_mapping_is_named(addon: Any, face: Any, tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text("[1]")
    with pytest.raises(RuntimeError, match=r"wrong\.json"):
        bpy.ops.demo.mapping_load(filepath=str(tmp_path / "wrong.json"))
    assert not has_stored(bpy.context.scene, find_character(face))


def test_a_character_of_meaningless_names_is_mapped_by_hand(addon: Any, jaw_clip: Path) -> None:
    addon.character = face = _face("Face", ("k1", "k2"))
    if addon.character_ready:
        pytest.skip("detection recognizes these keys now")
    _select(addon, "jawOpen")
    bpy.ops.demo.mapping_add(kind="KEY")
    addon.mapping.rows[0].key = "k2"
    assert addon.character_ready
    bpy.ops.demo.bake()
    assert _value(face, "k2") == pytest.approx(0.8, abs=0.003)


def test_buttons_without_a_character_say_why(addon: Any) -> None:
    for button in (bpy.ops.demo.mapping_detect, bpy.ops.demo.mapping_save, bpy.ops.demo.mapping_add):
        with pytest.raises(RuntimeError, match="Pick a character first"):
            button()
    with pytest.raises(RuntimeError, match="Nothing is being tested"):
        bpy.ops.demo.mapping_done()


def test_what_is_tested_is_not_taken_for_the_face_at_rest(addon: Any, face: Any, jaw_clip: Path) -> None:
    _select(addon, "mouthFunnel").weight = 0.7
    bpy.ops.demo.bake()
    assert _value(face, "mouthFunnel") == 0.0
    bpy.ops.demo.remove_bake()
    assert _value(face, "mouthFunnel") == 0.0
    assert not addon.mapping.is_testing


def test_every_selected_character_gets_the_take_by_its_own_mapping(addon: Any, face: Any, jaw_clip: Path) -> None:
    other = _face("Other")
    addon.character = other
    _select(addon, "jawOpen").rows[0].gain = 0.5
    lamp = bpy.data.objects.new("Lamp", None)
    for obj in (face, other):
        obj.select_set(True)
    bpy.context.scene.collection.objects.link(lamp)
    lamp.select_set(True)
    assert bpy.ops.demo.detect_selected() == {"FINISHED"}
    assert {entry.root.name: entry.is_artists for entry in addon.mapping.profiles} == {"Face": False, "Other": True}
    assert bpy.ops.demo.bake_selected() == {"FINISHED"}
    assert _value(face, "jawOpen") == pytest.approx(0.8, abs=0.003)
    assert _value(other, "jawOpen") == pytest.approx(0.4, abs=0.003)


def test_one_character_that_cannot_be_baked_does_not_hold_up_the_others(addon: Any, face: Any, jaw_clip: Path) -> None:
    for obj in (face, bad := _face("Bad")):
        obj.select_set(True)
    bad.data.shape_keys.use_relative = False
    assert bpy.ops.demo.bake_selected() == {"FINISHED"}
    assert _value(face, "jawOpen") == pytest.approx(0.8, abs=0.003)


def test_nothing_selected_is_said(addon: Any, jaw_clip: Path) -> None:
    with pytest.raises(RuntimeError, match="Select the characters"):
        bpy.ops.demo.bake_selected()
