"""A CT that is opened at once and decoded slice by slice, as it is needed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import UsageError
from ..progress import Progress, silent
from ..results import Check, InputDescription
from .acquisition import Acquisition
from .geometry import AxisMap, Geometry

Kind = Literal["dicom", "nrrd", "nifti", "metaimage", "memory"]

#: What lies outside the scan, and the floor of the HU scale (12 bits with an intercept of -1024; DICOM PS3.3 C.11.1).
OUTSIDE_HU = -1024.0

#: Slices kept after decoding: the two levels and their neighbours, about 1 MiB each.
CACHED_SLICES = 8


class SliceSource(Protocol):
    """Where the pixels come from, in the file's own orientation."""

    decoded_slices: int
    files: tuple[Path, ...]
    frames: tuple[tuple[Path, int | None], ...]

    def plane(self, index: int) -> npt.NDArray:
        """One stored slice (rows, columns) in HU, of any number type."""

    def whole(self, progress: Progress) -> npt.NDArray:
        """The stored volume (slices, rows, columns) in HU, of any number type."""

    def sha256(self) -> str:
        """The input's hash in hexadecimal; see `CT.sha256`."""


class CT:
    """One CT series, in canonical orientation, in HU; see `Geometry` for what canonical means.

    Opening reads headers only. ``decoded_slices`` counts the slices whose pixels were decoded since; ``findings`` are
    the checks that reading itself made (geometry, choice of the series, rescaling, damaged files).
    """

    def __init__(
        self,
        *,
        path: str,
        kind: Kind,
        series_instance_uid: str | None,
        geometry: Geometry,
        axis_map: AxisMap,
        acquisition: Acquisition,
        findings: tuple[Check, ...],
        source: SliceSource,
    ) -> None:
        self.path = path
        self.kind: Kind = kind
        self.series_instance_uid = series_instance_uid
        self.geometry = geometry
        self.acquisition = acquisition
        self.findings = tuple(findings)
        self._axis_map = axis_map
        self._source = source
        self._cache: OrderedDict[int, npt.NDArray[np.float32]] = OrderedDict()
        self._whole: npt.NDArray | None = None
        self._lock = threading.RLock()
        self._sha256: str | None = None
        self._hashing = threading.Lock()

    @property
    def decoded_slices(self) -> int:
        """How many stored slices were decoded since opening."""
        return self._source.decoded_slices

    @property
    def files(self) -> tuple[Path, ...]:
        """The DICOM files that the slices lie in, each once, in the order of the slices as stored; else empty."""
        return self._source.files

    def source_frame(self, k: int) -> tuple[Path, int | None] | None:
        """The DICOM file that slice k is stored in, and which of its frames (from 0) where it is a multi-frame file.

        None where the CT was not read from DICOM files, or its slices cut across the stored ones. Raises `UsageError`
        where there is no such slice.
        """
        k = self._checked(k)
        return self._source.frames[k] if self._source.frames and self._axis_map.slices_as_stored else None

    def slice(self, k: int) -> npt.NDArray[np.float32]:
        """HU of slice k, (rows, columns) float32, read-only; nothing is below -1024.

        Raises `UsageError` where there is no such slice, `InputError` where its pixels cannot be decoded.
        """
        k = self._checked(k)
        with self._lock:
            if k in self._cache:
                self._cache.move_to_end(k)
                return self._cache[k]
            image = self._decode(k)
            self._cache[k] = image
            while len(self._cache) > CACHED_SLICES:
                self._cache.popitem(last=False)
            return image

    def slab(self, k0: int, k1: int) -> npt.NDArray[np.float32]:
        """HU of slices k0 to k1 - 1, (slices, rows, columns) float32."""
        k0, last = self._checked(k0), self._checked(k1 - 1)
        if last < k0:
            raise UsageError(f"A slab from slice {k0} to slice {k1} holds no slice.")
        slab = np.empty((last + 1 - k0, *self.geometry.shape[1:]), dtype=np.float32)
        for n in range(len(slab)):
            slab[n] = self._peek(k0 + n)
        return slab

    def volume(self, progress: Progress = silent) -> npt.NDArray[np.float32]:
        """HU of the whole CT, (slices, rows, columns) float32. Decodes everything: 1 MiB per 512 x 512 slice."""
        slices = self.geometry.shape[0]
        volume = np.empty(self.geometry.shape, dtype=np.float32)
        for k in range(slices):
            volume[k] = self._peek(k, progress)
            progress("Reading slices", k + 1, slices)
        return volume

    def sagittal(
        self,
        column: int | None = None,
        *,
        half_width: int = 0,
        slices: range | None = None,
        max_slices: int | None = None,
        progress: Progress = silent,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
        """A sagittal strip: (image (n, rows) float32 HU, the n slice indices that its lines come from).

        ``column`` (default: the middle one) and ``half_width`` neighbours on either side are averaged. ``slices``
        bounds the strip, and ``max_slices`` says how many may be decoded: then every n-th slice is taken.
        """
        total, _, columns = self.geometry.shape
        centre = columns // 2 if column is None else int(column)
        if not 0 <= centre < columns:
            raise UsageError(f"There is no column {centre}: the slices have columns 0 to {columns - 1}.")
        wanted = range(total)[slices.start : slices.stop] if slices is not None else range(total)
        step = 1 if not max_slices else max(1, -(-len(wanted) // max_slices))
        indices = np.array(wanted[::step], dtype=np.intp)
        low, high = max(0, centre - half_width), min(columns, centre + half_width + 1)
        image = np.empty((len(indices), self.geometry.shape[1]), dtype=np.float32)
        for n, k in enumerate(indices):
            image[n] = self._peek(int(k), progress)[:, low:high].mean(axis=1)
            progress("Reading the sagittal view", n + 1, len(indices))
        return image, indices

    def stored_extent(self, k: int) -> tuple[int, int, int, int, int, int]:
        """The voxels of the stored volume that slice k fills: first and last column, row and slice, inclusive.

        This is VTK's order of an extent (i0, i1, j0, j1, k0, k1), in the indices of the file or array itself. Raises
        `UsageError` where there is no such slice.
        """
        k = self._checked(k)
        ends: list[tuple[int, int]] = [(0, 0)] * 3
        for axis, size in zip(self._axis_map.axes, self.geometry.shape, strict=True):
            ends[axis] = (0, size - 1)
        ends[self._axis_map.axes[0]] = (k, k)
        return (*ends[2], *ends[1], *ends[0])

    def to_stored(self, k: int, plane: npt.NDArray) -> tuple[tuple[int, int, int], npt.NDArray]:
        """Where slice k lies in the stored volume, and its values ``plane`` (rows, columns) as a block of it.

        Returns (column, row, slice) of the block's first voxel, in the indices of the file or array itself, and the
        block as (slices, rows, columns) in that order, a view of ``plane``. Raises `UsageError` where there is no such
        slice, or ``plane`` has another shape than the CT's slices.
        """
        plane = np.asarray(plane)
        if plane.shape != self.geometry.shape[1:]:
            raise UsageError(
                f"The slices of this CT measure {self.geometry.shape[1:]} pixels, and the values given {plane.shape}."
            )
        i, _, j, _, first, _ = self.stored_extent(k)
        return (i, j, first), self._axis_map.stored_block(plane)

    def from_stored(self, block: npt.NDArray) -> npt.NDArray:
        """The canonical slice (rows, columns) of a block (slices, rows, columns) of the stored volume; a view.

        ``block`` are the values on `stored_extent` of that slice. Raises `UsageError` where it has another shape.
        """
        block = np.asarray(block)
        turned = self._axis_map.volume(block) if block.ndim == 3 else block
        if turned.shape != (1, *self.geometry.shape[1:]):
            raise UsageError(f"A block of {block.shape} voxels is no slice of this CT; take that of stored_extent.")
        plane: npt.NDArray = turned[0]
        return plane

    def sha256(self) -> str:
        """The input's hash, in hexadecimal, found without decoding a pixel.

        For a single file (NRRD, MetaImage, NIfTI): of its bytes (and of its separate data file's). For DICOM: over
        the slices in order, of their SOP Instance UID, placement, size, rescale, transfer syntax, length of the pixel
        data, and the middle 4 KiB of the stored pixel data. For arrays: of the numbers and their placement.
        """
        with self._hashing:
            if self._sha256 is None:
                self._sha256 = self._source.sha256()
            return self._sha256

    def describe(self) -> InputDescription:
        """The input as `result.json` describes it."""
        said = self.acquisition
        return InputDescription(
            path=self.path,
            kind=self.kind,
            series_instance_uid=self.series_instance_uid,
            sha256=self.sha256(),
            slices=self.geometry.shape[0],
            spacing_mm=self.geometry.spacing_mm,
            kvp=said.kvp,
            slice_thickness_mm=said.slice_thickness_mm,
            kernel=said.kernel,
            contrast=said.contrast,
            manufacturer=said.manufacturer,
            age_years=said.age_years,
            sex=said.sex,
            model_name=said.model_name,
        )

    def _checked(self, k: int) -> int:
        slices = self.geometry.shape[0]
        if not 0 <= int(k) < slices:
            raise UsageError(f"There is no slice #{int(k)}: the scan has slices #0 to #{slices - 1}.")
        return int(k)

    def _peek(self, k: int, progress: Progress = silent) -> npt.NDArray[np.float32]:
        """Slice k without displacing what the cache holds."""
        with self._lock:
            return self._cache[k] if k in self._cache else self._decode(k, progress)

    def _decode(self, k: int, progress: Progress = silent) -> npt.NDArray[np.float32]:
        if self._axis_map.slices_as_stored:
            view = self._axis_map.plane(self._source.plane(k))
        else:
            if self._whole is None:
                self._whole = self._axis_map.volume(self._source.whole(progress))
            view = self._whole[k]
        image = np.array(view, dtype=np.float32, order="C")
        np.nan_to_num(image, copy=False, nan=OUTSIDE_HU)
        np.maximum(image, np.float32(OUTSIDE_HU), out=image)
        image.setflags(write=False)
        return image
