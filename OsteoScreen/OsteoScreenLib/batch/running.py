"""A batch from its list of studies to final states: lock, store, log, cluster and driver put together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from ..errors import OsteoScreenError
from .audit import AuditLog
from .driver import Driver, Listener, Workers
from .kinds import kind_of
from .lock import sole_driver
from .publish import prepare_set, sweep_set
from .settings import BatchSettings, Pace, used_bundles, versions
from .store import ResultSet, Store
from .study import BatchStudy, State


class ClosableWorkers(Workers, Protocol):
    """Workers that are let go of in the end."""

    def close(self) -> None:
        """End them, or leave them."""


class ClosableListener(Listener, Protocol):
    """A listener that is told when it is over."""

    def close(self) -> None:
        """It is over."""


@dataclass(frozen=True)
class Batch:
    """What to screen into which folder, and how.

    studies : gives them anew at each call, once they are wanted
    open_workers : starts or finds who screens; called only where something waits
    listen : makes the one who is told, from the counts at the beginning
    pace : how the studies follow each other
    again : final states whose studies are screened once more
    """

    out: Path
    studies: Callable[[], Iterable[BatchStudy]]
    settings: BatchSettings
    open_workers: Callable[[], ClosableWorkers]
    listen: Callable[[dict[State, int]], ClosableListener]
    pace: Pace
    again: Sequence[State] = ()

    def run(self) -> tuple[ResultSet, dict[State, int]]:
        """Go on until every study is final; returns the set and how many of its studies are in each state.

        Raises BatchStopped, StoreError, ClusterLost and the like where that cannot be reached just now; everything
        that was finished stays, and the next call goes on.
        """
        bundles = used_bundles(self.settings)
        identity = self.settings.identity()
        make_output(self.out)
        with ExitStack() as stack:
            stack.enter_context(sole_driver(self.out))
            store = stack.enter_context(Store.open(self.out))
            audit = stack.enter_context(closing(AuditLog(self.out)))
            result_set = store.result_set(store.begin_set(identity, versions(), bundles))
            prepare_set(self.out, result_set.id, asdict(result_set))
            added = store.add(result_set.id, self.studies(), suggest=self.settings.suggest)
            renewed = store.again(result_set.id, self.again) if self.again else 0
            audit.note("driver begun", set=result_set.id, **asdict(added), again=renewed)
            self._screen(store, audit, result_set)
            sweep_set(self.out, result_set.id)
            return result_set, store.counts(result_set.id)

    def _screen(self, store: Store, audit: AuditLog, result_set: ResultSet) -> None:
        counts = store.counts(result_set.id)
        try:
            if counts[State.WAITING]:
                with closing(self.listen(counts)) as listener, closing(self.open_workers()) as workers:
                    Driver(store, audit, result_set, self.settings, self.pace, workers, listener).run()
        except BaseException as error:
            with suppress(OsteoScreenError):
                audit.note("driver stopped", set=result_set.id, kind=kind_of(error))
            raise
        audit.note("driver ended", set=result_set.id)


def make_output(out: str | os.PathLike[str]) -> None:
    """Make the output folder where there is none.  Raises OsteoScreenError where that cannot be done."""
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OsteoScreenError(
            f"The folder {out} cannot be made: {(error.strerror or str(error)).lower()}; name another with -o."
        ) from error
