"""How the engine tells its caller how far it is."""

from __future__ import annotations

from collections.abc import Callable

#: Called as ``progress(step, done, total)``: what is being done, in words, and how much of it.
#: It may raise to cancel; the engine lets that exception through.
Progress = Callable[[str, int, int], None]


def silent(step: str, done: int, total: int) -> None:
    """Report nothing."""
