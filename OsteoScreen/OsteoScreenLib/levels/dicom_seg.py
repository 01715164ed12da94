"""The vertebrae of a DICOM segmentation object (SEG), by segment label or by code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom

from ..ct.geometry import LPS_TO_RAS, Geometry, canonical
from ..errors import InputError
from .names import SCT_CODES, vertebra_named

_SEG_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
#: Frames further from an even spacing than this share of it are no regular grid.
_UNEVEN = 0.2
_MOST_SLICES = 5000


def is_dicom(path: Path) -> bool:
    """Whether the file has DICOM's preamble."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_dicom_seg(path: Path) -> dict[str, tuple[npt.NDArray[np.bool_], Geometry]]:
    """The vertebrae that the object's segments are labelled or coded as, with where each lies.

    Masks are (slices, rows, columns) in canonical orientation. Raises `InputError` where the file is another DICOM
    object, is damaged, or does not say where its frames lie.
    """
    try:
        dataset = pydicom.dcmread(path)
        kind = dataset.get("SOPClassUID")
    except Exception:  # a length beyond the file is a MemoryError, a representation that is none NotImplementedError, …
        raise InputError(f"{path.name} is damaged; export the segmentation again.") from None
    if kind != _SEG_STORAGE:
        raise InputError(f"{path.name} is DICOM, but no segmentation object (SEG); give the segmentation.")
    try:
        segments = _vertebra_segments(dataset)
        pixels = np.atleast_3d(dataset.pixel_array) if segments else np.zeros((0, 1, 1))
        frames = pixels.reshape(-1, int(dataset.Rows), int(dataset.Columns)) > 0
        return {name: _volume(dataset, frames, number) for name, number in segments.items()}
    except InputError:
        raise
    # pydicom answers damaged items with whatever its parsing meets; the user needs one sentence either way.
    except Exception:
        raise InputError(f"{path.name} is a damaged or incomplete DICOM SEG; export the segmentation again.") from None


def _vertebra_segments(dataset: pydicom.Dataset) -> dict[str, int]:
    found: dict[str, int] = {}
    for segment in dataset.SegmentSequence:
        codes = segment.get("SegmentedPropertyTypeCodeSequence", [])
        coded = [SCT_CODES[str(c.CodeValue)] for c in codes if str(c.get("CodeValue", "")) in SCT_CODES]
        named = vertebra_named(str(segment.get("SegmentLabel", "")))
        vertebra = named or (coded[0] if coded else None)
        if named and coded and named != coded[0]:
            raise InputError(f"A segment labelled {named} is coded as {coded[0]}; correct it, or give levels by hand.")
        if vertebra in found:
            raise InputError(f"More than one segment is labelled or coded {vertebra}; keep one of them.")
        if vertebra:
            found[vertebra] = int(segment.SegmentNumber)
    return found


def _volume(
    dataset: pydicom.Dataset, frames: npt.NDArray[np.bool_], number: int
) -> tuple[npt.NDArray[np.bool_], Geometry]:
    """One segment's frames put in order on an even grid; slices without a frame are empty."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    mine = [n for n, group in enumerate(dataset.PerFrameFunctionalGroupsSequence) if _segment_number(group) == number]
    if not mine:
        raise InputError("The DICOM SEG has a vertebra without a single frame; export the segmentation again.")
    groups = [dataset.PerFrameFunctionalGroupsSequence[n] for n in mine]
    positions = np.array([_item(g, shared, "PlanePositionSequence").ImagePositionPatient for g in groups], dtype=float)
    orientation = np.array(_item(groups[0], shared, "PlaneOrientationSequence").ImageOrientationPatient, dtype=float)
    measures = _item(groups[0], shared, "PixelMeasuresSequence")
    row_spacing, column_spacing = (float(value) for value in measures.PixelSpacing)
    along_row, along_column = orientation[:3], orientation[3:]
    normal = np.cross(along_row, along_column)
    depths = positions @ normal
    step = _step(depths, float(measures.get("SpacingBetweenSlices", 0) or measures.get("SliceThickness", 0) or 0))
    index = np.round((depths - depths.min()) / step).astype(int)
    if index.max() >= _MOST_SLICES:
        raise InputError("The DICOM SEG's frames lie metres apart; export the segmentation again.")
    mask = np.zeros((index.max() + 1, *frames.shape[1:]), dtype=bool)
    for n, k in zip(mine, index, strict=True):
        mask[k] |= frames[n]
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2] = along_row * column_spacing, along_column * row_spacing, normal * step
    lps[:3, 3] = positions[np.argmin(depths)]
    shape = (mask.shape[0], mask.shape[1], mask.shape[2])
    geometry, axis_map = canonical(shape, LPS_TO_RAS @ lps)
    return axis_map.volume(mask), geometry


def _step(depths: npt.NDArray[np.float64], stated: float) -> float:
    gaps = np.diff(np.unique(np.round(depths, 3)))
    if len(gaps) == 0:
        return stated or 1.0
    step = float(gaps.min())
    if np.abs(gaps / step - np.round(gaps / step)).max() > _UNEVEN:
        raise InputError("The DICOM SEG's frames are unevenly spaced; export the segmentation again.")
    return step


def _segment_number(group: pydicom.Dataset) -> int:
    return int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)


def _item(group: pydicom.Dataset, shared: pydicom.Dataset, keyword: str) -> pydicom.Dataset:
    return (group if keyword in group else shared)[keyword][0]
