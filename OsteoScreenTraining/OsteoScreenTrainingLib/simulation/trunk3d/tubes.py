"""Long things: vessels, bowel, ribs. A centre line (N, 3) with a radius at every point."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .canvas import Canvas, Window
from .shapes import TINY, Volume, capsule

#: Distance of whatever lies beyond all windows of a tube.
FAR = np.float32(-60.0)


def resample(points: NDArray[np.floating], step: float) -> NDArray[np.float64]:
    """Return a line through ``points`` (N, 3) with points about ``step`` mm apart, rounded at the given ones."""
    points = np.asarray(points, float)
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    place = np.concatenate([[0.0], np.cumsum(np.maximum(lengths, 1e-6))])
    count = max(int(np.ceil(place[-1] / step)) + 1, 2)
    if len(points) < 3:
        return np.stack([np.interp(np.linspace(0, place[-1], count), place, points[:, a]) for a in range(3)], axis=1)
    # Catmull-Rom slopes: a curve through every point that cannot swing far beyond them.
    slopes = np.gradient(points, place, axis=0)
    target = np.linspace(0, place[-1], count)
    cell = np.clip(np.searchsorted(place, target, side="right") - 1, 0, len(points) - 2)
    h = (place[cell + 1] - place[cell])[:, None]
    t = (target - place[cell])[:, None] / h
    a, b = points[cell], points[cell + 1]
    ma, mb = slopes[cell] * h, slopes[cell + 1] * h
    return (2 * t**3 - 3 * t**2 + 1) * a + (t**3 - 2 * t**2 + t) * ma + (3 * t**2 - 2 * t**3) * b + (t**3 - t**2) * mb


def tube(
    canvas: Canvas, points: NDArray[np.floating], radii: NDArray[np.floating] | float
) -> tuple[Window, Volume] | None:
    """Return the window of a round tube and its distance there, or None where the grid has none of it."""
    radii = np.broadcast_to(np.asarray(radii, float), (len(points),))
    window = canvas.around(points, float(radii.max()) + 2)
    if window is None:
        return None
    distance = np.full(canvas.hu[window].shape, FAR, np.float32)
    for a, b, ra, rb in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
        found = part_of(canvas, window, np.stack([a, b]), max(ra, rb) + 2)
        if found is None:
            continue
        part, inner = found
        np.maximum(distance[inner], capsule(canvas.axes(part), a, b, ra, rb), out=distance[inner])
    return window, distance


def flat_tube(
    canvas: Canvas,
    points: NDArray[np.floating],
    across: NDArray[np.floating],
    thick: NDArray[np.floating],
    wide: NDArray[np.floating],
) -> tuple[Window, Volume] | None:
    """Return window and distance of a tube of elliptical section: ``across`` (N, 3) are unit vectors along ``thick``.

    ``thick`` and ``wide`` are the half axes at every point, mm.
    """
    window = canvas.around(points, float(wide.max()) + 2)
    if window is None:
        return None
    distance = np.full(canvas.hu[window].shape, FAR, np.float32)
    for k in range(len(points) - 1):
        found = part_of(canvas, window, points[k : k + 2], float(wide[k]) + 2)
        if found is None:
            continue
        part, inner = found
        line = points[k + 1] - points[k]
        length = float(np.linalg.norm(line)) + 1e-6
        line = line / length
        normal = across[k] - across[k] @ line * line
        normal /= np.linalg.norm(normal) + 1e-9
        upward = np.cross(line, normal)
        x, y, z = (axis - np.float32(p) for axis, p in zip(canvas.axes(part), points[k], strict=True))
        t, n, h = (x * np.float32(d[0]) + y * np.float32(d[1]) + z * np.float32(d[2]) for d in (line, normal, upward))
        t -= np.clip(t, 0, np.float32(length))
        square = n * n + t * t
        rho = np.sqrt(square * np.float32(1 / thick[k] ** 2) + h * h * np.float32(1 / wide[k] ** 2)) + TINY
        radial = np.sqrt(square + h * h) * (1 / rho - 1)
        np.maximum(distance[inner], radial, out=distance[inner])
    return window, distance


def part_of(canvas: Canvas, window: Window, ends: NDArray[np.floating], margin: float) -> tuple[Window, Window] | None:
    """Return the voxels of ``window`` near a line, counted in the canvas and counted in the window; None for none."""
    near = canvas.around(ends, margin)
    if near is None:
        return None
    part = [slice(max(n.start, w.start), min(n.stop, w.stop)) for n, w in zip(near, window, strict=True)]
    if any(p.start >= p.stop for p in part):
        return None
    inner = [slice(p.start - w.start, p.stop - w.start) for p, w in zip(part, window, strict=True)]
    return (part[0], part[1], part[2]), (inner[0], inner[1], inner[2])


def paint_tube(
    canvas: Canvas,
    points: NDArray[np.floating],
    radii: NDArray[np.floating] | float,
    hu: float | Volume,
    *,
    step: float = 12.0,
    wall_mm: float = 0.0,
    wall_hu: float = 0.0,
) -> None:
    """Paint a round tube through ``points``; with a wall where ``wall_mm`` is given."""
    fine = resample(points, step)
    place = np.linspace(0, 1, len(points))
    fine_radii = np.interp(np.linspace(0, 1, len(fine)), place, np.broadcast_to(radii, (len(points),)))
    found = tube(canvas, fine, fine_radii)
    if found is None:
        return
    window, distance = found
    if wall_mm:
        canvas.solid(window, distance + np.float32(wall_mm), wall_hu)
    canvas.solid(window, distance, hu)
