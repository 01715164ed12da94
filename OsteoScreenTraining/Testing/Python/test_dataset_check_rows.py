"""``osteoscreen dataset check``: what is wrong in the manifest, the outlines and the splits is found."""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
import shutil

import numpy as np
import pytest

from OsteoScreenTrainingLib.datasets.folder import DataSet
from OsteoScreenTrainingLib.datasets.manifest import read_manifest, write_manifest
from OsteoScreenTrainingLib.datasets.splits import Split, save_split
from Testing.Python.checked_sets import change_row, said_of, write_cells

# -- the manifest


CELLS = [
    ({"bmd_l1": "131 mg/ml"}, "P0 bmd_l1: Line 2: bmd_l1 '131 mg/ml' is no number"),
    ({"bmd_l1": "900"}, "P0 bmd_l1: Line 2: bmd_l1: 900.0 is greater"),
    ({"age_years": "6l"}, "P0 age_years: Line 2: age_years '6l' is no number"),
    ({"age_years": "230"}, "P0 age_years: Line 2: age_years: 230.0"),
    ({"sex": "female"}, "P0 sex: Line 2: sex: 'female'"),
    ({"kvp": "120000"}, "P0 kvp: Line 2: kvp"),
    ({"study_date": "2022-13-01"}, "P0 study_date: Line 2: study_date '2022-13-01' is no date"),
    ({"study_date": "01.03.2022"}, "P0 study_date: Line 2: study_date: '01.03.2022'"),
    ({"study_date": "2024-05-02"}, "P0 study_date: The study date 2024-05-02 lies in the future"),
    ({"mineral": "calcium"}, "P0 mineral: Line 2: mineral: 'calcium'"),
    ({"calibration_slope": "0.7"}, "P0 calibration_intercept: Line 2: calibration_intercept is missing"),
    ({"bmd_individual": "140"}, "P0 bmd_individual: bmd_individual 140 contradicts L1 and L2, whose mean is 110"),
    ({"bmd_l1": "0.112", "bmd_l2": "0.108", "bmd_individual": "0.11"}, "P0 bmd_l1: bmd_l1 0.112 looks like g/cm³: the"),
    ({"bmd_l1": "-2.5", "bmd_l2": "-2.5", "bmd_individual": ""}, "P0 bmd_l2: bmd_l2 -2.5 looks like a T-score: the"),
    ({"subject": "P1"}, "P1 subject: P1 is in lines 2, 3"),
    ({"subject": "Doe^John"}, "line 2 subject: Line 2: subject: 'Doe"),
    ({"subject": ""}, "line 2 subject: Line 2: the cell of the column subject is empty"),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "says"), CELLS, ids=["-".join(next(iter(cells.items()))) for cells, _ in CELLS])
def test_wrong_cells_are_errors(built_ct_set, cells, says):
    write_cells(built_ct_set, **cells)
    told = said_of(built_ct_set)
    assert any(item.startswith(says) for item in told), told


def test_all_that_is_wrong_is_told_at_once(ct_set):
    write_cells(ct_set, age_years="x", sex="x", kvp="x", bmd_individual="140")
    told = said_of(ct_set)
    assert len([item for item in told if "Line 2" in item]) == 3
    assert any("contradicts" in item for item in told)


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ({"mineral": None}, "P0 mineral: The mineral of the BMD is missing"),
        ({"mineral": "K2HPO4"}, "None mineral: The BMD are of two minerals: 2 in CaHA and 1 in K2HPO4"),
        ({"bmd_l1": 330.0, "bmd_individual": None}, "P0 bmd_l1: bmd_l1 330 mg/cm³ lies outside"),
        ({"bmd_l1": 140.0, "bmd_l2": 80.0}, "P0 bmd_l2: BMD of L1 and L2 differ by 60"),
        ({"bmd_l1": 230.0, "bmd_l2": 228.0, "bmd_individual": 229.0}, "P0 bmd_l1: bmd_l1 is 230 mg/cm³, and the slice"),
        ({"bmd_l1": None, "bmd_individual": None}, "P0 bmd_individual: One level has a BMD"),
        ({"age_years": 107.0}, "P0 age_years: An age of 107 years is rare"),
        ({"age_years": None}, "None age_years: 1 subject (P0) is without age_years"),
        ({"kvp": None}, "None kvp: 1 subject (P0) is without kvp"),
        ({"study_date": datetime.date(1961, 4, 2)}, "P0 study_date: The study date 1961-04-02 is older"),
        ({"calibration_slope": 1.7, "calibration_intercept": 0.0}, "P0 calibration_slope: A calibration slope of 1.7"),
        ({"calibration_slope": 0.7, "calibration_intercept": 9.0}, "None calibration_slope: 2 of 3 scans of the"),
    ],
)  # fmt: skip
def test_odd_cells_are_warnings(built_ct_set, cells, says):
    change_row(built_ct_set, **cells)
    told = said_of(built_ct_set, "warning")
    assert any(item.startswith(says) for item in told), told


def test_a_whole_column_of_another_unit_is_an_error(built_ct_set):
    rows = read_manifest(built_ct_set / "subjects.csv")
    other = [dataclasses.replace(r, bmd_l1=r.bmd_l1 / 1000, bmd_l2=None, bmd_individual=None) for r in rows]
    write_manifest(other, built_ct_set / "subjects.csv")
    assert any("3 of 3 BMD lie within 8 of 0" in item for item in said_of(built_ct_set))


def test_a_header_that_contradicts_is_found(cohort, tmp_path):
    ct_set = shutil.copytree(cohort, tmp_path / "c")
    row = next(n for n, subject in enumerate(read_manifest(ct_set / "subjects.csv")) if subject.ct)
    subject = read_manifest(ct_set / "subjects.csv")[row]
    shutil.rmtree(ct_set / "slices")
    change_row(ct_set, row, sex="F" if subject.sex == "M" else "M", age_years=subject.age_years + 9, kvp=100.0)
    told = said_of(ct_set, "warning")
    for column in ("sex", "age_years", "kvp"):
        assert any(item.startswith(f"{subject.subject} {column}: The manifest says {column}") for item in told), told


def test_a_name_that_is_a_number_of_the_hospital_is_found(ct_set):
    change_row(ct_set, subject="20931145")
    assert any("looks like a patient's or an accession number" in item for item in said_of(ct_set, "warning"))


def test_the_same_pixels_under_two_names_are_found(ct_set):
    shutil.copy(ct_set / "ct" / "P0.nrrd", ct_set / "ct" / "P1.nrrd")
    assert any("P0 and P1 have a slice with the same pixels" in item for item in said_of(ct_set))


def test_the_same_series_under_two_names_is_found(cortical_set):
    for number in (3, 7):
        change_row(cortical_set, number, series_uid="1.2.3")
    assert any("P004 and P008 have the same series" in item for item in said_of(cortical_set))


# -- the outlines

SHAPES = {
    "tiny": (lambda c: _disc(c, 6), "error", "measures 1.. mm2, unlike any vertebral body"),
    "huge": (lambda c: _disc(c, 33), "error", "unlike any vertebral body|does not lie on bone"),
    "holed": (lambda c: _disc(c, 14) & ~_disc(c, 3), "warning", "has holes of"),
    "pieces": (lambda c: _disc(c, 14) | _disc(np.add(c, [0, 22]), 2), "warning", "is in 2 pieces"),
}


def _disc(centre, radius):
    y, x = np.mgrid[:64, :64]
    return np.hypot(y - centre[0], x - centre[1]) < radius


@pytest.mark.parametrize("kind", SHAPES)
def test_strange_outlines_are_found(cortical_set, kind):
    make, severity, says = SHAPES[kind]
    path = cortical_set / "slices" / "masks.npy"
    masks = np.load(path)
    masks[0] = make([32, 32]) * np.uint8(255)
    np.save(path, masks)
    told = said_of(cortical_set, severity)
    assert any(re.search(says, item) and item.startswith("P001 masks: The outline of L1") for item in told), told


def test_an_empty_outline_is_found(cortical_set):
    path = cortical_set / "slices" / "masks.npy"
    masks = np.load(path)
    masks[1] = 0
    np.save(path, masks)
    assert any("The outline of L2 in the slices is empty" in item for item in said_of(cortical_set))


def test_the_same_outline_twice_is_found(cortical_set):
    path = cortical_set / "slices" / "masks.npy"
    masks = np.load(path)
    masks[1] = masks[0]
    np.save(path, masks)
    assert any("are the same, pixel for pixel" in item for item in said_of(cortical_set, "warning"))


# -- the splits


def test_a_leak_between_parts_is_found(cortical_set):
    data = DataSet(cortical_set)
    path = cortical_set / "slices" / "images.npy"
    images = np.load(path)
    parts = json.loads((cortical_set / "splits" / "random.json").read_text())["parts"]
    part = {name: part for part, names in parts.items() for name in names}
    one, two = (next(name for name, where in part.items() if where == wanted) for wanted in ("training", "test"))
    images[data.slice_index(one, "L1")] = images[data.slice_index(two, "L1")]
    np.save(path, images)
    told = said_of(cortical_set)
    assert any("The split random leaks" in item and one in item and two in item for item in told), told


def test_a_split_that_is_damaged_or_old_is_found(cortical_set):
    (cortical_set / "splits" / "bad.json").write_text("{")
    assert any("bad.json is no split" in item for item in said_of(cortical_set))
    change_row(cortical_set, 0, age_years=12.0)
    assert any("has 1 subjects who are now excluded" in item for item in said_of(cortical_set, "warning"))


def test_a_temporal_split_that_is_none_any_more_is_found(cortical_set):
    data = DataSet(cortical_set)
    names = [subject.subject for subject in data.subjects]
    save_split(
        data, "dates", Split("temporal", 1, {"training": names[12:], "validation": names[6:12], "test": names[:6]})
    )
    assert any("temporal split dates tests on scans that are older" in item for item in said_of(cortical_set))


def test_a_part_without_a_class_is_found(cortical_set):
    data = DataSet(cortical_set)
    normal = [subject.subject for subject in data.subjects if subject.bmd > 120]
    rest = [subject.subject for subject in data.subjects if subject.bmd <= 120]
    save_split(
        data, "odd", Split("random", 1, {"training": normal[2:], "validation": normal[:1], "test": [normal[1], *rest]})
    )
    told = said_of(cortical_set)
    assert any("The training part of the split odd has no subject with osteoporosis" in item for item in told)
    assert any("makes up" in item for item in said_of(cortical_set, "note"))


def test_a_class_that_is_missing_or_rare_is_told(built_ct_set):
    assert "None None: No included subject has normal." in said_of(built_ct_set, "warning")
    for number in range(3):
        change_row(built_ct_set, number, kvp=100.0)
    assert any("leave no subject" in item for item in said_of(built_ct_set, "warning"))
