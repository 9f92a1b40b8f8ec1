# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m blender_demo`: the command line where Blender is a Python package, or not there at all."""

import os
import sys

from .cli import main

if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    if "bpy" in sys.modules:
        os._exit(status)  # Blender as a Python package may hang in its destructors when the interpreter ends
    sys.exit(status)
