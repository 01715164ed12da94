"""A simulated trunk from T9 to L4, and its cut with an axial plane.

Trunk coordinates: x towards the patient's left, y towards posterior, z superior, millimetres; the origin is the centre
of the body of L1. Organs are ellipsoids placed where anatomy has them and then scattered, because the network has to
learn the vertebra and not the neighbourhood.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import tissue
from .canvas import Canvas, Grid, Plane, capsule, smooth_field, superellipse
from .vertebra import Vertebra, VertebraCut, paint_arch, paint_body

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
        cls, rng: np.random.Generator, *, wild: float = 1.0, bmd: float | None = None, contrast: bool | None = None
    ) -> Trunk:
        """Draw a trunk. ``wild`` 0 keeps to the plausible, 1 goes far beyond it; ``bmd`` is L1's, mg/cm3 of CaHA."""
        u = rng.uniform
        scale = float(np.clip(rng.normal(1.04, 0.08 + 0.05 * wild), 0.78, 1.38))
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
            organs=_organs(rng, scale, contrast),
            aorta=(u(-3, 24), u(0.5, 5.0), aorta_radius),
            aorta_hu=aorta_hu,
            aorta_calcium=[
                (u(0, 2 * np.pi), u(0.1, 0.8), u(250, 1100)) for _ in range(rng.poisson(0.9 if rng.random() < 0.4 else 0))
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
            neighbours=_neighbours(rng, tissue.FAT, muscle_hu),
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
        step = vertebrae[above].half_height + vertebrae[below].half_height + gaps * (0.8 if above.startswith("T") else 1)
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


def _organs(rng: np.random.Generator, scale: float, contrast: bool) -> list[Ellipsoid]:
    """Return lungs, liver, spleen, kidneys, stomach and bowel about where they are."""
    u, n = rng.uniform, rng.normal
    lift = u(-35, 35)
    organs = []
    liver_hu = u(80, 150) if contrast else u(*tissue.LIVER)
    spleen_hu = u(90, 170) if contrast else u(*tissue.SPLEEN)
    kidney_hu = u(100, 280) if contrast else u(*tissue.KIDNEY)
    organs.append(Ellipsoid((-78 + n(0, 12), -45 + n(0, 12), 45 + lift), (u(55, 85), u(50, 85), u(70, 110)), liver_hu, u(-0.4, 0.4), u(2, 2.8)))
    organs.append(Ellipsoid((85 + n(0, 10), -5 + n(0, 12), 45 + lift), (u(20, 35), u(30, 50), u(40, 65)), spleen_hu, u(-0.6, 0.6)))
    organs.append(Ellipsoid((45 + n(0, 18), -75 + n(0, 15), 30 + lift), (u(20, 45), u(20, 45), u(30, 55)), rng.choice([u(-5, 60), u(-980, -850), u(80, 350)], p=[0.6, 0.25, 0.15])))
    for side in (-1, 1):
        place = (side * u(48, 72), u(-14, 22), -18 + lift * 0.5 + n(0, 14))
        angle = side * u(0.2, 0.9)
        size = (u(20, 32), u(20, 32), u(45, 62))
        if rng.random() < 0.93:
            organs.append(Ellipsoid(place, size, kidney_hu, angle))
            organs.append(Ellipsoid((place[0] - side * 6, place[1] - 4, place[2]), (size[0] * 0.45, size[1] * 0.4, size[2] * 0.5), u(-100, 20), angle))
    for _ in range(rng.integers(3, 14)):
        hu = float(rng.choice([u(-980, -800), u(10, 60), u(80, 500), u(-110, -60), u(-400, -50)], p=[0.22, 0.45, 0.18, 0.1, 0.05]))
        organs.append(Ellipsoid((u(-110, 110), u(-150, -28), u(-110, 20)), (u(8, 32), u(8, 26), u(20, 60)), hu, u(0, np.pi), u(1.8, 2.6)))
    lung = u(*tissue.LUNG)
    base = u(-20, 55) + lift * 0.5
    for side in (-1, 1):
        deep = u(38, 62)
        organs.append(
            Ellipsoid((side * (deep + u(14, 34)), u(-40, 12), base + 150 + n(0, 12)), (deep, u(60, 95), 150), lung, u(-0.15, 0.15), u(2.0, 2.6))
        )
        if rng.random() < 0.2:
            organs.append(Ellipsoid((side * (deep + 18), u(20, 50), base + 10), (deep, u(10, 30), 70), u(*tissue.FLUID), 0.0))
    return organs


def _distractors(rng: np.random.Generator, half_width: float, wild: float) -> list[Ellipsoid]:
    """Return shapes of any HU anywhere, some as large and as dense as a vertebral body but without its parts."""
    u = rng.uniform
    shapes = []
    for _ in range(rng.poisson(2.5 * wild)):
        hu = float(rng.choice([u(-1000, -100), u(-100, 100), u(100, 500), u(500, 1500)], p=[0.2, 0.4, 0.3, 0.1]))
        radius = u(3, 0.9 * half_width)
        spot = (u(-150, 150), u(-170, -42), u(-150, 150))
        shapes.append(Ellipsoid(spot, (radius, radius * u(0.5, 1.0), u(40, 160)), hu, u(0, np.pi), u(1.8, 3), u(200, 900) if rng.random() < 0.3 else None))
    return shapes


def _neighbours(
    rng: np.random.Generator, fat: tuple[float, float], muscle_hu: float
) -> list[tuple[float, float, float, float, float]]:
    """Return soft tissue that touches the body's front and sides: (angle, overlap mm, length, width, HU)."""
    shapes = []
    for _ in range(rng.poisson(2.2)):
        hu = float(rng.choice([rng.uniform(*fat), muscle_hu + rng.normal(0, 8), rng.uniform(0, 130)], p=[0.25, 0.5, 0.25]))
        shapes.append((rng.uniform(-1.15 * np.pi, 0.15 * np.pi), rng.uniform(-2, 4), rng.uniform(4, 16), rng.uniform(2, 9), hu))
    return shapes


def paint_trunk(canvas: Canvas, trunk: Trunk, z: float) -> Plane:
    """Paint everything but the spine; return the coverage of the body's inside of the plane."""
    x, y = canvas.coordinates((slice(None), slice(None)))
    cx, cy = trunk.wall_centre
    skin = superellipse(x - cx, y - cy, trunk.wall_radii, 0.0, trunk.wall_power)
    whole = (slice(None), slice(None))
    body = canvas.coverage(skin)
    canvas.blend(whole, body, 15.0)
    canvas.blend(whole, canvas.coverage(skin - 1.6), trunk.fat_hu)
    flank = skin - np.float32(trunk.fat_mm) + np.clip(-(y - cy) / 100, -0.2, 0.4) * trunk.fat_mm * 0.4
    canvas.blend(whole, canvas.coverage(flank), trunk.muscle_hu)
    inner = canvas.coverage(flank - trunk.muscle_mm)
    canvas.blend(whole, inner, trunk.inner_hu)
    for organ in [*trunk.organs, *trunk.body_distractors]:
        radii = organ.cut(z)
        if radii is None or min(radii) < 1.5:
            continue
        spot = organ.centre[:2]
        if organ.rim_hu is not None:
            canvas.ellipse(spot, (radii[0] + 1.5, radii[1] + 1.5), organ.rim_hu, angle=organ.angle, power=organ.power, only_where=inner)
        canvas.ellipse(spot, radii, organ.hu, angle=organ.angle, power=organ.power, only_where=inner)
    _paint_ribs(canvas, trunk, z, flank)
    _paint_muscles(canvas, trunk, z, body)
    _paint_vessels(canvas, trunk, z)
    if trunk.arms:
        for side in (-1, 1):
            spot = (side * (trunk.wall_radii[0] + 38) + cx, cy + 12)
            canvas.ellipse(spot, (36, 40), trunk.fat_hu)
            canvas.ellipse(spot, (28, 31), trunk.muscle_hu)
            canvas.ellipse(spot, (11, 11), 900)
            canvas.ellipse(spot, (7, 7), -20)
    if trunk.table_y is not None:
        top = canvas.coverage(np.float32(2.0) - np.abs(y - trunk.table_y - 0.0006 * x * x))
        canvas.blend(whole, top * (1 - body), -100.0)
    return body


def _paint_ribs(canvas: Canvas, trunk: Trunk, z: float, flank: Plane) -> None:
    """Paint the cuts of the ribs in the wall: a rib falls as it runs forward, so that each height cuts several."""
    cx, cy = trunk.wall_centre
    reach_x, reach_y = (r - trunk.fat_mm - 0.6 * trunk.muscle_mm for r in trunk.wall_radii)
    for name in LEVELS:
        if not name.startswith("T"):
            continue
        run = (trunk.centres[name][2] + 8 - z) / trunk.rib_slope
        longest = {"T12": 0.9, "T11": 1.3}.get(name, 2.6)
        if not 0.15 < run < longest:
            continue
        for side in (-1, 1):
            phi = run + 0.15
            spot = (cx + side * np.sin(phi) * reach_x, cy + np.cos(phi) * reach_y)
            along = float(np.arctan2(-np.sin(phi) * reach_y, side * np.cos(phi) * reach_x))
            thick, long = trunk.rib_mm
            canvas.ellipse(spot, (long, thick), trunk.rib_hu + 350, angle=along)
            canvas.ellipse(spot, (long - 1.3, max(thick - 1.3, 0.6)), trunk.rib_hu * 0.5, angle=along)


def _paint_muscles(canvas: Canvas, trunk: Trunk, z: float, body: Plane) -> None:
    sx, sy = trunk.spine_at(z)
    name, _ = trunk.level_at(z)
    half_width = trunk.vertebrae[name].half_width
    off, back, wide, deep, turn = trunk.paraspinal
    grow = float(np.clip(1 + z / 250, 0.6, 1.3))
    for side in (-1, 1):
        canvas.ellipse((sx + side * off, sy + back), (wide, deep * grow), trunk.muscle_hu, angle=side * turn, only_where=body)
        canvas.ellipse((sx + side * (off + 16), sy + back - 16), (13 * grow, 12), trunk.muscle_hu - 5, only_where=body)
    size, aspect, drop = trunk.psoas
    growth = float(np.clip((18 - z) / 60, 0, 1.4))
    if growth > 0.05:
        radii = (max(size * growth, 2), max(size * growth * (0.8 + aspect), 2))
        for side in (-1, 1):
            canvas.ellipse((sx + side * (half_width + radii[0] * 0.75), sy + drop + 3), radii, trunk.muscle_hu + 3, angle=side * 0.25, only_where=body)


def _paint_vessels(canvas: Canvas, trunk: Trunk, z: float) -> None:
    """Paint aorta, vena cava and the diaphragm's crura against the front of the body."""
    sx, sy = trunk.spine_at(z)
    name, _ = trunk.level_at(z)
    vertebra = trunk.vertebrae[name]
    front = sy - vertebra.half_depth
    thick, reach = trunk.crus_mm
    if -60 < z < 90:
        window = canvas.grid.window(sx - 60, sx + 60, front - 40, sy + 25)
        x, y = canvas.coordinates(window)
        for side in (-1, 1):
            start = (sx + side * 7, front - thick - 1)
            end = (sx + side * (vertebra.half_width + thick) * reach, front + 14 * reach)
            canvas.blend(window, canvas.coverage(capsule(x, y, start, end, thick)), trunk.muscle_hu + 2)
    for angle, overlap, length, width, hu in trunk.neighbours:
        reach_x, reach_y = vertebra.half_width + width - overlap, vertebra.half_depth + width - overlap
        canvas.ellipse((sx + np.cos(angle) * reach_x, sy + np.sin(angle) * reach_y), (length, width), hu, angle=angle + np.pi / 2)
    dx, gap, radius = trunk.aorta
    spot = (sx + dx, front - gap - radius)
    for angle, spread, hu in trunk.aorta_calcium:
        tip = (spot[0] + radius * np.cos(angle), spot[1] + radius * np.sin(angle))
        canvas.ellipse(tip, (radius * spread, 1.4), hu, angle=angle + np.pi / 2)
    canvas.ellipse(spot, (radius, radius * 0.95), trunk.aorta_hu)
    if z < 70:
        cx, gap, wide, deep = trunk.cava
        canvas.ellipse((sx + cx, front - gap - deep), (wide, deep), trunk.cava_hu)


def paint_spine(canvas: Canvas, trunk: Trunk, z: float, rng: np.random.Generator, edge_mm: float) -> tuple[Plane, str]:
    """Paint the vertebra at height ``z``; return the compartment's coverage over the canvas, and the level's name."""
    name, w = trunk.level_at(z)
    centre = trunk.centres[name][:2]
    tilt = trunk.tilts[name]
    cut = VertebraCut(trunk.vertebrae[name], canvas, centre, w, tilt, trunk.spine_angle)
    paint_arch(cut, rng)
    paint_body(cut, rng)
    truth = np.zeros_like(canvas.hu)
    truth[cut.window] = cut.compartment(edge_mm)
    return truth, name


@dataclass(frozen=True)
class Irregularity:
    """What keeps shapes and tissues from being as regular as their formulas: bends in mm, marbling in HU."""

    bend_x: Plane
    bend_y: Plane
    marbling: Plane

    @classmethod
    def random(cls, rng: np.random.Generator, trunk: Trunk, size: int) -> Irregularity:
        amplitude = (0.6 + 1.6 * trunk.wild) * float(rng.random())

        def bend() -> Plane:
            return smooth_field(rng, size, 6, amplitude * 1.5) + smooth_field(rng, size, 30, amplitude * 0.22)

        marbling = smooth_field(rng, size, 60, trunk.marbling_hu * 0.5) + smooth_field(rng, size, 9, 5.0)
        return cls(bend(), bend(), marbling)


def cut_plane(
    trunk: Trunk,
    z: float,
    grid: Grid,
    rng: np.random.Generator,
    irregularity: Irregularity,
    *,
    thickness_mm: float = 0.0,
    edge_mm: float = 0.6,
) -> tuple[Plane, Plane, str]:
    """Return the ideal HU (rows, columns) at height ``z``, the compartment's coverage 0..1, and the level's name.

    A slice of finite thickness is the mean of its sub-planes in the spine; the soft tissues change too slowly with z
    to need that. ``edge_mm`` is the SD of the blur to come, which moves the visible inner edge of the cortex.
    """
    canvas = Canvas(grid, irregularity.bend_x, irregularity.bend_y)
    body = paint_trunk(canvas, trunk, z)
    canvas.hu += body * irregularity.marbling * (canvas.hu > -150)
    count = 1 if thickness_mm < 1.5 else (2 if thickness_mm < 3 else 3)
    offsets = thickness_mm * ((np.arange(count) + 0.5) / count - 0.5)
    ground, mean, truth, name = canvas.hu, np.zeros_like(canvas.hu), np.zeros_like(canvas.hu), ""
    for offset in offsets:
        canvas.hu = ground.copy()
        coverage, name = paint_spine(canvas, trunk, z + float(offset), rng, edge_mm)
        mean += canvas.hu / count
        truth += coverage / count
    return mean, truth, name
