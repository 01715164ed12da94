"""Whether a slice shows a body between its endplates: a wall of cortex stands around it, and no endplate lies in it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .registry import OutlinedSlice, Verdict, passed, refused, slice_check, warned

#: The wall is looked for up to this far outside the outline, in sectors of 10 degrees, on a slice smoothed a little.
_REACH_MM, _SECTORS, _SMOOTH_MM = 3.5, 36, 0.7
#: Cortex counts where it is this much brighter than the median inside: thin cortex blurred by a scanner still is.
_BRIGHTER_HU = 60.0
#: On 56 mid-body slices (T7-L5) of eight public CTs (low dose, contrast, 5 mm, lung kernel) the wall stood around 0.64
#: to 1.00 of the outline; on four slices through the middle of a disc around 0.11 to 0.47.
_WALLED, _OPEN = 0.55, 0.30
#: An endplate of a body that leans, or a disc between two, shows in thick slices as a bright or a dark band. It is told
#: by the span from the 5th to the 95th percentile of the HU inset by 2 mm, smoothed so that noise is not taken for one.
#: On 25 mid-body slices of four real CT (T8-L5) it was 39 to 113 HU, but for three of 133 to 142, two of them with a
#: sharp kernel; on 120 simulated ones at most 88. Half-way between two bodies it was 144 to 268 on eleven slices of two
#: of these CT, of which the wall stood around most, and 43 to 104 on one CT whose discs are as bright as its bone.
_BAND_SMOOTH_MM, _INSET_MM, _BANDED_HU = 2.0, 2.0, 140.0


@slice_check("cortex")
def cortex(seen: OutlinedSlice) -> Verdict:
    """A slice through a disc has no wall of cortex, and no trabecular bone to measure."""
    share = wall_share(seen.hu, seen.mask, seen.row_column_mm)
    value = round(share, 2)
    name = seen.level.name
    if share >= _WALLED:
        return passed(f"Cortex surrounds {share:.0%} of the outline of {name}.", value)
    message = f"Cortex surrounds only {share:.0%} of the outline of {name}"
    if share >= _OPEN or seen.roi.mask_source == "user":
        return warned(f"{message}; check that the slice is not near a disc, or use --snap.", value)
    return refused(f"{message}, as on a slice through a disc; choose the middle of the vertebra, or use --snap.", value)


@slice_check("endplates")
def endplates(seen: OutlinedSlice) -> Verdict:
    """No endplate lies in the slice, whose HU would stand for trabecular bone's."""
    span = band_hu(seen.hu, seen.mask, seen.row_column_mm)
    value = round(span, 1)
    name = seen.level.name
    if span <= _BANDED_HU:
        return passed(f"The bone inside the outline of {name} is even to {span:.0f} HU.", value)
    return warned(
        f"The inside of the outline of {name} is uneven, its parts {span:.0f} HU apart, as where an endplate lies in "
        "the slice; check that it is the middle of the body, or use --snap.",
        value,
    )


def band_hu(hu: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], row_column_mm: tuple[float, float]) -> float:
    """Return how far the bright parts inside an outline lie above its dark ones, in HU; 0 of an empty mask.

    Args:
        hu: (rows, columns) HU.
        mask: (rows, columns), the outlined compartment.
        row_column_mm: distance between rows, and between columns.
    """
    if not mask.any():
        return 0.0
    rows, columns = (slice(int(where.min()), int(where.max()) + 1) for where in np.nonzero(mask))
    hu, mask = hu[rows, columns], np.pad(mask[rows, columns], 1)
    inside = ndimage.distance_transform_edt(mask, sampling=row_column_mm)[1:-1, 1:-1]
    inset = inside > _INSET_MM if (inside > _INSET_MM).any() else inside > 0
    sigma = [_BAND_SMOOTH_MM / step for step in row_column_mm]
    # Smoothed among themselves: what lies outside the inset has no part in it.
    weight = ndimage.gaussian_filter(inset.astype(float), sigma)
    smooth = ndimage.gaussian_filter(np.where(inset, hu, 0.0).astype(float), sigma)[inset] / weight[inset]
    low, high = np.percentile(smooth, (5, 95))
    return float(high - low)


def wall_share(hu: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], row_column_mm: tuple[float, float]) -> float:
    """Return the share 0..1 of the directions from the body's centre in which a brighter wall follows the outline.

    Args:
        hu: (rows, columns) HU.
        mask: (rows, columns), the outlined compartment; empty gives 0.
        row_column_mm: distance between rows, and between columns.
    """
    if not mask.any():
        return 0.0
    reach = [int(np.ceil((_REACH_MM + 2) / step)) for step in row_column_mm]
    rows, columns = (
        slice(max(int(where.min()) - margin, 0), int(where.max()) + margin + 1)
        for where, margin in zip(np.nonzero(mask), reach, strict=True)
    )
    hu, mask = hu[rows, columns], mask[rows, columns]
    smooth = ndimage.gaussian_filter(hu, [_SMOOTH_MM / step for step in row_column_mm])
    outside = ndimage.distance_transform_edt(~mask, sampling=row_column_mm)
    row, column = ndimage.center_of_mass(mask)
    ring = np.nonzero((outside > 0) & (outside <= _REACH_MM))
    angle = np.arctan2((ring[0] - row) * row_column_mm[0], (ring[1] - column) * row_column_mm[1])
    sector = np.floor((angle + np.pi) / (2 * np.pi) * _SECTORS).astype(int) % _SECTORS
    limit = float(np.median(hu[mask])) + _BRIGHTER_HU
    values = smooth[ring]
    walled = [float(np.percentile(values[sector == k], 90)) > limit for k in range(_SECTORS) if (sector == k).any()]
    return float(np.mean(walled)) if walled else 0.0
