"""A contact sheet of simulated slices, to look at beside real ones."""

from __future__ import annotations

import io
import os

import numpy as np
from PIL import Image
from scipy import ndimage

from OsteoScreenLib.results_io import write_bytes_atomically

#: Soft-tissue window wide enough to keep the cortex below white, HU.
WINDOW_HU = (-200.0, 500.0)
OUTLINE_RGB = np.array([255, 190, 0], dtype=np.uint8)


def write_contact_sheet(
    images: np.ndarray,
    masks: np.ndarray,
    path: str | os.PathLike[str],
    *,
    columns: int = 4,
    rows: int = 8,
    side: int = 256,
) -> None:
    """Write the first ``columns * rows`` slices as one PNG, each pair side by side: as it is, and with its outline.

    Args:
        images: (N, rows, columns), HU.
        masks: (N, rows, columns), coverage 0..255; the outline is drawn at half.
        side: pixels per slice on the sheet.
    """
    count = min(len(images), columns * rows)
    sheet = np.zeros((-(-count // columns) * side, min(count, columns) * 2 * side, 3), dtype=np.uint8)
    for index in range(count):
        top, left = index // columns * side, index % columns * 2 * side
        grey = _picture(images[index], side)
        sheet[top : top + side, left : left + side] = grey
        sheet[top : top + side, left + side : left + 2 * side] = _with_outline(grey, masks[index])
    data = io.BytesIO()
    Image.fromarray(sheet).save(data, format="PNG")
    write_bytes_atomically(data.getvalue(), path)


def _picture(hu: np.ndarray, side: int) -> np.ndarray:
    low, high = WINDOW_HU
    small = ndimage.zoom(hu.astype(np.float32), side / hu.shape[0], order=1)
    grey = np.clip((small - low) / (high - low), 0, 1) * 255
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def _with_outline(grey: np.ndarray, mask: np.ndarray) -> np.ndarray:
    inside = ndimage.zoom(mask.astype(np.float32), len(grey) / mask.shape[0], order=1) > 127.5
    picture = grey.copy()
    picture[inside & ~ndimage.binary_erosion(inside)] = OUTLINE_RGB
    return picture
