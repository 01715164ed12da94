"""A screening that was made before, opened again: its result and outlines from their files, and its CT."""

from __future__ import annotations

import os
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

#: An outline in pixels may differ so much from the measured one, as a share of its area and as a distance of its
#: middle in pixels: its measures were taken with parts of pixels.
_SAME_AREA, _SAME_PLACE_PIXELS = 0.05, 1.0


def reopen(
    result: ScreeningResult,
    segmentation: str | os.PathLike[str],
    ct: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> Screening:
    """Return the screening that ``result`` and ``segmentation``, the outlines that were written beside it, come from.

    ``ct`` is where the scan lies; None where it still lies where the result says. The networks' probability maps were
    not kept, and are None.

    Raises InputError where the scan cannot be read, is not the one that was screened, or the outlines are not those
    that were measured.
    """
    scan = _scan(result.input, ct, progress)
    if ct is not None:
        # So that the next one finds it.
        result = replace(result, input=replace(result.input, path=scan.path))
    outlines = _outlines(result, segmentation, scan.geometry) if result.roi else {}
    trunk = None
    if result.numbering is not None:
        from .localisation.resample import read_trunk

        trunk = read_trunk(scan, progress=progress)
    return Screening(result, scan, pictures_of(scan, result, outlines), outlines, trunk)


def _scan(described: InputDescription, path: str | os.PathLike[str] | None, progress: Progress) -> CT:
    from .ct import open_ct

    if path is None and described.kind == "memory":
        raise InputError("The scan was screened in memory, and no file of it is known; decide where it was screened.")
    series = described.series_instance_uid if described.kind == "dicom" else None
    try:
        scan = open_ct(described.path if path is None else path, series=series or None, progress=progress)
    except (InputError, UsageError) as error:
        hint = " Say where the scan lies now with --ct." if path is None else ""
        raise InputError(f"The scan of the result cannot be opened: {error}{hint}") from error
    if not described.sha256 or scan.sha256() != described.sha256:
        raise InputError("The scan is not the one that the result was made of; give that one with --ct.")
    return scan


def _outlines(
    result: ScreeningResult, segmentation: str | os.PathLike[str], geometry: Geometry
) -> dict[str, LevelOutline]:
    from .levels import read_vertebrae

    place = Path(segmentation)
    try:
        found = read_vertebrae(place, list(result.roi))
    except OsteoScreenError as error:
        raise InputError(f"The outlines of the result cannot be read: {error}") from error
    outlines = {}
    for name, roi in result.roi.items():
        k = result.levels[name].slice_index
        mask = found[name].coverage_on(geometry, k) > 0.5 if name in found else np.zeros(geometry.shape[1:], bool)
        if not _is_measured(mask, roi, geometry, k):
            raise InputError(
                f"{name} in {place.name} is not the outline that was measured; measure it with --correct --masks, or "
                "put back the file."
            )
        outlines[name] = LevelOutline(k, mask, None, roi.confidence)
    return outlines


def _is_measured(mask: np.ndarray, roi: RoiMeasures, geometry: Geometry, k: int) -> bool:
    if not mask.any():
        return False
    area = float(mask.sum()) * float(np.prod(geometry.pixel_spacing_mm))
    rows, columns = np.nonzero(mask)
    middle = geometry.ras(columns.mean(), rows.mean(), k)
    away = float(np.linalg.norm(middle - np.array(roi.centroid_ras_mm))) / max(geometry.pixel_spacing_mm)
    return abs(area - roi.outline_area_mm2) <= _SAME_AREA * roi.outline_area_mm2 and away <= _SAME_PLACE_PIXELS
