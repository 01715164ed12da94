"""DICOM: found in folders, sorted by position, chosen among series, decoded only where needed."""

from __future__ import annotations

import os

import numpy as np
import pydicom
import pytest
from dicom_files import AXIAL, SYNTAXES, body, header, save, write_enhanced, write_series

from OsteoScreenLib.ct import OUTSIDE_HU, ct_from_array, open_ct
from OsteoScreenLib.ct.eligibility import acquisition_checks
from OsteoScreenLib.errors import InputError, UsageError

HU = body(8)


def finding(ct, name):
    return next((c for c in ct.findings if c.check == name), None)


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_every_transfer_syntax(tmp_path, syntax, signed):
    values = {} if signed else {"PixelRepresentation": 0, "RescaleIntercept": "-1024"}
    write_series(tmp_path, HU[:3], syntax=syntax, **values)
    ct = open_ct(tmp_path)
    np.testing.assert_array_equal(ct.volume(), HU[:3])
    assert finding(ct, "compression") is None


@pytest.mark.parametrize("name", ["explicit little endian", "RLE", "JPEG 2000", "JPEG-LS"])
def test_enhanced_multiframe(tmp_path, name):
    write_enhanced(tmp_path / "enhanced.dcm", HU, syntax=SYNTAXES[name], shuffle=True)
    ct = open_ct(tmp_path / "enhanced.dcm")
    np.testing.assert_array_equal(ct.slice(5), HU[5])
    assert ct.decoded_slices == 1
    np.testing.assert_array_equal(ct.volume(), HU)
    assert ct.geometry.spacing_mm == pytest.approx((0.7, 0.8, 2.0))
    assert (ct.acquisition.kvp, ct.acquisition.slice_thickness_mm, ct.acquisition.kernel) == (120.0, 2.0, "Br38f")
    assert finding(ct, "rescale").outcome == "warn"  # every frame has its own intercept here
    assert open_ct(tmp_path).sha256() == ct.sha256()


def test_sorted_by_position_never_by_name_or_instance_number(tmp_path):
    def number_wrongly(dataset, k):
        dataset.InstanceNumber = (k * 5) % 8

    write_series(tmp_path, HU, name=lambda k: f"{(k * 3) % 8}.dcm", edit=number_wrongly)
    np.testing.assert_array_equal(open_ct(tmp_path).volume(), HU)


@pytest.mark.parametrize(
    ("position", "orientation"),
    [("FFS", (-1, 0, 0, 0, 1, 0)), ("HFP", (-1, 0, 0, 0, -1, 0)), ("HFDR", (0, -1, 0, 1, 0, 0)), ("HFS", AXIAL)],
)
def test_patient_positions_give_the_radiologists_view(tmp_path, position, orientation):
    write_series(tmp_path, HU, orientation=orientation, PatientPosition=position)
    ct = open_ct(tmp_path)
    columns, rows, _, _ = ct.geometry.ijk_to_ras.T
    assert columns[0] < 0 and rows[1] < 0
    stored = pydicom.dcmread(tmp_path / "IM0000")
    corner = np.array(stored.ImagePositionPatient) * (-1, -1, 1)
    i, j, k = np.round(ct.geometry.ijk(corner)).astype(int)
    assert ct.slice(k)[j, i] == HU[0, 0, 0]
    assert ct.acquisition.patient_position == position


def test_only_the_needed_slices_are_decoded(tmp_path):
    paths = write_series(tmp_path, HU)
    for k in (0, 1, 2, 4, 6, 7):  # ruin every other slice's pixels, not its length
        data = bytearray(paths[k].read_bytes())
        data[-HU[0].nbytes :] = os.urandom(HU[0].nbytes)
        paths[k].write_bytes(data)
    steps = []
    ct = open_ct(tmp_path, progress=lambda *step: steps.append(step))
    assert ct.decoded_slices == 0
    np.testing.assert_array_equal(ct.slice(3), HU[3])
    np.testing.assert_array_equal(ct.slice(5), HU[5])
    ct.slice(3)
    ct.sha256()
    assert ct.decoded_slices == 2
    assert steps[-1] == ("Reading headers", 8, 8)


def test_folder_with_everything_in_it(tmp_path):
    write_series(tmp_path / "a" / "b c", HU, name=lambda k: f"{k}", series="1.2.840.1")
    write_series(tmp_path / "scout", HU[:1], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], series="1.2.840.2")
    report = header(Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", SeriesInstanceUID="1.2.840.3")
    del report.BitsAllocated
    report.file_meta = pydicom.dataset.FileMetaDataset()
    report.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID
    report.SOPInstanceUID = report.file_meta.MediaStorageSOPInstanceUID = "1.2.840.3.1"
    report.save_as(tmp_path / "report.dcm", enforce_file_format=True)
    capture = header(SOPClassUID="1.2.840.10008.5.1.4.1.1.7", ImagePositionPatient=[0, 0, 0], SamplesPerPixel=3)
    save(capture, np.zeros((8, 8, 3), np.uint8), tmp_path / "capture.dcm")
    (tmp_path / "DICOMDIR").write_bytes(b"not really")
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "device").symlink_to("/dev/zero")
    ct = open_ct(tmp_path)
    np.testing.assert_array_equal(ct.volume(), HU)
    assert ct.series_instance_uid == "1.2.840.1" and ct.kind == "dicom"
    assert finding(ct, "files").outcome == "pass"
    assert {c.outcome for c in ct.findings} == {"pass"}
    assert open_ct(tmp_path / "a" / "b c" / "4").sha256() == ct.sha256()


def test_one_file_stands_for_its_series(tmp_path):
    write_series(tmp_path, HU, series="1.2.1", name=lambda k: f"a{k}")
    write_series(tmp_path, HU[:4] + 1, series="1.2.2", name=lambda k: f"b{k}", SliceThickness="1")
    ct = open_ct(tmp_path / "a3")
    assert ct.series_instance_uid == "1.2.1" and ct.geometry.shape[0] == 8


SERIES = {
    "soft": {"SliceThickness": "2", "ConvolutionKernel": "Br38f"},
    "thick": {"SliceThickness": "5", "ConvolutionKernel": "Br38f"},
    "lung": {"SliceThickness": "1", "ConvolutionKernel": "Bl57d"},
    "coronal": {"SliceThickness": "1", "ConvolutionKernel": "Br38f", "orientation": (1, 0, 0, 0, 0, -1)},
    "reformat": {"SliceThickness": "1", "ImageType": ["DERIVED", "SECONDARY", "MPR"]},
    "contrast": {"SliceThickness": "1", "ContrastBolusAgent": "Ultravist 370"},
    "pet": {"SliceThickness": "1", "Modality": "PT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.128"},
    "detail": {"SliceThickness": "1", "ConvolutionKernel": "Br38f", "slices": 3},
}


def write_choices(folder, names):
    for n, name in enumerate(names):
        values = dict(SERIES[name])
        write_series(folder / str(n), HU[: values.pop("slices", 8)], series=f"1.2.3.{name_uid(name)}", **values)


def name_uid(name):
    return 1 + list(SERIES).index(name)


@pytest.mark.parametrize("other", [n for n in SERIES if n != "soft"])
def test_the_thinnest_axial_soft_kernel_ct_is_chosen(tmp_path, other):
    write_choices(tmp_path, (other, "soft"))
    ct = open_ct(tmp_path)
    assert ct.series_instance_uid == f"1.2.3.{name_uid('soft')}"
    assert f"1.2.3.{name_uid(other)}" in finding(ct, "series").message
    chosen = open_ct(tmp_path, series=f"1.2.3.{name_uid(other)}")
    assert chosen.series_instance_uid == f"1.2.3.{name_uid(other)}"


def test_unknown_series_lists_the_choices(tmp_path):
    write_choices(tmp_path, ("soft", "lung"))
    with pytest.raises(UsageError, match=r"1\.2\.3\.1 \(8 slices, 2 mm, kernel Br38f\).*1\.2\.3\.3"):
        open_ct(tmp_path, series="9.9")


def test_series_without_any_uid_are_told_apart_by_their_tags(tmp_path):
    nothing = {"series": "", "StudyInstanceUID": "", "SOPInstanceUID": ""}
    write_series(tmp_path / "a", HU, **nothing)
    write_series(tmp_path / "b", HU + 1, **nothing, ConvolutionKernel="Bl57d", SliceThickness="1")
    ct = open_ct(tmp_path)
    np.testing.assert_array_equal(ct.volume(), HU)
    assert ct.series_instance_uid is None
    assert finding(ct, "identifiers").outcome == "warn"
    other = open_ct(tmp_path, series="#2")
    np.testing.assert_array_equal(other.volume(), HU + 1)
    assert other.sha256() != ct.sha256()


def write_tilted(folder, degrees):
    tilt = np.radians(degrees)
    orientation = (1, 0, 0, 0, np.cos(tilt), -np.sin(tilt))
    write_series(folder, HU, orientation=orientation, step=np.array([0, 0, 2.0]), GantryDetectorTilt=str(degrees))


@pytest.mark.parametrize(("degrees", "expected"), [(0, "pass"), (15, "warn"), (24, "refuse")])
def test_files_and_the_array_of_their_scan_are_judged_alike(tmp_path, degrees, expected):
    """To screen the one and refuse the other would be two judgements."""
    write_tilted(tmp_path, degrees)
    read = open_ct(tmp_path)
    assert finding(read, "tilt").outcome == expected
    held = {check.check: check for check in acquisition_checks(ct_from_array(HU, read.geometry.ijk_to_ras))}
    for name in ("tilt", "gaps"):
        found = finding(read, name)
        assert (held[name].outcome, held[name].message) == (found.outcome, found.message)
        assert held[name].value == pytest.approx(found.value)


def test_tilted_gantry_keeps_true_positions(tmp_path):
    write_tilted(tmp_path, 15)
    ct = open_ct(tmp_path)
    assert finding(ct, "tilt").outcome == "warn"
    assert ct.geometry.tilt_deg == pytest.approx(15, abs=0.1)
    np.testing.assert_allclose(ct.geometry.ras(0, 0, 7), (100, 90, -486), atol=1e-3)
    assert ct.acquisition.gantry_tilt_deg == 15.0


@pytest.mark.parametrize(("missing", "outcome"), [((3,), "warn"), ((1, 2, 3, 4, 5, 6), "refuse")])
def test_gaps(tmp_path, missing, outcome):
    paths = write_series(tmp_path, body(12))
    for k in missing:
        paths[k].unlink()
    ct = open_ct(tmp_path)
    assert finding(ct, "gaps").outcome == outcome
    kept = [k for k in range(12) if k not in missing]
    np.testing.assert_allclose([ct.geometry.slice_z(n) for n in range(len(kept))], [-500 + 2 * k for k in kept])
    np.testing.assert_array_equal(ct.slice(2), body(12)[kept[2]])


def test_uneven_spacing_keeps_each_position(tmp_path):
    def shift(dataset, k):
        if k == 4:
            dataset.ImagePositionPatient[2] += 0.6

    write_series(tmp_path, HU, edit=shift)
    ct = open_ct(tmp_path)
    assert finding(ct, "gaps").outcome == "warn"
    assert ct.geometry.slice_z(4) == pytest.approx(-491.4)


def test_same_file_twice_is_read_once(tmp_path):
    write_series(tmp_path / "a", HU, series="1.2.5", edit=lambda d, k: setattr(d, "SOPInstanceUID", f"1.2.5.{k}"))
    write_series(tmp_path / "b", HU, series="1.2.5", edit=lambda d, k: setattr(d, "SOPInstanceUID", f"1.2.5.{k}"))
    ct = open_ct(tmp_path)
    np.testing.assert_array_equal(ct.volume(), HU)
    assert finding(ct, "duplicates").outcome == "pass"


def test_two_acquisitions_in_one_series_are_parted(tmp_path):
    write_series(tmp_path / "a", HU, series="1.2.5", AcquisitionNumber="1")
    write_series(tmp_path / "b", HU + 100, series="1.2.5", AcquisitionNumber="2")
    ct = open_ct(tmp_path)
    np.testing.assert_array_equal(ct.volume(), HU)
    assert finding(ct, "duplicates").outcome == "warn"


def test_different_images_in_the_same_place_are_refused(tmp_path):
    write_series(tmp_path / "a", HU, series="1.2.5")
    write_series(tmp_path / "b", HU + 100, series="1.2.5")
    ct = open_ct(tmp_path)
    assert ct.geometry.shape[0] == 8
    assert finding(ct, "duplicates").outcome == "refuse"


@pytest.mark.parametrize(
    "unlike",
    [
        {"PixelSpacing": [0.9, 0.9]},
        {"ConvolutionKernel": "Bl57d"},
        {"SliceThickness": "5"},
        {"orientation": (1, 0, 0, 0, 0, -1)},
    ],
)
def test_unlike_images_of_a_series_are_left_out_and_told(tmp_path, unlike):
    write_series(tmp_path / "a", HU, series="1.2.5")
    write_series(tmp_path / "b", HU[:2], series="1.2.5", origin=(-100, -90, -700), **unlike)
    ct = open_ct(tmp_path)
    np.testing.assert_array_equal(ct.volume(), HU)
    assert finding(ct, "mixed_series").outcome == "warn" and finding(ct, "mixed_series").value == 2
    second = open_ct(tmp_path, series="1.2.5#2")
    assert 2 in second.geometry.shape and finding(second, "mixed_series").value == 8


def test_images_of_another_size_are_left_out(tmp_path):
    write_series(tmp_path / "a", HU, series="1.2.5")
    write_series(tmp_path / "b", HU[:2, :12, :10], series="1.2.5", origin=(-100, -90, -700))
    assert open_ct(tmp_path).geometry.shape == HU.shape


def test_each_slice_has_its_own_rescale(tmp_path):
    def rescale(dataset, k):
        dataset.RescaleSlope, dataset.RescaleIntercept = (1, -1024) if k % 2 else (0.5, 10)

    write_series(tmp_path, HU, edit=rescale)
    ct = open_ct(tmp_path)
    np.testing.assert_array_equal(ct.volume(), HU)
    assert finding(ct, "rescale").outcome == "warn"


@pytest.mark.parametrize(
    "values",
    [
        {"RescaleSlope": None},
        {"RescaleIntercept": None},
        {"RescaleSlope": None, "RescaleIntercept": None},
        {"RescaleSlope": "0"},
        {"RescaleType": "US"},
    ],
)
def test_no_line_to_hu_is_refused_never_guessed(tmp_path, values):
    write_series(tmp_path, HU, **values)
    assert finding(open_ct(tmp_path), "rescale").outcome == "refuse"


def test_monochrome1_is_refused_with_the_reason(tmp_path):
    write_series(tmp_path, HU, PhotometricInterpretation="MONOCHROME1")
    check = finding(open_ct(tmp_path), "photometric")
    assert check.outcome == "refuse" and "MONOCHROME1" in check.message


def test_padding_becomes_air(tmp_path):
    hu = HU.copy()
    hu[:, :3, :3] = -2000
    write_series(tmp_path / "value", hu, edit=lambda d, k: setattr(d, "PixelPaddingValue", -2000))
    assert (open_ct(tmp_path / "value").slice(2)[:3, :3] == OUTSIDE_HU).all()

    def pad_above(dataset, k):
        dataset.PixelPaddingValue, dataset.PixelPaddingRangeLimit = 30000, 30010

    hu[:, :3, :3] = 30005
    write_series(tmp_path / "range", hu, edit=pad_above)
    image = open_ct(tmp_path / "range").slice(2)
    assert (image[:3, :3] == OUTSIDE_HU).all()
    np.testing.assert_array_equal(image[3:], HU[2, 3:])


def test_padding_that_is_tissue_is_kept(tmp_path):
    write_series(tmp_path, HU, edit=lambda d, k: setattr(d, "PixelPaddingValue", 0))
    ct = open_ct(tmp_path)
    np.testing.assert_array_equal(ct.volume(), HU)
    assert finding(ct, "padding").outcome == "warn"


@pytest.mark.parametrize("signed", [True, False])
def test_unused_bits_are_ignored(tmp_path, signed):
    """Old scanners kept overlays in the four bits above the pixel's twelve."""
    stored = (HU[0] if signed else HU[0] + 1024).astype(np.int16).view(np.uint16) & 0x0FFF | 0x5000
    for k in range(2):
        values = header(BitsStored=12, HighBit=11, PixelRepresentation=int(signed), SeriesInstanceUID="1.2")
        values.RescaleIntercept = "0" if signed else "-1024"
        values.ImagePositionPatient = [0, 0, k]
        save(values, stored, tmp_path / str(k))
    np.testing.assert_array_equal(open_ct(tmp_path).slice(1), HU[0])


def test_hash_changes_with_the_pixels_and_not_with_the_folder(tmp_path):
    edit = lambda d, k: setattr(d, "SOPInstanceUID", f"1.2.{k}")  # noqa: E731
    write_series(tmp_path / "a", HU, series="1.2.5", edit=edit)
    write_series(tmp_path / "b" / "c", HU, series="1.2.5", edit=edit, name=lambda k: f"{9 - k}")
    changed = HU.copy()
    changed[4, 12, 10] += 1
    write_series(tmp_path / "d", changed, series="1.2.5", edit=edit)
    first, same, other = (open_ct(tmp_path / n).sha256() for n in "abd")
    assert first == same != other


def test_single_slice(tmp_path):
    write_series(tmp_path, HU[:1])
    ct = open_ct(tmp_path)
    assert ct.geometry.shape == (1, 40, 36) and ct.geometry.spacing_mm[2] == 2.0
    assert finding(ct, "gaps").outcome == "warn"


def test_file_without_its_preamble(tmp_path):
    for path in write_series(tmp_path, HU):
        dataset = pydicom.dcmread(path)
        del dataset.file_meta
        dataset.preamble = None
        dataset.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
        assert path.read_bytes()[:2] == b"\x08\0"
    np.testing.assert_array_equal(open_ct(tmp_path).volume(), HU)


def test_no_position_is_no_ct(tmp_path):
    write_series(tmp_path, HU, edit=lambda d, k: delattr(d, "ImagePositionPatient"))
    with pytest.raises(InputError, match="without a position"):
        open_ct(tmp_path)
