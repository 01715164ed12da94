"""What is said of the change in BMD since earlier results: the numbers, and a claim only where they may be compared."""

from __future__ import annotations

from ..decisions import is_discarded
from ..follow_up import LSC_FACTOR, PRECISION_ERROR_MG_CM3, least_significant_change_of_level
from ..results import FollowUp, ScreeningResult
from .phrases import number

#: Over a shorter time a change per year would say more than was measured.
PER_YEAR_FROM_DAYS = 183
_DAYS_PER_YEAR = 365.25
EXPLANATION = (
    f"The least significant change is {LSC_FACTOR} times the precision error (the ISCD's formula, for 95 %). The error "
    f"is the facility's own where its calibration file states it, else {PRECISION_ERROR_MG_CM3:g} mg/cm³, an "
    "assumption, and larger for L1 alone. A change beyond it says nothing of its cause: a scanner that drifts, another "
    "slice of the body and bone that was lost look alike."
)
_DAYS_PER_MONTH = _DAYS_PER_YEAR / 12


def follow_up_sentences(result: ScreeningResult) -> list[str]:
    """Return what the result says of a change in BMD, a sentence or a few for each earlier result, the oldest first.

    Nothing is said of a change where the two must not be compared, or where a reader discarded this result.
    """
    if not result.follow_up:
        return []
    if is_discarded(result):
        return ["A reader discarded this result, so nothing is said of a change in BMD."]
    return [_sentences(change) for change in result.follow_up]


def latest(result: ScreeningResult) -> FollowUp | None:
    """Return the comparison with the latest earlier result, as far as their ages are known; None without any."""
    if not result.follow_up:
        return None
    known = [(change.interval_days, n) for n, change in enumerate(result.follow_up) if change.interval_days is not None]
    before = [(days, n) for days, n in known if days >= 0]
    return result.follow_up[min(before)[1] if before else -1]


def exceeds(change: FollowUp) -> bool:
    """Return whether the individual's BMD changed by more than the least significant change."""
    return abs(change.change_mg_cm3["individual"]) > change.least_significant_change_mg_cm3


def least_of_level(change: FollowUp) -> float:
    """Return the least significant change of one level's BMD, in mg/cm3."""
    return least_significant_change_of_level(change.least_significant_change_mg_cm3, len(change.change_mg_cm3) - 1)


def per_year(change: FollowUp) -> float | None:
    """Return the change of the individual's BMD in mg/cm3 a year; None where the two must not be compared, or the time
    between them is not known or short."""
    days = change.interval_days
    if change.not_comparable or days is None or days < PER_YEAR_FROM_DAYS:
        return None
    return change.change_mg_cm3["individual"] * _DAYS_PER_YEAR / days


def when(change: FollowUp) -> str:
    """Return when the earlier result was made, as it stands in a sentence or a column: "13 months before"."""
    said = "at an unknown time" if change.interval_days is None else _before(change.interval_days)
    return f"{said} ({change.earlier.date})" if change.earlier.date else said


def signed(value: float) -> str:
    """Return a change with its sign: "+3.1" or "−16.8"."""
    shown = number(value, 1)
    return shown if shown.startswith("−") else f"+{shown}"


def _before(days: int) -> str:
    if days < 0:
        return "after this scan"
    if days == 0:
        return "on the same day"
    if days < 2 * _DAYS_PER_MONTH:
        return f"{days} day{'s' if days > 1 else ''} before"
    if days < 2 * _DAYS_PER_YEAR:
        return f"{days / _DAYS_PER_MONTH:.0f} months before"
    return f"{days / _DAYS_PER_YEAR:.1f} years before"


def _sentences(change: FollowUp) -> str:
    then = change.earlier.bmd_mg_cm3["individual"]
    difference = change.change_mg_cm3["individual"]
    if change.not_comparable:
        return (
            f"The BMD measured {when(change)} ({number(then)} mg/cm³ {change.earlier.mineral}) is not comparable with "
            f"this one, so nothing is said of a change. {' '.join(change.not_comparable)}"
        )
    moved = f"{'lower' if difference < 0 else 'higher'} by {number(abs(difference))} mg/cm³ than {when(change)}"
    yearly = per_year(change)
    rate = f", about {number(abs(yearly))} mg/cm³ a year" if yearly is not None else ""
    lsc = f"the least significant change of {number(change.least_significant_change_mg_cm3)} mg/cm³"
    verdict = (
        f"That is more than {lsc}: so large a difference is not expected of measuring twice alone."
        if exceeds(change)
        else f"That is within {lsc}: measuring twice may differ by as much."
    )
    return f"The BMD is {moved} ({number(then)} then, {number(then + difference)} now){rate}. {verdict}"
