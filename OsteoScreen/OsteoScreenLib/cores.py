"""How the networks of one study share the computer's cores.

They are small and gain little from a second core. Threads of one pass wait for each other at every layer, though, and
where something else holds a core (Slicer drawing, another study), a pass on all cores takes up to a hundred times as
long: on two busy cores 0.7 s instead of 7 ms was measured for a classification, and 1.3 s instead of 0.13 s for loading
the segmentation network.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import TypeVar

from .results import Level

Work = TypeVar("Work")


def side_by_side(levels: Mapping[str, Level], work: Callable[[Level], Work]) -> dict[str, Future[Work]]:
    """Do ``work`` for all levels, as many at once as there are cores, each on its share; return when all is done."""
    with _threads(len(levels), lambda cores: max(1, cores // len(levels))) as threads:
        # In the caller's context, so that a study's turn (`.turns`) is known in its threads.
        return {name: threads.submit(copy_context().run, work, level) for name, level in levels.items()}


def on_one_core(work: Callable[[], Work]) -> Work:
    """Return what ``work`` returns, done on one core."""
    with _threads(1, lambda cores: 1) as threads:
        return threads.submit(copy_context().run, work).result()


@contextmanager
def _threads(count: int, share: Callable[[int], int]) -> Iterator[ThreadPoolExecutor]:
    """Give ``count`` threads, but no more than torch has cores, in each of which it uses ``share`` of them.

    So a process that was given one core, as the workers of a batch are, uses one.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        with ThreadPoolExecutor(count) as threads:
            yield threads
        return
    cores = torch.get_num_threads()
    try:
        count = min(count, cores)
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(share(cores),)) as threads:
            yield threads
    finally:
        # A new thread begins with what was set last, in whichever thread that was.
        torch.set_num_threads(cores)
