"""Who of a data set takes part: the study's criteria, applied to the manifest, each exclusion with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from .folder import LEVELS, DataSet
from .manifest import Subject

#: The study's age and tube voltage (paper, "Study design and patient population").
LEAST_AGE_YEARS, KVP = 18, 120.0

#: Reasons in the order in which they are looked at: a subject is counted under the first that applies.
REASONS = (
    "younger than 18 years",
    "age not known",
    "tube voltage not 120 kVp",
    "no reference BMD",
    "the scan does not hold all of L2",
    "implant or foreign material in L1 or L2",
    "fracture deformity of L1 or L2",
    "severe degeneration",
    "no slices in the data set",
)

_FINDINGS = {
    "implant": "implant or foreign material in L1 or L2",
    "fracture": "fracture deformity of L1 or L2",
    "degeneration": "severe degeneration",
}


@dataclass(frozen=True)
class Inclusion:
    """Who is included, in the order of the manifest, and how many are not, by reason (those with none left out)."""

    total: int
    included: list[Subject]
    excluded: dict[str, int]


def include(data: DataSet) -> Inclusion:
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


def exclusion(subject: Subject, data: DataSet) -> str | None:
    """Return why a subject is excluded, one of :data:`REASONS`, or ``None``."""
    if subject.age_years is None:
        return "age not known"
    if subject.age_years < LEAST_AGE_YEARS:
        return "younger than 18 years"
    if subject.kvp != KVP:
        return "tube voltage not 120 kVp"
    if subject.bmd is None:
        return "no reference BMD"
    if subject.l1_z_mm is None or subject.l2_z_mm is None:
        return "the scan does not hold all of L2"
    findings = (subject.findings or "").split(";")
    for finding, reason in _FINDINGS.items():
        if finding in findings:
            return reason
    if not all(data.has_slice(subject.subject, level) for level in LEVELS):
        return "no slices in the data set"
    return None
