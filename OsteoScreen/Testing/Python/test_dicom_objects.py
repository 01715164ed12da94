"""DICOM objects of many kinds of study: valid for dicom3tools, dcmtk and highdicom, and true to what was measured."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from dicom_files import write_enhanced
from dicom_object_study import PLACEMENTS, Files, write_files, write_placed
from highdicom.color import CIELabColor
from PIL import Image

from OsteoScreenLib import decisions
from OsteoScreenLib.ct import ct_from_array, open_ct
from OsteoScreenLib.errors import InputError, OsteoScreenError, UsageError
from OsteoScreenLib.reports.dicom import SourceSeries, write_dicom_objects
from OsteoScreenLib.reports.pdf import render_pdf
from OsteoScreenLib.screening import Screening, ScreeningRequest, screen

MOMENT = datetime(2026, 3, 4, 5, 6, 7, 890000, tzinfo=timezone.utc)
#: What dciodvfy says of a private coding scheme, of names of one component, and of empty values that may be empty.
KNOWN_WARNINGS = ("<99OSTEOSCREEN>", "Retired Person Name form", "needed to build DICOMDIR")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Files:
    return write_files(tmp_path_factory.mktemp("phantom"))


@pytest.fixture(scope="module")
def screening(files) -> Screening:
    return files.screened()


def unconfirmed(files: Files) -> Screening:
    """As where the levels were suggested, and nobody has looked at them."""
    found = files.screened()
    levels = {k: replace(v, set_by="suggested", confirmed=False) for k, v in found.result.levels.items()}
    found.result = replace(found.result, levels=levels)
    return found


def decided(files: Files, decide: Callable, **said: str) -> Screening:
    found = files.outlined()
    found.result = decide(found.result, "Müller^Änne", MOMENT, **said)
    return found


def corrected(files: Files) -> Screening:
    found = files.screened()
    found.result = decisions.corrected(found.result, files.outlined().result, "A. Reader", MOMENT, outlines=["L1"])
    return found


def with_80_kvp(files: Files, folder: Path, *, force: bool) -> Screening:
    return files.screened(write_placed(folder / "80", files.phantom, "head first", KVP="80"), force=force)


def lossy(files: Files, folder: Path) -> Screening:
    said = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "12"}
    said["LossyImageCompressionMethod"] = "ISO_10918_1"
    return files.screened(write_placed(folder / "lossy", files.phantom, "head first", **said))


def multi_frame(files: Files, folder: Path) -> Screening:
    """Slices in one file, in any order; what is drawn on them is a square of the phantom."""
    path = write_enhanced(folder / "enhanced.dcm", files.phantom.hu, spacing=3.0, shuffle=True)
    drawn = np.zeros(files.phantom.hu.shape[1:], dtype=bool)
    drawn[60:75, 45:63] = True
    masks = {"L1": drawn, "L2": np.roll(drawn, 4, axis=1)}
    return screen(ScreeningRequest(path, l1="#18", l2="#6", masks=masks, force=True))


def teacher(files: Files, folder: Path) -> Screening:
    """A patient whose name is written in three scripts."""
    names = {"PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう", "SpecificCharacterSet": ["", "ISO 2022 IR 87"]}
    return files.screened(write_placed(folder / "yamada", files.phantom, "head first", **names))


STUDIES: dict[str, Callable[[Files, Path], Screening]] = {
    "drawn by the user": lambda files, folder: files.screened(),
    "outlined by the network": lambda files, folder: files.outlined(),
    "L1 alone": lambda files, folder: files.screened(l2=None, classification_model=files.folder / "model2"),
    "levels not confirmed": lambda files, folder: unconfirmed(files),
    "no calibration": lambda files, folder: with_80_kvp(files, folder, force=True),
    "refused": lambda files, folder: with_80_kvp(files, folder, force=False),
    "accepted": lambda files, folder: decided(files, decisions.accept, comment="Ünder 80?"),
    "corrected": lambda files, folder: corrected(files),
    "discarded": lambda files, folder: decided(files, decisions.discard),
    "multi-frame": multi_frame,
    "oblique": lambda files, folder: files.screened(write_placed(folder / "o", files.phantom, "oblique")),
    "lossy": lossy,
    "three scripts": teacher,
}


@pytest.mark.parametrize("study", STUDIES)
def test_dciodvfy_finds_no_error(files, tmp_path, study):
    checker = shutil.which("dciodvfy")
    if checker is None:
        pytest.skip("dciodvfy (Debian: dicom3tools) is not on this machine")
    screening = STUDIES[study](files, tmp_path)
    pdf = render_pdf(screening.result, screening.pictures)
    paths = write_dicom_objects(screening, tmp_path / "out", pdf=pdf, fractional=study == "outlined by the network")
    for path in paths:
        answer = subprocess.run([checker, "-new", str(path)], capture_output=True, text=True, errors="replace")
        said = [line for line in (answer.stdout + answer.stderr).splitlines() if line.startswith(("Error", "Warning"))]
        assert [line for line in said if not any(known in line for known in KNOWN_WARNINGS)] == []
        assert answer.returncode == 0


@pytest.mark.parametrize("study", STUDIES)
def test_only_what_the_study_gives_is_written(files, tmp_path, study):
    screening = STUDIES[study](files, tmp_path)
    names = {path.name for path in write_dicom_objects(screening, tmp_path / "out", pdf=b"%PDF-1.7\n%%EOF\n")}
    captures = {f"capture-{name}.dcm" for name in screening.result.roi}
    assert names == {"sr.dcm", "report.dcm"} | ({"seg.dcm", *captures} if screening.result.roi else set())
    assert {path.name for path in (tmp_path / "out").iterdir()} == names


def stored_mask(path: Path, ct_folder: Path, name: str, screening: Screening) -> np.ndarray:
    """A segment on its source image's pixels, as highdicom reads it, by the source's own UID."""
    k = screening.result.levels[name].slice_index
    file, frame = screening.ct.source_frame(k)
    uid = pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID
    seg = highdicom.seg.segread(path)
    (number,) = seg.get_segment_numbers(segment_label=f"{name} vertebral body")
    asked = {"segment_numbers": [number], "combine_segments": False, "rescale_fractional": True}
    if frame is None:
        return seg.get_pixels_by_source_instance([uid], **asked)[0, ..., 0]
    return seg.get_pixels_by_source_frame(uid, [frame + 1], **asked)[0, ..., 0]


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_highdicom_reads_the_masks_that_were_measured(files, tmp_path, placement):
    folder = write_placed(tmp_path / "ct", files.phantom, placement)
    screening = files.screened(folder)
    write_dicom_objects(screening, tmp_path, kinds=["seg"])
    for name, (k, mask) in screening.masks.items():
        stored = screening.ct.to_stored(k, mask)[1][0]
        assert 300 < mask.sum() < 500
        np.testing.assert_array_equal(stored_mask(tmp_path / "seg.dcm", folder, name, screening), stored)


def test_highdicom_reads_the_masks_on_the_frames_of_a_multi_frame_file(files, tmp_path):
    screening = multi_frame(files, tmp_path)
    write_dicom_objects(screening, tmp_path / "out", kinds=["seg"])
    for name, (_, mask) in screening.masks.items():
        np.testing.assert_array_equal(stored_mask(tmp_path / "out" / "seg.dcm", tmp_path, name, screening), mask)


def test_the_written_segmentation_measures_as_the_masks_in_it(screening, files, tmp_path):
    (path,) = write_dicom_objects(screening, tmp_path, kinds=["seg"])
    read, drawn = files.screened(masks=path).result, screen_like(screening, screening.ct).result
    for name, roi in drawn.roi.items():
        assert read.roi[name].mean_hu == pytest.approx(roi.mean_hu)
        assert read.roi[name].area_mm2 == pytest.approx(roi.area_mm2)
        assert read.roi[name].centroid_ras_mm == pytest.approx(roi.centroid_ras_mm)
        assert roi.mean_hu == pytest.approx(screening.result.roi[name].mean_hu, abs=1.0)


def test_the_probability_map_is_the_networks_to_a_step_of_its_scale(files, tmp_path):
    screening = files.outlined()
    write_dicom_objects(screening, tmp_path, kinds=["seg"], fractional=True)
    seg = pydicom.dcmread(tmp_path / "seg-probability.dcm")
    assert (seg.SegmentationType, seg.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")
    for name, outline in screening.outlines.items():
        read = stored_mask(tmp_path / "seg-probability.dcm", files.ct, name, screening)
        np.testing.assert_allclose(read, outline.probability, atol=0.5 / 255 + 1e-6)
        assert 0.5 < read.max() <= 1.0


def test_the_segments_say_what_they_are_and_what_drew_them(files, tmp_path):
    screening = files.outlined()
    write_dicom_objects(screening, tmp_path, kinds=["seg"])
    seg = pydicom.dcmread(tmp_path / "seg.dcm")
    (bundle,) = [bundle for bundle in screening.result.bundles if bundle.role == "segmentation"]
    codes = [segment.SegmentedPropertyTypeCodeSequence[0] for segment in seg.SegmentSequence]
    assert [(code.CodeValue, code.CodingSchemeDesignator) for code in codes] == [
        ("66794005", "SCT"),
        ("14293000", "SCT"),
    ]
    # The colours of the page and of segmentation.seg.nrrd: orange and sky blue.
    shown = [CIELabColor.from_dicom_value(s.RecommendedDisplayCIELabValue).to_rgb() for s in seg.SegmentSequence]
    np.testing.assert_allclose(shown, [(230, 159, 0), (86, 180, 233)], atol=3)
    for segment in seg.SegmentSequence:
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("tiny", "0.0.1")
        assert algorithm.AlgorithmParameters == f"sha256={bundle.sha256}" and len(bundle.sha256) == 64
    sources = {item.ReferencedSOPInstanceUID for item in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    stored = [screening.ct.source_frame(level.slice_index)[0] for level in screening.result.levels.values()]
    assert sources == {pydicom.dcmread(file).SOPInstanceUID for file in stored}
    assert seg.FrameOfReferenceUID == pydicom.dcmread(stored[0]).FrameOfReferenceUID


@pytest.mark.parametrize(("study", "creator"), [("drawn by the user", ""), ("corrected", "A. Reader")])
def test_what_a_reader_drew_is_called_so(files, tmp_path, study, creator):
    screening = STUDIES[study](files, tmp_path)
    write_dicom_objects(screening, tmp_path / "out", kinds=["seg"])
    seg = pydicom.dcmread(tmp_path / "out" / "seg.dcm")
    assert {segment.SegmentAlgorithmType for segment in seg.SegmentSequence} == {"MANUAL"}
    assert seg.get("ContentCreatorName", "") == creator


def test_a_networks_outline_that_a_reader_corrected_is_semiautomatic(files, tmp_path):
    before = files.outlined()
    found = files.outlined(masks={"L1": files.screened().outlines["L1"].mask})
    found.result = decisions.corrected(found.result, before.result, "A. Reader", MOMENT, outlines=["L1"])
    write_dicom_objects(found, tmp_path, kinds=["seg"])
    segments = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence
    assert [segment.SegmentAlgorithmType for segment in segments] == ["SEMIAUTOMATIC", "AUTOMATIC"]
    for segment in segments:
        assert segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName == "tiny"


def test_a_level_that_nobody_confirmed_is_called_so_in_every_object(files, tmp_path):
    screening = unconfirmed(files)
    write_dicom_objects(screening, tmp_path, kinds=["seg", "sr", "capture"])
    for segment in pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence:
        assert "Level not confirmed" in segment.SegmentDescription
    report = pydicom.dcmread(tmp_path / "sr.dcm")
    texts = [element.value for element in report.iterall() if element.keyword == "TextValue"]
    assert sum(text.startswith("Level not confirmed: no reader has said that this is L") for text in texts) == 2
    assert sum(text.startswith("Levels not confirmed: no reader has said that these are") for text in texts) == 1
    # On the picture it is a line of its own, so that the picture is higher.
    confirmed = write_dicom_objects(files.screened(), tmp_path / "confirmed", kinds=["capture"])
    heights = [pydicom.dcmread(path).Rows for path in (confirmed[0], tmp_path / "capture-L1.dcm")]
    assert heights[1] > heights[0]


# -- captures and the document


def test_the_capture_shows_the_slice_and_the_outline_and_names_nobody(files, screening, tmp_path):
    paths = write_dicom_objects(screening, tmp_path, kinds=["capture"])
    assert len(paths) == 2
    for path, name in zip(paths, screening.result.roi, strict=True):
        capture = pydicom.dcmread(path)
        picture = capture.pixel_array
        assert picture.shape[2] == 3 and picture.dtype == np.uint8
        orange = (picture == (230, 159, 0)).all(axis=-1)
        columns = np.nonzero(orange)[1]
        # The outline is drawn in both panels.
        assert (columns < picture.shape[1] // 2).sum() > 100 and (columns > picture.shape[1] // 2).sum() > 1000
        grey = picture[..., 0][(np.ptp(picture.astype(int), axis=-1) == 0)]
        assert len(np.unique(grey)) > 50
        assert capture.BurnedInAnnotation == "NO"
        file = screening.ct.source_frame(screening.result.levels[name].slice_index)[0]
        assert capture.SourceImageSequence[0].ReferencedSOPInstanceUID == pydicom.dcmread(file).SOPInstanceUID
    assert len({pydicom.dcmread(path).SeriesInstanceUID for path in paths}) == 1


def test_dcmtk_shows_the_capture_as_it_was_drawn(screening, tmp_path):
    tool = shutil.which("dcm2pnm")
    if tool is None:
        pytest.skip("dcmtk (dcm2pnm) is not on this machine")
    for path in write_dicom_objects(screening, tmp_path, kinds=["capture"]):
        subprocess.run([tool, str(path), str(tmp_path / "shown.ppm")], check=True, capture_output=True)
        with Image.open(tmp_path / "shown.ppm") as shown:
            np.testing.assert_array_equal(np.asarray(shown), pydicom.dcmread(path).pixel_array)


def test_a_discarded_results_capture_shows_no_value(files, tmp_path):
    """The line of the measures gives way to one that says so, in the colour of warnings."""
    discarded = decided(files, decisions.discard)
    write_dicom_objects(discarded, tmp_path, kinds=["capture"])
    picture = pydicom.dcmread(tmp_path / "capture-L1.dcm").pixel_array
    assert (picture[:120] == (255, 120, 60)).all(axis=-1).sum() > 200
    plain = write_dicom_objects(files.outlined(), tmp_path / "plain", kinds=["capture"])
    assert not (pydicom.dcmread(plain[0]).pixel_array[:100] == (255, 120, 60)).all(axis=-1).any()


@pytest.mark.parametrize("length", [1001, 1002])
def test_the_pdf_comes_out_of_its_object_unchanged(screening, tmp_path, length):
    pdf = b"%PDF-1.7\n".ljust(length, b"x")
    (tmp_path / "sheet.pdf").write_bytes(pdf)
    for given in (pdf, tmp_path / "sheet.pdf"):
        (path,) = write_dicom_objects(screening, tmp_path, kinds=["pdf"], pdf=given)
        document = pydicom.dcmread(path)
        assert document.EncapsulatedDocument[: document.EncapsulatedDocumentLength] == pdf
        assert document.MIMETypeOfEncapsulatedDocument == "application/pdf"
        assert document.BurnedInAnnotation == "NO"


def test_what_is_no_pdf_is_not_put_into_dicom(screening, tmp_path):
    for given in (b"<html>", tmp_path / "missing.pdf"):
        with pytest.raises(InputError, match="PDF"):
            write_dicom_objects(screening, tmp_path / "out", kinds=["pdf"], pdf=given)
    assert not (tmp_path / "out").exists()


# -- one call's objects together


def test_objects_belong_to_the_patient_and_study_of_the_source(files, tmp_path):
    screening = teacher(files, tmp_path)
    source = pydicom.dcmread(screening.ct.files[0])
    paths = write_dicom_objects(screening, tmp_path / "out", pdf=b"%PDF-1.7\n", now=MOMENT)
    made = [pydicom.dcmread(path) for path in paths]
    for dataset in made:
        assert dataset.SpecificCharacterSet == "ISO_IR 192"
        assert str(dataset.PatientName) == "Yamada^Tarou=山田^太郎=やまだ^たろう"
        for keyword in ("PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate"):
            assert dataset[keyword].value == source[keyword].value, keyword
        assert dataset.AccessionNumber == "" and dataset.StudyID == ""
        assert dataset.SeriesInstanceUID != source.SeriesInstanceUID
        assert (dataset.Manufacturer, dataset.ContentDate, dataset.ContentTime) == (
            "OsteoScreen",
            "20260304",
            "050607.890000",
        )
    assert len({dataset.SOPInstanceUID for dataset in made}) == len(made) == 5
    assert len({dataset.SeriesInstanceUID for dataset in made}) == 4


@pytest.mark.parametrize(
    ("charset", "name"),
    [("ISO_IR 100", "Müller^Änne"), ("ISO_IR 126", "Διονυσιος"), ("ISO_IR 144", "Люкceмбypг"), ("GB18030", "王^小东")],
)
def test_names_and_numbers_are_the_sources_in_every_character_set(files, tmp_path, charset, name):
    said = {"PatientName": name, "PatientID": f"{name[:4]}  7", "SpecificCharacterSet": charset}
    folder = write_placed(tmp_path / "ct", files.phantom, "head first", **said)
    (path,) = write_dicom_objects(files.screened(folder), tmp_path / "out", kinds=["sr"])
    report = pydicom.dcmread(path)
    assert str(report.PatientName) == name
    assert report.PatientID == f"{name[:4]}  7"


def test_a_volume_from_memory_refers_to_the_files_it_was_loaded_from(files, screening, tmp_path):
    """As Slicer has it: an array, whose slices run the other way, and the files beside it."""
    ct = screening.ct
    matrix = np.array(ct.geometry.ijk_to_ras)
    matrix[:3, 3] += matrix[:3, 2] * (ct.geometry.shape[0] - 1)
    matrix[:3, 2] *= -1
    loaded = ct_from_array(ct.volume()[::-1], matrix, ct.acquisition)
    again = screen_like(screening, loaded)
    source = SourceSeries(loaded, sorted(files.ct.iterdir()))
    for name, where in (("files", screening), ("memory", again)):
        write_dicom_objects(where, tmp_path / name, source=source if where is again else None, kinds=["seg"])
    read = [pydicom.dcmread(tmp_path / name / "seg.dcm") for name in ("files", "memory")]
    np.testing.assert_array_equal(read[0].pixel_array, read[1].pixel_array)
    references = [dataset.ReferencedSeriesSequence[0] for dataset in read]
    assert references[0] == references[1]


def screen_like(screening: Screening, ct) -> Screening:
    levels = {name: f"{level.z_mm}" for name, level in screening.result.levels.items()}
    masks = {name: mask for name, (_, mask) in screening.masks.items()}
    return screen(ScreeningRequest(ct, l1=levels["L1"], l2=levels["L2"], masks=masks, force=True))


def test_all_objects_are_written_or_none(screening, tmp_path):
    (tmp_path / "capture-L2.dcm").mkdir()
    (tmp_path / "capture-L2.dcm" / "in the way").touch()
    with pytest.raises(OsteoScreenError, match="cannot be written"):
        write_dicom_objects(screening, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"capture-L2.dcm"}


def test_a_kind_that_does_not_exist_is_refused(screening, tmp_path):
    with pytest.raises(UsageError, match=re.escape("choose among seg, sr, capture, pdf")):
        write_dicom_objects(screening, tmp_path / "out", kinds=["seg", "rtstruct"])
    with pytest.raises(UsageError, match="goes with the segmentation"):
        write_dicom_objects(screening, tmp_path / "out", kinds=["sr"], fractional=True)
    with pytest.raises(UsageError, match="no probability map of L1 and L2"):
        write_dicom_objects(screening, tmp_path / "out", kinds=["seg"], fractional=True)
    assert not (tmp_path / "out").exists()


def test_only_the_measured_slices_headers_are_read(files, screening, tmp_path, monkeypatch):
    """A series has hundreds of files, and the objects refer to two of them."""
    opened = []
    original = Path.open

    def noting(self, *arguments, **options):
        opened.append(self.name)
        return original(self, *arguments, **options)

    ct = open_ct(files.ct)
    assert ct.geometry.shape[0] == 40
    monkeypatch.setattr(Path, "open", noting)
    write_dicom_objects(screening, tmp_path, kinds=["sr"])
    assert len([name for name in opened if name.startswith("IM")]) == 2
