"""The outlines as a DICOM Segmentation: a segment per level, on the pixels of the stored image that was measured."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from highdicom import AlgorithmIdentificationSequence, PlanePositionSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription

from ...errors import UsageError
from ...segmentation_io import colour_of
from . import codes, values
from .content import not_confirmed
from .making import MAKER, Making
from .source import SourceSlice

NETWORK_SOURCE = "OsteoScreen model bundle"


def segmentation(making: Making) -> Segmentation:
    """Return the outlines as a binary segmentation.

    Raises UsageError where nothing was outlined.
    """
    if not making.outlined:
        raise UsageError("Nothing was outlined, so there is no DICOM segmentation to write.")
    planes = {name: making.outlines[name].mask.astype(np.uint8) for name in making.outlined}
    return _written(making, planes, SegmentationTypeValues.BINARY, "seg", "trabecular outlines")


def probability_map(making: Making) -> Segmentation:
    """Return the network's probability of each pixel as a fractional segmentation, in steps of 1/255.

    Raises UsageError where a level's outline is not the network's.
    """
    drawn = [name for name in making.outlined if making.outlines[name].probability is None]
    if drawn or not making.outlined:
        raise UsageError(
            f"There is no probability map of {' and '.join(drawn) or 'any level'}, because no network outlined it; "
            "leave the fractional segmentation out."
        )
    planes = {}
    for name in making.outlined:
        probability = making.outlines[name].probability
        assert probability is not None, "checked above"
        planes[name] = np.clip(np.nan_to_num(probability), 0.0, 1.0).astype(np.float32)
    return _written(making, planes, SegmentationTypeValues.FRACTIONAL, "probability", "probability of the outlines")


def frame_of(segmentation_: Segmentation, segment: int) -> int:
    """Return the number (from 1) of the one frame of a segment."""
    for number, group in enumerate(segmentation_.PerFrameFunctionalGroupsSequence, start=1):
        if int(_segment_number(segmentation_, group)) == segment:
            return number
    raise ValueError(f"segment {segment} has no frame")


def _segment_number(segmentation_: Segmentation, group: object) -> int:
    for item in (group, segmentation_.SharedFunctionalGroupsSequence[0]):
        if "SegmentIdentificationSequence" in item:  # type: ignore[operator]
            return int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber)  # type: ignore[attr-defined]
    raise ValueError("a frame without a segment")


def _written(
    making: Making, planes: dict[str, npt.NDArray], kind: SegmentationTypeValues, series: str, description: str
) -> Segmentation:
    names = list(planes)
    slices = [making.source_slice(name) for name in names]
    stored = [making.source.plane(making.result.levels[name].slice_index, planes[name]) for name in names]
    pixels = np.zeros((len(names), *stored[0].shape, len(names)), dtype=stored[0].dtype)
    for index, plane in enumerate(stored):
        pixels[index, :, :, index] = plane
    drawn_by_reader = any(_is_corrected(making, name) for name in names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # highdicom's remarks on names of one component, which are the source's
        written = Segmentation(
            source_images=_source_images(slices),
            pixel_array=pixels,
            segmentation_type=kind,
            segment_descriptions=[_segment(making, name, number) for number, name in enumerate(names, start=1)],
            plane_positions=_positions(slices),
            content_label="OSTEOSCREEN",
            content_description=f"{MAKER}: {description}; research use only",
            content_creator_name=making.reader_name if drawn_by_reader else None,
            **making.identifiers(series, description),
        )
    making.stamp(written)
    return written


def _source_images(slices: list[SourceSlice]) -> list:
    """One header per image; of a multi-frame file, its one."""
    headers = [slice_.header for slice_ in slices]
    return headers[:1] if slices[0].frame_number is not None else headers


def _positions(slices: list[SourceSlice]) -> list[PlanePositionSequence] | None:
    """The places of a multi-frame file's frames; those of single-frame images are their headers' own."""
    if slices[0].frame_number is None:
        return None
    return [PlanePositionSequence("PATIENT", slice_.header.ImagePositionPatient) for slice_ in slices]


def _segment(making: Making, name: str, number: int) -> SegmentDescription:
    how = _algorithm_type(making, name)
    bundle = making.bundle("segmentation")
    algorithm = None
    if how is not SegmentAlgorithmTypeValues.MANUAL and bundle is not None:
        algorithm = AlgorithmIdentificationSequence(
            name=values.text(bundle.name),
            family=codes.ARTIFICIAL_INTELLIGENCE,
            version=values.text(bundle.version),
            source=NETWORK_SOURCE,
            parameters={"sha256": values.text(bundle.sha256)},
        )
    segment = SegmentDescription(
        segment_number=number,
        segment_label=f"{name} vertebral body",
        segmented_property_category=codes.ANATOMICAL_STRUCTURE,
        segmented_property_type=codes.VERTEBRAE[name],
        algorithm_type=how,
        algorithm_identification=algorithm,
        tracking_uid=making.tracking[name],
        tracking_id=f"{name} vertebral body",
        display_color=CIELabColor.from_rgb(*(255 * part for part in colour_of(name))),
    )
    # For which highdicom has no parameter.
    segment.SegmentDescription = _described(making, name)
    return segment


def _described(making: Making, name: str) -> str:
    words = f"Trabecular compartment of the {name} body on its centre slice; the measures are taken inside it."
    return words if making.result.levels[name].confirmed else f"{words} {not_confirmed([name])}"


def _algorithm_type(making: Making, name: str) -> SegmentAlgorithmTypeValues:
    """Who drew it: the network; a reader who corrected the network's outline; or a person or tool that gave a mask."""
    if making.result.roi[name].mask_source == "model":
        return SegmentAlgorithmTypeValues.AUTOMATIC
    if _is_corrected(making, name) and making.bundle("segmentation") is not None:
        return SegmentAlgorithmTypeValues.SEMIAUTOMATIC
    return SegmentAlgorithmTypeValues.MANUAL


def _is_corrected(making: Making, name: str) -> bool:
    """Whether the reader of the decision in force drew the outline."""
    return making.decision is not None and f"outline {name}" in making.decision.corrections
