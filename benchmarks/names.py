# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognizing the names of shape keys: five thousand of one character, which no artist waits for.

python -m benchmarks.names
"""

import time

from blender_demo.backend.mapping.names import recognize
from blender_demo.backend.motion.factors import ARKIT_NAMES

from .curves import timed
from .report import Row, publish

COUNT = 5000


def main() -> None:
    """Measure and publish."""
    started = time.perf_counter()
    recognize(ARKIT_NAMES)
    rows = [Row("first call with its tables, seconds", time.perf_counter() - started)]
    names = [f"Face.M_F00_{i:03}_{ARKIT_NAMES[i % len(ARKIT_NAMES)]}" for i in range(COUNT)]
    rows.append(Row(f"{COUNT} names, seconds", timed(lambda: recognize(names))))
    rows.append(Row("52 names, seconds", timed(lambda: recognize(ARKIT_NAMES))))
    publish("Names", rows)


if __name__ == "__main__":
    main()
