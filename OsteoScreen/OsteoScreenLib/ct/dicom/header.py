"""What is read of every image's header, and no more: placement, identity within the series, how to decode it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

#: Everything that choosing, ordering and decoding need; none of it names the patient.
HEADER_TAGS: list[BaseTag] = [
    Tag(keyword)
    for keyword in (
        "ImageType SOPClassUID SOPInstanceUID Modality SeriesDescription "
        "ContrastBolusAgent ContrastBolusVolume ContrastBolusRoute SliceThickness KVP ConvolutionKernel "
        "StudyInstanceUID SeriesInstanceUID SeriesNumber AcquisitionNumber InstanceNumber "
        "TemporalPositionIdentifier AcquisitionTime "
        "ImagePositionPatient ImageOrientationPatient FrameOfReferenceUID "
        "SamplesPerPixel PhotometricInterpretation NumberOfFrames Rows Columns PixelSpacing BitsAllocated BitsStored "
        "HighBit PixelRepresentation PixelPaddingValue PixelPaddingRangeLimit LossyImageCompression "
        "RescaleIntercept RescaleSlope RescaleType ModalityLUTSequence "
        "SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence"
    ).split()
]


@dataclass(frozen=True)
class Frame:
    """One image slice: a file, or one frame of a multi-frame file. Positions are DICOM's own: LPS mm."""

    path: Path
    index: int | None
    file_size: int
    pixel_offset: int
    transfer_syntax: str
    sop_class: str
    sop_uid: str
    study_uid: str
    series_uid: str
    series_number: str
    series_description: str
    acquisition_number: str
    instance_number: int
    temporal_position: str
    modality: str
    image_type: tuple[str, ...]
    kernel: str
    thickness: float | None
    contrast: bool
    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    padding: tuple[int, int] | None
    lossy: bool
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    slope: float | None
    intercept: float | None
    rescale_type: str
    lookup_table: bool

    @property
    def is_localizer(self) -> bool:
        """Whether the scanner calls it a scout."""
        return "LOCALIZER" in self.image_type

    @property
    def is_original(self) -> bool:
        """Whether it is the scanner's own axial reconstruction, not a reformat or another derived image."""
        reformats = ("MPR", "REFORMATTED", "PROJECTION IMAGE", "MIP", "MINIP", "AVERAGE", "SUBTRACTION", "RESAMPLED")
        return "DERIVED" not in self.image_type[:1] and not any(t.strip() in reformats for t in self.image_type)


def frames_of(dataset: Dataset, path: Path, file_size: int, pixel_offset: int) -> Iterator[Frame]:
    """The frames that a header describes: one, or each of a multi-frame object."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    shared = first_item(dataset, "SharedFunctionalGroupsSequence")
    if not per_frame:
        if (integer(dataset.get("NumberOfFrames")) or 1) > 1:
            return
        yield _frame(dataset, [dataset], path, None, file_size, pixel_offset, 1)
        return
    for index, item in enumerate(per_frame):
        yield _frame(dataset, [item, shared, dataset], path, index, file_size, pixel_offset, len(per_frame))


def _frame(
    dataset: Dataset,
    groups: list[Dataset],
    path: Path,
    index: int | None,
    file_size: int,
    pixel_offset: int,
    frames: int,
) -> Frame:
    pixel_representation = integer(dataset.get("PixelRepresentation")) or 0
    bits_stored = integer(dataset.get("BitsStored")) or 0
    frame_type = grouped(groups, "CTImageFrameTypeSequence", "FrameType") or dataset.get("ImageType")
    return Frame(
        path=path,
        index=index,
        file_size=file_size,
        pixel_offset=pixel_offset,
        transfer_syntax=str(dataset.file_meta.get("TransferSyntaxUID", "") or ""),
        sop_class=text(dataset.get("SOPClassUID")),
        sop_uid=text(dataset.get("SOPInstanceUID")),
        study_uid=text(dataset.get("StudyInstanceUID")),
        series_uid=text(dataset.get("SeriesInstanceUID")),
        series_number=text(dataset.get("SeriesNumber")),
        series_description=text(dataset.get("SeriesDescription")),
        acquisition_number=text(dataset.get("AcquisitionNumber")),
        instance_number=integer(dataset.get("InstanceNumber")) or (index or 0),
        temporal_position=text(dataset.get("TemporalPositionIdentifier")),
        modality=text(dataset.get("Modality")),
        image_type=texts(frame_type),
        kernel=text(grouped(groups, "CTReconstructionSequence", "ConvolutionKernel")),
        thickness=number(grouped(groups, "PixelMeasuresSequence", "SliceThickness")),
        contrast=bool(text(dataset.get("ContrastBolusAgent"))),
        rows=integer(dataset.get("Rows")) or 0,
        columns=integer(dataset.get("Columns")) or 0,
        frames=frames,
        samples=integer(dataset.get("SamplesPerPixel")) or 1,
        photometric=text(dataset.get("PhotometricInterpretation")),
        bits_allocated=integer(dataset.get("BitsAllocated")) or 0,
        bits_stored=bits_stored,
        high_bit=integer(dataset.get("HighBit")) if dataset.get("HighBit") is not None else bits_stored - 1,
        signed=pixel_representation == 1,
        padding=_padding(dataset, pixel_representation == 1),
        lossy=text(dataset.get("LossyImageCompression")) == "01",
        position=numbers(grouped(groups, "PlanePositionSequence", "ImagePositionPatient"), 3),
        orientation=numbers(grouped(groups, "PlaneOrientationSequence", "ImageOrientationPatient"), 6),
        spacing=numbers(grouped(groups, "PixelMeasuresSequence", "PixelSpacing"), 2),
        slope=number(grouped(groups, "PixelValueTransformationSequence", "RescaleSlope")),
        intercept=number(grouped(groups, "PixelValueTransformationSequence", "RescaleIntercept")),
        rescale_type=text(grouped(groups, "PixelValueTransformationSequence", "RescaleType")).upper(),
        lookup_table=bool(dataset.get("ModalityLUTSequence")),
    )


def _padding(dataset: Dataset, signed: bool) -> tuple[int, int] | None:
    """The stored values that mean "nothing here", from the lowest to the highest."""
    ends = [_as_stored(dataset.get(keyword), signed) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None:
        return None
    limit = ends[0] if ends[1] is None else ends[1]
    return min(ends[0], limit), max(ends[0], limit)


def _as_stored(value: Any, signed: bool) -> int | None:
    # Writers often store the padding as US though the pixels are signed, and the other way round.
    whole = integer(value)
    if whole is None:
        return None
    if signed and whole > 0x7FFF:
        return whole - 0x10000
    return whole + 0x10000 if not signed and whole < 0 else whole


def first_item(dataset: Dataset, keyword: str) -> Dataset:
    """The first item of a sequence, or an empty data set."""
    sequence = dataset.get(keyword)
    return sequence[0] if sequence else Dataset()


def grouped(groups: list[Dataset], sequence: str, keyword: str) -> Any:
    """An attribute of a functional group (per frame, then shared), or of the data set itself, or None."""
    for group in groups:
        for holder in (first_item(group, sequence), group):
            value = holder.get(keyword)
            if value is not None and value != "":
                return value
    return None


def text(value: Any) -> str:
    """A header value as words, without padding; "" for none."""
    return "" if value is None else str(value).strip(" \0")


def texts(value: Any) -> tuple[str, ...]:
    """A multi-valued header value as words."""
    if value is None or value == "":
        return ()
    return (text(value),) if isinstance(value, str) else tuple(text(v) for v in value)


def number(value: Any) -> float | None:
    """A header value as a finite number, or None."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None


def integer(value: Any) -> int | None:
    """A header value as a whole number, or None."""
    result = number(value)
    return None if result is None else int(result)


def numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """A header value as exactly ``count`` finite numbers, or None."""
    if value is None or isinstance(value, (str, os.PathLike)):
        return None
    try:
        result = tuple(number(v) for v in value)
    except TypeError:
        return None
    return None if len(result) != count or any(v is None for v in result) else tuple(v for v in result if v is not None)
