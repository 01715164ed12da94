"""NRRD, MetaImage and NIfTI: read as SimpleITK reads them, and refused with a sentence where they are no CT."""

from __future__ import annotations

import gzip
import math
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import body

from OsteoScreenLib.ct import open_ct
from OsteoScreenLib.errors import InputError, UsageError

HU = body(9, 12, 10)
SUFFIXES = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd")


def image_of(array=HU, **placement):
    image = sitk.GetImageFromArray(array)
    if image.GetDimension() == 3:
        image.SetSpacing(placement.get("spacing", (0.7, 0.8, 2.0)))
        image.SetOrigin((-100.0, -90.0, -500.0))
    return image


def write(folder, suffix, array=HU, compress=True, **placement):
    path = folder / f"ct{suffix}"
    sitk.WriteImage(image_of(array, **placement), str(path), compress)
    return path


def finding(ct, name):
    return next((c for c in ct.findings if c.check == name), None)


@pytest.mark.parametrize("compress", [True, False], ids=["packed", "plain"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_slices_are_those_of_simpleitk(tmp_path, suffix, compress):
    ct = open_ct(write(tmp_path, suffix, compress=compress))
    assert ct.kind == {"n": "nrrd", "i": "nifti", "m": "metaimage"}[suffix[1] if suffix[1:3] != "ni" else "i"]
    assert ct.decoded_slices == 0
    np.testing.assert_array_equal(ct.slice(6), HU[6])
    np.testing.assert_array_equal(ct.volume(), HU)
    np.testing.assert_allclose(ct.geometry.ras(0, 0, 0), (100, 90, -500), atol=1e-4)
    assert ct.geometry.spacing_mm == pytest.approx((0.7, 0.8, 2.0))
    assert not [c for c in ct.findings if c.outcome != "pass"]
    described = ct.describe()
    assert (
        described.slices == 9 and described.contrast is None and described.kvp is None and len(described.sha256) == 64
    )


@pytest.mark.parametrize("suffix", [".nii", ".mha", ".mhd"])
def test_single_slices_are_read_where_the_format_allows(tmp_path, suffix):
    ct = open_ct(write(tmp_path, suffix, compress=False))
    ct.slice(3)
    ct.slice(7)
    assert ct.decoded_slices == 2


def test_nifti_with_a_scale_is_in_hu(tmp_path):
    path = write(tmp_path, ".nii", (HU + 1024).astype(np.int16), compress=False)
    data = bytearray(path.read_bytes())
    struct.pack_into("<2f", data, 112, 1.0, -1024.0)
    path.write_bytes(data)
    np.testing.assert_array_equal(open_ct(path).volume(), HU)


@pytest.mark.parametrize("codes", [(1, 0), (0, 1)], ids=["qform", "sform"])
def test_nifti_by_either_form(tmp_path, codes):
    path = write(tmp_path, ".nii", compress=False)
    data = bytearray(path.read_bytes())
    struct.pack_into("<2h", data, 252, *codes)
    path.write_bytes(data)
    ct = open_ct(path)
    np.testing.assert_allclose(ct.geometry.ras(0, 0, 0), (100, 90, -500), atol=1e-4)
    assert finding(ct, "orientation") is None


def without_orientation(path):
    if path.suffix == ".nii":
        data = bytearray(path.read_bytes())
        struct.pack_into("<2h", data, 252, 0, 0)
        path.write_bytes(data)
    elif path.suffix == ".nrrd":
        head, body_bytes = path.read_bytes().split(b"\n\n", 1)
        lines = [line for line in head.split(b"\n") if not line.startswith((b"space", b"kinds"))]
        path.write_bytes(b"\n".join([*lines, b"spacings: 0.7 0.8 2"]) + b"\n\n" + body_bytes)
    else:
        lines = path.read_bytes().split(b"\n", 12)
        kept = [line for line in lines if not line.startswith((b"TransformMatrix", b"AnatomicalOrientation"))]
        path.write_bytes(b"\n".join(kept))


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_missing_orientation_is_refused_never_assumed(tmp_path, suffix):
    path = write(tmp_path, suffix, compress=False)
    without_orientation(path)
    check = finding(open_ct(path), "orientation")
    assert check.outcome == "refuse" and "left" in check.message


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_unsigned_numbers_cannot_be_hu(tmp_path, dtype):
    assert finding(open_ct(write(tmp_path, ".nrrd", HU.astype(dtype))), "rescale").outcome == "refuse"


def test_wrong_unit_is_refused(tmp_path):
    ct = open_ct(write(tmp_path, ".nrrd", spacing=(0.0007, 0.0008, 0.002)))
    assert finding(ct, "pixel_size").outcome == "refuse"


def test_four_dimensions_of_one_volume_are_read(tmp_path):
    path = tmp_path / "one.nii.gz"
    sitk.WriteImage(sitk.JoinSeries([image_of()]), str(path))
    np.testing.assert_array_equal(open_ct(path).slice(4), HU[4])


def many_volumes(folder):
    sitk.WriteImage(sitk.JoinSeries([image_of(), image_of()]), str(folder / "ct.nrrd"))
    return folder / "ct.nrrd"


def colours(folder):
    image = sitk.Compose([image_of()] * 3)
    sitk.WriteImage(image, str(folder / "ct.mha"))
    return folder / "ct.mha"


def one_slice(folder):
    sitk.WriteImage(sitk.GetImageFromArray(HU[0]), str(folder / "ct.nrrd"))
    return folder / "ct.nrrd"


def edited(suffix, old, new):
    def make(folder):
        path = write(folder, suffix, compress=False)
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new, 1))
        return path

    return make


def cut(suffix, compress, keep):
    def make(folder):
        path = write(folder, suffix, compress=compress)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * keep)])
        return path

    return make


def holding(name, content):
    def make(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return make


def nifti_field(offset, layout, *values):
    def make(folder):
        path = write(folder, ".nii", compress=False)
        data = bytearray(path.read_bytes())
        struct.pack_into(layout, data, offset, *values)
        path.write_bytes(data)
        return path

    return make


def data_file_gone(folder):
    path = write(folder, ".mhd", compress=False)
    (folder / "ct.raw").unlink()
    return path


def data_file_is_a_link_out(folder):
    path = write(folder, ".mhd", compress=False)
    outside = folder.with_name(folder.name + "-outside")
    (folder / "ct.raw").rename(outside)
    (folder / "ct.raw").symlink_to(outside)
    return path


def packed_field(offset, layout, *values):
    """Set a field of a packed NIfTI's header."""

    def make(folder):
        path = write(folder, ".nii.gz")
        data = bytearray(gzip.decompress(path.read_bytes()))
        struct.pack_into(layout, data, offset, *values)
        path.write_bytes(gzip.compress(data))
        return path

    return make


def packed_bomb(folder):
    path = write(folder, ".nii.gz")
    path.write_bytes(path.read_bytes() + gzip.compress(bytes(80 << 20)))
    return path


DAMAGED = {
    "4d": many_volumes,
    "colour": colours,
    "2d": one_slice,
    "cut nrrd": cut(".nrrd", False, 0.6),
    "cut packed nrrd": cut(".nrrd", True, 0.6),
    "cut nrrd header": cut(".nrrd", False, 0.02),
    "cut nifti": cut(".nii", False, 0.6),
    "cut packed nifti": cut(".nii.gz", True, 0.6),
    "cut nifti header": cut(".nii", False, 0.05),
    "cut mha": cut(".mha", False, 0.6),
    "cut packed mha": cut(".mha", True, 0.6),
    "data file gone": data_file_gone,
    "data file elsewhere": edited(".mhd", b"ct.raw", b"/etc/passwd"),
    "data file above": edited(".nhdr", b"ct.raw", b"../../../../etc/passwd"),
    "data files by pattern": edited(".mhd", b"ct.raw", b"ct.%03d.raw 1 9 1"),
    "data file that is a link out": data_file_is_a_link_out,
    "packed nifti without end": packed_bomb,
    "packed nifti with voxels at nan": packed_field(108, "<f", math.nan),
    "packed nifti with voxels at infinity": packed_field(108, "<f", math.inf),
    "enormous nrrd": edited(".nrrd", b"sizes: 10 12 9", b"sizes: 99999 99999 99999"),
    "enormous mha": edited(".mha", b"DimSize = 10 12 9", b"DimSize = 99999 99999 99999"),
    "negative size": edited(".nrrd", b"sizes: 10 12 9", b"sizes: 10 -12 9"),
    "nrrd of blocks": edited(".nrrd", b"type: short", b"type: block"),
    "nan direction": edited(".nrrd", b"(0.69999999999999996,0,0)", b"(nan,0,0)"),
    "zero spacing": edited(".nrrd", b"(0.69999999999999996,0,0)", b"(0,0,0)"),
    "sheared": edited(".nrrd", b"(0,0,2)", b"(0,1,2)"),
    "nan origin": edited(".nrrd", b"(-100,-90,-500)", b"(nan,-90,-500)"),
    "nifti of no size": nifti_field(40, "<8h", 3, 10, 12, -9, 1, 1, 1, 1),
    "enormous nifti": nifti_field(40, "<8h", 3, 32000, 32000, 32000, 1, 1, 1, 1),
    "nifti of no magic": nifti_field(344, "4s", b"abcd"),
    "zeros as nifti": holding("a.nii", bytes(4000)),
    "text as nrrd": holding("a.nrrd", b"hello\n"),
    "text as packed nifti": holding("a.nii.gz", b"hello\n"),
    "text packed as nifti": holding("a.nii.gz", gzip.compress(b"hello\n")),
    "binary as mha": holding("a.mha", bytes(range(256)) * 20),
    "text as mhd": holding("a.mhd", b"ObjectType = Image\n"),
    "png": holding("a.png", b"\x89PNG\r\n\x1a\n" + bytes(100)),
    "empty file": holding("a.nrrd", b""),
}


@pytest.mark.parametrize("make", DAMAGED.values(), ids=DAMAGED)
def test_damage_ends_in_one_sentence(tmp_path, make, capfd):
    path = make(tmp_path)
    with pytest.raises(InputError) as caught:
        open_ct(path).volume()
    message = str(caught.value)
    assert path.name in message and message.endswith(".") and "\n" not in message and len(message) < 250
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize("name", ["data file elsewhere", "data file above", "data file that is a link out"])
def test_of_a_data_file_elsewhere_not_even_the_length_is_asked(tmp_path, name):
    with pytest.raises(InputError, match="elsewhere than in one file beside it"):
        open_ct(DAMAGED[name](tmp_path))


def test_separate_data_file_is_part_of_the_hash(tmp_path):
    path = write(tmp_path, ".mhd", compress=False)
    first = open_ct(path).sha256()
    data = bytearray((tmp_path / "ct.raw").read_bytes())
    data[100] ^= 1
    (tmp_path / "ct.raw").write_bytes(data)
    assert open_ct(path).sha256() != first


def test_series_is_for_dicom_only(tmp_path):
    with pytest.raises(UsageError, match="DICOM only"):
        open_ct(write(tmp_path, ".nrrd"), series="1.2.3")
