"""Find the vertebral body on an axial slice, without a network: its shape against the canal behind it.

A template of bone (rim and core of the body, posterior arch) against soft tissue (canal, and what lies beside and in
front of the body) is moved over the slice; where it fits best is the body. Written for snapping, which needs the body
to within about 8 mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..connected import largest_part

#: The slice is looked at this finely: a blurred cortex is 2 to 3 mm thick.
_STEP_MM = 2.0
#: Half width and half depth of the body: between the upper endplate's (41 x 34 mm at L1, Panjabi 1992) and the waist's.
_HALF_WIDTH_MM, _HALF_DEPTH_MM = 21.0, 17.0
#: The canal behind it: 23.7 x 19.0 mm at L1 (Panjabi 1992), here its inner part.
_CANAL_HALF_WIDTH_MM, _CANAL_HALF_DEPTH_MM = 9.0, 7.0
#: Half the template's side, which holds body, canal, arch, and what lies beside them.
_REACH_MM = 75.0
#: Bone is counted from above soft tissue (muscle 43-60 HU) up to a bright cortex, which then counts no more for metal.
_BONE_FROM_HU, _BONE_RANGE_HU = 60.0, 300.0
#: How far, as a standard deviation in mm, the spine may lie from the middle of the trunk.
_MIDLINE_MM = 45.0
#: Brighter than this is trunk: fat is at -79 to -115 HU, lung at -850 (shared reference notes).
_TISSUE_HU = -150.0
#: The template's fit, in HU, on real slices of T1 to L5: 92 on the weakest disc, 130 and more on bodies; 40 is noise.
MINIMUM_FIT_HU = 60.0
#: Another place that fits nearly as well, further off than the body's own half width, makes the finding doubtful.
_APART_MM = 25.0
MINIMUM_LEAD = 1.05


@dataclass(frozen=True)
class BodyPlace:
    """The body's middle on a slice (pixel row and column, as fractions), how well it fits, in HU, and by what factor
    it fits better than anywhere else."""

    row: float
    column: float
    fit_hu: float
    lead: float

    @property
    def is_clear(self) -> bool:
        """Whether the finding can be relied on."""
        return self.fit_hu >= MINIMUM_FIT_HU and self.lead >= MINIMUM_LEAD


def find_body(hu: npt.NDArray[np.float32], pixel_spacing_mm: tuple[float, float]) -> BodyPlace | None:
    """The vertebral body on a slice (rows, columns) in HU, canonical orientation (anterior up); None without a trunk.

    ``pixel_spacing_mm`` is the distance of rows and of columns.
    """
    from scipy import signal  # here, for it is slow to load, and few screenings need it

    row_mm, column_mm = pixel_spacing_mm
    coarse = _resampled(np.clip(hu, -200.0, 600.0), row_mm, column_mm)
    trunk = _trunk(coarse)
    if trunk is None:
        return None
    bone = np.clip(coarse - _BONE_FROM_HU, 0.0, _BONE_RANGE_HU) * trunk
    fit = signal.fftconvolve(bone, _template()[::-1, ::-1], mode="same")
    columns = np.nonzero(trunk.any(axis=0))[0]
    off_middle = (np.arange(fit.shape[1]) - (columns[0] + columns[-1]) / 2) * _STEP_MM
    fit = np.where(trunk & (fit > 0), fit * np.exp(-0.5 * (off_middle / _MIDLINE_MM) ** 2), 0.0)
    row, column = np.unravel_index(int(fit.argmax()), fit.shape)
    rows, columns = np.ogrid[: fit.shape[0], : fit.shape[1]]
    apart = np.hypot(rows - row, columns - column) * _STEP_MM > _APART_MM
    best, second = float(fit.max()), float(fit[apart].max(initial=0.0))
    return BodyPlace(row * _STEP_MM / row_mm, column * _STEP_MM / column_mm, best, best / max(second, 1e-6))


@cache
def _template() -> npt.NDArray[np.float64]:
    """Weights (rows, columns) around the body's middle, each region's adding up to its say in the fit."""
    n = int(_REACH_MM / _STEP_MM)
    y, x = np.mgrid[-n : n + 1, -n : n + 1] * _STEP_MM
    radius = np.hypot(x / _HALF_WIDTH_MM, y / _HALF_DEPTH_MM)
    canal_middle = _HALF_DEPTH_MM + _CANAL_HALF_WIDTH_MM
    from_canal = np.hypot(x / _CANAL_HALF_WIDTH_MM, (y - canal_middle) / _CANAL_HALF_DEPTH_MM)
    arch = (np.hypot(x / 22.0, (y - canal_middle) / 14.0) < 1.3) & (y > _HALF_DEPTH_MM + 6.0) & (from_canal > 1.25)
    regions = (
        (np.abs(radius - 0.95) < 0.15, 1.0),  # the cortical rim
        (radius < 0.8, 0.6),  # the trabecular core
        (arch, 0.6),
        ((radius > 1.25) & (radius < 1.7) & (y < 8.0), -0.9),  # what lies before and beside the body
        (from_canal < 1.0, -0.9),
    )
    weights = np.zeros_like(x)
    for region, say in regions:
        weights += region * (say / region.sum())
    return weights


def _resampled(hu: npt.NDArray, row_mm: float, column_mm: float) -> npt.NDArray[np.float64]:
    """The slice at 2 mm, smoothed first so that no thin bone falls between the samples."""
    smooth = ndimage.gaussian_filter(hu, [0.5 * max(_STEP_MM / size - 1.0, 0.0) for size in (row_mm, column_mm)])
    rows = np.arange(0.0, (hu.shape[0] - 1) * row_mm + 1e-6, _STEP_MM) / row_mm
    columns = np.arange(0.0, (hu.shape[1] - 1) * column_mm + 1e-6, _STEP_MM) / column_mm
    return ndimage.map_coordinates(smooth, np.meshgrid(rows, columns, indexing="ij"), order=1)


def _trunk(coarse: npt.NDArray) -> npt.NDArray[np.bool_] | None:
    """The patient without table and arms, lungs and bowel gas filled."""
    tissue = ndimage.binary_opening(coarse > _TISSUE_HU, iterations=3)
    return ndimage.binary_fill_holes(largest_part(tissue)) if tissue.any() else None
