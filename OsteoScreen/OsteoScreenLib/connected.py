"""The largest connected part of a mask, in two or three dimensions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage


def largest_part(mask: npt.NDArray[np.bool_], *, across_corners: bool = False) -> npt.NDArray[np.bool_]:
    """Return the largest connected part of ``mask``, of any shape: the first of several, nothing where it is empty.

    Pixels are connected by their sides, and ``across_corners`` also where they touch at an edge or a corner.
    """
    structure = np.ones((3,) * mask.ndim) if across_corners else None
    labels, count = ndimage.label(mask, structure)
    if count == 0:
        return np.zeros(mask.shape, bool)
    largest: npt.NDArray[np.bool_] = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return largest
