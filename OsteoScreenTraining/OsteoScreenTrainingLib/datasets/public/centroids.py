"""VerSe's centroid files, to check that a mask and its CT lie as their makers meant."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from OsteoScreenLib.ct import Geometry
from OsteoScreenLib.errors import InputError
from OsteoScreenLib.levels import VertebraMask

from .labels import VERSE

#: A body's centroid lies inside the vertebra's label, whose own middle is some 20 mm behind it; half a vertebra and
#: disc (17 mm) up or down it is another vertebra.
FARTHEST_MM = 6.0


def read_centroids(path: Path, geometry: Geometry) -> dict[str, np.ndarray]:
    """Return the centroids of a VerSe file by vertebra, as (column, row, slice) of a canonical grid.

    The file holds ``[{"direction": ["P", "I", "R"]}, {"label": 20, "X": …, "Y": …, "Z": …}, …]``: voxels along the
    image's axes, which point to the named sides of the patient (anjany/verse, utils/data_utilities.py).

    Raises:
        InputError: it is no such file.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        direction = next(entry["direction"] for entry in entries if "direction" in entry)
        points = {int(e["label"]): np.array([e["X"], e["Y"], e["Z"]], float) for e in entries if "label" in e}
        placed = {label: _canonical(point, direction, geometry) for label, point in points.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise InputError(f"{path.name} is no centroid file of VerSe; copy it again, or take it away.") from error
    return {VERSE[label]: at for label, at in placed.items() if label in VERSE and np.isfinite(at).all()}


def _canonical(point: np.ndarray, direction: Sequence[str], geometry: Geometry) -> np.ndarray:
    """Columns run to the left, rows to the back, slices as the file has them."""
    along = ("L", "P", "S" if geometry.ijk_to_ras[2, 2] > 0 else "I")
    against = ("R", "A", "I" if along[2] == "S" else "S")
    at = np.full(3, np.nan)
    for value, side in zip(point, direction, strict=True):
        axis = next(n for n in range(3) if side in (along[n], against[n]))
        at[axis] = value if side == along[axis] else geometry.shape[2 - axis] - 1 - value
    return at


def misplaced(path: Path, masks: Mapping[str, VertebraMask]) -> dict[str, str]:
    """Return by vertebra why its label does not lie where its centroid is; those without a centroid are left out.

    Raises:
        InputError: the file is no centroid file.
    """
    reasons = {}
    for name, vertebra in masks.items():
        at = read_centroids(path, vertebra.geometry).get(name)
        if at is None:
            continue
        place = np.rint(at[::-1]).astype(int)
        if (place < 0).any() or (place >= vertebra.mask.shape).any():
            reasons[name] = f"The centroid of {name} lies outside its mask's grid; the files do not belong together."
        elif _distance_mm(vertebra, place) > FARTHEST_MM:
            reasons[name] = f"The centroid of {name} does not lie on its label; the files do not belong together."
    return reasons


def _distance_mm(vertebra: VertebraMask, place: np.ndarray) -> float:
    column_mm, row_mm, slice_mm = vertebra.geometry.spacing_mm
    spacing = np.array([slice_mm, row_mm, column_mm])
    reach = np.ceil(2 * FARTHEST_MM / spacing).astype(int)
    low = np.maximum(place - reach, 0)
    near = vertebra.mask[tuple(slice(a, b) for a, b in zip(low, place + reach + 1, strict=True))]
    if not near.any():
        return float("inf")
    away = ndimage.distance_transform_edt(~near, sampling=tuple(spacing))
    return float(away[tuple(place - low)])
