"""The row for spreadsheets: what it holds, and that no text in it is taken for anything but text."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import harmless
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from report_cases import CASES, abstained, decided, followed_up, refused, screened, suggested

from OsteoScreenLib.errors import OsteoScreenError
from OsteoScreenLib.reports.table import COLUMNS, row_of, safe_text, write_table
from OsteoScreenLib.results import Identity, ScreeningResult


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_row_holds_the_results_values_as_numbers(tmp_path: Path) -> None:
    (row,) = read(write_table([screened()], tmp_path / "result.csv"))
    assert list(row) == list(COLUMNS)
    assert row["status"] == "screened"
    assert (row["refusals"], row["warnings"]) == ("", "kvp")
    assert float(row["l1_mean_hu"]) == 109.2
    assert float(row["l2_z_ras_mm"]) == -360.0
    assert row["l2_set_by"] == "snapped"
    assert row["l1_confirmed"] == "yes"
    assert [float(row[name]) for name in ("l1_bmd_mg_cm3", "l2_bmd_mg_cm3", "bmd_mg_cm3")] == [104.5, 111.6, 108.1]
    assert (row["mineral"], row["qct_category"], row["calibration_source"]) == ("CaHA", "osteopenia", "scanner header")
    assert float(row["calibration_slope_mg_cm3_per_hu"]) == 0.9236
    assert (row["column_spacing_mm"], row["slice_spacing_mm"]) == ("0.9", "4.0")
    assert row["segmentation_bundle_sha256"] == "cd" * 32
    assert (row["contrast"], row["class"], row["decision"]) == ("", "", "")
    assert row["no_class_because"] == "No classification bundle is installed."


def test_reader_change_and_suggestion_have_columns(tmp_path: Path) -> None:
    accepted, counted = read(write_table([followed_up(), suggested()], tmp_path / "result.csv"))
    assert (accepted["decision"], accepted["decided_by"]) == ("accepted", "Dr. A. Reader")
    assert (accepted["earlier_date"], accepted["interval_days"]) == ("2025-11-20", "371")
    assert float(accepted["change_mg_cm3"]) == -14.7
    assert (counted["l1_set_by"], counted["l1_confirmed"], counted["l1_name_probability"]) == (
        "suggested",
        "no",
        "0.96",
    )
    assert float(counted["probability_osteopenia"]) == 0.64
    assert counted["agreement"] == "yes"
    (corrected,) = read(write_table([decided("corrected", comment="One too low.")], tmp_path / "corrected.csv"))
    assert (corrected["corrections"], corrected["decision_comment"]) == ("level L1", "One too low.")


def test_rows_of_any_results_have_the_same_columns_and_those_of_the_identity_where_one_has_it(tmp_path: Path) -> None:
    results = [make() for make, _ in CASES.values()]
    rows = read(write_table(results, tmp_path / "results.csv"))
    assert len(rows) == len(CASES)
    assert all(list(row) == list(COLUMNS) for row in rows)
    named = screened()
    named.identity = Identity("Doe^Jane", "4711")
    rows = read(write_table([refused(), named, abstained()], tmp_path / "named.csv"))
    assert [row["patient_name"] for row in rows] == ["", "Doe^Jane", ""]
    assert list(rows[0])[: len(COLUMNS)] == list(COLUMNS)
    assert list(rows[0])[len(COLUMNS) :] == [item.name for item in dataclasses.fields(Identity)]


def test_every_column_says_what_it_holds_and_no_unit_is_missing() -> None:
    assert all(name == name.lower() and meaning for name, meaning in COLUMNS.items())
    row = row_of(screened())
    counts = {"slices", "pixels", "index", "voltage", "probability", "factor", "confidence", "interval"}
    for name, value in row.items():
        if isinstance(value, float):
            has_unit = name.endswith(("_mm", "_mm2", "_hu", "_mg_cm3", "_kv", "_s", "_years", "_per_hu"))
            assert has_unit or counts & set(name.split("_")), name


FORMULAS = [
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "'=1", '"=1', "\uff1d1", "\uff0b1", "\u3000=1",
    "a,=1", "a;=1", "a|=1", "a;\t'=1", "\u202e=1", "=cmd|' /C calc'!A0", 'x";=1;"', "\x00=1", "a\u2028=1", "\ufeff=1",
    "\u00a0=1", "\u200b=1", "\ufe62 1", "\u207a1",
]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_begins_a_formula(text: str, tmp_path: Path) -> None:
    result = screened()
    result.input = dataclasses.replace(result.input, kernel=text, manufacturer=text)
    assert harmless.table_faults(write_table([result], tmp_path / "result.csv").read_bytes()) == []


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("=+-@,;|'\" \t\r\n\x00a1\u202e\uff1d\u3000\u00a0\\<>&\u2028\ud800"), max_size=12))
@example("W" * 70_000)
@example('" "=')
def test_no_combination_begins_a_formula_a_cell_or_a_row(text: str) -> None:
    safe = safe_text(text)
    assert harmless.unseen(safe) == ""
    assert len(safe) <= 1100
    line = f'"{safe.replace(chr(34), chr(34) * 2)}"\r\n'
    assert harmless.table_faults(("a\r\n" + line).encode()) == []


def test_harmless_text_and_negative_numbers_stay_as_they_are(tmp_path: Path) -> None:
    for text in ("Br38f", "SIEMENS", "L1 - L2", "a=b", "1.2.826.0.1.99", "Müller^Jürgen", "B31f 50%", "x-y"):
        assert safe_text(text) == text
    (row,) = read(write_table([screened()], tmp_path / "result.csv"))
    assert row["calibration_intercept_mg_cm3"] == "-1.6565"


def test_a_table_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    results: list[ScreeningResult] = []
    assert write_table(results, tmp_path / "empty.csv").read_text(encoding="utf-8").strip() == ",".join(COLUMNS)
    (tmp_path / "taken").mkdir()
    with pytest.raises(OsteoScreenError, match="cannot be written"):
        write_table([screened()], tmp_path / "taken")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.csv", "taken"]
