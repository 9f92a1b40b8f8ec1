# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from blender_demo.backend.attention import NeighborAttention, rotary


@pytest.fixture
def attention() -> NeighborAttention:
    torch.manual_seed(0)
    return NeighborAttention(width=32, heads=2, reach=5)


@pytest.mark.parametrize("frames", [1, 7, 10, 23, 64])
def test_any_length_comes_out_at_its_own_length(attention, frames):
    assert attention(torch.randn(2, frames, 32)).shape == (2, frames, 32)


def test_a_frame_sees_exactly_its_neighbors(attention):
    x = torch.randn(1, 60, 32)
    changed = x.clone()
    changed[0, 30] += 1.0
    touched = (attention(changed) - attention(x)).abs().amax(dim=(0, 2)) > 1e-6
    assert touched.nonzero().flatten().tolist() == list(range(25, 36))


def test_positions_are_relative(attention):
    x = torch.randn(1, 40, 32)
    shifted = torch.cat([torch.randn(1, 13, 32), x], dim=1)
    torch.testing.assert_close(attention(shifted)[:, 13 + 5 :], attention(x)[:, 5:], atol=1e-5, rtol=1e-5)


def test_padding_is_not_attended(attention):
    x = torch.randn(1, 20, 32)
    padded = torch.cat([x, torch.randn(1, 9, 32)], dim=1)
    valid = torch.arange(29)[None] < 20
    torch.testing.assert_close(attention(padded, valid)[:, :20], attention(x), atol=1e-5, rtol=1e-5)


def test_rotary_keeps_lengths_and_depends_on_distance_alone():
    q, k = torch.randn(2, 1, 8)
    near = [rotary(q, torch.tensor([i])) @ rotary(k, torch.tensor([i + 3])).T for i in (0, 11)]
    torch.testing.assert_close(near[0], near[1])
    torch.testing.assert_close(rotary(q, torch.tensor([7])).norm(), q.norm())
