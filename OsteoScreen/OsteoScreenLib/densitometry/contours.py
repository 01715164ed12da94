"""Level lines of an image by marching squares, and their simplification; plain geometry of polygons."""

from __future__ import annotations

import numpy as np

#: The sides of a 2 x 2 cell that a level line crosses, as (from, to), by which of the corners lie inside:
#: 1 top left, 2 top right, 4 bottom right, 8 bottom left. The inside is always on the same hand, so that the
#: segments of neighbouring cells join head to tail.
_TOP, _RIGHT, _BOTTOM, _LEFT = range(4)
_SEGMENTS: dict[int, list[tuple[int, int]]] = {
    1: [(_LEFT, _TOP)],
    2: [(_TOP, _RIGHT)],
    3: [(_LEFT, _RIGHT)],
    4: [(_RIGHT, _BOTTOM)],
    6: [(_TOP, _BOTTOM)],
    7: [(_LEFT, _BOTTOM)],
    8: [(_BOTTOM, _LEFT)],
    9: [(_BOTTOM, _TOP)],
    11: [(_BOTTOM, _RIGHT)],
    12: [(_RIGHT, _LEFT)],
    13: [(_RIGHT, _TOP)],
    14: [(_TOP, _LEFT)],
}
#: Two opposite corners inside: the mean of the four says whether they are joined (second list) or apart (first).
_SADDLES: dict[int, tuple[list[tuple[int, int]], list[tuple[int, int]]]] = {
    5: ([(_LEFT, _TOP), (_RIGHT, _BOTTOM)], [(_RIGHT, _TOP), (_LEFT, _BOTTOM)]),
    10: ([(_TOP, _RIGHT), (_BOTTOM, _LEFT)], [(_TOP, _LEFT), (_BOTTOM, _RIGHT)]),
}


def level_lines(image: np.ndarray, level: float = 0.5) -> list[np.ndarray]:
    """Return the closed lines where `image` (rows, columns) crosses `level`, by linear interpolation.

    Each is (points, 2) pixel positions (column, row), pixel centres being whole numbers, without repeating the first
    point. Around what lies above `level` the :func:`signed_area` is negative, around a hole positive. Beyond the
    image is 0, so that a shape that touches the border is closed there.
    """
    field = np.pad(np.asarray(image, dtype=float) - level, 1, mode="constant", constant_values=-level)
    inside = field > 0
    case = inside[:-1, :-1] * 1 + inside[:-1, 1:] * 2 + inside[1:, 1:] * 4 + inside[1:, :-1] * 8
    rows, columns = np.nonzero((case > 0) & (case < 15))
    follows: dict[tuple[int, int, bool], tuple[int, int, bool]] = {}
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        for start, end in _cell_segments(field, row, column, int(case[row, column])):
            follows[_side(row, column, start)] = _side(row, column, end)
    lines = []
    while follows:
        first, here = follows.popitem()
        sides = [first]
        while here != first:
            sides.append(here)
            here = follows.pop(here)
        lines.append(_crossings(field, np.array(sides)) - 1.0)
    return lines


def signed_area(points: np.ndarray) -> float:
    """Return the area of a polygon (points, 2), its sign telling the direction it runs in."""
    x, y = (points - points[0]).T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def centroid(points: np.ndarray) -> np.ndarray:
    """Return the centre of mass (2,) of the area of a polygon (points, 2)."""
    origin = points[0]
    x, y = (points - origin).T
    after_x, after_y = np.roll(x, -1), np.roll(y, -1)
    cross = x * after_y - after_x * y
    return origin + np.array([np.sum((x + after_x) * cross), np.sum((y + after_y) * cross)]) / (3.0 * np.sum(cross))


def simplified(points: np.ndarray, tolerance: float) -> np.ndarray:
    """Return the polygon's points that keep every other one within `tolerance` of its sides (Douglas-Peucker)."""
    count = len(points)
    if count < 4:
        return points
    # Two points that surely stay: the first, and the one farthest from it.
    far = int(np.argmax(np.sum((points - points[0]) ** 2, axis=1)))
    closed = np.vstack([points, points[:1]])
    keep = np.zeros(count + 1, dtype=bool)
    keep[[0, far, count]] = True
    pending = [(0, far), (far, count)]
    while pending:
        start, end = pending.pop()
        if end - start < 2:
            continue
        between = closed[start + 1 : end]
        away = _distances_to_segment(between, closed[start], closed[end])
        worst = int(np.argmax(away))
        if away[worst] > tolerance:
            middle = start + 1 + worst
            keep[middle] = True
            pending += [(start, middle), (middle, end)]
    return closed[:-1][keep[:-1]]


def _cell_segments(field: np.ndarray, row: int, column: int, case: int) -> list[tuple[int, int]]:
    if case in _SADDLES:
        joined = field[row : row + 2, column : column + 2].sum() > 0
        return _SADDLES[case][int(joined)]
    return _SEGMENTS[case]


def _side(row: int, column: int, side: int) -> tuple[int, int, bool]:
    """Return (row, column, downward) of the pixel that a cell's side starts at, and whether it leads down or right."""
    if side == _TOP:
        return row, column, False
    if side == _BOTTOM:
        return row + 1, column, False
    if side == _LEFT:
        return row, column, True
    return row, column + 1, True


def _crossings(field: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Return where the level is crossed on each side (n, 3), as (n, 2) positions (column, row) in `field`."""
    row, column, down = sides.T
    here = field[row, column]
    there = field[row + down, column + 1 - down]
    fraction = here / (here - there)
    return np.stack([column + fraction * (1 - down), row + fraction * down], axis=1)


def _distances_to_segment(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    along = end - start
    length2 = float(along @ along)
    offset = points - start
    part = np.clip(offset @ along / length2, 0.0, 1.0) if length2 > 0 else np.zeros(len(points))
    return np.linalg.norm(offset - part[:, None] * along, axis=1)
