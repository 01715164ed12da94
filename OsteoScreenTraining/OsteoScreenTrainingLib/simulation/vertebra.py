"""One vertebra in three dimensions: its shape, drawn at random, and its cut with a plane.

Local coordinates: u towards the patient's left, v towards posterior, w up from the centre of the body, millimetres.
The body's outline at height w is a polar curve about the body's axis. Everything that the network must learn to leave
out (cortex, posterior elements, ribs, osteophytes) is painted around the *trabecular compartment*, the truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from . import tissue
from .canvas import Canvas, Plane, capsule, smooth_field, superellipse

ANGLES = 360
#: L1's mean half width, half depth and half height of the body's waist in mm (Panjabi 1992: upper endplate
#: 41.2 x 34.1, posterior height 23.8; the waist is about a tenth narrower). Other levels scale from it.
L1_HALF_WIDTH, L1_HALF_DEPTH, L1_HALF_HEIGHT = 19.0, 15.5, 12.3
#: How far inside the steepest rise a hand-drawn outline runs, mm: measured as the mean distance between outlines drawn
#: on one real CT (shared/data, acrin) and a network trained without the margin.
READER_MARGIN_MM = 0.25
#: Size against L1, from the same table.
LEVEL_SCALE = {"T9": 0.80, "T10": 0.84, "T11": 0.90, "T12": 0.96, "L1": 1.0, "L2": 1.03, "L3": 1.07, "L4": 1.09}
#: Thoracic bodies are narrower against their depth than lumbar ones.
THORACIC_WIDTH = 0.93


@dataclass
class Vertebra:
    """A vertebra's shape and tissue; lengths in mm, attenuation in HU, angles in radians."""

    name: str
    half_width: float
    half_depth: float
    half_height: float
    waist: float
    power: tuple[float, float]
    concavity: float
    wobble: np.ndarray
    endplate_dip: float
    endplate_mm: float
    cortex_mm: np.ndarray
    cortex_hu: float
    trabecular_hu: float
    texture_sd: float
    texture_mm: float
    gradient: tuple[float, float]
    vein: tuple[float, float, float, float] | None
    patches: list[tuple[float, float, float, float, float]]
    osteophytes: list[tuple[float, float, float, float]]
    disc_hu: float
    canal: tuple[float, float]
    pedicle_w: tuple[float, float]
    pedicle_mm: float
    pedicle_flare: tuple[float, float]
    pedicle_hu: float
    arch_hu: float
    arch_cortex_mm: float
    lamina_mm: float
    spinous: tuple[float, float, float]
    transverse: tuple[float, float, float]
    facet: tuple[float, float, float, float]
    rib_head: bool
    rib_gap: float
    cord_hu: float
    epidural_hu: float
    asymmetry: float
    bmd: float = field(default=0.0)

    @classmethod
    def random(cls, rng: np.random.Generator, name: str, scale: float, bmd: float, wild: float) -> Vertebra:
        """Draw a vertebra of level ``name``; ``wild`` in 0..1 widens every range beyond the plausible."""
        u = rng.uniform
        size = scale * LEVEL_SCALE[name]
        trabecular = tissue.trabecular_hu(bmd)
        harmonics = np.arange(2, 9)
        amplitude = (0.010 + 0.012 * wild) * 2.0 / harmonics
        waves = rng.standard_normal((2, harmonics.size)) * amplitude
        theta = np.arange(ANGLES) * (2 * np.pi / ANGLES)
        wobble = 1 + (waves[0] @ np.cos(harmonics[:, None] * theta)) + (waves[1] @ np.sin(harmonics[:, None] * theta))
        cortex = np.exp(rng.normal(np.log(0.5), 0.5)) * (1 + 0.35 * _smooth_ring(rng, 6))
        thoracic = name.startswith("T")
        return cls(
            name=name,
            half_width=size * L1_HALF_WIDTH * u(0.88, 1.16) * (THORACIC_WIDTH if thoracic else 1.0),
            half_depth=size * L1_HALF_DEPTH * u(0.86, 1.18),
            half_height=size * L1_HALF_HEIGHT * u(0.9, 1.12),
            waist=u(0.02, 0.16),
            power=(u(1.9, 2.5), u(2.0, 3.8)) if not thoracic else (u(1.55, 2.3), u(1.85, 3.2)),
            concavity=u(0.0, 0.22) if not thoracic else u(0.05, 0.30),
            wobble=wobble,
            endplate_dip=u(0.5, 3.5),
            endplate_mm=u(0.5, 1.4),
            cortex_mm=np.clip(cortex, 0.1, 2.4),
            cortex_hu=max(trabecular + u(150, 500), u(650, 1500)),
            trabecular_hu=trabecular,
            texture_sd=u(2, 16 + 22 * wild),
            texture_mm=u(0.5, 2.2),
            gradient=(rng.normal(0, 10 + 12 * wild), rng.normal(0, 6 + 8 * wild)),
            vein=(u(0.8, 7.5), u(0.2, 0.9), u(0.05, 0.8), u(0, 160) * rng.random()) if rng.random() < 0.5 else None,
            patches=_patches(rng, trabecular, wild),
            osteophytes=_osteophytes(rng, wild),
            disc_hu=u(*tissue.DISC),
            canal=(size * (u(7.0, 11.0) if thoracic else u(9.0, 13.0)), size * u(6.5, 10.0)),
            pedicle_w=(u(-0.25, 0.1), u(0.75, 0.98)),
            pedicle_mm=size * (u(5.5, 11.5) if name in ("T11", "T12") else u(4.0, 9.5)),
            pedicle_flare=(u(0.25, 0.75), u(0.7, 1.08)),
            pedicle_hu=trabecular + u(-20, 260) * rng.random(),
            # Half of the arches are no denser inside than the body: nothing but the shape tells where it ends.
            arch_hu=trabecular + u(-40, 40) if rng.random() < 0.5 else max(trabecular * u(0.8, 1.6), 0) + u(30, 330),
            arch_cortex_mm=u(0.6, 3.2),
            lamina_mm=u(2.6, 6.5),
            spinous=(u(8, 34), u(2.4, 6.5), rng.normal(0, 2.0)),
            transverse=(u(6, 14) if thoracic else u(10, 32), u(2.5, 5.5), u(-2, 9)),
            facet=(u(2, 9), u(4.0, 9.0), u(4.5, 10.5), u(0.8, 2.5)),
            rib_head=name in ("T9", "T10", "T11", "T12") and rng.random() < 0.85,
            rib_gap=u(-0.8, 2.2),
            cord_hu=u(25, 48),
            epidural_hu=u(-90, 20),
            asymmetry=rng.normal(0, 0.04),
            bmd=bmd,
        )

    def set_bmd(self, bmd_mg_cm3: float) -> None:
        """Give the compartment another density (mg/cm3 of CaHA); what lies around it stays."""
        self.bmd = bmd_mg_cm3
        self.trabecular_hu = tissue.trabecular_hu(bmd_mg_cm3)

    def outline_radius(self, w: float) -> np.ndarray:
        """Return the (ANGLES,) outer radius of the body at height ``w``; angle 0 is left, a quarter turn posterior."""
        theta = np.arange(ANGLES) * (2 * np.pi / ANGLES)
        rel = min(abs(w) / self.half_height, 1.15)
        flare = 1 - self.waist * (1 - rel**2)
        a, b = self.half_width * flare, self.half_depth * flare
        c, s = np.cos(theta), np.sin(theta)
        power = np.where(s > 0, self.power[1], self.power[0])
        r = ((np.abs(c) / a) ** power + (np.abs(s) / b) ** power) ** (-1 / power)
        notch = np.exp(-((c / 0.55) ** 2)) * (s > 0)
        r = r * (1 - self.concavity * notch) * (1 + self.asymmetry * c)
        return r * self.wobble

    def has_pedicle(self, w: float) -> bool:
        return self.pedicle_w[0] * self.half_height < w < self.pedicle_w[1] * self.half_height

    def pedicle_corners(self, radius: np.ndarray) -> tuple[int, int]:
        """Return where, on the left of the ring ``radius``, the wall flares and where it meets the posterior wall.

        The pedicle's outer border leaves the lateral wall at a share of the body's depth; its inner border is the
        canal's.
        """
        theta = np.arange(ANGLES // 4 + 1) * (2 * np.pi / ANGLES)
        quarter = radius[: theta.size]
        flare = int(np.argmax(quarter * np.sin(theta) >= self.pedicle_flare[0] * self.half_depth))
        inner = self.pedicle_flare[1] * self.canal[0]
        bend = int(np.argmax(quarter * np.cos(theta) <= inner))
        return flare, max(bend, flare + 6)


def _smooth_ring(rng: np.random.Generator, harmonics: int) -> np.ndarray:
    theta = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    order = np.arange(1, harmonics + 1)[:, None]
    waves = rng.standard_normal((2, harmonics)) / np.sqrt(2 * harmonics)
    return waves[0] @ np.cos(order * theta) + waves[1] @ np.sin(order * theta)


def _patches(
    rng: np.random.Generator, trabecular: float, wild: float
) -> list[tuple[float, float, float, float, float]]:
    """Return areas inside the compartment as (u, v, radius u, radius v, HU): sclerosis, fat, haemangioma, islands."""
    patches = []
    for _ in range(rng.poisson(0.35 + 0.5 * wild)):
        kind = rng.choice(["sclerosis", "fat", "island", "haze"])
        hu = {
            "sclerosis": trabecular + rng.uniform(80, 350),
            "fat": trabecular * rng.uniform(0.1, 0.6) - rng.uniform(0, 60),
            "island": rng.uniform(400, 900),
            "haze": trabecular + rng.normal(0, 45),
        }[kind]
        small = kind == "island"
        reach = rng.uniform(1.2, 3.0, 2) if small else rng.uniform(3, 11, 2)
        patches.append((rng.normal(0, 9), rng.normal(0, 7), float(reach[0]), float(reach[1]), float(hu)))
    return patches


def _osteophytes(rng: np.random.Generator, wild: float) -> list[tuple[float, float, float, float]]:
    """Return bony spurs on the outside as (angle, length, half width, HU), anterior and lateral."""
    spurs = []
    for _ in range(rng.poisson(0.4 + 0.7 * wild)):
        angle = rng.uniform(-np.pi * 1.1, np.pi * 0.1)
        spurs.append((angle, rng.uniform(1.5, 8.0), rng.uniform(2.0, 13.0), rng.uniform(250, 1000)))
    return spurs


class VertebraCut:
    """The cut of a vertebra with one plane, ready to be painted: fields over a window of the canvas.

    ``w0`` is the plane's height over the body's centre at the body's axis; ``tilt`` (radians) is how much it rises
    towards anterior, so that a tilted plane may leave the body through an endplate.
    """

    def __init__(
        self,
        vertebra: Vertebra,
        canvas: Canvas,
        centre: tuple[float, float],
        w0: float,
        tilt: tuple[float, float] = (0.0, 0.0),
        angle: float = 0.0,
    ):
        self.vertebra, self.canvas = vertebra, canvas
        self.window = canvas.grid.window(centre[0] - 82, centre[0] + 82, centre[1] - 52, centre[1] + 88)
        x, y = canvas.coordinates(self.window)
        c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        x, y = x - np.float32(centre[0]), y - np.float32(centre[1])
        self.u, self.v = x * c + y * s, y * c - x * s
        self.w0 = w0
        self.w = w0 - np.float32(np.tan(tilt[0])) * self.v + np.float32(np.tan(tilt[1])) * self.u
        #: Whether the plane cuts the pedicle on the right (-1) and on the left (1): a leaning plane may cut one only.
        reach = 0.75 * vertebra.half_width * float(np.tan(tilt[1]))
        self.pedicles = {side: vertebra.has_pedicle(w0 + side * reach) for side in (-1, 1)}
        self.theta = np.arctan2(self.v, self.u)
        self.rho = np.hypot(self.u, self.v)
        place = (self.theta * (ANGLES / (2 * np.pi))) % ANGLES
        self._low = place.astype(np.int32) % ANGLES
        self._high = (self._low + 1) % ANGLES
        self._share = place - np.floor(place)
        self._rest = 1 - self._share
        self.outer = self._distance(vertebra.outline_radius(w0))
        self.in_height = self._height_distance()

    def _at_angle(self, ring: np.ndarray) -> Plane:
        ring = ring.astype(np.float32)
        return ring[self._low] * self._rest + ring[self._high] * self._share

    def _distance(self, radius: np.ndarray) -> Plane:
        """Return the signed distance of the polar curve ``radius``, exact to first order at the curve."""
        slope = (np.roll(radius, -1) - np.roll(radius, 1)) * (ANGLES / (4 * np.pi))
        lean = radius / np.sqrt(radius**2 + slope**2)
        return (self._at_angle(radius) - self.rho) * self._at_angle(lean)

    def _height_distance(self) -> Plane:
        """Return the distance (mm, positive inside) to the nearer of the two dished endplates."""
        v = self.vertebra
        dish = np.clip(1 - (self.rho / (0.85 * min(v.half_width, v.half_depth))) ** 2, 0, 1) * v.endplate_dip
        return np.float32(v.half_height) - dish - np.abs(self.w)

    def compartment(self, edge_mm: float) -> Plane:
        """Return the coverage of the trabecular compartment, the truth.

        ``edge_mm`` is the SD of the scanner's blur. The inner edge of the cortex is where HU rises steepest: for a
        wall of thickness t blurred by s that is sqrt((t/2)^2 + s^2) inside the wall's middle (s for a thin wall, t/2
        for a sharp scanner). A hand keeps READER_MARGIN_MM inside that.
        """
        v = self.vertebra
        half = v.cortex_mm / 2
        wall = half + np.sqrt(half**2 + edge_mm**2) + READER_MARGIN_MM
        radius = self._closed(v.outline_radius(self.w0) - wall)
        plates = self.in_height - v.endplate_mm
        return self.canvas.coverage(np.minimum(self._distance(radius), plates))

    def _closed(self, radius: np.ndarray) -> np.ndarray:
        """Close the pedicles' bases, if there are any, by the chord from the wall's flare to the posterior wall."""
        radius = radius.copy()
        step = 2 * np.pi / ANGLES
        first, last = self.vertebra.pedicle_corners(radius)
        half = ANGLES // 2
        ends = {1: (first, last), -1: (half - last, half - first)}
        for i, j in (ends[side] for side in ends if self.pedicles[side]):
            between = np.arange(i, j + 1)
            r1, r2 = radius[i], radius[j]
            t1, t2, t = i * step, j * step, between * step
            radius[between] = r1 * r2 * np.sin(t2 - t1) / (r1 * np.sin(t - t1) + r2 * np.sin(t2 - t))
        return radius

    def beyond_chord(self) -> Plane:
        """Return the signed distance (mm, negative beyond it) to the body closed at its pedicles' bases."""
        return self._distance(self._closed(self.vertebra.outline_radius(self.w0)))

    def body_hu(self, rng: np.random.Generator) -> Plane:
        """Return the compartment's own HU over the window: gradient, texture, patches, vein."""
        v = self.vertebra
        hu = v.trabecular_hu + v.gradient[0] * self.v / v.half_depth + v.gradient[1] * self.u / v.half_width
        hu = hu + _texture(rng, self.u.shape, v.texture_mm / self.canvas.grid.pixel_mm, v.texture_sd)
        for pu, pv, ru, rv, value in v.patches:
            soft = np.clip(superellipse(self.u - pu, self.v - pv, (ru, rv)) * 0.5 + 0.3, 0, 1)
            hu = hu + soft * (value - hu)
        if v.vein is not None and abs(self.w0) < 0.45 * v.half_height:
            width, length, share, rim = v.vein
            # A funnel that opens towards the canal, with a narrow channel in front of it.
            opening = np.clip((self.v / v.half_depth - (1 - length)) / length, 0, 1.3)
            funnel = 0.6 * (self.v > -0.4 * v.half_depth) + width * opening - np.abs(self.u)
            hu = hu + rim * np.clip(1 - np.abs(funnel) / 1.5, 0, 1) * (opening > 0.1)
            soft = self.canvas.coverage(funnel) * np.float32(0.95)
            hu = hu + soft * (v.trabecular_hu * share - hu)
        return hu

    def wall(self) -> Plane:
        """Return the cortex's thickness (mm) around the body, open where a vein or a pedicle passes."""
        v = self.vertebra
        thickness = v.cortex_mm.copy()
        step = 2 * np.pi / ANGLES
        theta = np.arange(ANGLES) * step
        if v.vein is not None and abs(self.w0) < 0.45 * v.half_height:
            thickness[np.abs(theta - np.pi / 2) < v.vein[0] * 1.1 / v.half_depth] = 0
        first, last = v.pedicle_corners(v.outline_radius(self.w0))
        half, inset = ANGLES // 2, (last - first) // 5
        ends = {1: (first, last), -1: (half - last, half - first)}
        for low, high in (ends[side] for side in ends if self.pedicles[side]):
            thickness[low + inset : high - inset] *= 0.1
        return self._at_angle(thickness)


def _texture(rng: np.random.Generator, shape: tuple[int, ...], scale_px: float, sd: float) -> Plane:
    """Return correlated noise over ``shape``: coarse cubic noise plus grains of a pixel or two."""
    side = max(shape)
    knots = int(np.clip(side / max(scale_px * 2.2, 1.5), 4, 96))
    coarse = smooth_field(rng, side, knots, 0.55)[: shape[0], : shape[1]]
    grain = rng.standard_normal(shape, dtype=np.float32) * np.float32(0.4)
    return np.float32(sd) * (coarse + grain)


def paint_body(cut: VertebraCut, rng: np.random.Generator) -> None:
    """Paint osteophytes, cortex, endplates, disc and the trabecular compartment."""
    v, canvas = cut.vertebra, cut.canvas
    above = canvas.coverage(-cut.in_height)
    for angle, length, half_width, spur_hu in v.osteophytes:
        radius = float(v.outline_radius(cut.w0)[int(angle / (2 * np.pi) * ANGLES) % ANGLES])
        tip = (np.cos(angle) * (radius + length * 0.5), np.sin(angle) * (radius + length * 0.5))
        spur = superellipse(cut.u - tip[0], cut.v - tip[1], (length, half_width), angle, 2.0)
        canvas.blend(cut.window, canvas.coverage(spur), spur_hu)
        core = canvas.coverage(spur - 1.2)
        canvas.blend(cut.window, core, 0.5 * (spur_hu + v.trabecular_hu))
    body = canvas.coverage(cut.outer)
    canvas.blend(cut.window, body * above, v.disc_hu)
    shell = body * canvas.coverage(cut.in_height)
    canvas.blend(cut.window, shell, v.cortex_hu)
    inside = np.minimum(cut.outer - cut.wall(), cut.in_height - v.endplate_mm)
    hu = cut.body_hu(rng)
    if any(cut.pedicles.values()):
        outside = np.clip(0.5 - cut.beyond_chord() / 2.5, 0, 1)
        hu = hu + outside * (v.pedicle_hu - hu)
    canvas.blend(cut.window, canvas.coverage(inside), hu)


def paint_arch(cut: VertebraCut, rng: np.random.Generator) -> None:
    """Paint the canal with its cord, pedicles, laminae, facets, processes and rib heads, before the body."""
    v, canvas = cut.vertebra, cut.canvas
    rel = cut.w0 / v.half_height
    half_canal, deep = v.canal
    back = v.half_depth * (1 - 0.7 * v.concavity)
    canal_v = back + deep * 0.92
    bones: list[Plane] = []
    length, thick, lean = v.spinous
    if rel < 0.95:
        tip = canal_v + deep + 3 + length * np.clip(1.1 - 0.5 * (rel + 0.6), 0.25, 1.1)
        bones.append(capsule(cut.u, cut.v, (0, canal_v + deep + 3), (lean, tip), thick))
    for side in (-1, 1):
        flank = side * (half_canal + v.lamina_mm * 0.6)
        if -1.1 < rel < 0.9:
            bones.append(capsule(cut.u, cut.v, (flank, canal_v + 3.5), (0, canal_v + deep + 4.0), v.lamina_mm))
        if cut.pedicles[side]:
            root = (side * v.half_width * 0.66, v.half_depth * 0.55)
            isthmus = (side * (half_canal + v.pedicle_mm / 2 + 0.5), canal_v + 2)
            bones.append(capsule(cut.u, cut.v, root, isthmus, v.pedicle_mm / 2))
            flare = (side * (v.half_width * 0.97 - v.pedicle_mm * 0.35), v.half_depth * v.pedicle_flare[0])
            bones.append(capsule(cut.u, cut.v, flare, isthmus, v.pedicle_mm * 0.35))
            reach, width, drop = v.transverse
            start = (side * (half_canal + v.pedicle_mm / 2), canal_v + 3)
            bones.append(capsule(cut.u, cut.v, start, (start[0] + side * reach, start[1] + drop), width))
        offset, narrow, tall, gap = v.facet
        if abs(rel) > 0.2:
            spot = (side * (half_canal + offset + 2), canal_v + 7)
            bones.append(superellipse(cut.u - spot[0], cut.v - spot[1], (narrow, tall), side * 0.5, 2.4))
            inner = superellipse(
                cut.u - spot[0] + side * 2.2, cut.v - spot[1] - 3, (narrow * 0.55, tall * 0.6), side * 0.5
            )
            bones[-1] = np.where(np.abs(inner) < gap / 2, np.float32(-0.3), bones[-1])
        if v.rib_head and 0.15 < rel < 1.1:
            head = (side * (v.half_width + 2.5 + v.rib_gap), v.half_depth * 0.62)
            neck = (head[0] + side * 26, head[1] + 17)
            bones.append(capsule(cut.u, cut.v, head, neck, 3.2 + 0.12 * v.pedicle_mm * 4))
    union = np.maximum.reduce(bones) if bones else np.full_like(cut.u, -50)
    canvas.blend(cut.window, canvas.coverage(union), max(v.cortex_hu * 0.8, v.arch_hu + 150))
    core = canvas.coverage(union - v.arch_cortex_mm)
    canvas.blend(cut.window, core, v.arch_hu + _texture(rng, cut.u.shape, 2.0, v.texture_sd))
    canal = superellipse(cut.u, cut.v - canal_v, (half_canal, deep), 0.0, 2.2)
    canvas.blend(cut.window, canvas.coverage(canal), v.epidural_hu)
    sac = superellipse(cut.u, cut.v - canal_v, (half_canal * 0.78, deep * 0.82))
    canvas.blend(cut.window, canvas.coverage(sac), tissue.CANAL[0] + 0.5 * v.cord_hu)
    cord = superellipse(cut.u, cut.v - canal_v, (half_canal * 0.42, deep * 0.45))
    canvas.blend(cut.window, canvas.coverage(cord), v.cord_hu)
