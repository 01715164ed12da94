"""The curved coronal view along the spine, with the ribs: what a reader counts the vertebrae on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .levels.names import HEAD_TO_FOOT
from .reports.pictures import NamedPlace, SpinePicture

if TYPE_CHECKING:
    from .localisation.resample import TrunkGrid
    from .results import Numbering

#: How far to either side the view reaches, mm: the ribs' angles and the beginning of their shafts.
HALF_WIDTH_MM = 140.0
#: The bodies are the mean of so much in front of and behind their centres, mm.
_BODIES_MM = 8.0
#: The ribs are the brightest of so much behind the bodies' centres, mm: from their heads to where they turn forwards.
_RIBS_MM = 60.0
#: Half the width of a body, mm, where it is narrowest and at either end of the trunk (means of Panjabi 1991 and 1992:
#: T3, L5, C7); between them it grows evenly. Ribs are shown beyond it, over the next millimetres more and more, since
#: their heads lie beside the bodies.
_HALF_WIDTHS_MM = {"C7": 14.0, "T3": 12.5, "T12": 20.0, "L5": 24.0}
_RIBS_OVER_MM = 6.0
#: Vertebrae that the view needs: fewer give no line.
FEWEST = 2


def spine_picture(trunk: TrunkGrid, numbering: Numbering) -> SpinePicture | None:
    """Return the view along the line through the numbered vertebrae, or None where there are too few.

    Every row is one slice of the trunk, from the head down: in the middle the bodies, cut along the spine's curve, and
    on either side the brightest of what lies behind them, which is the ribs.
    """
    if len(numbering.vertebrae) < FEWEST:
        return None
    places = trunk.places([vertebra.centre_ras_mm for vertebra in numbering.vertebrae])
    line = _line(places, len(trunk.hu))
    middle = float(np.median(line[:, 1]))
    columns = _columns(middle, trunk)
    widths = _half_widths(places[:, 0], [vertebra.name for vertebra in numbering.vertebrae], len(trunk.hu))
    rows = [_row(*slice_, columns, trunk.grid_mm) for slice_ in zip(trunk.hu, line, widths, strict=True)]
    top = len(rows) - 1
    names = [
        NamedPlace(vertebra.name, vertebra.probability, float(top - place[0]), float(place[2] - columns[0]))
        for vertebra, place in zip(numbering.vertebrae, places, strict=True)
    ]
    return SpinePicture(np.array(rows[::-1], np.float32), (trunk.grid_mm[0], trunk.grid_mm[2]), names)


def _columns(middle: float, trunk: TrunkGrid) -> npt.NDArray[np.intp]:
    """Return the trunk's columns that the view shows."""
    reach = HALF_WIDTH_MM / trunk.grid_mm[2]
    first = max(0, round(middle - reach))
    return np.arange(first, max(first + 1, min(trunk.hu.shape[2], round(middle + reach) + 1)))


def _line(places: npt.NDArray[np.float64], slices: int) -> npt.NDArray[np.float64]:
    """Return row and column of the spine on every slice, (slices, 2), from the vertebrae's places (n, 3).

    Beyond the first and the last vertebra the line goes on as it was.
    """
    order = np.argsort(places[:, 0])
    z, across = places[order, 0], places[order, 1:]
    at = np.arange(slices)
    line = np.stack([np.interp(at, z, across[:, axis]) for axis in (0, 1)], axis=1)
    for end, neighbour, beyond in ((0, 1, at < z[0]), (-1, -2, at > z[-1])):
        slope = (across[end] - across[neighbour]) / (z[end] - z[neighbour])
        line[beyond] = across[end] + slope * (at[beyond] - z[end])[:, None]
    return line


def _half_widths(z: npt.NDArray[np.float64], names: Sequence[str], slices: int) -> npt.NDArray[np.float64]:
    """Return half the width of a body on every slice, mm, (slices,), from the slices ``z`` of the named vertebrae."""
    known = [HEAD_TO_FOOT.index(name) for name in _HALF_WIDTHS_MM]
    widths = np.interp([HEAD_TO_FOOT.index(name) for name in names], known, list(_HALF_WIDTHS_MM.values()))
    order = np.argsort(z)
    return np.interp(np.arange(slices), z[order], widths[order])


def _row(
    plane: npt.NDArray[np.float32],
    at: npt.NDArray[np.float64],
    half_width_mm: float,
    columns: npt.NDArray[np.intp],
    grid_mm: Sequence[float],
) -> npt.NDArray[np.float32]:
    """Return one row of the view, from a slice (rows, columns) of the trunk and the spine's row and column in it, where
    half a body is so wide."""
    dy, dx = grid_mm[1], grid_mm[2]
    bodies = _between(plane, at[0] - _BODIES_MM / dy, at[0] + _BODIES_MM / dy).mean(axis=0)
    ribs = _between(plane, at[0], at[0] + _RIBS_MM / dy).max(axis=0)
    beside = np.abs(columns - at[1]) * dx
    share = np.clip((beside - half_width_mm) / _RIBS_OVER_MM, 0, 1)
    row: npt.NDArray[np.float32] = (1 - share) * bodies[columns] + share * ribs[columns]
    return row


def _between(plane: npt.NDArray[np.float32], first: float, last: float) -> npt.NDArray[np.float32]:
    """Return the rows of a slice from ``first`` to ``last``, one at least."""
    top = int(np.clip(round(first), 0, len(plane) - 1))
    return plane[top : max(top + 1, min(len(plane), round(last) + 1))]
