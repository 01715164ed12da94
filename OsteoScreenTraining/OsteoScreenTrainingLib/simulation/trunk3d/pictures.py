"""Pictures of simulated trunks for looking: coronal and sagittal views with the names drawn in."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from OsteoScreenLib.results_io import write_bytes_atomically

from .simulate import SimulatedTrunk

#: Windows of the views, HU: bones through everything, and soft tissue with bone.
BONE_HU, SOFT_HU = (0.0, 900.0), (-250.0, 450.0)
#: Half thickness of the slabs that are averaged, mm.
SLAB_MM = 4.0
PIXEL_MM = 1.5
NAME_RGB, CUT_RGB, RIB_RGB = (255, 210, 0), (255, 120, 60), (90, 200, 255)


def trunk_views(trunk: SimulatedTrunk) -> Image.Image:
    """Return one picture of a trunk: coronal maximum, coronal and sagittal slabs along the spine, sagittal maximum.

    The head is up; in coronal views the patient's left is on the right, in sagittal ones his front is on the left.
    Names of cut bodies are in another colour; blue dots are heads of ribs.
    """
    matrix, hu = trunk.ijk_to_ras.copy(), trunk.hu
    if matrix[2, 2] < 0:
        matrix[:3, 3] += matrix[:3, 2] * (len(hu) - 1)
        matrix[:3, 2] *= -1
        hu = hu[::-1]
    spacing = np.abs(np.diag(matrix)[:3])
    inverse = np.linalg.inv(matrix)

    def voxel(ras: Sequence[float]) -> NDArray[np.float64]:
        return (inverse @ np.array([*ras, 1.0]))[:3]

    centres = [voxel(v.centre) for v in trunk.truth.vertebrae]
    coronal = _along(hu, [c[1] for c in centres], [c[2] for c in centres], 1, SLAB_MM / spacing[1])
    sagittal = _along(hu, [c[0] for c in centres], [c[2] for c in centres], 2, SLAB_MM / spacing[0])
    views = [
        _picture(hu.max(axis=1), BONE_HU, spacing[[2, 0]]), _picture(coronal, SOFT_HU, spacing[[2, 0]]),
        _picture(sagittal, SOFT_HU, spacing[[2, 1]]), _picture(hu.max(axis=2), BONE_HU, spacing[[2, 1]]),
    ]  # fmt: skip
    for number, view in enumerate(views):
        axis = 0 if number < 2 else 1
        _draw(view, trunk, voxel, axis, spacing)
    sheet = Image.new("RGB", (sum(view.width for view in views) + 6 * len(views), views[0].height))
    left = 0
    for view in views:
        sheet.paste(view, (left, 0))
        left += view.width + 6
    return sheet


def write_contact_sheet(trunks: Sequence[SimulatedTrunk], path: str | os.PathLike[str], *, columns: int = 2) -> None:
    """Write the views of several trunks as one PNG, ``columns`` side by side."""
    pictures = [trunk_views(trunk) for trunk in trunks]
    rows = [pictures[first : first + columns] for first in range(0, len(pictures), columns)]
    heights = [max(picture.height for picture in row) + 8 for row in rows]
    sheet = Image.new("RGB", (max(sum(p.width + 12 for p in row) for row in rows), sum(heights)), (40, 40, 40))
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for picture in row:
            sheet.paste(picture, (left, top))
            left += picture.width + 12
        top += height
    data = io.BytesIO()
    sheet.save(data, format="PNG")
    write_bytes_atomically(data.getvalue(), path)


def _along(
    hu: NDArray[np.int16], places: list[float], heights: list[float], axis: int, half: float
) -> NDArray[np.float32]:
    """Return the mean of a slab that follows the spine: at each height about the body's place along ``axis``."""
    order = np.argsort(heights)
    middle = np.interp(np.arange(len(hu)), np.array(heights)[order], np.array(places)[order])
    low = np.clip(np.round(middle - half).astype(int), 0, hu.shape[axis] - 1)
    high = np.clip(np.round(middle + half).astype(int) + 1, low + 1, hu.shape[axis])
    rows = [
        np.take(plane, range(a, b), axis=axis - 1).mean(axis=axis - 1)
        for plane, a, b in zip(hu, low, high, strict=True)
    ]
    return np.stack(rows).astype(np.float32)


def _picture(plane: NDArray[np.floating], window: tuple[float, float], spacing: NDArray[np.float64]) -> Image.Image:
    low, high = window
    grey = (np.clip((plane[::-1].astype(np.float32) - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    size = (int(round(grey.shape[1] * spacing[1] / PIXEL_MM)), int(round(grey.shape[0] * spacing[0] / PIXEL_MM)))
    return Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR).convert("RGB")


def _draw(
    view: Image.Image,
    trunk: SimulatedTrunk,
    voxel: Callable[[Sequence[float]], NDArray[np.float64]],
    axis: int,
    spacing: NDArray[np.float64],
) -> None:
    """Draw names and heads of ribs into a view whose horizontal is voxel axis ``axis``."""
    slices = len(trunk.hu)
    draw = ImageDraw.Draw(view)

    def spot(ras: Sequence[float]) -> tuple[float, float]:
        place = voxel(ras)
        return (place[axis] + 0.5) * spacing[axis] / PIXEL_MM, (slices - 0.5 - place[2]) * spacing[2] / PIXEL_MM

    for v in trunk.truth.vertebrae:
        x, y = spot(v.centre)
        colour = NAME_RGB if v.whole else CUT_RGB
        mark = "" if v.fracture is None else "*"
        draw.ellipse((x - 1, y - 1, x + 1, y + 1), fill=colour)
        draw.text((x + 4, y - 5), v.name + mark, fill=colour)
    for rib in trunk.truth.ribs:
        if rib.head_visible:
            x, y = spot(rib.head)
            draw.point([(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)], fill=RIB_RGB)
