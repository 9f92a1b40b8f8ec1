# SPDX-License-Identifier: GPL-3.0-or-later
"""Head, neck, eyes and jaw are found on rigs of every origin, and what only sounds like them is left alone."""

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Vector

from blender_demo.scene.character import Character, find_character
from blender_demo.scene.turning import NECK_SHARE, FacePlace, Found, deformed_vertices, find_turning

pytestmark = pytest.mark.matrix

TABLES: dict[str, dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "bone_tables.toml").read_text(encoding="utf-8")
)
PLACES = {
    "hips": (0, 0, 1.0),
    "chest": (0, 0, 1.3),
    "neck": (0, 0, 1.45),
    "neck2": (0, 0, 1.49),
    "neck3": (0, 0, 1.52),
    "head": (0, 0, 1.55),
    "top": (0, 0, 1.78),
    "eye_left": (0.032, -0.07, 1.65),
    "eye_right": (-0.032, -0.07, 1.65),
    "jaw": (0, -0.01, 1.6),
    "aside": (0.05, -0.05, 1.7),
}
CHAIN = ("hips", "chest", "neck", "neck2", "neck3", "head")
MOUTH, EYES = np.array((0.0, -0.1, 1.58)), np.array([PLACES["eye_left"], PLACES["eye_right"]])
FRAME = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])

Bones = Mapping[str, tuple[tuple[float, float, float], str | None]]


def _armature(bones: Bones, name: str = "Rig") -> bpy.types.Object:
    """An armature of bones with a place and a parent each."""
    data = bpy.data.armatures.new(name)
    rig = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    for bone, (place, parent) in bones.items():
        made = data.edit_bones.new(bone)
        made.head, made.tail = place, (place[0], place[1] - 0.01, place[2] + 0.03)
        made.parent = data.edit_bones[parent] if parent else None
    bpy.ops.object.mode_set(mode="OBJECT")
    return rig


def _from_table(table: Mapping[str, str]) -> bpy.types.Object:
    """An armature of named places: a chain up to the head, and all else on the head."""
    spine = sorted((b for b in table if table[b] in CHAIN), key=lambda b: CHAIN.index(table[b]))
    parents: dict[str, str | None] = dict(zip(spine, [None, *spine], strict=False))
    head = next(bone for bone in spine if table[bone] == "head")
    rest = {bone: head for bone in table if bone not in parents}
    return _armature({bone: (PLACES[table[bone]], parent) for bone, parent in (parents | rest).items()})


def _named(found: Found, role: str) -> list[str]:
    return [turning.bone or turning.object.name for turning in found.turnings if turning.role == role]


def _turned(found: Found) -> dict[str, list[str]]:
    names = {role: _named(found, role) for role in ("neck", "head", "eye", "jaw")}
    return {role: bones for role, bones in names.items() if bones}


def _hold(rig: bpy.types.Object, bone: str, kind: str, target: str, **values: Any) -> Any:
    constraint = rig.pose.bones[bone].constraints.new(kind)
    constraint.target, constraint.subtarget = rig, target
    for name, value in values.items():
        setattr(constraint, name, value)
    return constraint


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_the_bones_of_each_convention_are_found_and_no_others(table: str) -> None:
    rig = _from_table(TABLES[table]["bones"])
    found = find_turning(find_character(rig))
    assert _turned(found) == TABLES[table]["turn"]
    reasons = {"head": "head", "eye": "eyes", "jaw": "jaw"}
    assert found.missing.keys() == {key for role, key in reasons.items() if role not in TABLES[table]["turn"]}


def test_eyes_have_sides_and_places() -> None:
    found = find_turning(find_character(_from_table(TABLES["daz_genesis_8"]["bones"])))
    eyes = {turning.side: turning for turning in found.turnings if turning.role == "eye"}
    assert (eyes["left"].bone, eyes["right"].bone) == ("lEye", "rEye")
    assert np.allclose(eyes["left"].position, PLACES["eye_left"], atol=1e-6)
    assert eyes["left"].source == "name"


def test_necks_share_what_the_head_does_not_take() -> None:
    found = find_turning(find_character(_from_table(TABLES["makehuman"]["bones"])))
    shares = {turning.bone: turning.share for turning in found.turnings if turning.role in {"neck", "head"}}
    assert shares == pytest.approx({**dict.fromkeys(("neck01", "neck02", "neck03"), NECK_SHARE / 3), "head": 0.6})


def test_words_that_only_sound_alike_turn_nothing() -> None:
    names = ("HeadTop_End", "headphone", "HairHead", "forehead", "neckTie", "eyebrow.L", "eyelid.R", "jawline")
    found = find_turning(find_character(_armature(dict.fromkeys(names, ((0, 0, 1), None)))))
    assert not found.turnings
    assert set(found.missing) == {"head", "eyes", "jaw"}


# --- constraints and drivers -----------------------------------------------------------------------------------------


def test_a_copied_rotation_leads_to_the_control() -> None:
    rig = _from_table({"chest": "chest", "head.x": "head", "c_head.x": "head"})
    _hold(rig, "head.x", "COPY_TRANSFORMS", "c_head.x")
    assert _named(find_turning(find_character(rig)), "head") == ["c_head.x"]


def test_a_copied_rotation_from_elsewhere_holds_the_bone_and_is_named() -> None:
    rig = _from_table({"chest": "chest", "head": "head"})
    _hold(rig, "head", "COPY_ROTATION", "chest")
    found = find_turning(find_character(rig))
    assert not found.turnings
    assert "'chest'" in found.missing["head"]
    assert "Copy Rotation" in found.missing["head"]


def test_eyes_that_look_at_a_target_are_held_by_it() -> None:
    rig = _from_table({"head": "head", "eye.L": "eye_left", "eye.R": "eye_right", "eye_target": "aside"})
    for eye in ("eye.L", "eye.R"):
        _hold(rig, eye, "DAMPED_TRACK", "eye_target")
    found = find_turning(find_character(rig))
    assert not _named(found, "eye")
    assert "looks at 'eye_target'" in found.missing["eyes"]
    for eye in ("eye.L", "eye.R"):
        rig.pose.bones[eye].constraints[0].influence = 0.0
    assert _named(find_turning(find_character(rig)), "eye") == ["eye.L", "eye.R"]


@pytest.mark.parametrize(("kind", "values"), [
    ("COPY_ROTATION", {"mix_mode": "ADD"}),
    ("TRANSFORM", {"map_to": "ROTATION", "mix_mode_rot": "AFTER"}),
    ("LIMIT_ROTATION", {}),
    ("CHILD_OF", {}),
])  # fmt: skip
def test_a_constraint_that_adds_leaves_the_bone_free(kind: str, values: dict[str, Any]) -> None:
    rig = _from_table({"首": "neck", "頭": "head", "左目": "eye_left", "右目": "eye_right", "両目": "aside"})
    for eye in ("左目", "右目"):
        constraint = rig.pose.bones[eye].constraints.new(kind)
        if kind != "LIMIT_ROTATION":
            constraint.target, constraint.subtarget = rig, "両目"
        for name, value in values.items():
            setattr(constraint, name, value)
    assert _named(find_turning(find_character(rig)), "eye") == ["左目", "右目"]


def test_a_bone_turned_by_a_driver_is_not_free() -> None:
    rig = _from_table({"neck": "neck", "head": "head", "jaw": "jaw"})
    rig.pose.bones["jaw"].driver_add("rotation_euler", 0)
    assert _named(find_turning(find_character(rig)), "jaw") == ["jaw"], "it turns by quaternions, so the driver is idle"
    rig.pose.bones["jaw"].rotation_mode = "XYZ"
    found = find_turning(find_character(rig))
    assert "driver" in found.missing["jaw"]
    assert _named(found, "head") == ["head"]


def test_a_head_kept_upright_takes_the_whole_turn() -> None:
    rig = _armature({"chest": ((0, 0, 1.3), None), "neck": ((0, 0, 1.45), "chest"),
                     "upright": ((0, 0, 1.55), "neck"), "head": ((0, 0, 1.55), "upright")})  # fmt: skip
    _hold(rig, "upright", "COPY_ROTATION", "chest")
    assert [(t.bone, t.share) for t in find_turning(find_character(rig)).turnings] == [("neck", 0.4), ("head", 1.0)]


def test_constraints_are_left_as_they_are() -> None:
    rig = _from_table({"chest": "chest", "head": "head", "c_head": "head"})
    constraint = _hold(rig, "head", "COPY_ROTATION", "c_head", influence=0.8)
    find_turning(find_character(rig))
    assert (constraint.mute, constraint.influence) == (False, pytest.approx(0.8))


def test_a_bone_that_follows_locally_still_turns_with_its_parent() -> None:
    rig = _armature({
        "neck": ((0, 0, 1.45), None), "offset": ((0, 0, 1.55), "neck"), "head": ((0, 0, 1.55), "offset"),
        "other": ((0, 0, 1.0), None),
    })  # fmt: skip
    _hold(rig, "offset", "COPY_ROTATION", "other", owner_space="LOCAL", target_space="LOCAL")
    assert [(t.bone, t.share) for t in find_turning(find_character(rig)).turnings] == [("neck", 0.4), ("head", 0.6)]


# --- Rigify ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["face", "skin"])
def rigify(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a meta-rig and the rig generated from it."""
    path = tmp_path_factory.mktemp("rigify") / f"{request.param}.blend"
    script = Path(__file__).with_name("make_rigify.py")
    made = subprocess.run([sys.executable, script, request.param, path], capture_output=True, timeout=120, check=False)
    assert path.is_file(), made.stderr[-2000:].decode(errors="replace")
    return path


def _turn_of(rig: bpy.types.Object, turning: Any, watched: str) -> float:
    """How far a bone turns, in radians, when what was found turns by 0.3."""
    bpy.context.view_layer.update()
    before = rig.pose.bones[watched].matrix.to_quaternion()
    bone = rig.pose.bones[turning.bone]
    bone.rotation_mode = "XYZ"
    bone.rotation_euler.x = 0.3
    bpy.context.view_layer.update()
    angle = before.rotation_difference(rig.pose.bones[watched].matrix.to_quaternion()).angle
    bone.rotation_euler.x = 0.0
    return float(min(angle, 2.0 * np.pi - angle))


def test_generated_rigify_turns_by_its_controls(rigify: Path) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(rigify))
    rig = bpy.data.objects["rig"]
    found = find_turning(find_character(rig))
    assert {t.bone: t.share for t in found.turnings if t.role in {"neck", "head"}} == {"neck": 0.4, "head": 1.0}
    assert _named(found, "jaw") == ["jaw_master"]
    eyes = _named(found, "eye")
    assert not {"eye.L", "eyes", "master_eye.L", "eye_master.L", "MCH-eye.L"} & set(eyes)
    watched = {"neck": "DEF-spine.004", "head": "DEF-spine.006", "jaw": "DEF-jaw"}
    deforming = "DEF-eye" if "DEF-eye.L" in rig.pose.bones else "ORG-eye"
    for turning in found.turnings:
        side = {"left": ".L", "right": ".R"}.get(turning.side, "")
        follower = watched.get(turning.role, f"{deforming}{side}")
        assert _turn_of(rig, turning, follower) == pytest.approx(0.3, abs=0.01), (turning.bone, follower)
    assert "looking at 'eye.L', 'eye.R'" in found.notes[0]


def test_a_skinned_rigify_character_turns_by_its_controls(rigify: Path) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(rigify))
    rig = bpy.data.objects["rig"]
    face = _mesh("Face", _ball((0, 0, 0), 1.0), rig)
    deforming = [bone.name for bone in rig.data.bones if bone.use_deform and "eye" not in bone.name]
    for i, bone in enumerate(name for name in deforming if not name.startswith("DEF-spine")):
        _weigh(face, bone, np.arange(len(face.data.vertices)) % 50 == i % 50)
    face.shape_key_add(name="Basis")
    face.shape_key_add(name="jawOpen").data[0].co.z -= 0.1
    without_eyes = find_turning(find_character(rig))
    assert (_named(without_eyes, "head"), _named(without_eyes, "jaw")) == (["head"], ["jaw_master"])
    assert not _named(without_eyes, "eye")
    for side in "LR":
        eye = _eye_object(f"Eye.{side}", (0, 0, 0), rig)
        eye.parent_type, eye.parent_bone = "BONE", f"MCH-eye.{side}"
    assert _named(find_turning(find_character(rig)), "eye") == ["Eye.L", "Eye.R"]
    turned = "DEF-eye" if "DEF-eye.L" in rig.pose.bones else "ORG-eye"
    for side in "LR":
        bpy.data.objects[f"Eye.{side}"].parent_bone = f"{turned}.{side}"
    assert _named(find_turning(find_character(rig)), "eye") == [f"{turned}.L", f"{turned}.R"]


def test_a_rigify_meta_rig_counts_its_spine_up_to_the_head(rigify: Path) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(rigify))
    found = find_turning(find_character(bpy.data.objects["metarig"]))
    assert _named(found, "neck") == ["spine.004", "spine.005"]
    assert _named(found, "head") == ["spine.006"]
    assert _named(found, "eye") == ["eye.L", "eye.R"]
    assert _named(found, "jaw")[0] in {"jaw", "jaw_master"}


def test_rigify_deform_bones_alone_are_a_skeleton() -> None:
    bones = {
        f"DEF-spine.00{i}": ((0, 0, 1.2 + 0.1 * i), f"DEF-spine.00{i - 1}" if i > 3 else None) for i in range(3, 7)
    }
    found = find_turning(find_character(_armature(bones)))
    assert _turned(found) == {"neck": ["DEF-spine.004", "DEF-spine.005"], "head": ["DEF-spine.006"]}


# --- position, skin and hierarchy ------------------------------------------------------------------------------------


def _ball(center: Any, radii: Any, rings: int = 8) -> np.ndarray:
    up, around = np.meshgrid(np.linspace(0.1, np.pi - 0.1, rings), np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False))
    unit = np.stack([np.sin(up) * np.cos(around), np.sin(up) * np.sin(around), np.cos(up)], axis=-1).reshape(-1, 3)
    return np.asarray(center) + unit * np.asarray(radii)


def _mesh(name: str, points: np.ndarray, rig: bpy.types.Object | None = None) -> bpy.types.Object:
    data = bpy.data.meshes.new(name)
    data.from_pydata(points.tolist(), [], [])
    mesh = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(mesh)
    if rig is not None:
        mesh.parent = rig
        mesh.modifiers.new("Armature", "ARMATURE").object = rig
    return mesh


def _weigh(mesh: bpy.types.Object, bone: str, chosen: np.ndarray) -> None:
    mesh.vertex_groups.new(name=bone).add(np.flatnonzero(chosen).tolist(), 1.0, "REPLACE")


SCRAMBLED = {
    "Bone": ((0, 0, 1.0), None),  # hips
    "Bone.001": ((0, 0, 1.3), "Bone"),  # chest
    "Bone.002": ((0, 0, 1.45), "Bone.001"),  # neck
    "Bone.003": ((0, 0, 1.55), "Bone.002"),  # head
    "Bone.004": (PLACES["eye_right"], "Bone.003"),
    "Bone.005": (PLACES["jaw"], "Bone.003"),
    "Bone.006": (PLACES["eye_left"], "Bone.003"),
    "Bone.007": ((0.05, 0, 1.42), "Bone.001"),  # arms
    "Bone.008": ((0.2, 0, 1.42), "Bone.007"),
    "Bone.009": ((0.4, 0, 1.42), "Bone.008"),
    "Bone.010": ((0.0, -0.09, 1.6), "Bone.005"),  # tongue
    "Bone.011": (PLACES["eye_left"], "Bone.003"),  # a lid turns about the eye as well
    "Bone.012": (PLACES["eye_right"], "Bone.003"),
}  # fmt: skip


@pytest.fixture
def nameless() -> tuple[Character, FacePlace]:
    """A skinned character whose bones have no names, and where its face is."""
    rig = _armature(SCRAMBLED)
    skull, body = _ball((0, 0, 1.65), (0.08, 0.1, 0.13), 16), _ball((0, 0, 1.2), (0.2, 0.12, 0.25))
    balls = [_ball(place, 0.014) for place in EYES]
    lids = [ball[ball[:, 1] < place[1] - 0.009] + (0, -0.001, 0) for ball, place in zip(balls, EYES, strict=True)]
    points = np.concatenate([skull, body, *balls, *lids])
    part = np.repeat(np.arange(6), [len(p) for p in (skull, body, *balls, *lids)])
    face = _mesh("Mesh", points, rig)
    jaw = (part == 0) & (points[:, 2] < 1.6) & (points[:, 1] < 0.0)
    chosen = {"Bone.003": (part == 0) & ~jaw, "Bone.001": part == 1, "Bone.006": part == 2, "Bone.004": part == 3,
              "Bone.005": jaw, "Bone.011": part == 4, "Bone.012": part == 5}  # fmt: skip
    for bone, vertices in chosen.items():
        _weigh(face, bone, vertices)
    face.shape_key_add(name="Basis")
    moved = np.flatnonzero((part != 1) & (points[:, 1] < 0.0))
    key = face.shape_key_add(name="Key 1")
    for i in moved:
        key.data[int(i)].co += Vector((0.0, 0.0, 0.005))
    return find_character(face), FacePlace(MOUTH, EYES[0], EYES[1], FRAME, {"Mesh": moved})


def test_without_names_skin_and_place_tell(nameless: tuple[Character, FacePlace]) -> None:
    found = find_turning(*nameless)
    assert _turned(found) == {
        "neck": ["Bone.002"],
        "head": ["Bone.003"],
        "eye": ["Bone.006", "Bone.004"],
        "jaw": ["Bone.005"],
    }
    assert all(turning.source == "geometry" and turning.confidence < 0.9 for turning in found.turnings)


def test_the_head_is_found_by_skin_alone(nameless: tuple[Character, FacePlace]) -> None:
    found = find_turning(nameless[0])
    assert _named(found, "head") == ["Bone.003"]
    assert set(found.missing) == {"eyes", "jaw"}


def test_a_chest_with_arms_is_no_neck(nameless: tuple[Character, FacePlace]) -> None:
    rig = nameless[0].root
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    rig.data.edit_bones["Bone.003"].parent = rig.data.edit_bones["Bone.001"]
    bpy.ops.object.mode_set(mode="OBJECT")
    found = find_turning(*nameless)
    assert _named(found, "neck") == []
    assert [t.share for t in found.turnings if t.role == "head"] == [1.0]


def test_a_name_that_the_skin_contradicts_is_not_believed(nameless: tuple[Character, FacePlace]) -> None:
    nameless[0].root.data.bones["Bone.009"].name = "Head"
    assert _named(find_turning(*nameless), "head") == ["Bone.003"]


def test_named_eyes_that_carry_nothing_are_not_turned(nameless: tuple[Character, FacePlace]) -> None:
    bones = nameless[0].root.data.bones
    bones["Bone.008"].name, bones["Bone.010"].name = "eye.L", "eye.R"
    assert _named(find_turning(*nameless), "eye") == ["Bone.006", "Bone.004"]
    found = find_turning(nameless[0])
    assert "carries no eye" in found.missing["eyes"]


def test_skin_weights_count_a_bone_and_its_children(nameless: tuple[Character, FacePlace]) -> None:
    character, _ = nameless
    face = character.meshes[0]
    weights = deformed_vertices(face, character.root, "Bone.002")
    assert weights.shape == (len(face.data.vertices),)
    assert weights.dtype == np.float32
    groups = {group.index: group.name for group in face.vertex_groups}
    above = np.array([groups[vertex.groups[0].group] != "Bone.001" for vertex in face.data.vertices])
    assert np.array_equal(weights == 1.0, above)
    assert not deformed_vertices(face, character.root, "no such bone").any()


# --- objects ---------------------------------------------------------------------------------------------------------


def _head_object(parent: bpy.types.Object | None = None) -> bpy.types.Object:
    head = _mesh("Mask", _ball((0, 0, 1.65), (0.08, 0.1, 0.13), 16))
    head.parent = parent
    head.shape_key_add(name="Basis")
    key = head.shape_key_add(name="jawOpen")
    for i in range(len(key.data)):
        if key.data[i].co.y < 0:
            key.data[i].co.z -= 0.01
    return head


def _empty(name: str, place: Any = (0, 0, 0), parent: bpy.types.Object | None = None) -> bpy.types.Object:
    empty = bpy.data.objects.new(name, None)
    bpy.context.scene.collection.objects.link(empty)
    empty.location, empty.parent = place, parent
    return empty


def _eye_object(name: str, place: Any, parent: bpy.types.Object | None, size: float = 0.014) -> bpy.types.Object:
    eye = _mesh(name, _ball((0, 0, 0), size))
    eye.location, eye.parent = place, parent
    return eye


def test_a_head_without_armature_turns_as_a_whole() -> None:
    found = find_turning(find_character(_head_object()))
    assert [(t.object.name, t.role, t.share) for t in found.turnings] == [("Mask", "head", 1.0)]


def test_a_floating_head_turns_with_the_empty_that_holds_all_of_it() -> None:
    root = _empty("Actor")
    head = _head_object(root)
    for side, place in zip(("L", "R"), EYES, strict=True):
        _eye_object(f"Eye_{side}", place, root)
    found = find_turning(find_character(head))
    assert _turned(found) == {"head": ["Actor"], "eye": ["Eye_L", "Eye_R"]}


def test_a_body_beside_the_head_does_not_turn_with_it() -> None:
    root = _empty("Actor")
    head = _head_object(root)
    _mesh("Body", _ball((0, 0, 0.8), (0.3, 0.2, 0.8))).parent = root
    assert _named(find_turning(find_character(head)), "head") == ["Mask"]


def test_cornea_and_iris_turn_with_the_empty_they_hang_on() -> None:
    head = _head_object()
    for side, place in zip(("L", "R"), EYES, strict=True):
        center = _empty(f"Eye_{side}", place, head)
        for part in ("Cornea", "Iris"):
            _eye_object(f"{part}_{side}", (0, 0, 0), center)
    _eye_object("Eyebrow_L", EYES[0], head)
    assert _named(find_turning(find_character(head)), "eye") == ["Eye_L", "Eye_R"]


def test_a_cornea_that_hangs_beside_its_eye_turns_too() -> None:
    head = _head_object()
    for side, place in zip(("L", "R"), EYES, strict=True):
        _eye_object(f"Eye_{side}", place, head)
        _eye_object(f"Cornea_{side}", place, head, 0.015)
    found = find_turning(find_character(head))
    assert _named(found, "eye") == ["Eye_L", "Cornea_L", "Eye_R", "Cornea_R"]
    assert [t.side for t in found.turnings if t.role == "eye"] == ["left", "left", "right", "right"]


def test_an_eye_whose_origin_lies_elsewhere_is_refused_with_the_remedy() -> None:
    head = _head_object()
    for side, place in zip(("L", "R"), EYES, strict=True):
        _mesh(f"Eye_{side}", _ball(place, 0.014)).parent = head
    found = find_turning(find_character(head))
    assert not _named(found, "eye")
    assert "Set its origin to its geometry" in found.missing["eyes"]


def test_nameless_eye_objects_are_found_by_place() -> None:
    head = _head_object()
    for name, place in zip(("Sphere", "Sphere.001"), EYES, strict=True):
        _eye_object(name, place, head)
    _eye_object("Sphere.002", (0, -0.1, 1.63), head)  # a nose
    moved = np.arange(len(head.data.vertices))
    place = FacePlace(MOUTH, EYES[0], EYES[1], FRAME, {"Mask": moved})
    found = find_turning(find_character(head), place)
    assert _named(found, "eye") == ["Sphere", "Sphere.001"]
    assert {t.source for t in found.turnings if t.role == "eye"} == {"geometry"}


def test_eye_objects_on_a_bone_turn_by_themselves() -> None:
    rig = _from_table({"chest": "chest", "neck": "neck", "head": "head"})
    for side, place in zip(("L", "R"), EYES, strict=True):
        eye = _eye_object(f"Eye.{side}", (0, 0, 0), rig)
        eye.parent_type, eye.parent_bone = "BONE", "head"
        bone = rig.data.bones["head"]
        eye.location = bone.matrix_local.inverted() @ Vector(place) - Vector((0, bone.length, 0))
    bpy.context.view_layer.update()
    found = find_turning(find_character(rig))
    assert _turned(found) == {"neck": ["neck"], "head": ["head"], "eye": ["Eye.L", "Eye.R"]}
    assert np.allclose([t.position for t in found.turnings if t.role == "eye"], EYES, atol=1e-5)


# --- real characters -------------------------------------------------------------------------------------------------


def test_a_makehuman_character_turns_by_its_skeleton(open_character: Callable[..., Character]) -> None:
    found = find_turning(open_character("mpfb_cc0_arkit.blend", "Human"))
    assert _turned(found) == {"neck": ["Neck"], "head": ["Head"], "eye": ["LeftEye", "RightEye"], "jaw": ["Jaw"]}


def test_a_makehuman_character_is_found_without_its_names(open_character: Callable[..., Character]) -> None:
    character = open_character("mpfb_cc0_arkit.blend", "Human")
    bones = {name: f"Bone.{i:03d}" for i, name in enumerate(bone.name for bone in character.root.data.bones)}
    keys = character.meshes[0].data.shape_keys
    base = np.array([v.co for v in keys.reference_key.data])
    moved = {name: np.linalg.norm(np.array([v.co for v in keys.key_blocks[name].data]) - base, axis=1)
             for name in ("eyeBlinkLeft", "eyeBlinkRight", "mouthFunnel", "jawOpen")}  # fmt: skip
    centers = {name: np.average(base, axis=0, weights=amount) for name, amount in moved.items()}
    everything = np.flatnonzero(sum(moved.values()) > 1e-4)
    place = FacePlace(
        centers["mouthFunnel"], centers["eyeBlinkLeft"], centers["eyeBlinkRight"], FRAME, {"Human": everything}
    )
    for old, new in bones.items():
        character.root.data.bones[old].name = new
    back = {new: old for old, new in bones.items()}
    found = {role: [back[name] for name in names] for role, names in _turned(find_turning(character, place)).items()}
    assert found == {"neck": ["Neck"], "head": ["Head"], "eye": ["LeftEye", "RightEye"], "jaw": ["Jaw"]}


def test_eyes_as_objects_of_a_real_head(open_character: Callable[..., Character]) -> None:
    found = find_turning(open_character("facecap_eyes_as_objects.blend", "Example"))
    assert _turned(found) == {"head": ["Example"], "eye": ["EyeLeft", "EyeRight"]}
    assert found.missing.keys() == {"jaw"}


def test_a_vrm_whose_names_end_alike(shared_data: Path, tmp_path: Path) -> None:
    shutil.copy(shared_data / "characters" / "godette.vrm", tmp_path / "godette.glb")
    bpy.ops.import_scene.gltf(filepath=str(tmp_path / "godette.glb"))
    found = find_turning(find_character(bpy.data.objects["Face"]))
    assert _turned(found) == {"neck": ["neck_Armature"], "head": ["head_Armature"]}
    assert found.missing.keys() == {"eyes", "jaw"}


def test_a_linked_character_is_read_like_any_other(shared_data: Path) -> None:
    path = str(shared_data / "characters" / "mpfb_cc0_arkit.blend")
    with bpy.data.libraries.load(path, link=True) as (_, wanted):
        wanted.objects = ["Armature", "Human"]
    for obj in wanted.objects:
        bpy.context.scene.collection.objects.link(obj)
    found = find_turning(find_character(wanted.objects[1]))
    assert _turned(found) == {"neck": ["Neck"], "head": ["Head"], "eye": ["LeftEye", "RightEye"], "jaw": ["Jaw"]}
