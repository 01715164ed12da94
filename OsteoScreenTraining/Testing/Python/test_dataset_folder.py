"""A data set as a folder, and who of it takes part."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest

from OsteoScreenLib.errors import InputError
from OsteoScreenTrainingLib.datasets.folder import DataSet, bone_status, bone_statuses
from OsteoScreenTrainingLib.datasets.inclusion import REASONS, exclusion, include
from OsteoScreenTrainingLib.datasets.manifest import Subject, write_manifest


@pytest.fixture
def own_set(subject_set, tmp_path):
    return shutil.copytree(subject_set, tmp_path / "own")


def test_it_opens_and_finds_its_slices(subject_set):
    data = DataSet(subject_set)
    assert (data.header.kind, len(data.subjects), len(data.slices)) == ("simulated", 32, 64)
    index = data.slice_index("P004", "L2")
    record = data.slices.records[index]
    assert (record.subject, record.values["level"]) == ("P004", "L2")
    assert data.subject("P004").bmd == 190.0
    assert data.truth() is None


def test_a_level_without_a_slice_is_told(subject_set):
    with pytest.raises(InputError, match="no slice of L3 of P001; build its slices again"):
        DataSet(subject_set).slice_index("P001", "L3")


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("dataset.json", "not a finished data set.*dataset build.*simulate cohort"),
        ("subjects.csv", "subjects.csv cannot be read"),
        ("slices/dataset.json", "slices is not a slice data set"),
        ("slices/images.npy", "images.npy cannot be read"),
        ("slices/slices.csv", "slices.csv cannot be read"),
    ],
)
def test_a_missing_part_is_named(own_set, missing, says):
    (own_set / missing).unlink()
    with pytest.raises(InputError, match=says):
        DataSet(own_set)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not valid JSON"),
        ("[]", "not of the schema"),
        ('{"schema": "osteoscreen-dataset/9", "kind": "real"}', "not of the schema 'osteoscreen-dataset/1'"),
        ('{"schema": "osteoscreen-dataset/1", "kind": "synthetic"}', "kind must be 'simulated' or 'real'"),
    ],
)
def test_a_strange_header_is_told(own_set, content, says):
    (own_set / "dataset.json").write_text(content)
    with pytest.raises(InputError, match=says):
        DataSet(own_set)


def test_slices_of_a_stranger_are_told(own_set):
    data = DataSet(own_set)
    write_manifest(data.subjects[1:], own_set / "subjects.csv")
    with pytest.raises(InputError, match=r"slices of P001, who is not in subjects\.csv"):
        DataSet(own_set)


def test_two_slices_of_one_level_are_told(own_set):
    path = own_set / "slices" / "slices.csv"
    path.write_text(path.read_text().replace("P002,L2", "P002,L1"))
    with pytest.raises(InputError, match="two slices of L1 of P002; keep one"):
        DataSet(own_set)


def test_the_truth_is_told_of_simulations_only(own_set):
    (own_set / "truth.csv").write_text("subject,bmd_l1,bmd_l2,bmd_individual\nP001,190.5,188,189.25\n")
    assert DataSet(own_set).truth() == {"P001": {"bmd_l1": 190.5, "bmd_l2": 188.0, "bmd_individual": 189.25}}
    header = json.loads((own_set / "dataset.json").read_text()) | {"kind": "real"}
    (own_set / "dataset.json").write_text(json.dumps(header))
    assert DataSet(own_set).truth() is None


@pytest.mark.parametrize("content", ["subject,bmd_l1\nP001,190\n", "subject,bmd_l1,bmd_l2,bmd_individual\nP001,1,2\n"])
def test_a_damaged_truth_is_told(own_set, content):
    (own_set / "truth.csv").write_text(content)
    with pytest.raises(InputError, match=r"truth\.csv is damaged"):
        DataSet(own_set).truth()


@pytest.mark.parametrize(("bmd", "status"), [(120.001, 0), (120.0, 1), (80.0, 1), (79.999, 2)])
def test_the_class_is_that_of_the_unrounded_reference(bmd, status):
    assert bone_status(Subject("S", bmd_individual=bmd)) == status
    assert bone_statuses([Subject("S", bmd_l1=bmd, bmd_l2=bmd)]).tolist() == [status]


def test_there_is_no_class_without_a_reference():
    with pytest.raises(InputError, match="S has no reference BMD"):
        bone_status(Subject("S"))


# -- inclusion

NOBODY = "P999"
CHANGES = [
    ({"age_years": 17.0}, "younger than 18 years"),
    ({"age_years": None}, "age not known"),
    ({"kvp": 100.0}, "tube voltage not 120 kVp"),
    ({"kvp": None}, "tube voltage not 120 kVp"),
    ({"bmd_l1": None, "bmd_individual": None}, "no reference BMD"),
    ({"l2_z_mm": None}, "the scan does not hold all of L2"),
    ({"l1_z_mm": None}, "the scan does not hold all of L2"),
    ({"findings": "implant"}, "implant or foreign material in L1 or L2"),
    ({"findings": "fracture"}, "fracture deformity of L1 or L2"),
    ({"findings": "degeneration"}, "severe degeneration"),
    ({"subject": NOBODY}, "no slices in the data set"),
    ({"age_years": 18.0}, None),
    ({"sex": None, "scanner": None, "study_date": None}, None),
]


@pytest.mark.parametrize(("changes", "reason"), CHANGES)
def test_each_reason_excludes(subject_set, changes, reason):
    data = DataSet(subject_set)
    assert exclusion(dataclasses.replace(data.subjects[0], **changes), data) == reason


def test_the_first_reason_counts(subject_set):
    """All reasons at once, taken away one by one in the order of REASONS."""
    data = DataSet(subject_set)
    cells = {
        "age_years": 17.0, "kvp": 100.0, "bmd_l1": None, "bmd_individual": None, "l2_z_mm": None,
        "findings": "degeneration;fracture;implant", "subject": NOBODY,
    }  # fmt: skip
    good = data.subjects[0]
    steps = [
        {}, {"age_years": None}, {"age_years": 60.0}, {"kvp": 120.0},
        {"bmd_l1": good.bmd_l1, "bmd_individual": good.bmd_individual}, {"l2_z_mm": good.l2_z_mm},
        {"findings": "degeneration;fracture"}, {"findings": "degeneration"}, {"findings": None},
    ]  # fmt: skip
    found = []
    for step in steps:
        cells |= step
        found.append(exclusion(dataclasses.replace(good, **cells), data))
    assert tuple(found) == REASONS


def test_the_counts_add_up(own_set):
    data = DataSet(own_set)
    changed = [dataclasses.replace(s, **c) for s, (c, _) in zip(data.subjects, CHANGES[:10], strict=False)]
    write_manifest([*changed, *data.subjects[10:], Subject(NOBODY)], own_set / "subjects.csv")
    data = DataSet(own_set)
    found = include(data)
    assert found.total == len(data.subjects) == 33
    assert [s.subject for s in found.included] == [s.subject for s in data.subjects[10:32]]
    assert sum(found.excluded.values()) + len(found.included) == found.total
    expected = {reason: 0 for _, reason in CHANGES[:10]}
    for _, reason in [*CHANGES[:10], (None, "age not known")]:
        expected[reason] += 1
    assert found.excluded == expected
    assert list(found.excluded) == [reason for reason in REASONS if reason in expected]
