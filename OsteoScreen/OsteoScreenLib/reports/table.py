"""One row per study for spreadsheets, as CSV in UTF-8.

Numbers are written as numbers, with a point, rounded to four decimals; a cell without a value is empty. Texts come from
headers and from people, so :func:`safe_text` makes each one harmless. The unit stands at the end of a column's name.
What each column holds is documented by `COLUMNS`, in the order of the file; where any study of a table has an identity
(:class:`OsteoScreenLib.results.Identity`), its fields follow as further columns.
"""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..decisions import in_force, is_discarded
from ..printable import one_line
from ..request import LEVEL_NAMES
from ..results import BONE_STATUSES, BoneStatus, FollowUp, Identity, ScreeningResult
from ..results_io import write_bytes_atomically
from .change import latest as latest_change

Cell = str | float | int | None

#: Of numbers that are no whole ones: finer than any of them was measured.
DECIMALS = 4
#: Longest text in a cell; a spreadsheet takes 32767 characters.
LONGEST_CELL = 1000

#: What a spreadsheet takes for the beginning of a formula (OWASP, "CSV injection"), and what it may take for the end
#: of the cell before, by the separator that its language's settings want.
_FORMULA, _SEPARATORS = "=+-@", ",;|"
_CELL_STARTS = re.compile(rf"(?:^|(?<=[{_SEPARATORS}]))[\s\"']*(?=(\S))")


def write_table(results: Iterable[ScreeningResult], path: str | os.PathLike[str]) -> Path:
    """Write a header row and one row for each result; returns the path.

    Raises OsteoScreenError where the file cannot be written.
    """
    rows = [row_of(result) for result in results]
    columns = list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180
    writer.writerow(columns)
    writer.writerows([row.get(column) for column in columns] for row in rows)
    return write_bytes_atomically(text.getvalue().encode("utf-8"), path)


def row_of(result: ScreeningResult) -> dict[str, Cell]:
    """The row of one study, by the names of `COLUMNS`, and of the identity's fields where the result has one."""
    row = {name: _cell(read(result)) for name, (read, _) in _COLUMNS.items()}
    if result.identity is not None:
        row |= {item.name: _cell(getattr(result.identity, item.name)) for item in fields(Identity)}
    return row


def safe_text(text: str) -> str:
    """Text that no spreadsheet takes for a formula, for several cells or for several rows.

    Control characters become spaces, blanks are joined, and an apostrophe is put before whatever begins with = + - or
    @ (their full-width forms too), at the start of the text or after a comma, semicolon or bar in it.
    """
    line = one_line(text, LONGEST_CELL)
    return _CELL_STARTS.sub(lambda found: found[0] + ("'" if _begins_formula(found[1]) else ""), line)


def _begins_formula(character: str) -> bool:
    return unicodedata.normalize("NFKC", character)[:1] in tuple(_FORMULA)


def _cell(value: Any) -> Cell:
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return round(value, DECIMALS)
    return safe_text(str(value))


# -- the columns: name -> (what reads it from a result, what it holds)

_Read = Callable[[ScreeningResult], Any]


def _columns() -> Iterator[tuple[str, _Read, str]]:
    # In the first column, so that nobody counts the values of a discarded result among the others.
    yield (
        "status",
        lambda r: "discarded" if is_discarded(r) else r.status,
        "screened, refused, or discarded by a reader",
    )
    yield "refusals", lambda r: _named_checks(r, "refuse"), "names of the checks that refused the study"
    yield "warnings", lambda r: _named_checks(r, "warn"), "names of the checks that gave a warning"
    yield from _scan_columns()
    for level in LEVEL_NAMES:
        yield from _level_columns(level)
    yield from _density_columns()
    yield from _class_columns()
    yield from _reader_columns()
    yield from _follow_up_columns()
    yield from _software_columns()


def _scan_columns() -> Iterator[tuple[str, _Read, str]]:
    yield "series_instance_uid", lambda r: r.input.series_instance_uid, "of the series that was screened"
    yield "input_sha256", lambda r: r.input.sha256, "hash of the input, as result.json has it"
    yield "input_kind", lambda r: r.input.kind, "dicom, nrrd, nifti, metaimage or memory"
    yield "slices", lambda r: r.input.slices, "number of slices"
    for place, name in enumerate(("column", "row", "slice")):
        yield f"{name}_spacing_mm", _spacing(place), f"spacing of the {name}s"
    yield "slice_thickness_mm", lambda r: r.input.slice_thickness_mm, "as the header says"
    yield "tube_voltage_kv", lambda r: r.input.kvp, "as the header says"
    yield "kernel", lambda r: r.input.kernel, "as the header says"
    yield "contrast", lambda r: r.input.contrast, "yes or no where the header says"
    yield "manufacturer", lambda r: r.input.manufacturer, "as the header says"
    yield "age_years", lambda r: r.input.age_years, "of the patient"
    yield "sex", lambda r: r.input.sex, "F, M or O"


def _level_columns(level: str) -> Iterator[tuple[str, _Read, str]]:
    def of(part: str, attribute: str) -> _Read:
        return lambda r: getattr(getattr(r, part).get(level), attribute, None)

    def suggested(attribute: str) -> _Read:
        return lambda r: getattr(r.numbering.levels.get(level), attribute, None) if r.numbering else None

    prefix = level.lower()
    yield f"{prefix}_z_ras_mm", of("levels", "z_mm"), "height of the centre slice, RAS superior"
    yield f"{prefix}_slice_index", of("levels", "slice_index"), "0 is the first slice as SimpleITK reads the scan"
    yield f"{prefix}_set_by", of("levels", "set_by"), "user, segmentation, snapped or suggested"
    yield f"{prefix}_confirmed", of("levels", "confirmed"), "whether a reader stands behind the level"
    yield f"{prefix}_name_probability", suggested("probability"), "of a suggested level's name"
    for attribute, unit, meaning in _ROI:
        yield f"{prefix}_{attribute}{unit}", of("roi", f"{attribute}{unit}"), meaning
    yield f"{prefix}_outlined_by", of("roi", "mask_source"), "model or user"
    yield f"{prefix}_bmd_mg_cm3", lambda r: _bmd(r, level), "BMD of the level"


_ROI = (
    ("mean", "_hu", "inside the inset outline, which the BMD is made from"),
    ("median", "_hu", "inside the inset outline"),
    ("sd", "_hu", "inside the inset outline"),
    ("pixels", "", "inside the inset outline"),
    ("area", "_mm2", "of the inset outline"),
    ("inset", "_mm", "how far the outline was inset"),
    ("outline_mean", "_hu", "inside the whole outline"),
    ("outline_area", "_mm2", "of the whole outline"),
    ("circle_mean", "_hu", "inside the circle; empty where it does not fit"),
    ("circle_area", "_mm2", "of the circle"),
    ("confidence", "", "of the outline, 0 to 1"),
)


def _density_columns() -> Iterator[tuple[str, _Read, str]]:
    def of(attribute: str) -> _Read:
        return lambda r: getattr(r.densitometry, attribute, None)

    def line(attribute: str) -> _Read:
        return lambda r: getattr(r.densitometry.calibration, attribute) if r.densitometry else None

    yield "bmd_mg_cm3", lambda r: _bmd(r, "individual"), "the individual's BMD: the mean of the levels"
    yield "bmd_uncertainty_mg_cm3", line("uncertainty_mg_cm3"), "of the calibration, give or take"
    yield "mineral", line("mineral"), "CaHA or K2HPO4: what the BMD is the density of"
    yield "qct_category", of("category"), "range of the QCT criterion that the individual's BMD lies in"
    yield "calibration_source", line("source"), "user, scanner header or nominal"
    yield "calibration_slope_mg_cm3_per_hu", line("slope"), "BMD = slope x kVp factor x HU + intercept"
    yield "calibration_intercept_mg_cm3", line("intercept"), "the same"
    yield "kvp_factor", of("kvp_factor"), "the same"


def _class_columns() -> Iterator[tuple[str, _Read, str]]:
    def of(attribute: str) -> _Read:
        return lambda r: getattr(r.classification, attribute, None)

    yield "model", of("model"), "model1 (L1 and L2) or model2 (L1 alone)"
    yield "class", of("category"), "the network's opinion"
    for status in BONE_STATUSES:
        yield f"probability_{status}", _probability(status), "the network's, 0 to 1"
    yield "no_class_because", of("reason"), "why there is no class"
    yield "agreement", lambda r: r.agreement, "whether class and QCT category are the same"


def _reader_columns() -> Iterator[tuple[str, _Read, str]]:
    def last(attribute: str) -> _Read:
        return lambda r: getattr(in_force(r), attribute, None)

    yield "decision", last("decision"), "accepted, corrected or discarded; the last one is in force"
    yield "decided_by", last("by"), "the reader, as they wrote it"
    yield "decided_at", last("at"), "ISO 8601"
    yield (
        "corrections",
        lambda r: ", ".join(decision.corrections) if (decision := in_force(r)) else None,
        "what they changed",
    )
    yield "decision_comment", last("comment"), "as they wrote it"


def _follow_up_columns() -> Iterator[tuple[str, _Read, str]]:
    def latest(read: Callable[[FollowUp], Any]) -> _Read:
        return lambda r: read(found) if (found := latest_change(r)) else None

    def comparable(read: Callable[[FollowUp], Any]) -> _Read:
        # The same for what stands for nothing where the two must not be compared.
        return lambda r: read(found) if (found := latest_change(r)) and not found.not_comparable else None

    yield "earlier_date", latest(lambda f: f.earlier.date), "of the latest earlier result, ISO 8601"
    yield "earlier_bmd_mg_cm3", latest(lambda f: f.earlier.bmd_mg_cm3.get("individual")), "the individual's, then"
    yield "interval_days", latest(lambda f: f.interval_days), "since then"
    change = comparable(lambda f: f.change_mg_cm3.get("individual"))
    yield "change_mg_cm3", change, "this BMD less the earlier one; empty where the two must not be compared"
    least = comparable(lambda f: f.least_significant_change_mg_cm3)
    yield "least_significant_change_mg_cm3", least, "a smaller change may be the measurement's alone"
    yield "not_comparable", latest(lambda f: " ".join(f.not_comparable)), "why the two must not be compared"


def _software_columns() -> Iterator[tuple[str, _Read, str]]:
    for role in ("segmentation", "classification", "localisation"):
        for attribute in ("name", "version", "sha256"):
            yield f"{role}_bundle_{attribute}", _bundle(role, attribute), f"the {role} bundle that took part"
    for name in ("osteoscreen", "torch", "device"):
        yield f"software_{name}", _software(name), "what it was computed with"
    yield "time_s", lambda r: r.timing_s.get("total"), "that screening took"


def _named_checks(result: ScreeningResult, outcome: str) -> str | None:
    return ", ".join(check.check for check in result.eligibility if check.outcome == outcome) or None


def _bmd(result: ScreeningResult, key: str) -> float | None:
    return result.densitometry.bmd_mg_cm3.get(key) if result.densitometry else None


def _spacing(axis: int) -> _Read:
    return lambda r: r.input.spacing_mm[axis]


def _probability(status: BoneStatus) -> _Read:
    return lambda r: ((r.classification and r.classification.probabilities) or {}).get(status)


def _bundle(role: str, attribute: str) -> _Read:
    return lambda r: next((getattr(bundle, attribute) for bundle in r.bundles if bundle.role == role), None)


def _software(name: str) -> _Read:
    return lambda r: r.software.get(name)


_COLUMNS: dict[str, tuple[_Read, str]] = {name: (read, meaning) for name, read, meaning in _columns()}
#: What each column holds, in the order of the file.
COLUMNS: dict[str, str] = {name: meaning for name, (_, meaning) in _COLUMNS.items()}
