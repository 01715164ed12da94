"""The tables that come with public collections: what they say of a scan, in the manifest's words."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path
from typing import Any

from OsteoScreenLib.errors import InputError, UsageError

#: Names of columns, as lower-case words joined by underscores, by what they hold. TotalSegmentator's meta.csv has
#: image_id, age, gender, institute, study_type, split, manufacturer, scanner_model, kvp, pathology, pathology_location
#: (version 1 the first six); a BIDS participants.tsv has participant_id, age and sex. The others are what a table that
#: was exported from VerSe's spreadsheets may call them: those are not described anywhere that we could read.
_IDENTIFIERS = (
    "image_id", "participant_id", "subject", "subject_id", "verse_id", "patient_id", "case", "case_id", "id",
)  # fmt: skip
_COLUMNS = {
    "age_years": ("age_years", "age"),
    "sex": ("sex", "gender"),
    "kvp": ("kvp", "kvp_kv", "tube_voltage", "tube_voltage_kv"),
    "bmd_l1": ("bmd_l1", "bmd_l1_mg_cm3", "l1_bmd"),
    "bmd_l2": ("bmd_l2", "bmd_l2_mg_cm3", "l2_bmd"),
    "bmd_individual": ("bmd_individual", "bmd", "bmd_mg_cm3", "bmd_mg_ml", "lumbar_bmd", "mean_bmd"),
    "mineral": ("mineral",),
}
_SCANNER = ("manufacturer", "scanner_model", "scanner", "model")
_SEX = {"f": "F", "female": "F", "w": "F", "m": "M", "male": "M"}
_UNKNOWN = {"", "nan", "n/a", "na", "none", "unknown", "-"}


def read_table(path: Path) -> dict[str, dict[str, str]]:
    """Return the rows of a CSV or TSV table by the scan or subject they are of; columns as lower-case words.

    Separated by semicolons, tabs or commas; UTF-8 with or without a byte-order mark.

    Raises:
        UsageError: there is no such file.
        InputError: it is no table, or no column says whose a row is.
    """
    if not path.is_file():
        raise UsageError(f"There is no table {path}; check the path.")
    if path.suffix.lower() in (".xlsx", ".xls"):
        raise InputError(f"{path.name} is a spreadsheet; save its sheet as CSV in UTF-8 and give that.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        delimiter = max(";\t,", key=first.count)
        rows = list(csv.reader(text.splitlines(), delimiter=delimiter))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table: {error}; save it as CSV in UTF-8.") from error
    columns = [re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") for name in (rows[0] if rows else [])]
    identifier = next((name for name in _IDENTIFIERS if name in columns), None)
    if identifier is None:
        raise InputError(f"{path} has no column that says whose a row is: {', '.join(_IDENTIFIERS)}.")
    table: dict[str, dict[str, str]] = {}
    for row in rows[1:]:
        cells = {name: text.strip() for name, text in zip(columns, row, strict=False)}
        if cells.get(identifier):
            table.setdefault(cells[identifier], cells)
    return table


def manifest_cells(row: dict[str, str], where: str) -> dict[str, Any]:
    """Return what a row says, by column of the manifest; what is empty or of no meaning there is left out.

    Raises:
        InputError: a BMD is no number in mg/cm3.
    """
    from ..manifest import takes

    cells: dict[str, Any] = {}
    for column, names in _COLUMNS.items():
        text = next((row[name] for name in names if row.get(name, "").lower() not in _UNKNOWN), None)
        value = None if text is None else _value(column, text)
        if value is not None and takes({column: value}):
            cells[column] = value
        elif text is not None and column.startswith("bmd"):
            raise InputError(f"{where}: the BMD {text!r} is none in mg/cm³; correct the table, or empty the cell.")
    scanner = " ".join(dict.fromkeys(row[name] for name in _SCANNER if row.get(name, "").lower() not in _UNKNOWN))
    if scanner:
        cells["scanner"] = scanner[:64]
    return cells


def _value(column: str, text: str) -> float | str | None:
    if column == "sex":
        return _SEX.get(text.lower())
    if column == "mineral":
        return text
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
