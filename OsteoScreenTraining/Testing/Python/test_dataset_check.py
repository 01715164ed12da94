"""``osteoscreen dataset check``: each thing that real data sets get wrong is found, and nothing is in a good one."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import html
import json
import re
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from OsteoScreenLib.cli import main
from OsteoScreenLib.models import default_bundle
from OsteoScreenTrainingLib.datasets.checking import check_data_set
from OsteoScreenTrainingLib.datasets.checking.registry import CHECKS, Finding
from OsteoScreenTrainingLib.datasets.folder import DataSet
from OsteoScreenTrainingLib.datasets.manifest import COLUMNS, Subject, read_manifest, write_manifest
from OsteoScreenTrainingLib.datasets.splits import Split, save_split
from Testing.Python.drawn_ct import ellipse, feature, write_ct, write_geojson

TODAY = datetime.date(2024, 5, 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a data set of three subjects with CT and outlines, as a user makes it, not built yet; copy before use."""
    folder = tmp_path_factory.mktemp("made")
    for number in range(3):
        name = f"P{number}"
        levels = write_ct(folder / "set" / "ct" / f"{name}.nrrd", seed=number)
        words = ["--l1", levels["L1"], "--l2", levels["L2"], "--subject", name, "-o", str(folder / "slices")]
        assert main(["dataset", "export-slices", str(folder / "set" / "ct" / f"{name}.nrrd"), *words]) == 0
        for level in levels:
            write_geojson(folder / "drawn" / f"{name}_{level}.geojson", feature(ellipse(level), level))
    words = ["--slices", str(folder / "slices"), "-o", str(folder / "set")]
    assert main(["dataset", "import-qupath", str(folder / "drawn"), *words]) == 0
    known = {"age_years": 61.0, "sex": "F", "kvp": 120.0, "study_date": datetime.date(2022, 3, 1), "mineral": "CaHA",
             "method": "QCT", "scanner": "ONE"}  # fmt: skip
    rows = [
        dataclasses.replace(row, **known, bmd_l1=112.0 + n, bmd_l2=108.0 + n, bmd_individual=110.0 + n)
        for n, row in enumerate(read_manifest(folder / "set" / "subjects.csv"))
    ]
    write_manifest(rows, folder / "set" / "subjects.csv")
    return folder / "set"


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "set")


@pytest.fixture
def built(folder, capsys):
    assert main(["dataset", "build", str(folder)]) == 0
    capsys.readouterr()
    return folder


@pytest.fixture
def own_set(subject_set, tmp_path):
    """Return a data set of 32 subjects whose bodies have a cortex, with a random split."""
    folder = shutil.copytree(subject_set, tmp_path / "own")
    images, masks = (np.load(folder / "slices" / f"{name}.npy") for name in ("images", "masks"))
    inside = masks > 127
    images[ndimage.binary_dilation(inside, np.ones((1, 3, 3)), iterations=2) & ~inside] = 450
    np.save(folder / "slices" / "images.npy", images)
    return folder


def _check(capsys, folder, *words):
    code = main(["dataset", "check", str(folder), *map(str, words)])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out


def _findings(folder, **values):
    return check_data_set(folder, today=TODAY, **values).findings


def _told(folder, severity="error"):
    """Return what is said of a severity, as "subject column: message"."""
    return [f"{f.subject} {f.column}: {f.message}" for f in _findings(folder) if f.severity == severity]


def _change(folder, number=0, **cells):
    rows = read_manifest(folder / "subjects.csv")
    rows[number] = dataclasses.replace(rows[number], **cells)
    write_manifest(rows, folder / "subjects.csv")


def _cells(folder, **cells):
    """Write cells of the first row as text, whatever they are."""
    path = folder / "subjects.csv"
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows[0] |= cells
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


# -- a good one


def test_a_good_set_has_no_error(folder, capsys):
    code, said = _check(capsys, folder)
    assert code == 0, said
    assert "0 errors, 0 warnings" in said
    assert "The slices have not been built yet" in said
    assert main(["dataset", "build", str(folder)]) == 0
    capsys.readouterr()
    code, said = _check(capsys, folder)
    assert code == 0, said
    assert "3 subjects, 3 included, 6 outlined slices" in said


def test_ct_are_not_opened_again_once_the_slices_are_built(built):
    report = check_data_set(built, today=TODAY)
    assert report.evidence.inspections == {}
    assert len(report.evidence.measures) == 6


def test_a_simulated_cohort_is_good(cohort, capsys):
    code, said = _check(capsys, cohort)
    assert code == 0, said


def test_workers_find_the_same(folder):
    (folder / "ct" / "P1.nrrd").unlink()
    assert list(_findings(folder)) == list(_findings(folder, workers=2))


# -- the files


FILES = {
    "ct gone": (lambda f: (f / "ct" / "P0.nrrd").unlink(), "P0 ct: There is no CT at ct/P0.nrrd"),
    "ct cut": (lambda f: _cut(f / "ct" / "P0.nrrd"), "P0 ct: The CT cannot be used|P0 masks: .*damaged"),
    "ct junk": (lambda f: (f / "ct" / "P0.nrrd").write_bytes(b"junk"), "P0 ct: The CT cannot be used"),
    "ct empty": (lambda f: (f / "ct" / "P0.nrrd").write_bytes(b""), "P0 ct: The CT cannot be used.*empty"),
    "masks gone": (lambda f: (f / "masks" / "P0.seg.nrrd").unlink(), "P0 masks: There are no outlines at"),
    "masks cut": (lambda f: _cut(f / "masks" / "P0.seg.nrrd"), "P0 masks: The outlines cannot be used"),
    "masks junk": (lambda f: (f / "masks" / "P0.seg.nrrd").write_bytes(b"x"), "P0 masks: The outlines cannot be used"),
    "another's masks": (lambda f: _change(f, masks="masks/P1.seg.nrrd"), "P0 masks: P0 and P1 have the same file"),
    "another's ct": (lambda f: _change(f, ct="ct/P1.nrrd"), "P0 ct: P0 and P1 have the same CT"),
    "masks elsewhere": (lambda f: _move(f / "masks" / "P0.seg.nrrd", 300.0), "P0 masks: .*does not lie on its centre"),
    "masks on another slice": (lambda f: _change(f, l1_z_mm=_z(f, "l1_z_mm") - 6), "P0 masks: .*It lies at S"),
    "masks beside bone": (lambda f: _move(f / "masks" / "P0.seg.nrrd", 0.0, 45.0), "L1 does not lie on bone"),
    "L1 outside": (lambda f: _change(f, l1_z_mm=99.0), "P0 l1_z_mm: L1 lies outside the scan"),
    "swapped": (
        lambda f: _change(f, l1_z_mm=_z(f, "l2_z_mm"), l2_z_mm=_z(f, "l1_z_mm")), "L1 .*does not lie above L2",
    ),
    "no ct": (lambda f: _change(f, ct=None), "P0 ct: There are outlines without a CT"),
}  # fmt: skip


def _cut(path):
    path.write_bytes(path.read_bytes()[: -2000 if path.stat().st_size > 4000 else -100])


def _z(folder, column):
    return getattr(read_manifest(folder / "subjects.csv")[0], column)


def _move(path, up_mm, left_mm=0.0):
    text = path.read_bytes()
    found = re.search(rb"space origin: \(([^)]*)\)", text)
    x, y, z = map(float, found[1].split(b","))
    path.write_bytes(text.replace(found[0], f"space origin: ({x + left_mm},{y},{z + up_mm})".encode()))


@pytest.mark.parametrize("kind", FILES)
def test_wrong_files_are_found(folder, kind):
    change, says = FILES[kind]
    change(folder)
    told = _told(folder)
    assert any(re.search(says, item) for item in told), told


def test_a_mask_without_a_level_is_found(folder):
    path = folder / "masks" / "P0.seg.nrrd"
    path.write_bytes(path.read_bytes().replace(b"Name:=L2", b"Name:=L3").replace(b"SCT^14293000", b"SCT^36470004"))
    assert "P0 masks: The outlines hold no L2." in _told(folder)


def test_a_mask_that_lost_its_placement_is_found(folder):
    ct = sitk.ReadImage(str(folder / "ct" / "P0.nrrd"))
    labels = np.zeros(ct.GetSize()[::-1], np.uint8)
    for n, k in enumerate((20, 4)):
        labels[k, 60:100, 60:100] = n + 20
    (folder / "lost").mkdir()
    for n, level in enumerate(("L1", "L2")):
        image = sitk.GetImageFromArray((labels == n + 20).astype(np.uint8))
        image.SetSpacing(ct.GetSpacing())
        sitk.WriteImage(image, str(folder / "lost" / f"{level}.nii.gz"))
    _change(folder, masks="lost")
    assert any("its placement was lost" in item for item in _told(folder))


# -- the slices and what they were cut from


def test_stale_slices_are_found(built):
    _change(built, l1_z_mm=_z(built, "l1_z_mm") - 2)
    path = built / "masks" / "P1.seg.nrrd"
    path.write_bytes(path.read_bytes().replace(b"NameAutoGenerated:=0", b"NameAutoGenerated:=1"))
    write_ct(built / "ct" / "P2.nrrd", seed=77)
    told = _told(built)
    assert [item for item in told if "were cut before" in item] == [
        "P0 ct: The slices were cut before l1_z_mm in subjects.csv changed.",
        "P1 masks: The slices were cut before the outlines changed.",
        "P2 ct: The slices were cut before the CT's files changed.",
    ]


def test_other_slices_have_another_fingerprint(built, capsys):
    """So that predictions on the old ones are not taken for theirs, where only HU have changed."""
    before = DataSet(built).slices.fingerprint()
    write_ct(built / "ct" / "P2.nrrd", seed=77)
    shutil.rmtree(built / "slices")
    assert main(["dataset", "build", str(built)]) == 0
    assert DataSet(built).slices.fingerprint() != before


def test_sources_that_are_gone_are_a_warning(built):
    shutil.rmtree(built / "ct")
    assert _told(built) == []
    assert any("no longer where the manifest says" in item for item in _told(built, "warning"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: _cut(f / "slices" / "images.npy"), "images.npy is cut short"),
        (lambda f: (f / "slices" / "slices.csv").unlink(), "slices.csv cannot be read"),
        (lambda f: (f / "slices" / "sources.json").write_text("{"), "sources.json is damaged"),
        (lambda f: (f / "dataset.json").unlink(), "not a finished data set"),
        (lambda f: write_manifest(read_manifest(f / "subjects.csv")[1:], f / "subjects.csv"), "not in subjects.csv"),
    ],
)
def test_damaged_slices_are_found(built, change, says):
    change(built)
    told = _told(built)
    assert any("The slices cannot be used" in item and says in item for item in told), told


def test_a_subject_without_slices_is_found(built, capsys):
    levels = write_ct(built / "ct" / "P9.nrrd", seed=9)
    assert levels
    rows = read_manifest(built / "subjects.csv")
    shutil.copy(built / "masks" / "P0.seg.nrrd", built / "masks" / "P9.seg.nrrd")
    more = dataclasses.replace(rows[0], subject="P9", ct="ct/P9.nrrd", masks="masks/P9.seg.nrrd", series_uid=None)
    write_manifest([*rows, more], built / "subjects.csv")
    assert any(item.startswith("P9 ct: There are no slices") for item in _told(built, "warning"))
    assert _told(built) == []


def test_predictions_of_other_slices_or_bundles_are_found(own_set):
    data, bundle = DataSet(own_set), default_bundle("segmentation")
    if bundle is None:
        pytest.skip("no segmentation bundle ships with this checkout")

    def put(folder, sha256, slices, count=64):
        place = own_set / "predictions" / folder
        place.mkdir(parents=True, exist_ok=True)
        np.save(place / "masks.npy", np.zeros((count, data.slices.rows, data.slices.columns), np.uint8))
        document = {"bundle": "mine", "version": "1", "sha256": sha256, "slices": slices, "not_found": 2}
        (place / "predictions.json").write_text(json.dumps(document))

    put(bundle.sha256[:16], bundle.sha256, data.slices.fingerprint())
    assert [item for item in _told(own_set, "warning") if "predictions" in item] == []
    put("0" * 16, bundle.sha256, data.slices.fingerprint())
    put("1" * 16, "1" * 64, "old")
    put("2" * 16, "2" * 64, data.slices.fingerprint(), count=3)
    (own_set / "predictions" / "3").mkdir()
    (own_set / "predictions" / "3" / "predictions.json").write_text("[]")
    assert any("predictions/0000000000000000 says that another bundle drew it" in item for item in _told(own_set))
    warned = " ".join(_told(own_set, "warning"))
    assert "predictions/1111111111111111 was drawn by mine on other slices" in warned
    assert "predictions/2222222222222222 was drawn by mine on other slices" in warned
    assert "predictions/3 is damaged" in warned
    assert "mine found no body on 2 slices" in warned
    assert any("is the bundle that screening uses" in item for item in _told(own_set, "note"))


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
    ({"bmd_l1": "0.112", "bmd_l2": "0.108", "bmd_individual": "0.11"}, "P0 bmd_l1: bmd_l1 0.112 looks like g/cm3: the"),
    ({"bmd_l1": "-2.5", "bmd_l2": "-2.5", "bmd_individual": ""}, "P0 bmd_l2: bmd_l2 -2.5 looks like a T-score: the"),
    ({"subject": "P1"}, "P1 subject: P1 is in lines 2, 3"),
    ({"subject": "Doe^John"}, "line 2 subject: Line 2: subject: 'Doe"),
    ({"subject": ""}, "line 2 subject: Line 2: the cell of the column subject is empty"),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "says"), CELLS, ids=["-".join(next(iter(cells.items()))) for cells, _ in CELLS])
def test_wrong_cells_are_errors(built, cells, says):
    _cells(built, **cells)
    told = _told(built)
    assert any(item.startswith(says) for item in told), told


def test_all_that_is_wrong_is_told_at_once(folder):
    _cells(folder, age_years="x", sex="x", kvp="x", bmd_individual="140")
    told = _told(folder)
    assert len([item for item in told if "Line 2" in item]) == 3
    assert any("contradicts" in item for item in told)


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ({"mineral": None}, "P0 mineral: The mineral of the BMD is missing"),
        ({"mineral": "K2HPO4"}, "None mineral: The BMD are of two minerals: 2 in CaHA and 1 in K2HPO4"),
        ({"bmd_l1": 330.0, "bmd_individual": None}, "P0 bmd_l1: bmd_l1 330 mg/cm3 lies outside"),
        ({"bmd_l1": 140.0, "bmd_l2": 80.0}, "P0 bmd_l2: BMD of L1 and L2 differ by 60"),
        ({"bmd_l1": 230.0, "bmd_l2": 228.0, "bmd_individual": 229.0}, "P0 bmd_l1: bmd_l1 is 230 mg/cm3, and the slice"),
        ({"bmd_l1": None, "bmd_individual": None}, "P0 bmd_individual: One level has a BMD"),
        ({"age_years": 107.0}, "P0 age_years: An age of 107 years is rare"),
        ({"age_years": None}, "None age_years: 1 subject (P0) is without age_years"),
        ({"kvp": None}, "None kvp: 1 subject (P0) is without kvp"),
        ({"study_date": datetime.date(1961, 4, 2)}, "P0 study_date: The study date 1961-04-02 is older"),
        ({"calibration_slope": 1.7, "calibration_intercept": 0.0}, "P0 calibration_slope: A calibration slope of 1.7"),
        ({"calibration_slope": 0.7, "calibration_intercept": 9.0}, "None calibration_slope: 2 of 3 scans of the"),
    ],
)  # fmt: skip
def test_odd_cells_are_warnings(built, cells, says):
    _change(built, **cells)
    told = _told(built, "warning")
    assert any(item.startswith(says) for item in told), told


def test_a_whole_column_of_another_unit_is_an_error(built):
    rows = read_manifest(built / "subjects.csv")
    other = [dataclasses.replace(r, bmd_l1=r.bmd_l1 / 1000, bmd_l2=None, bmd_individual=None) for r in rows]
    write_manifest(other, built / "subjects.csv")
    assert any("3 of 3 BMD lie within 8 of 0" in item for item in _told(built))


def test_a_header_that_contradicts_is_found(cohort, tmp_path):
    folder = shutil.copytree(cohort, tmp_path / "c")
    row = next(n for n, subject in enumerate(read_manifest(folder / "subjects.csv")) if subject.ct)
    subject = read_manifest(folder / "subjects.csv")[row]
    shutil.rmtree(folder / "slices")
    _change(folder, row, sex="F" if subject.sex == "M" else "M", age_years=subject.age_years + 9, kvp=100.0)
    told = _told(folder, "warning")
    for column in ("sex", "age_years", "kvp"):
        assert any(item.startswith(f"{subject.subject} {column}: The manifest says {column}") for item in told), told


def test_a_name_that_is_a_number_of_the_hospital_is_found(folder):
    _change(folder, subject="20931145")
    assert any("looks like a patient's or an accession number" in item for item in _told(folder, "warning"))


def test_the_same_pixels_under_two_names_are_found(folder):
    shutil.copy(folder / "ct" / "P0.nrrd", folder / "ct" / "P1.nrrd")
    assert any("P0 and P1 have a slice with the same pixels" in item for item in _told(folder))


def test_the_same_series_under_two_names_is_found(own_set):
    for number in (3, 7):
        _change(own_set, number, series_uid="1.2.3")
    assert any("P004 and P008 have the same series" in item for item in _told(own_set))


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
def test_strange_outlines_are_found(own_set, kind):
    make, severity, says = SHAPES[kind]
    path = own_set / "slices" / "masks.npy"
    masks = np.load(path)
    masks[0] = make([32, 32]) * np.uint8(255)
    np.save(path, masks)
    told = _told(own_set, severity)
    assert any(re.search(says, item) and item.startswith("P001 masks: The outline of L1") for item in told), told


def test_an_empty_outline_is_found(own_set):
    path = own_set / "slices" / "masks.npy"
    masks = np.load(path)
    masks[1] = 0
    np.save(path, masks)
    assert any("The outline of L2 in the slices is empty" in item for item in _told(own_set))


def test_the_same_outline_twice_is_found(own_set):
    path = own_set / "slices" / "masks.npy"
    masks = np.load(path)
    masks[1] = masks[0]
    np.save(path, masks)
    assert any("are the same, pixel for pixel" in item for item in _told(own_set, "warning"))


# -- the splits


def test_a_leak_between_parts_is_found(own_set):
    data = DataSet(own_set)
    path = own_set / "slices" / "images.npy"
    images = np.load(path)
    part = {name: part for part, names in json.loads((own_set / "splits" / "random.json").read_text())["parts"].items()
            for name in names}  # fmt: skip
    one, two = (next(name for name, where in part.items() if where == wanted) for wanted in ("training", "test"))
    images[data.slice_index(one, "L1")] = images[data.slice_index(two, "L1")]
    np.save(path, images)
    told = _told(own_set)
    assert any("The split random leaks" in item and one in item and two in item for item in told), told


def test_a_split_that_is_damaged_or_old_is_found(own_set):
    (own_set / "splits" / "bad.json").write_text("{")
    assert any("bad.json is no split" in item for item in _told(own_set))
    _change(own_set, 0, age_years=12.0)
    assert any("has 1 subjects who are now excluded" in item for item in _told(own_set, "warning"))


def test_a_temporal_split_that_is_none_any_more_is_found(own_set):
    data = DataSet(own_set)
    names = [subject.subject for subject in data.subjects]
    save_split(
        data, "dates", Split("temporal", 1, {"training": names[12:], "validation": names[6:12], "test": names[:6]})
    )
    assert any("temporal split dates tests on scans that are older" in item for item in _told(own_set))


def test_a_part_without_a_class_is_found(own_set):
    data = DataSet(own_set)
    normal = [subject.subject for subject in data.subjects if subject.bmd > 120]
    rest = [subject.subject for subject in data.subjects if subject.bmd <= 120]
    save_split(
        data, "odd", Split("random", 1, {"training": normal[2:], "validation": normal[:1], "test": [normal[1], *rest]})
    )
    told = _told(own_set)
    assert any("The training part of the split odd has no subject with osteoporosis" in item for item in told)
    assert any("makes up" in item for item in _told(own_set, "note"))


def test_a_class_that_is_missing_or_rare_is_told(built):
    assert "None None: No included subject has normal." in _told(built, "warning")
    for number in range(3):
        _change(built, number, kvp=100.0)
    assert any("leave no subject" in item for item in _told(built, "warning"))


# -- what is printed and written


def test_the_exit_code_says_whether_there_is_an_error(folder, capsys, tmp_path):
    _change(folder, mineral=None)
    assert _check(capsys, folder)[0] == 0
    _change(folder, bmd_individual=200.0)
    code, said = _check(capsys, folder)
    assert code == 1
    assert re.search(r"error +P0 +bmd_individual +bmd_individual 200 contradicts", said)
    assert "1 errors, " in said
    assert _check(capsys, tmp_path / "none")[0] == 4


def test_json_is_complete(folder, capsys):
    _change(folder, bmd_individual=200.0)
    code, said = _check(capsys, folder, "--json")
    document = json.loads(said)
    assert code == 1
    assert (document["schema"], document["subjects"], document["errors"]) == ("osteoscreen-check/1", 3, 1)
    finding = document["findings"][0]
    assert set(finding) == {"severity", "message", "advice", "subject", "column", "check"}
    assert (finding["check"], finding["subject"], finding["severity"]) == ("bmd_individual", "P0", "error")
    assert document["classes"]["all"] == {"normal": 1, "osteopenia": 2, "osteoporosis": 0}


def test_many_alike_are_shortened_on_the_console(own_set, capsys):
    code, said = _check(capsys, own_set)
    assert code == 0
    assert said.count("The mineral of the BMD is missing") == 3
    assert "(and 29 more like this)" in " ".join(said.split())
    assert json.loads(_check(capsys, own_set, "--json")[1])["warnings"] >= 32


def test_the_page_shows_it_all_and_asks_for_nothing(own_set, capsys, tmp_path):
    path = own_set / "slices" / "masks.npy"
    masks = np.load(path)
    masks[20] = _disc([32, 32], 6) * np.uint8(255)
    np.save(path, masks)
    hostile = '<script>alert("x")</script>\u202e$\\alpha$'
    _change(own_set, 0, scanner=hostile, calibration_slope=0.7, calibration_intercept=1.0)
    _change(own_set, 1, scanner=hostile)
    code, said = _check(capsys, own_set, "-o", tmp_path / "out")
    assert code == 1
    assert str(tmp_path / "out" / "index.html") in said
    assert sorted(item.name for item in (tmp_path / "out").iterdir()) == ["check.json", "index.html"]
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in html.unescape(page)
    assert "<script" not in page and "\u202e" not in page
    assert html.escape("<script>") in page
    assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!data:|#)[a-z]+:""", page)
    sheet = re.findall(r'aria-label="(L\d) of (P\d+) with its outline"', page)
    assert sheet[0] == ("L1", "P011")
    assert len(sheet) == 64
    assert "temporal" not in page and "random: training" in page
    assert json.loads((tmp_path / "out" / "check.json").read_text(encoding="utf-8"))["errors"] == 1
    assert _check(capsys, own_set, "-o", tmp_path / "out")[0] == 1


def test_an_output_that_cannot_be_written_is_told(folder, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert main(["dataset", "check", str(folder), "-o", str(tmp_path / "file")]) == 2
    assert "not a folder" in capsys.readouterr().err


def test_a_check_is_added_by_a_function(folder, monkeypatch):
    def tuesdays(evidence):
        for subject in evidence.subjects:
            yield Finding("note", "It was a Tuesday.", "Nothing.", subject.subject, "study_date")

    monkeypatch.setitem(CHECKS, "tuesdays", tuesdays)
    assert [item.check for item in _findings(folder)].count("tuesdays") == 3


def test_every_finding_says_what_to_do(folder, own_set):
    (folder / "ct" / "P1.nrrd").unlink()
    for finding in (*_findings(folder), *_findings(own_set)):
        assert finding.message.strip() and finding.advice.endswith("."), finding
        assert finding.message.rstrip()[-1] in ".)", finding


def test_an_unreadable_manifest_is_told(tmp_path, capsys):
    (tmp_path / "subjects.csv").write_text("name,age\nx,1\n")
    assert main(["dataset", "check", str(tmp_path)]) == 4
    assert "has no column 'subject'" in capsys.readouterr().err
    write_manifest([], tmp_path / "subjects.csv")
    assert main(["dataset", "check", str(tmp_path)]) == 4
    write_manifest([Subject("S1")], tmp_path / "subjects.csv")
    assert main(["dataset", "check", str(tmp_path)]) == 0
