"""Signed distances of simple solids, millimetres, positive inside; all arrays broadcast and are float32.

A distance is exact where it can be and radial (measured along the line to the solid's axis) where that is cheaper:
near the surface, where it decides on a voxel's share, the two agree.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Volume = NDArray[np.floating]
Point = Sequence[float] | NDArray[np.floating]
Axes = tuple[Volume, Volume, Volume]

#: Keeps divisions finite at a solid's axis; mm, or a share.
TINY = np.float32(1e-4)


def local(axes: Axes, centre: Point, frame: NDArray[np.floating]) -> Axes:
    """Return coordinates in a frame whose columns are its axes (3, 3), about ``centre``."""
    x, y, z = (axis - np.float32(c) for axis, c in zip(axes, centre, strict=True))
    u, v, w = (x * np.float32(a[0]) + y * np.float32(a[1]) + z * np.float32(a[2]) for a in frame.T)
    return u, v, w


def capsule(axes: Axes, start: Point, end: Point, radius: float, end_radius: float | None = None) -> Volume:
    """Return the distance of a thick line with round ends, whose radius may change along it."""
    along, distance = _along(axes, start, end)
    if end_radius is None or end_radius == radius:
        return np.float32(radius) - distance
    return np.float32(radius) + along * np.float32(end_radius - radius) - distance


def _along(axes: Axes, start: Point, end: Point) -> tuple[Volume, Volume]:
    """Return the share 0..1 along a line of the nearest point on it, and the distance from it."""
    d = np.asarray(end, np.float32) - np.asarray(start, np.float32)
    x, y, z = (axis - np.float32(s) for axis, s in zip(axes, start, strict=True))
    along = (x * d[0] + y * d[1] + z * d[2]) * (1 / max(np.float32(d @ d), TINY))
    np.clip(along, 0, 1, out=along)
    x, y, z = x - along * d[0], y - along * d[1], z - along * d[2]
    return along, np.sqrt(x * x + y * y + z * z)


def ellipsoid(axes: Axes, centre: Point, radii: Point, frame: NDArray[np.floating] | None = None) -> Volume:
    """Return the radial distance of an ellipsoid; ``frame`` has its axes as columns."""
    if frame is None:
        u, v, w = (axis - np.float32(c) for axis, c in zip(axes, centre, strict=True))
    else:
        u, v, w = local(axes, centre, frame)
    a, b, c = (np.float32(1 / r) for r in radii)
    rho = np.sqrt((u * a) ** 2 + (v * b) ** 2 + (w * c) ** 2)
    # Close to the axis the radial distance has no meaning: the smallest radius bounds it.
    return np.minimum((1 - rho) * np.float32(max(radii)), np.float32(min(radii))) * _steepness(rho, min(radii), radii)


def _steepness(rho: Volume, smallest: float, radii: Point) -> np.float32:
    """Return what brings the gauge's slope near that of a distance: the mean of the radii is between both."""
    return np.float32((smallest + float(np.mean(radii))) / 2 / max(radii))


def gauge(u: Volume, v: Volume, squareness: float) -> Volume:
    """Return 0 at the middle, 1 on the edge of a unit circle that is squared off by ``squareness`` 0..1."""
    uu, vv = u * u, v * v
    round_ = np.sqrt(uu + vv)
    if squareness <= 0:
        return round_
    square = np.sqrt(np.sqrt(uu * uu + vv * vv))
    return round_ + np.float32(squareness) * (square - round_)


def cylinder_section(u: Volume, v: Volume, radii: tuple[Volume | float, Volume | float], squareness: float) -> Volume:
    """Return the radial distance of a squared ellipse in the plane of ``u`` and ``v``."""
    rho = gauge(u / np.float32(radii[0]), v / np.float32(radii[1]), squareness) + TINY
    return np.sqrt(u * u + v * v) * (1 / rho - 1) + TINY


def segment_2d(x: Volume, y: Volume, start: tuple[Volume, Volume], end: tuple[Volume, Volume]) -> tuple[Volume, Volume]:
    """Return (share along, distance) of a line in the plane whose ends may depend on the height."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / np.maximum(dx * dx + dy * dy, TINY), 0, 1)
    return along, np.sqrt((x - start[0] - along * dx) ** 2 + (y - start[1] - along * dy) ** 2)


def triangle(axes: Axes, corners: NDArray[np.floating]) -> Volume:
    """Return the distance (positive, mm) from the triangle of three ``corners`` (3, 3)."""
    a, b, c = corners.astype(np.float64)
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal)
    x, y, z = (axis - np.float32(p) for axis, p in zip(axes, a, strict=True))
    height = x * np.float32(normal[0]) + y * np.float32(normal[1]) + z * np.float32(normal[2])
    outside = np.full_like(height, -1e3)
    for start, end in ((a, b), (b, c), (c, a)):
        across = np.cross(end - start, normal)
        across /= np.linalg.norm(across)
        px, py, pz = (axis - np.float32(p) for axis, p in zip(axes, start, strict=True))
        edge = px * np.float32(across[0]) + py * np.float32(across[1]) + pz * np.float32(across[2])
        np.maximum(outside, edge, out=outside)
    return np.sqrt(height * height + np.maximum(outside, 0) ** 2)


def smooth_min(a: Volume, b: Volume, width: float) -> Volume:
    """Return the lesser of two distances with an edge rounded over ``width`` mm: the solid both have in common."""
    h = np.clip(0.5 + (b - a) * np.float32(0.5 / width), 0, 1)
    return b + h * (a - b) - np.float32(width) * h * (1 - h)
