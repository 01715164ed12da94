"""Reading the next batches while the device computes, and measuring how long it waits for them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any


class Prefetcher:
    """Calls ``load(step)`` for consecutive steps on a thread of its own, at most ``depth`` ahead.

    An error on the thread is raised by :meth:`next`. Use it as a context manager, so that the thread ends.
    """

    def __init__(self, load: Callable[[int], Any], first_step: int, depth: int = 4):
        self._load = load
        self._step = first_step
        self._queue: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="prefetch", daemon=True)
        #: Seconds that :meth:`next` has waited so far.
        self.waited_s = 0.0

    def __enter__(self) -> Prefetcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._queue.get_nowait()
            except queue.Empty:
                self._thread.join(0.01)

    def next(self) -> Any:
        """Return the next batch; wait for it if need be."""
        start = time.perf_counter()
        batch, error = self._queue.get()
        self.waited_s += time.perf_counter() - start
        if error is not None:
            raise error
        return batch

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                item: tuple[Any, BaseException | None] = (self._load(self._step), None)
            except BaseException as error:
                # It belongs to the thread that asks for the batch.
                item = (None, error)
            self._queue.put(item)
            if item[1] is not None:
                return
            self._step += 1
