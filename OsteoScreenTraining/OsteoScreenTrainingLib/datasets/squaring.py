"""A CT's slice as a data set keeps it: a square of 512 x 512 square pixels.

The square is that of the slice's longer side around its middle, which is what screening sees of a whole slice; beyond
a shorter side its edge is repeated, as :mod:`OsteoScreenLib.sampling` does beyond every edge. Training on a built
slice therefore sees what screening sees of the CT.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from OsteoScreenLib.ct import Geometry

#: Side of the study's slices in pixels (Pan et al. 2024: 512 x 512).
SIZE = 512
#: Pixels are the square's where their sides differ by no more than this share: a quarter of a pixel at the edge.
_SAME = 1e-3


def squared_pixel_mm(geometry: Geometry) -> float:
    """Return the side in mm of a pixel of the square that a CT's slices become."""
    rows, columns = geometry.shape[1:]
    row_mm, column_mm = geometry.pixel_spacing_mm
    return float(max(rows * row_mm, columns * column_mm)) / SIZE


def squared(image: NDArray, geometry: Geometry) -> NDArray[np.float32]:
    """Return a slice of a CT, (rows, columns), as a square of :data:`SIZE` pixels: bilinear, the edge repeated.

    Where the CT's pixels are the square's, they are copied, and nothing is interpolated.
    """
    pixel_mm = squared_pixel_mm(geometry)
    places = [
        _places(count, pixel_mm / step_mm)
        for count, step_mm in zip(image.shape, geometry.pixel_spacing_mm, strict=True)
    ]
    grid = np.meshgrid(*places, indexing="ij")
    return np.asarray(ndimage.map_coordinates(image.astype(np.float32), grid, order=1, mode="nearest"), np.float32)


def _places(count: int, step: float) -> NDArray:
    """Return where the square's pixels lie along an axis of ``count`` pixels, ``step`` of them apart."""
    first = count / 2 - SIZE / 2 * step
    if abs(step - 1) <= _SAME:
        # An odd count would otherwise put every pixel half-way between two, and smooth the noise away.
        return np.arange(SIZE) + float(math.floor(first))
    return (np.arange(SIZE) + 0.5) * step + first - 0.5
