"""Liver, spleen, stomach, kidneys, bowel, bladder and what lies loose between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .canvas import Canvas, Window
from .chest import Diaphragm
from .shapes import Axes, Volume, capsule, ellipsoid, smooth_min
from .spine import Spine
from .torso import Torso
from .tubes import paint_tube, resample, tube

#: What bowel holds, HU, and how often; with oral contrast the second row of shares is used (judged from two real CT).
CONTENTS = ((-990.0, -880.0), (5.0, 45.0), (120.0, 450.0), (-110.0, -50.0), (-500.0, -100.0))
CONTENT_SHARES = {False: (0.2, 0.6, 0.0, 0.08, 0.12), True: (0.15, 0.3, 0.4, 0.05, 0.1)}


@dataclass(frozen=True)
class Abdomen:
    """Where the organs of one abdomen are; mm.

    liver : lower edge at the right, its rise towards the left and towards the back, how far it reaches to the left
    kidneys : side -> height of the centre over L2's, half length, width; absent where there is none
    loops : (N, 8): places and radii of small bowel, and what it holds
    """

    liver: tuple[float, float, float, float]
    spleen: tuple[float, float, float]
    stomach: tuple[float, float, float]
    stomach_gas: float
    kidneys: dict[str, tuple[float, float, float]]
    loops: NDArray[np.float64]
    colon: NDArray[np.float64]
    colon_mm: float
    bladder: float
    size: float

    @classmethod
    def random(cls, rng: np.random.Generator, size: float) -> Abdomen:
        """Draw an abdomen."""
        u = rng.uniform
        kidneys = {}
        for side, mean in (("left", 12.0), ("right", -2.0)):
            if rng.random() < 0.97:
                kidneys[side] = (float(rng.normal(mean, 12)), u(44, 62) * size, u(22, 31) * size)
        return cls(
            liver=(float(rng.normal(-12, 24)), u(0.25, 0.75), u(-0.15, 0.35), u(10, 85)),
            spleen=(u(22, 36) * size, u(36, 56) * size, u(40, 68) * size),
            stomach=(u(28, 52) * size, u(32, 62) * size, u(38, 65) * size),
            stomach_gas=u(0, 0.8),
            kidneys=kidneys,
            loops=rng.uniform(-1, 1, (int(rng.integers(35, 95)), 8)),
            colon=rng.uniform(-1, 1, (14, 3)),
            colon_mm=u(15, 27) * size,
            bladder=u(18, 46) * size,
            size=size,
        )


class AbdomenPainter:
    """Paints the abdomen on a canvas, under the diaphragm and inside the cavity."""

    def __init__(
        self, canvas: Canvas, abdomen: Abdomen, torso: Torso, organs: Spine, diaphragm: Diaphragm, structure: Volume
    ) -> None:
        self.canvas, self.abdomen, self.torso, self.structure = canvas, abdomen, torso, structure
        self.diaphragm, self.wall, self.spine, self.tissues = diaphragm, torso.wall, organs, torso.tissues

    def inside(self, window: Window, axes: Axes, inset: float) -> Volume:
        """Return the distance from the cavity's wall and the diaphragm, less ``inset`` mm."""
        under = (self.diaphragm.height(axes[0], axes[1]) - axes[2]) * np.float32(0.8)
        return np.minimum(self.torso.cavity[window], under) - np.float32(inset)

    def place(self, name: str, x: float, y: float, up: float = 0.0) -> NDArray[np.float64]:
        """Return a place in the cavity: shares of its half width and half depth (-1 front, 1 back) at a vertebra."""
        z = self.spine[name].centre[2] + up
        w = self.wall
        return np.array([
            float(w.row(w.centre_x, z)) + x * float(w.row(w.half_width, z)),
            float(w.row(w.centre_y, z)) + y * float(w.row(w.half_depth, z)), z,
        ])  # fmt: skip

    def paint(self, rng: np.random.Generator) -> None:
        """Paint everything, bowel first and the solid organs over it."""
        self._loops(rng)
        self._colon(rng)
        self._stomach()
        self._kidneys()
        self._liver()
        self._spleen()
        self._pelvic()

    def _liver(self) -> None:
        edge, rise, back, left = self.abdomen.liver
        low, high = self.spine["L3"].centre[2] - 40, self.diaphragm.tops["right"][2] + 5
        window = self.canvas.window((-190, -260, low), (120, 90, high), 0)
        if window is None:
            return
        axes = self.canvas.axes(window)
        x, y, z = axes
        ty = self.diaphragm.tops["right"][1]
        floor = self.spine["L2"].centre[2] + edge + np.float32(rise) * np.clip(x + 90, -60, 150)
        floor = floor + np.float32(back) * (y - np.float32(ty))
        lower = (z - floor) * np.float32(0.8)
        dome = np.float32(self.diaphragm.tops["right"][2]) - z
        end = np.float32(left) - x + np.float32(0.3) * (-y + np.float32(ty))
        sx, sy = self.spine.at(self.spine["T11"].centre[2])
        # It lies in front of the spine and of the caval vein, and beside them reaches far back.
        spine_side = np.maximum(np.float32(sx - 24) - x, np.float32(sy - 34) - y)
        distance = smooth_min(self.inside(window, axes, 4.0), smooth_min(lower, np.minimum(end, dome), 12.0), 10.0)
        distance = smooth_min(distance, spine_side, 10.0)
        self.canvas.solid(window, distance, self.tissues.liver)
        bladder = self.place("L1", -0.45, -0.45)
        found = self.canvas.around(bladder, 22)
        if found is not None:
            self.canvas.solid(found, ellipsoid(self.canvas.axes(found), bladder, (15, 18, 22)), 8.0)

    def _spleen(self) -> None:
        a, b, h = self.abdomen.spleen
        self._organ(self.place("T12", 0.72, 0.42, 18.0), (a, b, h), self.tissues.spleen)

    def _organ(self, centre: NDArray[np.float64], radii: tuple[float, float, float], hu: float) -> Volume | None:
        window = self.canvas.around(centre, max(radii))
        if window is None:
            return None
        axes = self.canvas.axes(window)
        distance = smooth_min(ellipsoid(axes, centre, radii), self.inside(window, axes, 4.0), 6.0)
        self.canvas.solid(window, distance, hu)
        return distance

    def _stomach(self) -> None:
        centre = self.place("T12", 0.42, -0.25, 14.0)
        t, a = self.tissues, self.abdomen
        window = self.canvas.around(centre, max(a.stomach))
        if window is None:
            return
        distance = self._organ(centre, a.stomach, t.bowel_wall)
        if distance is None:
            return
        inner = distance - np.float32(4)
        content = 260.0 if t.oral else 18.0
        self.canvas.solid(window, inner, content)
        # He lies on his back: gas collects in front.
        level = np.float32(centre[1] - a.stomach[1] * (1 - 2 * a.stomach_gas)) - self.canvas.y[window]
        self.canvas.solid(window, np.minimum(inner, level), -960.0)

    def _kidneys(self) -> None:
        t = self.tissues
        for side, (up, tall, wide) in self.abdomen.kidneys.items():
            sign = 1 if side == "left" else -1
            spine = self.spine["L2"].centre
            centre = spine + np.array([sign * (40 + wide * 0.9), 8.0, up])
            turn = sign * np.radians(14)
            frame = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
            window = self.canvas.around(centre, tall)
            if window is None:
                continue
            axes = self.canvas.axes(window)
            self.canvas.solid(window, ellipsoid(axes, centre, (wide, wide, tall), frame), t.kidney)
            sinus = centre + np.array([-sign * wide * 0.4, -wide * 0.3, 0])
            fill = 350.0 if t.phase == "late" else 0.5 * t.visceral_fat
            self.canvas.solid(window, ellipsoid(axes, sinus, (wide * 0.45, wide * 0.4, tall * 0.5), frame), fill)

    def _content(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(*CONTENTS[rng.choice(len(CONTENTS), p=CONTENT_SHARES[self.tissues.oral])]))

    def _loops(self, rng: np.random.Generator) -> None:
        """Paint loops of small bowel, mesenteric vessels and other soft things, from the pancreas down."""
        top, low = self.spine["L1"].centre[2] + 15, self.spine["S1"].centre[2] - 45
        t, k = self.tissues, self.abdomen.size
        for x, y, z, dx, dy, dz, r, kind in self.abdomen.loops:
            hu = self._content(rng)
            start = self.place("L3", 0.72 * x, -0.42 + 0.42 * y)
            start[2] = (top + low) / 2 + z * (top - low) / 2
            end = start + np.array([dx, 0.6 * dy, dz]) * 32
            radius = (11.5 + 5.5 * r) * k
            window = self.canvas.around(np.stack([start, end]), radius + 2)
            if window is None:
                continue
            axes = self.canvas.axes(window)
            limit = self.torso.cavity[window] - np.float32(3)
            distance = np.minimum(capsule(axes, start, end, radius), limit)
            self.canvas.solid(window, distance, t.bowel_wall if kind > -0.4 else t.soft)
            if kind > -0.4:
                self.canvas.solid(window, distance - np.float32(2.2), hu)

    def _colon(self, rng: np.random.Generator) -> None:
        """Paint the frame of the colon: up the right, across in front, down the left, and back into the pelvis."""
        j = self.abdomen.colon * 0.06
        way = [
            ("S1", -0.62, -0.05), ("L4", -0.72, 0.12), ("L2", -0.76, 0.1), ("L1", -0.62, -0.35), ("L2", -0.3, -0.72),
            ("L3", 0.0, -0.78), ("L1", 0.45, -0.62), ("T12", 0.74, -0.1), ("L1", 0.8, 0.15), ("L3", 0.78, 0.15),
            ("L5", 0.7, 0.05), ("S1", 0.5, -0.1),
        ]  # fmt: skip
        points = [self.place(name, x + a, y + b, 120 * c) for (name, x, y), (a, b, c) in zip(way, j, strict=False)]
        s = self.spine.sacrum
        points += [
            s[n].centre + np.array([x, y, z]) for n, x, y, z in ((0, 8, -45, 0), (2, 0, -22, 0), (3, 0, -18, -45))
        ]
        line = resample(np.array(points), 14.0)
        # Segments hold different things; haustra make the width swing.
        pieces = np.array_split(np.arange(len(line)), 9)
        waves = self.abdomen.colon_mm * (1 + 0.25 * np.sin(np.arange(len(line)) * 1.3))
        waves = waves * rng.uniform(0.7, 1.1, len(line))
        for piece in pieces:
            index = np.arange(piece[0], min(piece[-1] + 2, len(line)))
            self._bowel(line[index], waves[index], self._content(rng))

    def _bowel(self, line: NDArray[np.float64], radii: NDArray[np.float64], hu: float) -> None:
        found = tube(self.canvas, line, radii)
        if found is None:
            return
        window, distance = found
        distance = np.minimum(distance, self.torso.cavity[window] - np.float32(2))
        self.canvas.solid(window, distance, self.tissues.bowel_wall)
        grain = self.structure[window] * np.float32(260)
        # Stool is mottled with gas; gas, fluid and contrast medium are even.
        stool = -500 <= hu < 0
        self.canvas.solid(window, distance - np.float32(2.5), np.clip(hu + grain, -900, 70) if stool else hu)

    def _pelvic(self) -> None:
        t, a = self.tissues, self.abdomen
        s = self.spine.sacrum
        bladder = s[1].centre + np.array([0, -92, -38]) * a.size
        window = self.canvas.around(bladder, a.bladder * 1.3)
        if window is not None:
            distance = ellipsoid(self.canvas.axes(window), bladder, np.array([1.25, 0.9, 1.0]) * a.bladder)
            self.canvas.solid(window, distance, t.soft)
            self.canvas.solid(window, distance - np.float32(3), 300.0 if t.phase == "late" else 6.0)
        uterus = s[2].centre + np.array([0, -56, -16]) * a.size
        paint_tube(self.canvas, np.stack([uterus, uterus + [4, -6, -34]]), 22 * a.size, t.soft + 10)
