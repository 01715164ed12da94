"""What is found by the way on CT of the trunk and takes no part in naming: it must not mislead a reader either."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .additions import METAL_HU
from .canvas import Canvas
from .shapes import ellipsoid
from .spine import Spine
from .tissues import Tissues
from .tubes import paint_tube
from .wall import Wall

#: How often each is drawn (judged: oncology's CT shows them more often than a health check's).
SHARES = {"lung": 0.3, "lesions": 0.12, "pacemaker": 0.03, "leads": 0.12, "line": 0.1, "tube": 0.05}
#: Chance of gas in a disc that is worn, per disc and per year of age over 50.
GAS_PER_YEAR = 0.0015


@dataclass(frozen=True)
class Findings:
    """What there is; places as shares 0..1 that the painter turns into places.

    nodules : (N, 5): height, angle, depth, size, HU; lesions : (N, 6): vertebra, place in it, size, HU
    leads : (N, 2): height and angle on the skin; gas : names of vertebrae with gas in the disc under them
    """

    nodules: NDArray[np.float64]
    lesions: NDArray[np.float64]
    leads: NDArray[np.float64]
    gas: tuple[str, ...]
    pacemaker: bool
    line: bool
    tube: bool

    @classmethod
    def random(cls, rng: np.random.Generator, spine: Spine, age: float) -> Findings:
        """Draw what is found in somebody ``age`` years old."""

        def many(what: str, most: int, columns: int) -> NDArray[np.float64]:
            count = int(rng.integers(1, most + 1)) if rng.random() < SHARES[what] else 0
            return rng.uniform(0, 1, (count, columns))

        chance = GAS_PER_YEAR * max(age - 50, 0)
        return cls(
            nodules=many("lung", 8, 5),
            lesions=many("lesions", 7, 6),
            leads=many("leads", 5, 2),
            gas=tuple(v.name for v in spine.vertebrae[2:-1] if rng.random() < chance),
            pacemaker=bool(rng.random() < SHARES["pacemaker"]),
            line=bool(rng.random() < SHARES["line"]),
            tube=bool(rng.random() < SHARES["tube"]),
        )

    def paint_chest(self, canvas: Canvas, spine: Spine, wall: Wall, tissues: Tissues) -> None:
        """Paint nodules and patches in the lungs, between T2 and T10."""
        top, low = spine["T2"].centre[2], spine["T10"].centre[2]
        for height, angle, depth, size, hu in self.nodules:
            z = np.array([low + height * (top - low)])
            spot = wall.point(z, np.array([(2 * angle - 1) * np.pi * 0.85]), -8 - 55 * depth)[0]
            radii = 2.5 + 26 * size**4 * np.array([1.0, 0.8, 1.1])
            window = canvas.around(spot, float(radii.max()) + 2)
            if window is not None:
                value = -500 + 560 * np.sqrt(hu)
                canvas.solid(window, ellipsoid(canvas.axes(window), spot, radii), value + 0.3 * tissues.soft)

    def paint_bones(self, canvas: Canvas, spine: Spine) -> None:
        """Paint lesions that take bone away or add to it, and gas in discs."""
        for which, a, b, c, size, hu in self.lesions:
            v = spine.vertebrae[2 + int(which * (len(spine.vertebrae) - 2))]
            reach = np.array([v.half_width, v.half_depth, v.half_height])
            spot = v.middle + v.frame @ (np.array([2 * a - 1, 2 * b - 1, 2 * c - 1]) * 0.7 * reach)
            radii = np.full(3, 2.5 + 0.7 * size * v.half_height)
            window = canvas.around(spot, float(radii.max()) + 2)
            if window is not None:
                value = 30.0 if hu < 0.45 else 250 + 900 * (hu - 0.45)
                canvas.solid(window, ellipsoid(canvas.axes(window), spot, radii), value)
        for name in self.gas:
            index = next(n for n, v in enumerate(spine.vertebrae) if v.name == name)
            v = spine.vertebrae[index]
            middle = (v.endplates()[1] + spine.vertebrae[index + 1].endplates()[0]) / 2
            window = canvas.around(middle, v.half_width)
            if window is not None:
                flat = ellipsoid(canvas.axes(window), middle, (0.6 * v.half_width, 0.5 * v.half_depth, 1.6), v.frame)
                canvas.solid(window, flat, -450.0)

    def paint_devices(self, canvas: Canvas, spine: Spine, wall: Wall) -> None:
        """Paint electrodes on the skin, a pacemaker, a venous line and a gastric tube."""
        for height, angle in self.leads:
            z = spine["L1"].centre[2] + height * (spine["T2"].centre[2] - spine["L1"].centre[2])
            outside = float(wall.row(wall.muscle, z) + wall.row(wall.fat, z)) + 6
            turn = np.pi * (0.6 + 0.8 * angle)
            paint_tube(canvas, wall.point(np.array([z, z + 60]), np.array([turn, turn + 0.35]), outside), 1.4, 1800.0)
        notch = spine["T3"].centre + np.array([-18.0, -52.0, 0.0])
        atrium = spine["T8"].centre + np.array([-22.0, -62.0, 0.0])
        pocket = wall.point(np.array([spine["T3"].centre[2]]), np.array([np.radians(140)]), 24.0)[0]
        if self.pacemaker:
            window = canvas.around(pocket, 30)
            if window is not None:
                canvas.solid(window, ellipsoid(canvas.axes(window), pocket, (22, 6, 20)), METAL_HU)
        if self.pacemaker or self.line:
            paint_tube(canvas, np.stack([pocket, notch + [40, 4, 12], notch, atrium]), 1.2, 1500.0)
        if self.tube:
            way = (("C5", 1, -20), ("T4", 4, -26), ("T10", 16, -42))
            gullet = [spine[name].centre + np.array([x, y, 0.0]) for name, x, y in way]
            paint_tube(canvas, np.array(gullet), 1.8, 500.0)
