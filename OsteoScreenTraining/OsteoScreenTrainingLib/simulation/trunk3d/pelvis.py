"""Sacrum, hip bones and the upper ends of the femora."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .canvas import Canvas
from .levels import BODY_LABELS, DISC_LABEL, SACRUM_LABEL
from .person import Person
from .shapes import Axes, Volume, capsule, ellipsoid, local, segment_2d
from .spine import Spine
from .tissues import Tissues
from .tubes import flat_tube, resample

#: Half widths of the sacrum's five segments with its wings, and their depth, against S1's half width and depth of body
#: (read off the real CT beside the project).
SACRAL_WIDTH, SACRAL_DEPTH = (1.8, 2.0, 1.55, 1.2, 0.85), (0.75, 0.72, 0.6, 0.45, 0.35)
#: The wing of the hip bone by its height against S1's centre, mm at scale 1: (x, y) of its rear and front edge and its
#: half thickness. Between crest and hip joint it narrows; y against S1's centre.
WING = (
    (34.0, (88, 22), (112, 4), 4.5), (22.0, (68, 38), (122, -14), 4.2), (8.0, (54, 46), (128, -32), 4.0),
    (-14.0, (50, 48), (126, -50), 4.5), (-40.0, (56, 40), (119, -58), 6.0), (-62.0, (68, 24), (110, -56), 8.5),
    (-84.0, (80, 4), (104, -46), 11.0),
)  # fmt: skip
#: The hip joint against S1's centre, mm at scale 1; the femoral head's radius.
HIP, HEAD_MM = (88.0, -24.0, -108.0), 23.5


@dataclass(frozen=True)
class Pelvis:
    """The pelvis about S1; ``size`` scales it, ``flare`` turns the wings out."""

    origin: NDArray[np.float64]
    size: float
    flare: float
    tilt: NDArray[np.float64]
    fusion: float
    free: float

    @classmethod
    def random(
        cls, rng: np.random.Generator, person: Person, spine: Spine, sacralised: float, lumbarised: float
    ) -> Pelvis:
        """Draw the pelvis of a person; it leans with the sacrum, half as far."""
        s1 = spine["S1"]
        slope = np.arctan2(s1.frame[1, 2], s1.frame[2, 2]) + np.radians(36 * 0.9)
        c, s = np.cos(-0.6 * slope), np.sin(-0.6 * slope)
        tilt = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
        size = (person.height_cm / 172) ** 0.7 * float(rng.normal(1.0, 0.04))
        return cls(s1.centre, size, float(rng.uniform(0.88, 1.12)), tilt, sacralised, lumbarised)

    def place(self, sign: int, point: tuple[float, float, float]) -> NDArray[np.float64]:
        """Return the body place of a pelvic one on the left (1) or right (-1)."""
        return self.origin + self.tilt @ (np.array([sign * point[0], point[1], point[2]]) * self.size)

    def paint_sacrum(self, canvas: Canvas, spine: Spine, tissues: Tissues) -> None:
        """Paint the sacrum but for the body of S1, and the wings that a sacralised last vertebra has."""
        s1 = spine["S1"]
        marrow = 0.5 * tissues.trabecular + 10
        window = canvas.around(np.array([s1.centre, *(s.centre for s in spine.sacrum)]), 2.4 * s1.half_width + 10)
        if window is None:
            return
        axes = canvas.axes(window)
        parts = (s1, *spine.sacrum)
        solids = [self._crest(axes, spine)]
        # The whole of it, wings and all, is one flat tube down its curve; S1's wings are of their own.
        line = np.array([part.point(0, 0.15 * part.half_depth, 0) for part in parts] + [parts[-1].point(0, -4, -24)])
        wide = np.array([s1.half_width * share for share in (*SACRAL_WIDTH, 0.45)])
        wide[0] *= 1 - 0.45 * self.free
        thick = np.array([s1.half_depth * share for share in (*SACRAL_DEPTH, 0.25)])
        fine = resample(line, 7.0)
        place, knots = np.linspace(0, 1, len(fine)), np.linspace(0, 1, len(line))
        across = np.array([part.frame[:, 1] for part in (*parts, parts[-1])])
        normals = np.stack([np.interp(place, knots, across[:, n]) for n in range(3)], axis=1)
        found = flat_tube(canvas, fine, normals, np.interp(place, knots, thick), np.interp(place, knots, wide))
        if found is not None:
            canvas.shell(*found, 0.9, 0.9 * tissues.cortex, marrow, SACRUM_LABEL)
        for sign in (-1, 1):
            root = s1.point(0, 0, 0.1 * s1.half_height)
            tip = s1.point(sign * s1.half_width * 1.9, 4, -0.35 * s1.half_height)
            solids.append(capsule(axes, root, tip, 12.0, 14.0 * (1 - 0.5 * self.free)))
        canvas.shell(window, np.maximum.reduce(solids), 1.0, 0.9 * tissues.cortex, marrow, SACRUM_LABEL)
        for part in spine.sacrum[:3]:
            disc = np.float32(0.9) - np.abs(local(axes, part.point(0, 0, part.half_height + 0.4), part.frame)[2])
            radii = (part.half_width * 0.8, part.half_depth * 0.8, 9)
            near = ellipsoid(axes, part.point(0, 0, part.half_height), radii)
            canvas.blend(window, canvas.coverage(np.minimum(disc, near)), 120.0)
        self._paint_fusion(canvas, spine, tissues)

    def _crest(self, axes: Axes, spine: Spine) -> Volume:
        """Return the distance of the bone that closes the canal behind."""
        solids = []
        for part, width in zip((spine["S1"], *spine.sacrum), SACRAL_WIDTH, strict=True):
            crest = part.point(0, part.half_depth + part.canal_depth * 0.8, 0)
            solids.append(capsule(axes, crest, crest - part.frame[:, 2] * part.half_height * 1.6, 4.5))
            for sign in (-1, 1):
                flank = part.point(sign * 0.5 * width * part.half_width, part.half_depth + 2, 0)
                solids.append(capsule(axes, crest, flank, 4.0))
        return np.maximum.reduce(solids)

    def _paint_fusion(self, canvas: Canvas, spine: Spine, tissues: Tissues) -> None:
        """Paint the wide transverse processes of a sacralised last vertebra."""
        if not self.fusion:
            return
        last, s1 = spine.vertebrae[-2], spine.vertebrae[-1]
        for sign in (-1, 1):
            start = last.point(sign * last.half_width * 0.9, last.half_depth * 0.6, 0)
            tip = last.point(sign * (last.half_width + 24), last.half_depth * 0.5, -2)
            wing = s1.point(sign * s1.half_width * 1.5, 0, s1.half_height * 0.5)
            window = canvas.around(np.stack([start, tip, wing]), 16)
            if window is None:
                continue
            axes = canvas.axes(window)
            reach = tip + (wing - tip) * min(self.fusion * 1.1, 1.0)
            solid = np.maximum(
                capsule(axes, start, tip, 6 + 6 * self.fusion), capsule(axes, tip, reach, 7 + 5 * self.fusion)
            )
            canvas.shell(window, solid, 1.2, tissues.cortex, tissues.arch_marrow, 100 + BODY_LABELS[last.name])

    def paint_s1_disc(self, canvas: Canvas, spine: Spine, tissues: Tissues) -> None:
        """Paint the disc that a lumbarised S1 has under it."""
        if not self.free:
            return
        s1 = spine["S1"]
        centre = s1.point(0, 0, -s1.half_height - 2.5)
        window = canvas.around(centre, s1.half_width + 4)
        if window is None:
            return
        u, v, w = local(canvas.axes(window), centre, s1.frame)
        flat = np.float32(3.2 * self.free) - np.abs(w)
        round_ = 1 - np.sqrt((u / np.float32(0.9 * s1.half_width)) ** 2 + (v / np.float32(0.9 * s1.half_depth)) ** 2)
        canvas.solid(window, np.minimum(flat, round_ * np.float32(s1.half_depth)), tissues.disc, DISC_LABEL)

    def paint_hips(self, canvas: Canvas, tissues: Tissues) -> None:
        """Paint both hip bones and femora."""
        for sign in (-1, 1):
            self._paint_wing(canvas, sign, tissues)
            self._paint_hip(canvas, sign, tissues)

    def _paint_wing(self, canvas: Canvas, sign: int, tissues: Tissues) -> None:
        edges = [
            self.place(sign, (x * (self.flare if front else 1.0), y, z))
            for z, rear, frontal, _ in WING
            for front, (x, y) in ((False, rear), (True, frontal))
        ]
        window = canvas.around(np.array(edges), 14)
        if window is None:
            return
        x, y, z = local(canvas.axes(window), self.origin, self.tilt)
        x, y, z = x * np.float32(sign / self.size), y * np.float32(1 / self.size), z * np.float32(1 / self.size)
        table = np.array([(h, *rear, *front, thick) for h, rear, front, thick in WING[::-1]])
        height = np.clip(z, table[0, 0], table[-1, 0])
        rx, ry, fx, fy, thick = (np.interp(height, table[:, 0], table[:, n]).astype(np.float32) for n in range(1, 6))
        along, distance = segment_2d(x, y, (rx, ry), (fx * np.float32(self.flare), fy))
        # The rear third, at the joint with the sacrum, is twice as thick as the wing's middle.
        thick = thick * (0.75 + 0.9 * np.clip(1 - along * 2.2, 0, 1) + 0.35 * np.clip(along * 4 - 3, 0, 1))
        beyond = np.abs(z - height)
        solid = (thick - np.sqrt(distance**2 + beyond**2)) * np.float32(self.size)
        canvas.shell(window, solid, 1.6, 0.9 * tissues.cortex, tissues.rib_marrow + 30)

    def _paint_hip(self, canvas: Canvas, sign: int, tissues: Tissues) -> None:
        hip = self.place(sign, HIP)
        k = self.size
        symphysis = self.place(sign, (9, -72, -118))
        ischium = self.place(sign, (58, 20, -168))
        knee = hip + np.array([sign * 20, 0, -160]) * k
        window = canvas.around(np.stack([hip + [sign * 75 * k, 0, 0], symphysis, ischium, knee]), 22 * k)
        if window is None:
            return
        axes = canvas.axes(window)
        x, _, z = axes
        socket = ellipsoid(axes, hip, np.full(3, 33.0 * k))
        inside = np.maximum(np.float32(sign) * (np.float32(hip[0]) - x), z - np.float32(hip[2])) + np.float32(4)
        cup = np.minimum(np.minimum(socket, inside), -ellipsoid(axes, hip, np.full(3, 27.0 * k)))
        low = self.place(sign, (20, -62, -145))
        bones = [
            cup,
            capsule(axes, self.place(sign, (70, -48, -100)), symphysis, 9.0 * k),
            capsule(axes, symphysis, low, 7.5 * k),
            capsule(axes, low, ischium, 6.0 * k),
            capsule(axes, hip + np.array([-sign * 8, 26, -14]) * k, ischium, 13.0 * k),
        ]
        canvas.shell(window, np.maximum.reduce(bones), 1.5, 0.9 * tissues.cortex, tissues.rib_marrow + 30)
        canvas.solid(window, ellipsoid(axes, hip, np.full(3, 26.5 * k)), 60.0)
        trochanter = hip + np.array([sign * 58, 8, -22]) * k
        shaft = hip + np.array([sign * 54, 4, -52]) * k
        femur = [
            ellipsoid(axes, hip, np.full(3, HEAD_MM * k)),
            capsule(axes, hip, trochanter, 14.0 * k),
            capsule(axes, trochanter, shaft, 18.0 * k, 15.0 * k),
            capsule(axes, shaft, knee, 15.0 * k),
        ]
        distance = np.maximum.reduce(femur)
        canvas.solid(window, distance, 0.9 * tissues.cortex)
        canvas.blend(window, canvas.coverage(distance - np.float32(1.8)), 0.6 * tissues.trabecular + 90)
