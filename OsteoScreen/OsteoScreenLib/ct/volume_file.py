"""NRRD, MetaImage and NIfTI, read through SimpleITK."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 (the name its own documentation uses)

from ..errors import InputError
from ..progress import Progress
from .acquisition import Acquisition
from .geometry import LPS_TO_RAS, canonical
from .study import CT

VolumeKind = Literal["nrrd", "nifti", "metaimage"]

_SUFFIXES: dict[str, VolumeKind] = {
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".mha": "metaimage",
    ".mhd": "metaimage",
}


def file_kind(path: Path) -> VolumeKind | None:
    """Which volume format a file's name says it is, or None."""
    name = path.name.lower()
    return next((kind for suffix, kind in _SUFFIXES.items() if name.endswith(suffix)), None)


class VolumeFileSource:
    """The pixels of one volume file, read as a whole on first use and kept in the file's own number type."""

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        self._path = path
        self._shape = shape
        self._array: npt.NDArray | None = None
        self.decoded_slices = 0

    def plane(self, index: int) -> npt.NDArray:
        """One stored slice (rows, columns)."""
        return self.whole()[index]

    def whole(self, progress: Progress | None = None) -> npt.NDArray:
        """The stored volume (slices, rows, columns)."""
        if self._array is None:
            try:
                image = sitk.ReadImage(str(self._path))
            except (RuntimeError, MemoryError):
                raise InputError(f"{self._path.name} is damaged or cut short; copy or export it again.") from None
            self._array = sitk.GetArrayFromImage(image).reshape(self._shape)
            self.decoded_slices = self._shape[0]
        return self._array

    def sha256(self) -> str:
        """Of the file's bytes."""
        digest = hashlib.sha256()
        with self._path.open("rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
        return digest.hexdigest()


def open_volume_file(path: Path, kind: VolumeKind) -> CT:
    """Open a volume file by its header; raises `InputError` where it is not one three-dimensional scalar image."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        raise InputError(f"{path.name} cannot be read as {kind}; copy or export it again.") from None
    size = list(reader.GetSize())
    if reader.GetNumberOfComponents() != 1:
        raise InputError(f"{path.name} is a colour or vector image; give a CT with one value per voxel.")
    if any(n != 1 for n in size[3:]) or len(size) < 3:
        raise InputError(f"{path.name} has {len(size)} dimensions; give one three-dimensional CT.")
    dimension = len(size)
    direction = np.array(reader.GetDirection()).reshape(dimension, dimension)[:3, :3]
    lps = np.eye(4)
    lps[:3, :3] = direction * np.array(reader.GetSpacing()[:3])
    lps[:3, 3] = reader.GetOrigin()[:3]
    shape = (size[2], size[1], size[0])
    geometry, axis_map = canonical(shape, LPS_TO_RAS @ lps)
    return CT(
        path=str(path),
        kind=kind,
        series_instance_uid=None,
        geometry=geometry,
        axis_map=axis_map,
        acquisition=Acquisition(),
        findings=(),
        source=VolumeFileSource(path, shape),
    )
