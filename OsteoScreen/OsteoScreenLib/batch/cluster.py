"""Dask as the driver sees it: orders in, outcomes out, and how many threads there are."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import OsteoScreenError, UsageError
from .outcome import Order, Outcome, Trouble, troubled
from .task import screen_on_worker

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

#: Dask's own setting of how long a scheduler may be away before it is given up; 30 s where nobody changed it.
_PATIENCE = "distributed.comm.timeouts.connect"
#: How long a local cluster may be without any worker; each is restarted when it dies [s].
_NO_WORKER_S = 120.0
#: How long the number of threads is believed [s].
_FRESH_S = 2.0
#: How long the result of a study that is done may take to come [s]; it is asked for again.
_RESULT_S = 10.0
#: How long to wait for the end of the connection, and of what was started here [s]; Dask kills what is left when the
#: process ends.
_GOODBYE_S, _END_S = 5.0, 10.0
#: Two classes before Python 3.11.
_TIMED_OUT = (TimeoutError, asyncio.TimeoutError)


class ClusterLost(OsteoScreenError):
    """The scheduler, or all of a local cluster, is gone."""


class Cluster:
    """A Dask cluster with this driver's orders on it; ended by `close`."""

    def __init__(self, client: Client, local: LocalCluster | None, called: str) -> None:
        self._client, self._local, self._called = client, local, called
        self._pending: dict[str, Future] = {}
        self._unsent: list[str] = []
        self._woken = threading.Event()
        self._threads, self._looked_at, self._with_workers = 0, -_FRESH_S, time.monotonic()

    @classmethod
    def start_local(cls, workers: int) -> Cluster:
        """Start ``workers`` processes of one thread each on this computer, which listen to it alone."""
        import dask
        from distributed import Client, LocalCluster

        _quieten()
        # Without a time to live: a clock that jumps would make every worker look dead, and the nannies see real deaths.
        with dask.config.set({"distributed.scheduler.worker-ttl": None}):
            local = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
                worker_dashboard_address=None,
                memory_limit=0,  # what needs memory is the child, whose end is looked after
                silence_logs=logging.CRITICAL,
                preload=["OsteoScreenLib.batch.task"],
            )
        return cls(Client(local), local, "The local cluster")

    @classmethod
    def connect(cls, address: str) -> Cluster:
        """Connect to a scheduler by its address (``tcp://host:8786``) or the file that it wrote (``….json``).

        Raises UsageError for what is neither, ClusterLost where nobody answers.
        """
        import dask
        from dask.utils import parse_timedelta
        from distributed import Client

        _quieten()
        patience_s = parse_timedelta(dask.config.get(_PATIENCE))
        called = f"The scheduler at {address}"
        try:
            if address.endswith(".json"):
                if not Path(address).is_file():
                    raise UsageError(
                        f"There is no scheduler file {address}; give its address, such as tcp://host:8786."
                    )
                client = Client(scheduler_file=address, timeout=patience_s)
            else:
                client = Client(address, timeout=patience_s)
        except (OSError, ValueError) as error:
            raise ClusterLost(
                f"{called} does not answer; start it (`dask scheduler`), and the same command goes on."
            ) from error
        return cls(client, None, called)

    @property
    def in_flight(self) -> int:
        """How many orders have no outcome yet."""
        return len(self._pending)

    @property
    def threads(self) -> int:
        """How many processes can screen, as of a moment ago."""
        now = time.monotonic()
        if now - self._looked_at >= _FRESH_S or not self._is_connected:
            self._looked_at = now
            self._threads = self._count_threads()
        if self._threads:
            self._with_workers = now
        return self._threads

    @property
    def _is_connected(self) -> bool:
        return bool(self._client.status == "running")

    def _count_threads(self) -> int:
        try:
            return sum(self._client.nthreads().values()) if self._is_connected else 0
        except OSError:  # the scheduler went while it was asked
            return 0

    def submit(self, order: Order) -> None:
        """Send one order; where nobody takes it any more, it is among the lost."""
        # A key of its own: Dask would else take the result of the study's last try for that of this one.
        key = f"screen-{order.study.id}-{uuid.uuid4().hex}"
        try:
            future = self._client.submit(screen_on_worker, order.to_json(), key=key, pure=False)
        except Exception:  # what a client that is being closed raises differs between versions of Dask
            self._unsent.append(order.study.id)
            return
        future.add_done_callback(lambda _: self._woken.set())
        self._pending[order.study.id] = future

    def outcomes(self, patience_s: float) -> list[tuple[str, Outcome | None]]:
        """Wait for outcomes, at most so long; returns id and outcome of each, None where it was lost on the way.

        Raises ClusterLost where the cluster is gone; what is in flight then is lost.
        """
        self._woken.wait(patience_s)
        self._woken.clear()
        self._check_alive()
        return list(self._collected())

    def close(self) -> None:
        """Give up what is in flight, and end what was started here."""
        self._pending.clear()
        try:
            with suppress(*_TIMED_OUT):
                self._client.close(timeout=_GOODBYE_S)
        finally:
            if self._local is not None:
                with suppress(*_TIMED_OUT):
                    self._local.close(timeout=_END_S)

    def _collected(self) -> Iterator[tuple[str, Outcome | None]]:
        while self._unsent:
            yield self._unsent.pop(), None
        for study_id, future in list(self._pending.items()):
            status = future.status
            if status == "pending":
                continue
            try:
                outcome = self._outcome(future) if status in ("finished", "error") else None
            except _TIMED_OUT:
                continue  # its worker died with the result: Dask does it again
            del self._pending[study_id]
            yield study_id, outcome

    def _outcome(self, future: Future) -> Outcome | None:
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        try:
            document: dict[str, Any] = future.result(timeout=_RESULT_S)
        except KilledWorker:
            return troubled(Trouble.KILLED, "Several workers did not survive it.")
        except _TIMED_OUT:
            raise
        except (CancelledError, OSError):
            return None
        except Exception as error:  # whatever the worker's Python could not do with the order
            return troubled(
                Trouble.UNUSABLE,
                f"A worker cannot screen ({type(error).__name__}); install the same OsteoScreen on all workers.",
            )
        return Outcome.from_json(document)

    def _check_alive(self) -> None:
        if self._client.status in ("closed", "closing"):
            raise ClusterLost(f"{self._called} is gone; start it again, and the same command goes on.")
        if not self._is_connected:
            return  # it is being looked for
        if self._local is not None and not self.threads and time.monotonic() - self._with_workers > _NO_WORKER_S:
            raise ClusterLost("No worker of the local cluster stays alive; the same command goes on once one can.")


def _quieten() -> None:
    """Leave it to the driver to say what happens: Dask's own words are of tasks, not of studies."""
    import distributed  # noqa: F401  # makes its loggers

    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
