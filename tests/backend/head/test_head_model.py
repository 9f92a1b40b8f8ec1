# SPDX-License-Identifier: GPL-3.0-or-later
"""The head's geometry and shapes do what their names say."""

import zipfile

import bpy  # noqa: F401  (mathutils comes with it)
import numpy as np
import pytest
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from blender_demo.backend.errors import DemoError
from blender_demo.backend.head.head_model import HEAD_FILE, HeadModel, load_head
from blender_demo.backend.motion.factors import ARKIT_NAMES

CLOSED = [
    {},
    {"mouthPucker": 1.0},
    {"mouthPucker": 1.0, "jawOpen": 0.3, "mouthClose": 0.3},
    {"mouthPressLeft": 1.0, "mouthPressRight": 1.0},
    {"mouthRollLower": 0.6, "mouthRollUpper": 0.6},
    {"jawOpen": 0.5, "mouthClose": 0.5},
    {"jawOpen": 1.0, "mouthClose": 1.0},
    {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "mouthPressLeft": 0.5, "mouthPressRight": 0.5},
]


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


def weights(**values: float) -> np.ndarray:
    row = np.zeros((1, len(ARKIT_NAMES)), np.float32)
    for name, value in values.items():
        row[0, ARKIT_NAMES.index(name)] = value
    return row


def test_file_is_small_and_holds_no_pickle() -> None:
    assert HEAD_FILE.stat().st_size <= 8e6
    with np.load(HEAD_FILE, allow_pickle=False) as data:
        assert all(data[name].dtype != object for name in data.files)
    assert all(name.endswith(".npy") for name in zipfile.ZipFile(HEAD_FILE).namelist())


def test_license_of_the_fitted_numbers_is_kept() -> None:
    assert "USC Institute for Creative Technologies" in HEAD_FILE.with_name("NOTICE.md").read_text(encoding="utf-8")


def test_a_file_that_is_no_head_is_refused_by_name(tmp_path) -> None:
    broken = tmp_path / "head.npz"
    broken.write_bytes(b"not a head")
    with pytest.raises(DemoError, match=r"head\.npz"):
        load_head(broken)


def test_indices_and_shapes_fit(head: HeadModel) -> None:
    count = len(head.vertices)
    assert 4_000 <= count <= 12_000
    assert head.deltas.shape == (52, count, 3)
    assert len(head.identity) >= 20
    assert head.identity.shape[1:] == (count, 3)
    for indices in (
        *(head.quads, head.landmarks, head.iris, head.lip_upper, head.lip_lower, head.lid_upper, head.lid_lower),
    ):
        assert 0 <= indices.min() <= indices.max() < count
    assert len(np.unique(head.landmarks)) == 68
    assert 0.2 < np.ptp(head.vertices[:, 1][head.vertices_of("skin")]) < 0.4  # metres, with the bust
    assert np.isfinite(head.deltas).all()


@pytest.mark.parametrize("name", ARKIT_NAMES)
def test_every_shape_moves_its_own_region(head: HeadModel, name: str) -> None:
    moved = np.linalg.norm(head.deltas[ARKIT_NAMES.index(name)], axis=1)
    assert moved.max() > 0.001
    skin = head.vertices_of("skin", "tongue") if name == "tongueOut" else head.vertices_of("skin")
    centre = (head.vertices[skin] * moved[skin, None]).sum(0) / moved[skin].sum()
    regions = {
        "eye": (0.015, 0.065),
        "brow": (0.02, 0.09),
        "mouth": (-0.08, 0.0),
        "jaw": (-0.10, 0.0),
        "tongue": (-0.06, 0.0),
    }
    for prefix, (low, high) in regions.items():
        if name.startswith(prefix):
            assert low < centre[1] < high
    if name.endswith(("Left", "Right")) and name not in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        assert centre[0] * (1 if name.endswith("Left") else -1) > 0.008


@pytest.mark.parametrize(
    ("name", "axis", "sign"),
    [
        ("jawOpen", 1, -1),
        ("jawForward", 2, 1),
        ("jawLeft", 0, 1),
        ("jawRight", 0, -1),
        ("mouthLeft", 0, 1),
        ("mouthRight", 0, -1),
    ],
)
def test_directions(head: HeadModel, name: str, axis: int, sign: int) -> None:
    lower_lip = head.lip_lower[len(head.lip_lower) // 2]
    assert sign * head.deltas[ARKIT_NAMES.index(name)][lower_lip, axis].mean() > 0.003


def test_eyes_turn_the_way_they_look(head: HeadModel) -> None:
    iris = head.faces_of("pupil")
    for name, axis, sign in (
        ("eyeLookUpLeft", 1, 1),
        ("eyeLookDownLeft", 1, -1),
        ("eyeLookOutLeft", 0, 1),
        ("eyeLookInLeft", 0, -1),
        ("eyeLookOutRight", 0, -1),
        ("eyeLookInRight", 0, 1),
    ):
        side = iris[(head.vertices[iris[:, 0], 0] > 0) == name.endswith("Left")]
        assert sign * head.deltas[ARKIT_NAMES.index(name)][side, axis].mean() > 0.004


@pytest.mark.parametrize("combination", CLOSED, ids=str)
def test_lips_are_sealed(head: HeadModel, combination: dict[str, float]) -> None:
    assert head.aperture(weights(**combination))[0] < 0.01


def test_aperture_grows_with_the_jaw(head: HeadModel) -> None:
    opened = np.concatenate([weights(jawOpen=w) for w in np.linspace(0, 1, 21)])
    aperture = head.aperture(opened)
    assert (np.diff(aperture) >= 0).all()
    assert (np.diff(aperture)[2:] > 0).all()
    assert aperture[-1] > 0.3


def test_rounding_tells_pucker_from_smile(head: HeadModel) -> None:
    assert head.rounding(weights(mouthPucker=1.0))[0] > 0.1
    assert head.rounding(weights(mouthSmileLeft=1.0, mouthSmileRight=1.0))[0] < -0.05
    assert head.rounding(weights())[0] == pytest.approx(0.0, abs=1e-6)


def test_lids_shut_and_open(head: HeadModel) -> None:
    assert head.lid_opening(weights())[0] == pytest.approx([1, 1])
    assert head.lid_opening(weights(eyeBlinkLeft=1.0))[0] == pytest.approx([0, 1], abs=0.02)
    assert head.lid_opening(weights(eyeWideRight=1.0))[0, 1] > 1.1


@pytest.mark.parametrize("combination", CLOSED, ids=str)
def test_teeth_and_tongue_stay_inside(head: HeadModel, combination: dict[str, float]) -> None:
    posed = head.displaced(weights(**combination))[0]
    skin = BVHTree.FromPolygons(posed.tolist(), head.faces_of("skin").tolist())
    for vertex in head.vertices_of("teethUpper", "teethLower", "tongue"):
        point = posed[vertex]
        if point[2] > 0.085 and abs(point[0]) < 0.015:
            in_front = skin.ray_cast(Vector(point - [0, 0, 0.0005]), Vector((0, 0, 1)))[0]
            assert in_front is not None, f"vertex {vertex} is seen past the lips"


@pytest.mark.parametrize(
    "combination",
    [
        {"eyeBlinkLeft": 1.0},
        {"eyeBlinkLeft": 1.0, "eyeSquintLeft": 1.0},
        {"eyeBlinkLeft": 1.0, "browDownLeft": 1.0},
    ],
    ids=str,
)
def test_a_blink_covers_the_eyeball(head: HeadModel, combination: dict[str, float]) -> None:
    posed = head.displaced(weights(**combination))[0]
    lids = BVHTree.FromPolygons(posed.tolist(), head.quads[head.material != head.materials.index("sclera")].tolist())
    ball = head.vertices_of("eyeLeft")
    ball = ball[posed[ball, 2] > head.eye_centres[0, 2] + 0.6 * head.eye_radius]
    for vertex in ball:
        away = posed[vertex] - head.eye_centres[0]
        away /= np.linalg.norm(away)
        start = head.eye_centres[0] + away * (head.eye_radius * 1.004)
        assert lids.ray_cast(Vector(start), Vector(away))[0] is not None


@pytest.mark.parametrize("amount", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_lids_never_cut_into_the_eyeball(head: HeadModel, amount: float) -> None:
    posed = head.displaced(weights(eyeBlinkLeft=amount, eyeBlinkRight=amount))[0]
    skin = posed[head.vertices_of("skin")]
    for centre in head.eye_centres:
        assert np.linalg.norm(skin - centre, axis=1).min() > head.eye_radius


def identities(head: HeadModel, count: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, len(head.identity)))


def test_identity_modes_are_sorted_and_independent(head: HeadModel) -> None:
    face = head.vertices_of("skin")
    face = face[head.vertices[face, 1] > -0.12]
    modes = head.identity[:, face].reshape(len(head.identity), -1)
    products = modes @ modes.T
    sizes = np.sqrt(np.diag(products))
    assert sizes[0] / sizes[19] > 3
    assert sizes[:8].min() > sizes[16:].max()
    assert np.abs(products / np.outer(sizes, sizes) - np.eye(len(modes))).max() < 0.4
    spread = np.sqrt((modes**2).sum() / len(face))
    assert 0.003 < spread < 0.010  # metres: how far people differ


def test_no_identity_is_the_mean_head(head: HeadModel) -> None:
    pose = weights(jawOpen=0.5)
    mean = head.displaced(pose)
    np.testing.assert_array_equal(head.displaced(pose, identity=np.zeros(5)), mean)
    coefficients = identities(head, 1)[0]
    moved = head.displaced(pose, head.landmarks, coefficients) - mean[:, head.landmarks]
    assert 0.002 < np.linalg.norm(moved, axis=-1).max() < 0.05


def test_lips_of_every_identity_are_shut(head: HeadModel) -> None:
    for coefficients in identities(head, 30):
        upper, lower = (
            head.displaced(weights(), strip, coefficients)[0, ..., 1] for strip in (head.lip_upper, head.lip_lower)
        )
        assert (upper.min(axis=1) - lower.max(axis=1)).max() < 0.0003


def test_eyes_and_teeth_go_with_the_identity(head: HeadModel) -> None:
    skin, left = head.vertices_of("skin"), head.vertices_of("eyeLeft")
    gums, lip = head.vertices_of("gumsUpper"), head.landmarks[51]
    depths = []
    for coefficients in identities(head, 30):
        posed = head.displaced(weights(), identity=coefficients)[0]
        ball = posed[left]
        centre = (ball.min(0) + ball.max(0)) / 2
        radius = np.linalg.norm(ball - centre, axis=1).max()
        assert np.linalg.norm(ball - centre, axis=1).min() > 0.9 * radius
        assert np.linalg.norm(posed[skin] - centre, axis=1).min() > radius - 0.0008
        depths.append((posed[lip, 2], posed[gums, 2].max()))
    lips, teeth = np.transpose(depths)
    assert (lips - teeth).std() < 0.7 * lips.std()


def test_iris_landmarks_lie_on_the_iris_and_turn_with_the_gaze(head: HeadModel) -> None:
    iris = set(head.faces_of("iris").ravel().tolist())
    assert set(head.iris[:, 0].tolist()) <= set(head.faces_of("pupil").ravel().tolist())
    assert set(head.iris[:, 1:].ravel().tolist()) <= iris & set(head.faces_of("sclera").ravel().tolist())
    centre, rim = head.vertices[head.iris[:, 0]], head.vertices[head.iris[:, 1:]]
    outward = (rim - centre[:, None])[..., :2]
    np.testing.assert_allclose(
        outward / np.linalg.norm(outward, axis=-1, keepdims=True),
        np.tile([[1, 0], [0, 1], [-1, 0], [0, -1]], (2, 1, 1)),
        atol=1e-3,
    )
    looking_up = head.displaced(weights(eyeLookUpLeft=1.0), head.iris)[0] - head.vertices[head.iris]
    assert looking_up[0, 0, 1] > 0.005
    assert np.abs(looking_up[1]).max() == 0
