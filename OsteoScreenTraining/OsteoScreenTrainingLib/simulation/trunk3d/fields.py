"""Smooth random fields in space: cubic B-splines between random values on a lattice.

A field is a function of the place and not of the grid it is painted on, so that a slab, a coarse and a fine grid see
the same one, and a single point can be asked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..canvas import one_blas_thread

#: SD of a cubic B-spline's mixture of independent values of SD 1, over a cell: the cube of sqrt(mean sum w^2) = 0.69.
SPREAD = 0.69**3


class SmoothField:
    """A random field with values of SD ``amplitude`` and a correlation length of about ``knot_mm``.

    ``low`` and ``high`` are opposite corners of the box it is defined in, (x, y, z) in mm; beyond it, it is held.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        low: NDArray[np.floating],
        high: NDArray[np.floating],
        knot_mm: float,
        amplitude: float,
    ) -> None:
        self._low, self._knot = np.asarray(low, float), knot_mm
        self._cells = np.maximum(np.ceil((np.asarray(high) - self._low) / knot_mm).astype(int), 1)
        counts = tuple(int(n) + 3 for n in self._cells[::-1])
        self._values = rng.standard_normal(counts, dtype=np.float32) * np.float32(amplitude / SPREAD)

    @property
    def box(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The corners of the box it is defined in, (x, y, z) in mm."""
        return self._low, self._low + self._knot * self._cells

    def on(self, z: NDArray[np.floating], y: NDArray[np.floating], x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the field (len(z), len(y), len(x)) on a lattice of places, given along each axis in mm."""
        bx, by, bz = (self._basis(place, axis) for axis, place in enumerate((x, y, z)))
        with one_blas_thread():
            lines = np.tensordot(bz, self._values, 1)
            planes = np.matmul(by[None], lines)
            return np.matmul(planes, bx.T[None])

    def at(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the field at ``points`` (N, 3), (x, y, z) in mm."""
        (ix, wx), (iy, wy), (iz, wz) = (self._weights(points[:, axis], axis) for axis in range(3))
        near = self._values[iz[:, :, None, None], iy[:, None, :, None], ix[:, None, None, :]]
        near = (near * wx[:, None, None, :]).sum(-1)
        near = (near * wy[:, None, :]).sum(-1)
        return (near * wz).sum(-1)

    def _weights(self, place: NDArray[np.floating], axis: int) -> tuple[NDArray[np.int_], NDArray[np.float64]]:
        """Return the four knots (N, 4) that bear on coordinates along one axis, and their weights (N, 4)."""
        cells = int(self._cells[axis])
        position = np.clip((np.asarray(place, float) - self._low[axis]) / self._knot, 0, cells - 1e-6)
        cell = position.astype(int)
        t = position - cell
        weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
        return cell[:, None] + np.arange(4), weights

    def _basis(self, place: NDArray[np.floating], axis: int) -> NDArray[np.float32]:
        """Return the (N, knots) matrix of the weights."""
        knots, weights = self._weights(place, axis)
        basis = np.zeros((len(knots), int(self._cells[axis]) + 3), np.float32)
        np.put_along_axis(basis, knots, weights.astype(np.float32), axis=1)
        return basis
