"""A simulated trunk from T9 to L4: where everything is, how large it is and what it measures.

Trunk coordinates: x towards the patient's left, y towards posterior, z superior, millimetres; the origin is the centre
of the body of L1. Organs are ellipsoids placed where anatomy has them and then scattered, because the network has to
learn the vertebra and not the neighbourhood.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import tissue
from .vertebra import Vertebra

LEVELS = ("L4", "L3", "L2", "L1", "T12", "T11", "T10", "T9")


@dataclass(frozen=True)
class Ellipsoid:
    """An organ: centre and radii (mm), rotation in the plane, squareness of its edge, HU."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    hu: float
    angle: float = 0.0
    power: float = 2.0
    rim_hu: float | None = None

    def cut(self, z: float) -> tuple[float, float] | None:
        """Return the radii of the cut at height ``z``, or None where the plane misses the organ."""
        share = 1 - ((z - self.centre[2]) / self.radii[2]) ** 2
        if share <= 0.02:
            return None
        return self.radii[0] * float(np.sqrt(share)), self.radii[1] * float(np.sqrt(share))


@dataclass
class Trunk:
    """Anatomy of one subject. Everything is drawn by :meth:`random`; nothing else decides on shape or tissue."""

    vertebrae: dict[str, Vertebra]
    centres: dict[str, tuple[float, float, float]]
    tilts: dict[str, tuple[float, float]]
    spine_angle: float
    wall_centre: tuple[float, float]
    wall_radii: tuple[float, float]
    wall_power: float
    fat_mm: float
    muscle_mm: float
    fat_hu: float
    muscle_hu: float
    inner_hu: float
    organs: list[Ellipsoid]
    aorta: tuple[float, float, float]
    aorta_hu: float
    aorta_calcium: list[tuple[float, float, float]]
    cava: tuple[float, float, float, float]
    cava_hu: float
    crus_mm: tuple[float, float]
    psoas: tuple[float, float, float]
    paraspinal: tuple[float, float, float, float, float]
    marbling_hu: float
    rib_slope: float
    rib_mm: tuple[float, float]
    rib_hu: float
    arms: bool
    table_y: float | None
    body_distractors: list[Ellipsoid]
    neighbours: list[tuple[float, float, float, float, float]]
    contrast: bool
    wild: float

    @classmethod
    def random(
        cls,
        rng: np.random.Generator,
        *,
        wild: float = 1.0,
        bmd: float | None = None,
        contrast: bool | None = None,
        scale: float | None = None,
    ) -> Trunk:
        """Draw a trunk. ``wild`` 0 keeps to the plausible, 1 goes far beyond it; ``bmd`` is L1's, mg/cm3 of CaHA;
        ``scale`` is the size of the vertebrae against the mean of Panjabi 1992."""
        u = rng.uniform
        drawn_scale = float(np.clip(rng.normal(1.04, 0.08 + 0.05 * wild), 0.78, 1.38))
        scale = drawn_scale if scale is None else scale
        if bmd is None:
            bmd = float(u(5, 260 + 60 * wild))
        if contrast is None:
            contrast = bool(rng.random() < 0.5)
        vertebrae, centres, tilts = _spine(rng, scale, bmd, wild)
        half_width = vertebrae["L1"].half_width
        wall_radii = (u(125, 205), u(82, 150))
        back = u(52, 100)
        fat = tissue.FAT
        muscle_hu = u(*tissue.MUSCLE)
        aorta_radius = u(7.5, 14.5)
        aorta_hu = u(90, 420) if contrast else u(*tissue.BLOOD)
        return cls(
            vertebrae=vertebrae,
            centres=centres,
            tilts=tilts,
            spine_angle=float(rng.normal(0, 0.06 + 0.07 * wild)),
            wall_centre=(u(-12, 12), back - wall_radii[1]),
            wall_radii=wall_radii,
            wall_power=u(2.0, 2.9),
            fat_mm=float(np.exp(u(np.log(3), np.log(45)))),
            muscle_mm=u(6, 20),
            fat_hu=u(*fat),
            muscle_hu=muscle_hu,
            inner_hu=u(*fat) if rng.random() < 0.75 else u(-20, 50),
            organs=_organs(rng, contrast),
            aorta=(u(-3, 24), u(0.5, 5.0), aorta_radius),
            aorta_hu=aorta_hu,
            aorta_calcium=[
                (u(0, 2 * np.pi), u(0.1, 0.8), u(250, 1100))
                for _ in range(rng.poisson(0.9 if rng.random() < 0.4 else 0))
            ],
            cava=(u(-32, -8), u(1, 14), u(7, 15), u(5, 12)),
            cava_hu=u(60, 240) if contrast else u(*tissue.BLOOD),
            crus_mm=(u(1.5, 7.0), u(0.3, 1.0)),
            psoas=(u(7, 16), u(0.5, 1.3), u(-3, 8)),
            paraspinal=(u(22, 36), u(26, 46), u(16, 28), u(15, 26), u(-0.4, 0.4)),
            marbling_hu=u(0, 30),
            rib_slope=u(18, 45),
            rib_mm=(u(2.6, 5.0), u(6, 16)),
            rib_hu=u(150, 700),
            arms=bool(rng.random() < 0.15),
            table_y=back + u(1, 30) if rng.random() < 0.7 else None,
            body_distractors=_distractors(rng, half_width, wild),
            neighbours=_neighbours(rng, muscle_hu),
            contrast=contrast,
            wild=wild,
        )

    def level_at(self, z: float) -> tuple[str, float]:
        """Return the vertebra whose body is nearest to height ``z``, and the height over that body's centre."""
        name = min(self.centres, key=lambda level: abs(self.centres[level][2] - z))
        return name, z - self.centres[name][2]

    def spine_at(self, z: float) -> tuple[float, float]:
        """Return (x, y) of the spine's axis at height ``z``."""
        heights = [self.centres[name][2] for name in LEVELS]
        return (
            float(np.interp(z, heights, [self.centres[name][0] for name in LEVELS])),
            float(np.interp(z, heights, [self.centres[name][1] for name in LEVELS])),
        )


def _spine(
    rng: np.random.Generator, scale: float, bmd: float, wild: float
) -> tuple[dict[str, Vertebra], dict[str, tuple[float, float, float]], dict[str, tuple[float, float]]]:
    """Return the vertebrae, the centres of their bodies and the tilts of their axes."""
    vertebrae = {}
    for name in LEVELS:
        drift = {"L4": 0.97, "L3": 0.96, "L2": 0.97, "L1": 1.0, "T12": 1.04, "T11": 1.07, "T10": 1.1, "T9": 1.12}[name]
        level_bmd = max(bmd * drift + rng.normal(0, 5 + 4 * wild), 1.0)
        vertebrae[name] = Vertebra.random(rng, name, scale, level_bmd, wild)
    gaps = rng.uniform(4.0, 10.5)
    heights = {"L1": 0.0}
    order = list(LEVELS)
    middle = order.index("L1")
    for above, below in zip(order[middle + 1 :], order[middle:], strict=False):
        step = (
            vertebrae[above].half_height + vertebrae[below].half_height + gaps * (0.8 if above.startswith("T") else 1)
        )
        heights[above] = heights[below] + step
    for below, above in zip(order[middle - 1 :: -1], order[middle::-1], strict=False):
        heights[below] = heights[above] - (vertebrae[above].half_height + vertebrae[below].half_height + gaps)
    curve = rng.normal(0.0012, 0.0012)
    lean = rng.normal(0, 0.06 + 0.05 * wild)
    bend = rng.normal(0, 0.0007 + 0.0006 * wild)
    centres, tilts = {}, {}
    for name in LEVELS:
        z = heights[name]
        centres[name] = (0.5 * bend * z * z, lean * z + 0.5 * curve * z * z, z)
        tilts[name] = (-float(lean + curve * z), float(bend * z + rng.normal(0, 0.03)))
    offset = centres["L1"]
    centres = {name: (c[0] - offset[0], c[1] - offset[1], c[2]) for name, c in centres.items()}
    return vertebrae, centres, tilts


class _Box:
    """Draws an organ's place and size: a mean place that scatters, and radii between two limits."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng

    def place(self, mean: tuple[float, float, float], sd: float) -> tuple[float, float, float]:
        x, y, z = self.rng.normal(mean, (sd, sd, 0.0))
        return float(x), float(y), float(z)

    def between(self, low: tuple[float, float, float], high: tuple[float, float, float]) -> tuple[float, float, float]:
        x, y, z = self.rng.uniform(low, high)
        return float(x), float(y), float(z)

    def hu(self, ranges: list[tuple[float, float]], shares: list[float]) -> float:
        """Return an attenuation from one of several ``ranges``, chosen with probabilities ``shares``."""
        return float(self.rng.uniform(*ranges[self.rng.choice(len(ranges), p=shares)]))


def _organs(rng: np.random.Generator, contrast: bool) -> list[Ellipsoid]:
    """Return lungs, liver, spleen, kidneys, stomach and bowel about where they are."""
    box, u = _Box(rng), rng.uniform
    lift = u(-35, 35)
    liver_hu = u(80, 150) if contrast else u(*tissue.LIVER)
    spleen_hu = u(90, 170) if contrast else u(*tissue.SPLEEN)
    stomach_hu = box.hu([(-5, 60), (-980, -850), (80, 350)], [0.6, 0.25, 0.15])
    upper = 45 + lift
    liver = box.place((-78, -45, upper), 12), box.between((55, 50, 70), (85, 85, 110))
    spleen = box.place((85, -5, upper), 11), box.between((20, 30, 40), (35, 50, 65))
    stomach = box.place((45, -75, 30 + lift), 17), box.between((20, 20, 30), (45, 45, 55))
    return [
        Ellipsoid(*liver, liver_hu, u(-0.4, 0.4), u(2, 2.8)),
        Ellipsoid(*spleen, spleen_hu, u(-0.6, 0.6)),
        Ellipsoid(*stomach, stomach_hu),
        *_kidneys(rng, contrast, lift),
        *_bowel(rng),
        *_lungs(rng, lift),
    ]


def _kidneys(rng: np.random.Generator, contrast: bool, lift: float) -> list[Ellipsoid]:
    """Return the kidneys, each with the fat or the fluid of its sinus; one may be absent."""
    u = rng.uniform
    hu = u(100, 280) if contrast else u(*tissue.KIDNEY)
    organs = []
    for side in (-1, 1):
        x, y, z = side * u(48, 72), u(-14, 22), -18 + lift * 0.5 + rng.normal(0, 14)
        angle, wide, deep, tall = side * u(0.2, 0.9), u(20, 32), u(20, 32), u(45, 62)
        if rng.random() < 0.93:
            organs.append(Ellipsoid((x, y, z), (wide, deep, tall), hu, angle))
            sinus = (wide * 0.45, deep * 0.4, tall * 0.5)
            organs.append(Ellipsoid((x - side * 6, y - 4, z), sinus, u(-100, 20), angle))
    return organs


def _bowel(rng: np.random.Generator) -> list[Ellipsoid]:
    """Return loops of bowel anywhere in front of the spine: gas, contents, oral contrast, fat."""
    box, u = _Box(rng), rng.uniform
    contents = [(-980.0, -800.0), (10.0, 60.0), (80.0, 500.0), (-110.0, -60.0), (-400.0, -50.0)]
    return [
        Ellipsoid(
            box.between((-110, -150, -110), (110, -28, 20)),
            box.between((8, 8, 20), (32, 26, 60)),
            box.hu(contents, [0.22, 0.45, 0.18, 0.1, 0.05]),
            u(0, np.pi),
            u(1.8, 2.6),
        )
        for _ in range(rng.integers(3, 14))
    ]


def _lungs(rng: np.random.Generator, lift: float) -> list[Ellipsoid]:
    """Return the lungs, whose bases reach down to about T12, and sometimes an effusion behind one."""
    u = rng.uniform
    hu = u(*tissue.LUNG)
    base = u(-20, 55) + lift * 0.5
    organs = []
    for side in (-1, 1):
        half = u(38, 62)
        centre = (side * (half + u(14, 34)), u(-40, 12), base + 150 + rng.normal(0, 12))
        organs.append(Ellipsoid(centre, (half, u(60, 95), 150.0), hu, u(-0.15, 0.15), u(2.0, 2.6)))
        if rng.random() < 0.2:
            effusion = (side * (half + 18), u(20, 50), base + 10)
            organs.append(Ellipsoid(effusion, (half, u(10, 30), 70.0), u(*tissue.FLUID)))
    return organs


def _distractors(rng: np.random.Generator, half_width: float, wild: float) -> list[Ellipsoid]:
    """Return shapes of any HU anywhere, some as large and as dense as a vertebral body but without its parts."""
    box, u = _Box(rng), rng.uniform
    anything = [(-1000.0, -100.0), (-100.0, 100.0), (100.0, 500.0), (500.0, 1500.0)]
    shapes = []
    for _ in range(rng.poisson(2.5 * wild)):
        radius = u(3, 0.9 * half_width)
        shapes.append(
            Ellipsoid(
                box.between((-150, -170, -150), (150, -42, 150)),
                (radius, radius * u(0.5, 1.0), u(40, 160)),
                box.hu(anything, [0.2, 0.4, 0.3, 0.1]),
                u(0, np.pi),
                u(1.8, 3),
                u(200, 900) if rng.random() < 0.3 else None,
            )
        )
    return shapes


def _neighbours(rng: np.random.Generator, muscle_hu: float) -> list[tuple[float, float, float, float, float]]:
    """Return soft tissue that touches the body's front and sides: (angle, overlap mm, length, width, HU)."""
    box, u = _Box(rng), rng.uniform
    tissues = [tissue.FAT, (muscle_hu - 12, muscle_hu + 12), (0.0, 130.0)]
    shapes = []
    for _ in range(rng.poisson(2.2)):
        hu = box.hu(tissues, [0.25, 0.5, 0.25])
        shapes.append((u(-1.15 * np.pi, 0.15 * np.pi), u(-2, 4), u(4, 16), u(2, 9), hu))
    return shapes
