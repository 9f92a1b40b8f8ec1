# SPDX-License-Identifier: GPL-3.0-or-later
"""The one worker and the one job of a Blender session."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ..backend.worker.client import Job, Worker
    from .environment import EnvironmentSetup

__all__ = ["SESSION", "Session"]


@dataclass
class Session:
    """What outlives an operator: the worker, kept warm, and the job or download that a modal operator is driving."""

    worker: "Worker | None" = None
    job: "Job[Any] | None" = None
    setup: "EnvironmentSetup | None" = None

    @property
    def busy(self) -> bool:
        """Whether something is in the making."""
        return self.job is not None

    @property
    def busy_with(self) -> str:
        """What is in the making, as a reason why nothing else can be; empty where nothing is."""
        return "" if self.job is None else f"{self.job.what} is under way"

    def worker_for(self, python: Path, idle_timeout_s: float) -> "Worker":
        """The warm worker, or a new one if the preferences have changed since."""
        from ..backend.worker.client import Worker, worker_site_dirs

        if self.worker is not None and (self.worker.python, self.worker.idle_timeout_s) != (python, idle_timeout_s):
            self.close()
        if self.worker is None:
            self.worker = Worker(python, worker_site_dirs(python), idle_timeout_s)
        return self.worker

    def close(self) -> None:
        """Give up the job, if any, and end the worker."""
        if self.job is not None:
            self.job.cancel()
            self.job = None
        if self.worker is not None:
            self.worker.close()
            self.worker = None

    def leave(self) -> None:
        """`close`, and give up a download too: the add-on is switched off, or Blender exits."""
        self.close()
        if self.setup is not None:
            self.setup.cancel()
            self.setup = None


SESSION: Final = Session()
