"""What an outlined slice measures: HU inside the outline, inside its inset, and in the standard circle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ..errors import SegmentationFailed, UsageError
from ..results import RoiMeasures
from .circle import AREA_MM2, standard_circle
from .contours import simplified
from .outline import Outline, PixelGrid, Shares, outlines_of, shares

if TYPE_CHECKING:
    from ..ct.geometry import Geometry

#: The cortex is blurred over the rim of the outline: in-plane FWHM 1.0-1.3 mm (Docs/sources.md).
INSET_MM = 2.0

#: No bone is as dark: gas, or pixels without data (the reader gives those -1024 HU).
NOT_TISSUE_HU = -1000.0

#: Specks beside the outline that together are no more than this share of its area are left aside.
SPECKS = 0.05

#: How far (mm) the polygon in the result may lie from the outline that was measured; the larger one where the
#: smaller one would leave more points than `POLYGON_POINTS`.
POLYGON_TOLERANCES_MM = (0.05, 0.09)
POLYGON_POINTS = 200


def measure_roi(
    hu: np.ndarray,
    mask: np.ndarray,
    geometry: Geometry,
    k: int,
    *,
    inset_mm: float = INSET_MM,
    confidence: float = 1.0,
    mask_source: Literal["model", "user"] = "model",
) -> RoiMeasures:
    """Measure slice `k` of a canonical CT inside the outline of `mask`.

    `hu` and `mask` are (rows, columns). `mask` is a boolean mask, or the probability or coverage (0 to 1) of each
    pixel; the outline is where it crosses 0.5, by linear interpolation between pixel centres. Of several regions the
    largest is measured; holes count as inside. Every pixel counts by its share in the region, so that the measures
    change smoothly when the outline shifts by a fraction of a pixel; no value is left out for being high or low.

    The plain statistics are taken at least `inset_mm` inside the outline, measured in the plane.

    Raises SegmentationFailed when there is no outline, more than one, nothing left inside the inset, or pixels
    without tissue inside the outline; UsageError when the arguments do not fit together.
    """
    field = _checked(hu, mask, inset_mm, confidence)
    column_mm, row_mm, _ = geometry.spacing_mm
    grid = PixelGrid((hu.shape[0], hu.shape[1]), column_mm, row_mm)
    outline = _the_outline(outlines_of(field, grid))
    whole = shares(outline, grid)
    _refuse_what_is_no_tissue(hu, whole)
    inner = shares(outline, grid, inset_mm)
    if not inner.centres:
        raise SegmentationFailed(
            f"Nothing is left of the outline {inset_mm:g} mm inside it ({outline.area_mm2:.0f} mm2 in all); "
            "check that the level is right, or correct the mask."
        )
    mean, median, sd = _statistics(hu, inner)
    circle = standard_circle(hu, outline, grid, _anterior(geometry))
    return RoiMeasures(
        mean_hu=mean,
        median_hu=median,
        sd_hu=sd,
        pixels=inner.centres,
        inset_mm=float(inset_mm),
        area_mm2=inner.total * grid.pixel_area_mm2,
        outline_area_mm2=outline.area_mm2,
        outline_mean_hu=_statistics(hu, whole)[0],
        circle_mean_hu=None if circle is None else _statistics(hu, shares(circle, grid))[0],
        circle_area_mm2=AREA_MM2,
        circle_centre_ras_mm=None if circle is None else _ras(circle.centre_mm, grid, geometry, k),
        outline_ras_mm=_polygon(outline, grid, geometry, k),
        centroid_ras_mm=_ras(outline.centroid_mm, grid, geometry, k),
        confidence=float(confidence),
        mask_source=mask_source,
    )


def _checked(hu: np.ndarray, mask: np.ndarray, inset_mm: float, confidence: float) -> np.ndarray:
    """Return the mask as numbers from 0 to 1.  Raises UsageError when it is not one of `hu`."""
    if hu.ndim != 2 or hu.shape != mask.shape:
        raise UsageError(f"The mask measures {mask.shape} and the slice {hu.shape}; they must be the same.")
    if not (np.isfinite(inset_mm) and inset_mm >= 0):
        raise UsageError(f"The inset must be a length of 0 mm or more, not {inset_mm}.")
    if not 0.0 <= confidence <= 1.0:
        raise UsageError(f"The confidence must lie between 0 and 1, not at {confidence}.")
    field = np.asarray(mask, dtype=np.float64)
    if not np.isfinite(field).all() or field.min() < 0.0 or field.max() > 1.0:
        raise UsageError("A mask holds values from 0 to 1 only; choose one label, or scale the probabilities.")
    return field


def _the_outline(outlines: list[Outline]) -> Outline:
    if not outlines:
        raise SegmentationFailed("The mask of the slice is empty; choose another slice, or draw the mask.")
    first, *others = outlines
    if sum(other.area_mm2 for other in others) > SPECKS * first.area_mm2:
        raise SegmentationFailed(
            f"The mask of the slice has {len(outlines)} separate parts; keep the vertebral body only."
        )
    return first


def _refuse_what_is_no_tissue(hu: np.ndarray, region: Shares) -> None:
    values = hu[region.rows, region.columns]
    count = int(np.count_nonzero(~np.isfinite(values) | (values <= NOT_TISSUE_HU)))
    if count:
        raise SegmentationFailed(
            f"{count} of the {len(values)} pixels inside the outline hold no data or air; choose another slice, or "
            "correct the mask."
        )


def _statistics(hu: np.ndarray, region: Shares) -> tuple[float, float, float]:
    """Return mean, median and standard deviation of `hu` in a region, its pixels counting by their shares."""
    values = hu[region.rows, region.columns].astype(np.float64)
    weights = region.weights / region.total
    mean = float(weights @ values)
    sd = float(np.sqrt(weights @ (values - mean) ** 2))
    order = np.argsort(values, kind="stable")
    middles = np.cumsum(weights[order]) - 0.5 * weights[order]
    return mean, float(np.interp(0.5, middles, values[order])), sd


def _anterior(geometry: Geometry) -> np.ndarray:
    """Return the unit vector (2,) in the plane (along columns, along rows) that points to the patient's front."""
    axes = geometry.ijk_to_ras[:3, :2] / np.linalg.norm(geometry.ijk_to_ras[:3, :2], axis=0)
    front = axes[1]
    return front / np.linalg.norm(front)


def _ras(position_mm: np.ndarray, grid: PixelGrid, geometry: Geometry, k: int) -> tuple[float, float, float]:
    x, y, z = geometry.ras(position_mm[0] / grid.column_mm, position_mm[1] / grid.row_mm, k)
    return float(x), float(y), float(z)


def _polygon(outline: Outline, grid: PixelGrid, geometry: Geometry, k: int) -> list[tuple[float, float]]:
    """Return the outline as a closed polygon of RAS (x, y) mm: the last point repeats the first."""
    points = outline.points
    for tolerance in POLYGON_TOLERANCES_MM:
        points = simplified(outline.points, tolerance)
        if len(points) <= POLYGON_POINTS:
            break
    ras = geometry.ras(points[:, 0] / grid.column_mm, points[:, 1] / grid.row_mm, k)
    closed = np.vstack([ras, ras[:1]])[:, :2].round(4)
    return [(float(x), float(y)) for x, y in closed]
