"""The cut of a simulated trunk with an axial plane: what is painted, and in which order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .canvas import Canvas, Grid, Plane, capsule, smooth_field, superellipse
from .trunk import LEVELS, Trunk
from .vertebra import VertebraCut, paint_arch, paint_body


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
            canvas.ellipse(
                spot,
                (radii[0] + 1.5, radii[1] + 1.5),
                organ.rim_hu,
                angle=organ.angle,
                power=organ.power,
                only_where=inner,
            )
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
        canvas.ellipse(
            (sx + side * off, sy + back), (wide, deep * grow), trunk.muscle_hu, angle=side * turn, only_where=body
        )
        canvas.ellipse((sx + side * (off + 16), sy + back - 16), (13 * grow, 12), trunk.muscle_hu - 5, only_where=body)
    size, aspect, drop = trunk.psoas
    growth = float(np.clip((18 - z) / 60, 0, 1.4))
    if growth > 0.05:
        radii = (max(size * growth, 2), max(size * growth * (0.8 + aspect), 2))
        for side in (-1, 1):
            canvas.ellipse(
                (sx + side * (half_width + radii[0] * 0.75), sy + drop + 3),
                radii,
                trunk.muscle_hu + 3,
                angle=side * 0.25,
                only_where=body,
            )


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
        canvas.ellipse(
            (sx + np.cos(angle) * reach_x, sy + np.sin(angle) * reach_y), (length, width), hu, angle=angle + np.pi / 2
        )
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
