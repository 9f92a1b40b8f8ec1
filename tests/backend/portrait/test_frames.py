# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of a person that is the head model itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation

from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.portrait import frames as drawing
from blender_demo.backend.portrait.frames import render_frames
from blender_demo.backend.portrait.performance import perform
from blender_demo.backend.portrait.portrait import Portrait
from blender_demo.backend.portrait.stage import PosedHead

from .heads import SIZE, both, clip_of, fit_with, portrait_of

SPEECH = ({}, {"jawOpen": 0.3, "headYaw": 0.1}, {"mouthFunnel": 0.5, "gazeYaw": 0.2}, both("eyeBlink", 1.0))
MOUTH, EYES, INNER_LIPS, ALL = (list(range(*ends)) for ends in ((48, 68), (36, 48), (60, 68), (0, 68)))


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return portrait_of(fit_with())


@pytest.fixture(scope="module")
def laughing() -> Portrait:
    return portrait_of(fit_with(jawOpen=0.25, **both("mouthUpperUp", 0.3), **both("eyeSquint", 0.4)))


def frames(portrait: Portrait, *acts: dict[str, float], batch: int = 8, device: str = "cpu") -> np.ndarray:
    rendered = np.stack(list(render_frames(portrait, clip_of(*acts), SIZE, SIZE, device=device, batch=batch)))
    assert rendered.shape == (len(acts), SIZE, SIZE, 3)
    assert rendered.dtype == np.uint8
    return rendered.astype(np.float32) / 255


def box(portrait: Portrait, landmarks: list[int], margin: float = 0.0) -> tuple[slice, slice]:
    at = portrait.fit.project(portrait.fit.vertices()[load_head().landmarks[landmarks]])
    low, high = np.floor(at.min(0) - margin).astype(int), np.ceil(at.max(0) + margin).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])


@pytest.mark.parametrize("who", ["portrait", "laughing"])
def test_a_clip_at_rest_is_the_picture(who: str, request: pytest.FixtureRequest):
    portrait = request.getfixturevalue(who)
    error = frames(portrait, {})[0] - portrait.picture
    assert -10 * np.log10((error[box(portrait, ALL)] ** 2).mean()) > 35
    assert np.abs(error).mean() < 0.002


def test_the_background_never_changes(portrait: Portrait):
    away = ~binary_dilation(portrait.cutout > 0, iterations=25)
    assert away.sum() > 500
    assert np.ptp(frames(portrait, *SPEECH, {"headYaw": 0.3, "headRoll": 0.2})[:, away], axis=0).max() == 0


def test_with_alpha_all_of_the_person_is_seen_and_nothing_else(portrait: Portrait):
    acts = clip_of({}, {"headYaw": 0.1, "jawOpen": 0.2})
    still, turned = (frame[..., 3] / np.float32(255) for frame in render_frames(portrait, acts, SIZE, SIZE, alpha=True))
    person = portrait.person[..., 3]
    assert np.abs(still - person).mean() < 0.01
    inside, outside = (binary_dilation(part, iterations=15) for part in (person < 1, person > 0))
    assert turned[~inside].min() > 0.99
    assert turned[~outside].max() == 0


def test_gaze_leaves_the_mouth_as_it_is_to_the_bit(laughing: Portrait):
    ahead, *looks = frames(laughing, *({"jawOpen": 0.1, **gaze} for gaze in ({}, {"gazeYaw": 0.3}, {"gazePitch": 0.3})))
    mouth, eyes = box(laughing, MOUTH, margin=5), box(laughing, EYES)
    for looking in looks:
        assert np.abs(looking[eyes] - ahead[eyes]).max() > 0.1
        assert np.array_equal(looking[mouth], ahead[mouth])


def test_upper_teeth_go_with_the_skull_and_with_nothing_else():
    fit = fit_with()
    acts = perform(fit, clip_of({}, {"jawOpen": 0.6, "mouthUpperUpLeft": 0.5}, {"headYaw": 0.3}))
    posed = PosedHead(fit, SIZE, SIZE, "cpu")
    teeth = torch.as_tensor(load_head().vertices_of("teethUpper"))
    shaped = posed.shaped(acts)
    rest, talking, _ = shaped[:, teeth]
    assert torch.equal(rest, talking)
    turned = posed.turned(shaped, acts)[2, teeth]
    apart, apart_at_rest = ((points - points[0]).norm(dim=1) for points in (turned, rest))
    assert torch.allclose(apart, apart_at_rest, atol=1e-6)
    assert (turned - rest).norm(dim=1).min() > 0.01


@pytest.mark.parametrize("yaw", [-0.26, 0.26])
def test_no_wall_shows_through_the_face_of_a_head_turned_by_15_degrees(portrait: Portrait, yaw: float):
    turned = frames(portrait, {"headYaw": yaw})[0]
    rows, columns = box(portrait, ALL[17:36])
    aside = round(-480 / 0.72 * 0.09 * np.sin(yaw))
    inside = turned[rows, columns.start + aside + 6 : columns.stop + aside - 6]
    assert inside.size > 3000
    assert not (inside[..., 2] > inside[..., 0] + 0.3).any()  # as on the wall


def test_frames_are_the_same_again_and_in_any_batch(portrait: Portrait):
    first = frames(portrait, *SPEECH)
    assert np.array_equal(first, frames(portrait, *SPEECH))
    assert np.abs(first - frames(portrait, *SPEECH, batch=3)).max() <= 1.01 / 255


def test_shut_lids_show_skin_and_an_open_jaw_shows_the_mouth(portrait: Portrait):
    rest, blink, jaw = frames(portrait, {}, both("eyeBlink", 1.0), {"jawOpen": 0.5})
    head = load_head()
    x, y = portrait.fit.project(head.vertices[head.iris[0, 0]]).astype(int)
    assert rest[y, x].max() < 0.3
    assert blink[y - 1, x, 0] > blink[y - 1, x, 2] + 0.1
    mouth = box(portrait, INNER_LIPS, margin=3)
    assert rest[mouth].min() > jaw[mouth].min() + 0.1


def test_a_gray_picture_stays_gray_with_the_mouth_open(portrait: Portrait):
    def gray(values: np.ndarray) -> np.ndarray:
        return np.broadcast_to(values[..., :3].mean(-1, keepdims=True), (*values.shape[:-1], 3)).astype(np.float32)

    names = ("texture", "plate", "picture", "iris_color", "sclera_color", "light")
    drained = replace(portrait, **{name: gray(getattr(portrait, name)) for name in names})
    for frame in frames(drained, {"jawOpen": 0.6}, both("eyeBlink", 1.0)):
        assert np.ptp(frame, axis=-1).max() < 0.02


def test_all_is_made_on_the_device_that_was_asked_for(portrait: Portrait, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drawing, "computed_ahead", lambda compute, items, device: map(compute, items))

    def drawn() -> np.ndarray:
        return np.stack(list(render_frames(portrait, clip_of(*SPEECH), SIZE, SIZE, refine=False)))

    wanted = drawn()
    with torch.device("meta"):  # what is made without a device has no values, and cannot be mixed with what has
        assert np.array_equal(drawn(), wanted)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_draws_what_the_cpu_draws(portrait: Portrait):
    apart = np.abs(frames(portrait, *SPEECH, device="cuda") - frames(portrait, *SPEECH))
    assert (apart > 1.01 / 255).mean() < 1e-4
