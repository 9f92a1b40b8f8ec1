# SPDX-License-Identifier: GPL-3.0-or-later
"""The child process: holds one generator, renders portraits, makes heads, and works off the jobs its parent sends.

Ends when the parent does, or after an idle time.
"""

import argparse
import faulthandler
import importlib
import os
import queue
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, Final

from ..errors import DemoError, JobCancelled, PortraitError
from ..portrait.order import PointsOrder, PortraitOrder
from ..settings import GenerationSettings
from .probe import best_device, summary
from .process import OTHER_PYTHON
from .protocol import (
    PROTOCOL_VERSION,
    BuildHead,
    Cancel,
    Decoder,
    Done,
    Failed,
    Generate,
    Hello,
    Message,
    PlacePoints,
    Progress,
    Ready,
    RenderPortrait,
    Request,
    encode,
)

__all__ = ["EXIT_CANNOT_START", "Server", "main"]

EXIT_CANNOT_START: Final = 3
"""Exit status after a `Failed` for job 0."""

_PROGRESS_INTERVAL_S: Final = 0.05


class Server:
    """Reads messages from `source`, answers on `sink`.

    make_generator: device -> an object with the `generate` of `pipeline.Generator`.
    render_portrait: as that of `portrait.render`. make_head: as that of `portrait.sculpt`.
    """

    def __init__(
        self,
        source: BinaryIO,
        sink: BinaryIO,
        folder: Path,
        make_generator: Callable[[str], Any],
        render_portrait: Callable[..., Any],
        make_head: Callable[..., Any],
    ) -> None:
        self._source, self._sink = source, sink
        self._folder = folder
        self._make_generator, self._render_portrait, self._make_head = make_generator, render_portrait, make_head
        self._generator: Any = None
        self._device = ""
        self._jobs: queue.Queue[Request] = queue.Queue()
        self._cancelled: set[int] = set()

    def run(self, idle_timeout_s: float, started: float) -> int:
        """Say hello, import torch, then work until left alone for too long.

        started: of `time.monotonic`. Returns the exit status.
        """
        self._send(Hello(PROTOCOL_VERSION, sys.version.split()[0], os.getpid()))
        threading.Thread(target=self._read, daemon=True).start()
        try:
            torch = importlib.import_module("torch")
            device = best_device(torch)
        except Exception as error:  # a broken install fails in many ways, not by ImportError alone
            traceback.print_exc()
            self._send(Failed(0, "WorkerError", _torch_problem(error)))
            return EXIT_CANNOT_START
        self._send(Ready(str(torch.__version__), device, time.monotonic() - started))
        while True:
            try:
                job = self._jobs.get(timeout=idle_timeout_s)
            except queue.Empty:
                return 0
            self._send(self._answer(job))

    def _read(self) -> None:
        """The reader thread: a cancel must arrive while a job runs.

        When the parent is gone nobody wants the result: leave at once.
        """
        decoder = Decoder()
        try:
            while data := os.read(self._source.fileno(), 1 << 16):
                for message in decoder.feed(data):
                    if isinstance(message, Cancel):
                        self._cancelled.add(message.job)
                    elif isinstance(message, Request):
                        self._jobs.put(message)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        shutil.rmtree(self._folder, ignore_errors=True)
        os._exit(0)

    def _answer(self, job: Request) -> Message:
        if isinstance(job, Generate):
            return self._guarded(job, self._generate, f"Generating from {job.audio}", "Use a shorter range of it.")
        if isinstance(job, PlacePoints):
            return self._guarded(
                job, self._place, f"Placing points in {job.order.get('image')}", "Use a smaller picture."
            )
        if isinstance(job, BuildHead):
            return self._guarded(job, self._build_head, f"Making the head of {job.image}", "Use a smaller picture.")
        what = f"Rendering the portrait {job.order.get('image')}"
        return self._guarded(job, self._render, what, "Choose a smaller size.")

    def _guarded(self, job: Any, make: Callable[[Any, "_ProgressReport"], Done], what: str, smaller: str) -> Message:
        """The answer to one job, whatever happens. what: is done; smaller: the remedy where memory is too small."""
        print(f"Job {job.job}: {what}", file=sys.stderr)
        progress = _ProgressReport(job.job, self._send, self._cancelled)
        try:
            progress("start", 0.0)
            return make(job, progress)
        except DemoError as error:
            return Failed(job.job, type(error).__name__, str(error))
        except MemoryError:
            traceback.print_exc()
            problem = f"{what} failed: there is not enough memory. {smaller}"
        except Exception as error:
            traceback.print_exc()
            problem = f"{what} failed with an error of the program: {summary(error)}."
        return Failed(job.job, "WorkerError", problem)

    def _generate(self, job: Generate, progress: "_ProgressReport") -> Done:
        settings = GenerationSettings.from_json(job.settings)
        if self._generator is None or self._device != settings.device:
            self._generator = None  # two generators may not fit into memory at once
            self._generator = self._make_generator(settings.device)
            self._device = settings.device
        result = self._generator.generate(
            Path(job.audio), settings, progress, start_s=job.start_s, duration_s=job.duration_s
        )
        progress("save", 1.0)
        result.clip.save(Path(job.out))
        return _done(job, result, {})

    def _render(self, job: RenderPortrait, progress: "_ProgressReport") -> Done:
        result = self._render_portrait(PortraitOrder.from_json(job.order), progress)
        return _done(job, result, result.to_json())

    def _place(self, job: PlacePoints, progress: "_ProgressReport") -> Done:
        with _needed_packages():
            from ..portrait.place import place_points
        result = place_points(PointsOrder.from_json(job.order), progress)
        return _done(job, result, result.to_json())

    def _build_head(self, job: BuildHead, progress: "_ProgressReport") -> Done:
        began = time.perf_counter()
        head, notes = self._make_head(job.image, job.landmarks, progress)
        head.save(Path(job.out))
        return Done(job.job, "cpu", {"face": time.perf_counter() - began}, notes, _peak_memory_bytes())

    def _send(self, message: Message) -> None:
        self._sink.write(encode(message))
        self._sink.flush()


def _done(job: Request, result: Any, told: dict[str, Any]) -> Done:
    """The answer for a result with device, timings and notes."""
    timings = {name: float(seconds) for name, seconds in result.timings.items()}
    notes = [str(note) for note in result.notes]
    return Done(job.job, str(result.device), timings, notes, _peak_memory_bytes(), told)


class _ProgressReport:
    """The `progress` that work calls: passes on what is worth telling, and is where a cancel takes effect."""

    def __init__(self, job: int, send: Callable[[Message], None], cancelled: set[int]) -> None:
        self._job, self._send, self._cancelled = job, send, cancelled
        self._stage, self._fraction, self._sent = "", 0.0, -_PROGRESS_INTERVAL_S

    def __call__(self, stage: str, fraction: float) -> None:
        if self._job in self._cancelled:
            raise JobCancelled("The job was cancelled.")
        self._fraction = min(1.0, max(self._fraction, float(fraction)))
        now = time.monotonic()
        if stage == self._stage and now - self._sent < _PROGRESS_INTERVAL_S:
            return
        self._stage, self._sent = stage, now
        self._send(Progress(self._job, stage, self._fraction))


def _torch_problem(error: BaseException) -> str:
    return f"PyTorch cannot be imported by {sys.executable} ({summary(error)}). {OTHER_PYTHON}"


def _peak_memory_bytes() -> int:
    """Largest resident size of this process so far; 0 where the system does not tell (Windows).

    Linux is asked for VmHWM: its ru_maxrss starts from that of the process that forked, which here is Blender.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        resource: Any = importlib.import_module("resource")
    except ImportError:
        return 0
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # in bytes on macOS


def _take_over_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """The pipes to the parent, out of reach of everybody else: prints, and C libraries that write to stdout, go to the
    log.

    Taking stdin away matters on Windows, where a library that looks at stdin while the reader thread waits on it hangs.
    """
    source, sink = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    sys.stdout.flush()
    os.dup2(2, 1)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    return source, sink


def _load_generator(device: str) -> Any:
    from ..pipeline import Generator  # imports torch

    return Generator(device=device)


def _render_portrait(order: PortraitOrder, progress: Callable[[str, float], None]) -> Any:
    with _needed_packages():
        from ..portrait.render import render_portrait
    return render_portrait(order, progress)


def _make_head(image: str, landmarks: str, progress: Callable[[str, float], None]) -> Any:
    with _needed_packages():
        from ..portrait.sculpt import make_head
    return make_head(image, landmarks, progress)


@contextmanager
def _needed_packages() -> Iterator[None]:
    """Raises PortraitError for a package that is missing."""
    try:
        yield
    except ImportError as error:
        raise PortraitError(
            f"A portrait needs a package that cannot be imported ({summary(error)}). "
            f'Install it with: "{sys.executable}" -m pip install pillow'
        ) from error


def main(
    argv: Sequence[str],
    started: float,
    make_generator: Callable[[str], Any] = _load_generator,
    render_portrait: Callable[..., Any] = _render_portrait,
    make_head: Callable[..., Any] = _make_head,
) -> int:
    """Serve jobs on the standard streams.

    started: of `time.monotonic`, at the start of the process. Returns its exit status.
    """
    parser = argparse.ArgumentParser("server")
    parser.add_argument("--folder", type=Path, required=True, help="the job folder; removed when the parent has gone")
    parser.add_argument("--idle-timeout-s", type=float, default=300.0)
    options = parser.parse_args(argv)
    faulthandler.enable()
    source, sink = _take_over_standard_streams()
    server = Server(source, sink, options.folder, make_generator, render_portrait, make_head)
    return server.run(options.idle_timeout_s, started)
