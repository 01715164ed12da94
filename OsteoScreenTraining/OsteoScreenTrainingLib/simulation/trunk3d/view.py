"""What part of a trunk a scan shows, how it is stored, and how its patient lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .canvas import Grid, Pose
from .fields import SmoothField
from .spine import Spine
from .wall import Wall

#: Kinds of examination and how often: name -> (share, vertebrae the top lies between, the same for the bottom).
#: ``PELVIS`` is the symphysis.
REGIONS = {
    "chest": (0.34, ("C6", "T3"), ("T11", "L3")),
    "neck to lumbar": (0.14, ("C2", "C6"), ("L1", "L4")),
    "abdomen": (0.16, ("T8", "T12"), ("L4", "S1")),
    "abdomen and pelvis": (0.14, ("T8", "T12"), ("PELVIS", "PELVIS")),
    "trunk": (0.1, ("C5", "T2"), ("PELVIS", "PELVIS")),
    "whole": (0.03, ("C1", "C2"), ("PELVIS", "PELVIS")),
    "part": (0.09, ("T2", "L1"), ("", "")),
}
#: Share of scans whose field of view in the plane is the whole body, the body cut at the flanks, the spine alone.
FIELDS = {"body": 0.74, "tight": 0.18, "spine": 0.08}


@dataclass(frozen=True)
class View:
    """Corners of the scanned box in body mm (x, y, z), and how the slices are stored.

    circle : the reconstruction is a circle with nothing beyond it
    downwards : the file has the slices from head to foot
    """

    region: str
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    circle: bool
    downwards: bool

    @classmethod
    def random(cls, rng: np.random.Generator, spine: Spine, wall: Wall, region: str | None = None) -> View:
        """Draw a field of view; ``region`` is one of REGIONS, or None for any."""
        if region is None:
            region = str(rng.choice(list(REGIONS), p=[share for share, _, _ in REGIONS.values()]))
        _, tops, bottoms = REGIONS[region]
        top = _height(rng, spine, tops)
        bottom = top - float(rng.uniform(110, 330)) if region == "part" else _height(rng, spine, bottoms)
        kind = str(rng.choice(list(FIELDS), p=list(FIELDS.values())))
        rows = (wall.z > bottom) & (wall.z < top)
        outside = wall.muscle + wall.fat
        half = float((wall.half_width + outside)[rows].max())
        x, y = float(wall.centre_x[rows].mean()), float(wall.centre_y[rows].mean())
        if kind == "body":
            half = half * float(rng.uniform(1.0, 1.3)) + 6
        elif kind == "tight":
            half *= float(rng.uniform(0.72, 0.98))
        else:
            half = float(rng.uniform(62, 110))
            sx, sy = spine.at((top + bottom) / 2)
            x, y = float(sx), float(sy) + float(rng.uniform(-10, 25))
        x, y = x + float(rng.normal(0, 8)), y + float(rng.normal(0, 8))
        return cls(
            region=region,
            low=np.array([x - half, y - half, bottom]),
            high=np.array([x + half, y + half, top]),
            circle=bool(rng.random() < 0.5),
            downwards=bool(rng.random() < 0.3),
        )

    def grid(self, spacing: tuple[float, float, float], trimmed: bool) -> Grid:
        """Return the grid of a spacing (z, y, x) in mm; ``trimmed`` leaves out rows of air over and under the body."""
        low, high = self.low.copy(), self.high.copy()
        if trimmed:
            # What is above the chest and below the table is air at whatever field of view.
            half = (high[1] - low[1]) / 2
            middle = (high[1] + low[1]) / 2
            low[1], high[1] = middle - 0.86 * half, middle + 0.86 * half
        counts = np.maximum(np.round((high - low) / np.array(spacing[::-1])).astype(int), 8)
        shape = (int(counts[2]), int(counts[1]), int(counts[0]))
        origin = (low + np.array(spacing[::-1]) / 2).tolist()
        return Grid(shape, spacing, (origin[0], origin[1], origin[2]), -1 if self.downwards else 1)


def _height(rng: np.random.Generator, spine: Spine, names: tuple[str, str]) -> float:
    """Return a height between two vertebrae, or one about the symphysis."""
    s1 = spine["S1"].centre[2]
    if names[0] == "PELVIS":
        return float(s1 - rng.uniform(60, 190))
    return float(rng.uniform(spine[names[1]].centre[2] - 12, spine[names[0]].centre[2] + 12))


def random_pose(rng: np.random.Generator, spine: Spine) -> Pose:
    """Draw how a patient lies: tilted and rolled by few degrees, and bent out of the regular by millimetres."""
    roll, nod, lean = np.radians(rng.normal(0, (3.5, 2.0, 2.5)))
    cr, sr, cn, sn, cl, sl = np.cos(roll), np.sin(roll), np.cos(nod), np.sin(nod), np.cos(lean), np.sin(lean)
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, cn, -sn], [0, sn, cn]])
    about_y = np.array([[cl, 0, sl], [0, 1, 0], [-sl, 0, cl]])
    low = np.array([-260.0, -330.0, spine["S1"].centre[2] - 260])
    high = np.array([260.0, 190.0, spine["C1"].centre[2] + 160])
    strength = float(rng.uniform(0.3, 1.2))
    warp = tuple(SmoothField(rng, low, high, 70.0, 2.4 * strength) for _ in range(3))
    return Pose(about_z @ about_x @ about_y, np.zeros(3), (warp[0], warp[1], warp[2]))
