"""Orders onto children: how many each has in hand, and what becomes of them when it is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .apart import Child, ChildEnded, ChildSilent, ChildUnusable
from .outcome import Order, Outcome, Trouble, troubled

#: How often a child that ends while it starts is started again.
_STARTS = 3


class Screener:
    """Screens orders, several at a time, in a child that is started when it is needed, and again when it is lost.

    Where a child ends with several orders in hand, nobody knows whose fault it was: each is asked for once more by
    itself, with nothing beside it in the child, and one that ends its child then is told so. Where a child is ended
    because one order took too long, the others are asked for again, together.
    """

    def __init__(self) -> None:
        self._child: Child | None = None
        self._changed = threading.Condition()
        self._inside = 0
        self._suspects = 0
        self._is_taken = False

    def screen(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outcome of an order, whatever becomes of the child; several threads may call it."""
        order = Order.from_json(document)
        by_itself = False
        while True:
            try:
                with self._place(by_itself):
                    outcome, by_itself = self._tried(document, order)
            except (ChildUnusable, OSError) as error:
                return troubled(Trouble.UNUSABLE, str(error)).to_json()
            if outcome is not None:
                return outcome.to_json()

    def close(self) -> None:
        """End the child."""
        with self._changed:
            child, self._child = self._child, None
        if child is not None:
            child.kill()

    def _tried(self, document: Mapping[str, Any], order: Order) -> tuple[Outcome | None, bool]:
        """Ask once; returns None where it has to be asked again, and whether by itself then."""
        child = self._ready(document["settings"], order.gather)
        began = time.monotonic()
        try:
            return Outcome.from_json(child.screen(document, order.timeout_s)), False
        except ChildSilent:
            self._drop(child)
            return troubled(Trouble.TIMEOUT, f"It took longer than {order.timeout_s:g} s.", _since(began)), False
        except ChildEnded as error:
            self._drop(child)
            if error.was_killed or error.had_others:
                return None, not error.was_killed
            reason = f"Its process did not survive it: {error}."
            return troubled(Trouble.KILLED, reason, _since(began)), False

    # -- places in the child

    @contextmanager
    def _place(self, by_itself: bool) -> Iterator[None]:
        """Hold a place in the child: one of many, or the only one."""
        with self._changed:
            self._suspects += by_itself
            self._changed.wait_for(lambda: self._may_enter(by_itself))
            self._suspects -= by_itself
            self._inside += 1
            self._is_taken = by_itself
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._is_taken = False
                self._changed.notify_all()

    def _may_enter(self, by_itself: bool) -> bool:
        if self._inside == 0:
            return by_itself or not self._suspects
        # A worn child ends what it has in hand, and is replaced then.
        is_worn = self._child is not None and self._child.is_worn
        return not (by_itself or self._suspects or self._is_taken or is_worn)

    # -- the child

    def _ready(self, settings: Mapping[str, Any], gather: int | None) -> Child:
        with self._changed:  # whoever else wants a child waits for the same one
            if self._child is not None and (self._child.has_ended or (self._child.is_worn and self._inside == 1)):
                self._child.kill()
                self._child = None
            for attempt in range(1, _STARTS + 1):
                if self._child is not None:
                    break
                child = Child()
                try:
                    child.start(settings, gather)
                    self._child = child
                except ChildUnusable:
                    child.kill()
                    # Whoever looks for memory may have ended this one too, and no study is at fault yet.
                    if attempt == _STARTS:
                        raise
            assert self._child is not None
            self._changed.notify_all()
            return self._child

    def _drop(self, child: Child) -> None:
        child.kill()
        with self._changed:
            if self._child is child:
                self._child = None


class Screeners:
    """The children of one worker: as many as it has threads, each with several orders in hand."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._in_hand: dict[Screener, int] = {}

    def screen(self, document: Mapping[str, Any], children: int, leave: Callable[[], None]) -> dict[str, Any]:
        """Return the outcome of an order, once one of ``children`` has room for it; ``leave`` is called then."""
        screener = self._with_room(children, int(document["in_flight"]))
        try:
            leave()
            return screener.screen(document)
        finally:
            with self._changed:
                self._in_hand[screener] -= 1
                self._changed.notify_all()

    def _with_room(self, children: int, in_flight: int) -> Screener:
        with self._changed:
            while len(self._in_hand) < children:
                self._in_hand[Screener()] = 0
            self._changed.wait_for(lambda: min(self._in_hand.values()) < in_flight)
            screener = min(self._in_hand, key=lambda each: self._in_hand[each])
            self._in_hand[screener] += 1
            return screener


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
