# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors this project raises. Their messages help an artist: what is wrong, with which file, what to do."""

__all__ = [
    "AudioError", "BakeError", "ClipError", "DemoError", "JobCancelled", "PortraitError", "RigError", "WeightsError",
    "WorkerError",
]


class DemoError(Exception):
    """Root of the project's errors; caught once, at the operator or the command line."""


class AudioError(DemoError):
    """A recording cannot be used."""


class ClipError(DemoError):
    """A motion clip is malformed, or does not fit what is asked of it."""


class RigError(DemoError):
    """A character has nothing that can be driven, or its profile is wrong."""


class BakeError(DemoError):
    """Curves cannot be written onto a character."""


class WeightsError(DemoError):
    """A checkpoint is missing, corrupt or of another version."""


class PortraitError(DemoError):
    """A picture cannot become a talking portrait, or its frames cannot be made."""


class WorkerError(DemoError):
    """The worker process cannot be started, died, or answered out of turn."""


class JobCancelled(DemoError):
    """The artist cancelled the job."""
