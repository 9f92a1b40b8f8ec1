# SPDX-License-Identifier: GPL-3.0-or-later
"""Which triangle is seen where."""

import torch

from blender_demo.backend.portrait.rasterize import Raster, rasterize

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
    picture = torch.full((raster.batch * raster.height * raster.width * raster.samples**2,), -1)
    picture[raster.sample] = raster.face
    return picture.view(raster.batch, raster.height * raster.samples, -1)


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
    alone = sum(len(rasterize(corners, face[None], 20, 24).sample) for face in faces)
    assert alone == len(rasterize(corners, faces, 20, 24).sample) == 4 * 20 * 24


def test_values_are_correct_in_perspective():
    points = torch.tensor([[-1.0, -1.0, 2.0], [-1.0, 1.0, 2.0], [1.5, 0.0, 6.0]])
    center = torch.tensor([16.0, 12.0])
    corners = torch.cat([points[:, :2] / points[:, 2:] * 20 + center, points[:, 2:]], dim=1)[None]
    raster = rasterize(corners, torch.tensor([[0, 1, 2]]), HEIGHT, WIDTH, samples=1)
    found = raster.interpolate(points[None])
    seen = found[:, :2] / found[:, 2:] * 20 + center
    samples = torch.stack([raster.sample % WIDTH + 0.5, raster.sample // WIDTH + 0.5], dim=1)
    assert len(seen) > 50
    assert (seen - samples).abs().max() < 0.05


def test_backs_and_what_is_behind_the_camera_are_not_drawn():
    corners = torch.tensor([[[2.0, 2.0, 1.0], [2.0, 20.0, 1.0], [20.0, 2.0, 1.0], [20.0, 3.0, -1.0]]])
    assert len(rasterize(corners, torch.tensor([[0, 1, 2]]), HEIGHT, WIDTH).sample) > 0
    assert len(rasterize(corners, torch.tensor([[0, 2, 1]]), HEIGHT, WIDTH).sample) == 0
    assert len(rasterize(corners, torch.tensor([[0, 1, 3]]), HEIGHT, WIDTH).sample) == 0


def test_a_batch_shows_what_its_pictures_show_alone():
    (first, faces), (second, _) = soup(30, seed=1), soup(30, seed=2)
    together = as_picture(rasterize(torch.cat([first, second]), faces, HEIGHT, WIDTH))
    alone = torch.cat([as_picture(rasterize(corners, faces, HEIGHT, WIDTH)) for corners in (first, second)])
    assert torch.equal(together, alone)


def test_pixels_at_edges_are_as_opaque_as_covered():
    corners = torch.tensor([[[4.0, 4.0, 1.0], [4.0, 14.0, 1.0], [10.5, 14.0, 1.0], [10.5, 4.0, 1.0]]])
    raster = rasterize(corners, torch.tensor([[0, 1, 2], [0, 2, 3]]), HEIGHT, WIDTH)
    cover = raster.resolve(torch.ones(len(raster.sample), 1))[0, 0]
    assert cover[8, 9:12].tolist() == [1.0, 0.5, 0.0]
