"""Text from headers, files and people is hostile: none of it gets through as markup, path, formula, order or line.

The fields are not listed by hand: they are the attributes that the code reads of a DICOM header, and the texts of the
result's dataclasses, so that a new one is tried as soon as it is there.
"""

from __future__ import annotations

import dataclasses
import json
import os
import struct
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import harmless
import pytest
import SimpleITK as sitk
from phantom_ct import make_phantom
from pydicom import dcmread
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian
from report_cases import followed_up, pictures, suggested
from tiny_bundle import write_tiny_bundle
from written_study import WrittenStudy, write_study

from OsteoScreenLib.cli import main
from OsteoScreenLib.ct.dicom.acquisition import ACQUISITION_TAGS
from OsteoScreenLib.errors import InputError
from OsteoScreenLib.reports import render_html
from OsteoScreenLib.reports.dicom import source
from OsteoScreenLib.reports.fhir import fhir_bundle
from OsteoScreenLib.reports.identity import KEYWORDS
from OsteoScreenLib.reports.pdf import render_pdf
from OsteoScreenLib.reports.table import write_table
from OsteoScreenLib.results import Check, Identity, ScreeningResult
from OsteoScreenLib.results_io import from_dict, to_dict, write_result

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom's remarks on every value below

MARKUP = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}<b>&lt;'
SCRIPT = "<script>alert(1)</script>"
FORMULAS = (
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1+1",
    "\r=1+1",
    "\uff1d1+1",
    "a;=1+1",
    "'=1+1",
    " =1+1",
)
PAYLOADS: dict[str, Callable[[int], str]] = {
    "markup": lambda n: MARKUP,
    "path": lambda n: "../../../../evil\\..\\evil/C:\\evil",
    "formula": lambda n: FORMULAS[n % len(FORMULAS)],
    "64 KB": lambda n: "W" * 65_535,
    "control characters": lambda n: "a\x00b\x1b[31mc\x07d\x9be\u202ef\u2066g\u200fh\ufeffi\x7f",
    "another line": lambda n: "x\r\nERROR forged line\n=2+2\u2028y\x0bz\x85",
}
#: All but the length in one, for what costs a run of its own.
TOGETHER = "".join(make(0) for name, make in PAYLOADS.items() if name != "64 KB").replace("\0", "")
ALL_AT_ONCE = {"together": lambda n: FORMULAS[n % len(FORMULAS)] + TOGETHER, "64 KB": PAYLOADS["64 KB"]}
#: Bytes that their character set does not have, by the character set that the header names.
ENCODINGS: dict[str, tuple[bytes | None, bytes]] = {
    "no UTF-8": (b"ISO_IR 192", b"\xff\xfe\xe9\x80 \xed\xa0\x80<script>"),
    "unknown": (b"ISO_IR 999\x1b[31m", b"\xff\xe9\x9b<script>"),
    "broken escapes": (b"ISO 2022 IR 6\\ISO 2022 IR 87", b"\x1b$B\xff\xff\x1b(B\x1b$<script>"),
    "none named": (None, "\u202eÄ\u2028".encode()),
}

#: Without these being what they must be, there is no image to screen, or nothing to file DICOM objects under: each is
#: tried alone.
VITAL = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality",
    "ImageType", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "PhotometricInterpretation",
    "RescaleIntercept", "RescaleSlope", "NumberOfFrames", "InstanceNumber", "SpecificCharacterSet",
    "PatientID",
)  # fmt: skip
NUMBERS = {"DS", "IS"}
READ = tuple(
    dict.fromkeys(
        keyword_for_tag(tag)
        for tag in (*ACQUISITION_TAGS, *source._TAGS, *map(Tag, KEYWORDS.values()))
        if not tag.is_private and dictionary_VR(tag) in harmless.TEXT_VRS | NUMBERS
    )
)
#: Not read today: here so that reading them is noticed.
UNREAD = (
    "PatientComments",
    "OtherPatientNames",
    "InstitutionAddress",
    "ProtocolName",
    "ImageComments",
    "OperatorsName",
)
POISONED = tuple(keyword for keyword in (*READ, *UNREAD) if keyword not in VITAL)


def poisoned_study(folder: Path, values: dict[str, bytes | None]) -> WrittenStudy:
    """A study whose headers hold these bytes as they are, which no library would write; None leaves an element out."""
    study = write_study(folder, syntax=ImplicitVRLittleEndian)
    for path in study.series.iterdir():
        path.write_bytes(_with_values(path.read_bytes(), values))
    return study


def _with_values(file: bytes, values: dict[str, bytes | None]) -> bytes:
    """The file with other values: elements of implicit VR in little endian, none of them a sequence."""
    (length,) = struct.unpack_from("<I", file, 140)  # of the file's meta information
    start = place = 144 + length
    elements = {}
    while place < len(file):
        group, element, size = struct.unpack_from("<HHI", file, place)
        elements[group, element] = file[place + 8 : place + 8 + size]
        place += 8 + size
    for keyword, value in values.items():
        tag = Tag(keyword)
        elements.pop((tag.group, tag.element), None)
        if value is not None:
            elements[tag.group, tag.element] = value + b" " * (len(value) % 2)
    written = (struct.pack("<HHI", *tag, len(value)) + value for tag, value in sorted(elements.items()))
    return file[:start] + b"".join(written)


def everything_under(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_the_fields_are_those_that_are_read() -> None:
    assert {"PatientName", "AccessionNumber", "Manufacturer", "ConvolutionKernel", "KVP"} <= set(POISONED)
    assert {"InstitutionName", "StudyDescription", "SeriesDescription", "ContrastBolusAgent"} <= set(POISONED)
    assert set(VITAL) <= set(READ)
    assert len(POISONED) > 45


@pytest.fixture(params=PAYLOADS)
def payload(request: pytest.FixtureRequest) -> Callable[[int], str]:
    return PAYLOADS[request.param]


@pytest.fixture(params=ALL_AT_ONCE)
def mixture(request: pytest.FixtureRequest) -> Callable[[int], str]:
    return ALL_AT_ONCE[request.param]


# -- headers, through the command


def test_no_text_of_a_header_gets_through(
    payload: Callable[[int], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values: dict[str, bytes | None] = {keyword: payload(n).encode("utf-8") for n, keyword in enumerate(POISONED)}
    study = poisoned_study(tmp_path / "study", {"SpecificCharacterSet": b"ISO_IR 192", **values})
    before = everything_under(tmp_path)
    out = tmp_path / "out"
    assert study.screen(out, "--write=all,probability", "--with-identity") == 0
    assert harmless.console_faults(*capsys.readouterr()) == []
    assert harmless.folder_faults(out) == []
    assert [name for name in everything_under(tmp_path) - before if not name.startswith("out")] == []
    assert {path.name for path in out.iterdir()} == harmless.OWN_FILES
    page = (out / "report.html").read_text(encoding="utf-8")
    if payload(0) == MARKUP:
        # It is shown, as text.
        assert SCRIPT in harmless.page_text(page)
        sheet = harmless.pdf_text(out / "report.pdf")
        assert sheet is None or SCRIPT in sheet.replace("\n", "")
        assert SCRIPT in str(dcmread(out / "sr.dcm").PatientName)
    if study.screen(tmp_path / "json", "--json") == 0:
        printed = capsys.readouterr()
        assert harmless.json_faults(printed.out) == []


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_bytes_of_another_character_set_get_through(
    encoding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named, value = ENCODINGS[encoding]
    values: dict[str, bytes | None] = dict.fromkeys(POISONED, value)
    study = poisoned_study(tmp_path / "study", {**values, "SpecificCharacterSet": named})
    out = tmp_path / "out"
    assert study.screen(out, "--write=all,probability", "--with-identity") == 0
    assert harmless.console_faults(*capsys.readouterr()) == []
    assert harmless.folder_faults(out) == []


@pytest.mark.parametrize("keyword", VITAL)
def test_what_an_image_cannot_do_without_ends_in_a_sentence_or_a_clean_result(
    keyword: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = "\u202e<script>\r\nERROR forged line\x1b[31m=1+1" + "W" * 5000
    study = poisoned_study(tmp_path / "study", {keyword: bad.encode()})
    out = tmp_path / "out"
    code = study.screen(out, "--write=all", "--with-identity")
    printed = capsys.readouterr()
    assert harmless.console_faults(*printed) == []
    assert code in (0, 1, 2, 4)
    assert "inside OsteoScreen" not in printed.err
    assert harmless.folder_faults(out) == [] if code < 2 else not out.exists()


# -- files, labels and what people write, through the command


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> WrittenStudy:
    return write_study(tmp_path_factory.mktemp("study"))


BAD_NAME = "=1+1;<script>alert(1)<\u202e\x1b[31m\nERROR forged line"


def test_names_of_files_and_folders_do_not_get_through(
    study: WrittenStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    series = tmp_path / BAD_NAME
    series.mkdir()
    for n, path in enumerate(sorted(study.series.iterdir())):
        os.link(path, os.fsencode(series) + f"/{n:03d}{BAD_NAME}".encode() + b"\xff.dcm")
    out = tmp_path / "out"
    assert study.screen(out, "--write=all", "--with-identity", ct=series) == 0
    assert harmless.console_faults(*capsys.readouterr()) == []
    # By its path the scan is found again, so that is kept as it is; what is not to be seen in it is escaped.
    assert harmless.folder_faults(out, exact=(str(series),)) == []
    assert json.loads((out / "result.json").read_text())["input"]["path"] == str(series)
    for name in ("report.html", "result.csv", "fhir.json"):
        assert "1+1" not in (out / name).read_text(encoding="utf-8")
    assert study.screen(tmp_path / "json", "--json", ct=series) == 0
    assert capsys.readouterr().out.isascii()


def test_a_calibrations_words_do_not_get_through(
    study: WrittenStudy, mixture: Callable[[int], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {
        "slope": 0.8, "intercept": 1.0, "mineral": "CaHA", "uncertainty_mg_cm3": 5.0, "kvp": 120.0,
        "date": "2024-01-01", "expires": "2030-01-01",
        "scanner": mixture(0), "kernel": mixture(1), "description": mixture(2),
    }  # fmt: skip
    (tmp_path / "calibration.json").write_text(json.dumps(document))
    out = tmp_path / "out"
    assert study.screen(out, "--write=all", f"--calibration={tmp_path / 'calibration.json'}") == 0
    assert harmless.console_faults(*capsys.readouterr()) == []
    assert harmless.folder_faults(out) == []


@pytest.mark.parametrize("option", ["--series", "--l1", "--l2", "--levels-from", "--masks", "--segmentation-model",
                                    "--classification-model", "--calibration", "--earlier", "--write", "--sex",
                                    "--nothing"])  # fmt: skip
def test_what_is_typed_does_not_get_through(
    study: WrittenStudy, option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = BAD_NAME + "W" * 200
    assert study.screen(tmp_path / "out", f"{option}={typed}") in (2, 4, 5)
    printed = capsys.readouterr()
    assert harmless.console_faults(*printed) == []
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("option", ["--levels-from", "--masks"])
def test_names_of_segments_do_not_get_through(
    study: WrittenStudy, option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phantom = make_phantom()
    image = phantom.image((phantom.trabecular > 0).astype("uint8"))
    name = "\u202eL1<script>\x1b[31m" + "W" * 65_000
    for key, text in {"ID": "Segment_0", "Name": name, "LabelValue": "1", "Layer": "0"}.items():
        image.SetMetaData(f"Segment0_{key}", text)
    sitk.WriteImage(image, str(tmp_path / "labels.seg.nrrd"))
    assert study.screen(tmp_path / "out", f"{option}={tmp_path / 'labels.seg.nrrd'}") in (0, 2, 3, 4)
    assert harmless.console_faults(*capsys.readouterr()) == []


def test_a_bundles_card_does_not_get_through(
    study: WrittenStudy, mixture: Callable[[int], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle")
    card = json.loads((bundle / "bundle.json").read_text())
    words = {"licence": mixture(0), "description": mixture(1), "training": {"data": mixture(2), "kind": "none"}}
    out = tmp_path / "out"
    for changes, codes in (({"name": mixture(0)}, {5}), ({"version": mixture(1)}, {5}), (words, {0, 5})):
        (bundle / "bundle.json").write_text(json.dumps({**card, **changes}))
        assert study.screen(out, "--write=all", f"--segmentation-model={bundle}") in codes
        assert harmless.console_faults(*capsys.readouterr()) == []
    assert harmless.folder_faults(out) == []


def test_what_a_reader_writes_does_not_get_through(
    study: WrittenStudy, mixture: Callable[[int], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    masks = make_phantom().write_outlines(tmp_path / "masks.seg.nrrd")
    assert study.screen(out, "--write=all", f"--masks={masks}") == 0
    by, comment = mixture(0), mixture(1)
    for decision in ("--accept", "--discard"):
        code = main(["decide", str(out), decision, f"--by={by[:60]}", f"--comment={comment[:60_000]}"])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        assert harmless.console_faults(*printed) == []
        assert harmless.folder_faults(out) == []


# -- every text of a result, through every writer


def whole_result() -> ScreeningResult:
    """A result in which every part is there."""
    result = followed_up()
    counted = suggested()
    result.numbering, result.classification, result.agreement = counted.numbering, counted.classification, False
    assert result.classification is not None
    result.classification = dataclasses.replace(result.classification, reason="It is here for this test.")
    result.identity = Identity("a", "b", "c", "d", "e", "f")
    result.eligibility = [Check("kvp", "warn", "Words.", {"key": ["value"]}), Check("kernel", "refuse", "Words.", "x")]
    result.input = dataclasses.replace(result.input, model_name="Model")
    decision = dataclasses.replace(result.decisions[0], comment="A comment.", corrections=["level L1"])
    result.decisions = [decision, decision]
    return result


#: Texts whose form the schema fixes, so that no file can bring another.
FIXED_FORM = {"at"}


def with_text(value: Any, payload: Callable[[int], str], count: Iterator[int], hint: Any = str) -> Any:
    """The value with the payload in the place of each text that is free."""
    if isinstance(value, str):
        return value if typing.get_origin(hint) is typing.Literal or "Literal" in str(hint) else payload(next(count))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = typing.get_type_hints(type(value))
        changed = {
            item.name: with_text(getattr(value, item.name), payload, count, hints[item.name])
            for item in dataclasses.fields(value)
            if item.name not in FIXED_FORM
        }
        return dataclasses.replace(value, **changed)
    if isinstance(value, dict):
        kept = {"L1", "L2", "individual", "normal", "osteopenia", "osteoporosis"}
        return {
            (key if key in kept else f"{payload(next(count))}{next(count)}"): with_text(item, payload, count)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(with_text(item, payload, count) for item in value)
    return value


def test_no_text_of_a_result_gets_through_any_writer(payload: Callable[[int], str], tmp_path: Path) -> None:
    count = iter(range(100_000))
    result = with_text(whole_result(), payload, count)
    result.levels = {name: dataclasses.replace(level, name=name) for name, level in result.levels.items()}
    assert next(count) > 60
    page = render_html(result, pictures())
    assert harmless.page_faults(page) == []
    assert harmless.pdf_faults(render_pdf(result, pictures())) == []
    assert harmless.table_faults(write_table([result], tmp_path / "result.csv").read_bytes()) == []
    assert harmless.json_faults(json.dumps(fhir_bundle(result), ensure_ascii=False)) == []
    result.input = dataclasses.replace(result.input, path="ct")
    assert harmless.json_faults(json.dumps(to_dict(result), ensure_ascii=False)) == []


def test_a_text_of_a_fixed_form_is_refused_in_any_other() -> None:
    document = to_dict(whole_result())
    document["decisions"][0]["at"] = "2026-01-01<script>"
    with pytest.raises(InputError, match="not a valid OsteoScreen result"):
        from_dict(document)


def test_a_result_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    result = whole_result()
    result.input = dataclasses.replace(result.input, path="/a\u202e\x1b\udcff/\U000e0001ct\u2028")
    text = write_result(result, tmp_path / "result.json").read_text(encoding="utf-8")
    assert harmless.unseen(text.replace("\n", "")) == ""
    assert json.loads(text)["input"]["path"] == result.input.path
