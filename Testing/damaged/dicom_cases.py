"""The scan is DICOM: damaged, of another kind, or with a header that says what cannot be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from dicom_files import header, save, write_series
from phantom_ct import CENTRES
from pydicom.uid import MRImageStorage, SecondaryCaptureImageStorage, generate_uid

from .table import FEW, INPUT, REFUSED, SCREENED, SERIES, USAGE, case, copied, cut_short, measured


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
