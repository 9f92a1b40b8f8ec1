# SPDX-License-Identifier: GPL-3.0-or-later
"""The head model meets the landmarks of a face, and finds how the head is turned."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from blender_demo.backend.errors import PortraitError
from blender_demo.backend.head.head_model import HeadModel, load_head
from blender_demo.backend.motion.factors import ARKIT_NAMES
from blender_demo.backend.portrait.fit import LARGEST_RESIDUAL_PERCENT, HeadFit, completed, fit_head, mean_head
from blender_demo.backend.portrait.landmarks import Landmarks, find_landmarks
from blender_demo.backend.portrait.picture import read_picture

WIDTH, HEIGHT = 512, 640
PEOPLE = 12
INNER_FACE = slice(17, 68)
FEW = (8, 19, 24, 30, 36, 37, 39, 41, 42, 44, 45, 46, 48, 51, 54, 57, 62, 66)
"""What an artist places: no more than the corners and middles of things."""


def cat() -> Landmarks:
    """Landmarks no human has: round eyes far apart, a low broad mouth, no chin to speak of."""
    mean = mean_head(WIDTH, HEIGHT)
    points = mean.project(mean.vertices()[load_head().landmarks])
    for eye, shift in ((range(36, 42), -30), (range(42, 48), 30)):
        middle = points[eye].mean(axis=0)
        points[eye] = middle + (shift, -10) + (points[eye] - middle) * (1.3, 3.0)
    points[48:68] = points[48:68] * (2.4, 1.0) + (-1.4 * WIDTH / 2, 25)
    return Landmarks(points)


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
    with pytest.raises(PortraitError, match=r"have changed places|mirrored"):
        fit_head(Landmarks(np.roll(seen.points, 7, axis=0)), WIDTH, HEIGHT)
    scattered = seen.points + np.random.default_rng(1).normal(0, 0.15 * seen.eye_distance, (68, 2))
    scattered[36:48] = seen.points[36:48]
    with pytest.raises(PortraitError, match="do not form a face"):
        fit_head(Landmarks(scattered.astype(np.float32)), WIDTH, HEIGHT)


def test_from_a_few_points_the_others_are_told(head: HeadModel, fits) -> None:
    misses = []
    for _, seen, _ in fits:
        points = np.full_like(seen.points, np.nan)
        points[list(FEW)] = seen.points[list(FEW)]
        few = Landmarks(points, by_hand=True)
        whole = completed(few, fit_head(few, WIDTH, HEIGHT)).points
        np.testing.assert_array_equal(whole[list(FEW)], seen.points[list(FEW)])
        misses.append(np.linalg.norm(whole - seen.points, axis=1) / seen.eye_distance)
    by_part = np.mean(misses, axis=0)
    assert by_part[36:48].mean() < 0.005
    assert by_part[INNER_FACE].mean() < 0.01
    assert by_part[:17].mean() < 0.06  # most of it along the jaw line


def test_an_artists_points_are_met_however_little_they_look_like_a_face(head: HeadModel) -> None:
    meant = replace(cat(), by_hand=True)
    fit = fit_head(meant, WIDTH, HEIGHT)
    assert fit.residual_percent > LARGEST_RESIDUAL_PERCENT
    pixels = fit.project(fit.vertices())[head.landmarks]
    np.testing.assert_allclose(pixels[27:68], meant.points[27:68], atol=0.2)
    assert np.abs(fit.identity).max() < 4  # the head stays one; what it cannot be is bent


def test_a_bend_moves_lips_apart_that_touch(head: HeadModel) -> None:
    true = person(5, yaw_deg=0.0)
    true.expression[:] = 0
    seen = landmarks_of(head, true)
    seen.points[[61, 62, 63], 1] -= 2.0
    seen.points[[65, 66, 67], 1] += 2.0
    fit = fit_head(replace(seen, by_hand=True), WIDTH, HEIGHT)
    vertices = fit.project(fit.vertices())
    np.testing.assert_allclose(vertices[head.landmarks[60:68]], seen.points[60:68], atol=0.2)
    upper, lower = (vertices[rows, 1] for rows in (head.lip_upper, head.lip_lower))
    middle = slice(len(upper) // 3, 2 * len(upper) // 3)
    assert (lower.min(axis=-1) - upper.max(axis=-1))[middle].min() > 0.5


def test_the_far_side_of_the_head_is_not_bent(head: HeadModel) -> None:
    fit = fit_head(replace(cat(), by_hand=True), WIDTH, HEIGHT)
    skin = head.vertices_of("skin")
    back = skin[head.vertices[skin, 2] < -0.05]
    assert np.linalg.norm(fit.bend[back], axis=1).max() < 0.1 * np.linalg.norm(fit.bend, axis=1).max()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda points: points[:, ::-1], "are mirrored"),  # turned over
        (lambda points: points * (-1, 1) + (WIDTH, 0), "are mirrored"),
        (lambda points: (WIDTH, HEIGHT) - points, "upside down"),
        (lambda points: _exchanged(points, [48, 60], [54, 64]), "corners of the mouth have changed places"),
        (lambda points: _exchanged(points, [17, 18, 19, 20, 21], [26, 25, 24, 23, 22]), "brows have changed places"),
        (lambda points: _exchanged(points, [50, 51, 52], [58, 57, 56]), "upper and lower lip have changed places"),
        (lambda points: np.add(points, (WIDTH / 2, 0)), r"points .* lie outside of the picture"),
        (lambda points: np.where(np.arange(68)[:, None] < 42, points, np.nan), "left eye"),
        (lambda points: np.where(np.arange(68)[:, None] // 6 == 6, points, points * np.nan), "left eye"),
        (lambda points: _without(points, [*range(36), *range(48, 68)]), "below the eyes"),
    ],
)
def test_what_is_wrong_with_placed_points_is_said(head: HeadModel, change, sentence: str) -> None:
    seen = landmarks_of(head, person(3, yaw_deg=0.0)).points
    with pytest.raises(PortraitError, match=sentence):
        fit_head(Landmarks(change(seen).astype(np.float32), by_hand=True), WIDTH, HEIGHT)


def _exchanged(points: np.ndarray, first: list[int], second: list[int]) -> np.ndarray:
    points = points.copy()
    points[first + second] = points[second + first]
    return points


def _without(points: np.ndarray, rows: list[int]) -> np.ndarray:
    points = points.copy()
    points[rows] = np.nan
    return points


@pytest.mark.parametrize("name", ["astronaut", "grid_bbaf2n", "grid_brbk7n", "grid_lbax4n"])
def test_real_faces_are_met_within_two_percent(shared_data, name: str) -> None:
    pytest.importorskip("mediapipe", reason="needs MediaPipe")
    picture, _ = read_picture(shared_data / "portraits" / f"{name}.png")
    height, width = picture.shape[:2]
    assert fit_head(find_landmarks(picture), width, height).residual_percent < 2.0


def test_wide_eyes_shut_as_far_as_they_are_open(head: HeadModel) -> None:
    fit = fit_head(replace(cat(), by_hand=True), WIDTH, HEIGHT)
    shut = np.zeros((1, len(ARKIT_NAMES)), np.float32)
    shut[0, [ARKIT_NAMES.index(f"eyeBlink{side}") for side in ("Left", "Right")]] = 1
    lids = head.landmarks[[37, 41, 44, 46]]
    human, bent = ((model.displaced(shut) - model.vertices)[0, lids, 1] for model in (head, fit.person))
    assert (bent / human)[[0, 2]].min() > 1.3  # upper lids, of eyes three times as high
