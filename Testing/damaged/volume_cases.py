"""The scan is not there, is empty or another thing, or is a damaged volume file."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .table import INPUT, LEVELS, REFUSED, USAGE, case, copied, cut_short, header_alone, measured


@case("scan that is not there", INPUT, "nowhere")
def _(sources, folder):
    return [str(folder / "nowhere"), *LEVELS, "--masks", str(sources.outlines)]


@case("scan without a name", USAGE, "no ct|name")
def _(sources, folder):
    return ["", *LEVELS, "--masks", str(sources.outlines)]


@case("name with a zero byte", INPUT, "cannot be opened")
def _(sources, folder):
    return ["ct\0.nii", *LEVELS, "--masks", str(sources.outlines)]


@case("name longer than the system allows", INPUT, "cannot be opened")
def _(sources, folder):
    return ["x" * 5000, *LEVELS, "--masks", str(sources.outlines)]


@case("empty folder", INPUT, "no |dicom")
def _(sources, folder):
    (folder / "ct").mkdir()
    return measured(folder / "ct", sources)


@case("folder of other files", INPUT, "dicom")
def _(sources, folder):
    (folder / "ct").mkdir()
    (folder / "ct" / "notes.txt").write_text("no scan here")
    (folder / "ct" / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return measured(folder / "ct", sources)


@case("folder called like a file", INPUT, "dicom")
def _(sources, folder):
    (folder / "ct.nii.gz").mkdir()
    return measured(folder / "ct.nii.gz", sources)


@case("no file but a device", INPUT, "neither a file nor a folder|empty")
def _(sources, folder):
    return measured(Path(os.devnull), sources)


@case("picture", INPUT, "dicom|ct")
def _(sources, folder):
    (folder / "ct.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    return measured(folder / "ct.png", sources)


@case("zip of a scan", INPUT, "dicom|ct")
def _(sources, folder):
    with zipfile.ZipFile(folder / "ct.zip", "w") as archive:
        archive.write(next(sources.dicom.iterdir()), "1.dcm")
    return measured(folder / "ct.zip", sources)


@case("pickle called NIfTI", INPUT, r"ct\.nii")
def _(sources, folder):
    (folder / "ct.nii").write_bytes(pickle.dumps({"__reduce__": "no"}))
    return measured(folder / "ct.nii", sources)


# ---- the scan: volume files


@case("empty NIfTI", INPUT, "empty")
def _(sources, folder):
    (folder / "ct.nii.gz").write_bytes(b"")
    return measured(folder / "ct.nii.gz", sources)


@case("text called NIfTI", INPUT, r"ct\.nii\.gz")
def _(sources, folder):
    (folder / "ct.nii.gz").write_text("this is no NIfTI file")
    return measured(folder / "ct.nii.gz", sources)


@case("NIfTI cut short", INPUT, r"ct\.nii\.gz")
def _(sources, folder):
    return measured(cut_short(copied(sources.nifti, folder), 0.5), sources)


@case("NIfTI with a broken checksum", INPUT, r"ct\.nii\.gz")
def _(sources, folder):
    path = copied(sources.nifti, folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    path.write_bytes(data)
    return measured(path, sources)


@case("NIfTI of one slice", INPUT, "dimension|slice|three")
def _(sources, folder):
    sitk.WriteImage(sitk.GetImageFromArray(sources.phantom.hu[0]), str(folder / "ct.nii.gz"))
    return measured(folder / "ct.nii.gz", sources)


@case("NIfTI with several time points", INPUT, "dimension|three")
def _(sources, folder):
    image = sitk.JoinSeries([sources.phantom.image()] * 2)
    sitk.WriteImage(image, str(folder / "ct.nii.gz"))
    return measured(folder / "ct.nii.gz", sources)


@case("NIfTI whose header claims terabytes", INPUT, r"ct\.nii")
def _(sources, folder):
    data = bytearray(gzip.decompress(sources.nifti.read_bytes()))
    data[40:56] = struct.pack("<8h", 3, 32000, 32000, 32000, 1, 1, 1, 1)
    (folder / "ct.nii").write_bytes(data[:4096])
    return measured(folder / "ct.nii", sources)


@case("NIfTI without an orientation", REFUSED, "how it lies")
def _(sources, folder):
    data = bytearray(gzip.decompress(sources.nifti.read_bytes()))
    data[252:256] = struct.pack("<2h", 0, 0)
    (folder / "ct.nii").write_bytes(data)
    return [str(folder / "ct.nii"), "--masks", str(sources.outlines), "--l1=#18"]


@case("NIfTI with a spacing of zero", INPUT, "spacing|position|geometry|read")
def _(sources, folder):
    data = bytearray(gzip.decompress(sources.nifti.read_bytes()))
    data[76:92] = struct.pack("<4f", 1, 0, 0, 0)
    data[280:328] = struct.pack("<12f", *[0.0] * 12)
    (folder / "ct.nii").write_bytes(data)
    return measured(folder / "ct.nii", sources)


@case("NIfTI with a spacing that is no number", INPUT, "spacing|position|finite|read")
def _(sources, folder):
    data = bytearray(gzip.decompress(sources.nifti.read_bytes()))
    data[76:92] = struct.pack("<4f", 1, float("nan"), float("nan"), 3)
    data[280:328] = struct.pack("<12f", *[float("nan")] * 12)
    (folder / "ct.nii").write_bytes(data)
    return measured(folder / "ct.nii", sources)


@case("NRRD without a value in it", REFUSED, "no data|air")
def _(sources, folder):
    image = sources.phantom.image(np.full(sources.phantom.hu.shape, np.nan, dtype=np.float32))
    sitk.WriteImage(image, str(folder / "ct.nrrd"))
    return measured(folder / "ct.nrrd", sources, "--force")


@case("picture in colours", INPUT, "colour|vector")
def _(sources, folder):
    image = sitk.Compose([sources.phantom.image()] * 3)
    sitk.WriteImage(image, str(folder / "ct.nrrd"))
    return measured(folder / "ct.nrrd", sources)


@case("NRRD cut short", INPUT, r"ct\.nrrd")
def _(sources, folder):
    return measured(cut_short(sources.phantom.write(folder / "ct.nrrd"), 0.4), sources)


@case("NRRD without its data file", INPUT, r"ct\.nhdr")
def _(sources, folder):
    return measured(header_alone(sources.phantom.write(folder / "ct.nhdr")), sources)


@case("NRRD that points at another file", INPUT, r"ct\.nhdr")
def _(sources, folder):
    (folder / "secret.txt").write_text("not yours")
    (folder / "ct.nhdr").write_text(
        "NRRD0004\ntype: short\ndimension: 3\nsizes: 64 64 40\nspace: left-posterior-superior\n"
        "space directions: (1,0,0) (0,1,0) (0,0,3)\nspace origin: (0,0,0)\nencoding: raw\nendian: little\n"
        "data file: secret.txt\n"
    )
    return measured(folder / "ct.nhdr", sources)


@case("NRRD whose header claims terabytes", INPUT, r"ct\.nrrd")
def _(sources, folder):
    (folder / "ct.nrrd").write_bytes(
        b"NRRD0004\ntype: short\ndimension: 3\nsizes: 100000 100000 100000\nencoding: raw\nendian: little\n\n"
        + bytes(64)
    )
    return measured(folder / "ct.nrrd", sources)


@case("MetaImage cut short", INPUT, r"ct\.mha")
def _(sources, folder):
    return measured(cut_short(sources.phantom.write(folder / "ct.mha"), 0.4), sources)


@case("MetaImage without its data file", INPUT, r"ct\.mhd")
def _(sources, folder):
    return measured(header_alone(sources.phantom.write(folder / "ct.mhd")), sources)
