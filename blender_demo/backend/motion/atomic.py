# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ClipError, DemoError

__all__ = ["written_whole"]


@contextmanager
def written_whole(path: Path, what: str, kind: type[DemoError] = ClipError) -> Iterator[Path]:
    """A file beside `path` to write into; it takes the name `path` in the end, and is removed after a failure.

    what: the kind of file, for the artist. Raises an error of that `kind` where the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or error
        raise kind(f"Cannot write the {what} {path}: {reason}. Choose a folder you may write to.") from error
    finally:
        temporary.unlink(missing_ok=True)
