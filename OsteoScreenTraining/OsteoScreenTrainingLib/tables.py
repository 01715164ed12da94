"""Tables as files, CSV and JSON, and how their numbers are written for reading."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from OsteoScreenLib.reports.table import safe_text
from OsteoScreenLib.results_io import write_text_atomically

Cell = str | int | float | None

_MINUS = "\N{MINUS SIGN}"


def write_table(path_without_suffix: Path, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> tuple[Path, Path]:
    """Write NAME.csv and NAME.json (a list of objects, the same columns), each whole or not at all.

    Numbers stay numbers; None and what is not finite become an empty cell and null. In the CSV, no
    text is one that a spreadsheet would run as a formula. Raises ValueError where a column's name comes twice or a row
    differs from the header in length, and OsteoScreenError where a file cannot be written.
    """
    if len(set(header)) != len(header):
        raise ValueError("A column's name comes twice in the header.")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise ValueError(f"Row {number} has {len(row)} cells, the header {len(header)}.")
    plain = [[_plain(cell) for cell in row] for row in rows]
    text = io.StringIO()
    # CRLF, as RFC 4180 has it: csv leaves a CR in a cell unquoted where rows end in LF alone.
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(map(_safe, header))
    writer.writerows(map(_safe, row) for row in plain)
    objects = [dict(zip(header, row, strict=True)) for row in plain]
    return (
        write_text_atomically(text.getvalue(), path_without_suffix.with_name(f"{path_without_suffix.name}.csv")),
        write_text_atomically(
            json.dumps(objects, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
            path_without_suffix.with_name(f"{path_without_suffix.name}.json"),
        ),
    )


def _plain(cell: Any) -> Cell:
    value = cell.item() if isinstance(cell, np.generic) else cell
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _safe(cell: Cell) -> Cell:
    return safe_text(cell) if isinstance(cell, str) else cell


def fixed(value: float, digits: int) -> str:
    """Return a number with so many digits after the point and a true minus sign; a dash where it is not finite."""
    if not math.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", _MINUS)


def with_interval(value: float, low: float, high: float, digits: int) -> str:
    """Return "0.951 (0.932–0.970)", with "to" where a minus sign would run into the dash; the value alone where it has
    no interval."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return fixed(value, digits)
    between = " to " if low < 0 else "–"
    return f"{fixed(value, digits)} ({fixed(low, digits)}{between}{fixed(high, digits)})"


def plus_minus(mean: float, sd: float, digits: int) -> str:
    """Return "130.28 ± 42.76"; the mean alone where there is no SD."""
    if not math.isfinite(sd):
        return fixed(mean, digits)
    return f"{fixed(mean, digits)} ± {fixed(sd, digits)}"


def p_value(p: float) -> str:
    """Return a P value as ".033", with two bounds: "< .001" and "> .999"; a dash where there is none (NaN).

    Raises ValueError where it lies outside 0..1.
    """
    if math.isnan(p):
        return "–"
    if not 0 <= p <= 1:
        raise ValueError(f"A P value lies between 0 and 1, {p} does not.")
    if p < 0.001:
        return "< .001"
    if p > 0.999:
        return "> .999"
    return f"{p:.3f}".lstrip("0")
