"""Writes small DICOM series for tests: real files, of a body whose every voxel is known."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

#: Every way of storing pixels that the tests read, and the dcmtk tool that writes it where pydicom cannot.
SYNTAXES: dict[str, UID] = {
    "implicit little endian": ImplicitVRLittleEndian,
    "explicit little endian": ExplicitVRLittleEndian,
    "explicit big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "RLE": RLELossless,
    "JPEG lossless": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
}
_DCMTK = {JPEGLosslessSV1: ["dcmcjpeg", "+e1"], JPEGLSLossless: ["dcmcjpls"]}

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def body(slices: int = 6, rows: int = 40, columns: int = 36, seed: int = 0) -> np.ndarray:
    """HU (slices, rows, columns) int16 without any symmetry: noise on a ramp along each axis.

    JPEG 2000 needs 32 pixels in each direction.
    """
    k, j, i = np.mgrid[:slices, :rows, :columns]
    noise = np.random.default_rng(seed).integers(-20, 20, (slices, rows, columns))
    return (-900 + 25 * k + 30 * j + 11 * i + noise).astype(np.int16)


def header(**changes: Any) -> Dataset:
    """A CT image's header as a scanner writes it; a keyword given as None is left out."""
    dataset = Dataset()
    values: dict[str, Any] = {
        "SOPClassUID": CTImageStorage,
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "Modality": "CT",
        "StudyDate": "20240615",
        "Manufacturer": "SIEMENS",
        "ManufacturerModelName": "Simulated",
        "DeviceSerialNumber": "4711",
        "PatientName": "Simulated^Secret",
        "PatientID": "SECRET-ID",
        "PatientBirthDate": "19600615",
        "PatientSex": "F",
        "PatientAge": "064Y",
        "PatientPosition": "HFS",
        "SeriesDescription": "Chest 2.0 Br38",
        "KVP": "120",
        "SliceThickness": "2",
        "ConvolutionKernel": "Br38f",
        "Exposure": "60",
        "GantryDetectorTilt": "0",
        "SeriesNumber": "2",
        "AcquisitionNumber": "1",
        "FrameOfReferenceUID": "1.2.3.4",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "RescaleSlope": "1",
        "RescaleIntercept": "0",
        "RescaleType": "HU",
        "PixelSpacing": [0.8, 0.7],
        "ImageOrientationPatient": list(AXIAL),
    }
    values.update(changes)
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


def save(dataset: Dataset, stored: np.ndarray, path: Path, syntax: UID = ExplicitVRLittleEndian) -> Path:
    """Write one image with its stored values (rows, columns) or (frames, rows, columns); skips where it cannot."""
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    if "SOPInstanceUID" not in dataset:
        dataset.SOPInstanceUID = generate_uid()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID or generate_uid()
    tool = _DCMTK.get(syntax)
    native = syntax in (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
    meta.TransferSyntaxUID = syntax if native else ExplicitVRLittleEndian
    dataset.file_meta = meta
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    dataset["PixelData"].VR = "OW"
    path.parent.mkdir(parents=True, exist_ok=True)
    if tool is None:
        if not native and syntax != ExplicitVRLittleEndian:
            dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(path, enforce_file_format=True)
        return path
    if shutil.which(tool[0]) is None:
        pytest.skip(f"no encoder for {syntax.name} on this machine: dcmtk's {tool[0]} is not installed")
    plain = path.with_name(path.name + ".plain")
    dataset.save_as(plain, enforce_file_format=True)
    subprocess.run([*tool, str(plain), str(path)], check=True, capture_output=True)
    plain.unlink()
    return path


def write_series(
    folder: Path,
    hu: np.ndarray,
    *,
    spacing: float = 2.0,
    step: np.ndarray | None = None,
    origin: tuple[float, float, float] = (-100.0, -90.0, -500.0),
    orientation: tuple[float, ...] = AXIAL,
    syntax: UID = ExplicitVRLittleEndian,
    name: Callable[[int], str] = lambda k: f"IM{k:04d}",
    edit: Callable[[Dataset, int], None] | None = None,
    series: str | None = None,
    **changes: Any,
) -> list[Path]:
    """Write a series, one file per slice of ``hu`` (slices, rows, columns); returns the files in slice order.

    Slice k lies at ``origin + k * step`` (LPS mm); ``step`` is ``spacing`` along the normal, by default. ``edit``
    changes a slice's header before it is written.
    """
    series = generate_uid() if series is None else series
    normal = np.cross(orientation[:3], orientation[3:])
    step = normal * spacing if step is None else np.asarray(step)
    paths = []
    for k, plane in enumerate(hu):
        values = {"SeriesInstanceUID": series, "StudyInstanceUID": "1.2.3", "InstanceNumber": k + 1, **changes}
        dataset = header(ImageOrientationPatient=list(orientation), **values)
        position = np.asarray(origin) + k * step
        dataset.ImagePositionPatient = [f"{v:.6f}"[:16] for v in position]
        if edit is not None:
            edit(dataset, k)
        slope, intercept = (float(dataset.get(w, d)) for w, d in (("RescaleSlope", 1), ("RescaleIntercept", 0)))
        kind = np.int16 if dataset.PixelRepresentation else np.uint16
        stored = np.round((plane - intercept) / (slope or 1.0)).astype(kind)
        paths.append(save(dataset, stored, folder / name(k), syntax))
    return paths


def write_enhanced(
    path: Path, hu: np.ndarray, *, spacing: float = 2.0, syntax: UID = ExplicitVRLittleEndian, shuffle: bool = False
) -> Path:
    """Write a multi-frame Enhanced CT with shared and per-frame functional groups (frames out of order, if wished)."""
    top = {"RescaleSlope", "RescaleIntercept", "RescaleType", "PixelSpacing", "ImageOrientationPatient"}
    top |= {"SliceThickness", "KVP", "ConvolutionKernel", "Exposure", "GantryDetectorTilt", "ImagePositionPatient"}
    dataset = header(**dict.fromkeys(top))
    dataset.SOPClassUID = EnhancedCTImageStorage
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID, dataset.InstanceNumber = generate_uid(), "1.2.3", 1
    dataset.NumberOfFrames = len(hu)
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([_item(PixelSpacing=[0.8, 0.7], SliceThickness="2")])
    shared.PlaneOrientationSequence = Sequence([_item(ImageOrientationPatient=list(AXIAL))])
    shared.CTXRayDetailsSequence = Sequence([_item(KVP="120")])
    shared.CTReconstructionSequence = Sequence([_item(ConvolutionKernel="Br38f")])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    order = np.random.default_rng(1).permutation(len(hu)) if shuffle else np.arange(len(hu))
    items, stored = [], []
    for k in order:
        item = Dataset()
        item.PlanePositionSequence = Sequence([_item(ImagePositionPatient=[-100.0, -90.0, -500.0 + spacing * k])])
        intercept = -1000.0 - float(k)
        rescale = _item(RescaleSlope="1", RescaleIntercept=str(intercept), RescaleType="HU")
        item.PixelValueTransformationSequence = Sequence([rescale])
        items.append(item)
        stored.append((hu[k] - intercept).astype(np.int16))
    dataset.PerFrameFunctionalGroupsSequence = Sequence(items)
    return save(dataset, np.stack(stored), path, syntax)


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
