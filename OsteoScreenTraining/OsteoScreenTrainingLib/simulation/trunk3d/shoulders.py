"""Shoulder girdle, sternum, arms and head: what surrounds the upper spine on a CT of the chest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .canvas import Canvas
from .person import Person
from .shapes import capsule, ellipsoid, triangle
from .spine import Spine
from .tissues import Tissues
from .tubes import flat_tube, paint_tube, resample, tube
from .wall import Wall


@dataclass(frozen=True)
class Girdle:
    """The shoulders; places by side in body mm. ``arms_up`` as on most CT of the trunk.

    scapula : side -> (5, 3): upper corner, lower corner, glenoid, acromion, root of the spine
    arms : side -> (N, 3) from the shoulder over the elbow to the wrist
    sternum : (N, 3) from the notch down to the xiphoid's tip
    """

    arms_up: bool
    scapula: dict[str, NDArray[np.float64]]
    arms: dict[str, NDArray[np.float64]]
    sternum: NDArray[np.float64]
    scale: float
    arm_mm: float
    fat_mm: float

    @classmethod
    def random(cls, rng: np.random.Generator, person: Person, spine: Spine, wall: Wall) -> Girdle:
        """Draw the shoulders; arms are up in four of five."""
        up = bool(rng.random() < 0.8)
        lift = float(rng.uniform(15, 55)) if up else float(rng.uniform(-15, 12))
        scapula, arms = {}, {}
        size = (person.height_cm / 175) * (1.0 if person.sex == "M" else 0.92)
        top, low = spine["T2"].centre[2], spine["T7"].centre[2]
        for side, sign in (("left", 1), ("right", -1)):
            z = lift + float(rng.normal(0, 5))
            swing = np.radians(rng.uniform(14, 32) if up else rng.uniform(-3, 6))
            out = float(rng.uniform(16, 24))
            lateral = np.radians(rng.uniform(46, 62) if up else rng.uniform(32, 42))
            angles = sign * np.array([lateral, lateral + np.radians(9) + swing])
            corners = wall.point(np.array([top + 4 + 0.5 * z, low + 0.6 * z]), angles, out)
            glenoid = np.array([sign * (150 - 0.3 * max(lift, 0)) * size, corners[0][1] - 34 * size, top - 4 + z])
            acromion = glenoid + np.array([sign * 16, 10, 30]) * size
            root = 0.7 * corners[0] + 0.3 * corners[1] + np.array([0, 5, 0])
            scapula[side] = np.stack([corners[0], corners[1], glenoid, acromion, root])
            arms[side] = _arm(rng, glenoid, sign, size, up)
        return cls(
            arms_up=up,
            scapula=scapula,
            arms=arms,
            sternum=_sternum(rng, spine, wall),
            scale=size,
            arm_mm=float(rng.uniform(30, 46)) * (person.bmi / 26) ** 0.4 * size,
            fat_mm=float(rng.uniform(3, 14)) * (person.bmi / 26),
        )

    def paint_soft(self, canvas: Canvas, tissues: Tissues) -> None:
        """Paint the flesh of shoulders and arms, before the trunk is painted over it."""
        for thick, hu in ((self.fat_mm, tissues.fat), (0.0, tissues.muscle)):
            for line in self.arms.values():
                radii = np.interp(np.arange(len(line)), [0, 1, len(line) - 1], [1.45, 1.1, 0.7]) * self.arm_mm + thick
                paint_tube(canvas, line, radii, hu, step=25.0)
            for corners in self.scapula.values():
                chest = 0.5 * corners[2] + 0.5 * corners[0] + np.array([0, -28, -30])
                lump = np.array([58, 46, 64]) * self.scale + thick
                window = canvas.around(chest, float(lump.max()))
                if window is not None:
                    canvas.solid(window, ellipsoid(canvas.axes(window), chest, lump), hu)
                blade = canvas.around(corners, 30 + thick)
                if blade is not None:
                    depth = np.float32(20 * self.scale + thick) - triangle(canvas.axes(blade), corners[:3])
                    canvas.solid(blade, depth, hu)

    def paint_bones(self, canvas: Canvas, tissues: Tissues) -> None:
        """Paint sternum, clavicles, scapulae and the bones of the arms."""
        self._paint_sternum(canvas, tissues)
        for corners in self.scapula.values():
            self._paint_scapula(canvas, tissues, corners)
            self._paint_clavicle(canvas, tissues, corners)
        for line in self.arms.values():
            self._paint_humerus(canvas, tissues, line)

    def _paint_sternum(self, canvas: Canvas, tissues: Tissues) -> None:
        line = resample(self.sternum, 8.0)
        place = np.linspace(0, 1, len(line))
        wide = np.interp(place, [0, 0.15, 0.28, 0.5, 0.8, 0.9, 1], [30, 32, 17, 18, 20, 9, 6]) * self.scale
        thick = np.interp(place, [0, 0.25, 0.8, 1], [7, 5.5, 5, 3]) * self.scale
        # A flat tube is wide across ``across`` and the line: here that is to the sides.
        forward = np.tile([0.0, -1.0, 0.0], (len(line), 1))
        found = flat_tube(canvas, line, forward, thick, wide)
        if found is not None:
            canvas.shell(*found, 1.0, 0.75 * tissues.cortex, tissues.rib_marrow)

    def _paint_scapula(self, canvas: Canvas, tissues: Tissues, corners: NDArray[np.float64]) -> None:
        window = canvas.around(corners, 22)
        if window is None:
            return
        axes = canvas.axes(window)
        upper, lower, glenoid, acromion, root = corners
        k = self.scale
        solids = [
            np.float32(0.7 * k) - triangle(axes, np.stack([upper, lower, glenoid])),
            capsule(axes, lower, glenoid, 4.2 * k, 6.5 * k),
            capsule(axes, lower, upper, 2.0 * k),
            capsule(axes, root, acromion, 3.2 * k, 6.0 * k),
            capsule(axes, glenoid, glenoid + (glenoid - upper) * 0.02, 13.0 * k),
            capsule(axes, 0.7 * glenoid + 0.3 * upper, glenoid + np.array([0, -26, 14]) * k, 5.0 * k),
        ]
        canvas.shell(window, np.maximum.reduce(solids), 1.3, tissues.cortex, tissues.arch_marrow)

    def _paint_clavicle(self, canvas: Canvas, tissues: Tissues, corners: NDArray[np.float64]) -> None:
        sign = np.sign(corners[2][0])
        start = self.sternum[0] + np.array([sign * 24 * self.scale, 2, 2])
        end = corners[3]
        bow = np.array([0, -12, 4]) * self.scale
        line = np.stack([start, 0.65 * start + 0.35 * end + bow, 0.3 * start + 0.7 * end - 0.4 * bow, end])
        fine = resample(line, 12.0)
        radii = np.interp(np.linspace(0, 1, len(fine)), [0, 0.15, 0.6, 1], [10, 6.3, 5.5, 7]) * self.scale
        found = tube(canvas, fine, radii)
        if found is not None:
            canvas.shell(*found, 1.8, tissues.cortex, tissues.arch_marrow)

    def _paint_humerus(self, canvas: Canvas, tissues: Tissues, line: NDArray[np.float64]) -> None:
        head = line[0]
        window = canvas.around(head, 28 * self.scale)
        if window is not None:
            distance = ellipsoid(canvas.axes(window), head, np.full(3, 23.5 * self.scale))
            canvas.shell(window, distance, 1.3, tissues.cortex, 0.4 * tissues.arch_marrow + 60)
        shaft = resample(line[: len(line) // 2 + 1], 20.0)
        radii = np.interp(np.linspace(0, 1, len(shaft)), [0, 0.2, 0.8, 1], [17, 11.5, 11, 18]) * self.scale
        found = tube(canvas, shaft, radii)
        if found is not None:
            canvas.shell(*found, 4.2 * self.scale, 1.1 * tissues.cortex, -20.0)
        for shift in (-14, 14):
            forearm = line[len(line) // 2 :] + np.array([0.0, shift, 0.0])
            if len(forearm) > 1:
                paint_tube(canvas, forearm, 7.0 * self.scale, 0.9 * tissues.cortex, step=30.0)


def _arm(
    rng: np.random.Generator, glenoid: NDArray[np.float64], sign: int, size: float, up: bool
) -> NDArray[np.float64]:
    """Return shoulder, mid upper arm, elbow, mid forearm and wrist."""
    head = glenoid + np.array([sign * 22, -6, 2 if not up else 8]) * size
    if up:
        spread = float(rng.uniform(-0.25, 0.65))
        direction = np.array([sign * spread, float(rng.uniform(-0.5, 0.15)), 1.0])
        bend = np.array([-sign * float(rng.uniform(0.2, 1.2)), float(rng.uniform(-0.3, 0.3)), 0.7])
    else:
        direction = np.array([sign * float(rng.uniform(0.05, 0.25)), float(rng.uniform(0.0, 0.12)), -1.0])
        bend = np.array([-sign * float(rng.uniform(-0.1, 0.5)), -float(rng.uniform(0.0, 0.9)), -0.8])
    direction /= np.linalg.norm(direction)
    bend /= np.linalg.norm(bend)
    elbow = head + direction * 300 * size
    return np.stack([head, head + direction * 150 * size, elbow, elbow + bend * 120 * size, elbow + bend * 240 * size])


def _sternum(rng: np.random.Generator, spine: Spine, wall: Wall) -> NDArray[np.float64]:
    """Return the line of the sternum in the front wall: from the notch (T2-T3) to the xiphoid (T9-T10)."""
    notch = spine["T2"].centre[2] - float(rng.uniform(-12, 28))
    tip = spine["T9"].centre[2] - float(rng.uniform(-22, 32))
    heights = np.linspace(notch, tip, 7)
    return wall.point(heights, np.full(7, np.pi), 6.0)


class Head:
    """A skull, a jaw and a face, for views that reach that far; as plain as can be."""

    def __init__(self, spine: Spine, person: Person) -> None:
        self.base, self.k = spine["C1"].centre, (person.height_cm / 172) ** 0.5
        self.neck = spine["C3"].centre

    def paint(self, canvas: Canvas, tissues: Tissues) -> None:
        """Paint flesh, skull and jaw."""
        k = self.k
        centre = self.base + np.array([0, -18, 72]) * k
        face = self.base + np.array([0, -62, 8]) * k
        window = canvas.window(face - np.array([82, 60, 66]) * k, centre + np.array([82, 102, 84]) * k)
        if window is None:
            return
        axes = canvas.axes(window)
        flesh = np.maximum(
            ellipsoid(axes, centre, np.array([80, 100, 82]) * k), ellipsoid(axes, face, np.array([58, 52, 62]) * k)
        )
        canvas.solid(window, flesh, tissues.fat)
        canvas.solid(window, flesh - np.float32(4), tissues.muscle)
        skull = ellipsoid(axes, centre, np.array([73, 92, 74]) * k)
        canvas.shell(window, skull, 6.5, tissues.cortex, 34.0)
        mouth = ellipsoid(axes, face + np.array([0, 0, 8]) * k, np.array([16, 30, 12]) * k)
        canvas.solid(window, mouth, -900.0)
        chin = np.array([0, self.base[1] - 104 * k, self.base[2] - 34 * k])
        for sign in (-1, 1):
            angle = self.base + np.array([sign * 47, -34, -18]) * k
            joint, body = self.base + np.array([sign * 50, -26, 22]) * k, 0.5 * (angle + chin) + [sign * 12, 0, 0]
            jaw = np.stack([joint, angle, body, chin])
            paint_tube(canvas, jaw, np.array([6, 7, 7.5, 8.5]) * k, 0.9 * tissues.cortex, step=12.0)
            teeth = jaw[1:] + np.array([-sign * 4, 6, 16]) * k
            paint_tube(canvas, teeth, 5.0 * k, 1.2 * tissues.cortex, step=12.0)
