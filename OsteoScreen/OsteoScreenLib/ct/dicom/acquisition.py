"""How a DICOM series was acquired, read from the slice in its middle."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from datetime import date

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from ...errors import InputError
from ..acquisition import Acquisition, SiemensOsteo
from .files import read_dataset
from .header import HEADER_TAGS, Frame, group_with
from .values import Header, integer, number, tag_of, text

#: Private creator of the block with the scanner's bone calibration (two spaces), and its group and elements; see
#: `SiemensOsteo` for the source.
OSTEO_CREATOR = "SIEMENS CT VA0  COAD"
OSTEO_GROUP = 0x0019
_OFFSET, _SLOPE, _INTERCEPT, _PHANTOM = 0x90, 0x92, 0x93, 0x96

# Any block of the group may be the creator's, so its elements are asked for in every block.
_OSTEO_TAGS = tuple(
    Tag(OSTEO_GROUP, element)
    for block in range(0x10, 0x100)
    for element in (block, *(block << 8 | low for low in (_OFFSET, _SLOPE, _INTERCEPT, _PHANTOM)))
)

ACQUISITION_TAGS: tuple[BaseTag, ...] = (
    *HEADER_TAGS,
    *_OSTEO_TAGS,
    *(
        tag_of(keyword)
        for keyword in (
            *("SpecificCharacterSet", "StudyDate", "AcquisitionDate", "Manufacturer", "ManufacturerModelName"),
            *("DeviceSerialNumber", "StationName", "PatientBirthDate", "PatientSex", "PatientAge", "PatientPosition"),
            *("KVP", "Exposure", "GantryDetectorTilt"),
            *("ContrastBolusRoute", "ContrastBolusVolume", "ContrastBolusIngredient", "ContrastBolusAgentSequence"),
        )
    ),
)

#: What is written in Contrast/Bolus Agent where none was given.
_NO_CONTRAST = re.compile(
    r"NO|NON|NONE|N|NIL|NULL|0|N/?A|FALSE|PLAIN|NATIVE?|UNENHANCED|(WITHOUT|W/O|OHNE|KEIN|SANS|NON?|NONE)\b.*"
)
_UNSAID = ("", "UNKNOWN", "UNSPECIFIED", "?", "-")

_DAYS_PER_YEAR = 365.25
_YEARS_PER = {"Y": 1.0, "M": 1 / 12, "W": 7 / _DAYS_PER_YEAR, "D": 1 / _DAYS_PER_YEAR}


def read_acquisition(frames: Sequence[Frame]) -> Acquisition:
    """The acquisition of a series whose slices are in order.

    Raises `InputError` where its file is gone, or its header cannot be understood.
    """
    frame = frames[len(frames) // 2]
    try:
        with frame.path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return acquisition_of(read_dataset(file, ACQUISITION_TAGS)[0], frame.index or 0)
    except OSError:
        raise InputError(f"{frame.path.name} can no longer be opened; the series changed while it was read.") from None
    except Exception:  # elements that were not looked at until now; a damaged one provokes whatever it may in pydicom
        raise InputError(f"The header of {frame.path.name} is damaged; copy or export the series again.") from None


def acquisition_of(dataset: Dataset, index: int = 0) -> Acquisition:
    """What a header says of the acquisition; ``index`` is the frame of a multi-frame object."""
    header = Header(dataset)
    per_frame = header.sequence("PerFrameFunctionalGroupsSequence")
    groups = [
        *per_frame[index : index + 1],
        *header.sequence("SharedFunctionalGroupsSequence")[:1],
        header,
    ]

    def find(sequence: str, keyword: str) -> Header:
        return group_with(groups, sequence, keyword)

    contrast, agent = contrast_of(groups)
    return Acquisition(
        modality=_said(dataset, "Modality"),
        kvp=_positive(find("CTXRayDetailsSequence", "KVP").number("KVP")),
        slice_thickness_mm=_positive(find("PixelMeasuresSequence", "SliceThickness").number("SliceThickness")),
        kernel=find("CTReconstructionSequence", "ConvolutionKernel").word("ConvolutionKernel") or None,
        contrast=contrast,
        contrast_agent=agent,
        manufacturer=_said(dataset, "Manufacturer"),
        model_name=_said(dataset, "ManufacturerModelName"),
        scanner_id=_said(dataset, "DeviceSerialNumber") or _said(dataset, "StationName"),
        age_years=age_of(header),
        sex={"F": "F", "M": "M", "O": "O"}.get(header.word("PatientSex").upper()),
        study_date=_date(header, "StudyDate") or _date(header, "AcquisitionDate"),
        series_description=_said(dataset, "SeriesDescription"),
        patient_position=_said(dataset, "PatientPosition"),
        tube_current_mas=_exposure(find("CTExposureSequence", "ExposureInmAs"), header),
        gantry_tilt_deg=find("CTAcquisitionDetailsSequence", "GantryDetectorTilt").number("GantryDetectorTilt"),
        image_type=find("CTImageFrameTypeSequence", "FrameType").words("FrameType") or header.words("ImageType"),
        photometric=header.word("PhotometricInterpretation") or None,
        rescale_type=find("PixelValueTransformationSequence", "RescaleType").word("RescaleType") or None,
        osteo=osteo_of(dataset),
    )


def contrast_of(groups: Sequence[Header]) -> tuple[bool | None, str | None]:
    """Whether contrast was given (None where the header does not say), and which, in its own words.

    An element that is there but empty says nothing: scanners and anonymisers leave it so in either case.
    """
    header = groups[-1]
    agent = header.word("ContrastBolusAgent")
    for item in header.sequence("ContrastBolusAgentSequence")[:1]:
        agent = agent or item.word("CodeMeaning") or "coded agent"
    route = header.word("ContrastBolusRoute")
    words = f"{agent} ({route})" if agent and route else agent or route or None
    usage = group_with(groups, "ContrastBolusUsageSequence", "ContrastBolusAgentAdministered")
    administered = usage.word("ContrastBolusAgentAdministered").upper()
    if administered in ("YES", "NO"):
        return administered == "YES", words
    if _positive(header.number("ContrastBolusVolume")) or header.word("ContrastBolusIngredient"):
        return True, words or header.word("ContrastBolusIngredient") or "volume given"
    said = [value.upper() for value in (agent, route) if value.upper() not in _UNSAID]
    if not said:
        return None, None
    return not all(_NO_CONTRAST.fullmatch(value) for value in said), words


def age_of(header: Header) -> float | None:
    """Years of age: Patient's Age, or from the birth date to the study's; None where neither is there."""
    stated = re.fullmatch(r"(\d{1,3})([DWMY])", header.word("PatientAge").upper())
    if stated:
        return int(stated[1]) * _YEARS_PER[stated[2]]
    born = _date(header, "PatientBirthDate")
    seen = _date(header, "StudyDate") or _date(header, "AcquisitionDate")
    if born is None or seen is None or seen < born:
        return None
    # Whole years by the calendar: on the eighteenth birthday the age is 18, not 17.99.
    years = seen.year - born.year - ((seen.month, seen.day) < (born.month, born.day))
    since = (seen.timetuple().tm_yday - born.timetuple().tm_yday) % _DAYS_PER_YEAR
    return (
        years + min(since / _DAYS_PER_YEAR, 0.999) if (seen.month, seen.day) != (born.month, born.day) else float(years)
    )


def osteo_of(dataset: Dataset) -> SiemensOsteo | None:
    """The scanner's own bone calibration, or None."""
    try:
        block = dataset.private_block(OSTEO_GROUP, OSTEO_CREATOR)
    except KeyError:
        return None
    values = {low: block[low].value if low in block else None for low in (_OFFSET, _SLOPE, _INTERCEPT, _PHANTOM)}
    slope, intercept = number(values[_SLOPE]), number(values[_INTERCEPT])
    if slope is None or intercept is None or slope <= 0:
        return None
    return SiemensOsteo(slope, intercept, phantom=integer(values[_PHANTOM]), offset=number(values[_OFFSET]))


def _said(dataset: Dataset, keyword: str) -> str | None:
    """Words decoded by the data set's own character set."""
    return text(dataset.get(keyword)) or None


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _exposure(group: Header, header: Header) -> float | None:
    enhanced = group.number("ExposureInmAs")
    return _positive(header.number("Exposure") if enhanced is None else enhanced)


def _date(header: Header, keyword: str) -> date | None:
    digits = header.word(keyword).replace(".", "").replace("-", "")
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])) if len(digits) == 8 else None
    except ValueError:
        return None
