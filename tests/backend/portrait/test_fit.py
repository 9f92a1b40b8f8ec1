# SPDX-License-Identifier: GPL-3.0-or-later
"""The head model meets the landmarks of a face, and finds how the head is turned."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from blender_demo.backend.errors import PortraitError
from blender_demo.backend.head.head_model import HeadModel, load_head
from blender_demo.backend.motion.factors import ARKIT_NAMES
from blender_demo.backend.portrait.fit import HeadFit, fit_head
from blender_demo.backend.portrait.landmarks import Landmarks, find_landmarks
from blender_demo.backend.portrait.picture import read_picture

WIDTH, HEIGHT = 512, 640
PEOPLE = 12
INNER_FACE = slice(17, 68)


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


def person(seed: int, yaw_deg: float | None = None) -> HeadFit:
    """Somebody with some expression, some way turned, whose eyes are about 100 pixels apart."""
    random = np.random.default_rng(seed)
    yaw = random.uniform(-30, 30) if yaw_deg is None else yaw_deg
    turn = Rotation.from_euler("yxz", [yaw, random.uniform(-12, 12), random.uniform(-15, 15)], degrees=True)
    distance = np.exp(random.normal(np.log(1.3), 0.25))
    shift = random.uniform(-0.05, 0.05, 2) * distance
    return HeadFit(
        identity=0.8 * random.standard_normal(32).astype(np.float32),
        expression=(random.uniform(0, 0.5, 52) * (random.random(52) < 0.15)).astype(np.float32),
        rotation=(np.diag([1, -1, -1]) @ turn.as_matrix()).astype(np.float32),
        translation=np.array([*shift, distance], np.float32),
        focal_px=100 * distance / 0.062,
        width=WIDTH,
        height=HEIGHT,
        residual_percent=0.0,
    )


def landmarks_of(head: HeadModel, true: HeadFit) -> Landmarks:
    """What an annotator would click: on the far side, the jaw line is where the face ends."""
    vertices = true.vertices()
    pixels = true.project(vertices)
    points = pixels[head.landmarks]
    far = np.sign(true.rotation[0, 2])
    skin = head.vertices_of("skin")
    for i in (*range(8), *range(9, 17)):
        hidden = vertices[head.landmarks[i]]
        if hidden[0] * far > 0:
            level = np.abs(vertices[skin, 1] - hidden[1]) < 0.004
            face = skin[level & (vertices[skin, 2] >= hidden[2]) & (vertices[skin, 0] * far > 0)]
            points[i] = pixels[face[np.argmax(far * pixels[face, 0])]]
    return Landmarks(points, pixels[head.iris])


@pytest.fixture(scope="module")
def fits(head: HeadModel) -> list[tuple[HeadFit, Landmarks, HeadFit]]:
    people = [person(seed) for seed in range(PEOPLE)]
    marks = [landmarks_of(head, true) for true in people]
    return [(true, seen, fit_head(seen, WIDTH, HEIGHT)) for true, seen in zip(people, marks, strict=True)]


def test_pose_is_found_within_a_degree(fits) -> None:
    turns = [fit.rotation.astype(float) @ true.rotation.T.astype(float) for true, _, fit in fits]
    errors = np.abs(Rotation.from_matrix(turns).as_rotvec(degrees=True))
    assert (np.median(errors, axis=0) < (1.0, 0.75, 0.5)).all()  # pitch, yaw, roll
    assert errors.max() < 4.0  # a nod and a stranger's long face look alike


def test_inner_face_is_met_within_a_percent(head: HeadModel, fits) -> None:
    for _, seen, fit in fits:
        miss = np.linalg.norm(fit.project(fit.vertices())[head.landmarks] - seen.points, axis=1)[INNER_FACE]
        assert miss.mean() < 0.01 * seen.eye_distance
        assert fit.residual_percent < 1.5


def test_pupils_are_met_to_a_pixel(head: HeadModel, fits) -> None:
    for _, seen, fit in fits:
        assert seen.iris is not None
        pupils = fit.project(fit.vertices())[head.iris[:, 0]]
        assert np.linalg.norm(pupils - seen.iris[:, 0], axis=1).max() < 1.0


def test_expression_stays_within_what_shapes_allow(fits) -> None:
    for _, _, fit in fits:
        assert fit.expression.shape == (len(ARKIT_NAMES),)
        assert fit.expression.min() >= 0
        assert fit.expression.max() <= 1


@pytest.mark.parametrize(
    ("shapes", "opening"),
    [({}, 0.0), ({"jawOpen": 0.5}, None), ({"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7, "jawOpen": 0.3}, None)],
)
def test_lips_are_as_far_open_as_in_the_picture(head: HeadModel, shapes: dict[str, float], opening) -> None:
    true = person(3, yaw_deg=5.0)
    true.expression[:] = 0
    for name, weight in shapes.items():
        true.expression[ARKIT_NAMES.index(name)] = weight
    fit = fit_head(landmarks_of(head, true), WIDTH, HEIGHT)
    gaps = [np.diff(one.project(one.vertices())[head.landmarks[[62, 66]], 1])[0] for one in (true, fit)]
    assert gaps[1] == pytest.approx(gaps[0], abs=1.0)


@pytest.mark.parametrize("blink", [0.0, 0.5, 1.0])
def test_lids_are_as_far_open_as_in_the_picture(head: HeadModel, blink: float) -> None:
    true = person(4, yaw_deg=-8.0)
    true.expression[:] = 0
    for side in ("Left", "Right"):
        true.expression[ARKIT_NAMES.index(f"eyeBlink{side}")] = blink
    fit = fit_head(landmarks_of(head, true), WIDTH, HEIGHT)
    lids = head.landmarks[[37, 41, 43, 47]]
    gaps = [one.project(one.vertices())[lids, 1].reshape(2, 2) @ [-1, 1] for one in (true, fit)]
    np.testing.assert_allclose(gaps[1], gaps[0], atol=1.5)


def test_same_landmarks_give_the_same_head(head: HeadModel) -> None:
    seen = landmarks_of(head, person(5))
    first, second = (fit_head(seen, WIDTH, HEIGHT) for _ in range(2))
    assert (first.identity == second.identity).all()
    assert (first.rotation == second.rotation).all()


def test_a_face_without_irises_is_fitted(head: HeadModel) -> None:
    seen = Landmarks(landmarks_of(head, person(6)).points)
    assert fit_head(seen, WIDTH, HEIGHT).residual_percent < 1.5


def test_a_face_turned_too_far_is_refused(head: HeadModel) -> None:
    with pytest.raises(PortraitError, match="turned"):
        fit_head(landmarks_of(head, person(7, yaw_deg=62.0)), WIDTH, HEIGHT)


def test_a_small_face_is_refused(head: HeadModel) -> None:
    seen = landmarks_of(head, person(8))
    with pytest.raises(PortraitError, match="pixels high"):
        fit_head(Landmarks(seen.points / 4), WIDTH // 4, HEIGHT // 4)


def test_points_that_are_no_face_are_refused(head: HeadModel) -> None:
    seen = landmarks_of(head, person(9))
    with pytest.raises(PortraitError, match="lie on each other"):
        fit_head(Landmarks(np.zeros_like(seen.points)), WIDTH, HEIGHT)
    with pytest.raises(PortraitError, match="do not form a face"):
        fit_head(Landmarks(np.roll(seen.points, 7, axis=0)), WIDTH, HEIGHT)


@pytest.mark.parametrize("name", ["astronaut", "grid_bbaf2n", "grid_brbk7n", "grid_lbax4n"])
def test_real_faces_are_met_within_two_percent(shared_data, name: str) -> None:
    pytest.importorskip("mediapipe", reason="needs MediaPipe")
    picture, _ = read_picture(shared_data / "portraits" / f"{name}.png")
    height, width = picture.shape[:2]
    assert fit_head(find_landmarks(picture), width, height).residual_percent < 2.0
