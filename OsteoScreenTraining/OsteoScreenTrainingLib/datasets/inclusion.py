"""Who of a data set takes part: the study's criteria, applied to the manifest, each exclusion with its reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .folder import LEVELS, Subjects
from .manifest import Subject

#: The study's age and tube voltage (paper, "Study design and patient population").
LEAST_AGE_YEARS, KVP = 18, 120.0

#: Whether something excludes a subject of a data set.
Criterion = Callable[[Subject, Subjects], bool]


def _found(finding: str) -> Criterion:
    return lambda subject, _: finding in (subject.findings or "").split(";")


def _young(subject: Subject, _: Subjects) -> bool:
    return subject.age_years is not None and subject.age_years < LEAST_AGE_YEARS


def _without_slices(subject: Subject, data: Subjects) -> bool:
    return not all(data.has_slice(subject.subject, level) for level in LEVELS)


#: Who is excluded, by the reason, in the order in which they are looked at: a subject is counted under the first.
_CRITERIA: dict[str, Criterion] = {
    f"younger than {LEAST_AGE_YEARS} years": _young,
    "age not known": lambda subject, _: subject.age_years is None,
    f"tube voltage not {KVP:g} kVp": lambda subject, _: subject.kvp != KVP,
    "no reference BMD": lambda subject, _: subject.bmd is None,
    "the scan does not hold all of L2": lambda subject, _: subject.l1_z_mm is None or subject.l2_z_mm is None,
    "implant or foreign material in L1 or L2": _found("implant"),
    "fracture deformity of L1 or L2": _found("fracture"),
    "severe degeneration": _found("degeneration"),
    "no slices in the data set": _without_slices,
}
REASONS = tuple(_CRITERIA)


@dataclass(frozen=True)
class Inclusion:
    """Who is included, in the order of the manifest, and how many are not, by reason (those with none left out)."""

    total: int
    included: list[Subject]
    excluded: dict[str, int]


def include(data: Subjects) -> Inclusion:
    """Apply the study's criteria."""
    counts = dict.fromkeys(REASONS, 0)
    included = []
    for subject in data.subjects:
        reason = exclusion(subject, data)
        if reason is None:
            included.append(subject)
        else:
            counts[reason] += 1
    return Inclusion(len(data.subjects), included, {reason: count for reason, count in counts.items() if count})


def exclusion(subject: Subject, data: Subjects) -> str | None:
    """Return why a subject is excluded, one of :data:`REASONS`, or ``None``."""
    return next((reason for reason, excludes in _CRITERIA.items() if excludes(subject, data)), None)
