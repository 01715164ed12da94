"""A screening that was made before, opened again: its result and outlines from their files, and its CT."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import InputError, OsteoScreenError, UsageError
from .outlines import LevelOutline
from .progress import Progress, silent
from .results import InputDescription, RoiMeasures, ScreeningResult
from .screening import Screening, pictures_of

if TYPE_CHECKING:
    from .ct import CT, Geometry

#: A pixel whose centre lies nearer to the measured outline (mm) may be on either side of it: by so much the outline was
#: simplified, and its positions were rounded.
_NEAR_MM = 0.15
#: So many of the outline's pixels may be on its wrong side: where parts touch in a corner, whether they are one is
#: decided otherwise.
_WRONG_SIDE = 0.005
#: So many more within half a pixel of a network's outline, which runs through parts of pixels that its file does not
#: hold: those of the tests' phantoms differ by 0.026 at most, and an outline that is a pixel smaller by 0.1.
_WRONG_BESIDE_NETWORKS = 0.03
_ANOTHER_SCAN = "The scan is not the one that the result was made of; give that one with --ct."


def reopen(
    result: ScreeningResult,
    segmentation: str | os.PathLike[str],
    ct: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
    *,
    changing: Collection[str] = (),
) -> Screening:
    """Return the screening that ``result`` and ``segmentation``, the outlines that were written beside it, come from.

    ``ct`` is where the scan lies; None where it still lies where the result says. The networks' probability maps were
    not kept, and are None. ``changing`` are the levels whose outlines are to be replaced: they are left out where they
    are no longer those that were measured.

    Raises InputError where the scan cannot be read, is not the one that was screened, or the outlines are not those
    that were measured.
    """
    scan = _scan(result.input, ct, progress)
    if ct is not None:
        # So that the next one finds it.
        result = replace(result, input=replace(result.input, path=scan.path))
    outlines = _outlines(result, segmentation, scan.geometry, changing) if result.roi else {}
    trunk = None
    if result.numbering is not None:
        from .localisation.resample import read_trunk

        trunk = read_trunk(scan, progress=progress)
    return Screening(result, scan, pictures_of(scan, result, outlines), outlines, trunk)


def is_measured(mask: np.ndarray, roi: RoiMeasures, geometry: Geometry, k: int) -> bool:
    """Return whether ``mask`` (rows, columns) on slice ``k`` is the outline that ``roi`` was measured in."""
    from scipy import ndimage

    from .connected import largest_part
    from .densitometry.outline import Outline

    if not mask.any():
        return False
    # What was measured is the largest part, with its holes.
    body = ndimage.binary_fill_holes(largest_part(mask))
    column_mm, row_mm = geometry.pixel_spacing_mm[1], geometry.pixel_spacing_mm[0]
    outline = Outline(_pixels(roi, geometry, k)[:-1] * (column_mm, row_mm))
    rows, columns = np.indices(mask.shape).reshape(2, -1)
    centres = np.column_stack([columns * column_mm, rows * row_mm])
    inside = outline.contains(centres)
    differs = inside != body.ravel()
    away = np.abs(outline.depth_mm(centres[differs])) if differs.any() else np.zeros(0)
    area = int(inside.sum())
    if roi.mask_source == "user":
        return int((away > _NEAR_MM).sum()) <= _WRONG_SIDE * area
    half_mm = _NEAR_MM + 0.5 * max(column_mm, row_mm)
    return int((away > half_mm).sum()) <= _WRONG_SIDE * area and len(away) <= _WRONG_BESIDE_NETWORKS * area


def _pixels(roi: RoiMeasures, geometry: Geometry, k: int) -> np.ndarray:
    """The measured outline as (n, 2) positions (column, row) in pixels."""
    corner, right, below = (geometry.ras(column, row, k)[:2] for column, row in ((0, 0), (1, 0), (0, 1)))
    steps = np.column_stack([right - corner, below - corner])
    return np.linalg.solve(steps, (np.array(roi.outline_ras_mm) - corner).T).T


def _scan(described: InputDescription, path: str | os.PathLike[str] | None, progress: Progress) -> CT:
    from .ct import open_ct
    from .pacs.address import is_address

    if path is None and described.kind == "memory":
        raise InputError("The scan was screened in memory, and no file of it is known; decide where it was screened.")
    if path is None and is_address(described.path):
        raise InputError(
            "The scan came from a server and was not kept here; fetch it with `osteoscreen pacs fetch`, and say where "
            "it lies with --ct."
        )
    series = described.series_instance_uid if described.kind == "dicom" else None
    try:
        scan = open_ct(described.path if path is None else path, series=series or None, progress=progress)
    except UsageError as error:
        # The series is not there.
        raise InputError(_ANOTHER_SCAN) from error
    except InputError as error:
        hint = " Say where the scan lies now with --ct." if path is None else ""
        raise InputError(f"The scan of the result cannot be opened: {error}{hint}") from error
    if not described.sha256 or scan.sha256() != described.sha256:
        raise InputError(_ANOTHER_SCAN)
    return scan


def _outlines(
    result: ScreeningResult, segmentation: str | os.PathLike[str], geometry: Geometry, changing: Collection[str]
) -> dict[str, LevelOutline]:
    from .levels import read_vertebrae

    place = Path(segmentation)
    try:
        found = read_vertebrae(place, list(result.roi))
    except OsteoScreenError as error:
        if set(result.roi) <= set(changing):
            return {}
        raise InputError(f"The outlines of the result cannot be read: {error}") from error
    outlines = {}
    for name, roi in result.roi.items():
        k = result.levels[name].slice_index
        mask = found[name].coverage_on(geometry, k) > 0.5 if name in found else np.zeros(geometry.shape[1:], bool)
        if is_measured(mask, roi, geometry, k):
            outlines[name] = LevelOutline(k, mask, None, roi.confidence)
        elif name not in changing:
            raise InputError(
                f"{name} in {place.name} is not the outline that was measured; measure it with --correct "
                f"--masks={place}, or put back the file."
            )
    return outlines
