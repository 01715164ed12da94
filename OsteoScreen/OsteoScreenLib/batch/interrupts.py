"""Interrupts that wait: none is lost, and what belongs together in store and log is put down whole, or not at all."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

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


@contextmanager
def interrupted_at_looks() -> Iterator[Callable[[], None]]:
    """Yield what is to be called now and then: an interrupt that came meanwhile is handled there, a second one at once.

    Python drops what is raised in a destructor, Dask's among them, and so an interrupt that is handled there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None  # interrupts are the main thread's
        return
    came: list[int] = []
    heard: list[int] = []
    found = {number: signal.getsignal(number) for number in _INTERRUPTS}
    handlers = {number: handler for number, handler in found.items() if callable(handler)}

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) + len(heard) > 1:
            handlers[signal.Signals(number)](number, frame)

    def look() -> None:
        if came:
            heard.append(came.pop())
            handlers[signal.Signals(heard[-1])](heard[-1], None)

    for number in handlers:
        signal.signal(number, note)
    try:
        yield look
        look()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
