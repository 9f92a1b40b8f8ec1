# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys are told by what they move, on a head that is not among those they are compared with."""

import numpy as np
import pytest
from numpy.typing import NDArray

from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.mapping.by_shape import PROTOTYPE_FILE, Reading, find_face, read_shapes
from blender_demo.backend.motion.factors import ARKIT_NAMES, FACTOR_OF

Arrays = tuple[NDArray[np.float64], NDArray[np.float64]]

with np.load(PROTOTYPE_FILE, allow_pickle=False) as _data:
    OTHERS = tuple(name for name in _data["heads"].tolist() if name != "own")

LIPS_LIDS_BROWS = [
    name for name in ARKIT_NAMES
    if FACTOR_OF[name] == "lip" or name.startswith(("eyeBlink", "eyeSquint", "eyeWide", "brow"))
]  # fmt: skip


@pytest.fixture(scope="module")
def own() -> Arrays:
    """Every fifth vertex of the own head (V, 3), and what each key moves (52, V, 3)."""
    head = load_head()
    return head.vertices[::5].astype(np.float64), head.deltas[:, ::5].astype(np.float64)


def _read(points: NDArray[np.float64], deltas: NDArray[np.float64]) -> list[Reading | None]:
    found = find_face(points, deltas, OTHERS)
    assert found is not None
    return read_shapes(points, deltas, found.face, heads=OTHERS)


def _right(readings: list[Reading | None], names: list[str]) -> float:
    """Part of the lip, lid and brow channels that are told right; none may be of a wrong factor."""
    counted = [(reading, name) for reading, name in zip(readings, names, strict=True) if name in LIPS_LIDS_BROWS]
    for reading, name in zip(readings, names, strict=True):
        assert reading is None or {FACTOR_OF[channel] for channel in reading.channels} == {FACTOR_OF[name]}, name
    return sum(reading is not None and set(reading.channels) == {name} for reading, name in counted) / len(counted)


def test_a_head_that_is_not_known_is_read(own: Arrays) -> None:
    assert _right(_read(*own), list(ARKIT_NAMES)) >= 0.95


@pytest.mark.parametrize("scale", [(1.3, 1.0, 1.0), (1.0, 1.35, 1.0), (1.0, 1.0, 1.6), (250.0, 250.0, 250.0)])
def test_proportions_and_units_do_not_matter(own: Arrays, scale: tuple[float, float, float]) -> None:
    points, deltas = own
    assert _right(_read(points * scale + [3.0, -2.0, 1.0], deltas * scale), list(ARKIT_NAMES)) >= 0.9


def test_strong_and_weak_keys_are_read(own: Arrays) -> None:
    points, deltas = own
    for strength in (0.4, 1.5):
        assert _right(_read(points, strength * deltas), list(ARKIT_NAMES)) >= 0.9


def test_large_eyes_and_a_small_mouth_are_read(own: Arrays) -> None:
    head = load_head()
    middles = [*head.eye_centres.astype(np.float64), head.vertices[head.lip_loop].mean(axis=0).astype(np.float64)]

    def cartoon(points: NDArray[np.float64]) -> NDArray[np.float64]:
        moved = points.copy()
        for middle, growth, reach in zip(middles, (1.0, 1.0, -0.45), (0.018, 0.018, 0.033), strict=True):
            away = (points - middle)[..., :2]
            near = np.exp(-((np.linalg.norm(away, axis=-1, keepdims=True) / reach) ** 2))
            moved[..., :2] += growth * near * away
        return moved

    points, deltas = own
    changed = cartoon(points)
    assert _right(_read(changed, cartoon(points + deltas) - changed), list(ARKIT_NAMES)) >= 0.9


@pytest.mark.parametrize("seed", range(4))
def test_a_few_keys_are_enough(own: Arrays, seed: int) -> None:
    points, deltas = own
    chosen = np.sort(np.random.default_rng(seed).choice(52, 16, replace=False))
    assert _right(_read(points, deltas[chosen]), [ARKIT_NAMES[i] for i in chosen]) >= 0.75


def test_a_head_that_leans_is_read(own: Arrays) -> None:
    points, deltas = own
    angle = np.radians(10.0)
    lean = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    assert _right(_read(points @ lean.T, deltas @ lean.T), list(ARKIT_NAMES)) >= 0.9


def test_keys_of_both_sides_are_pairs(own: Arrays) -> None:
    points, deltas = own
    stems = ("eyeBlink", "browDown", "mouthSmile", "eyeLookUp")
    both = [sum(deltas[ARKIT_NAMES.index(f"{stem}{side}")] for side in ("Left", "Right")) for stem in stems]
    single = [deltas[ARKIT_NAMES.index(name)] for name in ("jawOpen", "mouthFunnel", "mouthPucker")]
    readings = _read(points, np.stack([*both, *single]))
    for stem, reading in zip(stems, readings, strict=False):
        assert reading is not None
        assert set(reading.channels) == {f"{stem}Left", f"{stem}Right"}


def test_what_is_no_face_is_left_alone(own: Arrays) -> None:
    points, deltas = own
    body = np.concatenate([points, points - [0.0, 0.6, 0.1]])
    longer = np.pad(deltas, ((0, 0), (0, len(points)), (0, 0)))
    belly, height, neck = np.zeros((3, *body.shape))
    belly[len(points) :, 2] = 0.03
    height[:, 1] = 0.2 * (body[:, 1] + 0.8)
    neck[(body[:, 1] < -0.13), 0] = 0.02
    readings = _read(body, np.concatenate([longer, [belly, height, neck]]))
    assert readings[52:] == [None, None, None]
    assert _right(readings[:52], list(ARKIT_NAMES)) >= 0.9


def test_a_mixture_names_what_it_is_mixed_of(own: Arrays) -> None:
    points, deltas = own
    names = ("eyeBlinkLeft", "eyeBlinkRight", "jawOpen", "mouthPucker", "browInnerUp")
    jaw, pucker = deltas[ARKIT_NAMES.index("jawOpen")], deltas[ARKIT_NAMES.index("mouthPucker")]
    oh = 0.4 * jaw + 0.9 * pucker
    mixed = _read(points, np.stack([*(deltas[ARKIT_NAMES.index(name)] for name in names), oh]))[-1]
    assert mixed is not None
    assert {"jawOpen", "mouthPucker"} & set(mixed.channels) or "mouthFunnel" in mixed.channels
    assert {FACTOR_OF[channel] for channel in mixed.channels} == {"lip"}


def test_channels_that_are_taken_are_not_given_again(own: Arrays) -> None:
    points, deltas = own
    found = find_face(points, deltas, OTHERS)
    assert found is not None
    readings = read_shapes(points, deltas, found.face, taken={"jawOpen", "eyeBlinkLeft"}, heads=OTHERS)
    assert not {"jawOpen", "eyeBlinkLeft"} & {channel for r in readings if r is not None for channel in r.channels}


def test_a_mouth_drawn_as_a_line_is_told_by_opening_and_width() -> None:
    across = np.linspace(-1.0, 1.0, 21)
    line = np.concatenate([np.stack([across, np.full(21, side * 0.05), np.zeros(21)], axis=1) for side in (1, -1)])
    around = [(3.0 * np.cos(a), 8.0 + 1.5 * np.sin(a), 0.0) for a in np.linspace(0, 2 * np.pi, 24)]
    eyes = np.array([(x + side * 4.0, y, z) for side in (1, -1) for x, y, z in around])
    points = np.concatenate([line, eyes])
    upper = np.repeat([1.0, -1.0], 21)
    bow = 1.0 - line[:, 0] ** 2
    motions = np.zeros((5, *points.shape))
    motions[0, :42, 1] = 0.5 * upper * bow  # opens
    motions[1, :42, 0] = 0.4 * line[:, 0]  # widens
    motions[2, :42, 0] = -0.4 * line[:, 0]  # narrows
    for key, first in ((3, 42), (4, 66)):  # a lid comes down, to the middle of the eye
        motions[key, first : first + 24, 1] = -np.clip(points[first : first + 24, 1] - 8.0, 0.0, None) * 1.2
    opens, widens, narrows, left, right = _read(points, motions)
    assert opens is not None and set(opens.channels) == {"jawOpen"}  # noqa: PT018
    assert widens is not None and set(widens.channels) == {"mouthStretchLeft", "mouthStretchRight"}  # noqa: PT018
    assert narrows is not None and "mouthPucker" in narrows.channels  # noqa: PT018
    assert left is not None and set(left.channels) == {"eyeBlinkLeft"}  # noqa: PT018
    assert right is not None and set(right.channels) == {"eyeBlinkRight"}  # noqa: PT018


def test_keys_that_move_nothing_are_no_face(own: Arrays) -> None:
    points, deltas = own
    assert find_face(points, 0.0 * deltas[:3]) is None


def test_lids_of_eyes_that_no_key_turns_are_not_taken_for_looks(own: Arrays) -> None:
    points, deltas = own
    names = [name for name in ARKIT_NAMES if not name.startswith("eyeLook")]
    shut = {side: deltas[ARKIT_NAMES.index(f"eyeBlink{side}")] for side in ("Left", "Right")}
    keys = [*(deltas[ARKIT_NAMES.index(name)] for name in names), *(0.45 * shut[side] for side in shut)]
    readings = _read(points, np.stack(keys))
    assert not [reading for reading in readings if reading is not None and any("Look" in c for c in reading.channels)]
    for side in shut:
        assert readings[names.index(f"eyeBlink{side}")].channels == {f"eyeBlink{side}": 1.0}  # pyright: ignore
