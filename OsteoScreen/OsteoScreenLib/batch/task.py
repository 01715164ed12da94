"""What a Dask worker runs: each of its threads screens in a child process of its own."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import Any

from .apart import Screener

_OF_THREAD = threading.local()


def screen_on_worker(order: dict[str, Any]) -> dict[str, Any]:
    """Return the outcome of an order, as JSON values; it never raises for a study's sake."""
    screener = getattr(_OF_THREAD, "screener", None)
    if screener is None:
        screener = _OF_THREAD.screener = Screener()
    outcome: dict[str, Any] = screener.screen(order)
    return outcome


def dask_setup(worker: object) -> None:
    """Leave Ctrl-C to the driver; Dask calls this in each worker that is told to preload this module."""
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
