"""From a vertebra's label to its centre slice and the outline there, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from OsteoScreenLib.ct.eligibility import pair_checks, slice_checks
from OsteoScreenLib.densitometry.outline import PixelGrid
from OsteoScreenLib.densitometry.roi import measure_roi
from OsteoScreenLib.errors import InputError, SegmentationFailed, UsageError
from OsteoScreenLib.levels import VertebraMask, levels_from_vertebrae
from OsteoScreenLib.results import Level, RoiMeasures

from .trabecular import Compartment, trabecular_compartment, without_small_holes

if TYPE_CHECKING:
    from OsteoScreenLib.ct import CT

#: Thicker slices show no centre slice: the body is 24 mm high, and the study's slices are 2 mm.
THICKEST_MM = 5.0
#: Height of a body from L1 and L2: 24 mm (Panjabi 1992), 19-36 mm from women's to tall men's with wedging (the engine's
#: levels/snapping.py). Lower ones are compressed or cut; higher ones are two vertebrae under one label.
LOWEST_MM, HIGHEST_MM = 15.0, 42.0
#: A label that runs again for this long along the body's axis holds a second body.
SECOND_BODY_MM = 10.0
#: The share of a label that its largest piece has at least: crumbs of a labelling are 1-2 %.
LARGEST_PIECE = 0.9
#: The share of the body on the slice that holes of the label take at most.
MOST_HOLES = 0.05
#: Checks of an outlined slice that say nothing against learning its outline.
_NOTED = ("aorta", "cortex", "field_of_view", "confidence")
_AROUND_MM = 5.0


@dataclass(frozen=True, eq=False)
class OutlinedLevel:
    """A level of a scan.

    Attributes:
        name: "L1" or "L2".
        reason: why it has no outline, as a sentence; "" where it has one.
        level: its centre slice, where that could be told.
        mask: (rows, columns) bool, the trabecular compartment.
        roi: its measures.
        compartment: how the outline came about.
        height_mm: of the body at its middle.
        aorta: the outcome of the engine's check for contrast medium: "pass", "warn" or "refuse".
        notes: what a reader should know, as sentences.
    """

    name: str
    reason: str = ""
    level: Level | None = None
    mask: npt.NDArray[np.bool_] | None = field(default=None, repr=False)
    roi: RoiMeasures | None = None
    compartment: Compartment | None = None
    height_mm: float | None = None
    aorta: str = ""
    notes: tuple[str, ...] = ()


class _Rejected(Exception):
    """Why a level has no outline."""


def outline_levels(ct: CT, vertebrae: Mapping[str, VertebraMask], names: tuple[str, ...]) -> dict[str, OutlinedLevel]:
    """Outline the levels ``names`` of a CT from labels of their whole vertebrae, which lie on it, whatever their grid.

    Every level has an entry, with an outline or with the reason why there is none.
    """
    outlined = {name: outline_level(ct, name, vertebrae.get(name)) for name in names}
    rois = {name: found.roi for name, found in outlined.items() if found.roi is not None}
    refused = [check.message for check in pair_checks(rois) if check.outcome == "refuse"]
    if not refused:
        return outlined
    return {name: _without_outline(found, refused[0]) if found.roi else found for name, found in outlined.items()}


def _without_outline(found: OutlinedLevel, reason: str) -> OutlinedLevel:
    return replace(found, reason=reason, mask=None, roi=None, compartment=None)


def outline_level(ct: CT, name: str, vertebra: VertebraMask | None) -> OutlinedLevel:
    """Outline one level; see :func:`outline_levels`."""
    if vertebra is None:
        return OutlinedLevel(name, f"{name} is not labelled.")
    found = OutlinedLevel(name)
    try:
        _check_scan(ct)
        found = replace(found, level=levels_from_vertebrae({name: vertebra}, ct, [name])[name])
        _check_whole(vertebra)
        return _outlined(ct, found, vertebra)
    except (_Rejected, InputError, UsageError, SegmentationFailed) as problem:
        return replace(found, reason=str(problem))


def _outlined(ct: CT, found: OutlinedLevel, vertebra: VertebraMask) -> OutlinedLevel:
    assert found.level is not None
    k, geometry = found.level.slice_index, ct.geometry
    hu, label = ct.slice(k), vertebra.coverage_on(geometry, k)
    column_mm, row_mm, _ = geometry.spacing_mm
    grid = PixelGrid((hu.shape[0], hu.shape[1]), column_mm, row_mm)
    compartment = trabecular_compartment(hu, label, grid)
    if compartment is None:
        raise _Rejected(f"On its centre slice the label of {found.name} shows no body that can be told from its arch.")
    _check_label_on_slice(label, compartment, grid, found.name)
    height = _height_mm(ct, found.level, vertebra, compartment)
    if not LOWEST_MM <= height <= HIGHEST_MM:
        why = "it is compressed, or its label is cut" if height < LOWEST_MM else "two vertebrae share the label"
        raise _Rejected(f"The body of {found.name} is {height:.0f} mm high, so {why}.")
    mask = compartment.coverage > 0.5
    roi = measure_roi(hu, mask, geometry, k)
    checks = {check.check.rsplit("_", 1)[0]: check for check in slice_checks(ct, found.level, hu, mask, roi)}
    refused = [check for what, check in checks.items() if check.outcome == "refuse" and what not in _NOTED]
    if refused:
        raise _Rejected(refused[0].message)
    noted = [check.message for what, check in checks.items() if check.outcome != "pass" and what != "field_of_view"]
    return replace(
        found, mask=mask, roi=roi, compartment=compartment, height_mm=height, aorta=checks["aorta"].outcome,
        notes=tuple(noted),
    )  # fmt: skip


def _check_scan(ct: CT) -> None:
    thickness = ct.geometry.spacing_mm[2]
    if thickness > THICKEST_MM + 1e-3:
        raise _Rejected(
            f"The slices are {thickness:.1f} mm apart, and beyond {THICKEST_MM:g} mm there is no centre slice."
        )
    lost = [finding.message for finding in ct.findings if finding.outcome == "refuse"]
    if lost:
        raise _Rejected(lost[0])


def _check_whole(vertebra: VertebraMask) -> None:
    box = ndimage.find_objects(vertebra.mask.view(np.uint8))[0]
    pieces, count = ndimage.label(vertebra.mask[box], structure=np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel())[1:]
    if count == 1 or sizes.max() >= LARGEST_PIECE * sizes.sum():
        return
    if box[0].start == 0 or box[0].stop == len(vertebra.mask):
        raise _Rejected(f"The end of the segmentation cuts {vertebra.name}, so its middle is not known.")
    share = sizes.max() / sizes.sum()
    raise _Rejected(f"The label of {vertebra.name} is in pieces; the largest is {share:.0%} of it.")


def _check_label_on_slice(label: npt.NDArray[np.float32], compartment: Compartment, grid: PixelGrid, name: str) -> None:
    drawn = label > 0.5
    if drawn[[0, -1]].any() or drawn[:, [0, -1]].any():
        low, high = compartment.body.box_mm
        size = np.array([(grid.shape[1] - 1) * grid.column_mm, (grid.shape[0] - 1) * grid.row_mm])
        if (low <= grid.half_diagonal_mm).any() or (high >= size - grid.half_diagonal_mm).any():
            raise _Rejected(f"The edge of the slice cuts the body of {name}.")
    holes = without_small_holes(drawn, grid) & ~drawn
    share = float(holes.sum()) * grid.pixel_area_mm2 / compartment.body.area_mm2
    if share > MOST_HOLES:
        raise _Rejected(f"The label of {name} has holes on its centre slice, {share:.0%} of the body.")


def _height_mm(ct: CT, level: Level, vertebra: VertebraMask, compartment: Compartment) -> float:
    """The body's height about its middle: the median run of the label through the level's slice, across it."""
    column_mm, row_mm, _ = ct.geometry.spacing_mm
    slice_mm = vertebra.geometry.spacing_mm[2]
    x, y = compartment.outline.centroid_mm
    steps = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]]) * _AROUND_MM
    places = ct.geometry.ras((x + steps[:, 0]) / column_mm, (y + steps[:, 1]) / row_mm, level.slice_index)
    size = np.array(vertebra.mask.shape[::-1])
    heights = []
    for i, j, k in np.clip(np.rint(vertebra.geometry.ijk(places)).astype(int), 0, size - 1):
        runs, count = ndimage.label(vertebra.mask[:, j, i])
        lengths = np.bincount(runs, minlength=count + 1) * slice_mm
        heights.append(float(lengths[runs[k]]) if runs[k] else 0.0)
        lengths[[0, runs[k]]] = 0.0
        if lengths.max() >= SECOND_BODY_MM:
            raise _Rejected(f"Along the axis of {level.name} its label holds a second body, so two vertebrae share it.")
    return float(np.median(heights))
