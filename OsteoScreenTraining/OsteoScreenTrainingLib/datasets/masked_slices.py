"""The slices and outlines that a bone-status classifier learns from, cut around the bodies and kept in memory.

What is cut is the slice on its own pixels, with room to turn and to shift; resampling, masking and windowing are done
on the device, batch by batch, with the functions that inference uses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from OsteoScreenLib.errors import InputError

from .calibrations import standardising_line
from .folder import DataSet
from .manifest import Subject

#: What is cut is so much wider than the network's field: a square that is turned by 45 degrees needs the root of two.
ROOM = math.sqrt(2)
#: Coverage 0..255 from which on a pixel is inside.
_INSIDE = 128
#: What is cut begins at a multiple of 2, 3 and 4 pixels: where the network's pixels are so much coarser, the same ones
#: are averaged as in the whole slice.
_ALIGNED = 12


@dataclass(frozen=True)
class MaskedBatch:
    """Slices of some subjects, flattened subject by subject, level by level: N = subjects x levels.

    hu : (N, rows, columns) int16, as measured
    coverage : (N, rows, columns) uint8, 0..255
    pixel_mm : (N,)
    centre : (N, 2) row and column of the outline's centroid, pixel centres at half-integers
    line : (N, 2) slope and offset that turn measured into standardised HU
    """

    hu: NDArray[np.int16]
    coverage: NDArray[np.uint8]
    pixel_mm: NDArray[np.float32]
    centre: NDArray[np.float32]
    line: NDArray[np.float32]


class MaskedSlices:
    """The masked slices of the subjects of a data set who have an outline on each of ``levels``.

    Args:
        masks: the file of the outlines, as :func:`.predictions.predict_masks` returns it; the drawn ones when None.
        field_mm: side of the network's field; 0 is the whole slice, which is then read when it is asked for.

    Attributes:
        names: the subjects, in the order given; ``without_outline`` those who were left out.
    """

    def __init__(
        self, data: DataSet, subjects: Sequence[Subject], levels: Sequence[str], masks: Path | None, field_mm: float
    ):
        self.levels = tuple(levels)
        self._data, self._field_mm = data, field_mm
        self._masks = None if masks is None else _open_masks(masks, data)
        self.names: list[str] = []
        self.without_outline: list[str] = []
        parts: list[MaskedBatch] = []
        for subject in subjects:
            part = self._cut(subject)
            (self.without_outline if part is None else self.names).append(subject.subject)
            if part is not None:
                parts.append(part)
        if not parts:
            raise InputError("No subject has an outline on every level; check the outlines or the segmentation bundle.")
        self._parts = parts

    def __len__(self) -> int:
        return len(self.names)

    def read(self, places: Sequence[int]) -> MaskedBatch:
        """Return the slices of the subjects at ``places``."""
        parts = [self._parts[place] for place in places]
        if self._field_mm == 0:
            parts = [self._with_pixels(self.names[place], self._parts[place]) for place in places]
        return MaskedBatch(*(np.concatenate([getattr(p, name) for p in parts]) for name in vars(parts[0])))

    def _cut(self, subject: Subject) -> MaskedBatch | None:
        """Return a subject's slices around their outlines, or None where one is empty."""
        whole = self._whole(subject.subject)
        centres = []
        for coverage in whole.coverage:
            inside = coverage >= _INSIDE
            if not inside.any():
                return None
            centres.append(np.array(ndimage.center_of_mass(inside)) + 0.5)
        line = np.tile(np.array(standardising_line(subject), np.float32), (len(self.levels), 1))
        if self._field_mm == 0:
            nothing = np.empty((0, 0, 0))
            middle = np.tile(np.array([side / 2 for side in whole.hu.shape[1:]], np.float32), (len(self.levels), 1))
            return MaskedBatch(nothing.astype(np.int16), nothing.astype(np.uint8), whole.pixel_mm, middle, line)
        side = self._side()
        hu = np.empty((len(self.levels), side, side), np.int16)
        coverage = np.empty(hu.shape, np.uint8)
        moved = np.empty((len(self.levels), 2), np.float32)
        for level, centre in enumerate(centres):
            first = np.round((centre - side / 2) / _ALIGNED).astype(int) * _ALIGNED
            hu[level] = _window(whole.hu[level], first, side)
            coverage[level] = _window(whole.coverage[level], first, side)
            moved[level] = centre - first
        return MaskedBatch(hu, coverage, whole.pixel_mm, moved, line)

    def _whole(self, name: str) -> MaskedBatch:
        indices = [self._data.slice_index(name, level) for level in self.levels]
        hu, coverage = self._data.slices.read(indices)
        if self._masks is not None:
            coverage = np.stack([self._masks[index] for index in indices])
        pixel = np.array([self._data.slices.records[index].pixel_mm for index in indices], np.float32)
        nothing = np.empty((0, 2), np.float32)
        return MaskedBatch(hu, coverage, pixel, nothing, nothing)

    def _with_pixels(self, name: str, part: MaskedBatch) -> MaskedBatch:
        whole = self._whole(name)
        return MaskedBatch(whole.hu, whole.coverage, part.pixel_mm, part.centre, part.line)

    def _side(self) -> int:
        """Return the side in pixels of what is cut: the field with room to turn, at the smallest pixel."""
        smallest = min(record.pixel_mm for record in self._data.slices.records)
        return min(math.ceil(ROOM * self._field_mm / smallest) + 8 + _ALIGNED, self._data.slices.rows)


def _window(image: np.ndarray, first: np.ndarray, side: int) -> np.ndarray:
    """Return ``side`` x ``side`` pixels from ``first`` on; beyond the slice its edge is repeated."""
    rows, columns = (
        np.clip(np.arange(start, start + side), 0, size - 1) for start, size in zip(first, image.shape, strict=True)
    )
    return image[np.ix_(rows, columns)]


def _open_masks(path: Path, data: DataSet) -> np.ndarray:
    try:
        masks: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"The outlines {path} cannot be read: {error}.") from error
    if masks.dtype != np.uint8 or masks.shape != (len(data.slices), data.slices.rows, data.slices.columns):
        raise InputError(f"The outlines {path} are not those of {data.folder}; remove them, and they are drawn again.")
    return masks
