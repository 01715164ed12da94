"""A set of results as a table: every value with its type, nothing of the patient, whole files alone."""

from __future__ import annotations

import csv
import math
import tracemalloc

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from batch_rows import SET, rows
from report_cases import CASES

from OsteoScreenLib.batch.export import COLUMNS, cells_of, type_of, write_csv, write_data_set, write_parquet
from OsteoScreenLib.batch.manifest import read_manifest
from OsteoScreenLib.batch.study import BatchStudy, State, StudyRow
from OsteoScreenLib.errors import OsteoScreenError, UsageError
from OsteoScreenLib.reports.table import COLUMNS as RESULT_COLUMNS
from OsteoScreenLib.reports.table import row_of


def test_every_column_of_a_result_is_there_and_documented():
    assert list(COLUMNS)[-len(RESULT_COLUMNS) :] == list(RESULT_COLUMNS)
    assert not {"ct", "path", "patient_name", "patient_id"} & set(COLUMNS)
    assert {type_of(name) for name in COLUMNS} == {"text", "whole", "number", "yes or no"}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_values_of_true_results_survive_their_types(case):
    measures = {name: value for name, value in row_of(case[0]()).items() if value not in (None, "")}
    cells = cells_of(StudyRow(BatchStudy("a", "x"), State.SCREENED, measures=measures), SET)
    for name, value in measures.items():
        back = {True: "yes", False: "no"}[cells[name]] if isinstance(cells[name], bool) else cells[name]
        assert back == value, name
        assert isinstance(cells[name], str) == (type_of(name) == "text"), name


def test_parquet_is_typed_and_says_what_it_holds(tmp_path):
    path = write_parquet(rows(300), SET, tmp_path / "deep" / "results.parquet")
    table = pq.read_table(path)
    assert table.num_rows == 300 and table.column_names == list(COLUMNS)
    assert str(table.schema.field("l1_mean_hu").type) == "double"
    assert str(table.schema.field("agreement").type) == "bool" and str(table.schema.field("tries").type) == "int64"
    assert table.schema.field("doubt").metadata[b"description"] == COLUMNS["doubt"].encode()
    by_id = {row["id"]: row for row in table.to_pylist()}
    for row in rows(300):
        told = by_id[row.study.id]
        assert told["state"] == row.state.value and told["set"] == SET and told["seconds"] == row.seconds
        assert told["bmd_mg_cm3"] == row.measures.get("bmd_mg_cm3")
    assert [item.name for item in tmp_path.iterdir()] == ["deep"] and len(list(path.parent.iterdir())) == 1


def test_nothing_of_the_patient_is_in_any_table(tmp_path):
    write_csv(rows(300), SET, tmp_path / "results.csv")
    text = (tmp_path / "results.csv").read_text(encoding="utf-8")
    text += str(pq.read_table(write_parquet(rows(300), SET, tmp_path / "results.parquet")).to_pylist())
    for name in ("DOE", "ROE", "POE", "LOW", "archive"):
        assert name not in text


def test_csv_and_parquet_say_the_same(tmp_path):
    with write_csv(rows(200), SET, tmp_path / "results.csv").open(encoding="utf-8", newline="") as stream:
        from_csv = list(csv.DictReader(stream))
    for text, typed in zip(
        from_csv, pq.read_table(write_parquet(rows(200), SET, tmp_path / "p")).to_pylist(), strict=True
    ):
        for name, value in typed.items():
            said = {True: "yes", False: "no"}[value] if isinstance(value, bool) else "" if value is None else value
            same = math.isclose(float(text[name]), said) if isinstance(said, float) else text[name] == str(said)
            assert same, name


def test_sets_make_one_data_set_and_are_replaced_as_a_whole(tmp_path):
    write_data_set(rows(50), SET, tmp_path / "all")
    write_data_set(rows(40, seed=2), "set-other", tmp_path / "all")
    write_data_set(rows(30), SET, tmp_path / "all")
    table = ds.dataset(tmp_path / "all", partitioning="hive").to_table()
    counts = {one["values"]: one["counts"] for one in table["set"].value_counts().to_pylist()}
    assert counts == {SET: 30, "set-other": 40}
    assert set(table.column_names) == set(COLUMNS)


def test_a_set_without_studies_is_an_empty_table(tmp_path):
    assert pq.read_table(write_parquet([], SET, tmp_path / "a.parquet")).num_rows == 0
    assert ds.dataset(write_data_set([], SET, tmp_path / "all")).count_rows() == 0


def test_a_table_that_breaks_off_is_not_there(tmp_path):
    def broken():
        yield from rows(20)
        raise OsteoScreenError("The store is gone.")

    (tmp_path / "results.csv").write_text("before")
    for write, name in ((write_csv, "results.csv"), (write_parquet, "a.parquet"), (write_data_set, "all")):
        with pytest.raises(OsteoScreenError, match="store is gone"):
            write(broken(), SET, tmp_path / name)
    assert (tmp_path / "results.csv").read_text() == "before"
    assert {path.name for path in tmp_path.rglob("*")} <= {"results.csv", "all"}
    with pytest.raises(OsteoScreenError, match="cannot be written"):
        write_csv(rows(1), SET, tmp_path / "results.csv" / "below" / "x.csv")


def test_long_tables_are_written_as_they_come(tmp_path):
    write_csv(rows(10), SET, tmp_path / "a.csv")
    tracemalloc.start()
    path = write_csv(rows(3000), SET, tmp_path / "a.csv")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < path.stat().st_size


def test_hostile_text_is_harmless_in_a_spreadsheet(tmp_path):
    row = StudyRow(BatchStudy("a", "x"), State.FAILED, 1, "=cmd()", "=1+1\n+2", measures={"kernel": "'=B31f"})
    cells = cells_of(row, SET)
    assert cells["kind"].startswith("'") and cells["reason"].startswith("'=") and "\n" not in cells["reason"]


def test_without_pyarrow_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "list.parquet").write_bytes(b"PAR1")
    for call in (
        lambda: write_parquet(rows(1), SET, tmp_path / "a"),
        lambda: write_data_set(rows(1), SET, tmp_path),
        lambda: read_manifest(tmp_path / "list.parquet"),
    ):
        with pytest.raises(UsageError, match="pyarrow is not installed"):
            call()
