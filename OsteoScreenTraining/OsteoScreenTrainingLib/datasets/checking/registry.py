"""The checks by name: adding one is adding one function with a decorator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .evidence import Evidence

Severity = Literal["error", "warning", "note"]
#: From bad to good: an error makes training fail or its result wrong, a warning may, a note is only to be known.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes:
        severity: see :data:`SEVERITIES`.
        message, advice: what is wrong, and what to do; a sentence each.
        subject, column: whom and which column of the manifest it concerns; None where it is the data set.
        check: the check's name, set when it has run.
    """

    severity: Severity
    message: str
    advice: str
    subject: str | None = None
    column: str | None = None
    check: str = ""


Check = Callable[["Evidence"], Iterator[Finding]]

CHECKS: dict[str, Check] = {}


def check(name: str) -> Callable[[Check], Check]:
    """Register a check under ``name``."""

    def register(function: Check) -> Check:
        CHECKS[name] = function
        return function

    return register


def named(name: str, finding: Finding) -> Finding:
    """Return a finding with the name of its check."""
    return replace(finding, check=name)
