# SPDX-License-Identifier: GPL-3.0-or-later
"""All benchmarks, one after the other. Compare numbers of one run only: machines differ, and so do their loads."""

from . import curves, generation, keys, long_take, names, portrait

curves.main()
keys.main()
long_take.main()
names.main()
generation.main()
portrait.main()
