"""One vertebra on a canvas: disc, body, arch and processes, and what age and surgeons add to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import tissue
from .canvas import Canvas, Window
from .levels import BODY_LABELS, DISC_LABEL, POSTERIOR_LABEL
from .shapes import Axes, Volume, capsule, cylinder_section, local
from .spine import Vertebra
from .tissues import Tissues

#: Half width of the canal against a body's; L1's canal is 23.7 mm wide over a body of 41.2 (Panjabi 1992).
CANAL_WIDTH = {"C": 0.62, "T": 0.34, "L": 0.29, "S": 0.28}


@dataclass(frozen=True)
class Arch:
    """What lies behind a body, in mm against its half width ``s`` = 20.6 (L1's).

    span : from the middle to the tip of a transverse process, its way back and up
    spinous : length, drop and height of the spinous process
    pedicle : half its width, half its height
    facet : radius of the articular processes
    """

    span: float
    span_back: float
    span_up: float
    spinous: float
    spinous_drop: float
    spinous_height: float
    pedicle: tuple[float, float]
    facet: float


#: By place in the column; between them it is interpolated. From Panjabi's spans (L1 71 mm, L3 90, T1 75, T12 47) and
#: spinous lengths (68 mm from the body's back at L1), recalled; the thoracic drop as the processes overlap there.
ARCHES = {
    "C2": Arch(26, 4, 0, 18, 8, 9, (3.2, 4), 4.6), "C4": Arch(26, 2, 0, 17, 7, 6, (2.8, 3.2), 4.6),
    "C7": Arch(34, 7, 1, 34, 12, 5.5, (3.2, 3.6), 4.8), "T1": Arch(37, 14, 4, 34, 18, 6.5, (3.8, 4.4), 4.8),
    "T4": Arch(31, 22, 7, 34, 32, 7.5, (2.8, 5.0), 4.4), "T8": Arch(29, 24, 9, 34, 36, 8.5, (3.2, 5.6), 4.4),
    "T11": Arch(26, 17, 6, 28, 15, 10, (4.4, 7.2), 4.8), "T12": Arch(24, 12, 3, 27, 9, 11, (4.5, 7.4), 5.2),
    "L1": Arch(36, 10, 1, 30, 7, 12, (4.3, 7.2), 5.6), "L3": Arch(45, 8, 2, 31, 6, 13, (5.2, 7.2), 6.2),
    "L5": Arch(45, 12, 5, 23, 6, 9, (8.5, 7.2), 7.0), "S1": Arch(20, 14, 0, 14, 6, 8, (7, 7), 6),
}  # fmt: skip


#: Density of trabecular bone against L1's, by place in the column: T9 to L4 as in this package's other simulations;
#: higher up, from quantitative CT's finding that the neck is half as dense again and more (recalled).
DENSITY = {"C2": 1.65, "C7": 1.45, "T1": 1.35, "T5": 1.22, "T9": 1.12, "L1": 1.0, "L4": 0.97, "S1": 0.97}
#: What trabecular bone without mineral measures, HU (tissue.TRABECULAR_HU_AT_ZERO).
NO_MINERAL_HU = tissue.TRABECULAR_HU_AT_ZERO


def trabecular_hu(vertebra: Vertebra, names: tuple[str, ...], l1_hu: float) -> float:
    """Return the HU of a body's core in the column ``names`` whose L1 measures ``l1_hu``."""
    known = [name for name in DENSITY if name in names]
    factor = float(
        np.interp(names.index(vertebra.name), [names.index(name) for name in known], [DENSITY[name] for name in known])
    )
    return NO_MINERAL_HU + factor * (l1_hu - NO_MINERAL_HU)


def arch_of(vertebra: Vertebra, names: tuple[str, ...]) -> Arch:
    """Return the arch of a vertebra in the column ``names``, by its place between the tabled ones."""
    known = [name for name in ARCHES if name in names]
    places = [names.index(name) for name in known]
    here = names.index(vertebra.name)

    def between(values: list[float]) -> float:
        return float(np.interp(here, places, values))

    rows = [ARCHES[name] for name in known]
    return Arch(
        span=between([row.span for row in rows]),
        span_back=between([row.span_back for row in rows]),
        span_up=between([row.span_up for row in rows]),
        spinous=between([row.spinous for row in rows]),
        spinous_drop=between([row.spinous_drop for row in rows]),
        spinous_height=between([row.spinous_height for row in rows]),
        pedicle=(between([row.pedicle[0] for row in rows]), between([row.pedicle[1] for row in rows])),
        facet=between([row.facet for row in rows]),
    )


@dataclass(frozen=True)
class Wear:
    """Osteophytes of a body: how far its rims stand out (mm), and the waves of that around it."""

    rim_mm: float
    phases: tuple[float, float]
    sclerosis: float

    @classmethod
    def random(cls, rng: np.random.Generator, age: float) -> Wear:
        """Draw the wear of one level; little below forty."""
        worn = float(np.clip((age - 35) / 45, 0, 1.2))
        rim = float(rng.exponential(1.3)) * worn
        sclerosis = float(rng.uniform(50, 350)) if rng.random() < 0.12 * worn else 0.0
        return cls(min(rim, 6.0), (float(rng.uniform(0, 6.3)), float(rng.uniform(0, 6.3))), sclerosis)


class VertebraPainter:
    """Paints one vertebra; every method needs no other but for the order: disc, arch, body."""

    def __init__(
        self, canvas: Canvas, vertebra: Vertebra, arch: Arch, wear: Wear, tissues: Tissues, grain: Volume
    ) -> None:
        self.canvas, self.vertebra, self.arch, self.wear, self.tissues = canvas, vertebra, arch, wear, tissues
        self.grain = grain
        self.body_label = BODY_LABELS[vertebra.name]

    def _window(self, low: tuple[float, ...], high: tuple[float, ...]) -> tuple[Window, Axes] | None:
        """Return the voxels of a box in the vertebra's frame, and their coordinates in it."""
        v = self.vertebra
        corners = np.array([[(low, high)[(n >> a) & 1][a] for a in range(3)] for n in range(8)])
        window = self.canvas.around(v.centre + corners @ v.frame.T, 1.0)
        return None if window is None else (window, local(self.canvas.axes(window), v.centre, v.frame))

    def disc(self, below: Vertebra | None, hu: float, grow: float) -> None:
        """Paint the disc under the body; ``grow`` is how far it bulges, mm. The bodies are painted over it."""
        v = self.vertebra
        if below is None:
            return
        upper, lower = v.endplates()[1], below.endplates()[0]
        middle = (upper + lower) / 2
        frame = v.frame + below.frame
        frame /= np.linalg.norm(frame, axis=0)
        # As thick as the gap at the deeper edge of both endplates: what is too much, the bodies hide.
        half = float(np.linalg.norm(upper - lower)) / 2 + v.dip + 2.5
        width, depth = (v.half_width + below.half_width) / 2 + grow, (v.half_depth + below.half_depth) / 2 + grow
        window = self.canvas.around(middle, max(width, depth) + 4)
        if window is None:
            return
        u, w_back, w = local(self.canvas.axes(window), middle, frame)
        distance = np.minimum(cylinder_section(u, w_back, (width, depth), v.squareness), half - np.abs(w))
        self.canvas.solid(window, distance, hu, DISC_LABEL)

    def _body_distance(self, axes: Axes) -> tuple[Volume, Volume]:
        """Return the distances from the side wall and from the nearer endplate."""
        u, v, w = axes
        b = self.vertebra
        # The back of a body is hollow: seen from the side nothing changes, in the axial cut it looks like a kidney.
        hollow = np.float32(0.12 * b.half_depth) * np.clip(1 - (u / np.float32(0.7 * b.half_width)) ** 2, 0, 1)
        deep = v + hollow * (v > 0) * np.clip(v / np.float32(b.half_depth), 0, 1)
        side = cylinder_section(u, deep, (b.half_width, b.half_depth), b.squareness)
        rho2 = np.clip((u / np.float32(b.half_width)) ** 2 + (v / np.float32(b.half_depth)) ** 2, 0, 1.2)
        lost: Volume = np.asarray(b.loss(np.clip(v, -b.half_depth, b.half_depth)), np.float32)
        lean = np.float32(0.5 * b.wedge / b.half_depth) * v
        half, dip = np.float32(b.half_height), np.float32(b.dip) * (1 - rho2)
        if b.fracture is not None and b.fracture.kind == "biconcave":
            lost = lost * (1 - 0.75 * rho2)
        top = half * (1 - np.float32(1.5) * lost) - lean - dip
        bottom = -half * (1 - np.float32(0.5) * lost) + lean + dip
        height = np.minimum(top - w, w - bottom)
        near_rim = np.exp(-((height / 3.0) ** 2)) * (height > -2.5)
        side = side - np.float32(b.waist * b.half_width) * np.clip(1 - (2 * w / (top - bottom + 0.1)) ** 2, 0, 1)
        if self.wear.rim_mm > 0.3:
            first, second = self.wear.phases
            angle = np.arctan2(v, u)
            waves = np.clip(0.35 + 0.5 * np.sin(angle + first) + 0.5 * np.sin(2 * angle + second), 0, 1.4)
            side = side + np.float32(self.wear.rim_mm) * near_rim * waves * (v < np.float32(0.7 * b.half_depth))
        return side, height

    def body(self) -> None:
        """Paint the body: cortex, endplates, trabecular bone."""
        b, t = self.vertebra, self.tissues
        reach = self.wear.rim_mm + 1.5
        found = self._window(
            (-b.half_width - reach, -b.half_depth - reach, -b.half_height - 4),
            (b.half_width + reach, b.half_depth + reach, b.half_height + 4),
        )
        if found is None or b.name == "C1":
            return
        window, axes = found
        side, height = self._body_distance(axes)
        distance = np.minimum(side, height)
        self.canvas.solid(window, distance, t.cortex, self.body_label)
        grain = self.grain[window] * np.float32(t.texture_sd)
        # Cores are denser towards the endplates (judged), and denser where the bone is crushed together.
        trabecular = t.trabecular + grain + np.float32(0.25 * abs(t.trabecular)) * np.exp(-np.clip(height, 0, 40) / 4)
        if b.fracture is not None:
            trabecular += np.float32(220 * b.fracture.middle)
        if self.wear.sclerosis:
            trabecular += np.float32(self.wear.sclerosis) * np.exp(-np.clip(height, 0, 40) / 5)
        # The basivertebral vein, at the middle of the body's back.
        deep = axes[1] - np.float32(0.6 * b.half_depth)
        vein = np.exp(-((axes[0] / 5) ** 2) - (deep / 7) ** 2 - (axes[2] / 4) ** 2)
        trabecular = trabecular - np.float32(0.4 * abs(t.trabecular) + 20) * vein
        inside = np.minimum(side - np.float32(0.7 * t.cortex_mm), height - np.float32(t.endplate_mm))
        self.canvas.blend(window, self.canvas.coverage(inside), trabecular)
        if b.name == "C2":
            self._dens()

    def _dens(self) -> None:
        b, t = self.vertebra, self.tissues
        window = self.canvas.around(np.stack([b.point(0, 0, 0), b.point(0, -1, b.half_height + 16)]), 8)
        if window is not None:
            distance = capsule(self.canvas.axes(window), b.point(0, 0, 0), b.point(0, -1, b.half_height + 13), 5.0)
            self.canvas.shell(window, distance, t.rib_cortex_mm, t.cortex, t.arch_marrow, self.body_label)

    def atlas(self) -> None:
        """Paint C1: two lateral masses and a ring."""
        t = self.tissues
        found = self._window((-42, -16, -14), (42, 46, 14))
        if found is None:
            return
        window, axes = found
        solids = [capsule(axes, (0, -9, 0), (12 * s, -5, 0), 3.5) for s in (-1, 1)]
        for s in (-1, 1):
            solids += [
                capsule(axes, (17 * s, 2, 4), (17 * s, 3, -5), 7.0),
                capsule(axes, (20 * s, 5, 0), (36 * s, 8, -1), 4.5),
                capsule(axes, (17 * s, 12, 0), (11 * s, 26, 1), 3.6),
                capsule(axes, (11 * s, 26, 1), (0, 32, 1), 3.6),
            ]
        distance = np.maximum.reduce(solids)
        self.canvas.shell(window, distance, 1.3, t.cortex, t.arch_marrow, self.body_label)

    def arch_bones(self, lean: float) -> None:
        """Paint pedicles, laminae and processes; the spinous one's tip is ``lean`` mm to the left of the middle."""
        b, t, a = self.vertebra, self.tissues, self.arch
        s = b.half_width / 20.6 if b.kind in "LS" else (b.half_width / 20.6) ** 0.35 if b.kind == "T" else 1.0
        # Processes follow the body's height and not its width, which differs three times as much in the column.
        k = 0.5 * (s + 1) * (b.half_height / 12.0 if b.kind in "TL" else 1.0) ** 0.5
        behind = b.half_depth + b.canal_depth
        reach = max(a.span * k, 20.0) + 8
        found = self._window(
            (-reach, -2.0, -b.half_height * 1.4 - a.spinous_drop - a.spinous_height),
            (reach, behind + a.spinous * k + 12, b.half_height * 1.4 + 8),
        )
        if found is None:
            return
        window, axes = found
        distance = np.maximum.reduce(self._arch_solids(axes, k, behind, lean))
        marrow = t.arch_marrow + self.grain[window] * np.float32(t.arch_sd)
        self.canvas.shell(window, distance, 1.6 * t.rib_cortex_mm, t.cortex, marrow, POSTERIOR_LABEL + self.body_label)

    def _arch_solids(self, axes: Axes, k: float, behind: float, lean: float) -> list[Volume]:
        b, a = self.vertebra, self.arch
        h, canal = b.half_height, CANAL_WIDTH[b.kind] * 2 * b.half_width / 2 + 1.0
        high = 0.35 * h if b.kind in "TL" else 0.0
        root = b.half_depth * 0.75
        u, v, w = axes
        # A spinous process is a plate: squeezed to a round one, its thickness counts for more.
        plate = (u * np.float32(2.2 if b.kind == "L" else 1.5), v, w)
        start = (0, behind + 4, -0.3 * h)
        tip = (lean, behind + 4 + a.spinous * k, -0.3 * h - a.spinous_drop * k)
        solids = [capsule(plate, start, tip, a.spinous_height * k * 0.62, a.spinous_height * k * 0.82)]
        if b.name in ("C2", "C3", "C4", "C5", "C6"):
            solids = [capsule(axes, start, (4 * side, tip[1], tip[2]), 3.2) for side in (-1, 1)]
        for side in (-1, 1):
            flank = side * (canal + 2.5 * k)
            isthmus = (flank, b.half_depth + 0.55 * b.canal_depth, high)
            tall = (u * np.float32(a.pedicle[1] / a.pedicle[0]), v, w)
            stretch = a.pedicle[1] / a.pedicle[0]
            inner = (side * min(0.68 * b.half_width, canal + 3) * stretch, root, high)
            outer = ((flank + side * a.pedicle[0] * 0.5) * stretch, isthmus[1], high)
            solids.append(capsule(tall, inner, outer, a.pedicle[1] * k))
            lamina = (0, behind + 3.5, -0.35 * h)
            solids.append(capsule(axes, (flank, behind - 1, 0.1 * h), lamina, 3.6 * k))
            solids.append(capsule(axes, (flank, behind - 1, -0.5 * h), (0, behind + 3.5, -0.75 * h), 3.0 * k))
            reach = (side * a.span * k, isthmus[1] + a.span_back * k, high + a.span_up * k)
            thick = 4.2 if b.kind == "T" else 2.7
            solids.append(capsule(axes, (flank, isthmus[1] + 2, high * 0.8), reach, thick * k + 0.8, thick * k * 0.8))
            joint = side * (canal + (4.5 if b.kind == "L" else 2.5) * k)
            top, bottom = (joint, behind - 4, 1.1 * h), (joint - side * 2.0, behind + 1.0, -1.25 * h)
            solids.append(capsule(axes, (flank, behind - 3, 0.2 * h), top, a.facet * k * 0.9, a.facet * k * 0.75))
            solids.append(capsule(axes, (flank, behind, -0.2 * h), bottom, a.facet * k * 0.9, a.facet * k * 0.75))
        return solids


def canal_points(vertebrae: tuple[Vertebra, ...]) -> NDArray[np.float64]:
    """Return the centre line of the spinal canal, (N, 3), from above down."""
    points = []
    for v in vertebrae:
        middle = v.half_depth + 0.5 * v.canal_depth
        points += [v.point(0, middle, 0.6 * v.half_height), v.point(0, middle, -0.6 * v.half_height)]
    return np.array(points)
