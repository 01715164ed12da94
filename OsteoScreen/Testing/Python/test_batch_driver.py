"""What the driver makes of outcomes: with the real store and log, and workers that answer what a test wants."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable

import pytest
from batch_archive import check_alone, events

from OsteoScreenLib.batch.audit import AuditLog
from OsteoScreenLib.batch.display import Display
from OsteoScreenLib.batch.driver import BatchStopped, Driver
from OsteoScreenLib.batch.interrupts import interrupted_at_looks
from OsteoScreenLib.batch.outcome import Order, Outcome, Trouble, troubled
from OsteoScreenLib.batch.settings import BatchSettings, Pace
from OsteoScreenLib.batch.store import Store
from OsteoScreenLib.batch.study import BatchStudy, State
from OsteoScreenLib.errors import InputError

Answer = Callable[[Order, int], Outcome | None]


class Scripted:
    """Workers that answer at once; ``answer`` is given the order and how often its study was sent before."""

    threads = 2

    def __init__(self, answer: Answer) -> None:
        self._answer, self._ready = answer, []
        self.sent: list[str] = []
        self.most = 0

    @property
    def in_flight(self) -> int:
        return len(self._ready)

    def submit(self, order: Order) -> None:
        again = Order.from_json(order.to_json())
        assert again == order
        self._ready.append((order.study.id, self._answer(again, self.sent.count(order.study.id))))
        self.sent.append(order.study.id)
        self.most = max(self.most, self.in_flight)

    def outcomes(self, patience_s: float) -> list[tuple[str, Outcome | None]]:
        # One at a time, as they come.
        return [self._ready.pop(0)] if self._ready else []


def screened(order: Order, before: int = 0) -> Outcome:
    outcome = Outcome(State.SCREENED, seconds=1.0, measures={"l1_mean_hu": 120.0}, found=("device", order.study.ct))
    return Outcome.from_json(outcome.to_json())


def drive(
    tmp_path, answer: Answer, count: int = 12, kept_by: type[AuditLog] = AuditLog, done_by: type[Scripted] = Scripted
):
    """Run a batch of ``count`` studies; returns the workers, and the rows by id, also where it stopped."""
    workers = done_by(answer)
    problem = None
    with Store.open(tmp_path) as store:
        set_id = store.begin_set({}, {"osteoscreen": "1"}, [])
        store.add(set_id, (BatchStudy(f"s{n:02d}", f"/scans/{n}", l1="#1") for n in range(count)))
        log, display = kept_by(tmp_path), Display(store.counts(set_id), io.StringIO())
        try:
            Driver(store, log, store.result_set(set_id), BatchSettings(), Pace(10.0, 1), workers, display).run()
        except (BatchStopped, InputError, KeyboardInterrupt) as error:
            problem = error
        finally:
            log.close()
        return workers, {row.study.id: row for row in store.rows(set_id)}, problem


def states(rows) -> dict[str, int]:
    return {state.value: count for state in State if (count := sum(row.state is state for row in rows.values()))}


def test_a_bounded_number_of_studies_is_in_flight(tmp_path):
    workers, rows, _ = drive(tmp_path, screened, 500)
    assert states(rows) == {"screened": 500}
    assert workers.most == 4  # two for each thread
    assert workers.sent == list(rows)


@pytest.mark.parametrize("trouble", [Trouble.KILLED, Trouble.TIMEOUT, Trouble.MEMORY])
def test_what_may_be_the_studys_fault_is_tried_once_more_alone_and_then_set_aside(tmp_path, trouble):
    def answer(order: Order, before: int) -> Outcome:
        bad = order.study.id == "s01" or (order.study.id == "s03" and before == 0)
        return troubled(trouble, "It went wrong.", 3.0) if bad else screened(order)

    workers, rows, _ = drive(tmp_path, answer)
    assert workers.sent[-2:] == ["s01", "s03"]
    assert (rows["s01"].state, rows["s01"].kind, rows["s01"].reason, rows["s01"].tries) == (
        State.FAILED,
        trouble.value,
        "It went wrong.",
        2,
    )
    assert (rows["s03"].state, rows["s03"].kind, rows["s03"].reason) == (State.SCREENED, "", "")
    alone = [line["study"] for line in events(tmp_path) if line["event"] == "study begun" and line["alone"]]
    assert alone == ["s01", "s03"]
    check_alone(events(tmp_path))


def test_a_study_whose_worker_is_lost_is_sent_again_and_only_much_later_suspected(tmp_path):
    def answer(order: Order, before: int) -> Outcome | None:
        if order.study.id == "s05":
            return None
        return None if order.study.id == "s02" and before < 2 else screened(order)

    _, rows, _ = drive(tmp_path, answer)
    assert (rows["s02"].state, rows["s02"].tries) == (State.SCREENED, 3)
    assert (rows["s05"].state, rows["s05"].kind, rows["s05"].tries) == (State.FAILED, "worker lost", 6)


@pytest.mark.parametrize("trouble", [Trouble.GONE, Trouble.OUTPUT, Trouble.UNUSABLE])
def test_what_would_meet_every_study_stops_the_batch_and_fails_none(tmp_path, trouble):
    def answer(order: Order, before: int) -> Outcome:
        return troubled(trouble, "The disk is full.") if order.study.id == "s06" else screened(order)

    _, rows, problem = drive(tmp_path, answer)
    assert isinstance(problem, BatchStopped)
    assert str(problem) == "The disk is full. Nothing is lost: the same command goes on once that is mended."
    assert states(rows) == {"waiting": 6, "screened": 6}
    _, rows, problem = drive(tmp_path, screened)
    assert problem is None and states(rows) == {"screened": 12}


def test_a_missing_scan_fails_once_another_is_found_however_late(tmp_path):
    missing = {f"s{n:02d}" for n in range(9)}

    def answer(order: Order, before: int) -> Outcome:
        return troubled(Trouble.MISSING, "It is not there.") if order.study.id in missing else screened(order)

    _, rows, problem = drive(tmp_path, answer)
    assert problem is None
    assert states(rows) == {"screened": 3, "failed": 9}
    assert all(rows[study_id].kind == "missing" for study_id in missing)


def test_a_scan_that_was_missed_before_any_was_found_is_asked_for_again(tmp_path):
    """Its worker knew of no other scan, so it could not tell whether the whole share had just gone."""

    def answer(order: Order, before: int) -> Outcome:
        if order.study.id == "s00":
            return screened(order)
        if not order.witnesses:
            return troubled(Trouble.MISSING, "It is not there.")
        return troubled(Trouble.GONE, "No scan is there any more.")

    _, rows, problem = drive(tmp_path, answer)
    assert isinstance(problem, BatchStopped)
    assert states(rows) == {"waiting": 11, "screened": 1}


@pytest.mark.parametrize("count", [1, 12, 300])
def test_where_no_scan_is_there_the_batch_stops_and_fails_none(tmp_path, count):
    workers, rows, problem = drive(tmp_path, lambda order, _: troubled(Trouble.MISSING, "It is not there."), count)
    assert isinstance(problem, InputError) and f"is {'its' if count == 1 else 'their'} share mounted?" in str(problem)
    assert states(rows) == {"waiting": count}
    assert len(workers.sent) <= 104


def test_one_study_that_cannot_be_reached_fails_and_five_in_a_row_stop_the_batch(tmp_path):
    def answer(order: Order, before: int) -> Outcome:
        away = order.study.id in {"s01", "s04"} or order.study.id >= "s07"
        return troubled(Trouble.UNREACHABLE, "The server does not answer.") if away else screened(order)

    _, rows, problem = drive(tmp_path, answer)
    assert isinstance(problem, BatchStopped) and "The last 5 studies could not be reached" in str(problem)
    assert states(rows) == {"waiting": 7, "screened": 5}
    _, rows, problem = drive(tmp_path, lambda o, n: answer(o, n) if o.study.id < "s05" else screened(o))
    assert problem is None
    assert states(rows) == {"screened": 10, "failed": 2}


class Interrupted(AuditLog):
    """A log in whose way an interrupt comes."""

    def note(self, event: str, **details: object) -> None:
        if event == "study ended":
            signal.raise_signal(signal.SIGINT)
        super().note(event, **details)


class InterruptedInADestructor(Scripted):
    """Workers whose client is interrupted where Python drops what is raised, as in the end of one of Dask's futures."""

    class Future:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def outcomes(self, patience_s: float) -> list[tuple[str, Outcome | None]]:
        if "s05" in self.sent:
            self.Future()
        return super().outcomes(patience_s)


def test_an_interrupt_in_a_destructor_is_not_lost(tmp_path):
    _, rows, problem = drive(tmp_path, screened, done_by=InterruptedInADestructor)
    assert isinstance(problem, KeyboardInterrupt)
    found = states(rows)
    assert set(found) == {"screened", "waiting"} and sum(found.values()) == 12
    assert len([line for line in events(tmp_path) if line["event"] == "study ended"]) == found["screened"]


def test_a_second_interrupt_waits_for_no_look():
    reached = False
    with pytest.raises(KeyboardInterrupt), interrupted_at_looks():
        signal.raise_signal(signal.SIGINT)
        reached = True
        signal.raise_signal(signal.SIGINT)
        reached = False
    assert reached


def test_an_interrupt_between_store_and_log_waits_until_both_say_the_same(tmp_path):
    _, rows, problem = drive(tmp_path, screened, kept_by=Interrupted)
    assert isinstance(problem, KeyboardInterrupt)
    assert states(rows) == {"waiting": 11, "screened": 1}
    assert [line["study"] for line in events(tmp_path) if line["event"] == "study ended"] == ["s00"]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_the_display_tells_counts_speed_and_the_time_left(stream):
    display = Display({**dict.fromkeys(State, 0), State.WAITING: 10, State.SCREENED: 5}, stream)
    assert display.words(0) == "screened 5; waiting for workers"
    for state in (State.SCREENED, State.FAILED, State.SCREENED):
        display.ended(state)
    display.tick(2, 2)
    words = display.words(2)
    assert words.startswith("screened 7, failed 1; ") and " an hour; " in words and words.endswith(" left")
    display.close()
    assert ("screened 7, failed 1" in stream.getvalue()) == stream.isatty()
