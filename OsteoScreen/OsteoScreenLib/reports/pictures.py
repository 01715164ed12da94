"""The pictures that a report needs beside the numbers: the slices with their outlines, and a sagittal view.

Screening fills these in from what it has decoded anyway; reports only draw them. Arrays are HU, float32, in the
canonical orientation of :mod:`OsteoScreenLib.ct`: anterior up, the patient's left on the picture's right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class LevelPicture:
    """One whole slice of a level.

    ``hu``, ``mask`` and ``probability`` are (rows, columns); ``mask`` and ``probability`` are None where the slice
    was not outlined (a refused study), ``probability`` alone where the outline is the user's.
    ``ijk_to_ras`` (4 x 4) takes (column, row, slice, 1) of the canonical CT to RAS mm.
    """

    name: str
    slice_index: int
    hu: np.ndarray
    ijk_to_ras: np.ndarray
    mask: np.ndarray | None = None
    probability: np.ndarray | None = None

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """(row, column) step in mm."""
        steps = np.linalg.norm(np.asarray(self.ijk_to_ras, dtype=float)[:3, :2], axis=0)
        return float(steps[1]), float(steps[0])

    def pixels(self, ras_mm: np.ndarray) -> np.ndarray:
        """(n, 2) pixel positions (column, row) of the points of this slice at (n, >= 2) RAS (x, y) mm."""
        matrix = np.asarray(self.ijk_to_ras, dtype=float)
        origin = matrix[:2, 2] * self.slice_index + matrix[:2, 3]
        points = np.asarray(ras_mm, dtype=float).reshape(len(ras_mm), -1)[:, :2]
        return np.linalg.solve(matrix[:2, :2], (points - origin).T).T


@dataclass(frozen=True)
class SagittalPicture:
    """A sagittal view: superior up, anterior on the left.

    ``image`` is (rows, columns) HU; ``spacing_mm`` its (row, column) step; ``slice_indices`` (rows,) says which slice
    of the CT each row shows (strictly rising or falling; steps are allowed, so that not every slice need be decoded).
    ``x_mm`` is the RAS R position of the view.
    """

    image: np.ndarray
    spacing_mm: tuple[float, float]
    slice_indices: np.ndarray
    x_mm: float

    def row_of_slice(self, slice_index: float) -> float:
        """The (fractional) row that shows a slice, clipped to the picture."""
        rows = np.arange(len(self.slice_indices), dtype=float)
        order = np.argsort(self.slice_indices)
        return float(np.interp(slice_index, np.asarray(self.slice_indices, dtype=float)[order], rows[order]))


@dataclass(frozen=True)
class NamedPlace:
    """A vertebra on a picture: its name, the probability of that, and the (fractional) row and column of its centre."""

    name: str
    probability: float
    row: float
    column: float


@dataclass(frozen=True)
class SpinePicture:
    """A curved coronal view along the spine: superior up, the patient's left on the picture's right.

    ``image`` is (rows, columns) HU; ``spacing_mm`` its (row, column) step; ``names`` are the vertebrae on it.
    """

    image: np.ndarray
    spacing_mm: tuple[float, float]
    names: list[NamedPlace]


@dataclass(frozen=True)
class StudyPictures:
    """All pictures of one study; any part may be missing (a study refused before anything was decoded)."""

    levels: dict[str, LevelPicture] = field(default_factory=dict)
    sagittal: SagittalPicture | None = None
    spine: SpinePicture | None = None


def sagittal_picture(
    slices: Mapping[int, np.ndarray], ijk_to_ras: np.ndarray, column: float, half_width_mm: float = 1.5
) -> SagittalPicture:
    """The sagittal view through a column of the canonical CT, from evenly spaced slices that are already decoded.

    ``slices`` maps slice index to (rows, columns) HU, two or more; the columns within ``half_width_mm`` are averaged,
    because one column of a chest CT is noisy. Raises ValueError for fewer than two slices.
    """
    if len(slices) < 2:
        raise ValueError("A sagittal view needs at least two slices.")
    matrix = np.asarray(ijk_to_ras, dtype=float)
    steps = np.linalg.norm(matrix[:3, :3], axis=0)
    indices = np.array(sorted(slices, reverse=bool(matrix[2, 2] > 0)))
    columns = next(iter(slices.values())).shape[1]
    reach = int(half_width_mm / steps[0])
    centre = min(max(int(round(column)), 0), columns - 1)
    band = slice(max(centre - reach, 0), centre + reach + 1)
    image = np.stack([np.asarray(slices[int(k)], dtype=np.float32)[:, band].mean(axis=1) for k in indices])
    rows = image.shape[1]
    x_mm = float((matrix @ [centre, (rows - 1) / 2, float(indices.mean()), 1.0])[0])
    row_step = float(np.abs(np.diff(indices)).mean() * steps[2])
    return SagittalPicture(image, (row_step, float(steps[1])), indices, x_mm)
