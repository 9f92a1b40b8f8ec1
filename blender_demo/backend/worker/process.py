# SPDX-License-Identifier: GPL-3.0-or-later
"""One child process, seen from the parent: its pipes, its private folder, its log, and how it ended.

No torch, no bpy.
"""

import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final, TypedDict

from ..errors import WorkerError
from .protocol import Decoder, Message, encode

__all__ = ["APART", "LOG_NAME", "OTHER_PYTHON", "READER_NAME", "ChildProcess"]


class _Apart(TypedDict):
    creationflags: int
    start_new_session: bool


LOG_NAME: Final = "worker.log"
READER_NAME: Final = "blender_demo worker reader"
OTHER_PYTHON: Final = "Choose a Python with a working PyTorch in the add-on's preferences, or with --python."
"""The remedy when a Python cannot be used."""

APART: Final[_Apart] = {
    "creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0),
    "start_new_session": sys.platform != "win32",
}
"""Popen options that keep a child away from the terminal: Ctrl-C is for the parent, which then cancels the job; and no
console window opens."""

_LOG_LINES: Final = 12
_LOG_COLUMNS: Final = 200
_END_GRACE_S: Final = 3.0


class ChildProcess:
    """A running worker process.

    inbox: what it said; a WorkerError where it said something else; None, last of all, when it has ended and been
    reaped.
    folder: private to this child and its parent; removed at the end.
    """

    def __init__(self, command: Sequence[str]) -> None:
        """Start it, without waiting for anything; `--folder` is added to the command.

        Raises WorkerError when the system refuses.
        """
        self.inbox: queue.Queue[Message | WorkerError | None] = queue.Queue()
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="blender_demo_"))
        except OSError as error:
            raise WorkerError(
                f"The worker needs a folder in {tempfile.gettempdir()}: {error.strerror}. Free some space there."
            ) from error
        try:
            with (self.folder / LOG_NAME).open("wb") as log:
                self._process: subprocess.Popen[bytes] = subprocess.Popen(
                    [*command, "--folder", str(self.folder)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    bufsize=0,
                    **APART,
                )
        except OSError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise WorkerError(
                f"The worker process cannot be started with the Python {command[0]}: {error.strerror}. {OTHER_PYTHON}"
            ) from error
        reader = threading.Thread(target=_read, args=(self._process, self.inbox), name=READER_NAME, daemon=True)
        reader.start()
        self.end = weakref.finalize(self, _end, self._process, reader, self.folder)
        """Stops the process, waits for it and its reader thread, removes the folder.

        Happens by itself at exit; harmless when repeated.
        """

    @property
    def alive(self) -> bool:
        """Whether the process is still running."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """As `Popen.returncode`: negative for a signal, None while it runs."""
        return self._process.poll()

    def send(self, message: Message) -> None:
        """Send a message. To a process that has gone it is lost without complaint: its end is told by the inbox."""
        if self._process.stdin is None or not self.alive:
            return
        try:
            self._process.stdin.write(encode(message))
        except OSError:
            return

    def kill(self) -> None:
        """End it at once; the inbox still gets its None."""
        self._process.kill()

    @property
    def ending(self) -> str:
        """How the process ended, for the middle of a sentence."""
        return _ending(self.exit_status)

    @property
    def log_tail(self) -> str:
        """The last lines of the log, with a heading and on lines of their own; empty where there are none."""
        try:
            lines = (self.folder / LOG_NAME).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        tail = [f"\n    {line[:_LOG_COLUMNS]}" for line in lines[-_LOG_LINES:]]
        return "".join(["\nLast lines of its log:", *tail]) if tail else ""


def _ending(status: int | None) -> str:
    if status is None:
        return "it stopped answering"
    if status >= 0:
        return f"exit status {status}"
    if status == -signal.SIGSEGV:
        return "it crashed (segmentation fault), perhaps in a driver or a broken PyTorch"
    if status == -getattr(signal, "SIGKILL", 0):
        return "it was killed, perhaps by the system because memory ran out"
    return f"it was ended by signal {-status}"


def _read(process: "subprocess.Popen[bytes]", inbox: "queue.Queue[Message | WorkerError | None]") -> None:
    decoder = Decoder()
    stdout: IO[bytes] | None = process.stdout
    try:
        while stdout and (data := stdout.read(1 << 16)):
            for message in decoder.feed(data):
                inbox.put(message)
    except WorkerError as error:
        inbox.put(error)
        process.kill()
    try:
        process.wait(_END_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    inbox.put(None)


def _end(process: "subprocess.Popen[bytes]", reader: threading.Thread, folder: Path) -> None:
    """Closing stdin is what tells the child to leave.

    May be called by the garbage collector in any thread, the reader's included.
    """
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(_END_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if reader is not threading.current_thread():
        reader.join()
        if process.stdout:
            process.stdout.close()
    shutil.rmtree(folder, ignore_errors=True)
