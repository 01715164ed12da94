"""Studies of one process taking turns at computing."""

from __future__ import annotations

import threading
import time
from contextvars import copy_context

from OsteoScreenLib.cores import on_one_core
from OsteoScreenLib.turns import Turn, Turns, away, clock, current


def begun(work) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def waits_for_its_turn(turns: Turns, count: int = 1) -> None:
    until = time.monotonic() + 30
    while len(turns._waiting) < count:
        assert time.monotonic() < until
        time.sleep(0.001)


def test_one_computes_at_a_time_and_the_oldest_that_waits_is_next():
    turns = Turns()
    first, second, third = (Turn(turns) for _ in range(3))
    order: list[str] = []

    def work(turn: Turn, name: str) -> None:
        with turn:
            order.append(f"{name} begins")
            time.sleep(0.01)
            order.append(f"{name} ends")

    with first:
        threads = [begun(lambda: work(third, "third"))]
        waits_for_its_turn(turns)
        threads.append(begun(lambda: work(second, "second")))
        waits_for_its_turn(turns, 2)
        order.append("first ends")
    for thread in threads:
        thread.join(30)
    assert order == ["first ends", "second begins", "second ends", "third begins", "third ends"]
    assert turns.is_idle


def test_who_waits_for_a_disk_lets_others_compute_and_comes_back_after_them():
    turns = Turns()
    reader, other = Turn(turns), Turn(turns)
    order = []

    def work() -> None:
        with other:
            order.append("other computes")

    with reader:
        thread = begun(work)
        waits_for_its_turn(turns)
        with away():
            thread.join(30)
        order.append("reader goes on")
    assert order == ["other computes", "reader goes on"]


def test_without_turns_nothing_is_given_away_and_the_clock_is_the_usual_one():
    assert current() is None
    with away():
        pass
    assert time.perf_counter() <= clock() <= time.perf_counter()


def test_the_clock_counts_waiting_for_a_disk_and_not_standing_still_for_others():
    turns = Turns()
    turn, other = Turn(turns), Turn(turns)
    entered = threading.Event()

    def hold() -> None:
        with other:
            entered.set()
            waits_for_its_turn(turns)
            time.sleep(0.2)

    with turn:
        waited = turn.waited_s
        before, began, after = time.perf_counter(), clock(), time.perf_counter()
        with turn.away():
            time.sleep(0.1)
        assert clock() - began >= 0.1
        with turn.away():
            thread = begun(hold)
            entered.wait(30)
        thread.join(30)
        sooner, ended, later = time.perf_counter(), clock(), time.perf_counter()
        waited = turn.waited_s - waited
    assert waited >= 0.2
    assert sooner - after <= ended - began + waited <= later - before


def test_only_long_waits_are_told_and_each_is_told_to_be_over():
    turns, told = Turns(), []
    turn, other = Turn(turns, told.append), Turn(turns)
    entered = threading.Event()

    def hold() -> None:
        with other:
            entered.set()
            until = time.monotonic() + 30
            while not told and time.monotonic() < until:
                time.sleep(0.001)

    with turn, turn.away():
        pass
    assert told == []
    thread = begun(hold)
    entered.wait(30)
    with turn:
        assert told == [True, False]
        with turn.away(stands_still=True):
            assert told == [True, False, True]
    assert told == [True, False, True, False]
    thread.join(30)


def test_the_threads_of_a_study_share_its_turn():
    turns = Turns()
    turn = Turn(turns)

    def wait(both: threading.Barrier) -> None:
        with away():
            both.wait(30)

    both = threading.Barrier(2)
    with turn:
        assert on_one_core(current) is turn
        threads = [threading.Thread(target=copy_context().run, args=(wait, both)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not turns.is_idle  # it is this thread's again, and was given away once
    assert turns.is_idle
