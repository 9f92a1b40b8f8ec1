# SPDX-License-Identifier: GPL-3.0-or-later
"""A map of a file says what can be driven now, or what is wrong with the file, in an artist's words."""

from pathlib import Path

import bpy
import pytest

from blender_demo.backend.errors import RigError
from blender_demo.backend.motion.factors import ARKIT_NAMES
from blender_demo.cli import NOTHING_TO_DRIVE, main
from blender_demo.map_file import map_file
from blender_demo.scene.head import add_head


@pytest.fixture(autouse=True)
def empty_scene() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)


def _saved(path: Path) -> Path:
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return path


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.blend", b"", "is empty"),
        ("a.fbx", b"glTF\x02\x00\x00\x00", "holds a .glb file"),
        ("a.fbx", b"; FBX 7.4.0 project file", "binary FBX"),
        ("a.glb", b"hello", "is damaged, or no .glb file"),
        ("a.gltf", b"{", "cannot be read"),
        ("a.txt", b"hello", "ends in .blend"),
    ],
)
def test_a_file_that_is_no_character_is_told_from_one(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RigError, match=words):
        map_file(tmp_path / name)


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(RigError, match="does not exist"):
        map_file(tmp_path / "a.blend")
    (tmp_path / "b.blend").mkdir()
    with pytest.raises(RigError, match="is a folder"):
        map_file(tmp_path / "b.blend")


def test_lips_that_drivers_hold_do_not_speak(tmp_path: Path) -> None:
    keys = add_head(bpy.context.scene).meshes[0].data.shape_keys  # pyright: ignore[reportAttributeAccessIssue]
    for name in ARKIT_NAMES:
        keys.key_blocks[name].driver_add("value").driver.expression = "0.0"
    (one,) = map_file(_saved(tmp_path / "a.blend"))
    assert not one.speaks
    assert "Mute them" in one.refusal
    assert one.profile is not None
    assert any("more" in note for note in one.profile.notes), "one sentence for each key would be too many"


def test_keys_that_a_bake_refuses_do_not_speak(tmp_path: Path) -> None:
    keys = add_head(bpy.context.scene).meshes[0].data.shape_keys  # pyright: ignore[reportAttributeAccessIssue]
    keys.use_relative = False
    (one,) = map_file(_saved(tmp_path / "a.blend"))
    assert not one.speaks
    assert "absolute" in one.refusal


def test_what_lies_in_no_collection_is_no_character(tmp_path: Path) -> None:
    face = add_head(bpy.context.scene).meshes[0]
    left_over = bpy.data.objects.new("Left over", face.data)
    left_over.use_fake_user = True
    assert [one.name for one in map_file(_saved(tmp_path / "a.blend"))] == ["DEMO Rig"]


def test_what_an_importer_stumbles_over_is_told_without_places_in_code(tmp_path: Path) -> None:
    path = tmp_path / "broken.gltf"
    nodes = '"meshes": [{"primitives": [{"attributes": {"POSITION": 9}}]}], "nodes": [{"mesh": 0}]'
    path.write_text('{"asset": {"version": "2.0"}, "scenes": [{"nodes": [0]}], ' + nodes + "}")
    with pytest.raises(RigError, match=r"cannot be read: Blender's importer stumbles .* Export it again\.$") as caught:
        map_file(path)
    assert "bpy" not in str(caught.value).replace(str(path), "")


def test_a_file_without_a_character_has_nothing_to_drive(tmp_path: Path) -> None:
    path = _saved(tmp_path / "empty.blend")
    assert main(["map", str(path)]) == NOTHING_TO_DRIVE
    (only,) = map_file(path)
    assert "nothing to drive" in only.refusal
