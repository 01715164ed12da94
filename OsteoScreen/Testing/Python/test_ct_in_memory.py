"""A volume that another program holds: its files' headers, its own axes, and what is drawn on its slices."""

from __future__ import annotations

import json
from datetime import date
from itertools import permutations, product

import numpy as np
import pytest
from dicom_files import SYNTAXES, body, header, save, write_series
from test_ct_geometry import HU, stored_as, straight

from OsteoScreenLib.ct import (
    Acquisition,
    SiemensOsteo,
    acquisition_from_dict,
    acquisition_to_dict,
    ct_from_array,
    dicom_series_files,
    open_ct,
    open_dicom_files,
)
from OsteoScreenLib.ct.dicom import checks
from OsteoScreenLib.ct.eligibility import acquisition_checks
from OsteoScreenLib.errors import InputError, UsageError

ORDERS = [(axes, flips) for axes in permutations(range(3)) for flips in product((False, True), repeat=3)]


# -- the files of a series


def test_the_files_of_the_series_that_is_taken_come_in_the_order_of_its_slices(tmp_path):
    thick_hu, thin_hu = np.zeros((5, 16, 16), np.int16), np.zeros((21, 16, 16), np.int16)
    thick = write_series(tmp_path / "thick", thick_hu, spacing=5.0, SliceThickness=5.0)
    # Named against the order of the slices.
    thin = write_series(tmp_path / "thin", thin_hu, spacing=1.0, name=lambda k: f"{99 - k}", SliceThickness=1.0)
    files = dicom_series_files(tmp_path)
    assert files == [tmp_path / "thin" / f"{99 - k}" for k in range(21)]
    assert set(files) == set(thin) and not set(files) & set(thick)
    with pytest.raises(InputError, match="is empty"):
        (tmp_path / "none").mkdir()
        dicom_series_files(tmp_path / "none")


# -- the stored volume


@pytest.mark.parametrize(("axes", "flips"), ORDERS)
def test_a_slice_goes_to_its_voxels_and_comes_back(axes, flips):
    stored, matrix = stored_as(axes, flips, straight((4.0, -3.0, 5.0)))
    ct = ct_from_array(stored, matrix)
    for k in range(ct.geometry.shape[0]):
        i0, i1, j0, j1, k0, k1 = ct.stored_extent(k)
        block = stored[k0 : k1 + 1, j0 : j1 + 1, i0 : i1 + 1]
        np.testing.assert_array_equal(ct.from_stored(block), ct.slice(k))
        first, written = ct.to_stored(k, ct.from_stored(block))
        assert first == (i0, j0, k0)
        np.testing.assert_array_equal(written, block)
        assert np.shares_memory(written, block)


@pytest.mark.parametrize(("axes", "flips"), ORDERS)
def test_a_mask_lands_on_the_voxels_that_the_canonical_volume_shows(axes, flips):
    stored, matrix = stored_as(axes, flips, straight())
    ct = ct_from_array(stored, matrix)
    k = 2
    mask = np.zeros(ct.geometry.shape[1:], np.uint8)
    mask[1, 2] = mask[3, 0] = 1
    drawn = np.zeros(stored.shape, np.uint8)
    (i, j, first), block = ct.to_stored(k, mask)
    slices, rows, columns = block.shape
    drawn[first : first + slices, j : j + rows, i : i + columns] = block
    seen = ct_from_array(drawn, matrix).volume()
    np.testing.assert_array_equal(seen[k], mask)
    assert seen.sum() == 2


def test_what_does_not_fit_is_a_usage_error():
    ct = ct_from_array(HU, straight())
    slices, rows, columns = ct.geometry.shape
    with pytest.raises(UsageError, match="There is no slice"):
        ct.stored_extent(slices)
    with pytest.raises(UsageError, match="There is no slice"):
        ct.to_stored(-1, np.zeros((rows, columns)))
    with pytest.raises(UsageError, match="measure"):
        ct.to_stored(0, np.zeros((columns, rows)))
    for block in (np.zeros((2, rows, columns)), np.zeros((rows, columns)), np.zeros((rows, columns, 1))):
        with pytest.raises(UsageError, match="no slice of this CT"):
            ct.from_stored(block)


# -- the headers of a volume's files


def test_files_are_opened_as_their_folder_is(tmp_path):
    paths = write_series(tmp_path / "series", body(), ContrastBolusAgent="Iodine")
    told = []
    by_files = open_dicom_files(reversed(paths), lambda *step: told.append(step))
    by_folder = open_ct(tmp_path / "series")
    assert by_files.acquisition == by_folder.acquisition
    assert by_files.findings == by_folder.findings
    assert by_files.describe() == by_folder.describe()
    assert by_files.path == str(tmp_path / "series")
    np.testing.assert_array_equal(by_files.geometry.ijk_to_ras, by_folder.geometry.ijk_to_ras)
    np.testing.assert_array_equal(by_files.slice(2), by_folder.slice(2))
    assert told[-1] == ("Reading headers", 6, 6)


def test_only_the_files_named_are_looked_at(tmp_path):
    paths = write_series(tmp_path, body(), series="1.2.3.4")
    write_series(tmp_path, body(4, seed=1), series="1.2.3.5", name=lambda k: f"other{k}")
    ct = open_dicom_files([str(path) for path in paths] + [str(paths[0])])
    assert ct.series_instance_uid == "1.2.3.4"
    assert ct.geometry.shape[0] == 6
    assert ct.path == str(tmp_path)


def test_files_in_several_folders_are_one_series(tmp_path):
    upper = write_series(tmp_path / "a", body(6), series="1.2.3.4", name=lambda k: f"{k}")
    for path in upper[3:]:
        (tmp_path / "b").mkdir(exist_ok=True)
        path.rename(tmp_path / "b" / path.name)
    moved = [*upper[:3], *sorted((tmp_path / "b").iterdir())]
    ct = open_dicom_files(moved)
    assert ct.geometry.shape[0] == 6
    assert ct.path == str(tmp_path)


def test_pixels_that_cannot_be_decoded_here_cost_the_pixels_only(tmp_path, monkeypatch):
    paths = write_series(tmp_path, body(), syntax=SYNTAXES["RLE"])
    monkeypatch.setattr(checks, "can_decode", lambda syntax: False)
    with pytest.raises(InputError, match="cannot be decoded here"):
        open_ct(tmp_path)
    ct = open_dicom_files(paths)
    assert ct.acquisition.kvp == 120.0
    monkeypatch.setattr("OsteoScreenLib.ct.dicom.pixels.decoded", lambda *_: 1 / 0)
    with pytest.raises(InputError):
        ct.slice(0)


def test_files_that_are_no_one_series_are_input_errors(tmp_path):
    one = write_series(tmp_path / "one", body(), series="1.2.3.4")
    two = write_series(tmp_path / "two", body(), series="1.2.3.5")
    with pytest.raises(InputError, match="of 2 series"):
        open_dicom_files([*one, *two])
    text = tmp_path / "notes.txt"
    text.write_text("nothing")
    with pytest.raises(InputError, match="not DICOM"):
        open_dicom_files([text])
    with pytest.raises(InputError, match="0 files"):
        open_dicom_files([])
    with pytest.raises(InputError, match="cannot be opened"):
        open_dicom_files([tmp_path / "gone.dcm"])


def test_a_file_left_out_is_found(tmp_path):
    paths = write_series(tmp_path, body())
    paths[3].write_bytes(paths[3].read_bytes()[:-200])
    ct = open_dicom_files(paths)
    found = {finding.check: finding.outcome for finding in ct.findings}
    assert found["files"] == "refuse"
    assert found["gaps"] != "pass"


def test_other_modalities_are_left_to_the_checks(tmp_path):
    paths = write_series(tmp_path, body(), Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    ct = open_dicom_files(paths)
    modality = next(check for check in acquisition_checks(ct) if check.check == "modality")
    assert modality.outcome == "refuse"


def test_a_single_file_without_a_place_is_no_ct(tmp_path):
    capture = header(ImagePositionPatient=None, ImageOrientationPatient=None, SeriesInstanceUID="1.2.3")
    path = save(capture, np.zeros((40, 36), np.int16), tmp_path / "capture.dcm")
    with pytest.raises(InputError, match="without a position"):
        open_dicom_files([path])


def test_an_array_and_the_headers_of_its_files_make_a_ct(tmp_path):
    hu = body()
    read = open_dicom_files(write_series(tmp_path, hu, KVP="80"))
    ct = ct_from_array(
        hu,
        read.geometry.ijk_to_ras,
        read.acquisition,
        findings=read.findings,
        path=read.path,
        kind="dicom",
        series_instance_uid=read.series_instance_uid,
    )
    described = ct.describe()
    assert (described.kind, described.series_instance_uid) == ("dicom", read.series_instance_uid)
    assert (described.path, described.kvp) == (str(tmp_path), 80.0)
    assert acquisition_checks(ct, age_years=64.0) == acquisition_checks(read, age_years=64.0)
    plain = ct_from_array(hu, read.geometry.ijk_to_ras)
    assert (plain.kind, plain.series_instance_uid, plain.findings) == ("memory", None, ())


# -- the acquisition as JSON

EVERYTHING = Acquisition(
    modality="CT", kvp=120.0, slice_thickness_mm=1.25, kernel="Br40\\3", contrast=False, contrast_agent="none",
    manufacturer="Hersteller Müller", model_name="M", scanner_id="4711", age_years=64.5, sex="F",
    study_date=date(2024, 6, 15), series_description="Thorax", patient_position="HFS", tube_current_mas=60.0,
    gantry_tilt_deg=-0.5, image_type=("ORIGINAL", "PRIMARY"), photometric="MONOCHROME2", rescale_type="HU",
    osteo=SiemensOsteo(0.8, -3.0, 12, 1.5),
)  # fmt: skip


@pytest.mark.parametrize("acquisition", [EVERYTHING, Acquisition(), Acquisition(osteo=SiemensOsteo(0.8, -3.0))])
def test_an_acquisition_goes_through_json(acquisition):
    text = json.dumps(acquisition_to_dict(acquisition), allow_nan=False)
    assert acquisition_from_dict(json.loads(text)) == acquisition


def test_unknown_keys_are_ignored_and_missing_ones_not_said():
    assert acquisition_from_dict({"kvp": 100, "dose": "low", "osteo": {"slope": 1, "intercept": 0, "x": 1}}) == (
        Acquisition(kvp=100.0, osteo=SiemensOsteo(1.0, 0.0))
    )


@pytest.mark.parametrize(
    "document",
    [
        {"kvp": "120"}, {"kvp": True}, {"kvp": float("nan")}, {"contrast": 0}, {"modality": 3},
        {"study_date": "15.6.24"}, {"study_date": 20240615}, {"image_type": "ORIGINAL"}, {"image_type": [1]},
        {"image_type": None}, {"osteo": [1, 2]}, {"osteo": {"slope": None, "intercept": 0}},
        {"osteo": {"slope": 1.0, "intercept": 0, "phantom": 1.5}}, {"osteo": {"intercept": 0.0}}, [], None,
    ],
)  # fmt: skip
def test_values_of_another_type_are_input_errors(document):
    with pytest.raises(InputError):
        acquisition_from_dict(document)
