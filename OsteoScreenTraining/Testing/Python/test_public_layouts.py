"""Where the public collections keep their files, and what their tables say; the files here are empty."""

from __future__ import annotations

import json

import numpy as np
import pytest

from OsteoScreenLib.ct import Geometry
from OsteoScreenLib.errors import InputError, UsageError
from OsteoScreenLib.levels import VertebraMask
from OsteoScreenTrainingLib.datasets.public.centroids import misplaced, read_centroids
from OsteoScreenTrainingLib.datasets.public.importers.ctspine1k import find_ctspine1k, read_split
from OsteoScreenTrainingLib.datasets.public.importers.totalsegmentator import find_totalsegmentator
from OsteoScreenTrainingLib.datasets.public.importers.verse import find_verse
from OsteoScreenTrainingLib.datasets.public.labels import VERSE, FilePerVertebra, GuessedFile, NumberedFile
from OsteoScreenTrainingLib.datasets.public.tables import manifest_cells, read_table


def _touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


# -- VerSe


def _verse(folder, part, stem, ending=".nii.gz"):
    subject = stem.split("_")[0]
    _touch(folder, f"{part}/rawdata/{subject}/{stem}_ct{ending}")
    _touch(folder, f"{part}/derivatives/{subject}/{stem}_seg-vert_msk{ending}")
    _touch(folder, f"{part}/derivatives/{subject}/{stem}_seg-subreg_ctd.json")


def test_verse_in_its_own_structure(tmp_path):
    _verse(tmp_path, "01_training", "sub-verse004")
    _verse(tmp_path, "dataset-verse20validation", "sub-verse500_dir-ax")
    _verse(tmp_path, "03_test", "sub-verse414_split-verse261")
    _verse(tmp_path, "03_test", "sub-verse414_split-verse262", ".nii")
    _touch(tmp_path, "01_training/derivatives/sub-verse004/sub-verse004_seg-vert_snp.png")
    _touch(tmp_path, "01_training/rawdata/sub-verse004/._sub-verse004_ct.nii.gz")
    found = find_verse(tmp_path)
    assert not found.problems
    assert {(case.name, case.subject, case.part) for case in found.cases} == {
        ("verse004", "verse004", "training"),
        ("verse500", "verse500", "validation"),
        ("verse414_split-verse261", "verse414", "test"),
        ("verse414_split-verse262", "verse414", "test"),
    }
    for case in found.cases:
        assert case.ct.is_file()
        assert isinstance(case.labels, NumberedFile)
        assert case.centroids is not None


def test_verse_in_the_challenges_structures(tmp_path):
    _touch(tmp_path, "training/verse011.nii.gz", "training/verse011_seg.nii.gz", "training/verse011_ctd.json")
    _touch(tmp_path, "test/verse600_CT-sag.nii.gz", "test/verse600_CT-sag_seg.nii.gz")
    _touch(tmp_path, "test/verse600_CT-sag_iso-ctd.json")
    found = find_verse(tmp_path)
    assert [(case.name, case.part, case.centroids) for case in found.cases] == [
        ("verse600", "test", None),
        ("verse011", "training", None),
    ]
    assert [case.ct.name for case in found.cases] == ["verse600_CT-sag.nii.gz", "verse011.nii.gz"]


def test_one_part_of_verse_alone_is_that_part(tmp_path):
    folder = tmp_path / "dataset-verse19test"
    _verse(tmp_path, "dataset-verse19test", "sub-verse020")
    assert [case.part for case in find_verse(folder).cases] == ["test"]


def test_a_scan_in_both_releases_is_taken_once_with_the_ct_beside_it(tmp_path):
    for release in ("dataset-verse19training", "dataset-verse20training"):
        _verse(tmp_path, release, "sub-verse004")
    (case,) = find_verse(tmp_path).cases
    assert "verse19" in str(case.ct)
    assert "verse19" in str(case.labels.path)


def test_verse_without_its_other_half(tmp_path):
    _touch(tmp_path, "01_training/derivatives/sub-verse004/sub-verse004_seg-vert_msk.nii.gz")
    _touch(tmp_path, "01_training/rawdata/sub-verse005/sub-verse005_ct.nii.gz")
    found = find_verse(tmp_path)
    assert not found.cases
    assert "no CT sub-verse004_ct.nii.gz; unpack rawdata" in found.problems["verse004"]
    assert "no vertebra mask beside it; unpack derivatives" in found.problems["verse005"]


def test_verses_metadata(tmp_path):
    _verse(tmp_path, "01_training", "sub-verse004")
    table = tmp_path / "participants.tsv"
    table.write_text("participant_id\tage\tsex\tBMD (mg/cm3)\nsub-verse004\t71\tF\t88.5\n", encoding="utf-8")
    (case,) = find_verse(tmp_path).cases
    assert case.cells["age_years"] == 71
    assert case.cells["sex"] == "F"
    assert case.cells["bmd_individual"] == 88.5
    assert "opportunistic" in case.cells["method"]
    assert "kvp" not in case.cells
    other = tmp_path / "of-its-own.csv"
    other.write_text("verse_id;gender;manufacturer;scanner model\n004;male;Philips;iCT 256\n", encoding="utf-8")
    (case,) = find_verse(tmp_path, other).cases
    assert dict(case.cells) == {"sex": "M", "scanner": "Philips iCT 256"}


# -- TotalSegmentator


def test_totalsegmentator_one_file_per_class(tmp_path):
    _touch(tmp_path, "s0011/ct.nii.gz", "s0011/segmentations/vertebrae_L1.nii.gz", "s0011/segmentations/liver.nii.gz")
    _touch(tmp_path, "s0011/segmentations/vertebrae_L2.nii.gz", "s0012/ct.nii.gz", "s0012/segmentations/liver.nii.gz")
    _touch(tmp_path, "s0012/segmentations/spleen.nii.gz", "s0011/segmentations/._vertebrae_L1.nii.gz")
    header = (
        "image_id;age;gender;institute;study_type;split;manufacturer;scanner_model;kvp;pathology;pathology_location"
    )
    row = "s0011;64.0;f;A;ct abdomen-pelvis;val;SIEMENS;SOMATOM;120.0;tumor;abdomen"
    (tmp_path / "meta.csv").write_text(f"\ufeff{header}\n{row}\n", encoding="utf-8")
    found = find_totalsegmentator(tmp_path)
    (case,) = found.cases
    assert isinstance(case.labels, FilePerVertebra)
    assert set(case.labels.files) == {"L1", "L2"}
    assert dict(case.cells) == {"age_years": 64, "sex": "F", "kvp": 120, "scanner": "SIEMENS SOMATOM"}
    assert case.part == "validation"
    assert case.notes == ("The study is: ct abdomen-pelvis.", "Its meta.csv names the pathology: tumor.")
    assert "s0012 has neither" in found.problems["s0012"]
    (tmp_path / "meta.csv").write_text(f"{header}\n{row.replace('tumor', 'no_pathology')}\n", encoding="utf-8")
    assert find_totalsegmentator(tmp_path).cases[0].notes == ("The study is: ct abdomen-pelvis.",)


def test_totalsegmentator_label_maps(tmp_path):
    _touch(tmp_path, "s1/ct.nii.gz", "s1/total.nii.gz", "s1/bodies.nii.gz", "s2/ct.nii", "s2/mine.nii.gz")
    found = find_totalsegmentator(tmp_path)
    assert [case.labels for case in found.cases] == [
        GuessedFile(tmp_path / "s1/total.nii.gz"), GuessedFile(tmp_path / "s2/mine.nii.gz")
    ]  # fmt: skip
    old = find_totalsegmentator(tmp_path, labels="total.nii.gz", numbering="v1")
    assert old.cases[0].labels.numbering[22] == "L1"
    assert old.problems == {"s2": "s2 has no total.nii.gz."}
    assert find_totalsegmentator(tmp_path, numbering="v2").cases[0].labels.numbering[31] == "L1"
    assert [case.name for case in find_totalsegmentator(tmp_path / "s1").cases] == ["s1"]


# -- CTSpine1K


def test_ctspine1k(tmp_path):
    _touch(tmp_path, "raw_data/volumes/MSD-T10/liver_0.nii.gz", "raw_data/labels/MSD-T10/liver_0_seg.nii.gz")
    _touch(tmp_path, "raw_data/volumes/COVID-19/volume-covid19-A-0377_ct.nii.gz")
    _touch(tmp_path, "raw_data/labels/COVID-19/volume-covid19-A-0377_ct_seg.nii.gz")
    _touch(tmp_path, "raw_data/volumes/COLONOG/1.3.6.1.4.1.9328.50.4.0001.nii.gz")
    _touch(tmp_path, "raw_data/labels/COLONOG/1.3.6.1.4.1.9328.50.4.0001_seg.nii.gz")
    _touch(tmp_path, "raw_data/labels/COLONOG/1.3.6.1.4.1.9328.50.4.0002_seg.nii.gz", "raw_data/volumes/HN_P001.nii.gz")
    (tmp_path / "data_split.txt").write_text(
        "trainset:\nliver_0.nii.gz\n\ntest_public:\n1.3.6.1.4.1.9328.50.4.0001.nii.gz\n\ntest_private:\n"
        "volume-covid19-A-0377_ct.nii.gzvolume-covid19-A-0377_ct.nii.gz\n",
        encoding="utf-8",
    )
    found = find_ctspine1k(tmp_path)
    assert {case.name: case.part for case in found.cases} == {
        "liver_0": "training",
        "1.3.6.1.4.1.9328.50.4.0001": "validation",
        "volume-covid19-A-0377_ct": "test",
    }
    assert next(case.notes for case in found.cases if case.name == "liver_0") == ("The CT is from MSD-T10.",)
    assert set(found.problems) == {"1.3.6.1.4.1.9328.50.4.0002", "HN_P001"}
    assert "NC" in found.collection.licence


def test_a_strange_split_file(tmp_path):
    path = tmp_path / "data_split.txt"
    path.write_text("Dear all,\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"is no data_split\.txt of CTSpine1K: it begins with 'Dear all,'"):
        read_split(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_split(tmp_path / "not_there.txt")


# -- folders and tables


@pytest.mark.parametrize("find", [find_verse, find_totalsegmentator, find_ctspine1k])
def test_empty_and_missing_folders(tmp_path, find):
    found = find(tmp_path)
    assert not found.cases
    assert not found.problems
    with pytest.raises(UsageError, match="There is no folder"):
        find(tmp_path / "missing")


def test_tables_that_are_none(tmp_path):
    path = tmp_path / "table.csv"
    with pytest.raises(UsageError, match="There is no table"):
        read_table(path)
    path.write_text("age,sex\n60,F\n", encoding="utf-8")
    with pytest.raises(InputError, match="no column that says whose a row is"):
        read_table(path)
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="save it as CSV"):
        read_table(path)
    sheet = tmp_path / "table.xlsx"
    sheet.touch()
    with pytest.raises(InputError, match="is a spreadsheet; save its sheet as CSV"):
        read_table(sheet)
    path.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="no column"):
        read_table(path)


def test_what_is_unknown_or_impossible_stays_empty():
    assert manifest_cells({"age": "n/a", "sex": "O", "kvp": "0", "manufacturer": "nan"}, "row") == {}
    assert manifest_cells({"age": "64,5", "gender": "m"}, "row") == {"age_years": 64.5, "sex": "M"}
    with pytest.raises(InputError, match="row: the BMD 'low' is none in mg/cm³"):
        manifest_cells({"bmd": "low"}, "row")
    with pytest.raises(InputError, match="the BMD '9000' is none"):
        manifest_cells({"bmd_l1": "9000"}, "row")


# -- centroids


def _geometry(downwards=False):
    """Return a grid of 40 slices, 50 rows and 60 columns, 1 x 2 x 3 mm."""
    matrix = np.diag([-1.0, -2.0, -3.0 if downwards else 3.0, 1.0])
    return Geometry((40, 50, 60), matrix)


def _file(path, direction, xyz, label=20):
    entries = [{"direction": list(direction)}, {"label": label, "X": xyz[0], "Y": xyz[1], "Z": xyz[2]}]
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("direction", "xyz"),
    [("LPS", (10, 20, 30)), ("RAS", (49, 29, 30)), ("PIR", (20, 9, 49)), ("SAL", (30, 29, 10)), ("LPI", (10, 20, 9))],
)
def test_centroids_in_every_orientation(tmp_path, direction, xyz):
    path = _file(tmp_path / "c.json", direction, xyz)
    assert read_centroids(path, _geometry())["L1"].tolist() == [10, 20, 30]
    assert read_centroids(path, _geometry(downwards=True))["L1"].tolist() == [10, 20, 9]


def test_a_label_that_lies_elsewhere_than_its_centroid(tmp_path):
    mask = np.zeros((40, 50, 60), bool)
    mask[27:34, 15:25, 5:15] = True
    masks = {"L1": VertebraMask("L1", mask, _geometry())}
    assert misplaced(_file(tmp_path / "c.json", "LPS", (10, 20, 30)), masks) == {}
    assert misplaced(_file(tmp_path / "c.json", "LPS", (10, 20, 30), label=21), masks) == {}
    assert "does not lie on its label" in misplaced(_file(tmp_path / "c.json", "RPS", (10, 20, 30)), masks)["L1"]
    assert "outside its mask's grid" in misplaced(_file(tmp_path / "c.json", "LPS", (10, 20, 99)), masks)["L1"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '[{"direction": ["P", "I", "Q"]}, {"label": 20, "X": 1, "Y": 1, "Z": 1}]', '[{"label": 1}]'],
)
def test_damaged_centroid_files(tmp_path, text):
    path = tmp_path / "c.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="is no centroid file of VerSe"):
        read_centroids(path, _geometry())


def test_verses_numbers():
    assert {VERSE[label] for label in (20, 21, 25, 28)} == {"L1", "L2", "L6", "T13"}
