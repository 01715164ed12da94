"""Whose turn it is to compute, where one process has several studies in hand.

One study computes while others wait for a disk, a server or a GPU: a process that was given one core uses one, and
code that is not made for several threads (pydicom's warnings, SimpleITK's globals, matplotlib) sees one at a time. A
study takes its turn by ``with turn:``; whatever waits inside, however deep, gives it away meanwhile with `away`, which
does nothing where there are no turns. Everything screening does is otherwise the same with and without them.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .gathering import Gatherer

#: Shorter waits for a turn are not told, for they would cost more to tell than they last [s].
TOLD_S = 0.05

_CURRENT: ContextVar[Turn | None] = ContextVar("turn", default=None)


class Turns:
    """The turns of one process; `changed` is notified when somebody gives his away."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._numbers = itertools.count()
        self._holder: Turn | None = None
        self._waiting: set[Turn] = set()

    @property
    def is_idle(self) -> bool:
        """Whether nobody computes and nobody wants to; asked with `changed` held."""
        return self._holder is None and not self._waiting

    def number(self) -> int:
        """Return the next study's number."""
        return next(self._numbers)

    def take(self, turn: Turn, long: Callable[[], None]) -> None:
        """Wait until it is this turn's time: the oldest study that waits is next. ``long`` is called where it takes
        longer than `TOLD_S`."""
        with self.changed:
            self._waiting.add(turn)
            until: float | None = time.monotonic() + TOLD_S
            while not self._is_next(turn):
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    until = None
                    long()
                else:
                    self.changed.wait(left)
            self._waiting.remove(turn)
            self._holder = turn

    def give(self) -> None:
        """Let the next one compute."""
        with self.changed:
            self._holder = None
            self.changed.notify_all()

    def _is_next(self, turn: Turn) -> bool:
        return self._holder is None and min(self._waiting, key=lambda waiting: waiting.number) is turn


class Turn:
    """One study's part in the turns, in the thread that screens it and those that this one starts (`.cores`).

    Attributes:
        waited_s: how long the study has stood still for others, seconds.
        gatherer: runs its networks together with those of other studies, where that is wanted.
    """

    def __init__(
        self,
        turns: Turns,
        tell: Callable[[bool], None] = lambda stands_still: None,
        gatherer: Gatherer | None = None,
    ) -> None:
        """``tell`` is called with True when the study begins to stand still for others, with False when it goes on."""
        self.turns, self.gatherer = turns, gatherer
        self.number = turns.number()
        self.waited_s = 0.0
        self._tell = tell
        self._told = False
        self._threads_away = 0
        self._counting = threading.Lock()
        self._entered: Token[Turn | None] | None = None

    def __enter__(self) -> Turn:
        self._retake()
        self._entered = _CURRENT.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._entered is not None, "it was entered"
        _CURRENT.reset(self._entered)
        self.turns.give()

    @contextmanager
    def away(self, *, stands_still: bool = False) -> Iterator[None]:
        """Let others compute meanwhile. Where the study waits for a disk, that is its own time; where it
        ``stands_still`` for other studies' sake, it is not."""
        began = time.perf_counter()
        with self._counting:
            self._threads_away += 1
            if self._threads_away == 1:
                self.turns.give()
        if stands_still:
            self._say(True)
        try:
            yield
        finally:
            self._come_back(began if stands_still else None)

    def _come_back(self, began: float | None) -> None:
        with self._counting:
            self._threads_away -= 1
            if self._threads_away == 0:
                self._retake(began)
            elif began is not None:
                self.waited_s += time.perf_counter() - began

    def _retake(self, began: float | None = None) -> None:
        began = time.perf_counter() if began is None else began
        self.turns.take(self, lambda: self._say(True))
        self.waited_s += time.perf_counter() - began
        self._say(False)

    def _say(self, stands_still: bool) -> None:
        if self._told != stands_still:
            self._told = stands_still
            self._tell(stands_still)


def current() -> Turn | None:
    """Return the turn of the study that this thread screens, None where studies take no turns."""
    return _CURRENT.get()


@contextmanager
def away() -> Iterator[None]:
    """Let other studies compute while this one waits for something outside the process."""
    turn = current()
    if turn is None:
        yield
        return
    with turn.away():
        yield


def clock() -> float:
    """Return seconds of a clock that stands while this thread's study stands still for others."""
    turn = current()
    return time.perf_counter() - (0.0 if turn is None else turn.waited_s)
