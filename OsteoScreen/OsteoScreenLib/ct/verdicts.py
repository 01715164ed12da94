"""What one check found, before it has the name under which the result lists it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..results import Check, Outcome


@dataclass(frozen=True)
class Verdict:
    """What one check found: the outcome, the reason with what to do, and the value judged."""

    outcome: Outcome
    message: str
    value: Any = None


def passed(message: str, value: Any = None) -> Verdict:
    """Nothing stands against screening."""
    return Verdict("pass", message, value)


def warned(message: str, value: Any = None) -> Verdict:
    """The study is screened, and the reader has to know this."""
    return Verdict("warn", message, value)


def refused(message: str, value: Any = None) -> Verdict:
    """The study must not be screened as it is."""
    return Verdict("refuse", message, value)


def named(name: str, verdict: Verdict) -> Check:
    """The verdict as the result holds it."""
    return Check(name, verdict.outcome, verdict.message, verdict.value)
