# SPDX-License-Identifier: GPL-3.0-or-later
"""What the camera sees of the head, in the conventions of `motion/factors.py`."""

import math

import pytest
import torch

from blender_demo.backend.fcme.landmarks import (
    LANDMARKS,
    REFERENCE_DISTANCE,
    LandmarkHead,
    normalized,
    normalized_slopes,
)
from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.motion.factors import ARKIT_NAMES, CHANNEL_INDEX, CHANNELS

NOSE, CHIN = 30, 8
LEFT_PUPIL = 68


@pytest.fixture(scope="module")
def head() -> LandmarkHead:
    return LandmarkHead()


def channels(**values: float) -> torch.Tensor:
    row = torch.zeros(1, len(CHANNELS))
    for name, value in values.items():
        row[0, CHANNEL_INDEX[name]] = value
    return row


def mean_person(head: LandmarkHead, distance: float = REFERENCE_DISTANCE) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(1, len(head.identity)), torch.tensor([distance])


def seen(head: LandmarkHead, distance: float = REFERENCE_DISTANCE, **values: float) -> torch.Tensor:
    person = mean_person(head, distance)
    return normalized(head.image(channels(**values), *person), head.neutral(*person))[0]


def test_landmarks_are_those_of_the_head_model(head):
    model = load_head()
    weights = {"jawOpen": 0.4, "mouthSmileLeft": 0.5, "eyeLookUpLeft": 0.3, "browInnerUp": 1.0}
    identity = torch.randn(1, len(model.identity))
    row = channels(**weights)
    expected = model.displaced(
        row[:, [CHANNEL_INDEX[name] for name in ARKIT_NAMES]].numpy(), model.landmarks, identity[0].numpy()
    )
    torch.testing.assert_close(head.points(row, identity)[:, :68], torch.from_numpy(expected), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("name", "axis", "sign"),
    [("headYaw", 0, -1), ("headPitch", 1, -1), ("headX", 0, 1), ("headY", 1, 1)],
)
def test_the_nose_goes_where_the_head_goes(head, name, axis, sign):
    moved = seen(head, **{name: 0.2})[NOSE] - seen(head)[NOSE]
    assert sign * moved[axis] > 0.05


def test_roll_tips_the_crown_to_the_characters_right(head):
    brow, chin = seen(head, headRoll=0.3)[[27, CHIN]]
    assert brow[0] < chin[0]


@pytest.mark.parametrize(("name", "axis", "sign"), [("gazeYaw", 0, -1), ("gazePitch", 1, -1)])
def test_irises_turn_with_the_gaze_and_nothing_else_does(head, name, axis, sign):
    moved = seen(head, **{name: 0.3}) - seen(head)
    assert sign * moved[LEFT_PUPIL, axis] > 0.02
    assert moved[:68].abs().max() == 0


def test_forward_is_larger_by_the_same_share_for_every_camera(head):
    def growth(distance: float) -> float:
        sizes = [
            torch.linalg.norm(seen(head, distance, headZ=z)[36] - seen(head, distance, headZ=z)[45]) for z in (0, 0.3)
        ]
        return float(sizes[1] / sizes[0])

    assert growth(REFERENCE_DISTANCE) == pytest.approx(1 / (1 - 0.3 / REFERENCE_DISTANCE), rel=0.01)
    assert growth(3.5) == pytest.approx(growth(12.0), rel=0.02)


def test_place_size_and_tilt_of_the_face_in_the_image_drop_out():
    torch.manual_seed(0)
    points, neutral = torch.randn(2, 5, LANDMARKS, 2)
    turn = torch.tensor([[math.cos(0.3), -math.sin(0.3)], [math.sin(0.3), math.cos(0.3)]])
    torch.testing.assert_close(
        normalized(250 * points @ turn.T + 80, 250 * neutral @ turn.T + 80),
        normalized(points, neutral),
        atol=1e-3,
        rtol=0,
    )
    rest = normalized(neutral, neutral)
    right, left = rest[:, 36:42].mean(1), rest[:, 42:48].mean(1)
    torch.testing.assert_close(right, torch.tensor([-0.5, 0.0]).expand(5, 2), atol=1e-4, rtol=0)
    torch.testing.assert_close(left, torch.tensor([0.5, 0.0]).expand(5, 2), atol=1e-4, rtol=0)


def test_slopes_are_the_derivatives_of_the_image(head):
    torch.manual_seed(0)
    exact = LandmarkHead().double()
    at = 0.3 * torch.rand(len(CHANNELS)).double()
    identity, nearness = torch.randn(len(head.identity)).double(), torch.tensor(0.2).double()

    def image(c: torch.Tensor, i: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        return exact.image(c[None], i[None], 1 / q[None])[0]

    by_channels, by_identity, by_nearness = torch.autograd.functional.jacobian(image, (at, identity, nearness))
    slopes = exact.image_slopes(at[None], identity[None], 1 / nearness[None])[0]
    count = len(CHANNELS)
    torch.testing.assert_close(slopes[:count], by_channels.permute(2, 0, 1))
    torch.testing.assert_close(slopes[count:-1], by_identity.permute(2, 0, 1), atol=3e-4, rtol=0)  # see its docstring
    torch.testing.assert_close(slopes[-1], by_nearness)


def test_slopes_of_normalization():
    torch.manual_seed(0)
    points, neutral, by_points, by_neutral = torch.randn(4, LANDMARKS, 2, dtype=torch.double)
    _, expected = torch.autograd.functional.jvp(normalized, (points, neutral), (by_points, by_neutral))
    torch.testing.assert_close(normalized_slopes(by_points, by_neutral, points, neutral), expected)
