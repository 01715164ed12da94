"""A plane of HU on which shapes are painted with sub-pixel edges.

Plane coordinates are patient millimetres: x towards the patient's left, y towards posterior; the picture is a
radiologist's axial view. Every shape is given by a signed distance (mm, positive inside), and a pixel takes a share of
the shape's value as large as the shape's coverage of it, so that thin cortex keeps its mass at any pixel size.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

Plane = NDArray[np.floating]
AIR_HU = -1000.0


@dataclass(frozen=True)
class Grid:
    """Square pixels: ``size`` x ``size`` of ``pixel_mm``, the first one's centre at (``left_mm``, ``top_mm``)."""

    size: int
    pixel_mm: float
    left_mm: float
    top_mm: float

    @property
    def x(self) -> Plane:
        return (self.left_mm + self.pixel_mm * np.arange(self.size)).astype(np.float32)

    @property
    def y(self) -> Plane:
        return (self.top_mm + self.pixel_mm * np.arange(self.size)).astype(np.float32)

    def ijk_to_ras(self, step_mm: float, lowest_mm: float) -> NDArray[np.float64]:
        """Return the 4x4 matrix from (column, row, slice) to RAS mm of slices on this grid, from foot to head.

        Args:
            step_mm: from slice to slice.
            lowest_mm: RAS S of the first one.
        """
        pixel = self.pixel_mm
        return np.array(
            [[-pixel, 0, 0, -self.left_mm], [0, -pixel, 0, -self.top_mm], [0, 0, step_mm, lowest_mm], [0, 0, 0, 1]]
        )

    def window(self, x0: float, x1: float, y0: float, y1: float) -> tuple[slice, slice]:
        """Return the (rows, columns) that cover the box, cut to the grid; they may be empty."""

        def span(low: float, high: float, first: float) -> slice:
            start = int(np.floor((low - first) / self.pixel_mm))
            stop = int(np.ceil((high - first) / self.pixel_mm)) + 1
            return slice(min(max(start, 0), self.size), min(max(stop, 0), self.size))

        return span(y0, y1, self.top_mm), span(x0, x1, self.left_mm)


def smooth_field(rng: np.random.Generator, size: int, knots: int, amplitude: float) -> Plane:
    """Return a smooth random (size, size) field, SD about ``amplitude``: cubic between ``knots`` x ``knots`` values."""
    basis = _cubic_basis(size, knots)
    values = rng.standard_normal((knots + 3, knots + 3), dtype=np.float32) * np.float32(amplitude * 1.5)
    with one_blas_thread():
        return basis @ values @ basis.T


def one_blas_thread() -> AbstractContextManager:
    """Keep matrix products on one thread meanwhile.

    On several the last bits depend on how many there are, and the threads' waiting costs more CPU than a slice: 0.73 s
    for a subject's two slices against 0.30 s (two busy cores, OpenBLAS).
    """
    return _blas().limit(limits=1, user_api="blas")


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def _cubic_basis(size: int, knots: int) -> Plane:
    """Return the (size, knots + 3) matrix of uniform cubic B-splines."""
    position = np.linspace(0, knots, size, endpoint=False, dtype=np.float32)
    cell = position.astype(int)
    t = position - cell
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
    basis = np.zeros((size, knots + 3), np.float32)
    for step in range(4):
        basis[np.arange(size), cell + step] = weights[:, step]
    return basis


class Canvas:
    """HU on a grid whose coordinates may be bent, so that shapes come out less regular than their formulas."""

    def __init__(self, grid: Grid, bend_x: Plane | None = None, bend_y: Plane | None = None):
        self.grid = grid
        self.hu = np.full((grid.size, grid.size), AIR_HU, np.float32)
        self._bend_x, self._bend_y = bend_x, bend_y
        self._x, self._y = grid.x, grid.y

    def coordinates(self, window: tuple[slice, slice]) -> tuple[Plane, Plane]:
        """Return the bent x and y of the window's pixels, broadcastable to its shape."""
        rows, columns = window
        x, y = self._x[None, columns], self._y[rows, None]
        if self._bend_x is None or self._bend_y is None:
            return x, y
        return x + self._bend_x[window], y + self._bend_y[window]

    def coverage(self, distance: Plane) -> Plane:
        """Return each pixel's share inside a shape, from the signed distance of its centre in mm."""
        return np.clip(0.5 + distance / np.float32(self.grid.pixel_mm), 0, 1)

    def blend(self, window: tuple[slice, slice], coverage: Plane, hu: float | Plane) -> None:
        """Replace the share ``coverage`` of every pixel in the window by ``hu``."""
        target = self.hu[window]
        target += coverage * (np.asarray(hu, np.float32) - target)

    def ellipse(
        self,
        centre: tuple[float, float],
        radii: tuple[float, float],
        hu: float,
        *,
        angle: float = 0.0,
        power: float = 2.0,
        only_where: Plane | None = None,
    ) -> None:
        """Paint a superellipse; ``only_where`` is a coverage plane of the whole grid that limits it."""
        reach = max(radii) * 1.25 + 8
        window = self.grid.window(centre[0] - reach, centre[0] + reach, centre[1] - reach, centre[1] + reach)
        x, y = self.coordinates(window)
        coverage = self.coverage(superellipse(x - centre[0], y - centre[1], radii, angle, power))
        if only_where is not None:
            coverage = coverage * only_where[window]
        self.blend(window, coverage, hu)


def superellipse(x: Plane, y: Plane, radii: tuple[float, float], angle: float = 0.0, power: float = 2.0) -> Plane:
    """Return the signed distance (mm, approximate away from the edge) of a superellipse about the origin."""
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u = np.abs(x * c + y * s) / np.float32(radii[0])
    v = np.abs(y * c - x * s) / np.float32(radii[1])
    radius = np.sqrt(u * u + v * v) if power == 2.0 else (u**power + v**power) ** np.float32(1 / power)
    return (1 - radius) * np.float32(min(radii))


def capsule(x: Plane, y: Plane, start: tuple[float, float], end: tuple[float, float], radius: float) -> Plane:
    """Return the signed distance (mm) of a thick line with round ends."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / max(dx * dx + dy * dy, 1e-6), 0, 1)
    return np.float32(radius) - np.hypot(x - start[0] - along * dx, y - start[1] - along * dy)
