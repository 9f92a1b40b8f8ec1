# SPDX-License-Identifier: GPL-3.0-or-later
"""Which triangle is seen where."""

import pytest
import torch

from blender_demo.backend.portrait.rasterize import RIM, Raster, rasterize

HEIGHT, WIDTH = 24, 32


def soup(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Triangles strewn over the picture and its surroundings, each at a depth of its own."""
    random = torch.Generator().manual_seed(seed)
    middle = torch.rand(count, 1, 2, generator=random) * torch.tensor([WIDTH + 10.0, HEIGHT + 10.0]) - 5
    corners = middle + torch.randn(count, 3, 2, generator=random) * 5
    depth = (1 + torch.rand(count, 1, 1, generator=random)).expand(-1, 3, -1)
    return torch.cat([corners, depth], dim=2).view(1, -1, 3), torch.arange(3 * count).view(count, 3)


def as_picture(raster: Raster) -> torch.Tensor:
    """Face at each sample, -1 where none is."""
    assert len(raster.divided) == raster.batch * raster.height * raster.width
    picture = torch.full((len(raster.divided) * raster.samples**2,), -1)
    picture[raster.slot] = raster.face
    picture = picture.view(raster.batch, raster.height, raster.width, raster.samples, raster.samples)
    return picture.transpose(2, 3).reshape(raster.batch, raster.height * raster.samples, -1)


def test_agrees_with_testing_every_sample_against_every_triangle():
    corners, faces = soup(60)
    picture = as_picture(rasterize(corners, faces, HEIGHT, WIDTH))[0]
    y, x = torch.meshgrid(torch.arange(2 * HEIGHT) + 0.5, torch.arange(2 * WIDTH) + 0.5, indexing="ij")
    best, expected = torch.zeros(x.shape), torch.full(x.shape, -1)
    on_edges = torch.zeros(x.shape, dtype=torch.bool)
    for face, (a, b, c) in enumerate((corners[0, faces, :2] * 32).round() / 16):
        edges = [(q[1] - p[1]) * (x - p[0]) - (q[0] - p[0]) * (y - p[1]) for p, q in ((a, b), (b, c), (c, a))]
        inside = torch.stack(edges).amin(0)
        nearness = 1 / corners[0, faces[face, 0], 2]
        on_edges |= inside == 0
        seen = (inside > 0) & (nearness > best)
        best[seen], expected[seen] = nearness, face
    assert (expected >= 0).float().mean() > 0.2
    assert torch.equal(picture[~on_edges], expected[~on_edges])


def test_triangles_that_share_edges_leave_no_gap_and_do_not_overlap():
    grid = torch.stack(torch.meshgrid(torch.arange(7.0) * 5 - 2, torch.arange(6.0) * 5 - 2, indexing="xy"), dim=-1)
    corners = torch.cat([grid.view(-1, 2), torch.ones(42, 1)], dim=1)[None]
    start = torch.tensor([row * 7 + column for row in range(5) for column in range(6)])[:, None]
    faces = torch.cat([start + torch.tensor([0, 7, 8]), start + torch.tensor([0, 8, 1])])
    alone = sum(len(rasterize(corners, face[None], 20, 24).pixel) for face in faces)
    assert alone == len(rasterize(corners, faces, 20, 24).pixel) == 4 * 20 * 24


def test_values_are_correct_in_perspective():
    points = torch.tensor([[-1.0, -1.0, 2.0], [-1.0, 1.0, 2.0], [1.5, 0.0, 6.0]])
    center = torch.tensor([16.0, 12.0])
    corners = torch.cat([points[:, :2] / points[:, 2:] * 20 + center, points[:, 2:]], dim=1)[None]
    raster = rasterize(corners, torch.tensor([[0, 1, 2]]), HEIGHT, WIDTH, samples=1)
    found = raster.interpolate(points[None])
    seen = found[:, :2] / found[:, 2:] * 20 + center
    samples = torch.stack([raster.pixel % WIDTH + 0.5, raster.pixel // WIDTH + 0.5], dim=1)
    assert len(seen) > 50
    assert (seen - samples).abs().max() < 0.05


def test_backs_and_what_is_behind_the_camera_are_not_drawn():
    corners = torch.tensor([[[2.0, 2.0, 1.0], [2.0, 20.0, 1.0], [20.0, 2.0, 1.0], [20.0, 3.0, -1.0]]])
    assert len(rasterize(corners, torch.tensor([[0, 1, 2]]), HEIGHT, WIDTH).pixel) > 0
    assert len(rasterize(corners, torch.tensor([[0, 2, 1]]), HEIGHT, WIDTH).pixel) == 0
    assert len(rasterize(corners, torch.tensor([[0, 1, 3]]), HEIGHT, WIDTH).pixel) == 0


def test_a_batch_shows_what_its_pictures_show_alone():
    (first, faces), (second, _) = soup(30, seed=1), soup(30, seed=2)
    together = as_picture(rasterize(torch.cat([first, second]), faces, HEIGHT, WIDTH))
    alone = torch.cat([as_picture(rasterize(corners, faces, HEIGHT, WIDTH)) for corners in (first, second)])
    assert torch.equal(together, alone)


def test_pixels_at_edges_are_as_opaque_as_covered():
    corners = torch.tensor([[[4.0, 4.0, 1.0], [4.0, 14.0, 1.0], [10.5, 14.0, 1.0], [10.5, 4.0, 1.0]]])
    raster = rasterize(corners, torch.tensor([[0, 1, 2], [0, 2, 3]]), HEIGHT, WIDTH)
    cover = raster.resolve(torch.ones(len(raster.pixel), 1))[0, 0]
    assert cover[8, 9:12].tolist() == [1.0, 0.5, 0.0]


def two_squares(apart_m: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """They meet at 10.5 pixels from the left, the right one further away."""
    left, right = ([(x, 4.0), (x, 14.0), (x + 6.5, 14.0), (x + 6.5, 4.0)] for x in (4.0, 10.5))
    depth = torch.tensor([1.0] * 4 + [1.0 + apart_m] * 4)[:, None]
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    return torch.cat([torch.tensor(left + right), depth], dim=1)[None], faces


@pytest.mark.parametrize(("surfaces", "apart_m"), [([0, 0, 1, 1], 0.0), ([0, 0, 0, 0], 0.01), ([0, 0, RIM, RIM], 0.0)])
def test_only_where_surfaces_end_pixels_have_samples(surfaces: list[int], apart_m: float):
    corners, faces = two_squares(apart_m)
    raster = rasterize(corners, faces, HEIGHT, WIDTH, surfaces=torch.tensor(surfaces))
    assert raster.centers > 30
    assert len(raster.face) == raster.centers + len(raster.slot)
    left = raster.resolve((raster.face < 2).float()[:, None])[0, 0]
    assert left[8, 9:12].tolist() == [1.0, 0.5, 0.0]
    covered = torch.zeros(HEIGHT * WIDTH).index_add_(0, raster.pixel, raster.share)
    assert torch.equal(covered, raster.resolve(torch.ones(len(raster.face), 1)).flatten())


def test_one_surface_is_looked_at_in_the_centers_of_its_pixels():
    corners, faces = two_squares()
    one = rasterize(corners, faces, HEIGHT, WIDTH, surfaces=torch.zeros(4, dtype=torch.int64))
    inner = one.pixel[: one.centers]
    assert len(inner) == 8 * 11  # all but the outermost
    place = corners[0, :, :2][faces]
    x, y = one.interpolate(place)[: one.centers].unbind(1)
    assert torch.allclose(x, inner % WIDTH + 0.5, atol=0.02)
    assert torch.allclose(y, inner // WIDTH + 0.5, atol=0.02)


def test_triangles_larger_than_any_of_a_head_are_whole():
    corners = torch.tensor([[[-700.0, -5.0, 1.0], [-700.0, 25.0, 1.0], [3000.0, 25.0, 1.0], [3000.0, -5.0, 1.0]]])
    raster = rasterize(corners, torch.tensor([[0, 1, 2], [0, 2, 3]]), 10, 1500, samples=1)
    assert len(raster.pixel) == 10 * 1500
