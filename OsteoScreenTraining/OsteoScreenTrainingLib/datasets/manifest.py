"""The manifest of a data set, ``subjects.csv``: one row per subject, those who are excluded included.

What a column means and which values it takes is in ``manifest.schema.json`` beside this module; an empty cell is a
value that is not known.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from OsteoScreenLib.errors import InputError, system_reason
from OsteoScreenLib.results_io import write_text_atomically

MANIFEST = "subjects.csv"
SCHEMA_PATH = Path(__file__).with_name("manifest.schema.json")
#: No trabecular BMD in g/cm3 is larger, and no T-score further from 0.
LARGEST_OTHER_UNIT = 8.0

#: Both or neither are known.
CALIBRATION = ("calibration_slope", "calibration_intercept")

#: Columns that hold a number.
NUMBER_COLUMNS = {
    "age_years", "kvp", "l1_z_mm", "l2_z_mm", "bmd_l1", "bmd_l2", "bmd_individual", "calibration_slope",
    "calibration_intercept",
}  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """One subject: who, scanned when and where, which slices, and the reference BMD. ``None`` is not known.

    Attributes:
        subject: a name without meaning; never a patient's name or number.
        study_date: of the scan.
        age_years, sex: completed years; "F" or "M".
        scanner: which scanner, for subgroups and for its calibration.
        kvp: tube voltage, kV.
        ct: path of the CT, relative to the data set's folder.
        masks: path of the drawn outlines of L1 and L2, likewise; several are separated by ";".
        series_uid: SeriesInstanceUID, to find a series that is there twice.
        l1_z_mm, l2_z_mm: centre slices, RAS S in mm; ``None`` where the scan does not hold the level.
        bmd_l1, bmd_l2, bmd_individual: reference BMD, mg/cm3 of ``mineral``; the individual's is the mean.
        mineral: "CaHA" or "K2HPO4".
        method: how the reference was measured.
        calibration_slope, calibration_intercept: the line from this scan's HU to BMD at its date; the nominal one
            where there is none.
        findings: what a reader saw in L1 or L2 ("implant", "fracture", "degeneration"), separated by ";".
    """

    subject: str
    study_date: datetime.date | None = None
    age_years: float | None = None
    sex: Literal["F", "M"] | None = None
    scanner: str | None = None
    kvp: float | None = None
    ct: str | None = None
    masks: str | None = None
    series_uid: str | None = None
    l1_z_mm: float | None = None
    l2_z_mm: float | None = None
    bmd_l1: float | None = None
    bmd_l2: float | None = None
    bmd_individual: float | None = None
    mineral: Literal["CaHA", "K2HPO4"] | None = None
    method: str | None = None
    calibration_slope: float | None = None
    calibration_intercept: float | None = None
    findings: str | None = None

    @property
    def bmd(self) -> float | None:
        """The individual's reference BMD: as given, else the mean of L1 and L2, else ``None``."""
        if self.bmd_individual is not None:
            return self.bmd_individual
        if self.bmd_l1 is None or self.bmd_l2 is None:
            return None
        return (self.bmd_l1 + self.bmd_l2) / 2


COLUMNS = tuple(item.name for item in fields(Subject))


@lru_cache(maxsize=1)
def manifest_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a row, its empty cells left out."""
    schema: dict[str, Any] = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
    return schema


def read_manifest(path: str | os.PathLike[str]) -> list[Subject]:
    """Read a manifest.

    Raises:
        InputError: it cannot be read, lacks the column ``subject`` or has one that is not known, names a subject twice,
            or holds a value that its schema does not take; the sentence names the line and the column. Or its BMD is
            plainly not in mg/cm3.
    """
    path = Path(path)
    subjects: dict[str, Subject] = {}
    lines: dict[str, int] = {}
    for line, row in _rows(path):
        subject, problems = _subject(row)
        if problems:
            raise InputError(f"{path}, line {line}: {problems[0].sentence}")
        name = subject.subject
        if name in subjects:
            raise InputError(
                f"{path}, line {line}: the subject {name} is in line {lines[name]} already; keep one study of each "
                "subject."
            )
        subjects[name], lines[name] = subject, line
    if not subjects:
        raise InputError(f"The manifest {path} names no subject; write a line for each below the column names.")
    _check_unit(list(subjects.values()), path)
    return list(subjects.values())


@dataclass(frozen=True)
class CellProblem:
    """What is wrong with a cell of the manifest, as a sentence; ``column`` is None where it is the whole row."""

    column: str | None
    sentence: str


@dataclass(frozen=True)
class ManifestRow:
    """A row as far as it can be understood: the cells that cannot are empty in ``subject``, and in ``problems``."""

    line: int
    subject: Subject
    problems: tuple[CellProblem, ...]


def read_rows(path: str | os.PathLike[str]) -> list[ManifestRow]:
    """Read a manifest with all that is wrong in its rows, subjects that come twice included.

    A row whose subject cannot be understood has the name ``line N``.

    Raises:
        InputError: it cannot be read at all, lacks the column ``subject``, or has one that is not known.
    """
    return [ManifestRow(line, *_subject(row, f"line {line}")) for line, row in _rows(Path(path))]


def _rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return the rows, each with the number of the line that it ends on."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or ())
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise InputError(f"The manifest {path} cannot be read: {system_reason(error)}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The manifest {path} is no table of text ({error}); save it as CSV in UTF-8.") from error
    if "subject" not in columns:
        raise InputError(
            f"The manifest {path} has no column 'subject'; its first line holds the names of the columns, separated by "
            "commas."
        )
    strange = [name for name in columns if name not in COLUMNS or columns.count(name) > 1]
    if strange:
        raise InputError(
            f"{path}, line 1: the column {strange[0]!r} is not known, or there twice; take it out, or give it one of "
            f"the names {', '.join(COLUMNS)}."
        )
    return rows


def _check_unit(subjects: list[Subject], path: Path) -> None:
    """Refuse a table all of whose BMD are within what g/cm3 and T-scores take: one such subject may be true."""
    values = [subject.bmd for subject in subjects if subject.bmd is not None]
    most = LARGEST_OTHER_UNIT
    if len(values) > 1 and max(map(abs, values)) < most:
        raise InputError(
            f"{path}: every BMD lies between -{most:g} and {most:g}; give trabecular BMD in mg/cm³ (g/cm³ times 1000), "
            "and no T-scores."
        )


def write_manifest(subjects: Iterable[Subject], path: str | os.PathLike[str]) -> None:
    """Write a manifest, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for subject in subjects:
        writer.writerow(["" if (value := getattr(subject, name)) is None else str(value) for name in COLUMNS])
    write_text_atomically(text.getvalue(), path)


def _subject(row: dict[str, Any], nameless: str = "") -> tuple[Subject, tuple[CellProblem, ...]]:
    """Return a row's subject, called ``nameless`` where its name cannot be used, and what is wrong with the row."""
    problems = []
    if row.pop(None, None) is not None:  # type: ignore[call-overload]
        problems.append(
            CellProblem(None, "there are more cells than columns; put a cell that holds a comma in quotes.")
        )
    document: dict[str, Any] = {}
    for name, text in row.items():
        if not text or not text.strip():
            continue
        try:
            document[name] = _value(text.strip(), name)
        except InputError as error:
            problems.append(CellProblem(name, str(error)))
    if "subject" not in document:
        sentence = "the cell of the column subject is empty; give the subject a name without meaning."
        problems.append(CellProblem("subject", sentence))
        document["subject"] = nameless or "S"
    for problem in _problems(document):
        problems.append(problem)
        if problem.column is not None:
            document.pop(problem.column, None)
    return Subject(**{"subject": nameless, **document}), tuple(problems)


def _value(text: str, name: str) -> Any:
    """Return a cell's value; raises InputError where it is not of the column's kind."""
    if name == "study_date" and re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        try:
            return datetime.date.fromisoformat(text)
        except ValueError:
            raise InputError(f"study_date {text!r} is no date (YYYY-MM-DD).") from None
    return _number(text, name) if name in NUMBER_COLUMNS else text


def _number(text: str, name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        shown = repr(text if len(text) <= 40 else f"{text[:40]}…")
        raise InputError(
            f"{name} {shown} is no number (with a decimal point, without a unit); leave the cell empty if it is not "
            "known."
        )
    return number


def takes(cells: Mapping[str, str | float]) -> bool:
    """Return whether a row may hold these cells, by the names of their columns."""
    return not _problems({"subject": "S", **cells})


@lru_cache(maxsize=1)
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(manifest_schema())


def _problems(document: Mapping[str, Any]) -> list[CellProblem]:
    """Return what the schema says of a row, a cell at a time."""
    plain = {name: str(value) if isinstance(value, datetime.date) else value for name, value in document.items()}
    found: dict[str | None, CellProblem] = {}
    for error in _validator().iter_errors(plain):
        if error.validator == "dependentRequired":
            missing = next(name for name in CALIBRATION if name not in document)
            sentence = (
                f"{missing} is missing beside the other; fill in both of {' and '.join(CALIBRATION)}, or neither."
            )
            found.setdefault(missing, CellProblem(missing, sentence))
            continue
        column = str(error.absolute_path[0]) if error.absolute_path else None
        advice = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
        sentence = f"{column or 'the row'}: {error.message[:200]}" + (f" ({advice})" if advice else "") + "."
        found.setdefault(column, CellProblem(column, sentence))
    return list(found.values())
