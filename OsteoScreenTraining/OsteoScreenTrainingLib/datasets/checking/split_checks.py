"""Checks of who trains, validates and tests: leaks, classes, and whether the split is still the data set's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from OsteoScreenLib.results import BONE_STATUSES

from ..folder import DataSet, bone_status
from ..inclusion import include
from ..splits import PARTS, Split, leaks
from .evidence import Evidence
from .registry import Finding, check

#: Fewer subjects of a class than this give an AUC whose interval says little.
FEW = 10
#: The study's rarest class had 12.5 % (paper, Table 2).
RARE_SHARE = 0.03
#: Shares of a class in two parts of a random split may differ by this before it is said.
UNEVEN = 0.15

_MAKE = "Make it again with 'osteoscreen dataset split' under another name."


@check("splits")
def splits(evidence: Evidence) -> Iterator[Finding]:
    """Every split can be used, and nothing ties its parts together."""
    for problem in evidence.broken_splits:
        yield Finding("error", problem, _MAKE)
    if evidence.data is None:
        return
    if not evidence.splits and not evidence.broken_splits:
        yield Finding("note", "There is no split yet.", "Make one with 'osteoscreen dataset split'.")
    hashes = {f"{name} {level}": seen.pixels for (name, level), seen in evidence.measures.items()}
    included = {subject.subject for subject in include(evidence.data).included}
    for name, split in evidence.splits.items():
        for leak in leaks(evidence.data, split, hashes):
            yield Finding("error", f"The split {name} leaks: {leak}.", f"Keep one of the two in subjects.csv. {_MAKE}")
        yield from _members(name, split, included)
        yield from _order(name, split, evidence.data)


def _members(name: str, split: Split, included: set[str]) -> Iterator[Finding]:
    members = set(split.part_of())
    gone = sorted(members - included)
    if gone:
        message = f"The split {name} has {len(gone)} subjects who are now excluded (the first is {gone[0]})."
        yield Finding("warning", message, _MAKE, gone[0])
    new = included - members
    if new:
        message = f"{len(new)} included subjects are in no part of the split {name}."
        yield Finding("note", message, f"They are not used with it. {_MAKE}")


def _order(name: str, split: Split, data: DataSet) -> Iterator[Finding]:
    """A temporal split tests on the latest."""
    if split.method != "temporal":
        return
    dates = {part: [data.subject(item).study_date for item in members] for part, members in split.parts.items()}
    early = [date for part in ("training", "validation") for date in dates[part] if date is not None]
    late = [date for date in dates["test"] if date is not None]
    if early and late and max(early) > min(late):
        message = f"The temporal split {name} tests on scans that are older than some it trains on."
        yield Finding("error", message, f"Dates changed since it was made. {_MAKE}", column="study_date")


@check("classes")
def classes(evidence: Evidence) -> Iterator[Finding]:
    """Every class is there, often enough to learn and to test."""
    if evidence.data is None:
        return
    included = include(evidence.data).included
    counts = Counter(BONE_STATUSES[bone_status(subject)] for subject in included)
    if not included:
        message = "The study's criteria leave no subject."
        yield Finding("warning", message, "Fill in age, kvp, BMD and levels; see the notes on exclusions.")
        return
    for status in BONE_STATUSES:
        if counts[status] == 0:
            message = f"No included subject has {status}."
            yield Finding("warning", message, "A classifier needs all three; a segmentation does not.")
        elif counts[status] < RARE_SHARE * len(included):
            message = f"{counts[status]} of {len(included)} included subjects have {status}."
            yield Finding("warning", message, "Add such subjects, or train with classification.class_weights balanced.")
    for name, split in evidence.splits.items():
        yield from _of_split(name, split, evidence.data)


def _of_split(name: str, split: Split, data: DataSet) -> Iterator[Finding]:
    shares = {}
    for part in PARTS:
        known = [data.subject(item) for item in split.parts[part] if data.subject(item).bmd is not None]
        counts = Counter(BONE_STATUSES[bone_status(subject)] for subject in known)
        for status in BONE_STATUSES:
            if counts[status] == 0:
                message = f"The {part} part of the split {name} has no subject with {status}."
                yield Finding("error", message, f"Add subjects, or take another split. {_MAKE}")
            elif counts[status] < FEW:
                message = f"The {part} part of the split {name} has {counts[status]} subjects with {status}."
                yield Finding("note", message, "Its AUC has a wide interval.")
        shares[part] = {status: counts[status] / max(len(known), 1) for status in BONE_STATUSES}
    for status in BONE_STATUSES:
        values = [shares[part][status] for part in PARTS]
        if max(values) - min(values) > UNEVEN:
            message = f"{status} makes up {min(values):.0%} to {max(values):.0%} of the parts of the split {name}."
            yield Finding("note", message, "Expected of few subjects and of temporal splits; else look at the dates.")
