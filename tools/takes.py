# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes of recordings for sheets that are drawn again and again: generated once, and kept."""

import sys
from pathlib import Path

from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.settings import GenerationSettings
from blender_demo.backend.worker.client import GenerationJob, Worker

__all__ = ["kept_take"]


def kept_take(audio: Path, folder: Path) -> MotionClip:
    """The take of a recording, which is kept in the folder. Raises DemoError."""
    kept = folder / f"{audio.stem}.npz"
    if not kept.is_file():
        with Worker(Path(sys.executable)) as worker:
            GenerationJob(worker, audio, GenerationSettings()).run().save(kept)
    return MotionClip.load(kept)
