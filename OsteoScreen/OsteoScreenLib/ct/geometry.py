"""Where the pixels of a CT lie in the patient.

World positions are RAS millimetres, as in Slicer. A CT is presented in its canonical orientation: the slice axis is
the file's axis closest to the patient's S, in the file's own order; rows run towards the patient's back and columns
towards the patient's left, so that every slice looks like a radiologist's axial view.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InputError, UnusableLevels

#: From DICOM's and ITK's LPS to RAS: the first two axes change sign.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Geometry:
    """Shape and placement of a canonical CT.

    ``shape`` is (slices, rows, columns). ``ijk_to_ras`` is 4 x 4 and takes (column i, row j, slice k, 1) to RAS mm; a
    tilted gantry leaves it sheared. ``slice_origins`` is given where the slices are not evenly spaced: (slices, 3), the
    RAS position of the first pixel of each slice; then ``ijk_to_ras`` joins the first and the last slice, and `ras`,
    `ijk` and `slice_z` follow the true positions.

    Raises `InputError` where no such geometry can exist (not finite, flat, mirrored into a line, empty).
    """

    shape: tuple[int, int, int]
    ijk_to_ras: npt.NDArray[np.float64]
    slice_origins: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        matrix = np.array(self.ijk_to_ras, dtype=np.float64)
        if len(shape) != 3 or min(shape) < 1:
            raise InputError(f"A CT needs slices, rows and columns, and this one measures {shape}.")
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.allclose(matrix[3], (0, 0, 0, 1)):
            raise InputError("The CT's position and orientation are not finite numbers; export the series again.")
        lengths = np.linalg.norm(matrix[:3, :3], axis=0)
        if lengths.min() < 1e-6 or abs(np.linalg.det(matrix[:3, :3] / lengths)) < 1e-3:
            raise InputError("The CT's spacing is zero or its axes lie in one plane; export the series again.")
        matrix.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "ijk_to_ras", matrix)
        if self.slice_origins is not None:
            self._adopt_origins(np.array(self.slice_origins, dtype=np.float64))

    def _adopt_origins(self, origins: npt.NDArray[np.float64]) -> None:
        steps = np.diff(origins @ self.normal) if origins.shape == (self.shape[0], 3) else np.array([np.nan])
        if not np.isfinite(origins).all() or not (np.all(steps > 0) or np.all(steps < 0)):
            raise InputError("The slices' positions are not in order; export the series again.")
        origins.setflags(write=False)
        object.__setattr__(self, "slice_origins", origins)

    @property
    def normal(self) -> npt.NDArray[np.float64]:
        """Unit vector across the slices (RAS), pointing the way the slice index grows."""
        normal = np.cross(self.ijk_to_ras[:3, 0], self.ijk_to_ras[:3, 1])
        normal /= np.linalg.norm(normal)
        return normal if normal @ self.ijk_to_ras[:3, 2] > 0 else -normal

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring columns, rows and slices (along the slices' normal), in mm.

        Where the slices are not evenly spaced, the last one is the median distance.
        """
        column, row = np.linalg.norm(self.ijk_to_ras[:3, :2], axis=0)
        step = float(self.normal @ self.ijk_to_ras[:3, 2])
        if self.slice_origins is not None:
            step = float(np.median(self.slice_steps_mm))
        return float(column), float(row), step

    @property
    def slice_steps_mm(self) -> npt.NDArray[np.float64]:
        """Distances (slices - 1,) of neighbouring slices along their normal, in mm."""
        if self.slice_origins is None:
            return np.full(self.shape[0] - 1, float(self.normal @ self.ijk_to_ras[:3, 2]))
        return np.abs(np.diff(self.slice_origins @ self.normal))

    @property
    def pixel_spacing_mm(self) -> tuple[float, float]:
        """Distance of neighbouring rows and columns in mm, in that order, as DICOM's Pixel Spacing has it."""
        column, row, _ = self.spacing_mm
        return row, column

    @property
    def tilt_deg(self) -> float:
        """Angle between the slices' normal and the line through their first pixels; 0 without a gantry tilt."""
        return stack_tilt_deg(self.normal, self.ijk_to_ras[:3, 2])

    def ras(self, i: npt.ArrayLike, j: npt.ArrayLike, k: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """RAS mm (..., 3) of column i, row j, slice k; they broadcast, and may be fractions."""
        i, j, k = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (i, j, k)))
        if self.slice_origins is None:
            return np.stack([i, j, k], axis=-1) @ self.ijk_to_ras[:3, :3].T + self.ijk_to_ras[:3, 3]
        return np.stack([i, j], axis=-1) @ self.ijk_to_ras[:3, :2].T + self._origin(k)

    def ijk(self, ras: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Column, row and slice (..., 3), as fractions, of RAS mm positions (..., 3)."""
        points = np.asarray(ras, dtype=np.float64)
        if self.slice_origins is None:
            return (points - self.ijk_to_ras[:3, 3]) @ np.linalg.inv(self.ijk_to_ras[:3, :3]).T
        depth = points @ self.normal
        k = self._extended_interpolation(depth, self.slice_origins @ self.normal)
        in_plane = (points - self._origin(k)) @ np.linalg.pinv(self.ijk_to_ras[:3, :2]).T
        return np.concatenate([in_plane, k[..., None]], axis=-1)

    def slice_z(self, k: int) -> float:
        """RAS S, in mm, of the centre of slice k."""
        _, rows, columns = self.shape
        return float(self.ras((columns - 1) / 2, (rows - 1) / 2, k)[2])

    def nearest_slice(self, z_mm: float) -> int:
        """The slice whose centre is nearest to RAS S ``z_mm``.

        Raises `UnusableLevels`, naming the scan's range, where ``z_mm`` is more than half a slice outside it.
        """
        slices, rows, columns = self.shape
        z = self.ras((columns - 1) / 2, (rows - 1) / 2, np.arange(slices))[:, 2]
        k = int(np.argmin(np.abs(z - z_mm))) if np.isfinite(z_mm) else 0
        half_slice = 0.5 * abs(z[1] - z[0]) if len(z) > 1 else 2.5
        if not abs(z[k] - z_mm) <= half_slice + 1e-3 and not z.min() <= z_mm <= z.max():
            raise UnusableLevels(
                f"S {z_mm:g} mm lies outside the scan, which covers S {z.min():.1f} to {z.max():.1f} mm; "
                "give a level inside it."
            )
        return k

    def _origin(self, k: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """RAS position of the first pixel of (fractional) slice k; beyond the ends the last step goes on."""
        assert self.slice_origins is not None
        origins = self.slice_origins
        if len(origins) == 1:
            return origins[0] + (k[..., None]) * self.ijk_to_ras[:3, 2]
        low = np.clip(np.floor(k).astype(int), 0, len(origins) - 2)
        return origins[low] + (k - low)[..., None] * (origins[low + 1] - origins[low])

    def _extended_interpolation(
        self, depth: npt.NDArray[np.float64], depths: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """The (fractional) slice at each depth along the normal; beyond the ends the last step goes on."""
        if len(depths) == 1:
            return (depth - depths[0]) / float(self.normal @ self.ijk_to_ras[:3, 2])
        low = np.clip(np.searchsorted(depths, depth, side="right") - 1, 0, len(depths) - 2)
        return low + (depth - depths[low]) / (depths[low + 1] - depths[low])


def stack_tilt_deg(normal: npt.NDArray[np.float64], step: npt.NDArray[np.float64]) -> float:
    """Angle between the slices' unit ``normal`` and the ``step`` from one slice to the next, both (3,), either way."""
    return float(np.degrees(np.arccos(np.clip(abs(normal @ step) / np.linalg.norm(step), 0.0, 1.0))))


@dataclass(frozen=True)
class AxisMap:
    """How a stored volume (slices, rows, columns of the file) is turned into its canonical orientation."""

    axes: tuple[int, int, int]
    flip_rows: bool
    flip_columns: bool

    @property
    def slices_as_stored(self) -> bool:
        """Whether a canonical slice is one slice of the file."""
        return self.axes[0] == 0

    def volume(self, stored: npt.NDArray) -> npt.NDArray:
        """A canonical view of the stored volume (no copy)."""
        return self._flipped(stored.transpose(self.axes))

    def plane(self, stored: npt.NDArray) -> npt.NDArray:
        """A canonical view of one stored slice (rows, columns); only where ``slices_as_stored``."""
        return self._flipped(stored if self.axes[1] == 1 else stored.T)

    def stored_block(self, plane: npt.NDArray) -> npt.NDArray:
        """A canonical slice (rows, columns) as the block of the stored volume that it fills (no copy).

        The block has three axes as stored, and is one voxel thick along the stored axis of the slices.
        """
        return self._flipped(plane[None]).transpose(np.argsort(self.axes))

    def _flipped(self, view: npt.NDArray) -> npt.NDArray:
        rows = slice(None, None, -1) if self.flip_rows else slice(None)
        columns = slice(None, None, -1) if self.flip_columns else slice(None)
        return view[..., rows, columns]


def canonical(
    shape: tuple[int, int, int], ijk_to_ras: npt.ArrayLike, slice_origins: npt.ArrayLike | None = None
) -> tuple[Geometry, AxisMap]:
    """The canonical geometry of a stored volume, and how to turn its arrays into it.

    ``shape`` is (slices, rows, columns) as stored, ``ijk_to_ras`` takes (stored column, row, slice, 1) to RAS mm, and
    ``slice_origins`` (slices, 3) are the RAS positions of the first pixels where the slices are not evenly spaced.
    Raises `InputError` where the geometry is impossible.
    """
    stored = Geometry(shape, np.asarray(ijk_to_ras, dtype=np.float64))
    matrix = np.array(stored.ijk_to_ras)
    closeness = np.abs(matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0))
    slice_column = int(np.argmax(closeness[2]))
    first, second = (c for c in range(3) if c != slice_column)
    straight = closeness[0, first] + closeness[1, second] >= closeness[0, second] + closeness[1, first]
    column_column, row_column = (first, second) if straight else (second, first)

    order = (column_column, row_column, slice_column)
    flips = (bool(matrix[0, column_column] > 0), bool(matrix[1, row_column] > 0))
    turned = matrix[:, [*order, 3]]
    axes = (2 - slice_column, 2 - row_column, 2 - column_column)
    new_shape = (shape[axes[0]], shape[axes[1]], shape[axes[2]])
    shift = np.zeros(3)
    for column, (flip, size) in enumerate(zip(flips, (new_shape[2], new_shape[1]), strict=True)):
        if flip:
            shift += turned[:3, column] * (size - 1)
            turned[:, column] *= -1
    turned[:3, 3] += shift
    axis_map = AxisMap(axes, flip_rows=flips[1], flip_columns=flips[0])
    origins = None
    if slice_origins is not None and axis_map.slices_as_stored:
        origins = np.asarray(slice_origins, dtype=np.float64) + shift
    return Geometry(new_shape, turned, origins), axis_map
