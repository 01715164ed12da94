"""`screen --write` and `--with-identity`: what is asked for lies there, what cannot is said, and who is named where."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from phantom_ct import make_phantom
from pydicom import dcmread
from written_study import WrittenStudy, write_study

from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.reports.kinds import OUTPUT_KINDS, chosen_kinds, dicom_kinds, groups, kinds_in, own_files
from OsteoScreenLib.request import LEVEL_NAMES
from OsteoScreenLib.results_io import read_result

ALWAYS = {"report.html", "segmentation.seg.nrrd", "result.json"}
NAME, NUMBER = "Findme^Patricia", "NUMBER-4711"
SECRETS = {"FINDME", "PATRICIA", NUMBER, "19600615", "1960-06-15", "ACC-0815", "2024-06-15", "20240615"}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> WrittenStudy:
    return write_study(tmp_path_factory.mktemp("study"), PatientName=NAME, PatientID=NUMBER, AccessionNumber="ACC-0815")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def secrets_in(text: str) -> set[str]:
    return {secret for secret in SECRETS if secret in text.upper()}


def pdf_text(path: Path) -> str:
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext on this machine (Debian package poppler-utils)")
    return subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True).stdout


# -- the names


def test_kinds_are_named_singly_and_in_groups() -> None:
    assert chosen_kinds([]) == []
    assert chosen_kinds(["sr, PDF", "pdf,"]) == ["pdf", "sr"]
    assert chosen_kinds(["dicom"]) == ["seg", "sr", "capture", "dicom-pdf"]
    assert set(chosen_kinds(["all"])) == set(OUTPUT_KINDS) - {"probability"}
    assert chosen_kinds(["probability"]) == ["seg", "probability"]
    with pytest.raises(UsageError, match="'docx'; choose among csv, fhir, pdf, seg"):
        chosen_kinds(["pdf,docx"])
    assert groups()["dicom"] == ("seg", "sr", "capture", "dicom-pdf")
    assert dicom_kinds() == {*groups()["dicom"], "probability"}
    assert OUTPUT_KINDS["capture"].files == tuple(f"capture-{name}.dcm" for name in LEVEL_NAMES)


def test_an_unknown_kind_is_told_before_anything_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = WrittenStudy(tmp_path / "none", tmp_path / "none", tmp_path / "none")
    assert study.screen(tmp_path / "out", "--write", "docx") == 2
    assert "choose among csv" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# -- what lies there


def test_everything_that_is_asked_for_is_written(
    study: WrittenStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study.screen(tmp_path, "--write", "all", "--write=probability") == 0
    assert names(tmp_path) == set(own_files())
    assert kinds_in(tmp_path) == list(OUTPUT_KINDS)
    printed = capsys.readouterr()
    assert "Also written: csv, fhir, pdf, seg, probability, sr, capture, dicom-pdf" in printed.out
    assert "osteoscreen:" not in printed.err
    series = dcmread(next(study.series.iterdir()))
    made = {path.name: dcmread(path) for path in tmp_path.glob("*.dcm")}
    assert {item.StudyInstanceUID for item in made.values()} == {series.StudyInstanceUID}
    modalities = {name: item.Modality for name, item in made.items()}
    assert modalities["seg.dcm"] == modalities["seg-probability.dcm"] == "SEG"
    assert (modalities["sr.dcm"], modalities["report.dcm"]) == ("SR", "DOC")
    # One call made them: the report of measurements refers to the segmentation that lies beside it.
    assert made["seg.dcm"].SOPInstanceUID in str(made["sr.dcm"])
    sheet = (tmp_path / "report.pdf").read_bytes()
    assert bytes(made["report.dcm"].EncapsulatedDocument)[: len(sheet)] == sheet
    fhir = json.loads((tmp_path / "fhir.json").read_text())
    result = read_result(tmp_path / "result.json")
    assert fhir["entry"][0]["resource"]["identifier"][0]["value"] == result.input.sha256
    with (tmp_path / "result.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert result.densitometry is not None
    assert float(row["bmd_mg_cm3"]) == pytest.approx(result.densitometry.bmd_mg_cm3["individual"], abs=1e-3)


def test_nothing_is_written_unasked_and_outputs_of_an_earlier_run_do_not_stay(
    study: WrittenStudy, tmp_path: Path
) -> None:
    assert study.screen(tmp_path, "--write", "pdf,sr") == 0
    (tmp_path / "notes.pdf").write_text("the user's own")
    assert names(tmp_path) == ALWAYS | {"report.pdf", "sr.dcm", "notes.pdf"}
    assert study.screen(tmp_path) == 0
    assert names(tmp_path) == ALWAYS | {"notes.pdf"}


def test_an_input_is_not_overwritten_by_an_output(
    study: WrittenStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(next(study.series.iterdir()), tmp_path / "sr.dcm")
    assert study.screen(tmp_path, "--earlier", str(tmp_path / "sr.dcm")) == 2
    assert "would be overwritten" in capsys.readouterr().err


# -- what cannot be written


def test_without_dicom_headers_all_but_dicom_objects_is_written(
    study: WrittenStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = make_phantom().write(tmp_path / "ct.nii.gz")
    out = tmp_path / "out"
    assert study.screen(out, "--write=all", ct=volume) == 1
    assert names(out) == ALWAYS | {"report.pdf", "result.csv", "fhir.json"}
    printed = capsys.readouterr()
    assert "Not written: seg, sr, capture, dicom-pdf" in printed.out
    assert "Also written: csv, fhir, pdf" in printed.out
    assert printed.err.count("Not written: seg, sr, capture, dicom-pdf. ") == 1
    assert study.screen(out, "--write=sr", "--json", ct=volume) == 1
    assert json.loads(capsys.readouterr().out)["status"] == "screened"


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("uid", [None, "anonymised"], ids=["no study UID", "a study UID that is none"])
def test_a_source_without_valid_uids_has_no_dicom_objects_and_everything_else(
    study: WrittenStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str], uid: str | None
) -> None:
    anonymised = write_study(tmp_path / "study", StudyInstanceUID=uid).series
    out = tmp_path / "out"
    assert study.screen(out, "--write=all", ct=anonymised) == 1
    assert names(out) == ALWAYS | {"report.pdf", "result.csv", "fhir.json"}
    assert "The images have no valid UID of their study" in capsys.readouterr().err


def test_a_refused_study_has_its_reports_and_no_outlines(
    study: WrittenStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = write_study(tmp_path / "study", KVP="80").series
    out = tmp_path / "out"
    assert study.screen(out, "--write=all,probability", ct=refused, force=False) == 3
    assert names(out) == {"report.html", "result.json", "report.pdf", "result.csv", "fhir.json", "sr.dcm", "report.dcm"}
    error = capsys.readouterr().err
    assert "Not written: seg, probability, capture. The study was refused" in error
    assert "80 kVp" in error


def test_no_probability_map_of_outlines_that_were_given(
    study: WrittenStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = make_phantom().write_outlines(tmp_path / "masks.seg.nrrd")
    out = tmp_path / "out"
    assert study.screen(out, "--write=probability,sr", f"--masks={masks}") == 1
    assert names(out) == ALWAYS | {"seg.dcm", "sr.dcm"}
    assert "Not written: probability." in capsys.readouterr().err


def test_what_cannot_be_written_is_not_said_to_need_asking_for_when_it_is_to_be_sent(
    study: WrittenStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = make_phantom().write(tmp_path / "ct.nii.gz")
    words = ("--write=dicom", "--send=http://127.0.0.1:9/dicom-web")
    assert study.screen(tmp_path / "out", *words, ct=volume) == 1
    error = capsys.readouterr().err
    assert "Not written: seg" in error
    assert "--write dicom" not in error


# -- whose study it is


def test_only_dicom_objects_name_the_patient_unless_asked_for(
    study: WrittenStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study.screen(tmp_path, "--write=all") == 0
    for name in ("report.html", "result.json", "result.csv", "fhir.json"):
        assert secrets_in((tmp_path / name).read_text(encoding="utf-8")) == set(), name
    assert secrets_in(pdf_text(tmp_path / "report.pdf")) == set()
    assert secrets_in((tmp_path / "report.pdf").read_bytes().decode("latin-1")) == set()
    assert secrets_in("".join(capsys.readouterr())) == set()
    made = [dcmread(path) for path in tmp_path.glob("*.dcm")]
    assert len(made) == 5
    assert {(str(item.PatientName), item.PatientID, item.PatientBirthDate, item.AccessionNumber) for item in made} == {
        (NAME, NUMBER, "19600615", "ACC-0815")
    }


def test_with_identity_every_output_names_the_patient_and_the_log_does_not(
    study: WrittenStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study.screen(tmp_path, "--write=all", "--with-identity") == 0
    assert secrets_in("".join(capsys.readouterr())) == set()
    for name in ("report.html", "result.json", "result.csv", "fhir.json"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert {"FINDME", "PATRICIA", NUMBER, "ACC-0815"} <= secrets_in(text), name
        assert {"1960-06-15", "19600615"} & secrets_in(text), name
    assert {"FINDME", "PATRICIA", NUMBER, "1960-06-15", "ACC-0815"} <= secrets_in(pdf_text(tmp_path / "report.pdf"))
    identity = read_result(tmp_path / "result.json").identity
    assert identity is not None
    assert (identity.patient_name, identity.patient_id, identity.birth_date) == (NAME, NUMBER, "19600615")


def test_identity_of_a_scan_without_a_header_is_a_warning(
    study: WrittenStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = make_phantom().write(tmp_path / "ct.nii.gz")
    assert study.screen(tmp_path / "out", "--with-identity", ct=volume) == 0
    assert "there is no patient identity to write" in capsys.readouterr().out
    assert read_result(tmp_path / "out" / "result.json").identity is None
