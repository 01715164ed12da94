"""Diaphragm, lungs, heart, great vessels and airways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .canvas import Canvas, Window
from .shapes import Volume, ellipsoid
from .spine import Spine
from .tissues import Tissues
from .torso import Torso
from .tubes import paint_tube
from .wall import Wall


@dataclass(frozen=True)
class Diaphragm:
    """Two domes: side -> (x, y, z) of the top, radii across and along at which it has fallen by ``fall`` mm."""

    tops: dict[str, tuple[float, float, float]]
    radii: tuple[float, float]
    fall: float

    @classmethod
    def random(cls, rng: np.random.Generator, spine: Spine, wall: Wall) -> Diaphragm:
        """Draw the domes: the right one at T9 to T11, the left a little lower, their rear edges at T11 to L1."""
        high = spine["T10"].centre[2] + float(rng.normal(4, 16))
        tops = {}
        for side, sign in (("left", 1), ("right", -1)):
            z = high - (float(rng.normal(10, 8)) if side == "left" else 0.0)
            width = float(wall.row(wall.half_width, z))
            depth = float(wall.row(wall.half_depth, z))
            middle = float(wall.row(wall.centre_y, z)) - 0.15 * depth
            tops[side] = (sign * 0.5 * width, middle, z)
        depth = float(wall.row(wall.half_depth, high))
        return cls(tops, (0.66 * width, 1.12 * depth), float(rng.uniform(60, 105)))

    def height(self, x: Volume, y: Volume) -> Volume:
        """Return how high the diaphragm stands over each place of a plane."""
        left, right = (self._dome(x, y, self.tops[side]) for side in ("left", "right"))
        return np.where(x > 0, left, right)

    def _dome(self, x: Volume, y: Volume, top: tuple[float, float, float]) -> Volume:
        q = ((x - np.float32(top[0])) / np.float32(self.radii[0])) ** 2
        # In front it is hung up high, on the costal arch; behind it reaches far down.
        deep = y - np.float32(top[1])
        q = q + (deep * np.where(deep < 0, np.float32(0.5), np.float32(1.0)) / np.float32(self.radii[1])) ** 2
        return np.float32(top[2]) - np.float32(self.fall) * np.minimum(q, 2.5)


@dataclass(frozen=True)
class Chest:
    """What fills the chest; places are against the spine's axis, mm.

    mediastinum : how far it reaches to the left and right of the middle
    heart : half axes across, deep and tall, and how far it lies to the left
    collapse : HU of the lungs' lowest parts over their upper ones; effusion : side -> height of fluid, mm
    """

    diaphragm: Diaphragm
    mediastinum: tuple[float, float]
    heart: tuple[float, float, float, float]
    aorta_mm: float
    tortuous: float
    collapse: float
    effusion: dict[str, float]
    emphysema: bool
    calcium: NDArray[np.float64]
    size: float

    @classmethod
    def random(cls, rng: np.random.Generator, age: float, spine: Spine, wall: Wall, size: float) -> Chest:
        """Draw the chest of somebody ``age`` years old."""
        u = rng.uniform
        count = int(rng.poisson(max(age - 45, 0) / 6))
        return cls(
            diaphragm=Diaphragm.random(rng, spine, wall),
            mediastinum=(u(14, 30), u(14, 28)),
            heart=(u(40, 58) * size, u(36, 50) * size, u(44, 62) * size, u(8, 34)),
            aorta_mm=(u(9.5, 13.5) + 0.05 * (age - 50)) * size,
            tortuous=u(0, 1) * max(age - 40, 0) / 50,
            collapse=u(0, 120),
            effusion={side: u(20, 90) for side in ("left", "right") if rng.random() < 0.08},
            emphysema=bool(rng.random() < 0.12),
            calcium=rng.uniform(0, 1, (count, 3)),
            size=size,
        )


class ChestPainter:
    """Paints the chest on a canvas."""

    def __init__(self, canvas: Canvas, chest: Chest, torso: Torso, organs: Spine, tissues: Tissues) -> None:
        self.canvas, self.chest, self.torso, self.tissues = canvas, chest, torso, tissues
        self.spine = organs

    def at(self, name: str, x: float, y: float, up: float = 0.0) -> NDArray[np.float64]:
        """Return a place beside a vertebra: ``x`` to the left and ``y`` behind its centre, ``up`` over it."""
        c = self.spine[name].centre
        k = self.chest.size
        return np.array([0.75 * c[0] + x * k, c[1] + y * k, c[2] + up])

    def lungs(self, texture: Volume) -> None:
        """Paint both lungs, their vessels as ``texture`` (SD 1), and effusions."""
        canvas, c, t = self.canvas, self.chest, self.tissues
        low = self.spine["L2"].centre[2]
        window = canvas.window((-250, -300, low), (250, 150, self.torso.spine["C7"].centre[2]), 0)
        if window is None:
            return
        x, y, z = canvas.axes(window)
        over = z - c.diaphragm.height(x, y)
        distance = np.minimum(self.torso.cavity[window] - np.float32(2.5), over * np.float32(0.8))
        distance = np.minimum(distance, self._beside(window, x, y))
        # The first ribs bound it, wherever the rest lies.
        apex = np.float32(self.torso.spine["T1"].centre[2] + 8) - z
        distance = np.minimum(distance, apex)
        # Vessels are sparse and bright, the parenchyma between them dark: an exponential of a smooth field is alike.
        hu = t.lung + np.float32(t.lung_sd) * (np.exp(np.clip(0.9 * texture[window], -3, 2.6)) - 1)
        behind = np.clip((y - self._lowest_y()) / 90 + 1, 0, 1)
        hu = hu + np.float32(c.collapse) * behind**2
        if c.emphysema:
            hu = np.where(texture[window] < -0.5, -970, hu)
        canvas.solid(window, distance, np.clip(hu, -1000, 150))
        for side, height in c.effusion.items():
            half = (x > 0) if side == "left" else (x < 0)
            level = np.minimum(y - (self._lowest_y() - np.float32(height * 0.6)), np.float32(height * 2.5) - over)
            canvas.blend(window, canvas.coverage(np.minimum(distance, level)) * half, t.fluid)

    def _lowest_y(self) -> np.float32:
        """Return where the chest is deepest for somebody on his back."""
        return np.float32(self.spine["T8"].centre[1] + 50)

    def _beside(self, window: Window, x: Volume, y: Volume) -> Volume:
        """Return the distance from the mediastinum: narrow behind the heart, at the spine and in front."""
        c = self.chest
        height = self.torso.height[window[0]]
        sx, sy = (np.asarray(a, np.float32) for a in self.spine.at(height))
        front = y - sy
        left, right = (np.float32(m * c.size) for m in c.mediastinum)
        reach = np.where(x > sx, left, right)
        narrow = np.clip(1 - np.abs(front + 45) / 75, 0, 1)
        wide = np.float32(0.45) + np.float32(0.55) * narrow
        return np.abs(x - sx) - reach * wide - np.float32(6) * (front > -18)

    def heart(self) -> None:
        """Paint the heart in its fat, cut off by the diaphragm."""
        canvas, c, t = self.canvas, self.chest, self.tissues
        a, b, h, shift = c.heart
        centre = self.at("T8", shift, -24 - b - 8)
        # It rests on the diaphragm.
        domes = min(top[2] for top in c.diaphragm.tops.values())
        centre[2] = np.clip(domes + 0.45 * h, self.spine["T10"].centre[2], self.spine["T7"].centre[2] + 8)
        angle = np.radians(35)
        frame = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
        tip = np.radians(30)
        frame = frame @ np.array([[np.cos(tip), 0, np.sin(tip)], [0, 1, 0], [-np.sin(tip), 0, np.cos(tip)]])
        window = canvas.around(centre, max(a, b, h) * 1.3 + 10)
        if window is None:
            return
        axes = canvas.axes(window)
        floor = axes[2] - (c.diaphragm.height(axes[0], axes[1]) - np.float32(6))
        limit = np.minimum(self.torso.cavity[window] - np.float32(2), floor + np.float32(8))
        fat = np.minimum(ellipsoid(axes, centre, (1.35 * a + 6, b + 7, h + 6), frame), limit)
        canvas.solid(window, fat, t.visceral_fat)
        muscle = np.minimum(ellipsoid(axes, centre, (1.3 * a, b, h), frame), limit)
        canvas.solid(window, muscle, 0.8 * t.muscle + 0.25 * (t.vein - t.blood) + 5)
        rooms = (
            (22, -2, 0.5, t.artery), (-22, -10, 0.55, t.right_heart), (-14, 22, 0.45, t.artery),
            (-36, 12, 0.42, t.right_heart),
        )  # fmt: skip
        for x, y, r, hu in rooms:
            spot = centre + frame @ np.array([x * a / 50, y * b / 45, 4])
            room = ellipsoid(axes, spot, np.array([1.25 * a, b, h]) * r, frame)
            canvas.solid(window, np.minimum(room, muscle - 2), hu)

    def vessels(self, rng: np.random.Generator) -> None:
        """Paint aorta, caval veins, pulmonary arteries and the vessels of neck and pelvis."""
        c, t = self.chest, self.tissues
        r = c.aorta_mm
        bow = c.tortuous * rng.normal(0, 14, 4)
        self._veins(t, r)
        arch = [
            self.at("T7", -2, -72), self.at("T5", -16, -70), self.at("T4", -4, -52, 4), self.at("T4", 14, -30, 2),
            self.at("T5", 23, -14), self.at("T6", 23, -10 - 0.3 * r), self.at("T8", 21 + bow[0], -12 - 0.4 * r),
            self.at("T10", 14 + bow[1], -18 - 0.5 * r), self.at("T12", 5 + 0.5 * bow[1], -21 - 0.7 * r),
            self.at("L2", 5 + bow[2], -22 - 0.7 * r), self.at("L4", 2 + bow[3], -22 - 0.6 * r),
        ]  # fmt: skip
        radii = np.array([1.45, 1.4, 1.3, 1.15, 1.1, 1.08, 1.05, 1.0, 0.95, 0.8, 0.7]) * r
        paint_tube(self.canvas, np.array(arch), radii, t.artery, step=10, wall_mm=1.2, wall_hu=t.muscle)
        self._calcium(np.array(arch), radii)
        pulmonary = [self.at("T7", 8, -76), self.at("T6", 14, -62), self.at("T6", 8, -44)]
        paint_tube(self.canvas, np.array(pulmonary), 1.15 * r, t.right_heart)
        for sign in (-1, 1):
            branch = [self.at("T6", 6, -46), self.at("T6", sign * 30, -34), self.at("T8", sign * 58, -16, 8)]
            paint_tube(self.canvas, np.array(branch), np.array([0.95, 0.75, 0.4]) * r, t.right_heart)
            up = [self.at("T6", sign * 34, -36), self.at("T4", sign * 52, -38)]
            paint_tube(self.canvas, np.array(up), np.array([0.6, 0.3]) * r, t.right_heart)
            pulm_vein = [self.at("T7", sign * 14, -34), self.at("T8", sign * 44, -28)]
            paint_tube(self.canvas, np.array(pulm_vein), np.array([0.6, 0.35]) * r, t.artery)
            carotid = [
                self.at(name, sign * x, y)
                for name, x, y in (("T4", 8, -46), ("T1", 18, -38), ("C6", 26, -18), ("C3", 28, -16))
            ]
            paint_tube(self.canvas, np.array(carotid), np.array([0.5, 0.4, 0.3, 0.28]) * r, t.artery)
            low = np.array([sign * 62, 0, 0]) + self.at("S1", 0, -30, -40)
            iliac = [self.at("L4", 0, -30, -6), self.at("L5", sign * 22, -34), low]
            paint_tube(self.canvas, np.array(iliac), np.array([0.55, 0.5, 0.4]) * r, t.artery)

    def _veins(self, t: Tissues, r: float) -> None:
        paint = self.canvas
        way = (("L4", -14, -26), ("L2", -18, -27), ("T12", -20, -34), ("T10", -24, -50), ("T9", -22, -58))
        inferior = [self.at(*place) for place in way]
        paint_tube(paint, np.array(inferior), np.array([0.85, 0.9, 1.0, 1.05, 1.05]) * r, t.vein)
        superior = [self.at("T7", -24, -60), self.at("T4", -22, -56), self.at("T2", -18, -48)]
        paint_tube(paint, np.array(superior), 0.75 * r, t.right_heart)
        for sign in (-1, 1):
            neck = [self.at(name, sign * x, y) for name, x, y in (("T2", 24, -48), ("C7", 36, -24), ("C4", 36, -14))]
            jugular = [self.at("T3", -12, -54), *neck]
            paint_tube(paint, np.array(jugular), np.array([0.65, 0.6, 0.5, 0.45]) * r, t.vein)
            low = np.array([sign * 58, 0, 0]) + self.at("S1", 0, -20, -45)
            iliac = [self.at("L4", -12, -26, -4), self.at("S1", sign * 32, -22), low]
            paint_tube(paint, np.array(iliac), np.array([0.7, 0.6, 0.45]) * r, t.vein)

    def _calcium(self, line: NDArray[np.float64], radii: NDArray[np.float64]) -> None:
        """Paint plaques in the aorta's wall."""
        for place, angle, size in self.chest.calcium:
            index = int((0.15 + 0.85 * place) * (len(line) - 1))
            turn = 2 * np.pi * angle
            spot = line[index] + radii[index] * np.array([np.cos(turn), np.sin(turn), 2 * size - 1])
            window = self.canvas.around(spot, 8)
            if window is not None:
                solid = ellipsoid(self.canvas.axes(window), spot, np.array([1.5, 1.5, 3.0]) * (0.8 + size))
                self.canvas.solid(window, solid, 300 + 900 * size)

    def airways(self, rng: np.random.Generator) -> None:
        """Paint pharynx, trachea and main bronchi, thyroid and gullet."""
        t, k = self.tissues, self.chest.size
        way = (("C6", 2, -17), ("T2", 5, -24), ("T5", 3, -26), ("T8", 8, -32), ("T10", 16, -42))
        gullet = [self.at(*place) for place in way]
        paint_tube(self.canvas, np.array(gullet), 7.0 * k, t.muscle)
        if rng.random() < 0.3:
            paint_tube(self.canvas, np.array(gullet[1:4]), 2.8 * k, -700.0)
        for sign in (-1, 1):
            lobe = np.array([self.at("C6", sign * 19, -28, -4), self.at("T1", sign * 17, -34, 4)])
            paint_tube(self.canvas, lobe, 9.0 * k, t.thyroid)
        carina = self.at("T5", 2, -38, 4)
        wind = [self.at("C3", 0, -22), self.at("C5", 0, -27), self.at("C7", 0, -36), self.at("T2", 1, -42), carina]
        paint_tube(self.canvas, np.array(wind), np.array([8, 7, 8.5, 9, 9]) * k, -985.0, wall_mm=2.0, wall_hu=90.0)
        for sign, y, up in ((1, -30, -16), (-1, -30, -20)):
            bronchus = [carina, self.at("T6", sign * 24, y, 4), self.at("T7", sign * 44, y + 6, up + 12)]
            paint_tube(self.canvas, np.array(bronchus), np.array([7.5, 6, 4]) * k, -970.0, wall_mm=1.6, wall_hu=40.0)
