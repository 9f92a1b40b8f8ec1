# SPDX-License-Identifier: GPL-3.0-or-later
"""Light that falls in between lips, and their soft rims."""

import pytest
import torch

from blender_demo.backend.portrait.mouth import Opening, find_opening
from blender_demo.backend.portrait.rasterize import rasterize

SIZE = 64
SLIT, WIDE = (30, 34), (16, 48)


def opening_of(rows: tuple[int, int]) -> Opening:
    inside = torch.zeros(1, 1, SIZE, SIZE)
    inside[:, :, slice(*rows), 12:52] = 1
    return Opening(0, 0, inside, px_per_m=1500.0)


def light(opening: Opening, row: int, column: int = 32) -> float:
    return float(opening.light(*(torch.tensor([i]) for i in (0, row, column)))[0])


def test_it_is_darker_at_the_lips_than_between_them_and_darkest_under_the_upper_one():
    wide = opening_of(WIDE)
    under_upper, middle, over_lower = (light(wide, row) for row in (WIDE[0], 32, WIDE[1] - 1))
    assert under_upper < over_lower - 0.02
    assert over_lower < middle - 0.02
    assert middle > 0.9
    assert light(wide, 32, 13) < middle - 0.1  # in the corner


def test_the_less_the_lips_are_open_the_darker_it_is_behind_them():
    assert 0.2 < light(opening_of(SLIT), 32) < light(opening_of((26, 38)), 32) - 0.05 < light(opening_of(WIDE), 32)


def test_rims_are_softened_and_nothing_away_from_them():
    opening = opening_of(WIDE)
    frames = torch.rand(1, 4, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    frames[:, :, slice(*WIDE), 12:52] = 0
    soft = frames.clone()
    opening.soften(soft, torch.ones(1), 1.0)
    assert torch.equal(soft[:, :, :10], frames[:, :, :10])
    assert float(soft[0, 0, WIDE[0], 12:52].mean()) > 0.05
    rest = frames.clone()
    opening.soften(rest, torch.zeros(1), 1.0)
    assert torch.equal(rest, frames)


@pytest.mark.parametrize("batch", [1, 2])
def test_an_opening_is_found_where_its_faces_are_drawn(batch: int):
    square = torch.tensor([[20.0, 24.0, 1.0], [40.0, 24.0, 1.0], [40.0, 32.0, 1.0], [20.0, 32.0, 1.0]])
    faces = torch.tensor([[0, 2, 1], [0, 3, 2]])
    raster = rasterize(square.expand(batch, -1, -1), faces, SIZE, SIZE)
    found, picture, row, column = find_opening(raster, torch.arange(len(raster.pixel)), 1500.0)
    assert found is not None
    assert found.inside.shape[0] == batch
    assert float(found.inside.sum()) == batch * 20 * 8
    assert set(row.tolist()) == set(range(24, 32))
    assert set(column.tolist()) == set(range(20, 40))
    assert set(picture.tolist()) == set(range(batch))


def test_shut_lips_have_no_opening():
    square = torch.tensor([[[20.0, 24.0, 1.0], [40.0, 24.0, 1.0], [40.0, 32.0, 1.0]]])
    raster = rasterize(square, torch.tensor([[0, 2, 1]]), SIZE, SIZE)
    assert find_opening(raster, torch.zeros(0, dtype=torch.long), 1500.0)[0] is None
