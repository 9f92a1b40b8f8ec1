# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a demo run: as JSON beside its results, and as a table on the terminal."""

import json
import os
from pathlib import Path
from typing import Any, Final

__all__ = ["REPORT", "print_table", "read_report", "write_report"]

REPORT: Final = "report.json"


def read_report(folder: Path) -> dict[str, Any]:
    """The report of the last run, empty where there is none."""
    try:
        return json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def write_report(report: dict[str, Any], folder: Path) -> None:
    """Write the report, with numbers rounded for reading."""
    (folder / REPORT).write_text(json.dumps(_rounded(report), indent=2) + "\n", encoding="utf-8")


def print_table(report: dict[str, Any], files: list[Path]) -> None:
    """The report in short, and the files that were written."""
    seconds, factor, memory = report["seconds"], report["real_time_factor"], report["peak_memory_mib"]
    stages = ", ".join(f"{name[5:]} {value:.2f}" for name, value in seconds.items() if name.startswith("warm_"))
    drawing = f"{seconds['contact_sheet']:.1f} s and {seconds['video']:.1f} s"
    rows = (
        ("Recording", f"{report['audio']['file']}, {report['audio']['seconds']:.1f} s"),
        ("Blender, device", f"{report['blender']}, {report['device']}"),
        ("Generate, cold", f"{seconds['generate_cold']:.2f} s with worker start {seconds['worker_start']:.2f}"),
        ("Generate, warm", f"{seconds['generate_warm']:.2f} s: {stages}"),
        ("Real-time factor", f"{factor['cold']:.3f} cold, {factor['warm']:.3f} warm"),
        ("Portrait", f"{seconds['portrait']:.1f} s, {_portrait(report['portrait'])}"),
        ("Bake", f"{seconds['bake']:.2f} s, {report['curves']} curves, {report['keys']} keys"),
        ("Sheet, video", drawing if seconds["contact_sheet"] else "those of the last run still hold"),
        ("Peak memory", f"Blender {memory['blender']:.0f} MiB, worker {memory['worker']:.0f} MiB"),
        *(("Note", note) for note in report["notes"]),
        *(("Written", os.path.relpath(path)) for path in files),
    )
    print()
    for name, text in rows:
        print(f"{name:18}{text}")


def _portrait(portrait: dict[str, Any]) -> str:
    frames = f"{portrait['frames']} frames of {portrait['width']} x {portrait['height']}"
    return f"{frames}, {portrait['kept']} of them of the last run" if portrait["kept"] else frames


def _rounded(value: Any) -> Any:
    """The same JSON value with its numbers cut to four places."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value
