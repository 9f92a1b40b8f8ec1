# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on several frames at once, on all cores, of which the results come in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

import torch

__all__ = ["computed_ahead"]

_MOST_THREADS: Final = 8
"""More would wait for Python."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def computed_ahead(compute: Callable[[Item], Result], items: Iterable[Item], device: str) -> Generator[Result]:
    """The results of `compute` for all items, in order, each by a single thread, no more of them than there are threads
    ahead of who asks.

    On a CPU there is a thread for each core: that is faster than all cores on one frame, whose arrays are small, and
    gives the same sums on any number of cores. Another device does one thing after another anyway.
    """
    cores = torch.get_num_threads()
    threads = min(cores, _MOST_THREADS) if device == "cpu" else 1
    pool = ThreadPoolExecutor(threads, "portrait", torch.set_num_threads, (1,))
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(compute, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(cores)  # the threads have set what new ones begin with
