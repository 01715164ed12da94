"""The real CT beside the repository, held against SimpleITK's and pydicom's own reading."""

from __future__ import annotations

import time

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from OsteoScreenLib.ct import open_ct


def finding(ct, name):
    return next((c for c in ct.findings if c.check == name), None)


def test_jpeg_ls_chest(shared_data):
    """ITK is built without JPEG-LS for 16 bits in some versions; then pydicom decodes and ITK only orders."""
    folder = shared_data / "acrin-nsclc-fdg-pet-042" / "dicom"
    ct = open_ct(folder)
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    assert ct.geometry.shape == (135, 512, 512) == (len(files), 512, 512)
    for k in (0, 21, 134):
        raw = pydicom.dcmread(files[k])
        assert ct.geometry.slice_z(k) == pytest.approx(float(raw.ImagePositionPatient[2]))
        stored = raw.pixel_array * float(raw.RescaleSlope) + float(raw.RescaleIntercept)
        np.testing.assert_array_equal(ct.slice(k), np.maximum(stored, -1024))
    assert ct.decoded_slices == 3
    said = ct.acquisition
    assert (said.kvp, said.slice_thickness_mm, said.kernel, said.age_years, said.sex) == (140, 3.75, "SOFT", 69, "M")
    assert said.contrast is None and said.osteo is None
    assert {c.outcome for c in ct.findings} == {"pass"}


def test_jpeg_ls_chest_against_simpleitk(shared_data):
    folder = shared_data / "acrin-nsclc-fdg-pet-042" / "dicom"
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    try:
        image = sitk.ReadImage(files[20:24])
    except RuntimeError as problem:
        pytest.skip(f"SimpleITK cannot read JPEG-LS here: {problem}")
    ct = open_ct(folder)
    np.testing.assert_array_equal(ct.slab(20, 24), np.maximum(sitk.GetArrayFromImage(image), -1024))
    corner = np.array(image.TransformIndexToPhysicalPoint((0, 0, 0))) * (-1, -1, 1)
    np.testing.assert_allclose(ct.geometry.ras(0, 0, 20), corner, atol=1e-3)


def test_empty_uids_contrast_and_scanner_calibration(shared_data):
    ct = open_ct(shared_data / "totalsegmentator-dicom")
    assert ct.geometry.shape == (20, 512, 512) and ct.series_instance_uid is None
    assert finding(ct, "identifiers").outcome == "warn"
    assert ct.acquisition.contrast is True and ct.acquisition.contrast_agent
    assert (ct.acquisition.osteo.slope, ct.acquisition.osteo.intercept) == (0.9236, -1.6565)
    files = sorted(
        (shared_data / "totalsegmentator-dicom").iterdir(),
        key=lambda p: float(pydicom.dcmread(p, stop_before_pixels=True).ImagePositionPatient[2]),
    )
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(files[7])))[0]
    np.testing.assert_array_equal(ct.slice(7), np.maximum(image, -1024))


def test_nifti_as_simpleitk_reads_it(shared_data):
    path = shared_data / "totalsegmentator-example" / "ct.nii.gz"
    ct = open_ct(path)
    image = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(image)
    assert ct.geometry.shape[0] == array.shape[0] == 112
    for index in ((0, 0, 0), (5, 60, 97), (121, 100, 111)):
        ras = np.array(image.TransformIndexToPhysicalPoint(index)) * (-1, -1, 1)
        i, j, k = np.round(ct.geometry.ijk(ras)).astype(int)
        assert k == index[2]
        assert ct.slice(k)[j, i] == max(array[index[::-1]], -1024)
    # A radiologist's view: the spinous processes are behind the bodies, the liver on the picture's left.
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(path.with_name("vertebral_bodies.nii.gz"))))
    rows = np.argwhere(labels[97] == 1).mean(axis=0)
    stored = np.array(image.TransformContinuousIndexToPhysicalPoint((rows[1], rows[0], 97))) * (-1, -1, 1)
    assert ct.geometry.ijk(stored)[1] > 0.4 * ct.geometry.shape[1]


def test_mixed_folder_with_segmentations(shared_data):
    ct = open_ct(shared_data / "dcmqi-ct-3slice-spine-seg")
    assert ct.geometry.shape == (3, 512, 512) and ct.acquisition.patient_position == "FFS"
    assert finding(ct, "files").outcome == "pass"


def test_opening_costs_headers_only(shared_data):
    folder = shared_data / "acrin-nsclc-fdg-pet-042" / "dicom"
    open_ct(folder)
    start = time.process_time()
    ct = open_ct(folder)
    seconds = time.process_time() - start
    assert ct.decoded_slices == 0
    assert seconds / 135 < 0.01  # measured 0.001; the pixels would be 0.02 each
