"""A CT from an array: Slicer's volumes with what their files' headers say, simulated scans, tests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..progress import Progress
from ..results import Check
from .acquisition import Acquisition
from .geometry import canonical
from .study import CT, Kind


class ArraySource:
    """The pixels of an array (slices, rows, columns) that is already in HU."""

    def __init__(self, array: npt.NDArray, ijk_to_ras: npt.NDArray[np.float64]) -> None:
        self._array = array
        self._ijk_to_ras = ijk_to_ras
        self.decoded_slices = 0
        self.files: tuple[Path, ...] = ()
        self.frames: tuple[tuple[Path, int | None], ...] = ()

    def plane(self, index: int) -> npt.NDArray:
        """One stored slice (rows, columns)."""
        self.decoded_slices += 1
        return self._array[index]

    def whole(self, progress: Progress) -> npt.NDArray:
        """The array itself."""
        self.decoded_slices += len(self._array)
        return self._array

    def sha256(self) -> str:
        """Of the numbers, their type and shape, and the placement."""
        digest = hashlib.sha256(f"{self._array.dtype.str} {self._array.shape}".encode())
        digest.update(self._ijk_to_ras.tobytes())
        for plane in self._array:
            digest.update(np.ascontiguousarray(plane).data)
        return digest.hexdigest()


def ct_from_array(
    array: npt.ArrayLike,
    ijk_to_ras: npt.ArrayLike,
    acquisition: Acquisition | None = None,
    *,
    findings: tuple[Check, ...] = (),
    path: str = "",
    kind: Kind = "memory",
    series_instance_uid: str | None = None,
) -> CT:
    """A CT from HU in memory; the array is kept, not copied.

    ``array`` is (slices, rows, columns) in any orientation, and ``ijk_to_ras`` (4 x 4) takes its (column, row, slice,
    1) to RAS mm. ``acquisition`` says what is known of how it was acquired (nothing, by default), ``findings`` what
    was found when its files were read (see `open_dicom_files`); ``path``, ``kind`` and ``series_instance_uid`` stand
    in the result as what the array was read from. Raises `InputError` where the array is not three-dimensional and
    numeric, or its placement is impossible.
    """
    stored = np.asarray(array)
    if stored.ndim != 3 or stored.dtype.kind not in "iuf":
        raise InputError(
            f"A CT is a three-dimensional array of numbers, and this one has {stored.ndim} dimensions of "
            f"{stored.dtype}."
        )
    matrix = np.array(ijk_to_ras, dtype=np.float64)
    shape = (stored.shape[0], stored.shape[1], stored.shape[2])
    geometry, axis_map = canonical(shape, matrix)
    return CT(
        path=path,
        kind=kind,
        series_instance_uid=series_instance_uid,
        geometry=geometry,
        axis_map=axis_map,
        acquisition=acquisition or Acquisition(),
        findings=findings,
        source=ArraySource(stored, matrix),
    )
