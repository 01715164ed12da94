"""What a Dask worker runs: its orders go to child processes, one for each of its threads."""

from __future__ import annotations

import contextlib
import signal
from typing import Any

from .screener import Screeners

_SCREENERS = Screeners()


def screen_on_worker(order: dict[str, Any]) -> dict[str, Any]:
    """Return the outcome of an order, as JSON values; it never raises for a study's sake.

    Its thread leaves the worker's pool as soon as a child has the order in hand, so that the next one is taken up
    while this one is screened.
    """
    from distributed import get_worker, secede

    outcome: dict[str, Any] = _SCREENERS.screen(order, get_worker().state.nthreads, secede)
    return outcome


def dask_setup(worker: object) -> None:
    """Leave Ctrl-C to the driver; Dask calls this in each worker that is told to preload this module."""
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
