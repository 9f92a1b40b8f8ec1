# SPDX-License-Identifier: GPL-3.0-or-later
"""The parent's side: a worker that is started on demand, and jobs for it.

No torch, no bpy, nothing here blocks but what says so.
"""

import time
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum, auto
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

from .. import errors
from ..errors import DemoError, JobCancelled, WorkerError
from ..motion.clip import MotionClip
from ..motion.formats import read_motion
from ..portrait.landmarks import Landmarks
from ..portrait.order import PointsOrder, PointsResult, PortraitOrder, PortraitResult
from ..portrait.person_head import PersonHead
from ..settings import GenerationSettings
from .interpreter import BOOTSTRAP, python_can_run_worker, worker_command, worker_site_dirs
from .process import OTHER_PYTHON, ChildProcess
from .protocol import (
    BuildHead,
    Cancel,
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
)

__all__ = [
    "GenerationJob",
    "HeadJob",
    "Job",
    "JobState",
    "PlacedPoints",
    "PointsJob",
    "PortraitJob",
    "Worker",
    "python_can_run_worker",
    "worker_site_dirs",
]

_R = TypeVar("_R")

_POLL_S: Final = 0.02
_MAX_STARTS: Final = 3
_VOICE_SHARE: Final = 0.1
"""Part of the progress of a portrait in which its motion is made."""

_NEXT: Final = "The next job starts a new worker; if it happens again, ask for less at once, or use another device."


class Worker:
    """Supervises one child process: started by the first job, kept warm for the next ones, replaced when it has died or
    left.

    python: the interpreter it runs in. site_dirs: folders of packages it needs besides its own.
    idle_timeout_s: the child leaves after so long without a job. start_timeout_s: until PyTorch is imported.
    cancel_grace_s: how long a cancelled job may take to notice before the child is killed.
    """

    def __init__(
        self,
        python: Path,
        site_dirs: Sequence[Path] = (),
        idle_timeout_s: float = 300.0,
        *,
        start_timeout_s: float = 180.0,
        cancel_grace_s: float = 5.0,
        script: Path = BOOTSTRAP,
    ) -> None:
        self.python = Path(python)
        self.site_dirs = tuple(site_dirs)
        self.idle_timeout_s = idle_timeout_s
        self.start_timeout_s = start_timeout_s
        self.cancel_grace_s = cancel_grace_s
        self.hello: dict[str, Any] | None = None
        self._script = script
        self._child: ChildProcess | None = None
        self._started = 0.0
        self._last_job = 0
        self._backlog: deque[Message | WorkerError | None] = deque()
        self._owner: weakref.ref[Job[Any]] | None = None

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether a child process is running, ready or not."""
        return self._child is not None and self._child.alive

    @property
    def pid(self) -> int | None:
        """Process id of the child, None where there is none."""
        return self._child.pid if self._child and self._child.alive else None

    @property
    def folder(self) -> Path | None:
        """The private folder of the child: its log, and clips on their way. None where there is no child."""
        return self._child.folder if self._child else None

    @property
    def ready(self) -> bool:
        """Whether the child has imported PyTorch and takes jobs."""
        return self.hello is not None and "torch" in self.hello

    def start(self) -> None:
        """Start the child unless one is running. Does not wait for it. Raises WorkerError when the system refuses."""
        if self.alive:
            return
        self.close()
        command = worker_command(self.python, self.site_dirs, self._script)
        self._child = ChildProcess([*command, "--idle-timeout-s", str(self.idle_timeout_s)])
        self._started = time.monotonic()

    def wait_until_ready(self) -> dict[str, Any]:
        """Block until the child can take jobs.

        Returns `hello`: python, torch, device, seconds, pid. Raises WorkerError.
        """
        self.start()
        while not self.ready:
            self.receive()
            time.sleep(_POLL_S)
        return self.hello or {}

    def close(self) -> None:
        """End the child, if any, and remove its folder. A job under way fails. Blocks for a few seconds at worst."""
        if self._child:
            self._child.end()
        self._child, self.hello = None, None
        self._backlog.clear()

    def kill(self) -> None:
        """End the child at once."""
        if self._child:
            self._child.kill()
        self.close()

    def claim(self, job: "Job[Any]") -> bool:
        """Make `job` the one that is worked on; False while another one is under way.

        A job that nobody holds any more is given up.
        """
        if self._owner:
            owner = self._owner()
            if owner is None:
                self.send(Cancel(self._last_job))
            elif owner is not job and not owner.finished:
                return False
        self._owner = weakref.ref(job)
        return True

    def submit(self, request: Callable[[int, Path], Request]) -> int:
        """Hand a job to the child, which must be ready. Returns its number.

        request: from that number, and the folder that is shared with the child, to the message.
        """
        if self._child is None:
            raise WorkerError("The worker process is not running.")
        self._last_job += 1
        self.send(request(self._last_job, self._child.folder))
        return self._last_job

    def send(self, message: Message) -> None:
        """Send a message to the child, if there is one."""
        if self._child:
            self._child.send(message)

    def receive(self) -> list[Progress | Done | Failed]:
        """What the child has said about its jobs since the last call; never waits.

        Raises WorkerError when it has died, or will not start.
        """
        if self._child is None:
            raise WorkerError("The worker process is not running.")
        while not self._child.inbox.empty():
            self._backlog.append(self._child.inbox.get_nowait())
        messages: list[Progress | Done | Failed] = []
        while self._backlog:
            message = self._backlog.popleft()
            if isinstance(message, Hello):
                self.hello = asdict(message)
            elif isinstance(message, Ready):
                self.hello = {**(self.hello or {}), **asdict(message)}
            elif isinstance(message, Progress | Done | Failed) and message.job:
                messages.append(message)
            elif messages:
                self._backlog.appendleft(message)  # what came before the end is worth having: tell of the end next time
                return messages
            else:
                raise self._ended(message)
        if not self.ready and time.monotonic() - self._started > self.start_timeout_s:
            raise self._ended(WorkerError(f"The worker process did not start within {self.start_timeout_s:g} seconds."))
        return messages

    def _ended(self, reason: Message | WorkerError | None) -> WorkerError:
        """Clear up after a child that has ended, or has to, and say why."""
        assert self._child is not None
        status, ending, log = self._child.exit_status, self._child.ending, self._child.log_tail
        remedy = _NEXT if self.ready else OTHER_PYTHON
        self.kill()
        match reason:
            case Failed():
                return WorkerError(reason.message)
            case WorkerError():
                return WorkerError(f"{reason} {remedy}{log}")
            case None if status == 0 and remedy is _NEXT:
                return _LeftByItselfError("The worker process left before it could take the job. Try again.")
            case None if remedy is _NEXT:
                return WorkerError(f"The worker process died: {ending}. {remedy}{log}")
            case _:
                return WorkerError(f"The worker cannot start with the Python {self.python}: {ending}. {remedy}{log}")


class _LeftByItselfError(WorkerError):
    """The child's idle time ran out just as a job came."""


class JobState(Enum):
    """WAITING for the worker to be free, STARTING it, RUNNING; the other three are final."""

    WAITING = auto()
    STARTING = auto()
    RUNNING = auto()
    DONE = auto()
    FAILED = auto()
    CANCELLED = auto()


class Job(ABC, Generic[_R]):
    """One piece of work. Driven by `step` from a timer or by `run`, with the same result.

    stage, progress (0..1, never falling): what to show. notes: sentences for the artist. timings: seconds by stage.
    peak_memory_bytes: of the worker so far, 0 where unknown. result, error: the outcome.
    """

    what: ClassVar[str]
    """What is made, as the subject of a sentence."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.state = JobState.WAITING
        self.stage = ""
        self.progress = 0.0
        self.notes: list[str] = []
        self.timings: dict[str, float] = {}
        self.peak_memory_bytes = 0
        self.device = ""
        self.result: _R | None = None
        self.error: DemoError | None = None
        self._number = 0
        self._starts = 0
        self._cancel_deadline: float | None = None

    @abstractmethod
    def _request(self, number: int, folder: Path) -> Request:
        """The message that asks the child for it; `folder` is shared with the child."""

    @abstractmethod
    def _outcome(self, done: Done) -> _R:
        """What the child has made. Raises DemoError where it is damaged."""

    @property
    def finished(self) -> bool:
        """Whether the state is final."""
        return self.state in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)

    def step(self) -> bool:
        """Go on as far as possible without waiting.

        Returns True when finished; never raises a DemoError but keeps it in `error`.
        """
        if self.finished:
            return True
        try:
            self._advance()
        except _LeftByItselfError as error:
            if self._starts >= _MAX_STARTS:
                self._finish(JobState.FAILED, error)
            else:
                self.state = JobState.WAITING
        except DemoError as error:
            self._finish(JobState.FAILED, error)
        return self.finished

    def cancel(self) -> None:
        """Ask for the end. A running job ends a moment later; the worker stays warm for the next one."""
        if self.state is JobState.RUNNING:
            self.worker.send(Cancel(self._number))
            self._cancel_deadline = time.monotonic() + self.worker.cancel_grace_s
        elif not self.finished:
            self._finish(JobState.CANCELLED, self._cancelled())

    def run(self, on_progress: "Callable[[Job[_R]], None] | None" = None) -> _R:
        """Step until finished, calling `on_progress` after each step. Returns the result, or raises what went wrong."""
        try:
            while not self.step():
                if on_progress:
                    on_progress(self)
                time.sleep(_POLL_S)
        except BaseException:  # Ctrl-C, or an error in on_progress: nobody waits for the job any more
            self.cancel()
            raise
        if on_progress:
            on_progress(self)
        if self.result is None:
            raise self.error or WorkerError(f"{self.what} ended without a result.")
        return self.result

    def _advance(self) -> None:
        if self.state is JobState.WAITING and self.worker.claim(self):
            self._starts += 1
            self.state, self.stage = JobState.STARTING, "start"
            self.worker.start()
        if self.state is JobState.STARTING:
            self.worker.receive()
            if self.worker.ready:
                self._number = self.worker.submit(self._request)
                self.state = JobState.RUNNING
        elif self.state is JobState.RUNNING:
            self._listen()

    def _listen(self) -> None:
        for message in self.worker.receive():
            if message.job != self._number:
                continue
            if isinstance(message, Progress):
                self.stage, self.progress = message.stage, max(self.progress, message.fraction)
            elif self._cancel_deadline is not None:
                self._finish(JobState.CANCELLED, self._cancelled())
            elif isinstance(message, Failed):
                kind = getattr(errors, message.kind) if message.kind in errors.__all__ else WorkerError
                self._finish(JobState.FAILED, kind(message.message))
            else:
                self._collect(message)
        if not self.finished and self._cancel_deadline is not None and time.monotonic() > self._cancel_deadline:
            self.worker.kill()
            self._finish(JobState.CANCELLED, self._cancelled())

    def _collect(self, done: Done) -> None:
        self.device, self.timings, self.notes = done.device, done.timings, done.notes
        self.result = self._outcome(done)
        self.peak_memory_bytes, self.progress = done.peak_memory_bytes, 1.0
        self._finish(JobState.DONE, None)

    def _finish(self, state: JobState, error: DemoError | None) -> None:
        self.state, self.error = state, error

    def _cancelled(self) -> JobCancelled:
        return JobCancelled(f"{self.what} was cancelled.")


class GenerationJob(Job[MotionClip]):
    """One take in the making.

    Raises ClipError at once if the settings name a take that is missing or damaged.
    """

    what = "The generation"

    def __init__(
        self,
        worker: Worker,
        audio: Path,
        settings: GenerationSettings,
        start_s: float = 0.0,
        duration_s: float | None = None,
    ) -> None:
        super().__init__(worker)
        self.audio = Path(audio).absolute()
        self.settings = _with_whole_takes(settings)
        self.start_s = start_s
        self.duration_s = duration_s
        self._out = Path()

    @property
    def clip(self) -> MotionClip | None:
        """The take, once it is made."""
        return self.result

    def _request(self, number: int, folder: Path) -> Generate:
        self._out = folder / f"take_{number}.npz"
        return Generate(number, str(self.audio), self.settings.to_json(), self.start_s, self.duration_s, str(self._out))

    def _outcome(self, done: Done) -> MotionClip:
        clip = MotionClip.load(self._out)
        self._out.unlink(missing_ok=True)
        return clip


def _with_whole_takes(settings: GenerationSettings) -> GenerationSettings:
    """The same settings with absolute paths of the takes they name. Raises ClipError unless all of them can be read."""

    def whole(take: str) -> str:
        if take:
            read_motion(Path(take))
        return take and str(Path(take).absolute())

    factors = {name: replace(control, given=whole(control.given)) for name, control in settings.factors.items()}
    return replace(settings, prefix=whole(settings.prefix), suffix=whole(settings.suffix), factors=factors)


class PortraitJob(Job[PortraitResult]):
    """The frames of one portrait in the making.

    voice: makes the motion first, which is then kept as the clip of the order.
    """

    what = "The portrait"

    def __init__(self, worker: Worker, order: PortraitOrder, voice: GenerationJob | None = None) -> None:
        super().__init__(worker)
        self.order = order.absolute()
        self.voice = voice

    def step(self) -> bool:
        """As of any job; while there is no motion yet, that of the voice."""
        if self.voice is None or self.voice.state is JobState.DONE or self.finished:
            return super().step()
        self.voice.step()
        self.stage, self.progress = self.voice.stage, _VOICE_SHARE * self.voice.progress
        if self.voice.clip is not None:
            try:
                self.voice.clip.save(Path(self.order.clip))
            except DemoError as error:
                self._finish(JobState.FAILED, error)
        elif self.voice.finished:
            self._finish(self.voice.state, self.voice.error)
        return self.finished

    def cancel(self) -> None:
        """As of any job."""
        if self.voice is not None and not self.voice.finished:
            self.voice.cancel()
        else:
            super().cancel()

    def _request(self, number: int, folder: Path) -> RenderPortrait:
        return RenderPortrait(number, self.order.to_json())

    def _outcome(self, done: Done) -> PortraitResult:
        if self.voice is not None:
            self.timings, self.notes = {**self.voice.timings, **done.timings}, self.voice.notes + done.notes
        return PortraitResult(**done.result)


@dataclass(frozen=True)
class PlacedPoints:
    """landmarks: all. found: whether anybody has seen the face. preview: bytes of a PNG, the picture upright."""

    landmarks: Landmarks
    width: int
    height: int
    found: bool
    preview: bytes


class PointsJob(Job[PlacedPoints]):
    """Where the points of a face are in a picture.

    known: those that are known; None to find them all, with a picture of where they were found.
    """

    what = "Placing points"

    def __init__(self, worker: Worker, image: Path, known: Landmarks | None = None) -> None:
        super().__init__(worker)
        self.image = Path(image).absolute()
        self.known = known
        self._paths: dict[str, Path] = {}

    def _request(self, number: int, folder: Path) -> PlacePoints:
        self._paths = {name: folder / f"points_{number}_{name}" for name in ("landmarks", "out", "preview")}
        if self.known is not None:
            self.known.save(self._paths["landmarks"])
        asked = "preview" if self.known is None else "landmarks"
        paths = {name: str(path) for name, path in self._paths.items() if name in ("out", asked)}
        return PlacePoints(number, PointsOrder(**{"image": str(self.image), "landmarks": "", **paths}).to_json())

    def _outcome(self, done: Done) -> PlacedPoints:
        result, preview = PointsResult(**done.result), self._paths["preview"]
        landmarks = Landmarks.load(self._paths["out"])
        picture = preview.read_bytes() if self.known is None else b""
        return PlacedPoints(landmarks, result.width, result.height, result.found, picture)

    def _finish(self, state: JobState, error: DemoError | None) -> None:
        super()._finish(state, error)
        for path in self._paths.values():
            path.unlink(missing_ok=True)


class HeadJob(Job[PersonHead]):
    """The head of the person in a picture in the making.

    landmarks: points placed by hand, None where they are to be found.
    """

    what = "The head"

    def __init__(self, worker: Worker, image: Path, landmarks: Path | None = None) -> None:
        super().__init__(worker)
        self.image = Path(image).absolute()
        self.landmarks = Path(landmarks).absolute() if landmarks else None
        self._out = Path()

    def _request(self, number: int, folder: Path) -> BuildHead:
        self._out = folder / f"head_{number}.npz"
        return BuildHead(number, str(self.image), str(self.landmarks or ""), str(self._out))

    def _outcome(self, done: Done) -> PersonHead:
        head = PersonHead.load(self._out)
        self._out.unlink(missing_ok=True)
        return head
