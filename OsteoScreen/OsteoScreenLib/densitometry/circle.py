"""The standard 200 mm2 circle at the centroid of the body, moved forward off a basivertebral vein.

Size and place: the region recommended for opportunistic measurement at L1, which is to avoid the cortex and the vein
(Docs/sources.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .outline import Outline, PixelGrid
from .vein import vein_tip_mm

AREA_MM2 = 200.0
RADIUS_MM = float(np.sqrt(AREA_MM2 / np.pi))

#: How far the circle keeps from the tip of a vein, whose edge is blurred over about this distance.
CLEARANCE_MM = 2.0
STEP_MM = 1.0
#: A circle farther forward than this would measure another part of the body, nearer its front wall.
FARTHEST_MM = 6.0


@dataclass(frozen=True)
class Circle:
    """The standard circle at `centre_mm` (2,), in mm in the plane."""

    centre_mm: np.ndarray

    @property
    def box_mm(self) -> np.ndarray:
        """[[x, y] least, [x, y] most]."""
        return np.stack([self.centre_mm - RADIUS_MM, self.centre_mm + RADIUS_MM])

    def depth_mm(self, positions: np.ndarray) -> np.ndarray:
        """Return how deep (n, 2) positions lie inside the circle, in mm; negative outside."""
        return RADIUS_MM - np.linalg.norm(positions - self.centre_mm, axis=1)

    def contains(self, positions: np.ndarray) -> np.ndarray:
        """Return which of the (n, 2) positions lie inside the circle."""
        return self.depth_mm(positions) > 0


def standard_circle(hu: np.ndarray, outline: Outline, grid: PixelGrid, anterior: np.ndarray) -> Circle | None:
    """Return the standard circle on `hu` (rows, columns), or None when it does not fit inside the outline.

    It moves forward by whole `STEP_MM` until it clears the vein, but no more than `FARTHEST_MM` and no farther than
    it fits. `anterior` (2,) is the unit vector in the plane that points to the patient's front.
    """
    tip = vein_tip_mm(hu, outline, grid, anterior)
    wanted = 0.0 if tip is None else float(np.clip(RADIUS_MM + CLEARANCE_MM - tip, 0.0, FARTHEST_MM))
    for step in range(int(np.ceil(wanted / STEP_MM)), -1, -1):
        centre = outline.centroid_mm + step * STEP_MM * anterior
        if outline.depth_mm(centre[None])[0] >= RADIUS_MM:
            return Circle(centre)
    return None
