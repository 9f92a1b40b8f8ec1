# SPDX-License-Identifier: GPL-3.0-or-later
"""What the worker's Python has of what the worker needs.

Standard library only, so that it can report on a Python that has nothing.
"""

import importlib
import json
import sys
import traceback
from typing import Any, Final

__all__ = ["ERROR_PREFIX", "NEEDED", "OPTIONAL", "best_device", "main", "probe", "summary"]

NEEDED: Final = ("torch", "numpy", "scipy", "soundfile", "safetensors")
"""Packages the worker imports."""

OPTIONAL: Final = {"pillow": "PIL", "mediapipe": "mediapipe", "openexr": "OpenEXR"}
"""Packages that only portraits need, and the module of each."""

ERROR_PREFIX: Final = "error: "


def probe() -> dict[str, str]:
    """Version of each needed or optional package by name, of "python", and what "device" and "weights" there are.

    What does not work has its error instead, after ERROR_PREFIX.
    """
    found = {"python": sys.version.split()[0]}
    for name, module in {**dict(zip(NEEDED, NEEDED, strict=True)), **OPTIONAL}.items():
        try:
            found[name] = str(importlib.import_module(module).__version__)
        except Exception as error:  # a broken install fails in many ways, not by ImportError alone
            found[name] = ERROR_PREFIX + summary(error)
    if not found["torch"].startswith(ERROR_PREFIX):
        found["device"] = best_device(sys.modules["torch"])
    if not any(found[name].startswith(ERROR_PREFIX) for name in NEEDED):
        found["weights"] = _weights()
    return found


def _weights() -> str:
    try:
        from ..networks import Networks  # imports torch

        Networks.load()
    except Exception as error:
        return ERROR_PREFIX + str(error)
    return "ok"


def best_device(torch: Any) -> str:
    """The device that "auto" means: "cuda", "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def summary(error: BaseException) -> str:
    """Kind and message of an error in one line, without a full stop."""
    return "".join(traceback.format_exception_only(error)).strip().splitlines()[-1].rstrip(".")


def main() -> int:
    """Print the report as JSON, as the last line of stdout. Returns the exit status."""
    print("\n" + json.dumps(probe()))
    return 0
