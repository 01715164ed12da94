"""What is read of every image's header, and no more: placement, identity within the series, how to decode it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from .values import Header, tag_of

#: Everything that choosing, ordering and decoding need; none of it names the patient.
HEADER_TAGS: tuple[BaseTag, ...] = tuple(
    tag_of(keyword)
    for keyword in (
        *("ImageType", "SOPClassUID", "SOPInstanceUID", "Modality", "SeriesDescription"),
        *("ContrastBolusAgent", "SliceThickness", "ConvolutionKernel"),
        *("StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "AcquisitionNumber", "InstanceNumber"),
        *("TemporalPositionIdentifier", "ImagePositionPatient", "ImageOrientationPatient", "NumberOfFrames"),
        *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "PixelSpacing"),
        *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
        *("PixelPaddingValue", "PixelPaddingRangeLimit", "LossyImageCompression"),
        *("RescaleIntercept", "RescaleSlope", "RescaleType", "ModalityLUTSequence"),
        *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    )
)

#: SOP classes of CT images: CT, Enhanced CT, Legacy Converted Enhanced CT (DICOM PS3.6).
CT_CLASSES = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")

#: Words of Image Type that mark an image as computed from other images (DICOM PS3.3 C.8.2.1.1.1, C.8.16.1.3, and what
#: the makers write).
_REFORMATS = frozenset(
    ("MPR", "REFORMATTED", "PROJECTION IMAGE", "MIP", "MINIP", "MIN IP", "AVERAGE", "SUBTRACTION", "RESAMPLED", "CPR")
)


@dataclass(frozen=True)
class Frame:
    """One image slice: a file, or one frame of a multi-frame file (then ``index`` counts from 0).

    Positions are DICOM's own (LPS mm); ``pixel_offset`` is where the pixel data element begins in the file;
    ``padding`` are the lowest and highest stored values that mean "nothing here".
    """

    path: Path
    index: int | None
    frames: int
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
    contrast_agent: str
    rows: int
    columns: int
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
        """Whether it is the scanner's own reconstruction, not a reformat or another derived image."""
        return "DERIVED" not in self.image_type[:1] and _REFORMATS.isdisjoint(self.image_type)

    def place(self, keyword: str) -> tuple[float, ...]:
        """Position, orientation or spacing of a frame that is known to have it."""
        value: tuple[float, ...] | None = getattr(self, keyword)
        assert value is not None, "frames without a placement are left out when the headers are read"
        return value


def frames_of(dataset: Dataset, path: Path, file_size: int, pixel_offset: int, transfer_syntax: str) -> Iterator[Frame]:
    """The frames that a header describes: one, or each of a multi-frame object that places its frames."""
    header = Header(dataset)
    per_frame = header.sequence("PerFrameFunctionalGroupsSequence")
    where = (path, file_size, pixel_offset, transfer_syntax)
    if not per_frame:
        # Without functional groups the frames of a multi-frame object (a cine, a capture) have no place in the patient.
        if (header.number("NumberOfFrames") or 1) <= 1:
            yield _frame(header, [header], None, 1, *where)
        return
    shared = header.sequence("SharedFunctionalGroupsSequence")[:1]
    for index, item in enumerate(per_frame):
        yield _frame(header, [item, *shared, header], index, len(per_frame), *where)


def _frame(
    header: Header,
    groups: Sequence[Header],
    index: int | None,
    frames: int,
    path: Path,
    file_size: int,
    pixel_offset: int,
    transfer_syntax: str,
) -> Frame:
    signed = header.short("PixelRepresentation") == 1
    bits_stored = header.short("BitsStored") or 0
    high_bit = header.short("HighBit")
    measures = group_with(groups, "PixelMeasuresSequence", "PixelSpacing")
    rescale = group_with(groups, "PixelValueTransformationSequence", "RescaleSlope")
    return Frame(
        path=path,
        index=index,
        frames=frames,
        file_size=file_size,
        pixel_offset=pixel_offset,
        transfer_syntax=transfer_syntax,
        sop_class=header.word("SOPClassUID"),
        sop_uid=header.word("SOPInstanceUID"),
        study_uid=header.word("StudyInstanceUID"),
        series_uid=header.word("SeriesInstanceUID"),
        series_number=header.word("SeriesNumber"),
        series_description=header.word("SeriesDescription"),
        acquisition_number=header.word("AcquisitionNumber"),
        instance_number=int(header.number("InstanceNumber") or 0) if index is None else index,
        temporal_position=header.word("TemporalPositionIdentifier"),
        modality=header.word("Modality"),
        image_type=group_with(groups, "CTImageFrameTypeSequence", "FrameType").words("FrameType")
        or header.words("ImageType"),
        kernel=group_with(groups, "CTReconstructionSequence", "ConvolutionKernel").word("ConvolutionKernel"),
        thickness=group_with(groups, "PixelMeasuresSequence", "SliceThickness").number("SliceThickness"),
        contrast_agent=header.word("ContrastBolusAgent"),
        rows=header.short("Rows") or 0,
        columns=header.short("Columns") or 0,
        samples=header.short("SamplesPerPixel") or 1,
        photometric=header.word("PhotometricInterpretation"),
        bits_allocated=header.short("BitsAllocated") or 0,
        bits_stored=bits_stored,
        high_bit=bits_stored - 1 if high_bit is None else high_bit,
        signed=signed,
        padding=_padding(header, signed),
        lossy=header.word("LossyImageCompression") == "01",
        position=group_with(groups, "PlanePositionSequence", "ImagePositionPatient").numbers("ImagePositionPatient", 3),
        orientation=group_with(groups, "PlaneOrientationSequence", "ImageOrientationPatient").numbers(
            "ImageOrientationPatient", 6
        ),
        spacing=measures.numbers("PixelSpacing", 2),
        slope=rescale.number("RescaleSlope"),
        intercept=rescale.number("RescaleIntercept"),
        rescale_type=rescale.word("RescaleType").upper(),
        lookup_table=bool(header.sequence("ModalityLUTSequence")),
    )


def group_with(groups: Sequence[Header], sequence: str, keyword: str) -> Header:
    """Where an attribute stands: in a functional group (the frame's own, then the shared one), else in the data set."""
    for group in groups:
        if keyword in group:
            return group
        for item in group.sequence(sequence)[:1]:
            if keyword in item:
                return item
    return groups[-1]


def _padding(header: Header, signed: bool) -> tuple[int, int] | None:
    value = header.short("PixelPaddingValue", signed=signed)
    if value is None:
        return None
    limit = header.short("PixelPaddingRangeLimit", signed=signed)
    return (value, value) if limit is None else (min(value, limit), max(value, limit))
