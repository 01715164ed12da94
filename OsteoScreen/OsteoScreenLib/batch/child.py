"""The process that screens a Dask worker's studies: ``python -m OsteoScreenLib.batch.child``.

It reads and writes JSON lines as :mod:`OsteoScreenLib.worker` does, and ends when its stdin does, so that it does not
outlive the Dask worker. A message is ``{"id": 1, "do": "start", "settings": {...}, "gather": null}``, which imports
what screening needs and loads the networks, or ``{"id": 2, "do": "screen", "order": {...}}``, of which several may be
under way: while one study computes, others are read and written (:mod:`OsteoScreenLib.turns`). An answer is
``{"id": 2, "done": {...}}`` with the outcome of :mod:`.one_study` and the process's memory ("rss_mb"). Before it may
come ``{"id": 2, "stands_still": true}``, when the study waits for others of the process, and ``false`` when it goes on.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..turns import Turn, Turns
from ..worker.__main__ import Reply, serve
from .inputs import sweep_fetched
from .settings import MOST_IN_FLIGHT

if TYPE_CHECKING:
    from ..gathering import Gatherer

PROTOCOL = "osteoscreen-batch/1"
#: Which process Linux ends first where memory runs out, from -1000 to 1000: this one, before whoever waits for it.
_OOM_SCORE = 800
#: What the process ends with where not even an exception was expected, such as a decoder's panic.
_EXIT_UNEXPECTED = 70


def _load() -> Callable[[Any, Reply], None]:
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE), encoding="ascii")
    return Studies().handle


class Studies:
    """The studies under way, each in a thread."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._gatherer: Gatherer | None = None
        self._replying = threading.Lock()
        # Kept threads rather than new ones: each new one may get an arena of its own from the allocator.
        self._threads = ThreadPoolExecutor(MOST_IN_FLIGHT, "study")

    def handle(self, message: Any, reply: Reply) -> None:
        """Do what a message says; an order is answered later, from a thread."""

        def answer(**told: Any) -> None:
            with self._replying:
                reply({"id": message["id"], **told})

        if message["do"] == "start":
            self._start(message)
            answer(done={"rss_mb": resident_mb()})
            return
        turn = Turn(self._turns, lambda stands_still: answer(stands_still=stands_still), self._gatherer)
        self._threads.submit(_screen, message["order"], turn, answer)

    def _start(self, message: Any) -> None:
        # What fails here fails in the first order again, which has words for it.
        with contextlib.suppress(Exception):
            from ..gathering import Gatherer
            from . import one_study
            from .settings import BatchSettings

            self._gatherer = Gatherer(message["gather"])
            one_study.start(BatchSettings.from_json(message["settings"]))


def _screen(order: Any, turn: Turn, answer: Callable[..., None]) -> None:
    try:
        from . import one_study

        done = one_study.screen_order(order, turn)
        answer(done={**done, "rss_mb": resident_mb()})
    except BaseException:
        os._exit(_EXIT_UNEXPECTED)


def resident_mb() -> float:
    """Return the memory that this process holds [MB]."""
    import psutil

    return float(psutil.Process().memory_info().rss) / 1e6


if __name__ == "__main__":
    serve(PROTOCOL, _load, lambda: sweep_fetched(os.getpid()))
