"""What a series must give before DICOM objects refer to it, and what its text can do to them: nothing."""

from __future__ import annotations

import shutil
import subprocess
import unicodedata
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pydicom
import pytest
from dicom_object_study import PLACEMENTS, Files, write_files, write_placed
from pydicom._dicom_dict import DicomDictionary
from pydicom.config import RAISE, disable_value_validation
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement

from OsteoScreenLib import decisions
from OsteoScreenLib.errors import InputError
from OsteoScreenLib.reports.dicom import NoDicomOutput, SourceSeries, values, write_dicom_objects
from OsteoScreenLib.results import Check
from OsteoScreenLib.results_io import write_result
from OsteoScreenLib.screening import Screening, ScreeningRequest, screen

PDF = b"%PDF-1.7\n%%EOF\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Files:
    return write_files(tmp_path_factory.mktemp("phantom"))


def edited(files: Files, folder: Path, edit=None, **changes: Any) -> Screening:
    with disable_value_validation():
        write_placed(folder, files.phantom, "head first", edit=edit, **changes)
    return files.screened(folder)


def refused(screening: Screening, folder: Path, **options: Any) -> str:
    """The reason why there are no DICOM objects; the rest of the result is there all the same."""
    assert screening.result.status == "screened" and screening.result.densitometry is not None
    with pytest.raises(NoDicomOutput) as reason:
        write_dicom_objects(screening, folder / "objects", pdf=PDF, **options)
    assert not (folder / "objects").exists()
    write_result(screening.result, folder / "result.json")
    assert str(reason.value).endswith("result.json, the page and every other output are not affected.")
    return str(reason.value)


@pytest.mark.parametrize("value", ["", "1.02.{k}"])
@pytest.mark.parametrize(
    ("keyword", "word"),
    [
        ("StudyInstanceUID", "study"),
        ("SOPInstanceUID", "image"),
        ("FrameOfReferenceUID", "frame of reference"),
    ],
)
def test_a_series_without_valid_uids_is_refused_and_the_rest_is_written(files, tmp_path, keyword, word, value):
    screening = edited(files, tmp_path / "ct", lambda dataset, k: setattr(dataset, keyword, value.format(k=k)))
    assert f"no valid UID of their {word} (anonymised exports often lack it)" in refused(screening, tmp_path)


@pytest.mark.parametrize("text", ["anonymised", "1..2", "1.02", "9.1", "1.2.", "1." + "2" * 63, "1.2\\1.3", "1.2 3"])
def test_what_is_no_uid_is_none(text):
    assert values.uid(text) == "" and values.uid("2.25.0 ") == "2.25.0"


def test_the_public_series_with_emptied_uids_is_refused(shared_data, tmp_path):
    request = ScreeningRequest(shared_data / "totalsegmentator-dicom", l1="#10", force=True)
    screening = screen(request)
    with pytest.raises(NoDicomOutput, match="no valid UID of their study, series and image"):
        write_dicom_objects(screening, tmp_path / "objects", pdf=PDF)
    assert not (tmp_path / "objects").exists()


def test_uids_that_are_not_unique_are_refused(files, tmp_path):
    for name, edit in {
        "the study's": lambda dataset, k: setattr(dataset, "StudyInstanceUID", dataset.SeriesInstanceUID),
        "dicom's own": lambda dataset, k: setattr(dataset, "StudyInstanceUID", "1.2.840.10008.1.1"),
    }.items():
        assert "are not unique" in refused(edited(files, tmp_path / name, edit), tmp_path)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("FrameOfReferenceUID", "1.2.3.5"), ("PatientID", "ANOTHER"), ("StudyInstanceUID", "1.2.9")],
)
def test_slices_that_do_not_belong_together_are_refused(files, tmp_path, keyword, value):
    def edit(dataset, k):
        if k == 6:  # L2's
            setattr(dataset, keyword, value)

    assert "do not share their study, series" in refused(edited(files, tmp_path / "ct", edit), tmp_path)


@pytest.mark.parametrize("number", [b"7" * 65, b"A\\B", b"12\t3", b"12\x1b3", b"N\xdcMMER"])
def test_a_patients_number_that_cannot_be_copied_is_refused_not_changed(files, tmp_path, number):
    """A number cut, cleaned or guessed would be another patient's."""
    write_placed(tmp_path / "ct", files.phantom, "head first", PatientID="-" * 70, SpecificCharacterSet="ISO_IR 192")
    for path in (tmp_path / "ct").iterdir():
        path.write_bytes(path.read_bytes().replace(b"-" * 70, number.ljust(70)))
    assert "under another patient" in refused(files.screened(tmp_path / "ct"), tmp_path)


def test_a_volume_file_has_no_dicom_objects(files, tmp_path):
    path = files.phantom.write(tmp_path / "ct.nrrd")
    reason = refused(files.screened(path, l1="#18", l2="#6", classification_model=None), tmp_path)
    assert reason.startswith("The scan came from a NRRD file")


def test_a_coronal_series_is_refused_because_its_slices_were_cut_across(files, tmp_path, monkeypatch):
    monkeypatch.setitem(PLACEMENTS, "coronal", ((1, 0, 0, 0, 0, -1), (0, 3.0, 0)))
    folder = write_placed(tmp_path / "ct", files.phantom, "coronal")
    assert "cut across the stored images" in refused(files.screened(folder), tmp_path)


def test_files_of_another_series_are_refused(files, tmp_path):
    screening = files.screened()
    others = write_placed(tmp_path / "other", files.phantom, "feet first")
    moved = write_placed(tmp_path / "moved", files.phantom, "tilted gantry")
    # The same places in the patient, whichever way they are stored.
    source = SourceSeries(screening.ct, sorted(others.iterdir()))
    assert write_dicom_objects(screening, tmp_path / "same", source=source, kinds=["seg"])
    source = SourceSeries(screening.ct, sorted(moved.iterdir()))
    assert "not those of the screened volume" in refused(screening, tmp_path, source=source)


def test_a_series_that_is_gone_is_an_input_error(files, tmp_path):
    screening = edited(files, tmp_path / "ct")
    shutil.rmtree(tmp_path / "ct")
    with pytest.raises(InputError, match="can no longer be read"):
        write_dicom_objects(screening, tmp_path / "objects")
    assert not (tmp_path / "objects").exists()


# -- hostile text

#: As long as the longest value of its kind in the file; each begins with a mark by which it is found again.
MARK = "QZX"
HOSTILE = {
    "markup": f"{MARK}<script>alert(1)</script>&lt;img src=x onerror=1>",
    "path": f"{MARK}/../../../../etc/passwd%00.dcm",
    "formula": f"={MARK}+cmd|' /C calc'!A0",
    "control": f"{MARK}\r\n2026 ERROR forged\x1b[2J\x00\x07\u202egnp.exe\u2028line",
    "long": f"{MARK}" + "A" * 65_000,
    "separators": f"{MARK}\\second\\third=^^^^^^^=x=y=z",
}
#: What decides how the image is read, and which images belong together.
NEEDED = {
    "Modality", "ImageType", "SpecificCharacterSet", "PhotometricInterpretation", "PatientPosition", "RescaleType",
    "PatientID", "LossyImageCompression",
}  # fmt: skip
TEXT_VRS = {"AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"}
IN_CHARACTER_SET = {"LO", "LT", "PN", "SH", "ST", "UC", "UT"}
#: Where text of the source may stand: in the value that it was in, and what of the scan the report states.
COPIED = {
    "PatientName", "PatientID", "ReferringPhysicianName", "StudyID", "AccessionNumber", "IssuerOfPatientID",
    "StudyDescription", "InstitutionName", "PositionReferenceIndicator", "DeidentificationMethod",
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialSubjectID", "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialTimePointID",
    "Manufacturer", "ManufacturerModelName",  # of the scanner, as contributing equipment
    "TextValue",  # of the report: manufacturer, model, kernel
    "VerifyingOrganization",  # the source's institution
}  # fmt: skip


def text_fields() -> list[tuple[str, str]]:
    """Every attribute of DICOM that is a text, outside of command and file headers: its VR and keyword."""
    return [
        (vr, keyword)
        for tag, (vr, _, _, retired, keyword) in DicomDictionary.items()
        if vr in TEXT_VRS and keyword and keyword not in NEEDED and 0x00080000 < tag < 0x7FE00000
    ]


def written_with(files: Files, folder: Path, hostile: dict[str, tuple[str, str]]) -> tuple[list[Path], set[str]]:
    """The objects of a series that has these values (VR and text by keyword), and where their mark is found."""
    elements = [
        DataElement(tag_for_keyword(word), vr, text if vr in IN_CHARACTER_SET else ascii(text)[1:-1], validation_mode=0)
        for word, (vr, text) in hostile.items()
    ]

    def edit(dataset, k):
        for element in elements:
            dataset[element.tag] = element

    screening = edited(files, folder / "ct", edit, PatientIdentityRemoved="YES", SpecificCharacterSet="ISO_IR 192")
    before = set(folder.rglob("*"))
    paths = write_dicom_objects(screening, folder / "objects", pdf=PDF)
    assert set(folder.rglob("*")) - before == {*paths, folder / "objects"} and len(paths) == 5
    return paths, {element.keyword for path in paths for element in checked(path) if MARK in str(element.value)}


def checked(path: Path) -> list[DataElement]:
    """An object's elements, every one legal, and its texts fit."""
    elements = [element for element in pydicom.dcmread(path).iterall() if element.VR != "SQ"]
    for element in elements:
        assert all(is_fit(value) for value in texts_of(element)), (element.keyword, str(element.value)[:200])
        DataElement(element.tag, element.VR, element.value, validation_mode=RAISE)
    return elements


def test_hostile_text_in_any_attribute_of_dicom_goes_nowhere_but_to_its_own_place(files, tmp_path):
    fields, words = text_fields(), [text for kind, text in HOSTILE.items() if kind != "long"]
    assert len(fields) > 1500
    hostile = {keyword: (vr, words[n % len(words)]) for n, (vr, keyword) in enumerate(fields)}
    paths, found = written_with(files, tmp_path, hostile)
    assert {"PatientName", "StudyDescription", "TextValue"} <= found <= COPIED
    assert_dciodvfy_finds_no_error(paths)


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_that_is_copied_stays_text(files, tmp_path, kind):
    fields = [(vr, word) for vr, word in text_fields() if word in COPIED | {"ConvolutionKernel", "StudyDate"}]
    paths, found = written_with(files, tmp_path, {word: (vr, HOSTILE[kind]) for vr, word in fields})
    # Its number is refused where it would have to be changed, and no reader verified the report.
    assert found == COPIED - {"PatientID", "VerifyingOrganization"}
    assert_dciodvfy_finds_no_error(paths)


def test_bytes_of_no_character_set_stay_text_in_their_place(files, tmp_path):
    token = f"{MARK}BYTES-BYTES-BYTES"
    bad = (MARK.encode() + b"\xff\xfe\x1b$B\x80\x1b)\x00\xc3\x28\xa0\xa1").ljust(len(token), b"\xf5")
    keywords = ("PatientName", "StudyDescription", "InstitutionName", "ConvolutionKernel", "Manufacturer")
    # As long as the longest of the others, which take its place.
    written = {**dict.fromkeys(keywords, token), "SpecificCharacterSet": "ISO 2022 IR 87"}
    for charset in (b"ISO_IR 192", b"ISO 2022 IR 87", b"GB18030", b"nonsense", b""):
        folder = tmp_path / f"ct {charset.decode()}"
        with disable_value_validation():
            write_placed(folder, files.phantom, "head first", **written)
        for path in folder.iterdir():
            content = path.read_bytes().replace(token.encode(), bad)
            path.write_bytes(content.replace(b"ISO 2022 IR 87", charset.ljust(14)))
        paths = write_dicom_objects(files.screened(folder), tmp_path / "objects", pdf=PDF)
        assert all(checked(path) for path in paths)
        assert_dciodvfy_finds_no_error(paths)


def test_text_of_bundles_checks_and_readers_is_made_fit_too(files, tmp_path):
    screening = files.outlined()
    result = screening.result
    words = HOSTILE["control"] + HOSTILE["separators"] + HOSTILE["long"]
    hostile = replace(
        result,
        bundles=[replace(bundle, name=words, version=words) for bundle in result.bundles],
        eligibility=[Check(words[:300], "warn", words)],
    )
    screening.result = decisions.accept(hostile, "Eve\r\n\x1b[2J\\^=\u202e", datetime.now(timezone.utc), words)
    paths = write_dicom_objects(screening, tmp_path, pdf=PDF)
    assert all(checked(path) for path in paths)
    assert_dciodvfy_finds_no_error(paths)


def texts_of(element: DataElement) -> list[str]:
    if element.VR not in TEXT_VRS or not element.value:
        return []
    return [str(value) for value in (element.value if element.VM > 1 else [element.value])]


def is_fit(value: str) -> bool:
    """No control character, line separator or direction override, and no separator of values."""
    unfit = {"\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\\"}
    return not any(c in unfit or unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in value)


def assert_dciodvfy_finds_no_error(paths: list[Path]) -> None:
    checker = shutil.which("dciodvfy")
    for path in paths if checker is not None else ():
        answer = subprocess.run([checker, "-new", str(path)], capture_output=True, text=True, errors="replace")
        said = (answer.stdout + answer.stderr).splitlines()
        assert [line for line in said if line.startswith("Error")] == []
