# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker process for tests: the real server with a FAKE generator, which makes motion out of arithmetic instead of a
network, a FAKE renderer, whose portraits are of one color, and a FAKE sculptor, whose heads are all the head model.

Started like `bootstrap.py`. What the fakes do is chosen by the name of the audio file or picture they are given.
"""

import ctypes
import importlib
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace


class FakeGenerator:
    """Stands in for `pipeline.Generator`."""

    def __init__(self, device):
        self.device = device
        self.made_at = time.monotonic_ns()

    def generate(self, audio, settings, progress, start_s=0.0, duration_s=None):
        np = importlib.import_module("numpy")
        errors = importlib.import_module("backend.errors")
        clip = importlib.import_module("backend.motion.clip")
        names = importlib.import_module("backend.motion.factors").CHANNELS
        behaviour = Path(audio).stem
        print("a print from inside the generator")
        ctypes.CDLL(None).puts(b"a line from C")
        ctypes.CDLL(None).fflush(None)
        if behaviour == "weights":
            raise errors.WeightsError("The checkpoint flow.safetensors is damaged. Install the add-on again.")
        if behaviour == "bug":
            raise ZeroDivisionError("division by zero")
        if behaviour == "memory":
            raise MemoryError
        if behaviour == "leaving" and not Path(audio).exists():
            Path(audio).touch()
            os._exit(0)
        if behaviour == "suicide":
            progress("flow", 0.3)
            os.kill(os.getpid(), signal.SIGSEGV)
        if behaviour == "deaf":
            progress("flow", 0.3)
            time.sleep(3600)
        frames = 3000 if behaviour == "long" else 60
        for stage, low in (("audio", 0.0), ("flow", 0.2), ("decode", 0.8)):
            for i in range(frames // 3):
                progress(stage, low + 0.2 * i / frames)
                time.sleep(0.02 if behaviour == "long" else 0.0)
        random = np.random.default_rng(settings.seed)
        values = random.random((frames, len(names)), dtype=np.float32)
        notes = ("a note",) if behaviour == "noted" else ()
        told = {**settings.to_json(), "made_at": self.made_at}
        result = clip.MotionClip(30.0, values, audio_hash=f"{start_s}-{duration_s}", settings=told)
        if behaviour == "damaged":
            result = SimpleNamespace(save=lambda path: path.write_bytes(b"PK"))
        timings = {"audio": 0.1, "flow": 0.2, "decode": 0.3}
        return SimpleNamespace(clip=result, timings=timings, device="cpu", notes=notes)


def fake_render_portrait(order, progress):
    """Stands in for `portrait.render.render_portrait`: real files, of pictures that get brighter."""
    np = importlib.import_module("numpy")
    sequence = importlib.import_module("backend.portrait.sequence")
    if Path(order.image).stem == "faceless":
        errors = importlib.import_module("backend.errors")
        raise errors.PortraitError(f"There is no face in {order.image}. Place the points by hand.")
    if Path(order.image).stem == "bug":
        raise ZeroDivisionError("division by zero")
    count = 3000 if Path(order.image).stem == "long" else 24 if order.still is None else 1

    def render(first):
        for index in range(first, count):
            time.sleep(0.02 if count > 24 else 0.0)
            yield np.full((order.size, order.size, 4 if order.alpha else 3), 10 * index % 256, np.uint8)

    made_from = {"rate": order.fps, "alpha": order.alpha, "refine": order.refine, "controls": order.controls.to_json()}
    frames = sequence.FrameSet(Path(order.folder), order.name, count, made_from)
    tell = lambda done: progress("frames", 0.1 + 0.9 * done)  # noqa: E731
    kept = sequence.write_sequence(frames, render, 1, overwrite=order.overwrite, progress=tell)
    result = importlib.import_module("backend.portrait.order").PortraitResult
    size, timings, notes = order.size, {"face": 0.1, "frames": 0.2}, ["a note"]
    return result(str(frames.path(0)), count, kept, size, size, order.fps, "cpu", timings, notes)


def fake_make_head(image, landmarks, progress):
    """Stands in for `portrait.sculpt.make_head`: the head model itself, in gray."""
    np = importlib.import_module("numpy")
    if Path(image).stem == "faceless":
        errors = importlib.import_module("backend.errors")
        raise errors.PortraitError(f"There is no face in {image}. Place the points by hand.")
    progress("face", 0.5)
    head = importlib.import_module("backend.head.head_model").load_head()
    person = importlib.import_module("backend.portrait.person_head").PersonHead
    return person(head, np.full((16, 16, 3), 150, np.uint8), {"iris": np.array([0.1, 0.5, 0.2], np.float32)}), []


def main(argv):
    sys.path.insert(0, argv[0])
    bootstrap = importlib.import_module("backend.worker.bootstrap")
    return bootstrap.main(
        argv, make_generator=FakeGenerator, render_portrait=fake_render_portrait, make_head=fake_make_head
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
