"""The manifest: read as written, and every bad cell named by its line and column."""

from __future__ import annotations

import dataclasses
import datetime
import math

import pytest

from OsteoScreenLib.cli import main
from OsteoScreenLib.errors import InputError
from OsteoScreenTrainingLib.datasets.manifest import COLUMNS, Subject, manifest_schema, read_manifest, write_manifest

FULL = Subject(
    subject="S-1.a_2",
    study_date=datetime.date(2021, 8, 1),
    age_years=61.0,
    sex="F",
    scanner="Room 2, left",
    kvp=120.0,
    ct="ct/S1",
    masks="masks/S1.seg.nrrd",
    series_uid="1.2.840.1",
    l1_z_mm=-412.25,
    l2_z_mm=-444.0,
    bmd_l1=81.25,
    bmd_l2=78.5,
    bmd_individual=79.999,
    mineral="K2HPO4",
    method='QCT, "solid" phantom; mean of two',
    calibration_slope=0.7123,
    calibration_intercept=-4.5,
    findings="fracture;degeneration",
)


def _write(folder, *lines: str, columns: str = "subject,study_date,age_years,sex,kvp,bmd_l1,bmd_l2"):
    path = folder / "subjects.csv"
    path.write_text("\n".join([columns, *lines]) + "\n", encoding="utf-8")
    return path


def test_what_is_written_is_read(tmp_path):
    rows = [FULL, Subject("S2"), dataclasses.replace(FULL, subject="S3", bmd_individual=-12.5)]
    write_manifest(rows, tmp_path / "subjects.csv")
    assert read_manifest(tmp_path / "subjects.csv") == rows


def test_every_column_is_in_the_schema():
    assert tuple(manifest_schema()["properties"]) == COLUMNS


def test_columns_come_in_any_order_and_what_is_missing_is_not_known(tmp_path):
    path = _write(tmp_path, " M , S1 ,", ",S2", columns="sex,subject,age_years")
    assert read_manifest(path) == [Subject("S1", sex="M"), Subject("S2")]


def test_a_table_saved_by_excel_is_read(tmp_path):
    path = tmp_path / "subjects.csv"
    path.write_bytes("\ufeffsubject,sex\r\nS1,F\r\n\r\nS2,M\r\n".encode())
    assert [(row.subject, row.sex) for row in read_manifest(path)] == [("S1", "F"), ("S2", "M")]


def test_the_individuals_bmd_is_the_mean_where_it_is_not_given():
    assert Subject("S", bmd_l1=80.0, bmd_l2=90.0).bmd == 85.0
    assert Subject("S", bmd_l1=80.0, bmd_l2=90.0, bmd_individual=84.0).bmd == 84.0
    assert Subject("S", bmd_l1=80.0).bmd is None


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ({"sex": "X"}, "sex: 'X' is not one of.*F or M"),
        ({"sex": "f"}, "sex: 'f' is not one of"),
        ({"study_date": "04.01.2021"}, "study_date: '04.01.2021'.*YYYY-MM-DD"),
        ({"study_date": "20210104"}, "study_date: '20210104'.*YYYY-MM-DD"),
        ({"study_date": "2021-02-30"}, "study_date '2021-02-30' is no date.*YYYY-MM-DD"),
        ({"bmd_l1": "low"}, "bmd_l1 'low' is no number.*leave the cell empty"),
        ({"bmd_l1": "81,5"}, "bmd_l1 '81,5' is no number.*decimal point"),
        ({"bmd_l1": "nan"}, "bmd_l1 'nan' is no number.*leave the cell empty"),
        ({"kvp": "inf"}, "kvp 'inf' is no number"),
        ({"bmd_l2": "950"}, "bmd_l2: 950.0 is greater.*mg/cm³"),
        ({"age_years": "-3"}, "age_years: -3.0 is less.*completed years"),
        ({"kvp": "0.12"}, "kvp: 0.12 is less.*kV"),
        ({"subject": "../../etc/passwd"}, "subject: '../../etc/passwd'.*letters, digits"),
        ({"subject": "a/b"}, "subject: 'a/b'.*letters, digits"),
        ({"subject": "a\\b"}, "subject: .*letters, digits"),
        ({"subject": ".hidden"}, "subject: '.hidden'.*letters, digits"),
        ({"subject": "Meier, Anna"}, "subject: 'Meier, Anna'.*never a patient's name"),
        ({"subject": "S" * 65}, "subject: .*letters, digits"),
        ({"subject": ""}, "the cell of the column subject is empty; give"),
        ({"mineral": "calcium"}, "mineral: 'calcium' is not one of"),
        ({"series_uid": "1.2.x"}, "series_uid: '1.2.x' does not match"),
        ({"findings": "tumour"}, "findings: 'tumour'.*implant, fracture or degeneration"),
        ({"calibration_slope": "0.7"}, "calibration_intercept is missing beside the other; fill in both"),
        ({"calibration_slope": "7", "calibration_intercept": "0"}, "calibration_slope: 7.0 is greater.*0.60 and 0.93"),
    ],
)
def test_a_bad_cell_is_named_by_line_and_column(tmp_path, cells, says):
    columns = ["subject", *(name for name in COLUMNS if name in cells and name != "subject")]
    cell = [f'"{ {"subject": "S2", **cells}[name] }"' for name in columns]
    path = _write(tmp_path, "S1", ",".join(cell), columns=",".join(columns))
    with pytest.raises(InputError, match=f"subjects.csv, line 3: {says}"):
        read_manifest(path)


def test_a_line_is_counted_as_an_editor_counts_it(tmp_path):
    path = _write(tmp_path, 'S1,"QCT,\nphantom",M', "", "S2,QCT,X", columns="subject,method,sex")
    with pytest.raises(InputError, match="line 5: sex"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("lines", "columns", "says"),
    [
        (["S1,F", "S2,M", "S1,M"], "subject,sex", "line 4: the subject S1 is in line 2 already; keep one"),
        (["S1,F,3"], "subject,sex", "line 2: there are more cells than columns; put .* in quotes"),
        (["F"], "sex", "no column 'subject'; its first line"),
        (["S1;F"], "subject;sex", "no column 'subject'.*separated by commas"),
        (["S1,80"], "subject,bmd_L1", "line 1: the column 'bmd_L1' is not known.*bmd_l1, bmd_l2"),
        (["S1,F,M"], "subject,sex,sex", "line 1: the column 'sex' .*there twice"),
        ([], "subject,sex", "names no subject; write a line"),
    ],
)
def test_a_bad_table_is_told(tmp_path, lines, columns, says):
    with pytest.raises(InputError, match=says):
        read_manifest(_write(tmp_path, *lines, columns=columns))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no column 'subject'"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "no table of text.*save it as CSV in UTF-8"),
        ("subject\nM\u00fcller\n".encode("cp1252"), "no table of text.*UTF-8"),
        (b"subject\n" + b'"' + b"x" * 200_000, "no table of text|letters, digits"),
        ("subject\nS1\n".encode("utf-16"), "no table of text.*UTF-8"),
    ],
)
def test_a_file_that_is_no_manifest_is_told(tmp_path, content, says):
    (tmp_path / "subjects.csv").write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_manifest(tmp_path / "subjects.csv")


def test_a_missing_manifest_is_told(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InputError, match="cannot be read: "):
            read_manifest(path)


@pytest.mark.parametrize("values", [("0.131", "0.079"), ("-2.6", "1.1")], ids=["g/cm3", "T-scores"])
def test_a_table_of_another_unit_is_refused(tmp_path, values):
    rows = [f"S{number},{value},{value}" for number, value in enumerate(values)]
    with pytest.raises(InputError, match=r"every BMD lies between.*mg/cm³.*T-scores"):
        read_manifest(_write(tmp_path, *rows, columns="subject,bmd_l1,bmd_l2"))


def test_single_values_near_nothing_are_kept(tmp_path):
    """Marrow fat takes trabecular BMD to 0 and below in the oldest: one such subject says nothing of the unit."""
    path = _write(tmp_path, "S1,0.13,-3.5", "S2,131,120", columns="subject,bmd_l1,bmd_l2")
    assert math.isclose(read_manifest(path)[0].bmd, -1.685)
    path = _write(tmp_path, "S1,0.13,-3.5", columns="subject,bmd_l1,bmd_l2")
    assert len(read_manifest(path)) == 1


def test_the_command_line_says_it_in_a_sentence(tmp_path, capsys):
    (tmp_path / "dataset.json").write_text('{"schema": "osteoscreen-dataset/1", "kind": "real"}')
    _write(tmp_path, "S1,F", "S2,X", columns="subject,sex")
    assert main(["dataset", "split", str(tmp_path)]) == 4
    said = capsys.readouterr().err
    assert "line 3: sex: 'X'" in said
    assert "Traceback" not in said
