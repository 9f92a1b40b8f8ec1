# SPDX-License-Identifier: GPL-3.0-or-later
import torch

from blender_demo.backend.training.augment import augment_mel


def test_augmentation_changes_every_clip_and_keeps_its_course_in_time():
    generator = torch.Generator().manual_seed(0)
    loudness = torch.sin(torch.linspace(0, 20, 400))[None, :, None] * 3.0
    mel = (loudness - 6.0).expand(6, -1, 64).contiguous()
    out = augment_mel(mel, generator)
    assert out.shape == mel.shape
    assert torch.isfinite(out).all()
    assert ((out - mel).abs().mean(dim=(1, 2)) > 0.1).all()
    course = torch.stack(
        [torch.corrcoef(torch.stack([a.mean(1), b.mean(1)]))[0, 1] for a, b in zip(out, mel, strict=True)]
    )
    assert (course > 0.5).all()
