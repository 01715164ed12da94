"""The spine's centre line: the best path through the evidence for bodies and discs, one place on every slice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .evidence import Evidence

#: Evidence below this speaks against a column here: a path through nothing should end.
LEAST_EVIDENCE = 0.15
#: SD of the blur in the plane before the path is sought, voxels.
PLANE_BLUR = 0.8
#: What a step of one voxel aside from one slice to the next costs, in evidence. A spine that leans by 45 degrees steps
#: aside by 3 mm a slice, 3 of 8 slices.
ASIDE = 0.12
#: The line is drawn to the middle of the evidence within this radius, mm: half a lumbar body (Panjabi 1992).
RADIUS_MM = 22.0
#: How often it is drawn to the middle: the path begins beside it.
DRAWS = 3
#: SD by which the line is smoothed along the spine, mm: less than a body's height.
SMOOTH_MM = 9.0
#: A shorter column, mm, is none: two thoracic bodies.
SHORTEST_MM = 30.0


def centre_line(evidence: Evidence) -> npt.NDArray[np.float64] | None:
    """Return the line as places (n, 3), slice, row and column of the evidence, from head to foot; None without a spine.

    Neighbouring places are one slice apart.
    """
    column = np.minimum(evidence.body + evidence.disc, 1.0)
    # Blurred in the plane, or any path through a body's full voxels would be as good as its middle.
    blurred = ndimage.gaussian_filter(column, (0, PLANE_BLUR, PLANE_BLUR))
    path = best_path(blurred - LEAST_EVIDENCE)
    if path is None:
        return None
    low, high = path
    if (len(low) - 1) * evidence.voxel_mm[0] < SHORTEST_MM:
        return None
    line = _drawn_in(column, low, high, evidence.voxel_mm)
    return line[::-1].copy()


def best_path(
    gain: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]] | None:
    """Return the slices and the flat (row, column) places of the path with the largest sum of ``gain``, exactly.

    A path goes from slice to slice, at most one voxel aside along rows and columns, each for :data:`ASIDE`; it begins
    and ends where that is best. None where no voxel has a gain.
    """
    slices, rows, columns = gain.shape
    best = np.zeros((rows, columns))
    came = np.zeros((slices, rows, columns), np.int8)
    end = (0.0, -1, -1)
    moves = [(0, 0), *((dj, di) for dj in (-1, 0, 1) for di in (-1, 0, 1) if (dj, di) != (0, 0))]
    for k in range(slices):
        padded = np.pad(best, 1, constant_values=-np.inf)
        options = [
            padded[1 - dj : 1 - dj + rows, 1 - di : 1 - di + columns] - ASIDE * (abs(dj) + abs(di)) for dj, di in moves
        ]
        # The last option is to begin here.
        stack = np.stack([*options, np.zeros((rows, columns))])
        if k == 0:
            stack[:-1] = -np.inf
        came[k] = stack.argmax(axis=0)
        best = stack.max(axis=0) + gain[k]
        top = int(best.argmax())
        if best.flat[top] > end[0]:
            end = (float(best.flat[top]), k, top)
    if end[1] < 0:
        return None
    return _traced(came, end[1], end[2], moves)


def _traced(
    came: npt.NDArray[np.int8], k: int, place: int, moves: list[tuple[int, int]]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    columns = came.shape[2]
    ks, places = [k], [place]
    while True:
        j, i = divmod(place, columns)
        move = int(came[k, j, i])
        if move == len(moves):
            break
        k, j, i = k - 1, j - moves[move][0], i - moves[move][1]
        place = j * columns + i
        ks.append(k)
        places.append(place)
    return np.array(ks[::-1]), np.array(places[::-1])


def _drawn_in(
    column: npt.NDArray[np.float32],
    ks: npt.NDArray[np.intp],
    places: npt.NDArray[np.intp],
    voxel_mm: tuple[float, float, float],
) -> npt.NDArray[np.float64]:
    """Return the path (n, 3) moved to the middle of the column on each slice, and smoothed along it."""
    _, rows, columns = column.shape
    v, u = np.mgrid[:rows, :columns]
    line = np.empty((len(ks), 3))
    mass = np.empty(len(ks))
    for n, (k, place) in enumerate(zip(ks, places, strict=True)):
        j, i = divmod(int(place), columns)
        at = (float(j), float(i))
        for _ in range(DRAWS):
            near = np.hypot((v - at[0]) * voxel_mm[1], (u - at[1]) * voxel_mm[2]) <= RADIUS_MM
            weight = column[k] * near
            mass[n] = weight.sum()
            if mass[n] > 0:
                at = (float((weight * v).sum() / mass[n]), float((weight * u).sum() / mass[n]))
        line[n] = (k, *at)
    sigma = SMOOTH_MM / voxel_mm[0]
    weight = mass + 1e-3
    total = ndimage.gaussian_filter1d(weight, sigma, mode="nearest")
    # Smoothed about the straight line between its ends, so that the ends do not shrink.
    straight = np.linspace(0, 1, len(ks))[:, None] * (line[-1, 1:] - line[0, 1:]) + line[0, 1:]
    moved = ndimage.gaussian_filter1d(weight[:, None] * (line[:, 1:] - straight), sigma, axis=0, mode="nearest")
    line[:, 1:] = straight + moved / total[:, None]
    return line
