"""What a DICOM header says of the acquisition: age, contrast medium, the scanner's own calibration."""

from __future__ import annotations

from datetime import date

import pytest
from dicom_files import body, write_series

from OsteoScreenLib.ct import open_ct

HU = body(8)


def test_acquisition_is_read_and_names_nobody(tmp_path):
    write_series(tmp_path, HU)
    ct = open_ct(tmp_path)
    said = ct.acquisition
    assert (said.modality, said.kvp, said.slice_thickness_mm, said.kernel) == ("CT", 120.0, 2.0, "Br38f")
    assert (said.manufacturer, said.scanner_id, said.sex, said.age_years) == ("SIEMENS", "4711", "F", 64.0)
    assert (said.study_date, said.patient_position, said.tube_current_mas) == (date(2024, 6, 15), "HFS", 60.0)
    assert said.contrast is None and said.osteo is None
    kept = repr([vars(o) if hasattr(o, "__dict__") else o for o in (ct, said, ct.describe(), ct._source, ct.findings)])
    assert "SECRET" not in kept and "Secret" not in kept and "19600615" not in kept


def test_what_the_header_does_not_say_is_none(tmp_path):
    gone = ("KVP", "SliceThickness", "ConvolutionKernel", "PatientAge", "PatientBirthDate", "PatientSex", "StudyDate")
    write_series(tmp_path, HU, **dict.fromkeys(gone), Manufacturer="")
    said = open_ct(tmp_path).acquisition
    assert (said.kvp, said.slice_thickness_mm, said.kernel, said.age_years, said.sex) == (None,) * 5
    assert said.study_date is None and said.manufacturer is None


@pytest.mark.parametrize(
    ("values", "years"),
    [
        ({"PatientAge": "018M"}, 1.5),
        ({"PatientAge": None}, 64.0),
        ({"PatientAge": None, "PatientBirthDate": "19600616"}, pytest.approx(63.997, abs=0.01)),
        ({"PatientAge": None, "PatientBirthDate": "20060615"}, 18.0),
        ({"PatientAge": "64", "PatientBirthDate": None}, None),
        ({"PatientAge": None, "PatientBirthDate": "20300101"}, None),
        ({"PatientAge": None, "PatientBirthDate": "unknown"}, None),
    ],
)
def test_age(tmp_path, values, years):
    write_series(tmp_path, HU[:2], **values)
    assert open_ct(tmp_path).acquisition.age_years == years


@pytest.mark.parametrize(
    ("values", "contrast"),
    [
        ({}, None),
        ({"ContrastBolusAgent": ""}, None),
        ({"ContrastBolusAgent": "APPLIED"}, True),
        ({"ContrastBolusAgent": "Iopamidol 300"}, True),
        ({"ContrastBolusAgent": "NONE"}, False),
        ({"ContrastBolusAgent": "No contrast"}, False),
        ({"ContrastBolusAgent": "", "ContrastBolusVolume": "100"}, True),
        ({"ContrastBolusAgent": "", "ContrastBolusRoute": "IV"}, True),
    ],
)
def test_contrast_is_true_false_or_not_said(tmp_path, values, contrast):
    write_series(tmp_path, HU[:2], **values)
    assert open_ct(tmp_path).acquisition.contrast is contrast


@pytest.mark.parametrize("place", [0x10, 0x42])
def test_scanner_calibration_is_found_by_its_creator(tmp_path, place):
    def calibrate(dataset, k):
        if place != 0x10:
            dataset.add_new((0x0019, 0x0010), "LO", "SOMEBODY ELSE")
            dataset.add_new((0x0019, 0x1092), "DS", "99")
        dataset.add_new((0x0019, place), "LO", "SIEMENS CT VA0  COAD")
        for low, vr, value in ((0x90, "DS", "0"), (0x92, "DS", "0.9236"), (0x93, "DS", "-1.6565"), (0x96, "IS", "3")):
            dataset.add_new((0x0019, place << 8 | low), vr, value)

    write_series(tmp_path, HU[:2], edit=calibrate)
    osteo = open_ct(tmp_path).acquisition.osteo
    assert (osteo.slope, osteo.intercept, osteo.phantom) == (0.9236, -1.6565, 3)
