# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python that runs the worker in tests: this one, or that of `.venv` where this one has no PyTorch."""

import importlib.util
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
WORKER_PYTHON = Path(sys.executable) if importlib.util.find_spec("torch") else REPO / ".venv" / "bin" / "python"
