"""The levels that a segmentation of the vertebrae gives: the slice through the middle of each body."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ..errors import InputError
from ..results import Level
from .body import body_centre, body_slices
from .chosen import level_at
from .vertebra_masks import VertebraMask, read_vertebrae

if TYPE_CHECKING:
    from ..ct import CT

#: A body's soft core is 41-261 HU unenhanced (trabecular bone with 40 % fat marrow, CaHA 50-200, shared reference
#: notes), and pure fat marrow about -100; below this, a "vertebra" lies in fat, lung or air.
_NO_BONE_HU = -120.0
_CORE_MM = 5.0
#: A grid of the CT's own size that lies further off than this lost its placement on the way.
_MISPLACED_MM = 5.0
#: How near to the CT's first or last slice, in slices, the end of a segmentation counts as the scan's end.
_END_SLICES = 1.5


def levels_from_segmentation(
    path: str | os.PathLike[str], ct: CT, names: Sequence[str] = ("L1", "L2"), *, confirmed: bool = True
) -> dict[str, Level]:
    """The levels ``names`` of which the segmentation at ``path`` holds the vertebra; see `levels_from_vertebrae`.

    Raises `InputError` or `UsageError` also where the segmentation cannot be read, or does not say clearly which
    vertebra is which.
    """
    return levels_from_vertebrae(read_vertebrae(path, names), ct, names, confirmed=confirmed)


def levels_from_vertebrae(
    vertebrae: Mapping[str, VertebraMask], ct: CT, names: Sequence[str] = ("L1", "L2"), *, confirmed: bool = True
) -> dict[str, Level]:
    """The levels ``names`` at the middle of the bodies of ``vertebrae``, which are masks of them by name.

    The first of ``names`` has to be there; the others are left out where the segmentation lacks them (a chest CT may
    end within L2) or where the scan's end cuts them. The masks may be on another grid than the CT, as long as they lie
    on it. ``confirmed`` is whether a reader has seen which vertebra is which. Raises `InputError`, saying what to do,
    where the first level is missing or cut by the scan's end, a mask is empty or lies elsewhere than the CT, or the
    levels are not in order.
    """
    if names[0] not in vertebrae:
        raise InputError(f"The segmentation lacks {names[0]}; give its centre slice with --{names[0].lower()}.")
    levels = {}
    for name in (name for name in names if name in vertebrae):
        vertebra = vertebrae[name]
        _check_placement(vertebra, ct)
        cut = _cut(vertebra, ct)
        if cut is None:
            levels[name] = _level(vertebra, ct, confirmed)
        elif name == names[0]:
            raise InputError(
                f"{cut}, so its middle is not known; give its centre slice with --{name.lower()}, or use a scan that "
                "holds it whole."
            )
    _check_order(levels)
    return levels


def _level(vertebra: VertebraMask, ct: CT, confirmed: bool) -> Level:
    column_mm, row_mm, slice_mm = vertebra.geometry.spacing_mm
    centre = body_centre(vertebra.mask, (slice_mm, row_mm, column_mm))
    if centre is None:
        raise InputError(f"The segmentation's {vertebra.name} is empty; give its centre slice by hand.")
    depth, j, i = centre
    position = ct.geometry.ijk(vertebra.geometry.ras(i, j, depth))
    size = np.array(ct.geometry.shape[::-1])
    if (position < -0.5).any() or (position > size - 0.5).any():
        raise _elsewhere(vertebra.name)
    k = int(np.clip(round(float(position[2])), 0, size[2] - 1))
    found = level_at(ct, k, vertebra.name, "segmentation", confirmed=confirmed)
    if _core_hu(ct, found.slice_index, position) < _NO_BONE_HU:
        raise _elsewhere(vertebra.name)
    return found


def _cut(vertebra: VertebraMask, ct: CT) -> str | None:
    """How the end of the scan cuts the body, as the beginning of a sentence, or None where it does not.

    A body that only fills a cropped segmentation is whole, and so is one of which a process alone reaches the end.
    """
    found = ndimage.find_objects(vertebra.mask.view(np.uint8))
    if not found or not _reaches_end(vertebra, ct, found[0][0]):
        return None
    column_mm, row_mm, _ = vertebra.geometry.spacing_mm
    body = body_slices(vertebra.mask, (row_mm, column_mm))
    if body is None:
        return f"The segmentation shows only a process or an edge of {vertebra.name} at the end of the scan"
    if _reaches_end(vertebra, ct, slice(body[0], body[1] + 1)):
        return f"The end of the segmentation cuts {vertebra.name}"
    return None


def _reaches_end(vertebra: VertebraMask, ct: CT, slices: slice) -> bool:
    """Whether these slices of the segmentation reach one of its ends that is the scan's, too."""
    count, rows, columns = vertebra.mask.shape
    reached = [k for k, touches in ((0, slices.start == 0), (count - 1, slices.stop == count)) if touches]
    on_ct = [float(ct.geometry.ijk(vertebra.geometry.ras(columns / 2, rows / 2, k))[2]) for k in reached]
    return any(k < _END_SLICES or k > ct.geometry.shape[0] - 1 - _END_SLICES for k in on_ct)


def _core_hu(ct: CT, k: int, position: np.ndarray) -> float:
    hu = ct.slice(k)
    row_mm, column_mm = ct.geometry.pixel_spacing_mm
    j, i = np.ogrid[: hu.shape[0], : hu.shape[1]]
    distance = np.hypot((j - position[1]) * row_mm, (i - position[0]) * column_mm)
    return float(np.median(hu[distance <= max(_CORE_MM, float(distance.min()))]))


def _check_placement(vertebra: VertebraMask, ct: CT) -> None:
    """Refuse a grid of the CT's own size that lies elsewhere: its placement was lost, and its levels would be wrong."""
    mine, its = vertebra.geometry, ct.geometry
    if mine.shape != its.shape:
        return
    slices, rows, columns = its.shape
    corners = np.array([[0, 0, 0], [columns - 1, rows - 1, 0], [columns - 1, 0, slices - 1], [0, rows - 1, slices - 1]])
    if np.linalg.norm(mine.ras(*corners.T) - its.ras(*corners.T), axis=1).max() > _MISPLACED_MM:
        raise _elsewhere(vertebra.name)


def _elsewhere(name: str) -> InputError:
    return InputError(
        f"The segmentation's {name} does not lie on a vertebra of this CT, so it belongs to another scan or has "
        "lost its position; use the segmentation of this very scan."
    )


def _check_order(levels: dict[str, Level]) -> None:
    """From L1 down, each level lies lower than the one before it."""
    ordered = sorted(levels.values(), key=lambda level: level.name)
    for upper, lower in pairwise(ordered):
        if upper.z_mm <= lower.z_mm:
            raise InputError(
                f"In the segmentation {upper.name} lies below {lower.name}, so its labels are swapped or upside down; "
                "correct them, or give the centre slices by hand."
            )
