# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that a worker process starts with: `python -I bootstrap.py PACKAGE_PARENT [--site-dir DIR ...] (--probe |
OPTIONS OF server.main)`.

It makes `backend` importable as a top-level package, because the `blender_demo` above it belongs to Blender, and hands
over to `server`. The parent says where things lie; the standard library is all that is needed here.
"""

import argparse
import importlib
import site
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["main", "prepare_path"]


def prepare_path(package_parent: Path, site_dirs: Sequence[Path]) -> None:
    """Make `backend` and the packages in `site_dirs` importable; the latter after the standard library, before the
    interpreter's own packages.
    """
    before = list(sys.path)
    for folder in site_dirs:
        site.addsitedir(str(folder))
    added = [entry for entry in sys.path if entry not in before]
    own = [i for i, entry in enumerate(before) if Path(entry).name in ("site-packages", "dist-packages")]
    at = own[0] if own else len(before)
    sys.path[:] = [str(package_parent), *before[:at], *added, *before[at:]]


def main(argv: Sequence[str], **server_options: Any) -> int:
    """Set the path up and run the server. Returns the exit status of the process."""
    started = time.monotonic()
    parser = argparse.ArgumentParser("bootstrap.py")
    parser.add_argument("package_parent", type=Path, help="the folder that holds backend/")
    parser.add_argument("--site-dir", type=Path, action="append", default=[], help="a folder of Python packages")
    options, rest = parser.parse_known_args(argv)
    prepare_path(options.package_parent, options.site_dir)
    if rest == ["--probe"]:
        return importlib.import_module("backend.worker.probe").main()
    return importlib.import_module("backend.worker.server").main(rest, started=started, **server_options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
