# SPDX-License-Identifier: GPL-3.0-or-later
"""Self-attention over neighboring frames with rotary positions: the block shared by the audio encoder, the lip prior
and the flow.

A frame attends to the frames at most `reach` away, and positions are relative, so a clip of any length is one pass,
and a stack of n blocks sees exactly n * reach frames to each side.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["NeighborAttention", "rotary"]


def rotary(x: Tensor, positions: Tensor, base: float = 1000.0) -> Tensor:
    """Rotate feature pairs of x (..., L, D) by angles proportional to positions (L,) (RoFormer, arXiv 2104.09864, eq.
    34).
    """
    half = x.shape[-1] // 2
    frequency = base ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = positions[:, None].float() * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


class NeighborAttention(nn.Module):
    """Multi-head attention of each frame to itself and `reach` frames on both sides; zero outside the clip is masked,
    not attended.
    """

    def __init__(self, width: int, heads: int, reach: int) -> None:
        super().__init__()
        self.heads, self.reach = heads, reach
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """x (B, T, width), valid (B, T) bool or None for all -> (B, T, width).

        Frames are cut into blocks of 2 * reach; each block's queries see its own keys and `reach` more on each side.
        """
        batch, frames, width = x.shape
        block = 2 * self.reach
        blocks = -(-frames // block)
        pad = blocks * block - frames
        if valid is None:
            valid = x.new_ones(batch, frames, dtype=torch.bool)
        q, k, v = self.qkv(x).view(batch, frames, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q = F.pad(q, (0, 0, 0, pad)).unflatten(2, (blocks, block))
        k, v = (
            F.pad(t, (0, 0, self.reach, self.reach + pad)).unfold(2, 2 * block, block).transpose(-1, -2) for t in (k, v)
        )
        valid = F.pad(valid, (self.reach, self.reach + pad)).unfold(1, 2 * block, block)

        rows = torch.arange(block, device=x.device) + self.reach
        columns = torch.arange(2 * block, device=x.device)
        near = (rows[:, None] - columns[None, :]).abs() <= self.reach
        itself = rows[:, None] == columns[None, :]
        # A frame always sees itself, so that no row is empty.
        mask = (near & valid[:, None, :, None, :]) | itself
        y = F.scaled_dot_product_attention(rotary(q, rows), rotary(k, columns), v, attn_mask=mask)
        y = y.flatten(2, 3)[:, :, :frames].transpose(1, 2).reshape(batch, frames, width)
        return self.out(y)
