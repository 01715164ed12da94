"""The list of the checks that did not pass."""

from __future__ import annotations

from collections.abc import Sequence

from ...results import Check
from .. import phrases, wording
from .layout import HEADING, SMALL, TONES, shortened
from .paper import Paper, Run, Style

#: Room that one message of a check may take, in lines.
MESSAGE_LINES = 4


def checks_height(paper: Paper, checks: Sequence[Check], width: float) -> float:
    """How high the list is with its heading."""
    return 5.0 + sum(_check_height(paper, check, width) for check in checks)


def draw_checks(paper: Paper, checks: Sequence[Check], x: float, y: float, width: float, limit: float) -> None:
    """Draw the list under its heading, as far as ``limit``; nothing where all checks passed."""
    if checks:
        paper.word(x, y + 2.6, "Checks that did not pass", HEADING)
        list_checks(paper, checks, x, y + 4.6, width, limit)


def list_checks(paper: Paper, checks: Sequence[Check], x: float, y: float, width: float, limit: float) -> float:
    """Draw as many checks as there is room for above ``limit``, and how many more there are; returns where they end."""
    more_mm = paper.line_height(SMALL)
    for place, check in enumerate(checks):
        height = _check_height(paper, check, width)
        left = len(checks) - place
        if y + height > limit - (more_mm if left > 1 else 0.0):
            paper.word(x, y + 2.4, f"and {left} more: see the page", Style(SMALL.size, bold=True))
            return y + more_mm
        paper.box(x, y, 1.0, height - 0.8, fill=TONES.get(check.outcome, "bad"))
        paper.text(x + 2.6, y, width - 3.0, _check_runs(check), SMALL, height - 1.4)
        y += height
    return y


def _check_height(paper: Paper, check: Check, width: float) -> float:
    lines = paper.height(_check_runs(check), width - 3.0, SMALL)
    return min(lines, MESSAGE_LINES * paper.line_height(SMALL)) + 1.4


def _check_runs(check: Check) -> list[Run]:
    symbol, word = wording.OUTCOMES.get(check.outcome, ("?", check.outcome))
    name = shortened(phrases.check_name(check.check))
    return [Run(f"{symbol} {word}: {name}. ", bold=True), Run(check.message)]
