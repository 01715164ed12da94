"""`osteoscreen decide`: what a reader makes of a result, and that no decision is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from decided_study import contents
from followed_patient import write_calibration, write_scan

from OsteoScreenLib.cli import application, main
from OsteoScreenLib.reports.dicom.reading import read_measurement_report
from OsteoScreenLib.results_io import read_result, write_result

ENGINE = Path(application.__file__).resolve().parents[2]
BESIDE = (
    "report.pdf",
    "result.csv",
    "fhir.json",
    "seg.dcm",
    "sr.dcm",
    "capture-L1.dcm",
    "capture-L2.dcm",
    "report.dcm",
)


pytestmark = pytest.mark.usefixtures("nothing_installed_in_module", "one_core")


def page_of(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def edit_outline(path, name, rows):
    """Draw the outline of a level otherwise in a segmentation, where it lies: without its uppermost rows."""
    image = sitk.ReadImage(str(path))
    labels = sitk.GetArrayFromImage(image)
    value = {"L1": 1, "L2": 2}[name]
    k, used = np.argwhere(labels == value)[0][0], np.argwhere(labels == value)[:, 1]
    top = labels[k, : used.min() + rows]
    top[top == value] = 0
    edited = sitk.GetImageFromArray(labels)
    edited.CopyInformation(image)
    for key in image.GetMetaDataKeys():
        edited.SetMetaData(key, image.GetMetaData(key))
    sitk.WriteImage(edited, str(path), useCompression=True)


# -- accepting


def test_accepting_signs_with_who_and_when_and_confirms_the_levels(everything, capsys):
    before = read_result(everything / "result.json")
    before.levels = {name: replace(level, confirmed=False) for name, level in before.levels.items()}
    write_result(before, everything / "result.json")
    started = datetime.now(timezone.utc) - timedelta(seconds=1)
    assert main(["decide", str(everything), "--accept", "--by", "Dr. N. N.", "--comment", "Levels counted."]) == 0
    result = read_result(everything / "result.json")
    (decision,) = result.decisions
    assert (decision.decision, decision.by, decision.comment) == ("accepted", "Dr. N. N.", "Levels counted.")
    assert decision.corrections == []
    at = datetime.fromisoformat(decision.at)
    assert started <= at <= datetime.now(timezone.utc)
    assert all(level.confirmed for level in result.levels.values())
    assert (result.roi, result.densitometry, result.input) == (before.roi, before.densitometry, before.input)
    page = page_of(everything)
    assert f"Accepted by Dr. N. N. on {at:%Y-%m-%d %H:%M} +" in page
    assert "Levels counted." in page
    assert "Level not confirmed" not in page
    assert "Accepted by Dr. N. N." in capsys.readouterr().out


def test_a_signed_report_is_verified_by_the_reader_at_that_time(everything):
    assert pydicom.dcmread(everything / "sr.dcm").VerificationFlag == "UNVERIFIED"
    assert main(["decide", str(everything), "--accept", "--by", "Doe^Jane"]) == 0
    (decision,) = read_result(everything / "result.json").decisions
    report = pydicom.dcmread(everything / "sr.dcm")
    assert report.VerificationFlag == "VERIFIED"
    (observer,) = report.VerifyingObserverSequence
    assert str(observer.VerifyingObserverName) == "Doe^Jane"
    signed = f"{datetime.fromisoformat(decision.at):%Y%m%d%H%M%S}"
    assert str(observer.VerificationDateTime).startswith(signed)
    assert read_measurement_report(everything / "sr.dcm").decision == "accepted"


def test_what_lies_beside_the_result_is_written_again_and_nothing_else(everything, plain, capsys):
    (everything / "notes.txt").write_text("mine")
    before = contents(everything)
    assert main(["decide", str(everything), "--accept", "--by", "N. N."]) == 0
    after = contents(everything)
    assert set(after) == set(before) and set(BESIDE) <= set(after)
    assert after["notes.txt"] == b"mine"
    changed = {name for name in after if after[name] != before[name]}
    assert changed >= {"report.html", "result.json", *BESIDE}
    assert after["segmentation.seg.nrrd"] == before["segmentation.seg.nrrd"]
    assert "stay on the server as they were" in capsys.readouterr().out
    names = set(contents(plain))
    assert main(["decide", str(plain), "--accept", "--by", "N. N."]) == 0
    assert set(contents(plain)) == names == {"report.html", "segmentation.seg.nrrd", "result.json"}
    assert "server" not in capsys.readouterr().out


def test_a_probability_map_that_cannot_be_made_again_is_not_left_behind(everything, capsys):
    shutil.copy(everything / "seg.dcm", everything / "seg-probability.dcm")
    assert main(["decide", str(everything), "--accept", "--by", "N. N."]) == 0
    assert not (everything / "seg-probability.dcm").exists()
    assert "Not written: probability." in capsys.readouterr().err


def test_decisions_are_part_of_the_json_document(plain):
    assert main(["decide", str(plain), "--accept", "--by", "Größe"]) == 0
    document = json.loads((plain / "result.json").read_text(encoding="utf-8"))
    assert set(document["decisions"][0]) == {"decision", "by", "at", "corrections", "comment"}
    assert document["decisions"][0]["by"] == "Größe"


# -- discarding


def test_a_discarded_result_says_so_everywhere(everything):
    bmd = read_result(everything / "result.json").densitometry.bmd_mg_cm3
    assert 'class="figure"' in page_of(everything)
    assert main(["decide", str(everything), "--discard", "--by", "N. N.", "--comment", "Sclerosis."]) == 0
    result = read_result(everything / "result.json")
    assert result.decisions[-1].decision == "discarded"
    assert result.densitometry.bmd_mg_cm3 == bmd  # kept for the record
    page = page_of(everything)
    assert "<h1>Discarded:" in page and "do not use them" in page
    assert 'class="figure"' not in page and 'class="chip' not in page
    header, row = (everything / "result.csv").read_text(encoding="utf-8").splitlines()
    assert (header.split(",")[0], row.split(",")[0]) == ("status", "discarded")
    fhir = (everything / "fhir.json").read_text(encoding="utf-8")
    assert '"entered-in-error"' in fhir and '"final"' not in fhir
    report = pydicom.dcmread(everything / "sr.dcm")
    assert report.VerificationFlag == "UNVERIFIED"
    assert "Discarded" in str(report)
    if shutil.which("pdftotext"):
        sheet = subprocess.run(["pdftotext", everything / "report.pdf", "-"], capture_output=True, text=True).stdout
        assert "Discarded by N. N." in sheet and "do not use them" in sheet


def test_a_discarded_result_can_be_taken_back_and_the_history_stays(plain, capsys):
    words = ["decide", str(plain), "--by"]
    assert main([*words, "First", "--discard"]) == 0
    assert main([*words, "Second", "--accept"]) == 0
    assert "Before: Discarded by First" in capsys.readouterr().out
    decisions = read_result(plain / "result.json").decisions
    assert [(decision.decision, decision.by) for decision in decisions] == [
        ("discarded", "First"),
        ("accepted", "Second"),
    ]
    page = page_of(plain)
    assert "<h1>Discarded:" not in page
    assert page.index("Accepted by Second") < page.index("in force") < page.index("Discarded by First")


# -- correcting


def test_a_corrected_level_is_measured_anew(everything, patient, tmp_path):
    before = read_result(everything / "result.json")
    assert main(["decide", str(everything), "--correct", "--by", "N. N.", "--l2", "#7", *network(patient)]) == 0
    result = read_result(everything / "result.json")
    assert result.decisions[-1].corrections == ["level L2"]
    assert (result.levels["L2"].slice_index, result.levels["L2"].confirmed) == (7, True)
    assert result.roi["L1"] == before.roi["L1"]
    fresh = ["screen", str(patient / "ct"), "-o", str(tmp_path / "fresh"), "--l1", "#18", "--l2", "#7"]
    assert main([*fresh, *network(patient)]) == 0
    wanted = read_result(tmp_path / "fresh" / "result.json").roi["L2"]
    assert result.roi["L2"] == wanted != before.roi["L2"]
    assert "Corrected (level L2) by N. N." in page_of(everything)
    assert read_measurement_report(everything / "sr.dcm").levels["L2"].mean_hu == pytest.approx(wanted.mean_hu)
    # And the outlines belong to it, so that the next reader can go on.
    assert main(["decide", str(everything), "--accept", "--by", "Second"]) == 0


def network(patient):
    # A network of this size doubts itself; whether it should is not what is tested here.
    return ["--segmentation-model", str(patient / "outliner"), "--device", "cpu", "--force"]


def test_an_outline_that_was_corrected_where_it_lies_is_measured(everything, patient, tmp_path):
    before = read_result(everything / "result.json")
    outlines = everything / "segmentation.seg.nrrd"
    edit_outline(outlines, "L1", rows=4)
    shutil.copy(outlines, tmp_path / "edited.seg.nrrd")
    assert main(["decide", str(everything), "--correct", "--by", "N. N.", "--masks", str(outlines)]) == 0
    result = read_result(everything / "result.json")
    # L2 is in the file too, as it was.
    assert result.decisions[-1].corrections == ["outline L1"]
    assert result.roi["L2"] == before.roi["L2"]
    fresh = ["screen", str(patient / "ct"), "-o", str(tmp_path / "fresh"), "--masks", str(tmp_path / "edited.seg.nrrd")]
    assert main(fresh) == 0
    assert result.roi["L1"] == read_result(tmp_path / "fresh" / "result.json").roi["L1"]
    assert result.roi["L1"].outline_area_mm2 < 0.95 * before.roi["L1"].outline_area_mm2
    assert main(["decide", str(everything), "--accept", "--by", "Second"]) == 0


def test_the_dicom_segmentation_of_the_folder_is_read_before_it_is_replaced(everything, capsys):
    before = contents(everything)
    words = ["--l2", "#7", "--masks", str(everything / "seg.dcm"), "--by", "N. N."]
    assert main(["decide", str(everything), "--correct", *words]) == 2
    assert "hold no L2 on its slice #7" in capsys.readouterr().err
    assert contents(everything) == before


@pytest.mark.parametrize("decision", [["--accept"], ["--discard"], ["--correct", "--l2", "#7"]])
def test_an_outline_that_was_changed_and_not_given_is_refused(plain, patient, capsys, decision):
    edit_outline(plain / "segmentation.seg.nrrd", "L1", rows=2)
    before = contents(plain)
    assert main(["decide", str(plain), "--by", "N. N.", *decision]) == 4
    assert "L1 in segmentation.seg.nrrd is not the outline that was measured" in capsys.readouterr().err
    assert contents(plain) == before


def test_a_study_that_was_refused_can_be_corrected_and_not_signed(patient, tmp_path, capsys):
    ct = write_scan(tmp_path / "ct", ContrastBolusAgent="Iohexol")
    folder = tmp_path / "out"
    outlines = ["--masks", str(patient / "outlines.seg.nrrd")]
    assert main(["screen", str(ct), "-o", str(folder), *outlines]) == 3
    for decision in ("--accept", "--discard"):
        assert main(["decide", str(folder), decision, "--by", "N. N."]) == 2
        assert "refused" in capsys.readouterr().err
    correction = ["decide", str(folder), "--correct", "--by", "N. N.", *outlines]
    before = contents(folder)
    assert main(correction) == 3
    assert "so nothing was changed" in capsys.readouterr().err
    assert contents(folder) == before
    assert main([*correction, "--force"]) == 0
    result = read_result(folder / "result.json")
    assert (result.status, result.decisions[-1].corrections) == ("screened", ["outline L1", "outline L2"])


def test_a_calibration_file_has_to_come_back_with_a_correction(patient, tmp_path, capsys):
    folder, outlines, own = tmp_path / "out", patient / "outlines.seg.nrrd", patient / "calibration.json"
    words = ["--masks", str(outlines), "--calibration", str(own)]
    assert main(["screen", str(patient / "ct"), "-o", str(folder), *words]) == 0
    before = contents(folder)
    edited = shutil.copy(folder / "segmentation.seg.nrrd", tmp_path / "edited.seg.nrrd")
    edit_outline(edited, "L1", rows=3)
    correction = ["decide", str(folder), "--correct", "--by", "N. N.", "--masks", str(edited)]
    assert main(correction) == 2
    assert "--calibration" in capsys.readouterr().err
    other = write_calibration(tmp_path / "other.json", slope=0.8)
    assert main([*correction, "--calibration", str(other)]) == 2
    assert "another than the result was measured with" in capsys.readouterr().err
    assert contents(folder) == before
    assert main([*correction, "--calibration", str(own)]) == 0
    assert read_result(folder / "result.json").densitometry.calibration.source == "user"


# -- the scan


def test_another_scan_is_refused_and_a_moved_one_is_found_again(plain, patient, tmp_path, capsys):
    before = contents(plain)
    for another in ("edited", "other"):
        assert main(["decide", str(plain), "--accept", "--by", "N. N.", "--ct", str(patient / another)]) == 4
        assert "not the one that the result was made of" in capsys.readouterr().err
    result = read_result(plain / "result.json")
    result.input = replace(result.input, path=str(tmp_path / "gone"))
    write_result(result, plain / "result.json")
    assert main(["decide", str(plain), "--accept", "--by", "N. N."]) == 4
    assert "--ct" in capsys.readouterr().err
    assert contents(plain).keys() == before.keys()
    moved = shutil.copytree(patient / "ct", tmp_path / "moved")
    assert main(["decide", str(plain), "--accept", "--by", "N. N.", "--ct", str(moved)]) == 0
    assert main(["decide", str(plain), "--accept", "--by", "Second"]) == 0
    assert len(read_result(plain / "result.json").decisions) == 2


def test_a_scan_that_came_from_a_server_has_to_be_fetched(plain, capsys):
    result = read_result(plain / "result.json")
    result.input = replace(result.input, path="dicomweb:archive/studies/1.2.3/series/4.5.6")
    write_result(result, plain / "result.json")
    assert main(["decide", str(plain), "--accept", "--by", "N. N."]) == 4
    assert "osteoscreen pacs fetch" in capsys.readouterr().err


# -- wrong usage, hostile text


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["--accept"], 2, "--by"),
        (["--by", "N. N."], 2, "--accept"),
        (["--accept", "--discard", "--by", "N. N."], 2, "not allowed with"),
        (["--accept", "--by", " \t\u202e"], 2, "Nobody is named"),
        (["--accept", "--by", "N" * 65], 2, "64 characters"),
        (["--accept", "--by", "N. N.", "--l2", "#7"], 2, "--l2 belongs to --correct"),
        (["--discard", "--by", "N. N.", "--force"], 2, "--force belongs to --correct"),
        (["--correct", "--by", "N. N."], 2, "give --l1, --l2 or --masks"),
        (["--correct", "--by", "N. N.", "--l1", "auto"], 2, "give its slice"),
        (["--correct", "--by", "N. N.", "--l2", "#6"], 2, "Nothing differs"),
        (["--correct", "--by", "N. N.", "--l2", "#400"], 2, "L2"),
        (["--correct", "--by", "N. N.", "--masks", "nowhere.nrrd"], 2, "no segmentation"),
    ],
)
def test_what_makes_no_sense_ends_in_one_sentence_and_changes_nothing(plain, capsys, words, code, part):
    before = contents(plain)
    assert main(["decide", str(plain), *words]) == code
    shown = capsys.readouterr().err
    assert part in shown and shown.count("\n") == 1
    assert contents(plain) == before


def test_a_folder_without_a_result_is_named(tmp_path, capsys):
    assert main(["decide", str(tmp_path), "--accept", "--by", "N. N."]) == 2
    assert "holds no result.json" in capsys.readouterr().err
    (tmp_path / "result.json").write_text('{"schema": "something"}')
    assert main(["decide", str(tmp_path), "--accept", "--by", "N. N."]) == 4


def test_hostile_text_of_a_reader_stays_text(everything):
    name, comment = "<b>N</b>\n\u202eX", '=cmd|"/c calc"!A1\n<script>alert(1)</script>\x1b[2J' + "x" * 5000
    assert main(["decide", str(everything), "--accept", "--by", name, "--comment", comment]) == 0
    (decision,) = read_result(everything / "result.json").decisions
    assert decision.by == "<b>N</b> X"
    assert decision.comment.isprintable() and len(decision.comment) < 1010
    page = page_of(everything)
    assert "<script" not in page and "&lt;script&gt;" in page and "<b>" not in page
    assert "'=cmd" in (everything / "result.csv").read_text(encoding="utf-8")
    pydicom.dcmread(everything / "sr.dcm")
