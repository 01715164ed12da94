"""What is measured of one slice and its outline, and the small picture of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from OsteoScreenLib.densitometry.contours import level_lines, simplified

#: How far from the outline its surroundings are looked at, mm.
EDGE_BAND_MM, RIM_MM, CORE_MM = 4.0, 2.0, 5.0
#: Side of a small picture in mm and in pixels, and its window: fat, soft tissue, trabecular bone and cortex apart.
PICTURE_MM, PICTURE_PIXELS = 130.0, 168
WINDOW_HU = (-150.0, 500.0)
#: Coverage 0..255 from which on a pixel is inside.
_INSIDE = 128


@dataclass(frozen=True)
class SliceMeasures:
    """One level of one subject.

    Attributes:
        area_mm2: of the outline.
        median_hu: inside of it.
        edge_hu: 90th percentile within 4 mm of the outline, where a vertebra has its cortex.
        beyond_hu: median just outside less that of the core; cortex is brighter than the core, soft tissue darker.
        parts: pieces that the outline consists of; ``holes_mm2`` the area of its holes.
        at_border: whether it touches the border of the slice.
        centre_mm: (row, column) of the outline's centroid from the slice's upper left corner.
        pixels, outline: hashes of the slice and of its outline.
    """

    subject: str
    level: str
    pixel_mm: float
    area_mm2: float
    median_hu: float
    edge_hu: float
    beyond_hu: float
    parts: int
    holes_mm2: float
    at_border: bool
    centre_mm: tuple[float, float]
    pixels: str
    outline: str


@dataclass(frozen=True, eq=False)
class Picture:
    """A slice around its outline: ``grey`` (pixels, pixels) uint8, ``lines`` (points, 2) in its columns and rows."""

    grey: npt.NDArray[np.uint8]
    lines: list[npt.NDArray[np.float64]]


def measure(subject: str, level: str, hu: np.ndarray, coverage: np.ndarray, pixel_mm: float) -> SliceMeasures | None:
    """Measure a slice, (rows, columns) HU and coverage 0..255; ``None`` where the outline is empty."""
    inside = coverage >= _INSIDE
    box = _box(inside, EDGE_BAND_MM / pixel_mm)
    if box is None:
        return None
    near, mask = hu[box], inside[box]
    # Padded, so that the border of the slice is an edge too.
    within = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1] * pixel_mm
    away = ndimage.distance_transform_edt(~mask) * pixel_mm
    core = near[within >= min(CORE_MM, float(within.max()))]
    beyond = near[(away > 0) & (away <= RIM_MM + pixel_mm)]
    edge = near[(away <= EDGE_BAND_MM) & (within <= EDGE_BAND_MM)]
    filled = ndimage.binary_fill_holes(mask)
    row, column = ndimage.center_of_mass(mask)
    return SliceMeasures(
        subject=subject,
        level=level,
        pixel_mm=pixel_mm,
        area_mm2=float(coverage.sum(dtype=np.int64)) / 255 * pixel_mm**2,
        median_hu=float(np.median(near[mask])),
        edge_hu=float(np.percentile(edge, 90)),
        beyond_hu=float(np.median(beyond) - np.median(core)) if len(beyond) else 0.0,
        parts=int(ndimage.label(mask, structure=np.ones((3, 3)))[1]),
        holes_mm2=float((filled & ~mask).sum()) * pixel_mm**2,
        at_border=bool(inside[[0, -1]].any() or inside[:, [0, -1]].any()),
        centre_mm=((box[0].start + row + 0.5) * pixel_mm, (box[1].start + column + 0.5) * pixel_mm),
        pixels=hashlib.sha256(np.ascontiguousarray(hu).data).hexdigest(),
        outline=hashlib.sha256(np.packbits(inside).tobytes()).hexdigest(),
    )


def _box(inside: np.ndarray, room: float) -> tuple[slice, slice] | None:
    """Return the rows and columns of an outline with some room, as far as the slice goes."""
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        return None
    pad = int(np.ceil(room)) + 1
    return slice(max(rows[0] - pad, 0), rows[-1] + pad + 1), slice(max(columns[0] - pad, 0), columns[-1] + pad + 1)


def picture(hu: np.ndarray, coverage: np.ndarray, pixel_mm: float) -> Picture:
    """Return the small picture of a slice around its outline, or around its middle without one."""
    inside = coverage >= _INSIDE
    middle = np.array(ndimage.center_of_mass(inside) if inside.any() else [side / 2 for side in hu.shape])
    step = PICTURE_MM / PICTURE_PIXELS / pixel_mm
    first = middle - step * (PICTURE_PIXELS - 1) / 2
    at = [start + step * np.arange(PICTURE_PIXELS) for start in first]
    low, high = WINDOW_HU
    values = ndimage.map_coordinates(hu.astype(np.float32), np.meshgrid(*at, indexing="ij"), order=1, cval=low)
    lines = level_lines(coverage.astype(float) / 255) if inside.any() else []
    placed = [(simplified(line, 0.1) - first[::-1]) / step for line in lines if len(line) > 2]
    grey = np.clip((values - low) / (high - low), 0, 1) * 255
    return Picture(grey.astype(np.uint8), placed)
