"""Annotated slices to score a segmentation on: simulated slice data sets, outlines drawn on CT, and body masks.

Three layouts are known, told apart by the file that they hold:

* ``dataset.json``: a simulated slice data set (schema ``osteoscreen-slices/1``);
* ``outlines.json`` beside a CT (a folder ``dicom``, or one volume file): a list of outlines of the trabecular
  compartment, each with ``level``, ``z_ras_mm`` and ``polygon_ras_mm`` ((x, y) RAS mm);
* ``vertebral_bodies.nii.gz`` beside ``ct.nii.gz`` and ``vertebrae.nii.gz``: vertebral bodies (label 1, cortex
  included) and TotalSegmentator's vertebra labels; see :func:`body_mask_cases`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from OsteoScreenLib.ct import Geometry, open_ct
from OsteoScreenLib.densitometry.outline import Outline, PixelGrid, outlines_of, shares
from OsteoScreenLib.errors import InputError

from ..datasets.public.labels import TOTALSEGMENTATOR
from ..datasets.slices import SliceDataset

#: How much of the edge of a body mask is taken for cortex [mm]: one voxel of the example, as its README insets it
#: (shared/data/README.md, "Body mask inset by one pixel (3 mm)"). The score depends on this choice, so that others are
#: scored beside it.
CORTEX_MM = 3.0
#: The other choices that are scored [mm].
OTHER_CORTEX_MM = (1.0, 1.5, 2.0)
#: On the first and last slices a body is cut by its curved endplates; there it is not counted as whole.
_WHOLE = 0.4
#: Smoothing of a body mask before its inset [pixels]; it moves an edge of radius r by 0.25 / r pixels.
_SMOOTHING_PIXELS = 0.7
#: Levels whose middle slices are scored on body masks.
_MASKED_LEVELS = ("L1", "L2", "L3", "L4")
#: What ``vertebral_bodies.nii.gz`` holds where a body is, and ``vertebrae.nii.gz`` for each vertebra.
_BODY, _LABELS = 1, {name: label for label, name in TOTALSEGMENTATOR["v2"].items()}


@dataclass(frozen=True)
class SegmentationCase:
    """One annotated slice.

    ``hu`` is (rows, columns) HU in canonical orientation; ``truth`` the coverage 0..1 of the trabecular compartment
    (0.5 is its edge; all 0 where there is none); ``geometry`` and ``k`` say where the slice lies; ``kind`` is
    "simulated" or "real"; ``variants`` are other readings of the truth, by name.
    """

    data: str
    name: str
    level: str
    kind: str
    hu: np.ndarray
    truth: np.ndarray
    geometry: Geometry
    k: int
    variants: dict[str, np.ndarray]

    @property
    def grid(self) -> PixelGrid:
        """The pixels of the slice."""
        column_mm, row_mm, _ = self.geometry.spacing_mm
        return PixelGrid((self.hu.shape[0], self.hu.shape[1]), column_mm, row_mm)


def read_cases(folder: Path, most: int = 0) -> Iterator[SegmentationCase]:
    """Yield the annotated slices of a folder; ``most`` above 0 spreads that many over a slice data set.

    Raises:
        InputError: the folder holds none of the known layouts, or is damaged.
    """
    if (folder / "dataset.json").is_file():
        return slice_set_cases(folder, most)
    if (folder / "outlines.json").is_file():
        return outline_cases(folder)
    if (folder / "vertebral_bodies.nii.gz").is_file():
        return body_mask_cases(folder)
    raise InputError(
        f"{folder} holds no annotated slices: expected dataset.json (slices), outlines.json (a CT with outlines) or "
        "vertebral_bodies.nii.gz."
    )


def slice_set_cases(folder: Path, most: int = 0) -> Iterator[SegmentationCase]:
    """Yield the slices of a slice data set."""
    dataset = SliceDataset([folder])
    count = len(dataset)
    indices = range(count) if not 0 < most < count else np.linspace(0, count - 1, most).astype(int)
    for index in indices:
        yield slice_case(dataset, int(index), folder.resolve().name)


def slice_case(dataset: SliceDataset, index: int, data: str) -> SegmentationCase:
    """Return one slice of a slice data set; ``data`` is what the set is called."""
    record = dataset.records[index]
    images, masks = dataset.read([index])
    step = record.pixel_mm
    # Canonical: columns run towards the patient's left (-R), rows towards the back (-A).
    geometry = Geometry((1, dataset.rows, dataset.columns), np.diag([-step, -step, 1.0, 1.0]))
    return SegmentationCase(
        data=data,
        name=f"{index}",
        level=record.values.get("level", ""),
        kind=dataset.kinds[0],
        hu=images[0].astype(np.float32),
        truth=masks[0].astype(np.float32) / 255,
        geometry=geometry,
        k=0,
        variants={},
    )


def outline_cases(folder: Path) -> Iterator[SegmentationCase]:
    """Yield the slices of a CT on which outlines were drawn."""
    path = folder / "outlines.json"
    try:
        outlines: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        wanted = [(str(o["level"]), float(o["z_ras_mm"]), np.array(o["polygon_ras_mm"], float)) for o in outlines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a list of outlines with level, z_ras_mm and polygon_ras_mm: {error}."
        ) from error
    ct = open_ct(ct_beside_outlines(folder))
    for level, z_mm, polygon in wanted:
        k = ct.geometry.nearest_slice(z_mm)
        points = np.column_stack([polygon[:, :2], np.full(len(polygon), z_mm)])
        hu = ct.slice(k)
        truth = _coverage(ct.geometry.ijk(points)[:, :2], ct.geometry, (hu.shape[0], hu.shape[1]))
        yield SegmentationCase(folder.resolve().name, f"{level} #{k}", level, "real", hu, truth, ct.geometry, k, {})


def body_mask_cases(folder: Path) -> Iterator[SegmentationCase]:
    """Yield the three middle slices of L1 to L4 with the vertebral body less its cortex.

    The middle of a body is half-way between the first and the last slice on which it has at least :data:`_WHOLE` of its
    largest area. The trabecular compartment is what lies at least :data:`CORTEX_MM` inside the body's outline, measured
    in the plane.
    """
    ct = open_ct(folder / "ct.nii.gz")
    for level, body in masked_bodies(folder, ct.geometry, _MASKED_LEVELS):
        areas = body.sum(axis=(1, 2))
        used = np.flatnonzero(areas >= _WHOLE * areas.max())
        middle = (used[0] + used[-1]) // 2
        for k in (middle - 1, middle, middle + 1):
            k = int(k)
            insets = {f"cortex {mm:g} mm": inset(body[k], ct.geometry, mm) for mm in OTHER_CORTEX_MM}
            truth = inset(body[k], ct.geometry, CORTEX_MM)
            yield SegmentationCase(
                folder.resolve().name, f"{level} #{k}", level, "real", ct.slice(k), truth, ct.geometry, k, insets
            )


def masked_bodies(folder: Path, geometry: Geometry, names: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and body, (slices, rows, columns), of those of the vertebrae ``names`` that a folder of masks holds.

    A body is the largest connected part of (bodies = 1 and vertebra label = the vertebra's).

    Args:
        geometry: of the CT, on whose grid the masks have to lie.

    Raises:
        InputError: they do not, or cannot be read.
    """
    bodies = _labels(folder / "vertebral_bodies.nii.gz", geometry) == _BODY
    vertebrae = _labels(folder / "vertebrae.nii.gz", geometry)
    for name in names:
        parts, count = ndimage.label(bodies & (vertebrae == _LABELS[name]))
        if count:
            yield name, parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))


def inset(mask: np.ndarray, geometry: Geometry, inset_mm: float) -> np.ndarray:
    """Return the coverage of what lies at least ``inset_mm`` inside the outline of ``mask`` (rows, columns).

    The mask is smoothed first: the corners of its pixels reach inwards, and would make every inset too deep.
    """
    column_mm, row_mm, _ = geometry.spacing_mm
    grid = PixelGrid((mask.shape[0], mask.shape[1]), column_mm, row_mm)
    outlines = outlines_of(ndimage.gaussian_filter(mask.astype(float), _SMOOTHING_PIXELS), grid)
    coverage = np.zeros(mask.shape, np.float32)
    if not outlines:
        return coverage
    rows, columns = np.indices(mask.shape)
    positions = np.column_stack([columns.ravel() * column_mm, rows.ravel() * row_mm])
    depth = outlines[0].depth_mm(positions).reshape(mask.shape) - inset_mm
    return np.clip(0.5 + depth / np.sqrt(column_mm * row_mm), 0, 1).astype(np.float32)


def _coverage(pixels: np.ndarray, geometry: Geometry, shape: tuple[int, int]) -> np.ndarray:
    """Return the coverage of a polygon of (column, row) pixel positions."""
    column_mm, row_mm, _ = geometry.spacing_mm
    part = shares(Outline(pixels * [column_mm, row_mm]), PixelGrid(shape, column_mm, row_mm))
    coverage = np.zeros(shape, np.float32)
    coverage[part.rows, part.columns] = part.weights
    return coverage


def _labels(path: Path, geometry: Geometry) -> np.ndarray:
    """Return a label volume that lies on the grid of the CT, (slices, rows, columns)."""
    labels = open_ct(path)
    if labels.geometry.shape != geometry.shape or not np.allclose(
        labels.geometry.ijk_to_ras, geometry.ijk_to_ras, atol=1e-2
    ):
        raise InputError(f"{path} does not lie on the grid of its CT; resample it first.")
    return np.rint(labels.volume()).astype(np.int16)


def ct_beside_outlines(folder: Path) -> Path:
    """Return the CT that ``outlines.json`` of a folder was drawn on.

    Raises:
        InputError: there is none, or more than one.
    """
    if (folder / "dicom").is_dir():
        return folder / "dicom"
    endings = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
    found = [path for path in sorted(folder.iterdir()) if path.name.endswith(endings)]
    if len(found) != 1:
        raise InputError(f"{folder} must hold one CT beside outlines.json: a folder 'dicom' or one volume file.")
    return found[0]
