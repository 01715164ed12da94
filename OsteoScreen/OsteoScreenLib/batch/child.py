"""The process that screens a Dask worker's studies: ``python -m OsteoScreenLib.batch.child``.

It reads and writes JSON lines as :mod:`OsteoScreenLib.worker` does, and ends when its stdin does, so that it does not
outlive the Dask worker. A message is ``{"id": 1, "do": "start", "settings": {...}}``, which imports what screening
needs and loads the networks, or ``{"id": 2, "do": "screen", "order": {...}}``. An answer is
``{"id": 2, "done": {...}}`` with the outcome of :mod:`.one_study` and the process's memory ("rss_mb").
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..worker.__main__ import Reply, serve

PROTOCOL = "osteoscreen-batch/1"
#: Which process Linux ends first where memory runs out, from -1000 to 1000: this one, before whoever waits for it.
_OOM_SCORE = 800


def _load() -> Callable[[Any, Reply], None]:
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE), encoding="ascii")
    return _handle


def _handle(message: Any, reply: Reply) -> None:
    from . import one_study
    from .settings import BatchSettings

    done: dict[str, Any] = {}
    if message["do"] == "start":
        # What fails here fails in the first order again, which has words for it.
        with contextlib.suppress(Exception):
            one_study.start(BatchSettings.from_json(message["settings"]))
    else:
        done = one_study.screen_order(message["order"])
    reply({"id": message["id"], "done": {**done, "rss_mb": resident_mb()}})


def resident_mb() -> float:
    """Return the memory that this process holds [MB]."""
    import psutil

    return float(psutil.Process().memory_info().rss) / 1e6


if __name__ == "__main__":
    serve(PROTOCOL, _load)
