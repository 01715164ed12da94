"""A whole CT on the localiser's coarse grid, averaged slice by slice as it is decoded, so that memory stays small."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..ct import CT, Geometry
from ..progress import Progress, silent
from .channels import GRID_MM, REDUCTION

#: Where slices lie closer than this share of the grid's, only every second, third, ... is decoded: what the plane's
#: averaging leaves of the noise does not need more, and decoding is most of the time.
DENSITY = 0.67
#: Brighter than this is body (or table): fat is at -110 HU, and a voxel on the skin half of that and air.
BODY_HU = -400.0
#: Voxels that are kept about the body.
MARGIN = 2


@dataclass(frozen=True, eq=False)
class TrunkGrid:
    """A CT in voxels of ``grid_mm``, from foot to head.

    hu : (slices, rows, columns) float32; rows run towards the back, columns towards the patient's left
    geometry : of the CT it was made from
    ks : (slices,) the CT's slice, as a fraction, at each of the grid's
    first : row and column of the CT, as fractions, at the centre of the grid's first voxel
    step : rows and columns of the CT between neighbouring voxels of the grid
    """

    hu: npt.NDArray[np.float32]
    geometry: Geometry
    ks: npt.NDArray[np.float64]
    first: tuple[float, float]
    step: tuple[float, float]
    grid_mm: tuple[float, float, float] = GRID_MM

    def ras(self, places: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return RAS mm (..., 3) of places (..., 3), each slice, row and column of the grid, fractions allowed."""
        places = np.asarray(places, float)
        at = np.arange(len(self.ks))
        k = np.interp(places[..., 0], at, self.ks)
        if len(self.ks) > 1:
            # Beyond the ends the last step goes on.
            k = k + np.minimum(places[..., 0], 0) * (self.ks[1] - self.ks[0])
            k = k + np.maximum(places[..., 0] - at[-1], 0) * (self.ks[-1] - self.ks[-2])
        j = self.first[0] + places[..., 1] * self.step[0]
        i = self.first[1] + places[..., 2] * self.step[1]
        return self.geometry.ras(i, j, k)

    def places(self, ras: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return slice, row and column of the grid (..., 3) at RAS mm (..., 3)."""
        i, j, k = np.moveaxis(self.geometry.ijk(ras), -1, 0)
        order = np.argsort(self.ks)
        z = np.interp(k, self.ks[order], np.arange(len(self.ks))[order])
        return np.stack([z, (j - self.first[0]) / self.step[0], (i - self.first[1]) / self.step[1]], axis=-1)


def read_trunk(
    ct: CT, grid_mm: tuple[float, float, float] = GRID_MM, progress: Progress = silent, *, trim: bool = True
) -> TrunkGrid:
    """Return the whole CT as means over voxels of ``grid_mm`` (slices, rows, columns); ``trim`` leaves out the air.

    Decodes every slice, or as many as the grid needs. Raises `InputError` where the pixels cannot be decoded.
    """
    chosen, depths = _chosen_slices(ct.geometry, grid_mm[0])
    across = _averaging(depths, grid_mm[0])
    row_mm, column_mm = ct.geometry.pixel_spacing_mm
    _, rows, columns = ct.geometry.shape
    down = _averaging(row_mm * np.arange(rows, dtype=np.float64), grid_mm[1]).astype(np.float32)
    along = _averaging(column_mm * np.arange(columns, dtype=np.float64), grid_mm[2]).T.astype(np.float32)
    hu = np.zeros((len(across), len(down), along.shape[1]), np.float32)
    for n, k in enumerate(chosen):
        small = down @ ct.slab(int(k), int(k) + 1)[0] @ along
        for z in np.flatnonzero(across[:, n]):
            hu[z] += np.float32(across[z, n]) * small
        progress("Reading the scan", n + 1, len(chosen))
    first = tuple(float(weights[0] @ np.arange(weights.shape[1])) for weights in (down, along.T))
    step = (grid_mm[1] / row_mm, grid_mm[2] / column_mm)
    trunk = TrunkGrid(hu, ct.geometry, across @ chosen, (first[0], first[1]), step, grid_mm)
    return _trimmed(trunk) if trim else trunk


def _chosen_slices(geometry: Geometry, step_mm: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return the slices to decode, from foot to head, and their depths along the slices' normal in mm."""
    slices, rows, columns = geometry.shape
    middles = geometry.ras((columns - 1) / 2, (rows - 1) / 2, np.arange(slices))
    depths = middles @ geometry.normal * (1.0 if geometry.normal[2] >= 0 else -1.0)
    order = np.argsort(depths)
    every = max(1, int(DENSITY * step_mm / geometry.spacing_mm[2] + 1e-6)) if slices > 1 else 1
    chosen = order[::every]
    return chosen, depths[chosen]


def _averaging(positions: npt.NDArray[np.float64], step_mm: float) -> npt.NDArray[np.float64]:
    """Return the weights (cells, positions) that turn samples into means over cells of ``step_mm``.

    Samples that lie further apart than the cells are interpolated instead. The cells fill the samples' extent, a half
    sample beyond the first and the last one, about its middle.
    """
    if len(positions) == 1:
        return np.ones((1, 1))
    edges = np.concatenate(
        [[1.5 * positions[0] - 0.5 * positions[1]], (positions[1:] + positions[:-1]) / 2,
         [1.5 * positions[-1] - 0.5 * positions[-2]]]
    )  # fmt: skip
    extent = edges[-1] - edges[0]
    cells = max(1, int(extent / step_mm + 0.5))
    starts = (edges[0] + edges[-1] - cells * step_mm) / 2 + step_mm * np.arange(cells)
    if float(np.median(np.diff(positions))) > step_mm:
        middles = np.clip(starts + step_mm / 2, positions[0], positions[-1])
        columns = [np.interp(middles, positions, unit) for unit in np.eye(len(positions))]
        return np.stack(columns, axis=1)
    upper = np.minimum(starts[:, None] + step_mm, edges[None, 1:])
    weights = np.maximum(upper - np.maximum(starts[:, None], edges[None, :-1]), 0.0)
    return weights / weights.sum(axis=1, keepdims=True)


def _trimmed(trunk: TrunkGrid) -> TrunkGrid:
    """Return the part about the body, its rows and columns even in number."""
    body = trunk.hu > BODY_HU
    spans = []
    for axis in (1, 2):
        filled = np.flatnonzero(body.any(axis=tuple(other for other in range(3) if other != axis)))
        size = trunk.hu.shape[axis]
        low, high = (int(filled[0]), int(filled[-1]) + 1) if len(filled) else (0, size)
        low, high = max(0, low - MARGIN), min(size, high + MARGIN)
        if (high - low) % REDUCTION and high - low > REDUCTION:
            high -= 1
        spans.append((low, high))
    (top, bottom), (left, right) = spans
    first = (trunk.first[0] + top * trunk.step[0], trunk.first[1] + left * trunk.step[1])
    hu = np.ascontiguousarray(trunk.hu[:, top:bottom, left:right])
    return TrunkGrid(hu, trunk.geometry, trunk.ks, first, trunk.step, trunk.grid_mm)
