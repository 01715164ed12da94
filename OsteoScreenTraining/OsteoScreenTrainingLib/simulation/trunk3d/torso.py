"""Skin, fat, the wall's muscles and the cavities, and the muscles that run along the spine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .canvas import Canvas, Window
from .person import Person
from .shapes import TINY, Volume, ellipsoid
from .spine import Spine
from .tissues import Tissues
from .wall import Wall


@dataclass(frozen=True)
class Muscles:
    """The muscles along the spine; lengths in mm at L3, places against a body's half width.

    erector : half width, half depth, gap to the middle; psoas : radius; breasts: radius, 0 for none
    """

    erector: tuple[float, float, float]
    psoas: float
    quadratus: tuple[float, float]
    breast: float
    back_flat: float
    wasting: float

    @classmethod
    def random(cls, rng: np.random.Generator, person: Person) -> Muscles:
        """Draw the muscles of a person: thicker in men, wasted and streaked with fat in the old."""
        bulk = person.scale * (1.06 if person.sex == "M" else 0.92) * float(rng.normal(1.0, 0.1))
        bulk *= 1 - 0.0025 * max(person.age - 50, 0)
        breast = float(rng.uniform(28, 66)) * (person.bmi / 26) ** 0.4 if person.sex == "F" else 0.0
        wasting = float(np.clip(rng.beta(1.2, 5) + 0.004 * (person.age - 55), 0, 0.8))
        return cls(
            erector=(25 * bulk, 20 * bulk, float(rng.uniform(2, 6))),
            psoas=20 * bulk,
            quadratus=(20 * bulk, 7.5 * bulk),
            breast=breast,
            back_flat=float(rng.uniform(0.0, 0.9)),
            wasting=wasting,
        )


class Torso:
    """The trunk's shell on a canvas; keeps the distances that the organs are cut with."""

    def __init__(self, canvas: Canvas, wall: Wall, muscles: Muscles, spine: Spine, tissues: Tissues) -> None:
        self.canvas, self.wall, self.muscles, self.spine, self.tissues = canvas, wall, muscles, spine, tissues
        # The planes lie level but for the pose and the warp: one height serves a whole plane of the wall.
        self.height = canvas.z.mean(axis=(1, 2), keepdims=True)
        self.cavity, self.towards_back = wall.cavity(canvas.x, canvas.y, self.height)

    def paint(self, texture: Volume, sheets: Volume) -> None:
        """Paint skin, fat, muscle and the fat within.

        ``texture`` (HU) varies muscle; where ``sheets`` (SD 1) crosses nought, fat divides its bundles, and where it is
        high, soft things lie in the fat of the abdomen.
        """
        canvas, t = self.canvas, self.tissues
        muscle, skin = self.wall.layers(self.cavity, self.towards_back, self.height)
        self._flatten(skin)
        self._breasts()
        whole = canvas.whole
        body = canvas.coverage(skin)
        canvas.blend(whole, body, t.skin)
        canvas.blend(whole, canvas.coverage(skin - np.float32(self.wall.skin_mm)), t.fat)
        muscle = np.minimum(muscle, skin - np.float32(self.wall.skin_mm + 1))
        self.muscle = muscle
        septa = np.float32(t.septa * (t.fat - t.muscle)) * np.exp(-((sheets * np.float32(1 / 0.16)) ** 2))
        canvas.blend(whole, canvas.coverage(muscle), t.muscle + texture + septa)
        inner = np.minimum(self.cavity, muscle - 2)
        neck = np.clip((self.height - np.float32(self.spine["T1"].centre[2])) / 30, 0, 1)
        fill = t.visceral_fat + neck * np.float32(t.muscle - t.visceral_fat)
        lumps = np.clip((sheets - np.float32(1.1)) * 4, 0, 1) * np.float32(t.soft - t.visceral_fat)
        canvas.blend(whole, canvas.coverage(inner), fill + lumps * (1 - neck) + 0.5 * texture)

    def _flatten(self, skin: Volume) -> None:
        """Press the back flat, as the table does: half of what stands out beyond the processes."""
        if not self.muscles.back_flat:
            return
        wall = self.wall
        behind = wall.centre_y + wall.half_depth + wall.back + wall.fat * 0.6
        chest = (wall.z > self.spine["L3"].centre[2]) & (wall.z < self.spine["T3"].centre[2])
        plane = np.float32(np.percentile(behind[chest], 75))
        np.minimum(skin, (plane - self.canvas.y) / np.float32(max(self.muscles.back_flat, 0.3)), out=skin)

    def _breasts(self) -> None:
        if not self.muscles.breast:
            return
        r = self.muscles.breast
        z = self.spine["T7"].centre[2] - 10
        for side in (-1, 1):
            spot = self.wall.point(np.array([z]), np.array([side * np.radians(148)]), 22.0)[0]
            radii = np.array([r * 1.2, r * 0.6, r * 1.1])
            window = self.canvas.around(spot, float(radii.max()))
            if window is not None:
                distance = ellipsoid(self.canvas.axes(window), spot, radii)
                self.canvas.solid(window, distance, self.tissues.skin)
                self.canvas.solid(window, distance - np.float32(2), self.tissues.fat)
                gland = distance - np.float32(0.45 * r)
                self.canvas.solid(window, gland, 0.6 * self.tissues.muscle + 0.4 * self.tissues.fat)

    def paint_spine_muscles(self, texture: Volume) -> None:
        """Paint the erector, psoas and quadratus muscles, after the organs and before the bones."""
        top, low = self.spine["C2"].centre, self.spine.sacrum[1].centre
        window = self.canvas.window((-90, -60, low[2]), (90, 150, top[2]), 0)
        if window is None:
            return
        height = self.height[window[0]]
        sx, sy = (np.asarray(a, np.float32) for a in self.spine.at(height))
        x, y = self.canvas.x[window] - sx, self.canvas.y[window] - sy
        self._erector(window, x, y, height, texture[window])
        self._psoas(window, x, y, height, texture[window])

    def _rows(self, names: tuple[str, ...], values: tuple[float, ...], height: Volume) -> Volume:
        """Return values given at vertebrae, interpolated over heights."""
        z = [self.spine[name].centre[2] for name in names]
        return np.interp(height, z[::-1], values[::-1]).astype(np.float32)

    def _erector(self, window: Window, x: Volume, y: Volume, height: Volume, texture: Volume) -> None:
        t, m = self.tissues, self.muscles
        wide, deep, gap = m.erector
        names = ("C3", "T1", "T6", "T12", "L3", "S1")
        a = self._rows(names, (0.7, 0.75, 0.62, 0.9, 1.05, 0.8), height) * np.float32(wide)
        b = self._rows(names, (0.7, 0.8, 0.6, 0.85, 1.1, 0.8), height) * np.float32(deep)
        back = self._rows(names, (30, 44, 60, 58, 51, 47), height)
        u, v = (np.abs(x) - np.float32(gap) - a) / a, (y - back) / b
        rho = np.sqrt(u * u + v * v) + TINY
        distance = np.minimum((1 - rho) * np.minimum(a, b), self.muscle[window])
        faded = t.muscle + texture * np.float32(1.5)
        faded = faded + np.float32(m.wasting) * np.clip(v, 0, 1) * np.float32(t.fat - t.muscle)
        self.canvas.solid(window, distance, faded)

    def _psoas(self, window: Window, x: Volume, y: Volume, height: Volume, texture: Volume) -> None:
        names = ("T12", "L1", "L2", "L3", "L4", "S1")
        if height.min() > self.spine["T12"].centre[2] + 20:
            return
        m = self.muscles
        radius = self._rows(names, (0.05, 0.32, 0.6, 0.85, 1.0, 0.85), height) * np.float32(m.psoas)
        radius = radius * (height < np.float32(self.spine["T12"].centre[2]))
        side = self._rows(names, (20, 24, 30, 36, 41, 56), height)
        forward = self._rows(names, (8, 6, 4, 2, -4, -24), height)
        u, v = (np.abs(x) - side) / (radius + TINY), (y - forward) / (1.15 * radius + TINY)
        distance = np.where(radius > 1.5, (1 - np.sqrt(u * u + v * v)) * radius, -10)
        self.canvas.solid(window, distance, self.tissues.muscle + texture)
        wide, deep = m.quadratus
        u, v = (np.abs(x) - np.float32(62)) / np.float32(wide), (y - np.float32(30)) / np.float32(deep)
        share = self._rows(("T12", "L1", "L3", "L5", "S1"), (0.0, 0.6, 1.0, 1.0, 0.0), height)
        square = (1 - np.sqrt(u * u + v * v)) * np.float32(deep) - 40 * (1 - share)
        self.canvas.solid(window, square, self.tissues.muscle + texture)
