"""Move a level to the middle of its vertebra, by what the CT shows of the endplates.

Along the spine a vertebra shows a bright endplate, a body, a bright endplate and a darker disc. The body's inner part
is followed along every axis that a spine may take (forward and sideways tilt), and the pair of endplates is sought that
stands out most, with no third one between. Only the slices around the given one are decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..errors import UnusableLevels
from ..results import Level
from .body_on_slice import find_body

if TYPE_CHECKING:
    from ..ct import CT, Geometry

#: Distance of the endplates, in mm: T10 to L5 of adults, from the smallest women's posterior height (about 20 mm) and
#: wedged or compressed bodies to tall men's (Panjabi 1991 and 1992: 20-30 mm).
_HEIGHTS_MM = np.arange(19.0, 36.5, 1.0)
#: Heights far from the usual one are less likely: at 10 mm off, a pair of endplates has to stand out twice as much.
_USUAL_HEIGHT_MM, _UNUSUAL_BY_MM = 25.0, 10.0
#: The discs between: 4 mm (T10) to 14 mm (L4).
_DISC_MM = (4.0, 14.0)
#: Tilt of the body's axis from the patient's, in degrees: kyphosis and lordosis, and scoliosis.
_FORWARD_TILTS = np.deg2rad(np.arange(-30.0, 31.0, 3.0))
_SIDEWAYS_TILTS = np.deg2rad(np.arange(-12.0, 13.0, 6.0))
#: The part of the body that is followed: half its depth and half its width, inside the rim at any level from T10 down.
_CORE_HALF_DEPTH_MM, _CORE_HALF_WIDTH_MM = 9.5, 11.0
#: A ridge is measured against what lies this far on either side: more than a blurred endplate's half width.
_RIDGE_MM = 4.0
#: Endplates' ridges nearer to the middle than this share of the height's half are a third endplate, or a fracture line.
_INNER_MM = 5.0
_STEP_MM = 0.5
#: First the usual reach; the far one unless the given slice lies this far inside both endplates, for near one of them
#: the other may be out of reach.
_REACHES_MM = (27.0, 42.0)
_WELL_INSIDE_MM = 5.0
#: How far outside the endplates the given slice may lie and still mean this vertebra.
_OUTSIDE_MM = 1.5
#: Brightness that counts: fat to dense cortex; metal and gas count no more than these.
_HU_RANGE = (-100.0, 600.0)
#: What has to stand out, in HU, for an endplate, and how much better than any other vertebra's the pair has to be.
#: Measured on real CT (SD of noise up to 48 HU, 2 to 3.3 mm slices): endplates 45-118 HU, lead 1.13 and more.
_MINIMUM_RIDGE_HU = 30.0
_MINIMUM_LEAD = 1.05
_ANOTHER_MM = 6.0


@dataclass(frozen=True)
class _Fit:
    """A pair of endplates: the middle's offset along the axis, their distance, the axis (3,) in RAS, the weaker ridge
    in HU, and how much better it is than any other vertebra's (a ratio)."""

    offset_mm: float
    height_mm: float
    axis: npt.NDArray[np.float64]
    ridge_hu: float
    lead: float

    @property
    def is_clear(self) -> bool:
        return self.ridge_hu >= _MINIMUM_RIDGE_HU and self.lead >= _MINIMUM_LEAD


class Snapped(NamedTuple):
    """A level on the slice half-way between its endplates, and the axis from one to the other: (3,) unit vector, RAS.

    The axis points up; it is one of the few that are tried, 3 degrees apart forward and 6 sideways.
    """

    level: Level
    axis: npt.NDArray[np.float64]


def snap_to_centre(ct: CT, level: Level, xy_ras: tuple[float, float] | None = None) -> Level:
    """The level moved to the slice half-way between the endplates of the vertebra that its slice crosses.

    Where the body lies on the level's slice is told by ``xy_ras`` (R and A in mm), or else found by its shape. At most
    42 mm of slices on either side are decoded, 27 mm where the slice is near the middle already.

    Raises `UnusableLevels`, saying what to do, where the body or its endplates cannot be told clearly, or the scan ends
    within the vertebra. The result's ``set_by`` is "snapped"; whether a reader confirmed the level is left as it was.
    """
    return snap_with_axis(ct, level, xy_ras).level


def snap_with_axis(ct: CT, level: Level, xy_ras: tuple[float, float] | None = None) -> Snapped:
    """The level as `snap_to_centre` moves it, with its body's axis; raises as that does."""
    k = level.slice_index
    row, column = _body_at(ct, k, level.name) if xy_ras is None else _pixel_at(ct, k, xy_ras)
    seed = ct.geometry.ras(column, row, k)
    fit = _fit_endplates(ct, seed)
    if fit is None or not fit.is_clear:
        raise UnusableLevels(
            f"The endplates of {level.name} around slice #{k} (S {level.z_mm:.1f} mm) do not stand out clearly enough "
            f"to find its middle{_cut_hint(ct, seed)}; choose the centre slice by eye and give it without snapping."
        )
    middle = seed + fit.offset_mm * fit.axis
    slices = ct.geometry.shape[0]
    snapped = int(np.clip(round(float(ct.geometry.ijk(middle)[2])), 0, slices - 1))
    moved = replace(level, z_mm=ct.geometry.slice_z(snapped), slice_index=snapped, set_by="snapped")
    return Snapped(moved, fit.axis)


def _pixel_at(ct: CT, k: int, xy_ras: tuple[float, float]) -> tuple[float, float]:
    """Row and column, as fractions, of a position in the slice given by its R and A alone."""
    origin = ct.geometry.ras(0, 0, k)
    in_plane = ct.geometry.ijk_to_ras[:2, :2]
    column, row = np.linalg.solve(in_plane, np.asarray(xy_ras, dtype=float) - origin[:2])
    return float(row), float(column)


def _body_at(ct: CT, k: int, name: str) -> tuple[float, float]:
    """Row and column, as fractions, of the middle of the body that is seen on slice k."""
    body = find_body(ct.slice(k), ct.geometry.pixel_spacing_mm)
    if body is None or not body.is_clear:
        raise UnusableLevels(
            f"No vertebral body is seen clearly on slice #{k} of {name}, so it cannot be snapped; choose a slice "
            "through the body, or give the centre slice without snapping."
        )
    return body.row, body.column


def _cut_hint(ct: CT, seed: npt.NDArray[np.float64]) -> str:
    k = float(ct.geometry.ijk(seed)[2])
    spacing = ct.geometry.spacing_mm[2]
    room = min(k, ct.geometry.shape[0] - 1 - k) * spacing
    return ", and the scan ends close by" if room < _HEIGHTS_MM.max() else ""


def _fit_endplates(ct: CT, seed: npt.NDArray[np.float64]) -> _Fit | None:
    fit = None
    # Kept here while both reaches are tried, so that no slice is decoded twice.
    slice_of = cache(ct.slice)
    for reach in _REACHES_MM:
        fit = _best_fit(*_profiles(ct.geometry, slice_of, seed, reach))
        if fit is not None and fit.is_clear and abs(fit.offset_mm) <= fit.height_mm / 2 - _WELL_INSIDE_MM:
            break
    return fit


def _axes() -> npt.NDArray[np.float64]:
    """For every tilt, the unit vectors (tilts, 3, 3) in RAS: forward, sideways, and up along the body's axis."""
    forward, sideways = (tilt.ravel() for tilt in np.meshgrid(_FORWARD_TILTS, _SIDEWAYS_TILTS, indexing="ij"))
    up = np.stack([np.sin(sideways), np.sin(forward) * np.cos(sideways), np.cos(forward) * np.cos(sideways)], axis=-1)
    front = np.stack([np.zeros_like(forward), np.cos(forward), -np.sin(forward)], axis=-1)
    return np.stack([front, np.cross(front, up), up], axis=1)


def _profiles(
    geometry: Geometry,
    slice_of: Callable[[int], npt.NDArray[np.float32]],
    seed: npt.NDArray[np.float64],
    reach_mm: float,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean HU of the core along each axis: (tilts, positions), the positions in mm, and the axes' upward vectors.

    NaN beyond the scan.
    """
    axes = _axes()
    along = np.arange(-reach_mm, reach_mm + 0.5, 1.0)
    u, v = np.meshgrid(np.arange(-9.0, 9.5, 3.0), np.arange(-10.0, 10.5, 4.0), indexing="ij")
    core = np.hypot(u / _CORE_HALF_DEPTH_MM, v / _CORE_HALF_WIDTH_MM) <= 1.0
    across = u[core][:, None] * axes[:, None, 0] + v[core][:, None] * axes[:, None, 1]
    points = seed + along[None, :, None, None] * axes[:, None, None, 2] + across[:, None]
    ijk = geometry.ijk(points)
    low = np.maximum(np.floor(ijk.reshape(-1, 3).min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(ijk.reshape(-1, 3).max(axis=0)).astype(int) + 1, geometry.shape[::-1])
    slab = np.stack([slice_of(k)[low[1] : high[1], low[0] : high[0]] for k in range(low[2], high[2])])
    at = [ijk[..., axis] - low[axis] for axis in (2, 1, 0)]
    hu = ndimage.map_coordinates(np.clip(slab, *_HU_RANGE), at, order=1, mode="constant", cval=np.nan)
    profiles = hu.mean(axis=-1)
    fine = np.arange(-reach_mm, reach_mm + 1e-6, _STEP_MM)
    return np.stack([np.interp(fine, along, line) for line in profiles]), fine, axes[:, 2]


def _best_fit(
    profiles: npt.NDArray[np.float64], positions: npt.NDArray[np.float64], up: npt.NDArray[np.float64]
) -> _Fit | None:
    """The pair of endplates that stands out most, over all tilts, heights and offsets."""
    ridge = profiles - 0.5 * (_shifted(profiles, -_RIDGE_MM) + _shifted(profiles, _RIDGE_MM))
    below, above = (_highest(ridge, side * _DISC_MM[0], side * _DISC_MM[1]) for side in (-1, 1))
    scores = np.full((len(_HEIGHTS_MM), *ridge.shape), -np.inf)
    weaker = np.empty_like(scores)
    for n, height in enumerate(_HEIGHTS_MM):
        lower, upper = _shifted(ridge, -height / 2), _shifted(ridge, height / 2)
        weaker[n] = np.minimum(lower, upper)
        between = _highest(ridge, _INNER_MM - height / 2, height / 2 - _INNER_MM)
        next_ones = np.nan_to_num(_shifted(below, -height / 2)) + np.nan_to_num(_shifted(above, height / 2))
        score = weaker[n] + 0.5 * (lower + upper) - between + 0.25 * next_ones
        means_it = np.abs(positions) <= height / 2 + _OUTSIDE_MM
        score = score * (1.0 - 0.5 * ((height - _USUAL_HEIGHT_MM) / _UNUSUAL_BY_MM) ** 2)
        scores[n] = np.where(means_it & np.isfinite(score), score, -np.inf)
    n, tilt, at = (int(index) for index in np.unravel_index(int(scores.argmax()), scores.shape))
    best = float(scores[n, tilt, at])
    if not np.isfinite(best):
        return None
    another = float(scores[:, :, np.abs(positions - positions[at]) > _ANOTHER_MM].max(initial=0.0))
    lead = best / max(another, 1e-6)
    return _Fit(float(positions[at]), float(_HEIGHTS_MM[n]), up[tilt], float(weaker[n, tilt, at]), lead)


def _shifted(lines: npt.NDArray[np.float64], by_mm: float) -> npt.NDArray[np.float64]:
    """``lines`` (tilts, positions) read ``by_mm`` further along; NaN beyond the ends."""
    n = round(by_mm / _STEP_MM)
    moved = np.full_like(lines, np.nan)
    size = lines.shape[1]
    if abs(n) < size:
        moved[:, max(0, -n) : size - max(0, n)] = lines[:, max(0, n) : size - max(0, -n)]
    return moved


def _highest(ridge: npt.NDArray[np.float64], start_mm: float, end_mm: float) -> npt.NDArray[np.float64]:
    """The highest ridge, and at least 0, between two distances from each position; NaN counts as none."""
    first, last = sorted((round(start_mm / _STEP_MM), round(end_mm / _STEP_MM)))
    known = np.nan_to_num(ridge, nan=0.0)
    size = last - first + 1
    # maximum_filter's window of ``size`` about position p starts at p - size // 2; the shift moves that to first.
    windowed = ndimage.maximum_filter1d(known, size, axis=1, mode="constant", cval=0.0)
    return np.maximum(np.nan_to_num(_shifted(windowed, (first + size // 2) * _STEP_MM), nan=0.0), 0.0)
