"""Find the aorta beside a vertebral body on one slice, to see whether contrast medium was given.

The aorta is a round, even region of 11 to 30 mm close before the body, in the middle or to the patient's left, and (in
the thorax) at the body's left side. Discs of that size are laid everywhere there, and the one that is most even, stands
out most from the fat, lung and bone around it, and lies best is taken.

What is said of simulated aortas was measured at L1 and L2 of the simulated trunks 0 to 89 of the sets 101 and 202, and
on 183 simulated axial slices of T12 to L2; the bounds were set by those. On 389 further slices (set 303, and slices 400
to 799 of the stream 7) the search passes none of the 201 aortas of 110 HU or more as unenhanced, and takes bowel with
oral contrast medium or an osteophyte for an enhanced aorta on 2 of 173 slices of unenhanced scans.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

#: The search's grid; its smallest disc is five steps wide.
_STEP_MM = 2.0
#: The narrowest abdominal aortas of adults are about 12 mm wide; a disc has to fit into them with room for their blur.
_RADII_MM = (5.5, 6.5, 7.5, 8.5, 10.0, 11.5, 13.0, 15.0)
#: Where its middle may lie from the body's middle, in mm: to the right, to the left, backwards, and forwards.
_RIGHT_MM, _LEFT_MM, _BACK_MM, _FRONT_MM = 14.0, 38.0, 8.0, 48.0
#: Between the vessel and the outline, which is the inner edge of the cortex, lie 2 to 12 mm in 96 % of the simulated;
#: farther off are bowel, pancreas and kidney. What is bright and nearer than 2.2 mm is an osteophyte.
_FAR_MM, _FARTHEST_MM, _TOUCHING_MM = 11.0, 19.0, 2.2
#: Farther to the side than that, psoas, bowel and vena cava are likelier. The simulated lie 4 mm to the right of the
#: body's middle to 24 mm to the left, those of the real CT (shared data) 6 mm to the right to 18 mm to the left.
_FAR_LEFT_MM, _FAR_RIGHT_MM = 20.0, 6.0
#: What lies one of these beyond those bounds loses as much as a disc whose ring is all background gains by that.
_FAR_COST_MM, _LEFT_COST_MM, _RIGHT_COST_MM = 10.0, 15.0, 12.0
#: Blood and enhanced blood; what is brighter or darker inside is wall calcium, bone or gas.
_HU_RANGE = (-150.0, 450.0)
#: A ring pixel this much darker than the disc is background; the vessel touches muscle and bone on the rest.
_DARKER_HU = 30.0
#: How even, as the SD inside in HU on the smoothed slice, and how much of the ring, a found vessel has.
_EVEN_HU, _RING_SHARE = 30.0, 0.40
#: From here on a disc is brighter than any soft tissue without contrast medium. The blur of its own edge makes it less
#: even, by about this share of what it exceeds that by, and nearly all around it is darker.
_BRIGHT_HU, _BRIGHT_UNEVEN, _BRIGHT_RING_SHARE = 100.0, 0.15, 0.60
#: How finely grey levels are told apart where ring pixels are compared with the disc: less than _DARKER_HU.
_LEVEL_STEP_HU = 25.0
_LEVELS = np.arange(0.0, _HU_RANGE[1] + 1.0, _LEVEL_STEP_HU)
#: Half the width of the largest ring, in steps.
_LARGEST = int(np.ceil((1.1 * _RADII_MM[-1] + 3.0) / _STEP_MM))


@dataclass(frozen=True)
class Aorta:
    """The vessel: middle (row, column, as fractions), radius in mm, and the median HU of its inner part."""

    row: float
    column: float
    radius_mm: float
    hu: float


def find_aorta(
    hu: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], row_column_mm: tuple[float, float]
) -> Aorta | None:
    """The aorta on a slice (rows, columns), canonical orientation, beside the outlined body, or None."""
    if not mask.any():
        return None
    row_mm, column_mm = row_column_mm
    middle = np.array(ndimage.center_of_mass(mask))
    y = np.arange(-_FRONT_MM - 20.0, _BACK_MM + 20.0 + 1e-6, _STEP_MM)
    x = np.arange(-_RIGHT_MM - 20.0, _LEFT_MM + 20.0 + 1e-6, _STEP_MM)
    at = np.meshgrid(middle[0] + y / row_mm, middle[1] + x / column_mm, indexing="ij")
    smooth = ndimage.gaussian_filter(
        np.clip(hu, *_HU_RANGE), [0.6 * _STEP_MM / row_mm, 0.6 * _STEP_MM / column_mm], truncate=3.0
    )
    patch = ndimage.map_coordinates(smooth, at, order=1, mode="nearest")
    body = ndimage.map_coordinates(mask.astype(np.float32), at, order=1, mode="constant") > 0.5
    inside = (y[:, None] >= -_FRONT_MM) & (y[:, None] <= _BACK_MM) & (x >= -_RIGHT_MM) & (x <= _LEFT_MM)
    outside_mm = (ndimage.distance_transform_edt(~body) - 0.5) * _STEP_MM
    fields = _Fields(patch, body)
    best: tuple[float, int, int, float] | None = None
    for radius in _RADII_MM:
        gap_mm = outside_mm - radius
        score = _likeness(fields, radius, gap_mm) - _misplaced(x[None, :], gap_mm)
        score = np.where(inside & (gap_mm <= _FARTHEST_MM), score, -np.inf)
        row, column = (int(index) for index in np.unravel_index(int(score.argmax()), score.shape))
        if np.isfinite(score[row, column]) and (best is None or score[row, column] > best[0]):
            best = (float(score[row, column]), row, column, radius)
    if best is None:
        return None
    _, row, column, radius = best
    away = np.hypot(y[:, None] - y[row], x - x[column])
    value = float(np.median(patch[away <= 0.65 * radius]))
    return Aorta(float(at[0][row, column]), float(at[1][row, column]), radius, value)


class _Fields:
    """What is averaged over discs and rings around every pixel, transformed once for all radii.

    The fields are the patch, its square, the body, and where the patch is darker than each of a few grey levels.
    """

    def __init__(self, patch: npt.NDArray, body: npt.NDArray[np.bool_]) -> None:
        self.shape = patch.shape
        darker = [patch < level - _DARKER_HU for level in _LEVELS]
        stack = np.stack([patch, patch**2, body, *darker]).astype(np.float32)
        padded = np.pad(stack, [(0, 0), (_LARGEST, _LARGEST), (_LARGEST, _LARGEST)], mode="edge")
        self._size = tuple(fft.next_fast_len(n + 2 * _LARGEST, real=True) for n in padded.shape[1:])
        self._transformed = fft.rfft2(padded, self._size)

    def means(self, weights: npt.NDArray, which: slice) -> npt.NDArray:
        """Return (fields, rows, columns): the mean of the fields ``which`` over ``weights`` around every pixel."""
        kernel = fft.rfft2(weights.astype(np.float32), self._size)
        reach = weights.shape[0] // 2 + _LARGEST
        mean = fft.irfft2(self._transformed[which] * kernel, self._size)
        return mean[:, reach : reach + self.shape[0], reach : reach + self.shape[1]]


def _likeness(fields: _Fields, radius: float, gap_mm: npt.NDArray) -> npt.NDArray:
    """How like a vessel the disc around each pixel is; -inf where it is uneven, fatty, or part of the body."""
    mean, square = fields.means(_disc(0.0, 0.85 * radius), slice(0, 2))
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    (overlap,) = fields.means(_disc(0.0, radius + 1.0), slice(2, 3))
    # The share of the ring that is darker than the middle, by thresholds on a few grey levels instead of per pixel.
    shares = fields.means(_disc(1.1 * radius, 1.1 * radius + 3.0), slice(3, None))
    nearest = np.clip(np.round(mean / _LEVEL_STEP_HU).astype(int), 0, len(_LEVELS) - 1)
    share = np.take_along_axis(shares, nearest[None], axis=0)[0]
    above = np.maximum(mean - _BRIGHT_HU, 0.0)
    even = _EVEN_HU + _BRIGHT_UNEVEN * above
    least = _RING_SHARE + (_BRIGHT_RING_SHARE - _RING_SHARE) * np.minimum(above / _BRIGHT_HU, 1.0)
    vessel = (spread <= even) & (share >= least) & (mean > 15.0) & (overlap < 0.02)
    vessel &= (gap_mm >= _TOUCHING_MM) | (above == 0.0)
    return np.where(vessel, share - spread / (2.0 * even) + radius / 40.0, -np.inf)


def _misplaced(left_mm: npt.NDArray, gap_mm: npt.NDArray) -> npt.NDArray:
    """What a disc loses for lying where the aorta seldom does; places are mm to the left, and from the outline."""
    return (
        np.maximum(gap_mm - _FAR_MM, 0.0) / _FAR_COST_MM
        + np.maximum(left_mm - _FAR_LEFT_MM, 0.0) / _LEFT_COST_MM
        + np.maximum(-left_mm - _FAR_RIGHT_MM, 0.0) / _RIGHT_COST_MM
    )


def _disc(inner_mm: float, outer_mm: float) -> npt.NDArray[np.float64]:
    n = int(np.ceil(outer_mm / _STEP_MM))
    away = np.hypot(*np.mgrid[-n : n + 1, -n : n + 1]) * _STEP_MM
    weights = ((away >= inner_mm) & (away <= outer_mm)).astype(float)
    return weights / weights.sum()
