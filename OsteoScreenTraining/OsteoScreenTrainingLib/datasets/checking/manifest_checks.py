"""Checks of the manifest itself: its cells, its subjects, and what it says of people, scans and levels."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from ..inclusion import KVP, LEAST_AGE_YEARS
from .evidence import Evidence
from .registry import Finding, check

#: Nobody whose age is known was older (the schema's limit is 125); few patients are older than the first.
OLD_YEARS = 105
#: Quantitative CT of the spine is older than this, spiral chest CT is not.
EARLIEST_DATE = datetime.date(1990, 1, 1)
#: Centres of L1 and L2, mm: 34 in an adult (levels/numbering.py), all sizes of people and half a slice either way
#: taken together.
LEVEL_STEP_MM = (20.0, 52.0)
#: The age in the header and that of the manifest may be counted from different days.
_AGE_YEARS, _KVP = 1.5, 1.0
_NUMBER = re.compile(r"[A-Za-z]?\d{7,}")
_UNIT = re.compile(r"[-+\d.,\s]+\s*(mg\s*/\s*(ml|cm3|cm³|cc)|g\s*/\s*(cm3|cm³|ml)|hu)", re.IGNORECASE)


@check("cells")
def cells(evidence: Evidence) -> Iterator[Finding]:
    """Every cell can be understood."""
    for row in evidence.rows:
        for problem in row.problems:
            advice = "Correct the cell in subjects.csv; until then nothing reads the manifest."
            if problem.column and problem.column.startswith("bmd_") and _UNIT.search(problem.sentence):
                advice = "Write the number alone, in mg/cm³ (mg/ml is the same; g/cm³ times 1000)."
            name = row.subject.subject
            yield Finding("error", f"Line {row.line}: {problem.sentence}", advice, name, problem.column)


@check("subject_twice")
def subject_twice(evidence: Evidence) -> Iterator[Finding]:
    """Nobody is there twice: by name, series, files or pixels."""
    lines: dict[str, list[int]] = {}
    for row in evidence.rows:
        lines.setdefault(row.subject.subject, []).append(row.line)
    for name, found in lines.items():
        if len(found) > 1:
            where = ", ".join(map(str, found))
            yield Finding("error", f"{name} is in lines {where}.", "Keep one study of each subject.", name, "subject")
    for column, what in (("series_uid", "series"), ("ct", "CT"), ("masks", "file of outlines")):
        for names in _shared(evidence.subjects, attrgetter(column)):
            yield _same(names, f"the same {what}", column)
    for names in _shared(list(evidence.measures.values()), lambda seen: seen.pixels, lambda seen: seen.subject):
        yield _same(names, "a slice with the same pixels", "ct")


def _same(names: list[str], what: str, column: str) -> Finding:
    if len(set(names)) == 1:
        return Finding("error", f"{names[0]} has {what} for L1 and for L2.", "Correct the levels.", names[0], "l1_z_mm")
    others = ", ".join(dict.fromkeys(names[1:6]))
    advice = "Keep one of them: the same person in two parts of a split makes every result too good."
    return Finding("error", f"{names[0]} and {others} have {what}.", advice, names[0], column)


def _shared(
    items: Sequence[Any], mark: Callable[[Any], Any], name: Callable[[Any], str] = lambda item: item.subject
) -> Iterator[list[str]]:
    """Yield the names of the items that have the same mark."""
    marked = sorted((str(mark(item)), place) for place, item in enumerate(items) if mark(item) is not None)
    for _, group in groupby(marked, lambda pair: pair[0]):
        names = [name(items[place]) for _, place in group]
        if len(names) > 1:
            yield names


@check("subject_name")
def subject_name(evidence: Evidence) -> Iterator[Finding]:
    """A subject's name is none of the hospital's numbers."""
    for subject in evidence.subjects:
        if _NUMBER.fullmatch(subject.subject) and not _counted(evidence, subject.subject):
            yield Finding(
                "warning",
                f"{subject.subject} looks like a patient's or an accession number.",
                "Give the subject a name without meaning, and keep the key elsewhere.",
                subject.subject,
                "subject",
            )


def _counted(evidence: Evidence, name: str) -> bool:
    """Whether a name is one of numbers that count the subjects, up to ten times as many as there are."""
    return int(re.sub(r"\D", "", name)) <= 10 * max(len(evidence.subjects), 100)


@check("people")
def people(evidence: Evidence) -> Iterator[Finding]:
    """Ages and sexes are known and can be true."""
    for subject in evidence.subjects:
        name, age = subject.subject, subject.age_years
        if age is not None and age > OLD_YEARS:
            yield Finding("warning", f"An age of {age:g} years is rare.", "Check it.", name, "age_years")
        if age is not None and age != int(age):
            message = f"An age of {age:g} is no completed year."
            yield Finding("note", message, "Write completed years, as a DICOM header has them.", name, "age_years")
    yield from _unknown(evidence, "age_years", "warning", "Who has no age is excluded by the study's criteria.")
    yield from _unknown(evidence, "sex", "note", "Tables by sex leave them out.")
    ages = [subject.age_years for subject in evidence.subjects if subject.age_years is not None]
    if len(ages) >= 20 and Counter(ages).most_common(1)[0][1] > len(ages) / 2:
        common = Counter(ages).most_common(1)[0][0]
        message = f"More than half of the subjects are {common:g} years old."
        yield Finding("warning", message, "Look whether a missing age was filled in.", column="age_years")
    young = [subject.subject for subject in evidence.subjects if (subject.age_years or 99) < LEAST_AGE_YEARS]
    if young:
        message = f"{_listed(young)} younger than {LEAST_AGE_YEARS} years."
        yield Finding("note", message, "They are excluded by the study's criteria.", column="age_years")


def _unknown(evidence: Evidence, column: str, severity: Any, advice: str) -> Iterator[Finding]:
    names = [
        subject.subject
        for subject in evidence.subjects
        if getattr(subject, column) is None and (subject.subject, column) not in evidence.damaged_cells
    ]
    if names:
        yield Finding(severity, f"{_listed(names)} without {column}.", advice, column=column)


def _listed(names: Sequence[str], most: int = 6) -> str:
    """Return "3 subjects (A, B, C) are"-like words for names."""
    shown = ", ".join(names[:most]) + (", …" if len(names) > most else "")
    return f"{len(names)} subject{'s' if len(names) > 1 else ''} ({shown}) {'are' if len(names) > 1 else 'is'}"


@check("scans")
def scans(evidence: Evidence) -> Iterator[Finding]:
    """Dates and tube voltages are known and can be true."""
    for subject in evidence.subjects:
        date = subject.study_date
        if date is not None and date > evidence.today:
            message = f"The study date {date} lies in the future."
            yield Finding("error", message, "Correct it.", subject.subject, "study_date")
        elif date is not None and date < EARLIEST_DATE:
            message = f"The study date {date} is older than chest CT of this kind."
            yield Finding("warning", message, "Check it (a birth date?).", subject.subject, "study_date")
    yield from _unknown(evidence, "study_date", "note", "The temporal split needs it; the random one does not.")
    yield from _unknown(evidence, "kvp", "warning", "Who has no tube voltage is excluded by the study's criteria.")
    others = [subject.subject for subject in evidence.subjects if subject.kvp not in (None, KVP)]
    if others:
        message = f"{_listed(others)} scanned at another tube voltage than {KVP:g} kV."
        yield Finding("note", message, "They are excluded by the study's criteria.", column="kvp")


@check("header")
def header(evidence: Evidence) -> Iterator[Finding]:
    """The CT says of itself what the manifest says of it."""
    for subject in evidence.subjects:
        for column, its in (evidence.says(subject.subject) or {}).items():
            mine = getattr(subject, column, None)
            if mine is None or its is None or not _differ(column, mine, its):
                continue
            yield Finding(
                "warning",
                f"The manifest says {column} {mine}, and the CT {its}.",
                "One of them is wrong, or the CT is another patient's: find out which.",
                subject.subject,
                column,
            )


def _differ(column: str, mine: Any, its: Any) -> bool:
    if column == "age_years":
        return abs(mine - its) > _AGE_YEARS
    if column == "kvp":
        return abs(mine - its) > _KVP
    return str(mine) != str(its)


@check("levels")
def levels(evidence: Evidence) -> Iterator[Finding]:
    """L1 lies above L2, as far as vertebrae lie apart."""
    low, high = LEVEL_STEP_MM
    for subject in evidence.subjects:
        if subject.l1_z_mm is None or subject.l2_z_mm is None:
            continue
        step = subject.l1_z_mm - subject.l2_z_mm
        if step <= 0:
            message = f"L1 (S {subject.l1_z_mm:g} mm) does not lie above L2 (S {subject.l2_z_mm:g} mm)."
            advice = "Swap them, or correct them: RAS S grows towards the head."
            yield Finding("error", message, advice, subject.subject, "l1_z_mm")
        elif not low <= step <= high:
            message = f"L1 and L2 lie {step:.1f} mm apart, and centres of neighbours {low:g} to {high:g} mm."
            yield Finding("warning", message, "Look at both levels.", subject.subject, "l2_z_mm")
    missing = [item.subject for item in evidence.subjects if item.ct and item.l1_z_mm is None]
    if missing:
        advice = "Write the centre slice as RAS S in mm; without L1 there is no slice."
        yield Finding("warning", f"{_listed(missing)} without l1_z_mm.", advice, column="l1_z_mm")
    half = [item.subject for item in evidence.subjects if item.l1_z_mm is not None and item.l2_z_mm is None]
    if half:
        message = f"{_listed(half)} without l2_z_mm."
        yield Finding("note", message, "They are excluded: the study's scans hold all of L2.", column="l2_z_mm")
