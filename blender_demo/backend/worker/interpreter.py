# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Python can run the worker. Asks the Python itself, in a child process: torch is never imported here."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .probe import ERROR_PREFIX, NEEDED, OPTIONAL
from .process import APART

__all__ = [
    "BOOTSTRAP",
    "PACKAGE_PARENT",
    "PythonReport",
    "check_python",
    "python_can_run_worker",
    "worker_command",
    "worker_site_dirs",
]

BOOTSTRAP: Final = Path(__file__).with_name("bootstrap.py")
PACKAGE_PARENT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class PythonReport:
    """What a Python has of what the worker needs.

    version: of the Python, empty where it did not run. packages: version by name of what imports. device: what "auto"
    means there. problems: by package name, "python" or "weights", why it cannot be used; empty when all is well.
    """

    python: Path
    version: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    device: str = ""
    problems: dict[str, str] = field(default_factory=dict)


def worker_command(python: Path, site_dirs: Sequence[Path], script: Path = BOOTSTRAP) -> list[str]:
    """Command line of the worker, without its options; isolated from the user's environment."""
    site_options = [option for folder in site_dirs for option in ("--site-dir", str(folder))]
    return [str(python), "-I", "-X", "utf8", str(script), str(PACKAGE_PARENT), *site_options]


def check_python(python: Path, site_dirs: Sequence[Path] = (), timeout_s: float = 180.0) -> PythonReport:
    """Import what the worker needs with that Python, which takes seconds, and report."""
    python = Path(python)
    try:
        run = subprocess.run(
            [*worker_command(python, site_dirs), "--probe"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
            **APART,
        )
        found = json.loads(run.stdout.decode(errors="replace").rstrip().rpartition("\n")[2])
        version = found.pop("python")
    except OSError as error:
        return PythonReport(python, problems={"python": error.strerror or str(error)})
    except subprocess.TimeoutExpired:
        return PythonReport(python, problems={"python": f"it did not answer within {timeout_s:g} seconds"})
    except (ValueError, KeyError, TypeError, AttributeError):
        last = run.stderr.decode(errors="replace").strip().rpartition("\n")[2][:200]
        return PythonReport(python, problems={"python": last or "it does not answer like a Python"})
    device = found.pop("device", "")
    problems = {name: text.removeprefix(ERROR_PREFIX) for name, text in found.items() if text.startswith(ERROR_PREFIX)}
    packages = {name: text for name, text in found.items() if name in (*NEEDED, *OPTIONAL) and name not in problems}
    return PythonReport(python, version, packages, device, problems)


def python_can_run_worker(python: Path, site_dirs: Sequence[Path] = ()) -> str | None:
    """The version of the PyTorch that this Python imports, or None where the worker cannot run. Takes seconds."""
    report = check_python(python, site_dirs)
    return None if report.problems.keys() & {"python", *NEEDED} else report.packages["torch"]


def worker_site_dirs(python: Path) -> tuple[Path, ...]:
    """Folders of packages to hand to a worker that `python` runs: our own if it is our interpreter, else none.

    In Blender they hold the wheels of the extensions, which an isolated child would not find by itself.
    """
    if Path(python).absolute() != Path(sys.executable).absolute():
        return ()
    return tuple(Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages"))
