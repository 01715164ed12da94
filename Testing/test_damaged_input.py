"""Damaged, wrong, hostile, empty and mislabelled input: the right exit code and one clear sentence, nothing else.

Every case runs the whole command in this process, and a few of them again as a process of their own. Each says what
is done to the input, the exit code, and what the sentence has to name (a pattern, looked for in any case).
"""

from __future__ import annotations

import gzip
import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
from dicom_files import header, save, write_series
from phantom_ct import CENTRES, ORIGIN_RAS, PIXEL_MM, SLICE_MM, Phantom, make_phantom
from pydicom.uid import MRImageStorage, SecondaryCaptureImageStorage, generate_uid
from tiny_bundle import silent_network, write_tiny_bundle
from tiny_classifier import write_tiny_classifier

from OsteoScreenLib import errors
from OsteoScreenLib.cli import console, main
from OsteoScreenLib.results_io import read_result

ENGINE = Path(errors.__file__).resolve().parents[1]
SCREENED, USAGE, REFUSED, INPUT, BUNDLE, OTHER = 0, 2, 3, 4, 5, 1
LEVELS = ["--l1=#18", "--l2=#6"]
SERIES = {
    "spacing": SLICE_MM,
    "origin": (-ORIGIN_RAS[0], -ORIGIN_RAS[1], ORIGIN_RAS[2]),
    "PixelSpacing": [PIXEL_MM, PIXEL_MM],
    "SliceThickness": str(SLICE_MM),
}
#: Half of the phantom, L1 and L2 whole: enough for a series of its own, where a case needs other headers throughout.
FEW = slice(0, 26)


@dataclass(frozen=True)
class Sources:
    """Sound input, made once: the phantom, its files, and bundles. Cases copy what they damage."""

    phantom: Phantom
    dicom: Path
    nifti: Path
    outlines: Path
    vertebrae: Path
    bundle: Path


@dataclass(frozen=True)
class Case:
    """``words(sources, folder)`` damages something in ``folder`` and gives the command's words, without ``-o``."""

    name: str
    code: int
    says: str
    words: Callable[[Sources, Path], list[str]]


CASES: list[Case] = []


def case(name: str, code: int, says: str):
    def add(words):
        CASES.append(Case(name, code, says, words))
        return words

    return add


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Sources:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("sound")
    phantom = make_phantom()
    write_series(folder / "dicom", phantom.hu[FEW], **SERIES)
    return Sources(
        phantom,
        folder / "dicom",
        phantom.write(folder / "ct.nii.gz"),
        phantom.write_outlines(folder / "outlines.seg.nrrd"),
        phantom.write_vertebrae(folder / "vertebrae"),
        write_tiny_bundle(folder / "tiny"),
    )


def copied(source: Path, folder: Path) -> Path:
    target = folder / source.name
    shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    return target


def measured(scan: Path, sources: Sources, *more: str) -> list[str]:
    """Screen with the user's outlines: no network takes part."""
    return [str(scan), "--masks", str(sources.outlines), *LEVELS, *more]


def cut_short(path: Path, keep: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def edited(folder: Path, edit: Callable[[pydicom.Dataset], None], which: slice = slice(None)) -> Path:
    for path in sorted(folder.iterdir())[which]:
        dataset = pydicom.dcmread(path)
        edit(dataset)
        dataset.save_as(path)
    return folder


def setting(**values) -> Callable[[pydicom.Dataset], None]:
    def edit(dataset):
        for keyword, value in values.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)

    return edit


def raw(keyword: str, text: bytes) -> Callable[[pydicom.Dataset], None]:
    """Set an element to bytes that its type forbids, as broken writers do."""

    def edit(dataset):
        element = dataset[keyword]
        dataset._dict[element.tag] = pydicom.dataelem.RawDataElement(
            element.tag, element.VR, len(text), text, 0, False, True
        )

    return edit


# ---- the scan: not there, empty, or another thing


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
    sources.phantom.write(folder / "ct.nhdr")
    for path in folder.iterdir():
        if path.suffix != ".nhdr":
            path.unlink()
    return measured(folder / "ct.nhdr", sources)


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
    sources.phantom.write(folder / "ct.mhd")
    for path in folder.iterdir():
        if path.suffix != ".mhd":
            path.unlink()
    return measured(folder / "ct.mhd", sources)


# ---- the scan: DICOM


@case("DICOM header alone", INPUT, "pixel|damaged|cut")
def _(sources, folder):
    scan = copied(sources.dicom, folder)
    return measured(edited(scan, setting(PixelData=None)), sources)


@case("every DICOM file cut in its header", INPUT, "dicom|damaged")
def _(sources, folder):
    scan = copied(sources.dicom, folder)
    for path in scan.iterdir():
        path.write_bytes(path.read_bytes()[:400])
    return measured(scan, sources)


@case("level's DICOM file cut in its pixels", REFUSED, "damaged|cut|gap")
def _(sources, folder):
    scan = copied(sources.dicom, folder)
    cut_short(sorted(scan.iterdir())[CENTRES["L1"]], 0.6)
    return measured(scan, sources)


@case("slices beside the level are missing", SCREENED, "")
def _(sources, folder):
    scan = copied(sources.dicom, folder)
    for k in (20, 21):
        (scan / f"IM{k:04d}").unlink()
    return measured(scan, sources)


@case("garbage in DICOM's clothes", INPUT, "dicom|damaged")
def _(sources, folder):
    (folder / "ct").mkdir()
    noise = np.random.default_rng(0).bytes(5000)
    (folder / "ct" / "1.dcm").write_bytes(bytes(128) + b"DICM" + noise)
    return measured(folder / "ct", sources)


@case("garbage in place of compressed pixels", INPUT, "decode|damaged|pixel")
def _(sources, folder):
    def edit(dataset):
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.80"
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff" + bytes(300)])
        dataset["PixelData"].is_undefined_length = True

    return measured(edited(copied(sources.dicom, folder), edit), sources)


@case("unknown compression", INPUT, "transfer syntax|compress|decode")
def _(sources, folder):
    def edit(dataset):
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.103"  # MPEG-4
        dataset.PixelData = pydicom.encaps.encapsulate([bytes(300)])
        dataset["PixelData"].is_undefined_length = True

    return measured(edited(copied(sources.dicom, folder), edit), sources)


@case("MR series", REFUSED, "mr|modality|ct")
def _(sources, folder):
    write_series(folder / "mr", sources.phantom.hu[FEW], **SERIES, Modality="MR", SOPClassUID=MRImageStorage)
    return measured(folder / "mr", sources)


@case("nothing but a screenshot", INPUT, "ct|dicom|image")
def _(sources, folder):
    shot = header(SOPClassUID=SecondaryCaptureImageStorage, Modality="OT", SeriesInstanceUID=generate_uid())
    del shot.ImageOrientationPatient
    save(shot, np.zeros((32, 32), dtype=np.int16), folder / "ct" / "shot.dcm")
    return measured(folder / "ct", sources)


@case("nothing but a scout view", INPUT, "scout|localizer|axial|ct")
def _(sources, folder):
    write_series(folder / "ct", sources.phantom.hu[:1], **SERIES, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    return measured(folder / "ct", sources)


@case("series that is not there", USAGE, "series")
def _(sources, folder):
    return measured(sources.dicom, sources, "--series", "1.2.3.999")


@case("series of a file that has none", USAGE, "series")
def _(sources, folder):
    return measured(sources.nifti, sources, "--series", "1.2.3")


@case("pixel spacing of zero", INPUT, "spacing")
def _(sources, folder):
    return measured(edited(copied(sources.dicom, folder), setting(PixelSpacing=[0, 0])), sources)


@case("pixel spacing is missing", INPUT, "spacing|position")
def _(sources, folder):
    return measured(edited(copied(sources.dicom, folder), setting(PixelSpacing=None)), sources)


@case("positions that are no numbers", INPUT, "position")
def _(sources, folder):
    scan = copied(sources.dicom, folder)
    return measured(edited(scan, raw("ImagePositionPatient", b"nan\\nan\\nan ")), sources)


@case("all slices at one position", REFUSED, "position|place|same|duplicate")
def _(sources, folder):
    scan = edited(copied(sources.dicom, folder), setting(ImagePositionPatient=[0, 0, 0]))
    return [str(scan), "--masks", str(sources.outlines), "--l1=#0"]


@case("orientation of zeros", INPUT, "orientation")
def _(sources, folder):
    scan = copied(sources.dicom, folder)
    return measured(edited(scan, setting(ImageOrientationPatient=[0, 0, 0, 0, 0, 0])), sources)


@case("slices that are inverted", REFUSED, "photometric|inverted")
def _(sources, folder):
    scan = copied(sources.dicom, folder)
    return measured(edited(scan, setting(PhotometricInterpretation="MONOCHROME1")), sources)


@case("80 kVp", REFUSED, "kvp|tube voltage")
def _(sources, folder):
    return measured(edited(copied(sources.dicom, folder), setting(KVP="80")), sources)


@case("kVp that is a word", SCREENED, "")
def _(sources, folder):
    return measured(edited(copied(sources.dicom, folder), raw("KVP", b"high")), sources)


@case("contrast medium", REFUSED, "contrast")
def _(sources, folder):
    scan = copied(sources.dicom, folder)
    return measured(edited(scan, setting(ContrastBolusAgent="Ultravist 370", ContrastBolusVolume="90")), sources)


@case("child by the header", REFUSED, "age|years|18")
def _(sources, folder):
    return measured(edited(copied(sources.dicom, folder), setting(PatientAge="012Y")), sources)


@case("child by the option", REFUSED, "age|years|18")
def _(sources, folder):
    return measured(sources.nifti, sources, "--age", "12")


@case("header that writes into the page", SCREENED, "")
def _(sources, folder):
    hostile = "<script>alert(1)</script>"
    edit = setting(SeriesDescription=hostile, ConvolutionKernel="<b>x", Manufacturer=hostile, PatientName=hostile)
    return measured(edited(copied(sources.dicom, folder), edit), sources)


@case("empty UIDs and tags", SCREENED, "")
def _(sources, folder):
    empty = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "KVP", "PatientAge")
    return measured(edited(copied(sources.dicom, folder), setting(**dict.fromkeys(empty, ""))), sources)


@case("file names that mislead and stray files", SCREENED, "")
def _(sources, folder):
    scan = folder / "Größe ? 'quoted' scan" if os.name != "nt" else folder / "Größe scan"
    (scan / "deep" / "er").mkdir(parents=True)
    for n, path in enumerate(sorted(sources.dicom.iterdir())):
        shutil.copy(path, scan / "deep" / "er" / f"{97 - n:02d}.txt")
    (scan / "notes.dcm").write_text("no DICOM")
    (scan / ".DS_Store").write_bytes(bytes(64))
    (scan / "empty.dcm").write_bytes(b"")
    return measured(scan, sources)


# ---- the levels


def at(*words: str) -> Callable[[Sources, Path], list[str]]:
    return lambda sources, folder: [str(sources.nifti), *words, "--segmentation-model", str(sources.bundle)]


case("no level", USAGE, "--l1")(at())
case("L2 without L1", USAGE, "L1")(at("--l2=#6"))
case("level that is a word", USAGE, "L1.*abc")(at("--l1=abc"))
case("empty level", USAGE, "L1")(at("--l1="))
case("level that is no number", USAGE, "L1")(at("--l1=nan"))
case("infinite level", USAGE, "L1")(at("--l1=inf"))
case("level far outside", USAGE, "outside|covers")(at("--l1=900"))
case("slice beyond the last", USAGE, "#999")(at("--l1=#999"))
case("negative slice", USAGE, "L1")(at("--l1=#-1"))
case("slice number with a fraction", USAGE, "L1")(at("--l1=#6.5"))
case("endless level", USAGE, "L1")(at("--l1=" + "9" * 5000))
case("level that cannot be found by itself", REFUSED, "suggested.*--l1")(at("--l1=auto"))
case("levels swapped", USAGE, "below")(at("--l1=#6", "--l2=#18"))
case("levels on one slice", USAGE, "below")(at("--l1=#6", "--l2=#6"))
case("levels from nowhere", USAGE, "segmentation")(at("--levels-from", "/no/such/labels.nii.gz"))


def labels(make: Callable[[Sources, Path], Path]) -> Callable[[Sources, Path], list[str]]:
    return lambda sources, folder: [
        str(sources.nifti), "--levels-from", str(make(sources, folder)), "--segmentation-model", str(sources.bundle)
    ]  # fmt: skip


def write_text(folder: Path, name: str, text: str = "no segmentation") -> Path:
    (folder / name).write_text(text)
    return folder / name


def without_l1(sources: Sources, folder: Path) -> Path:
    target = copied(sources.vertebrae, folder)
    (target / "vertebrae_L1.nii.gz").unlink()
    return target


def emptied(sources: Sources, folder: Path) -> Path:
    target = copied(sources.vertebrae, folder)
    nothing = sources.phantom.image(np.zeros(sources.phantom.hu.shape, dtype=np.uint8))
    sitk.WriteImage(nothing, str(target / "vertebrae_L1.nii.gz"))
    return target


def moved(sources: Sources, folder: Path) -> Path:
    image = sitk.ReadImage(str(sources.outlines))
    image.SetOrigin((900.0, 900.0, 900.0))
    sitk.WriteImage(image, str(folder / "moved.seg.nrrd"))
    return folder / "moved.seg.nrrd"


def upside_down(sources: Sources, folder: Path) -> Path:
    target = copied(sources.vertebrae, folder)
    os.replace(target / "vertebrae_L1.nii.gz", target / "x")
    os.replace(target / "vertebrae_L2.nii.gz", target / "vertebrae_L1.nii.gz")
    os.replace(target / "x", target / "vertebrae_L2.nii.gz")
    return target


def nameless(sources: Sources, folder: Path) -> Path:
    (folder / "labels").mkdir()
    return folder / "labels"


case("levels from a text", INPUT, "segmentation")(labels(lambda s, f: write_text(f, "labels.nii.gz")))
case("levels from a pickle", INPUT, "segmentation")(labels(lambda s, f: write_text(f, "labels.pkl")))
case("levels from the scan itself", INPUT, "image|segmentation")(labels(lambda s, f: s.nifti))
case("levels from a DICOM slice", INPUT, "dicom|segmentation")(labels(lambda s, f: sorted(s.dicom.iterdir())[0]))
case("levels from a folder without labels", INPUT, "folder")(labels(nameless))
case("segmentation without L1", INPUT, "L1")(labels(without_l1))
case("segmentation that is empty", INPUT, "empty")(labels(emptied))
case("segmentation of another place", INPUT, "another scan|position|lie")(labels(moved))
case("segmentation upside down", INPUT, "swapped|upside")(labels(upside_down))
case("segmentation cut short", INPUT, "read")(labels(lambda s, f: cut_short(copied(s.outlines, f), 0.7)))


# ---- the user's outlines


def outlined(make: Callable[[Sources, Path], Path], *more: str) -> Callable[[Sources, Path], list[str]]:
    return lambda sources, folder: [str(sources.nifti), "--masks", str(make(sources, folder)), *LEVELS, *more]


def redrawn(change: Callable[[np.ndarray], None]) -> Callable[[Sources, Path], Path]:
    def make(sources: Sources, folder: Path) -> Path:
        image = sitk.ReadImage(str(sources.outlines))
        drawn = sitk.GetArrayFromImage(image)
        change(drawn)
        new = sitk.GetImageFromArray(drawn)
        new.CopyInformation(image)
        for key in image.GetMetaDataKeys():
            new.SetMetaData(key, image.GetMetaData(key))
        sitk.WriteImage(new, str(folder / "drawn.seg.nrrd"))
        return folder / "drawn.seg.nrrd"

    return make


def erase_slice(drawn: np.ndarray) -> None:
    drawn[CENTRES["L1"]] = 0


def two_parts(drawn: np.ndarray) -> None:
    drawn[CENTRES["L1"], 10:20, 10:30] = 1


def a_speck(drawn: np.ndarray) -> None:
    drawn[CENTRES["L1"]] = 0
    drawn[CENTRES["L1"], 66:68, 55:57] = 1


def in_the_air(drawn: np.ndarray) -> None:
    drawn[CENTRES["L1"]] = 0
    drawn[CENTRES["L1"], :9, :20] = 1


case("outlines from nowhere", USAGE, "segmentation")(outlined(lambda s, f: f / "none.nrrd"))
case("outlines from a text", INPUT, "segmentation")(outlined(lambda s, f: write_text(f, "drawn.nrrd")))
case("outlines of another place", REFUSED, "L1")(outlined(moved))
case("outline missing on the slice", REFUSED, "empty")(outlined(redrawn(erase_slice)))
case("outline in two parts", REFUSED, "parts")(outlined(redrawn(two_parts)))
case("outline of a few pixels", REFUSED, "left|small")(outlined(redrawn(a_speck)))
case("outline in the air", REFUSED, "air|data")(outlined(redrawn(in_the_air)))
case("empty outline by force", REFUSED, "empty")(outlined(redrawn(erase_slice), "--force"))


# ---- calibration and other options

CALIBRATION = {
    "slope": 0.8, "intercept": -5.0, "mineral": "K2HPO4", "uncertainty_mg_cm3": 6.0, "scanner": "Simulated",
    "kvp": 120, "kernel": "Br38f", "date": "2024-01-01", "expires": "2025-01-01",
}  # fmt: skip


def calibrated(**changes) -> Callable[[Sources, Path], list[str]]:
    def words(sources: Sources, folder: Path) -> list[str]:
        document = {key: value for key, value in {**CALIBRATION, **changes}.items() if value is not None}
        (folder / "calibration.json").write_text(json.dumps(document))
        return measured(sources.dicom, sources, "--calibration", str(folder / "calibration.json"))

    return words


def calibration_text(text: str) -> Callable[[Sources, Path], list[str]]:
    return lambda sources, folder: measured(
        sources.dicom, sources, "--calibration", str(write_text(folder, "calibration.json", text))
    )


case("calibration as it should be", SCREENED, "")(calibrated())
case("calibration that is no JSON", INPUT, "JSON")(calibration_text("slope = 0.8"))
case("calibration nested without end", INPUT, "JSON|valid")(calibration_text("[" * 100_000))
case("calibration without a slope", INPUT, "slope")(calibrated(slope=None))
case("calibration with a slope of zero", INPUT, "slope")(calibrated(slope=0))
case("calibration that is no number", INPUT, "JSON|NaN|number")(calibrated(slope=float("nan")))
case("calibration of an unknown mineral", INPUT, "mineral")(calibrated(mineral="chalk"))
case("calibration with an impossible date", INPUT, "date")(calibrated(date="2024-02-31"))
case("calibration that has expired", REFUSED, "expired")(calibrated(expires="2024-02-01"))
case("calibration of another kVp", REFUSED, "kvp")(calibrated(kvp=100))
case("calibration of another scanner", REFUSED, "scanner")(calibrated(scanner="Other 16"))


@case("calibration that is not there", INPUT, "calibration")
def _(sources, folder):
    return measured(sources.dicom, sources, "--calibration", str(folder / "none.json"))


@case("age below zero", USAGE, "age")
def _(sources, folder):
    return measured(sources.nifti, sources, "--age=-3")


@case("age that is no number", USAGE, "age")
def _(sources, folder):
    return measured(sources.nifti, sources, "--age", "nan")


@case("device that is not there", USAGE, "cuda|device")
def _(sources, folder):
    if torch.cuda.is_available():
        pytest.skip("this computer has CUDA")
    return [str(sources.nifti), *LEVELS, "--segmentation-model", str(sources.bundle), "--device", "cuda"]


# ---- bundles


def with_bundle(make: Callable[[Path], Path | str], *more: str) -> Callable[[Sources, Path], list[str]]:
    def words(sources: Sources, folder: Path) -> list[str]:
        bundle = make(copied(sources.bundle, folder))
        return [str(sources.nifti), *LEVELS, "--device", "cpu", "--segmentation-model", str(bundle), *more]

    return words


def described(**changes) -> Callable[[Path], Path]:
    def make(bundle: Path) -> Path:
        document = json.loads((bundle / "bundle.json").read_text())
        (bundle / "bundle.json").write_text(json.dumps({**document, **changes}))
        return bundle

    return make


def weights(change: Callable[[bytes], bytes], rehash: bool = False) -> Callable[[Path], Path]:
    def make(bundle: Path) -> Path:
        import hashlib

        data = change((bundle / "weights.safetensors").read_bytes())
        (bundle / "weights.safetensors").write_bytes(data)
        return described(sha256=hashlib.sha256(data).hexdigest())(bundle) if rehash else bundle

    return make


def without(name: str) -> Callable[[Path], Path]:
    def make(bundle: Path) -> Path:
        (bundle / name).unlink()
        return bundle

    return make


def climbing_zip(bundle: Path) -> Path:
    with zipfile.ZipFile(bundle.parent / "evil.zip", "w") as archive:
        archive.writestr("../../escaped/bundle.json", "{}")
        archive.writestr("../../escaped/weights.safetensors", "x")
    return bundle.parent / "evil.zip"


def with_nan(data: bytes) -> bytes:
    from safetensors.numpy import load, save

    tensors = load(data)
    tensors["output.weight"] = np.full_like(tensors["output.weight"], np.nan)
    return save(tensors)


case("bundle that is not there", BUNDLE, "no-such-bundle")(with_bundle(lambda bundle: "no-such-bundle"))
case("bundle folder that is empty", BUNDLE, "bundle")(
    with_bundle(lambda bundle: (bundle.parent / "void").mkdir() or bundle.parent / "void")
)
case("bundle without its description", BUNDLE, "bundle.json")(with_bundle(without("bundle.json")))
case("bundle without its weights", BUNDLE, "weights")(with_bundle(without("weights.safetensors")))
case("bundle whose description is no JSON", BUNDLE, "JSON")(
    with_bundle(lambda bundle: write_text(bundle, "bundle.json", "{").parent)
)
case("bundle for another role", BUNDLE, "is for classification, not for segmentation")(
    with_bundle(lambda bundle: write_tiny_classifier(bundle.with_name("classifier")))
)
case("bundle that says another role", BUNDLE, "'levels' is a required")(with_bundle(described(role="classification")))
case("bundle whose classes have another order", BUNDLE, "normal, osteopenia, osteoporosis, in this order")(
    with_bundle(
        lambda bundle: described(classes=["osteoporosis", "osteopenia", "normal"])(
            write_tiny_classifier(bundle.with_name("classifier"))
        )
    )
)
case("bundle with an unknown network", BUNDLE, "mystery")(
    with_bundle(described(architecture={"name": "mystery", "parameters": {}}))
)
case("bundle with another width", BUNDLE, "tiny")(
    with_bundle(described(architecture={"name": "unet", "parameters": {"base_width": 4}}))
)
case("bundle whose weights were changed", BUNDLE, "weights")(
    with_bundle(weights(lambda data: data[:-1] + bytes([data[-1] ^ 1])))
)
case("bundle whose weights are cut short", BUNDLE, "weights|tiny")(
    with_bundle(weights(lambda data: data[: len(data) // 2], rehash=True))
)
case("bundle whose weights are a pickle", BUNDLE, "weights|tiny|safetensors")(
    with_bundle(weights(lambda data: pickle.dumps({"weights": [1.0]}), rehash=True))
)
case("bundle zip that climbs out", BUNDLE, "zip|bundle")(with_bundle(climbing_zip))
case("bundle that is a text", BUNDLE, "bundle|zip")(
    with_bundle(lambda bundle: write_text(bundle.parent, "bundle.zip", "no zip"))
)
case("network that finds nothing", REFUSED, "vertebra")(
    with_bundle(lambda bundle: write_tiny_bundle(bundle.parent / "silent", silent_network()))
)
case("network whose weights are no numbers", BUNDLE, "number|finite|NaN")(with_bundle(weights(with_nan, rehash=True)))
case("classifier that is not there", BUNDLE, "no-such-bundle")(
    with_bundle(lambda bundle: bundle, "--classification-model", "no-such-bundle")
)


# ---- the tests


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_damaged_input(case, sources, tmp_path, capfd, monkeypatch):
    # A slow machine may tell of its progress meanwhile; that is tested elsewhere.
    monkeypatch.setattr(console, "QUIET_S", 1e6)
    (tmp_path / "in").mkdir()
    out = tmp_path / "out"
    code = main(["screen", *case.words(sources, tmp_path / "in"), "-o", str(out)])
    shown = capfd.readouterr()
    said = shown.err.strip()
    assert code == case.code, f"{code}: {said or shown.out}"
    assert "Traceback" not in shown.out + shown.err
    assert not list(tmp_path.rglob(".osteoscreen-*"))
    assert not (tmp_path / "escaped").exists()
    if code == SCREENED:
        assert said == ""
        check_screened(out)
        return
    assert re.search(case.says, said, re.IGNORECASE | re.DOTALL), said
    assert said.startswith("osteoscreen: ")
    assert "\n" not in said
    assert len(said) < 900
    if code == REFUSED:
        result = read_result(out / "result.json")
        assert result.status == "refused"
        assert any(check.outcome == "refuse" for check in result.eligibility)
        assert (result.roi, result.densitometry) == ({}, None)
        assert not (out / "segmentation.seg.nrrd").exists()
    else:
        assert shown.out == ""
        assert not out.exists()


def check_screened(out: Path) -> None:
    result = read_result(out / "result.json")
    assert result.status == "screened"
    assert set(result.roi) == {"L1", "L2"}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<b>x" not in page
    assert "Simulated^Secret" not in page
    assert "SECRET-ID" not in page
    assert (out / "segmentation.seg.nrrd").exists()


def assert_one_sentence(stderr: str) -> None:
    """One line of ours, beside the progress that a slow machine tells of."""
    lines = [line for line in stderr.splitlines() if not re.search(r"…( \(\d+ of \d+\))?$", line)]
    assert len(lines) == 1, stderr
    assert lines[0].startswith("osteoscreen: ")


def test_there_are_at_least_sixty_kinds_and_none_twice():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) >= 60


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("NRRD cut short", INPUT),
        ("every DICOM file cut in its header", INPUT),
        ("level far outside", USAGE),
        ("80 kVp", REFUSED),
        ("bundle whose weights are cut short", BUNDLE),
    ],
)
def test_as_a_process_of_its_own(name, code, sources, tmp_path):
    words = next(case for case in CASES if case.name == name).words(sources, tmp_path)
    answer = subprocess.run(
        [sys.executable, "-m", "OsteoScreenLib", "screen", *words, "-o", str(tmp_path / "out"), "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ENGINE)},
        check=False,
    )
    assert answer.returncode == code, answer.stderr
    assert_one_sentence(answer.stderr)
    if code == REFUSED:
        assert json.loads(answer.stdout)["status"] == "refused"
    else:
        assert answer.stdout == ""
        assert not (tmp_path / "out").exists()


# ---- the output folder


@pytest.mark.parametrize("place", ["a file", "the scan's folder", "below a file"])
def test_an_output_that_cannot_be(place, sources, tmp_path, capfd):
    scan = copied(sources.dicom, tmp_path)
    before = sorted(path.name for path in scan.iterdir())
    out = {"a file": tmp_path / "file", "the scan's folder": scan, "below a file": tmp_path / "file" / "out"}[place]
    (tmp_path / "file").write_text("mine")
    assert main(["screen", *measured(scan, sources), "-o", str(out)]) == USAGE
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "folder" in said
    assert sorted(path.name for path in scan.iterdir()) == before
    assert (tmp_path / "file").read_text() == "mine"


def test_outlines_in_the_output_folder_are_not_overwritten(sources, tmp_path, capfd):
    shutil.copy(sources.outlines, tmp_path / "segmentation.seg.nrrd")
    words = [str(sources.dicom), "--masks", str(tmp_path / "segmentation.seg.nrrd"), *LEVELS]
    assert main(["screen", *words, "-o", str(tmp_path)]) == USAGE
    assert "overwritten" in capfd.readouterr().err
    assert main(["screen", *words, "-o", str(tmp_path / "new")]) == SCREENED


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_console_is_no_traceback(sources, tmp_path):
    with open("/dev/full", "w") as full:
        answer = subprocess.run(
            [sys.executable, "-m", "OsteoScreenLib", "screen", *measured(sources.dicom, sources), "--json",
             "-o", str(tmp_path / "out")],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ENGINE)},
        )  # fmt: skip
    assert "Traceback" not in answer.stderr
    assert answer.returncode == OTHER
    assert_one_sentence(answer.stderr)
    assert read_result(tmp_path / "out" / "result.json").status == "screened"
