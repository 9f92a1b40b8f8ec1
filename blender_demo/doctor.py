# SPDX-License-Identifier: GPL-3.0-or-later
"""Is everything here that generating, baking and portraits need, and what is to be done about what is not?

Needs no Blender.
"""

import importlib.util
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from .backend.worker.interpreter import PythonReport, check_python, worker_site_dirs
from .backend.worker.probe import NEEDED, OPTIONAL

__all__ = ["Finding", "as_json", "as_text", "examine"]

_FREE_BYTES: Final = 500 << 20
_WIDTH: Final = 12

_PORTRAIT_NEEDS: Final = {
    "pillow": "Only portraits need it.",
    "mediapipe": "Only portraits use it, to find the points of a face; without it they are placed by hand.",
    "openexr": "Only portraits use it, for EXR frames; without it they are PNG.",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. found: what is there; remedy: what to do, empty where all is well."""

    name: str
    found: str
    remedy: str = ""
    needed: bool = True

    @property
    def ok(self) -> bool:
        """Whether nothing has to be done."""
        return not self.remedy


def examine(python: Path) -> list[Finding]:
    """Look at Blender, the worker's Python, the weights and the disk. Takes some seconds; raises nothing."""
    report = check_python(python, worker_site_dirs(python))
    return [_blender(), *_worker(report), _disk()]


def as_text(findings: list[Finding]) -> str:
    """For a reader: a line for each finding, the remedy below it, a verdict at the end."""
    lines = []
    for finding, following in zip(findings, [*findings[1:], None], strict=True):
        mark = "ok" if finding.ok else "MISSING" if finding.needed else "absent"
        lines.append(f"  {mark:8}{finding.name:{_WIDTH}}{finding.found}")
        if finding.remedy and (following is None or following.remedy != finding.remedy):
            lines.append(f"  {'':8}{'':{_WIDTH}}-> {finding.remedy}")
    missing = [finding.name for finding in findings if finding.needed and not finding.ok]
    verdict = f"Not ready yet: see {', '.join(missing)} above." if missing else "Everything that is needed is here."
    return "\n".join([*lines, "", verdict])


def as_json(findings: list[Finding]) -> list[dict[str, Any]]:
    """For a program."""
    return [{**asdict(finding), "ok": finding.ok} for finding in findings]


def _blender() -> Finding:
    if importlib.util.find_spec("bpy") is None:
        remedy = "Only baking needs it. Run this as: blender --command demo ..."
        return Finding("Blender", "not in this Python", remedy, needed=False)
    import bpy

    return Finding("Blender", bpy.app.version_string)


def _worker(report: PythonReport) -> list[Finding]:
    if "python" in report.problems:
        remedy = "Choose another Python with --python, or in the add-on's preferences."
        return [Finding("Python", f"{report.python}: {report.problems['python']}", remedy)]
    findings = [Finding("Python", f"{report.version} ({report.python})")]
    lacking = [name for name in NEEDED if name in report.problems]
    install = f'Install it with: "{report.python}" -m pip install {" ".join(lacking)}'
    own = ", or choose a Python that has it with --python or in the add-on's preferences."
    for name in NEEDED:
        problem = report.problems.get(name)
        if problem:
            findings.append(Finding(name, _told(problem), install + own))
        else:
            findings.append(Finding(name, report.packages[name]))
    findings += [_optional(name, report) for name in OPTIONAL]
    if report.device:
        slow = " (no graphics card that PyTorch can use; slower, but it works)" if report.device == "cpu" else ""
        findings.append(Finding("device", report.device + slow))
    if "weights" in report.problems:
        findings.append(Finding("weights", report.problems["weights"], "Install the add-on again, from its zip file."))
    elif not lacking:
        findings.append(Finding("weights", "the model loads"))
    return findings


def _optional(name: str, report: PythonReport) -> Finding:
    if name in report.packages:
        return Finding(name, report.packages[name], needed=False)
    remedy = f'{_PORTRAIT_NEEDS[name]} Install it with: "{report.python}" -m pip install {name}'
    return Finding(name, _told(report.problems[name]), remedy, needed=False)


def _told(problem: str) -> str:
    return "not installed" if problem.startswith("ModuleNotFoundError") else problem


def _disk() -> Finding:
    folder = tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b"x")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        remedy = f"Make {folder} writable, or let TMPDIR (TEMP on Windows) name another folder."
        return Finding("disk", f"{folder} cannot be written: {error.strerror}", remedy)
    found = f"{free / 2**30:.1f} GiB free in {folder}"
    return Finding("disk", found, "" if free >= _FREE_BYTES else f"Free {_FREE_BYTES >> 20} MiB there.")
