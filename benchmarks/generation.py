# SPDX-License-Identifier: GPL-3.0-or-later
"""Sixty seconds of speech by a warm worker, and the bake of the result.

python -m benchmarks.generation [auto|cuda|mps|cpu]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from blender_demo.backend.settings import GenerationSettings
from blender_demo.backend.worker.client import GenerationJob, Worker
from blender_demo.scene.bake import BakeOptions
from tools.demo import SPEECH, timed_job

from .keys import bake_clip, head_in_a_new_scene
from .report import Row, publish

SECONDS = 60.0


def main(device: str = "auto") -> None:
    """Measure and publish."""
    settings = GenerationSettings(device=device)
    with tempfile.TemporaryDirectory() as folder, Worker(Path(sys.executable)) as worker:
        audio = Path(folder) / "minute.wav"
        write_minute(audio)
        timed_job(GenerationJob(worker, SPEECH, settings), "Warming up")
        job, seconds = timed_job(GenerationJob(worker, audio, settings), "Generating 60 s")
    assert job.clip is not None
    scene, character = head_in_a_new_scene()
    report = bake_clip(job.clip, scene, character, BakeOptions().tolerance)
    publish(
        f"Generation {job.device}",
        [
            Row("recording, seconds", SECONDS),
            Row("generation, seconds", seconds),
            Row("generation, real-time factor", seconds / SECONDS),
            *(Row(f"  of which {stage}, seconds", value) for stage, value in job.timings.items()),
            Row("worker's peak memory, MiB", job.peak_memory_bytes / 2**20),
            Row("bake, seconds", report.seconds),
            Row("bake, curves", report.curves),
            Row("bake, keys", report.keys),
            Row("generation and bake, real-time factor", (seconds + report.seconds) / SECONDS),
        ],
    )


def write_minute(path: Path) -> None:
    """The demo recording over and over, for sixty seconds."""
    samples, rate = soundfile.read(SPEECH)
    soundfile.write(path, np.resize(samples, round(SECONDS * rate)), rate)


if __name__ == "__main__":
    main(*sys.argv[1:2])
