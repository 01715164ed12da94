"""A volume of HU and labels on which solids are painted, and where its voxels lie in the body.

Scanner coordinates (mm): x towards the patient's left, y towards posterior, z up, along the grid's axes. Body
coordinates are the same but for the patient's pose and for a smooth warp, so that every shape that is painted comes out
less regular than its formula. Both are RAS but for the signs of x and y.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..canvas import AIR_HU
from .fields import SmoothField
from .shapes import Axes, Point, Volume

Window = tuple[slice, slice, slice]
#: Lattice on which the warp is looked up to place windows, mm.
TABLE_MM = 25.0


@dataclass(frozen=True)
class Grid:
    """Voxels along scanner axes: (slices, rows, columns), their spacing (z, y, x) and the first one's centre (x, y, z).

    ``order`` is 1 where slices run from foot to head, -1 where the file has them from head to foot; in memory, while
    painting, they always run up.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    order: int = 1

    def axis(self, number: int) -> NDArray[np.float64]:
        """Return the voxels' centres along x (0), y (1) or z (2), mm."""
        steps = np.arange(self.shape[2 - number], dtype=np.float64)
        return self.origin[number] + self.spacing[2 - number] * steps

    @property
    def ijk_to_ras(self) -> NDArray[np.float64]:
        """The 4x4 matrix from (column, row, slice) of the finished volume to RAS mm."""
        dz, dy, dx = self.spacing
        x, y, z = self.origin
        first = z if self.order > 0 else z + dz * (self.shape[0] - 1)
        return np.array([[-dx, 0, 0, -x], [0, -dy, 0, -y], [0, 0, dz * self.order, first], [0, 0, 0, 1.0]])

    def contains(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Tell for scanner places (N, 3) whether they lie inside a voxel."""
        inside = np.ones(len(points), bool)
        for number in range(3):
            axis, half = self.axis(number), self.spacing[2 - number] / 2
            inside &= (points[:, number] >= axis[0] - half) & (points[:, number] <= axis[-1] + half)
        return inside

    def slab(self, first: int, count: int) -> Grid:
        """Return ``count`` of the slices, from ``first`` on."""
        dz = self.spacing[0]
        origin = (self.origin[0], self.origin[1], self.origin[2] + dz * first)
        return Grid((count, *self.shape[1:]), self.spacing, origin, self.order)


@dataclass(frozen=True)
class Pose:
    """How the body lies in the scanner: turned by ``turn`` (3, 3) about ``pivot`` (scanner mm), then warped."""

    turn: NDArray[np.float64]
    pivot: NDArray[np.float64]
    warp: tuple[SmoothField, SmoothField, SmoothField]

    def to_scanner(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where body places (N, 3) lie in the scanner, mm."""
        points = np.atleast_2d(np.asarray(points, float))
        found = (points - self.pivot) @ self.turn + self.pivot
        target = found.copy()
        # The warp is smooth and small against its knots: a few rounds bring the place to hundredths of a millimetre.
        for _ in range(4):
            bend = np.stack([field.at(found) for field in self.warp], axis=1)
            found = target - bend @ self.turn
        return found

    def bend(self, place: NDArray[np.floating]) -> tuple[NDArray[np.float64], float]:
        """Return the warp about a scanner place, to the nearest lattice point, and the most it is anywhere, mm."""
        low, table, most = self._table
        last = np.array(table.shape[:0:-1]) - 1
        i, j, k = np.clip(np.rint((place - low) / TABLE_MM).astype(int), 0, last)
        return table[:, k, j, i].astype(float), most

    @cached_property
    def _table(self) -> tuple[NDArray[np.float64], NDArray[np.float32], float]:
        low, high = self.warp[0].box
        x, y, z = (np.arange(a, b + TABLE_MM, TABLE_MM) for a, b in zip(low, high, strict=True))
        table = np.stack([field.on(z, y, x) for field in self.warp])
        return low, table, float(np.abs(table).max())

    def axes(self, grid: Grid) -> Axes:
        """Return the body coordinates of every voxel of a grid, three float32 arrays."""
        x, y, z = (grid.axis(n) for n in range(3))
        px, py, pz = (
            (axis - p).astype(np.float32).reshape(shape)
            for axis, p, shape in zip((x, y, z), self.pivot, ((1, 1, -1), (1, -1, 1), (-1, 1, 1)), strict=True)
        )
        turned = []
        for row, field, pivot in zip(self.turn.astype(np.float32), self.warp, self.pivot, strict=True):
            plane = row[0] * px + row[1] * py + np.float32(pivot)
            place = field.on(z, y, x)
            place += plane
            place += row[2] * pz
            turned.append(place)
        return turned[0], turned[1], turned[2]


class Canvas:
    """HU (slices, rows, columns) and labels, painted one solid over the other."""

    def __init__(self, grid: Grid, pose: Pose) -> None:
        self.grid, self.pose = grid, pose
        self.x, self.y, self.z = pose.axes(grid)
        self.hu = np.full(grid.shape, AIR_HU, np.float32)
        self.labels = np.zeros(grid.shape, np.uint8)
        self.voxel = float(np.prod(grid.spacing) ** (1 / 3))

    @property
    def whole(self) -> Window:
        return (slice(None), slice(None), slice(None))

    def axes(self, window: Window) -> Axes:
        """Return the body coordinates of a window's voxels."""
        return self.x[window], self.y[window], self.z[window]

    def window(self, low: Point, high: Point, margin: float = 0) -> Window | None:
        """Return the voxels of a box given by opposite corners in body mm, or None where the grid has none of it."""
        corners = np.array([[(low, high)[(n >> axis) & 1][axis] for axis in range(3)] for n in range(8)], float)
        corners = (corners - self.pose.pivot) @ self.pose.turn + self.pose.pivot
        bend, most = self.pose.bend(corners.mean(0))
        corners -= bend @ self.pose.turn
        # Within a box the warp differs by its slope, a tenth at most, from its middle's.
        spread = margin + min(0.1 * float(np.ptp(corners, axis=0).max()) + 1.0, 2 * most) + self.voxel
        window = []
        for number in (2, 1, 0):
            step, first = self.grid.spacing[2 - number], self.grid.origin[number]
            size = self.grid.shape[2 - number]
            start = int(np.floor((corners[:, number].min() - spread - first) / step))
            stop = int(np.ceil((corners[:, number].max() + spread - first) / step)) + 1
            start, stop = max(start, 0), min(stop, size)
            if start >= stop:
                return None
            window.append(slice(start, stop))
        return window[0], window[1], window[2]

    def around(self, points: NDArray[np.floating], margin: float) -> Window | None:
        """Return the voxels within ``margin`` mm of the box about ``points`` (N, 3)."""
        points = np.atleast_2d(points)
        return self.window(points.min(0), points.max(0), margin)

    def coverage(self, distance: Volume) -> Volume:
        """Return each voxel's share inside a solid, from the signed distance (mm) of its centre."""
        return np.clip(distance * np.float32(1 / self.voxel) + np.float32(0.5), 0, 1)

    def blend(self, window: Window, coverage: Volume, hu: float | Volume) -> None:
        """Replace the share ``coverage`` of every voxel in the window by ``hu``."""
        target = self.hu[window]
        target += coverage * (np.asarray(hu, np.float32) - target)

    def solid(self, window: Window, distance: Volume, hu: float | Volume, label: int | None = None) -> None:
        """Paint a solid given by its distance, and mark the voxels that are inside it."""
        self.blend(window, self.coverage(distance), hu)
        if label is not None:
            self.labels[window][distance > 0] = label

    def shell(
        self,
        window: Window,
        distance: Volume,
        thick: float,
        hu: float,
        inside: float | Volume,
        label: int | None = None,
    ) -> None:
        """Paint a bone: a cortex ``thick`` mm deep of ``hu``, and what is ``inside`` it."""
        self.solid(window, distance, hu, label)
        self.blend(window, self.coverage(distance - np.float32(thick)), inside)
