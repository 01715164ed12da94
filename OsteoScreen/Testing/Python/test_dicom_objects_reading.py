"""The measurement report (SR) read back for comparing a later scan with it, and what is no such report."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from dicom_object_study import items_of, name_of, report_of, write_placed

from OsteoScreenLib.errors import InputError
from OsteoScreenLib.reports.dicom import codes, read_measurement_report
from OsteoScreenLib.reports.dicom.reading import MOST_BYTES

#: DICOM writes a decimal number in at most 16 characters beside the number itself, which is the same to the last bit.
EXACTLY = {"rel": 1e-15}


def test_what_is_read_back_is_what_the_result_says(outlined_study, report_folder):
    result, read = outlined_study.result, read_measurement_report(report_folder / "sr.dcm")
    assert read.earlier.bmd_mg_cm3 == pytest.approx(result.densitometry.bmd_mg_cm3, **EXACTLY)
    assert (read.earlier.mineral, read.earlier.calibration) == ("CaHA", "nominal")
    assert (read.earlier.date, read.earlier.source) == ("2024-06-15", "DICOM SR")
    line = result.densitometry.calibration
    assert (read.calibration.slope, read.calibration.intercept) == (line.slope, line.intercept)
    assert read.calibration.uncertainty_mg_cm3 == line.uncertainty_mg_cm3
    for name, roi in result.roi.items():
        level = read.levels[name]
        assert (level.mean_hu, level.median_hu, level.sd_hu) == (roi.mean_hu, roi.median_hu, roi.sd_hu)
        assert level.area_mm2 == roi.area_mm2 and level.confirmed is True
    assert read.forced
    said = result.input
    assert (read.kvp, read.slice_thickness_mm, read.kernel) == (said.kvp, said.slice_thickness_mm, said.kernel)
    assert (read.manufacturer, read.model_name) == (said.manufacturer, said.model_name)
    assert (read.patient_id, read.sha256) == ("SECRET-ID", said.sha256)
    assert read.decision is None


def test_what_speaks_against_a_report_is_read_back(object_files, tmp_path):
    found = object_files.screened()
    levels = dict(found.result.levels)
    levels["L2"] = replace(levels["L2"], set_by="suggested", confirmed=False)
    found.result = replace(found.result, levels=levels)
    report_of(found, tmp_path)
    read = read_measurement_report(tmp_path / "sr.dcm")
    assert not read.forced
    assert [level.confirmed for level in read.levels.values()] == [True, False]


def test_whether_contrast_was_given_is_read_back(object_files, tmp_path):
    found = object_files.screened()
    for given in (True, False, None):
        found.result.input = replace(found.result.input, contrast=given)
        report_of(found, tmp_path)
        assert read_measurement_report(tmp_path / "sr.dcm").contrast is given


def test_l1_alone_is_read_back(object_files, tmp_path):
    found = object_files.screened(l2=None, classification_model=object_files.folder / "model2")
    report_of(found, tmp_path)
    read = read_measurement_report(tmp_path / "sr.dcm")
    assert set(read.earlier.bmd_mg_cm3) == {"L1", "individual"} and list(read.levels) == ["L1"]


@pytest.mark.parametrize(("force", "why"), [(True, "no calibration was known"), (False, "its study was refused")])
def test_a_report_without_density_says_why(object_files, tmp_path, force, why):
    found = object_files.screened(
        write_placed(tmp_path / "80", object_files.phantom, "head first", KVP="80"), force=force
    )
    report = report_of(found, tmp_path)
    assert report.CompletionFlag == ("COMPLETE" if force else "PARTIAL")
    with pytest.raises(InputError, match=rf"no bone density \({why}\)"):
        read_measurement_report(tmp_path / "sr.dcm")


def test_other_files_are_refused_in_a_sentence(object_files, report_folder, outlined_study, tmp_path):
    with pytest.raises(InputError, match="cannot be read: no such file"):
        read_measurement_report(tmp_path / "none.dcm")
    with pytest.raises(InputError, match="is no DICOM SR"):
        read_measurement_report(report_folder / "seg.dcm")
    (tmp_path / "huge.dcm").write_bytes(bytes(MOST_BYTES + 1))
    with pytest.raises(InputError, match=r"^huge\.dcm is larger than any OsteoScreen report"):
        read_measurement_report(tmp_path / "huge.dcm")
    with pytest.raises(InputError, match="no DICOM file"):
        read_measurement_report(__file__)
    foreign = pydicom.dcmread(report_folder / "sr.dcm")
    foreign.ContentSequence[-1].ContentSequence = foreign.ContentSequence[-1].ContentSequence[:1]
    foreign.save_as(tmp_path / "foreign.dcm")
    with pytest.raises(InputError, match="another program"):
        read_measurement_report(tmp_path / "foreign.dcm")


def test_no_damage_becomes_anything_but_a_sentence(report_folder, tmp_path):
    """Bytes changed and cut at random: the report is read, or refused; it never ends the program."""
    whole = bytearray((report_folder / "sr.dcm").read_bytes())
    random = np.random.default_rng(3)
    refused = 0
    for attempt in range(60):
        damaged = bytearray(whole)
        for place in random.integers(132, len(whole), 12):
            damaged[place] = random.integers(0, 256)
        (tmp_path / "sr.dcm").write_bytes(damaged[: random.integers(200, len(whole))] if attempt % 3 == 0 else damaged)
        try:
            read = read_measurement_report(tmp_path / "sr.dcm")
        except InputError:
            refused += 1
        else:
            assert all(np.isfinite(value) for value in read.earlier.bmd_mg_cm3.values())
    assert refused > 20


@pytest.mark.parametrize("value", ["nan", "1e300", "-5000"])
def test_a_density_that_cannot_be_is_refused(report_folder, tmp_path, value):
    report = pydicom.dcmread(report_folder / "sr.dcm")
    for item in items_of(report):
        if name_of(item) == codes.PRIVATE["BMD"]:
            measured = item.MeasuredValueSequence[0]
            measured.FloatingPointValue = float(value)
            del measured.NumericValue
    report.save_as(tmp_path / "sr.dcm")
    with pytest.raises(InputError):
        read_measurement_report(tmp_path / "sr.dcm")
