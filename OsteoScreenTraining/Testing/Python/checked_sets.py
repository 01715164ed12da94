"""Data sets to check: what is said of them, and how a cell is changed."""

from __future__ import annotations

import csv
import dataclasses
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from OsteoScreenLib.cli import main
from OsteoScreenTrainingLib.datasets.checking import check_data_set
from OsteoScreenTrainingLib.datasets.checking.registry import Finding
from OsteoScreenTrainingLib.datasets.manifest import COLUMNS, read_manifest, write_manifest

TODAY = datetime.date(2024, 5, 1)


def run_check(capsys: Any, folder: Path, *words: Any) -> tuple[int, str]:
    """Run ``osteoscreen dataset check``; return its exit code and what it printed."""
    code = main(["dataset", "check", str(folder), *map(str, words)])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out


def found_in(folder: Path, **values: Any) -> Sequence[Finding]:
    """Return what is found."""
    return check_data_set(folder, today=TODAY, **values).findings


def said_of(folder: Path, severity: str = "error") -> list[str]:
    """Return what is said of a severity, as "subject column: message"."""
    return [f"{f.subject} {f.column}: {f.message}" for f in found_in(folder) if f.severity == severity]


def change_row(folder: Path, number: int = 0, **cells: Any) -> None:
    """Change cells of a row."""
    rows = read_manifest(folder / "subjects.csv")
    rows[number] = dataclasses.replace(rows[number], **cells)
    write_manifest(rows, folder / "subjects.csv")


def write_cells(folder: Path, **cells: str) -> None:
    """Write cells of the first row as text, whatever they are."""
    path = folder / "subjects.csv"
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows[0] |= cells
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
