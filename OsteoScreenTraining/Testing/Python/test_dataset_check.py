"""``osteoscreen dataset check``: wrong files and slices are found, nothing is in a good set, and how it is told."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from OsteoScreenLib.cli import main
from OsteoScreenLib.models import default_bundle
from OsteoScreenTrainingLib.datasets.checking import check_data_set
from OsteoScreenTrainingLib.datasets.checking.registry import CHECKS, Finding
from OsteoScreenTrainingLib.datasets.folder import DataSet
from OsteoScreenTrainingLib.datasets.manifest import Subject, read_manifest, write_manifest
from Testing.Python.checked_sets import TODAY, change_row, found_in, run_check, said_of
from Testing.Python.drawn_ct import write_ct


def _disc(centre, radius):
    y, x = np.mgrid[:64, :64]
    return np.hypot(y - centre[0], x - centre[1]) < radius


# -- a good one


def test_a_good_set_has_no_error(ct_set, capsys):
    code, said = run_check(capsys, ct_set)
    assert code == 0, said
    assert "0 errors, 0 warnings" in said
    assert "The slices have not been built yet" in said
    assert main(["dataset", "build", str(ct_set)]) == 0
    capsys.readouterr()
    code, said = run_check(capsys, ct_set)
    assert code == 0, said
    assert "3 subjects, 3 included, 6 outlined slices" in said


def test_ct_are_not_opened_again_once_the_slices_are_built(built_ct_set):
    report = check_data_set(built_ct_set, today=TODAY)
    assert report.evidence.inspections == {}
    assert len(report.evidence.measures) == 6


def test_a_simulated_cohort_is_good(cohort, capsys):
    code, said = run_check(capsys, cohort)
    assert code == 0, said


def test_workers_find_the_same(ct_set):
    (ct_set / "ct" / "P1.nrrd").unlink()
    assert list(found_in(ct_set)) == list(found_in(ct_set, workers=2))


# -- the files


FILES = {
    "ct gone": (lambda f: (f / "ct" / "P0.nrrd").unlink(), "P0 ct: There is no CT at ct/P0.nrrd"),
    "ct cut": (lambda f: _cut(f / "ct" / "P0.nrrd"), "P0 ct: The CT cannot be used|P0 masks: .*damaged"),
    "ct junk": (lambda f: (f / "ct" / "P0.nrrd").write_bytes(b"junk"), "P0 ct: The CT cannot be used"),
    "ct empty": (lambda f: (f / "ct" / "P0.nrrd").write_bytes(b""), "P0 ct: The CT cannot be used.*empty"),
    "masks gone": (lambda f: (f / "masks" / "P0.seg.nrrd").unlink(), "P0 masks: There are no outlines at"),
    "masks cut": (lambda f: _cut(f / "masks" / "P0.seg.nrrd"), "P0 masks: The outlines cannot be used"),
    "masks junk": (lambda f: (f / "masks" / "P0.seg.nrrd").write_bytes(b"x"), "P0 masks: The outlines cannot be used"),
    "another's masks": (lambda f: change_row(f, masks="masks/P1.seg.nrrd"), "P0 masks: P0 and P1 have the same file"),
    "another's ct": (lambda f: change_row(f, ct="ct/P1.nrrd"), "P0 ct: P0 and P1 have the same CT"),
    "masks elsewhere": (lambda f: _move(f / "masks" / "P0.seg.nrrd", 300.0), "P0 masks: .*does not lie on its centre"),
    "masks on another slice": (lambda f: change_row(f, l1_z_mm=_z(f, "l1_z_mm") - 6), "P0 masks: .*It lies at S"),
    "masks beside bone": (lambda f: _move(f / "masks" / "P0.seg.nrrd", 0.0, 45.0), "L1 does not lie on bone"),
    "L1 outside": (lambda f: change_row(f, l1_z_mm=99.0), "P0 l1_z_mm: L1 lies outside the scan"),
    "swapped": (
        lambda f: change_row(f, l1_z_mm=_z(f, "l2_z_mm"), l2_z_mm=_z(f, "l1_z_mm")), "L1 .*does not lie above L2",
    ),
    "no ct": (lambda f: change_row(f, ct=None), "P0 ct: There are outlines without a CT"),
}  # fmt: skip


def _cut(path):
    path.write_bytes(path.read_bytes()[: -2000 if path.stat().st_size > 4000 else -100])


def _z(ct_set, column):
    return getattr(read_manifest(ct_set / "subjects.csv")[0], column)


def _move(path, up_mm, left_mm=0.0):
    text = path.read_bytes()
    found = re.search(rb"space origin: \(([^)]*)\)", text)
    x, y, z = map(float, found[1].split(b","))
    path.write_bytes(text.replace(found[0], f"space origin: ({x + left_mm},{y},{z + up_mm})".encode()))


@pytest.mark.parametrize("kind", FILES)
def test_wrong_files_are_found(ct_set, kind):
    change, says = FILES[kind]
    change(ct_set)
    told = said_of(ct_set)
    assert any(re.search(says, item) for item in told), told


def test_a_mask_without_a_level_is_found(ct_set):
    path = ct_set / "masks" / "P0.seg.nrrd"
    path.write_bytes(path.read_bytes().replace(b"Name:=L2", b"Name:=L3").replace(b"SCT^14293000", b"SCT^36470004"))
    assert "P0 masks: The outlines hold no L2." in said_of(ct_set)


def test_a_mask_that_lost_its_placement_is_found(ct_set):
    ct = sitk.ReadImage(str(ct_set / "ct" / "P0.nrrd"))
    labels = np.zeros(ct.GetSize()[::-1], np.uint8)
    for n, k in enumerate((20, 4)):
        labels[k, 60:100, 60:100] = n + 20
    (ct_set / "lost").mkdir()
    for n, level in enumerate(("L1", "L2")):
        image = sitk.GetImageFromArray((labels == n + 20).astype(np.uint8))
        image.SetSpacing(ct.GetSpacing())
        sitk.WriteImage(image, str(ct_set / "lost" / f"{level}.nii.gz"))
    change_row(ct_set, masks="lost")
    assert any("its placement was lost" in item for item in said_of(ct_set))


# -- the slices and what they were cut from


def test_stale_slices_are_found(built_ct_set):
    change_row(built_ct_set, l1_z_mm=_z(built_ct_set, "l1_z_mm") - 2)
    path = built_ct_set / "masks" / "P1.seg.nrrd"
    path.write_bytes(path.read_bytes().replace(b"NameAutoGenerated:=0", b"NameAutoGenerated:=1"))
    write_ct(built_ct_set / "ct" / "P2.nrrd", seed=77)
    told = said_of(built_ct_set)
    assert [item for item in told if "were cut before" in item] == [
        "P0 ct: The slices were cut before l1_z_mm in subjects.csv changed.",
        "P1 masks: The slices were cut before the outlines changed.",
        "P2 ct: The slices were cut before the CT's files changed.",
    ]


def test_other_slices_have_another_fingerprint(built_ct_set, capsys):
    """So that predictions on the old ones are not taken for theirs, where only HU have changed."""
    before = DataSet(built_ct_set).slices.fingerprint()
    write_ct(built_ct_set / "ct" / "P2.nrrd", seed=77)
    shutil.rmtree(built_ct_set / "slices")
    assert main(["dataset", "build", str(built_ct_set)]) == 0
    assert DataSet(built_ct_set).slices.fingerprint() != before


def test_sources_that_are_gone_are_a_warning(built_ct_set):
    shutil.rmtree(built_ct_set / "ct")
    assert said_of(built_ct_set) == []
    assert any("no longer where the manifest says" in item for item in said_of(built_ct_set, "warning"))


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
def test_damaged_slices_are_found(built_ct_set, change, says):
    change(built_ct_set)
    told = said_of(built_ct_set)
    assert any("The slices cannot be used" in item and says in item for item in told), told


def test_a_subject_without_slices_is_found(built_ct_set, capsys):
    levels = write_ct(built_ct_set / "ct" / "P9.nrrd", seed=9)
    assert levels
    rows = read_manifest(built_ct_set / "subjects.csv")
    shutil.copy(built_ct_set / "masks" / "P0.seg.nrrd", built_ct_set / "masks" / "P9.seg.nrrd")
    more = dataclasses.replace(rows[0], subject="P9", ct="ct/P9.nrrd", masks="masks/P9.seg.nrrd", series_uid=None)
    write_manifest([*rows, more], built_ct_set / "subjects.csv")
    assert any(item.startswith("P9 ct: There are no slices") for item in said_of(built_ct_set, "warning"))
    assert said_of(built_ct_set) == []


def test_predictions_of_other_slices_or_bundles_are_found(cortical_set):
    data, bundle = DataSet(cortical_set), default_bundle("segmentation")
    if bundle is None:
        pytest.skip("no segmentation bundle ships with this checkout")

    def put(ct_set, sha256, slices, count=64):
        place = cortical_set / "predictions" / ct_set
        place.mkdir(parents=True, exist_ok=True)
        np.save(place / "masks.npy", np.zeros((count, data.slices.rows, data.slices.columns), np.uint8))
        document = {"bundle": "mine", "version": "1", "sha256": sha256, "slices": slices, "not_found": 2}
        (place / "predictions.json").write_text(json.dumps(document))

    put(bundle.sha256[:16], bundle.sha256, data.slices.fingerprint())
    assert [item for item in said_of(cortical_set, "warning") if "predictions" in item] == []
    put("0" * 16, bundle.sha256, data.slices.fingerprint())
    put("1" * 16, "1" * 64, "old")
    put("2" * 16, "2" * 64, data.slices.fingerprint(), count=3)
    (cortical_set / "predictions" / "3").mkdir()
    (cortical_set / "predictions" / "3" / "predictions.json").write_text("[]")
    assert any(
        "predictions/0000000000000000 says that another bundle drew it" in item for item in said_of(cortical_set)
    )
    warned = " ".join(said_of(cortical_set, "warning"))
    assert "predictions/1111111111111111 was drawn by mine on other slices" in warned
    assert "predictions/2222222222222222 was drawn by mine on other slices" in warned
    assert "predictions/3 is damaged" in warned
    assert "mine found no body on 2 slices" in warned
    assert any("is the bundle that screening uses" in item for item in said_of(cortical_set, "note"))


# -- what is printed and written


def test_the_exit_code_says_whether_there_is_an_error(ct_set, capsys, tmp_path):
    change_row(ct_set, mineral=None)
    assert run_check(capsys, ct_set)[0] == 0
    change_row(ct_set, bmd_individual=200.0)
    code, said = run_check(capsys, ct_set)
    assert code == 1
    assert re.search(r"error +P0 +bmd_individual +bmd_individual 200 contradicts", said)
    assert "1 errors, " in said
    assert run_check(capsys, tmp_path / "none")[0] == 4


def test_json_is_complete(ct_set, capsys):
    change_row(ct_set, bmd_individual=200.0)
    code, said = run_check(capsys, ct_set, "--json")
    document = json.loads(said)
    assert code == 1
    assert (document["schema"], document["subjects"], document["errors"]) == ("osteoscreen-check/1", 3, 1)
    finding = document["findings"][0]
    assert set(finding) == {"severity", "message", "advice", "subject", "column", "check"}
    assert (finding["check"], finding["subject"], finding["severity"]) == ("bmd_individual", "P0", "error")
    assert document["classes"]["all"] == {"normal": 1, "osteopenia": 2, "osteoporosis": 0}


def test_many_alike_are_shortened_on_the_console(cortical_set, capsys):
    code, said = run_check(capsys, cortical_set)
    assert code == 0
    assert said.count("The mineral of the BMD is missing") == 3
    assert "(and 29 more like this)" in " ".join(said.split())
    assert json.loads(run_check(capsys, cortical_set, "--json")[1])["warnings"] >= 32


def test_the_page_shows_it_all_and_asks_for_nothing(cortical_set, capsys, tmp_path):
    path = cortical_set / "slices" / "masks.npy"
    masks = np.load(path)
    masks[20] = _disc([32, 32], 6) * np.uint8(255)
    np.save(path, masks)
    hostile = '<script>alert("x")</script>\u202e$\\alpha$'
    change_row(cortical_set, 0, scanner=hostile, calibration_slope=0.7, calibration_intercept=1.0)
    change_row(cortical_set, 1, scanner=hostile)
    code, said = run_check(capsys, cortical_set, "-o", tmp_path / "out")
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
    assert run_check(capsys, cortical_set, "-o", tmp_path / "out")[0] == 1


def test_an_output_that_cannot_be_written_is_told(ct_set, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert main(["dataset", "check", str(ct_set), "-o", str(tmp_path / "file")]) == 2
    assert "not a folder" in capsys.readouterr().err


def test_a_check_is_added_by_a_function(ct_set, monkeypatch):
    def tuesdays(evidence):
        for subject in evidence.subjects:
            yield Finding("note", "It was a Tuesday.", "Nothing.", subject.subject, "study_date")

    monkeypatch.setitem(CHECKS, "tuesdays", tuesdays)
    assert [item.check for item in found_in(ct_set)].count("tuesdays") == 3


def test_every_finding_says_what_to_do(ct_set, cortical_set):
    (ct_set / "ct" / "P1.nrrd").unlink()
    for finding in (*found_in(ct_set), *found_in(cortical_set)):
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
