"""A CT whose slices are not square, as a small one whose slices are: what ``dataset build`` cuts slices from.

Only the slices from one centre slice to the other are written, padded with air, and resampled where their pixels are
not square; the collection's own file stays as it is.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from OsteoScreenLib.ct import CT, OUTSIDE_HU
from OsteoScreenLib.ct.geometry import LPS_TO_RAS
from OsteoScreenLib.errors import InputError

#: As ``dataset build`` has it: pixels are square where their sides differ by no more than this share.
_SQUARE = 1e-3


def is_square(ct: CT) -> bool:
    """Return whether a CT's slices and their pixels are square."""
    row_mm, column_mm = ct.geometry.pixel_spacing_mm
    return ct.geometry.shape[1] == ct.geometry.shape[2] and abs(row_mm / column_mm - 1) <= _SQUARE


def write_squared(ct: CT, first: int, last: int, path: Path) -> Path:
    """Write slices ``first`` to ``last`` of a CT with square slices of square pixels, int16 HU, as NIfTI; whole or not
    at all.

    Raises:
        InputError: the CT cannot be decoded, or the file cannot be written.
    """
    geometry = ct.geometry
    row_mm, column_mm = geometry.pixel_spacing_mm
    pixel = min(row_mm, column_mm)
    rows, columns = round(geometry.shape[1] * row_mm / pixel), round(geometry.shape[2] * column_mm / pixel)
    side = max(rows, columns)
    top, left = (side - rows) // 2, (side - columns) // 2
    volume = np.full((last + 1 - first, side, side), OUTSIDE_HU, np.int16)
    y, x = (np.arange(rows) * pixel / row_mm, np.arange(columns) * pixel / column_mm)
    for place, k in enumerate(range(first, last + 1)):
        hu = ct.slab(k, k + 1)[0]
        if (rows, columns) != hu.shape:
            grid = np.meshgrid(y, x, indexing="ij")
            hu = ndimage.map_coordinates(hu, grid, order=1, mode="nearest")
        volume[place, top : top + rows, left : left + columns] = np.clip(np.rint(hu), -1024, 32767)
    matrix = np.array(geometry.ijk_to_ras)
    directions = matrix[:3, :3] / [column_mm, row_mm, np.linalg.norm(matrix[:3, 2])]
    step = float(np.linalg.norm(matrix[:3, 2]))
    origin = geometry.ras(-left * pixel / column_mm, -top * pixel / row_mm, first)
    image = sitk.GetImageFromArray(volume)
    image.SetSpacing((pixel, pixel, step))
    image.SetDirection((LPS_TO_RAS[:3, :3] @ directions).ravel().tolist())
    image.SetOrigin((LPS_TO_RAS[:3, :3] @ origin).tolist())
    return _write(image, path)


def _write(image: sitk.Image, path: Path) -> Path:
    temporary = path.with_name(f".{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(image, str(temporary), useCompression=True)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path} cannot be written; is the disk full?") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path
