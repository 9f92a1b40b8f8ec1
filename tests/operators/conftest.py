# SPDX-License-Identifier: GPL-3.0-or-later
"""The registered add-on with a character in the scene, and a job that needs no generator."""

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

import blender_demo
from blender_demo.backend.errors import DemoError, JobCancelled
from blender_demo.backend.motion.clip import MotionClip
from blender_demo.backend.motion.factors import ARKIT_NAMES, CHANNELS
from blender_demo.operators import take


@pytest.fixture
def addon() -> Iterator[Any]:
    """The add-on's settings of an empty scene."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_demo.register()
    bpy.context.scene.render.fps = 30
    yield bpy.context.scene.demo
    blender_demo.unregister()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """One second of a tone."""
    path = tmp_path / "line one.wav"
    with wave.open(str(path), "wb") as stream:
        stream.setparams((1, 2, 16000, 0, "NONE", ""))
        stream.writeframes((8000 * np.sin(np.arange(16000) / 20.0)).astype("<i2").tobytes())
    return path


@pytest.fixture
def face(addon: Any) -> bpy.types.Object:
    """A face with the ARKit keys, picked as the character."""
    mesh = bpy.data.meshes.new("Face")
    mesh.from_pydata([(0.03, 0.0, 0.1), (-0.03, 0.0, 0.1), (0.0, 0.0, 0.0)], [], [])
    obj = bpy.data.objects.new("Face", mesh)
    bpy.context.scene.collection.objects.link(obj)
    for name in ("Basis", *ARKIT_NAMES):
        block = obj.shape_key_add(name=name)
        block.value = 0.0
        block.data[2].co.z -= 0.01 * (name != "Basis")
    addon.character = obj
    return obj


class FakeJob:
    """Stands in for GenerationJob: half a second of an open mouth, or a failure."""

    what = "The generation"
    error: DemoError | None = None
    made: "list[FakeJob]"

    def __init__(self, worker: Any, audio: Path, settings: Any, start_s: float = 0.0, duration_s: float | None = None):
        self.audio, self.settings, self.start_s, self.duration_s = audio, settings, start_s, duration_s
        self.clip: MotionClip | None = None
        self.timings, self.notes, self.device, self.stage, self.progress = (
            {"flow": 0.1},
            ["A note."],
            "cpu",
            "flow",
            0.5,
        )
        type(self).made.append(self)

    def run(self) -> MotionClip:
        type(self).meanwhile()
        if self.error is not None:
            raise self.error
        channels = np.zeros((15, len(CHANNELS)), np.float32)
        channels[:, CHANNELS.index("jawOpen")] = 0.6
        self.clip = MotionClip(30.0, channels)
        return self.clip

    @staticmethod
    def meanwhile() -> None:
        """What the artist does while the job runs."""

    def cancel(self) -> None:
        self.error = JobCancelled("The generation was cancelled.")


@pytest.fixture
def fake_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeJob]:
    """Generate with FakeJob instead of a worker."""

    class Job(FakeJob):
        made: "list[FakeJob]" = []

    monkeypatch.setattr(take, "GenerationJob", Job)
    monkeypatch.setattr(take, "worker_python", lambda _: tmp_path / "python")
    return Job
