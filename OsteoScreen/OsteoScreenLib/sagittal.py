"""The sagittal view of a screened study: what a reader counts the vertebrae on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .progress import Progress
from .reports.pictures import SagittalPicture

if TYPE_CHECKING:
    from .ct import CT
    from .results import ScreeningResult

#: What the view shows beyond the levels, in mm: three to four vertebrae above (L1 is 27 mm high with its disc;
#: Panjabi 1992), so that a reader can count from the ribs, and two below.
_ABOVE_MM, _BELOW_MM = 100.0, 50.0
#: The columns averaged for it, on either side of the body's middle: one column of a chest CT is noisy.
_HALF_WIDTH_MM = 1.5
#: How many slices are decoded for a page's view.
SAGITTAL_SLICES = 24


def sagittal_view(ct: CT, result: ScreeningResult, most_slices: int, progress: Progress) -> SagittalPicture:
    """Return the view through the mean of the outlined bodies' middles, superior up, of at most ``most_slices`` slices.

    Raises InputError when a slice cannot be decoded.
    """
    geometry = ct.geometry
    z = np.array([geometry.slice_z(k) for k in range(geometry.shape[0])])
    shown = [level.z_mm for level in result.levels.values()]
    inside = np.flatnonzero((z <= max(shown) + _ABOVE_MM) & (z >= min(shown) - _BELOW_MM))
    columns = [float(geometry.ijk(roi.centroid_ras_mm)[0]) for roi in result.roi.values()]
    column = int(np.clip(round(float(np.mean(columns))), 0, geometry.shape[2] - 1))
    image, indices = ct.sagittal(
        column,
        half_width=int(_HALF_WIDTH_MM / geometry.spacing_mm[0]),
        slices=range(int(inside[0]), int(inside[-1]) + 1),
        max_slices=most_slices,
        progress=progress,
    )
    if len(indices) > 1 and z[indices[0]] < z[indices[-1]]:
        image, indices = image[::-1], indices[::-1]
    step = abs(float(z[indices[-1]] - z[indices[0]])) / max(len(indices) - 1, 1)
    middle = geometry.ras(column, (geometry.shape[1] - 1) / 2, int(indices[len(indices) // 2]))
    return SagittalPicture(image, (step, geometry.spacing_mm[1]), indices, float(middle[0]))
