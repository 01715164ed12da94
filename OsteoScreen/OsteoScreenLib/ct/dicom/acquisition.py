"""How a DICOM series was acquired, read from one slice in its middle."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from ..acquisition import Acquisition, SiemensOsteo
from .header import HEADER_TAGS, Frame, grouped, integer, number, text, texts

#: Private creator of the block with the scanner's bone calibration (two spaces), and its group.
OSTEO_CREATOR = "SIEMENS CT VA0  COAD"
OSTEO_GROUP = 0x0019

_OSTEO_TAGS = [Tag(OSTEO_GROUP, block) for block in range(0x10, 0x100)] + [
    Tag(OSTEO_GROUP, block << 8 | element) for block in range(0x10, 0x100) for element in (0x90, 0x92, 0x93, 0x96)
]

ACQUISITION_TAGS = [
    *HEADER_TAGS,
    *_OSTEO_TAGS,
    *(
        Tag(keyword)
        for keyword in (
            "StudyDate AcquisitionDate SeriesDate ContentDate Manufacturer ManufacturerModelName DeviceSerialNumber "
            "StationName PatientBirthDate PatientSex PatientAge PatientPosition Exposure GantryDetectorTilt "
            "ReconstructionDiameter BodyPartExamined ContrastBolusAgentSequence"
        ).split()
    ),
]

_NO_CONTRAST = {"NONE", "NO", "N", "NO CONTRAST", "WITHOUT", "WITHOUT CONTRAST", "N/A", "NA", "NIL", "0", "UNENHANCED"}
_DAYS_PER_YEAR = 365.25
_AGE_UNITS = {"Y": 1.0, "M": 1 / 12, "W": 7 / _DAYS_PER_YEAR, "D": 1 / _DAYS_PER_YEAR}


def read_acquisition(frames: list[Frame]) -> Acquisition:
    """The acquisition of a series whose slices are in order."""
    frame = frames[len(frames) // 2]
    dataset = dcmread(frame.path, stop_before_pixels=True, specific_tags=ACQUISITION_TAGS)
    return acquisition_of(dataset, frame.index or 0)


def acquisition_of(dataset: Dataset, index: int = 0) -> Acquisition:
    """What a header says of the acquisition; ``index`` is the frame of a multi-frame object."""
    groups = [dataset]
    per_frame, shared = (
        dataset.get(k) for k in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
    )
    if shared:
        groups.insert(0, shared[0])
    if per_frame and index < len(per_frame):
        groups.insert(0, per_frame[index])
    contrast, agent = contrast_of(dataset)
    study_date = _date(dataset.get("StudyDate")) or _date(dataset.get("AcquisitionDate"))
    return Acquisition(
        modality=_said(dataset.get("Modality")),
        kvp=number(grouped(groups, "CTXRayDetailsSequence", "KVP")),
        slice_thickness_mm=number(grouped(groups, "PixelMeasuresSequence", "SliceThickness")),
        kernel="/".join(texts(grouped(groups, "CTReconstructionSequence", "ConvolutionKernel"))) or None,
        contrast=contrast,
        contrast_agent=agent,
        manufacturer=_said(dataset.get("Manufacturer")),
        model_name=_said(dataset.get("ManufacturerModelName")),
        scanner_id=_said(dataset.get("DeviceSerialNumber")) or _said(dataset.get("StationName")),
        age_years=age_of(dataset),
        sex=_said(dataset.get("PatientSex")),
        study_date=study_date,
        series_description=_said(dataset.get("SeriesDescription")),
        patient_position=_said(dataset.get("PatientPosition")),
        tube_current_mas=number(dataset.get("Exposure")),
        gantry_tilt_deg=number(grouped(groups, "CTAcquisitionDetailsSequence", "GantryDetectorTilt")),
        reconstruction_diameter_mm=number(grouped(groups, "CTReconstructionSequence", "ReconstructionDiameter")),
        image_type=texts(grouped(groups, "CTImageFrameTypeSequence", "FrameType") or dataset.get("ImageType")),
        photometric=_said(dataset.get("PhotometricInterpretation")),
        rescale_type=_said(grouped(groups, "PixelValueTransformationSequence", "RescaleType")),
        body_part=_said(dataset.get("BodyPartExamined")),
        osteo=osteo_of(dataset),
    )


def contrast_of(dataset: Dataset) -> tuple[bool | None, str | None]:
    """Whether contrast was given (None where the header does not say), and which."""
    agent = text(dataset.get("ContrastBolusAgent"))
    if agent:
        return agent.upper() not in _NO_CONTRAST, agent
    return None, None


def age_of(dataset: Dataset) -> float | None:
    """Years of age: Patient's Age, or from the birth date to the study's; None where neither is there."""
    stated = re.fullmatch(r"(\d{1,3})([DWMY])", text(dataset.get("PatientAge")).upper())
    if stated:
        return int(stated[1]) * _AGE_UNITS[stated[2]]
    born, seen = _date(dataset.get("PatientBirthDate")), _date(dataset.get("StudyDate"))
    if born is None or seen is None or seen < born:
        return None
    return (seen - born).days / _DAYS_PER_YEAR


def osteo_of(dataset: Dataset) -> SiemensOsteo | None:
    """The scanner's own bone calibration, or None."""
    try:
        block = dataset.private_block(OSTEO_GROUP, OSTEO_CREATOR)
    except KeyError:
        return None
    values: dict[int, Any] = {e: block[e].value if e in block else None for e in (0x90, 0x92, 0x93, 0x96)}
    slope, intercept = number(values[0x92]), number(values[0x93])
    if slope is None or intercept is None:
        return None
    return SiemensOsteo(slope, intercept, phantom=integer(values[0x96]), offset=number(values[0x90]))


def _said(value: Any) -> str | None:
    return text(value) or None


def _date(value: Any) -> date | None:
    digits = text(value).replace(".", "")
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])) if len(digits) == 8 else None
    except ValueError:
        return None
