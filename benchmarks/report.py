# SPDX-License-Identifier: GPL-3.0-or-later
"""Print a benchmark as a table and keep it as JSON under build/bench."""

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import bpy

__all__ = ["Row", "publish"]

FOLDER: Final = Path(__file__).resolve().parent.parent / "build" / "bench"


@dataclass(frozen=True)
class Row:
    """One measured or derived number, with its unit in its name."""

    name: str
    value: float


def publish(title: str, rows: list[Row]) -> None:
    """Print the rows and write them to build/bench."""
    print(f"\n{title}")
    for row in rows:
        print(f"  {row.name:44}{row.value:14,.4g}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    machine = {"blender": bpy.app.version_string, "python": platform.python_version(), "machine": platform.machine()}
    content = {"title": title, **machine, "rows": {row.name: row.value for row in rows}}
    path = FOLDER / f"{title.lower().replace(' ', '_')}.json"
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
