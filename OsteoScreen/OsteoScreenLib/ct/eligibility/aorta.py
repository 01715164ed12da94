"""Find the aorta beside a vertebral body on one slice, to see whether contrast medium was given.

The aorta is a round, even region of 14-30 mm before the body, in the middle or to the patient's left, and (in the
thorax) at the body's left side. Discs of that size are laid everywhere there, and the one that is most even and stands
out most from the fat, lung and bone around it is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal

_STEP_MM = 1.5
_RADII_MM = (7.0, 8.5, 10.0, 11.5, 13.0, 15.0)
#: Where its middle may lie from the body's middle, in mm: to the right, to the left, backwards, and forwards.
_RIGHT_MM, _LEFT_MM, _BACK_MM, _FRONT_MM = 14.0, 38.0, 8.0, 48.0
#: Blood and enhanced blood; what is brighter or darker inside is wall calcium, bone or gas.
_HU_RANGE = (-150.0, 450.0)
#: A ring pixel this much darker than the disc is background; the vessel touches muscle and bone on the rest.
_DARKER_HU = 30.0
#: How even, as the SD inside in HU on the smoothed slice, and how much of the ring, a found vessel has.
_EVEN_HU, _RING_SHARE = 30.0, 0.40


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
    best: tuple[float, int, int, float] | None = None
    for radius in _RADII_MM:
        score = np.where(inside, _score(patch, body, radius), -np.inf)
        row, column = (int(index) for index in np.unravel_index(int(score.argmax()), score.shape))
        if np.isfinite(score[row, column]) and (best is None or score[row, column] > best[0]):
            best = (float(score[row, column]), row, column, radius)
    if best is None:
        return None
    _, row, column, radius = best
    away = np.hypot(y[:, None] - y[row], x - x[column])
    value = float(np.median(patch[away <= 0.65 * radius]))
    return Aorta(float(at[0][row, column]), float(at[1][row, column]), radius, value)


def _score(patch: npt.NDArray, body: npt.NDArray[np.bool_], radius: float) -> npt.NDArray:
    """How like a vessel the disc around each pixel is; -inf where it is uneven, fatty, or overlaps the body."""
    disc, ring = _disc(0.0, 0.85 * radius), _disc(1.1 * radius, 1.1 * radius + 3.0)
    mean = _mean(patch, disc)
    spread = np.sqrt(np.maximum(_mean(patch**2, disc) - mean**2, 0.0))
    # The share of the ring that is darker than the middle, by thresholds on a few grey levels instead of per pixel.
    share = np.zeros_like(patch)
    levels = np.arange(0.0, _HU_RANGE[1] + 1.0, 25.0)
    shares = np.stack([_mean((patch < level - _DARKER_HU).astype(float), ring) for level in levels])
    nearest = np.clip(np.round(mean / 25.0).astype(int), 0, len(levels) - 1)
    share = np.take_along_axis(shares, nearest[None], axis=0)[0]
    overlap = _mean(body.astype(float), _disc(0.0, radius + 1.0))
    vessel = (spread <= _EVEN_HU) & (share >= _RING_SHARE) & (mean > 15.0) & (overlap < 0.02)
    return np.where(vessel, share - spread / 60.0 + radius / 40.0, -np.inf)


def _disc(inner_mm: float, outer_mm: float) -> npt.NDArray[np.float64]:
    n = int(np.ceil(outer_mm / _STEP_MM))
    away = np.hypot(*np.mgrid[-n : n + 1, -n : n + 1]) * _STEP_MM
    weights = ((away >= inner_mm) & (away <= outer_mm)).astype(float)
    return weights / weights.sum()


def _mean(image: npt.NDArray, weights: npt.NDArray) -> npt.NDArray:
    return signal.fftconvolve(np.pad(image, weights.shape[0] // 2, mode="edge"), weights, mode="valid")
