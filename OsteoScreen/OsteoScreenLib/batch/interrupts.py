"""Interrupts that wait: what belongs together in store and log is put down as a whole, or not at all."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: What ends a batch in order: Ctrl-C, and a system or a queue that wants the machine back.
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupted_later() -> Iterator[None]:
    """Do what is inside as a whole: an interrupt that comes meanwhile is handled after it, as it would have been."""
    if threading.current_thread() is not threading.main_thread():
        yield  # interrupts are the main thread's
        return
    came: list[int] = []
    # None is a handler that Python did not set and could not set again.
    handlers = {number: handler for number in _INTERRUPTS if (handler := signal.getsignal(number)) is not None}
    for number in handlers:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
