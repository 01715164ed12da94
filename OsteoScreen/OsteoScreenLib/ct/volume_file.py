"""NRRD, MetaImage and NIfTI, read through SimpleITK."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from ..errors import InputError
from ..progress import Progress, silent
from ..results import Check
from .acquisition import Acquisition
from .geometry import LPS_TO_RAS, canonical
from .study import CT
from .volume_header import VolumeKind, check_container, missing_orientation, require_unpacked

#: Two thousand slices of 1024 x 1024; more is no chest CT, and would not fit in memory.
MAX_VOXELS = 1 << 31

#: Axes at right angles within this (cosine); SimpleITK keeps direction cosines to about 1e-6.
_DIRECTION_TOLERANCE = 1e-2

#: CT voxels are 0.1 to 10 mm; anything beyond these is a wrong unit or a wrong header.
_SPACING_LIMITS_MM = (0.05, 20.0)

_METAIMAGE_MODALITIES = {"MET_MOD_CT": "CT", "MET_MOD_MR": "MR", "MET_MOD_NM": "NM", "MET_MOD_US": "US"}


@dataclass(frozen=True)
class _Volume:
    """A volume file's header: shape (slices, rows, columns), stored (column, row, slice) to RAS mm, number type."""

    path: Path
    kind: VolumeKind
    shape: tuple[int, int, int]
    dimensions: int
    ijk_to_ras: npt.NDArray[np.float64]
    pixel_type: int
    streams: bool
    modality: str | None


class VolumeFileSource:
    """The pixels of one volume file: slice by slice where the format can be read so, else as a whole on first use.

    What is read as a whole is kept in the file's own number type.
    """

    def __init__(self, volume: _Volume, data_files: tuple[Path, ...]) -> None:
        self._volume = volume
        self._data_files = data_files
        self._array: npt.NDArray | None = None
        self.decoded_slices = 0
        self.files: tuple[Path, ...] = ()
        self.frames: tuple[tuple[Path, int | None], ...] = ()

    def plane(self, index: int) -> npt.NDArray:
        """One stored slice (rows, columns); raises `InputError` where the file is damaged."""
        if self._array is None and self._volume.streams:
            self.decoded_slices += 1
            return self._read(index)[0]
        return self.whole(silent)[index]

    def whole(self, progress: Progress) -> npt.NDArray:
        """The stored volume (slices, rows, columns); raises `InputError` where the file is damaged."""
        if self._array is None:
            progress("Reading the volume", 0, 1)
            self._array = self._read(None)
            self.decoded_slices = self._volume.shape[0]
            progress("Reading the volume", 1, 1)
        return self._array

    def sha256(self) -> str:
        """Of the file's bytes, and of its separate data files'."""
        digest = hashlib.sha256()
        for path in (self._volume.path, *self._data_files):
            try:
                with path.open("rb") as stream:
                    while block := stream.read(1 << 20):
                        digest.update(block)
            except OSError:
                raise InputError(f"{path.name} can no longer be opened; it changed while it was read.") from None
        return digest.hexdigest()

    def _read(self, index: int | None) -> npt.NDArray:
        volume = self._volume
        require_unpacked(volume.path, volume.kind)
        reader = _reader(volume.path)
        slices, rows, columns = volume.shape
        if index is not None:
            extra = [0] * (volume.dimensions - 3)
            reader.SetExtractIndex([0, 0, index, *extra])
            reader.SetExtractSize([columns, rows, 1, *extra])
            slices = 1
        try:
            with _quiet():
                array = sitk.GetArrayFromImage(reader.Execute())
            return array.reshape((slices, rows, columns))
        except (RuntimeError, MemoryError, ValueError):
            raise InputError(f"{volume.path.name} is damaged or cut short; copy or export it again.") from None


def open_volume_file(path: Path, kind: VolumeKind) -> CT:
    """Open a volume file by its header; raises `InputError` where it is not one three-dimensional scalar image."""
    data_files = check_container(path, kind)
    volume = _read_header(path, kind)
    geometry, axis_map = canonical(volume.shape, volume.ijk_to_ras)
    return CT(
        path=str(path),
        kind=kind,
        series_instance_uid=None,
        geometry=geometry,
        axis_map=axis_map,
        acquisition=Acquisition(modality=volume.modality),
        findings=tuple(_findings(volume)),
        source=VolumeFileSource(volume, data_files),
    )


def _read_header(path: Path, kind: VolumeKind) -> _Volume:
    reader = _reader(path)
    try:
        with _quiet():
            reader.ReadImageInformation()
    except (RuntimeError, MemoryError) as problem:
        if "orthonormal" in str(problem) or "orthogonal" in str(problem):
            raise InputError(
                f"The axes of {path.name} are not at right angles (a tilted gantry, perhaps); resample it first."
            ) from None
        raise InputError(f"{path.name} cannot be read as {kind}; it is damaged or of another format.") from None
    size = [int(n) for n in reader.GetSize()]
    if reader.GetNumberOfComponents() != 1 or reader.GetPixelID() in _COMPLEX:
        raise InputError(f"{path.name} holds several values per voxel (colour or vectors); give a plain CT.")
    if len(size) < 3 or any(n != 1 for n in size[3:]) or min(size) < 1:
        raise InputError(f"{path.name} measures {' x '.join(map(str, size))}; give one three-dimensional CT.")
    if math.prod(size) > MAX_VOXELS:
        raise InputError(f"{path.name} claims {' x '.join(map(str, size))} voxels, more than any CT has.")
    metadata = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys() if key == "Modality"}
    return _Volume(
        path=path,
        kind=kind,
        shape=(size[2], size[1], size[0]),
        dimensions=len(size),
        ijk_to_ras=_ijk_to_ras(reader, path),
        pixel_type=reader.GetPixelID(),
        streams=_streams(path, kind),
        modality=_METAIMAGE_MODALITIES.get(metadata.get("Modality", "")),
    )


def _ijk_to_ras(reader: sitk.ImageFileReader, path: Path) -> npt.NDArray[np.float64]:
    dimension = reader.GetDimension()
    direction = np.reshape(reader.GetDirection(), (dimension, dimension))[:3, :3]
    spacing = np.array(reader.GetSpacing()[:3])
    origin = np.array(reader.GetOrigin()[:3])
    if not (np.isfinite(direction).all() and np.isfinite(spacing).all() and np.isfinite(origin).all()):
        raise InputError(f"The position or spacing in {path.name} is not a number; export it again.")
    if spacing.min() <= 0:
        raise InputError(f"The spacing in {path.name} is zero or negative; export it again.")
    if np.abs(direction.T @ direction - np.eye(3)).max() > _DIRECTION_TOLERANCE:
        raise InputError(f"The axes of {path.name} are not at right angles; resample it first.")
    lps = np.eye(4)
    lps[:3, :3] = direction * spacing
    lps[:3, 3] = origin
    return LPS_TO_RAS @ lps


_COMPLEX = (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64)
_UNSIGNED = {
    sitk.sitkUInt8: "8-bit unsigned",
    sitk.sitkUInt16: "16-bit unsigned",
    sitk.sitkUInt32: "32-bit unsigned",
    sitk.sitkInt8: "8-bit",
}


def _findings(volume: _Volume) -> Iterator[Check]:
    yield Check("series", "pass", f"{volume.path.name} holds one volume of {volume.shape[0]} slices.", None)
    missing = missing_orientation(volume.path, volume.kind)
    if missing:
        yield Check("orientation", "refuse", missing)
    spacing = np.linalg.norm(volume.ijk_to_ras[:3, :3], axis=0)
    low, high = _SPACING_LIMITS_MM
    if spacing.min() < low or spacing.max() > high:
        words = " x ".join(f"{s:g}" for s in spacing)
        message = f"Voxels of {words} mm are not a CT's; the header's spacing or its unit is wrong."
        yield Check("pixel_size", "refuse", message, [float(s) for s in spacing])
    if volume.pixel_type in _UNSIGNED:
        message = (
            f"The file stores {_UNSIGNED[volume.pixel_type]} numbers, which cannot hold the HU of air and soft tissue; "
            "export the CT in HU, as 16-bit signed numbers."
        )
        yield Check("rescale", "refuse", message, _UNSIGNED[volume.pixel_type])


def _streams(path: Path, kind: VolumeKind) -> bool:
    """Whether SimpleITK reads single slices without reading the whole file (measured: gzip and NRRD it does not)."""
    if kind == "nifti":
        return path.suffix.lower() == ".nii"
    if kind == "nrrd":
        return False
    with path.open("rb") as stream:
        head = stream.read(1 << 16).split(b"ElementDataFile")[0].lower().replace(b" ", b"")
    return b"compresseddata=true" not in head


def _reader(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    return reader


@contextmanager
def _quiet() -> Iterator[None]:
    """Without ITK's own warnings on the terminal: what matters of them becomes a finding or an error."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)
