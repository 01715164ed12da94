"""The driver of a batch: from what waits in the store to final states, whatever dies on the way."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Protocol

from ..errors import InputError, OsteoScreenError
from .audit import AuditLog
from .interrupts import interrupted_at_looks, interrupted_later
from .outcome import Order, Outcome, Trouble
from .settings import BatchSettings, Pace
from .store import ResultSet, Store
from .study import BatchStudy, State, StudyRow

#: Orders for each thread beyond those in hand: one is ready at the worker when one of them is done.
_AHEAD = 1
#: A study whose worker was lost so often is tried alone from then on.
_MOST_LOSSES = 3
#: So many scans that are not there, and none that is, are enough to stop.
_MOST_UNPROVEN = 100
#: So many studies in a row whose share or server could not be reached are enough to stop.
_MOST_UNREACHABLE = 5
#: How long the driver sleeps at most [s].
_TICK_S = 0.5


class BatchStopped(OsteoScreenError):
    """No study can be screened just now, through no fault of theirs; the same command goes on later."""


class Workers(Protocol):
    """Who screens: :class:`.cluster.Cluster`."""

    @property
    def in_flight(self) -> int:
        """Orders without an outcome."""

    @property
    def threads(self) -> int:
        """Processes that screen, each with several studies in hand."""

    def submit(self, order: Order) -> None:
        """Send one order."""

    def outcomes(self, patience_s: float) -> list[tuple[str, Outcome | None]]:
        """Wait for outcomes; None where one was lost."""


class Listener(Protocol):
    """Who is told how it goes: :class:`.display.Display`."""

    def ended(self, state: State) -> None:
        """A study has reached a final state."""

    def tick(self, in_flight: int, threads: int) -> None:
        """Time has passed."""


def none_there(count: int) -> InputError:
    """Return the error of a batch of whose scans none was found, after so many."""
    if count == 1:
        return InputError(
            "The scan is not where the manifest says: is its share mounted? "
            "Once it can be read, the same command goes on."
        )
    return InputError(
        f"None of the {count} scans is where the manifest says: is their share mounted? "
        "Once they can be read, the same command goes on."
    )


class Driver:
    """Screens one set's studies; see `run`."""

    def __init__(
        self,
        store: Store,
        audit: AuditLog,
        result_set: ResultSet,
        settings: BatchSettings,
        pace: Pace,
        workers: Workers,
        listener: Listener,
    ) -> None:
        self._store, self._audit, self._set, self._settings = store, audit, result_set, settings
        self._pace, self._workers, self._listener = pace, workers, listener
        self._running: dict[str, BatchStudy] = {}
        self._alone = False
        self._losses: Counter[str] = Counter()
        self._witnesses: dict[str, str] = {}
        self._unproven: set[str] = set()
        self._unwitnessed: set[str] = set()
        self._unreachable_in_a_row = 0

    def run(self) -> None:
        """Go on until every study of the set is final: first all together, then, one by one, those that may have
        killed their worker.

        Raises BatchStopped where nothing can be screened just now, StoreError where the store cannot be written, and
        what the workers raise. What is in flight then is waiting again.
        """
        with interrupted_at_looks() as look:
            try:
                while self._screen_waiting(look, alone=False) or self._screen_waiting(look, alone=True):
                    pass
            finally:
                self._leave()

    def _screen_waiting(self, look: Callable[[], None], *, alone: bool) -> bool:
        """Screen what waits, as of now; returns whether there was any."""
        waiting = self._store.waiting(self._set.id, alone=alone)
        first = next(waiting, None)
        if first is None:
            return False
        if self._unproven and not self._witnesses and first.id in self._unproven:
            raise none_there(len(self._unproven))
        self._alone = alone
        waiting = itertools.chain([first], waiting)
        exhausted = False
        while not exhausted or self._running:
            look()
            with interrupted_later():
                exhausted = exhausted or self._fill(waiting)
            for study_id, outcome in self._workers.outcomes(_TICK_S):
                with interrupted_later():
                    self._settle(self._running.pop(study_id), outcome)
                    self._unwitnessed.discard(study_id)
            self._listener.tick(self._workers.in_flight, self._workers.threads)
        return True

    def _fill(self, waiting: Iterator[BatchStudy]) -> bool:
        """Send as many orders as the workers can use; returns whether there are no more."""
        threads = self._workers.threads
        room = (min(threads, 1) if self._alone else (self._pace.in_flight + _AHEAD) * threads) - len(self._running)
        if room <= 0:
            return False
        studies = list(itertools.islice(waiting, room))
        if studies:
            self._store.mark_running(self._set.id, [study.id for study in studies])
        for study in studies:
            self._running[study.id] = study
            if not self._witnesses:
                self._unwitnessed.add(study.id)
            self._audit.note("study begun", set=self._set.id, study=study.id, alone=self._alone)
            self._workers.submit(self._order(study))
        return len(studies) < room

    def _order(self, study: BatchStudy) -> Order:
        return Order(
            study=study,
            settings=self._settings,
            out=str(self._store.out.resolve()),
            set_id=self._set.id,
            set_hash=self._set.hash,
            versions=self._set.versions,
            bundles=self._set.bundles,
            timeout_s=self._pace.timeout_s,
            in_flight=self._pace.in_flight,
            gather=self._pace.gather,
            witnesses=list(self._witnesses.values()),
        )

    # -- outcomes

    def _settle(self, study: BatchStudy, outcome: Outcome | None) -> None:
        if outcome is None:
            self._lost(study)
            return
        if outcome.found is not None:
            self._witnesses[outcome.found[0]] = outcome.found[1]
        if outcome.state is not None:
            self._unreachable_in_a_row = 0
            self._finish(study, outcome, outcome.state)
        elif outcome.trouble is not None:
            self._trouble(study, outcome, outcome.trouble)

    def _finish(self, study: BatchStudy, outcome: Outcome, state: State) -> None:
        row = StudyRow(study, state, 0, outcome.kind, outcome.reason, outcome.seconds, outcome.measures, outcome.doubt)
        self._store.finish(self._set.id, row)
        self._note(study, outcome, state.value, taken_over=outcome.taken_over)
        self._listener.ended(state)

    def _trouble(self, study: BatchStudy, outcome: Outcome, trouble: Trouble) -> None:
        if trouble.stops_the_batch:
            self._wait(study, outcome)
            raise BatchStopped(f"{outcome.reason} Nothing is lost: the same command goes on once that is mended.")
        if trouble is Trouble.MISSING:
            self._missing(study, outcome)
            return
        if trouble is Trouble.UNREACHABLE:
            self._unreachable_in_a_row += 1
            if self._unreachable_in_a_row >= _MOST_UNREACHABLE:
                self._wait(study, outcome)
                raise BatchStopped(
                    f"The last {_MOST_UNREACHABLE} studies could not be reached, this one because: {outcome.reason} "
                    "The same command goes on once they can be."
                )
        if self._alone:
            self._finish(study, outcome, State.FAILED)
            return
        self._store.wait_alone(self._set.id, study.id, outcome.kind, outcome.reason)
        self._note(study, outcome, "to be tried alone")

    def _missing(self, study: BatchStudy, outcome: Outcome) -> None:
        """Set a study aside whose scan is not there, where the worker saw that another one still is: else the whole
        share may be missing, and it waits until a scan has been found."""
        if self._witnesses and study.id not in self._unwitnessed:
            self._finish(study, outcome, State.FAILED)
            return
        self._wait(study, outcome)
        if not self._witnesses:
            self._unproven.add(study.id)
            if len(self._unproven) >= _MOST_UNPROVEN:
                raise none_there(len(self._unproven))

    def _lost(self, study: BatchStudy) -> None:
        """A worker or the scheduler was lost with the study on it, which may be in it for nothing."""
        self._losses[study.id] += 1
        outcome = Outcome(kind="worker lost", reason="Its worker was lost again and again.")
        if self._losses[study.id] < _MOST_LOSSES:
            self._wait(study, outcome)
        elif self._alone:
            self._finish(study, outcome, State.FAILED)
        else:
            self._losses[study.id] = 0
            self._store.wait_alone(self._set.id, study.id, outcome.kind, outcome.reason)
            self._note(study, outcome, "to be tried alone")

    def _wait(self, study: BatchStudy, outcome: Outcome) -> None:
        self._store.wait_again(self._set.id, [study.id])
        self._note(study, outcome, "waiting again")

    def _note(self, study: BatchStudy, outcome: Outcome, state: str, **details: bool) -> None:
        # Without the reason, which may hold a path.
        self._audit.note(
            "study ended",
            set=self._set.id,
            study=study.id,
            state=state,
            kind=outcome.kind,
            seconds=outcome.seconds,
            **details,
        )

    def _leave(self) -> None:
        """Let what is in flight wait again; where even that cannot be written, the next driver sees to it."""
        if self._running:
            ids, self._running = list(self._running), {}
            try:
                self._store.wait_again(self._set.id, ids)
            except OsteoScreenError:
                return
