"""Read the vertebrae of a segmentation: a label map, a folder of one file per vertebra, or a Slicer segmentation.

Formats: NIfTI, NRRD (with Slicer's segments), MetaImage, and DICOM SEG.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from ..ct.geometry import LPS_TO_RAS, Geometry, canonical
from ..errors import InputError, UsageError, system_reason
from .dicom_seg import is_dicom, read_dicom_seg
from .label_names import NamedLabel, nifti_labels, segment_labels
from .names import HEAD_TO_FOOT, vertebra_named
from .numbering import LabelPlace, choose_numbering

_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
#: A label map has tens of labels (TPTBox adds 100 for discs and 200 for endplates); an image has thousands of values.
_MOST_LABELS = 1024
#: Sizes beyond this are no scan of a patient, but a damaged or hostile header (a 0.5 mm whole body has 4e9 / 4).
_MOST_VOXELS = 2**31
#: Where labels lie is found on a grid of about this many mm: a vertebra is ten times as large.
_COARSE_MM = 2.5


@dataclass(frozen=True, eq=False)
class VertebraMask:
    """One vertebra of a segmentation, on the segmentation's own grid (canonical, as a CT's): ``mask`` (slices, rows,
    columns) bool, ``geometry`` where it lies."""

    name: str
    mask: npt.NDArray[np.bool_]
    geometry: Geometry

    def coverage_on(self, geometry: Geometry, k: int) -> npt.NDArray[np.float32]:
        """The vertebra on slice ``k`` of a CT with this geometry: (rows, columns), from 0 outside to 1 inside.

        Sampled by physical position; 0.5 is the edge.
        """
        _, rows, columns = geometry.shape
        j, i = np.ogrid[:rows, :columns]
        ijk = self.geometry.ijk(geometry.ras(i, j, k))
        low, high = ijk.reshape(-1, 3).min(axis=0), ijk.reshape(-1, 3).max(axis=0)
        if (high < -1).any() or (low[::-1] > self.mask.shape).any():
            return np.zeros((rows, columns), dtype=np.float32)
        first = min(max(0, int(np.floor(low[2]))), self.mask.shape[0] - 1)
        part = self.mask[first : max(first, int(np.ceil(high[2]))) + 1].astype(np.float32)
        at = [ijk[..., 2] - first, ijk[..., 1], ijk[..., 0]]
        # Beyond the first and the last slice of the segmentation there is nothing, but for half a slice.
        inside = (ijk[..., 2] > -0.5 - 1e-6) & (ijk[..., 2] < self.mask.shape[0] - 0.5 + 1e-6)
        sampled = ndimage.map_coordinates(part, at, order=1, mode="nearest", prefilter=False)
        return np.where(inside, sampled, 0.0).astype(np.float32)


def read_vertebrae(path: str | os.PathLike[str], names: Sequence[str]) -> dict[str, VertebraMask]:
    """The vertebrae ``names`` ("L1", ...) that the segmentation at ``path`` holds; those that it lacks are left out.

    Raises `InputError` where it cannot be read, holds none of them, or does not say clearly which they are;
    `UsageError` where there is nothing at ``path``.
    """
    place = Path(path)
    try:
        if place.is_dir():
            return _read_folder(place, names)
        if not place.is_file():
            raise UsageError(f"There is no segmentation at {place}; check the path.")
        return _read_file(place, names)
    except OSError as problem:
        raise InputError(f"The segmentation {place} cannot be opened: {system_reason(problem)}.") from problem


def _read_folder(folder: Path, names: Sequence[str]) -> dict[str, VertebraMask]:
    files = sorted(file for file in folder.iterdir() if file.name.lower().endswith(_SUFFIXES) and file.is_file())
    by_name: dict[str, list[Path]] = {}
    for file in files:
        vertebra = vertebra_named(file.name[: -len(_suffix(file))])
        if vertebra:
            by_name.setdefault(vertebra, []).append(file)
    wanted = {name: by_name[name] for name in names if name in by_name}
    if wanted:
        return {name: _read_single(name, found) for name, found in wanted.items()}
    if by_name:
        raise InputError(f"The folder {folder.name} has files for {_listed(by_name)}, and none for {_listed(names)}.")
    labelled = [file for file in files if "part_55" not in file.name or "part_552" in file.name]
    if len(labelled) == 1:
        return _read_file(labelled[0], names)
    raise InputError(
        f"The folder {folder.name} has no file named after a vertebra (such as vertebrae_L1.nii.gz)"
        + (f" and {len(files)} others" if files else "")
        + "; name the segmentation file itself."
    )


def _read_single(name: str, files: list[Path]) -> VertebraMask:
    if len(files) > 1:
        raise InputError(f"There are {len(files)} files for {name} ({files[0].name}, {files[1].name}, ...); keep one.")
    labels, geometry, _ = _read_image(files[0])
    mask = labels[..., 0] > 0
    if not mask.any():
        raise InputError(f"{files[0].name} is empty, so {name} cannot be taken from it; use another segmentation.")
    return VertebraMask(name, mask, geometry)


def _read_file(path: Path, names: Sequence[str]) -> dict[str, VertebraMask]:
    if is_dicom(path):
        segments = read_dicom_seg(path)
        found = {name: VertebraMask(name, *segments[name]) for name in names if name in segments}
        return _some(found, names, segments, path)
    if not path.name.lower().endswith(_SUFFIXES):
        raise InputError(f"{path.name} is no segmentation that can be read; give NIfTI, NRRD, MetaImage or DICOM SEG.")
    labels, geometry, fields = _read_image(path)
    named = segment_labels(fields) or (nifti_labels(path) if ".nii" in path.name.lower() else [])
    if named:
        masks = {name: labels[..., label.layer] == label.value for name, label in _chosen(named, names, labels).items()}
        present = {name: VertebraMask(name, mask, geometry) for name, mask in masks.items() if mask.any()}
        return _some(present, names, {label.vertebra for label in named}, path)
    if labels.shape[-1] > 1:
        raise InputError(
            f"No segment of {path.name} is named or coded {_listed(names)}; rename the segments in Slicer."
        )
    return _by_numbering(labels[..., 0], geometry, names, path)


def _chosen(named: list[NamedLabel], names: Sequence[str], labels: npt.NDArray) -> dict[str, NamedLabel]:
    chosen = {}
    for name in names:
        candidates = [label for label in named if label.vertebra == name and label.layer < labels.shape[-1]]
        bodies = [label for label in candidates if label.body_alone]
        candidates = bodies if len(bodies) == 1 else candidates
        if len(candidates) > 1:
            written = ", ".join(repr(label.written[:40]) for label in candidates[:3])
            raise InputError(f"More than one segment is named or coded {name} ({written}); keep one of them.")
        if candidates:
            chosen[name] = candidates[0]
    return chosen


def _by_numbering(labels: npt.NDArray, geometry: Geometry, names: Sequence[str], path: Path) -> dict[str, VertebraMask]:
    places = _places(labels, geometry)
    if not places:
        raise InputError(f"{path.name} is empty; use another segmentation.")
    try:
        numbering = choose_numbering(places, names, path.name)
    except InputError:
        if len(names) < 2:
            raise
        numbering = choose_numbering(places, names[:1], path.name)
    values = {name: value for value, name in numbering.vertebrae.items() if value in places}
    return {name: VertebraMask(name, labels == values[name], geometry) for name in names if name in values}


def _places(labels: npt.NDArray, geometry: Geometry) -> dict[int, LabelPlace]:
    """Where each label lies, found on a coarse grid."""
    column, row, depth = geometry.spacing_mm
    steps = [max(1, int(_COARSE_MM / size)) for size in (depth, row, column)]
    coarse = labels[:: steps[0], :: steps[1], :: steps[2]]
    values = np.unique(coarse)
    values = values[values > 0]
    if len(values) == 0:
        return {}
    centres = np.atleast_2d(ndimage.center_of_mass(np.ones_like(coarse, dtype=np.uint8), coarse, values))
    counts = np.atleast_1d(ndimage.sum_labels(np.ones_like(coarse, dtype=np.uint8), coarse, values))
    edges = set(np.unique(coarse[[0, -1]]).tolist())
    voxel = abs(float(np.linalg.det(geometry.ijk_to_ras[:3, :3]))) * float(np.prod(steps))
    ras = geometry.ras(*(centres * steps)[:, ::-1].T)
    return {
        int(value): LabelPlace(ras[n], float(counts[n]) * voxel, int(value) in edges) for n, value in enumerate(values)
    }


def _read_image(path: Path) -> tuple[npt.NDArray, Geometry, dict[str, str]]:
    """Labels (slices, rows, columns, layers) in canonical orientation, their geometry, and the file's own fields."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        size = reader.GetSize()
        if len(size) < 3 or any(n != 1 for n in size[3:]) or np.prod([float(n) for n in size]) > _MOST_VOXELS:
            raise InputError(
                f"{path.name} measures {' x '.join(map(str, size))} voxels, and is no segmentation of a CT."
            )
        image = reader.Execute()
    except (RuntimeError, MemoryError):
        raise InputError(f"{path.name} cannot be read as a segmentation; export it again.") from None
    layers = image.GetNumberOfComponentsPerPixel()
    stored = sitk.GetArrayFromImage(image).reshape(size[2], size[1], size[0], layers)
    direction = np.array(image.GetDirection()).reshape(len(size), len(size))[:3, :3]
    lps = np.eye(4)
    lps[:3, :3] = direction * np.array(image.GetSpacing()[:3])
    lps[:3, 3] = image.GetOrigin()[:3]
    geometry, axis_map = canonical((size[2], size[1], size[0]), LPS_TO_RAS @ lps)
    labels = np.stack([axis_map.volume(stored[..., n]) for n in range(layers)], axis=-1)
    fields = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys() if key.startswith("Segment")}
    return _as_labels(labels, path), geometry, fields


def _as_labels(values: npt.NDArray, path: Path) -> npt.NDArray:
    """The values as whole numbers; raises `InputError` where they are an image's, and not labels."""
    low, high = float(values.min()), float(values.max())
    whole = np.isfinite(low) and np.isfinite(high) and low >= 0 and high < 2**31
    if whole and values.dtype.kind == "f":
        whole = bool((values == np.floor(values)).all())
    if not whole or (high >= _MOST_LABELS and len(np.unique(values)) > _MOST_LABELS):
        raise InputError(
            f"{path.name} holds values from {low:g} to {high:g} and looks like an image, not like a segmentation; "
            "give the label map."
        )
    return values.astype(np.int32) if values.dtype.kind == "f" else values


def _some(
    found: dict[str, VertebraMask], names: Sequence[str], there: Sequence[str] | set[str] | dict, path: Path
) -> dict[str, VertebraMask]:
    if found:
        return found
    holds = f"holds {_listed(there)}" if there else "names no vertebra"
    raise InputError(f"{path.name} {holds}, and none of {_listed(names)}; give the centre slices by hand.")


def _listed(names: Sequence[str] | set[str] | dict) -> str:
    ordered = [name for name in HEAD_TO_FOOT if name in names]
    return ", ".join(ordered) if len(ordered) < 9 else f"{ordered[0]} to {ordered[-1]}"


def _suffix(file: Path) -> str:
    return next(suffix for suffix in sorted(_SUFFIXES, key=len, reverse=True) if file.name.lower().endswith(suffix))
