"""Write a simulated CT as a DICOM series (CT Image Storage), such as a scanner would send it.

The attributes are those of the CT Image IOD (DICOM PS3.3 A.3): every one of type 1 and 2, and of the others those that
a reader of CT may look for. The patient is plainly synthetic, by name, by comment and by the attribute made for it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from OsteoScreenLib.errors import OsteoScreenError, UsageError, system_reason
from OsteoScreenLib.progress import Progress, silent

MANUFACTURER = "OsteoScreen simulation"
#: What 12 stored bits hold with an intercept of -1024: the range of most scanners. HU beyond it saturate, as there.
HU_RANGE = (-1024, 3071)

IMPLEMENTATION_UID = UID("2.25.210187452983746120983475612098347561209")

_NAMESPACE = uuid.UUID("6f1c3a52-6d0f-5b43-9f0b-0b6d6f737465")


@dataclass(frozen=True)
class SeriesDescription:
    """What the header says of a simulated series besides its geometry."""

    seed: int
    slice_thickness_mm: float
    kvp: float = 120.0
    tube_current_ma: int = 200
    kernel: str = "STANDARD"
    age_years: int = 60
    sex: str = "F"
    study_date: str = "20210101"
    description: str = "Simulated chest CT, T10 to L3"
    station: str = "SIMULATED"


def write_dicom_series(
    folder: str | os.PathLike[str],
    hu: np.ndarray,
    ijk_to_ras: np.ndarray,
    description: SeriesDescription,
    progress: Progress = silent,
) -> list[Path]:
    """Write one file per slice to ``folder``, which appears whole or not at all; returns the files.

    Args:
        folder: where to; it must not exist yet, or be empty.
        hu: int16 or float, (slices, rows, columns), HU.
        ijk_to_ras: 4x4; (column, row, slice, 1) to RAS mm. Rows, columns and slices must be at right angles.
        description: the rest of the header. The UIDs follow from it and from the geometry alone (UUID-derived, root
            2.25).

    Raises UsageError where the folder has something in it, OsteoScreenError where it cannot be written.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} exists already; name a new or an empty folder.")
    staging: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        staging.chmod(0o755)
        names = _write_slices(staging, np.asarray(hu), np.asarray(ijk_to_ras, float), description, progress)
        if target.exists():
            target.rmdir()
        os.replace(staging, target)
    except OSError as error:
        raise OsteoScreenError(f"The series cannot be written to {target}: {system_reason(error)}.") from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
    return [target / name for name in names]


def _write_slices(
    folder: Path, hu: np.ndarray, ijk_to_ras: np.ndarray, description: SeriesDescription, progress: Progress
) -> list[str]:
    slices = len(hu)
    geometry = _Geometry.of(ijk_to_ras)
    uids = _Uids(description, ijk_to_ras, hu.shape)
    shared = _shared_attributes(description, geometry, hu.shape, uids)
    names = [f"IM{index + 1:04d}.dcm" for index in range(slices)]
    for index, name in enumerate(names):
        dataset = Dataset()
        dataset.update(shared)
        _add_slice(dataset, index, hu[index], geometry, uids)
        dataset.save_as(folder / name, enforce_file_format=True)
        progress("Writing the DICOM series", index + 1, slices)
    return names


class _Uids:
    """UIDs that follow from what is written: the same series again has the same, any other has others."""

    def __init__(self, description: SeriesDescription, ijk_to_ras: np.ndarray, shape: tuple[int, ...]) -> None:
        self._series = f"{description!r} {np.round(ijk_to_ras, 6).tolist()} {shape}"

    def __call__(self, role: str) -> str:
        return f"2.25.{uuid.uuid5(_NAMESPACE, f'{self._series} {role}').int}"


@dataclass(frozen=True)
class _Geometry:
    """The same geometry in DICOM's terms: LPS mm."""

    orientation: list[float]
    spacing: list[float]
    gap: float
    origin: np.ndarray
    step: np.ndarray

    @classmethod
    def of(cls, ijk_to_ras: np.ndarray) -> _Geometry:
        lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijk_to_ras
        column, row, step = lps[:3, 0], lps[:3, 1], lps[:3, 2]
        lengths = [float(np.linalg.norm(axis)) for axis in (column, row, step)]
        return cls(
            orientation=[*(column / lengths[0]), *(row / lengths[1])],
            spacing=[lengths[1], lengths[0]],
            gap=lengths[2],
            origin=lps[:3, 3],
            step=step,
        )

    def position(self, index: int) -> np.ndarray:
        return self.origin + index * self.step


def _decimal(values: Sequence[float] | np.ndarray) -> list[str]:
    """Write numbers as DICOM decimal strings: at most 16 characters, and no negative zero."""
    return [f"{round(float(value), 6) + 0.0:.6f}".rstrip("0").rstrip(".") for value in values]


def _shared_attributes(
    description: SeriesDescription, geometry: _Geometry, shape: tuple[int, ...], uid: _Uids
) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = CTImageStorage
    _add_patient_and_study(dataset, description, uid)
    _add_equipment_and_series(dataset, description, uid)
    _add_scan(dataset, description, geometry, shape)
    _add_pixel_format(dataset, shape)
    return dataset


def _add_patient_and_study(dataset: Dataset, description: SeriesDescription, uid: _Uids) -> None:
    dataset.PatientName = "Simulated^OsteoScreen"
    dataset.PatientID = f"SIMULATED-{description.seed}"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = description.sex
    dataset.PatientAge = f"{description.age_years:03d}Y"
    dataset.PatientComments = "Simulated by OsteoScreen: there is no such person."
    dataset.StudyInstanceUID = uid("study")
    dataset.StudyDate = description.study_date
    dataset.StudyTime = "120000"
    dataset.ReferringPhysicianName = ""
    dataset.StudyID = "1"
    dataset.AccessionNumber = ""
    dataset.StudyDescription = "OsteoScreen simulation"


def _add_equipment_and_series(dataset: Dataset, description: SeriesDescription, uid: _Uids) -> None:
    dataset.Modality = "CT"
    dataset.SeriesInstanceUID = uid("series")
    dataset.SeriesNumber = 2
    dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = description.study_date
    dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "120000"
    dataset.SeriesDescription = description.description
    dataset.ProtocolName = "Simulated chest"
    dataset.BodyPartExamined = "CHEST"
    dataset.PatientPosition = "HFS"
    dataset.FrameOfReferenceUID = uid("frame of reference")
    dataset.PositionReferenceIndicator = ""
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = "Anatomy simulator"
    dataset.StationName = description.station
    dataset.InstitutionName = "None: simulated"


def _add_scan(dataset: Dataset, description: SeriesDescription, geometry: _Geometry, shape: tuple[int, ...]) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.ImageComments = "Simulated by OsteoScreen; not a patient."
    dataset.AcquisitionNumber = 1
    dataset.KVP = _decimal([description.kvp])[0]
    dataset.XRayTubeCurrent = description.tube_current_ma
    dataset.ExposureTime = 500
    dataset.Exposure = description.tube_current_ma // 2
    dataset.ConvolutionKernel = description.kernel
    dataset.FilterType = "NONE"
    dataset.GantryDetectorTilt = "0"
    dataset.RotationDirection = "CW"
    dataset.DataCollectionDiameter = dataset.ReconstructionDiameter = _decimal([geometry.spacing[1] * shape[2]])[0]
    dataset.SliceThickness = _decimal([description.slice_thickness_mm])[0]
    dataset.SpacingBetweenSlices = _decimal([geometry.gap])[0]
    dataset.ImageOrientationPatient = _decimal(geometry.orientation)
    dataset.PixelSpacing = _decimal(geometry.spacing)


def _add_pixel_format(dataset: Dataset, shape: tuple[int, ...]) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = shape[1], shape[2]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = str(HU_RANGE[0]), "1", "HU"
    dataset.LossyImageCompression = "00"
    dataset.BurnedInAnnotation = "NO"
    dataset.WindowCenter, dataset.WindowWidth = "40", "400"


def _add_slice(dataset: Dataset, index: int, hu: np.ndarray, geometry: _Geometry, uid: _Uids) -> None:
    position = geometry.position(index)
    sop_instance_uid = UID(uid(f"slice {index}"))
    dataset.SOPInstanceUID = sop_instance_uid
    dataset.InstanceNumber = index + 1
    dataset.ImagePositionPatient = _decimal(position)
    dataset.SliceLocation = _decimal([position[2]])[0]
    stored = np.clip(np.rint(hu), *HU_RANGE).astype(np.int32) - HU_RANGE[0]
    dataset.PixelData = stored.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = sop_instance_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = "OSTEOSCREEN_SIM"
    dataset.file_meta = meta
