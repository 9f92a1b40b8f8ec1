# SPDX-License-Identifier: GPL-3.0-or-later
"""Set up a Python with PyTorch in a folder of the add-on's own: a virtual environment, then pip. No bpy here."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

from ..backend.errors import WorkerError
from ..backend.worker.probe import NEEDED

__all__ = ["EnvironmentSetup"]

_LOG_LINES: Final = 8
_PACKAGES: Final = (*NEEDED, "pillow")
"""MediaPipe stays optional: there is none for many a Python, and pip would then install nothing at all."""

_QUIET: Final[dict[str, Any]] = (
    {"creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0)}
    if sys.platform == "win32"
    else {"start_new_session": True}
)


class EnvironmentSetup:
    """Runs the commands one after the other in child processes; driven by `step` from a timer, or by a loop.

    base_python: makes the environment. folder: is replaced. python: what it will hold. packages: what pip installs.
    """

    def __init__(self, base_python: Path, folder: Path, python: Path, packages: Sequence[str] = _PACKAGES) -> None:
        self.folder = folder
        self.log = folder.with_name(f"{folder.name}.log")
        self._commands = [
            ("Making an environment", [str(base_python), "-I", "-m", "venv", "--clear", str(folder)]),
            (
                "Downloading PyTorch",
                [str(python), "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *packages],
            ),
        ]
        self._child: subprocess.Popen[bytes] | None = None
        self._stream: IO[bytes] | None = None
        self.stage = ""
        self.error: WorkerError | None = None

    def step(self) -> bool:
        """Go on without waiting. True when finished, well or with `error`; a failed environment is removed."""
        if self._child is not None and self._child.poll() is None:
            return False
        if self._child is not None and self._child.returncode != 0:
            self._fail(f"{self.stage} failed")
            return True
        if not self._commands or self.error is not None:
            self._close()
            return True
        self.stage, command = self._commands.pop(0)
        try:
            self._stream = self._stream or self.log.open("wb")
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=self._stream, stderr=subprocess.STDOUT, **_QUIET
            )
        except OSError as error:
            self._fail(f"{self.stage} failed: {error.strerror or error}")
            return True
        return False

    def cancel(self) -> None:
        """End the child and remove what was set up so far."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        self._fail("The setup was cancelled")

    def _fail(self, what: str) -> None:
        self._close()
        tail = (
            self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_LOG_LINES:]
            if self.log.is_file()
            else []
        )
        shutil.rmtree(self.folder, ignore_errors=True)
        self._commands.clear()
        self.error = WorkerError("\n".join([f"{what}. The log is {self.log}.", *tail]))

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._child = None
