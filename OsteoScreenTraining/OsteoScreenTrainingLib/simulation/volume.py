"""A simulated chest CT in three dimensions: T10 to L3, with the truth behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from OsteoScreenLib.progress import Progress, silent

from .canvas import Grid
from .painting import Irregularity, cut_plane
from .scanner import Scanner
from .trunk import Trunk
from .vertebra import LEVEL_SCALE, THORACIC_WIDTH

#: How many random fields the soft tissues of a volume fade between, and over which height (mm) each one lasts.
FIELDS, FIELD_MM = 4, 30.0
#: From the centre of L1's body to the fascia of the back, mm: half a body, the canal and a spinous process (Panjabi
#: 1992: 17, 19 and 40).
SPINE_TO_BACK_MM = 76.0


@dataclass(frozen=True)
class SimulatedVolume:
    """A simulated scan; slices run from foot to head.

    Attributes:
        hu: (slices, rows, columns) int16 HU.
        coverage: (slices, rows, columns) uint8 coverage of the trabecular compartments, 0..255.
        z_mm: (slices,) height of each slice, superior mm.
        grid: the pixels of every slice: x towards the patient's left, y towards posterior.
        centres_mm: level name -> (x, y, z) of the centre of its body.
        bmd_mg_cm3: level name -> true density of its compartment, mg/cm3 of CaHA.
    """

    hu: NDArray[np.int16]
    coverage: NDArray[np.uint8]
    z_mm: NDArray[np.float64]
    grid: Grid
    centres_mm: dict[str, tuple[float, float, float]]
    bmd_mg_cm3: dict[str, float]


def simulate_volume(
    seed: int,
    *,
    bmd_mg_cm3: float | None = None,
    spacing_mm: float = 2.0,
    size: int = 512,
    pixel_mm: float = 0.75,
    lowest: str = "L3",
    highest: str = "T10",
    progress: Progress = silent,
) -> SimulatedVolume:
    """Simulate a plausible, unenhanced 120 kVp chest CT from the foot of ``lowest`` to the head of ``highest``.

    Args:
        bmd_mg_cm3: density of L1, mg/cm3 of CaHA; drawn from 40 to 200 when None.
        spacing_mm: slice spacing and thickness.
        size, pixel_mm: rows and columns, and their spacing.
    """
    rng = np.random.default_rng([seed, 3])
    bmd = float(rng.uniform(40, 200)) if bmd_mg_cm3 is None else bmd_mg_cm3
    trunk = plausible(Trunk.random(rng, wild=0.0, bmd=bmd, contrast=False))
    scanner = replace(
        Scanner.random(rng, wild=0.0),
        blur_sd_mm=0.5, sharpening=0.0, noise_sd=16.0, noise_sd_mm=0.6, streak_sd=0.0, coarse_mm=0.0,
        gain=1.0, offset_hu=0.0, drift_hu=2.0, truncation=True,
    )  # fmt: skip
    half = pixel_mm * size / 2
    grid = Grid(size, pixel_mm, trunk.wall_centre[0] - half, trunk.wall_centre[1] - half)
    low, high = trunk.centres[lowest][2], trunk.centres[highest][2]
    low -= trunk.vertebrae[lowest].half_height + 6
    high += trunk.vertebrae[highest].half_height + 6
    heights = np.arange(low, high, spacing_mm)
    fields = [Irregularity.random(rng, trunk, size) for _ in range(FIELDS)]
    edge = scanner.edge_sd_mm(pixel_mm)
    hu = np.empty((heights.size, size, size), np.int16)
    coverage = np.empty((heights.size, size, size), np.uint8)
    for k, z in enumerate(heights):
        ideal, truth, _ = cut_plane(
            trunk, float(z), grid, rng, _fade(fields, float(z)), thickness_mm=spacing_mm, edge_mm=edge
        )
        hu[k] = np.round(scanner.acquire(ideal, pixel_mm, rng))
        coverage[k] = np.round(truth * 255)
        progress("Simulating the CT", k + 1, heights.size)
    names = [name for name, centre in trunk.centres.items() if heights[0] <= centre[2] <= heights[-1]]
    return SimulatedVolume(
        hu=hu,
        coverage=coverage,
        z_mm=heights,
        grid=grid,
        centres_mm={name: trunk.centres[name] for name in names},
        bmd_mg_cm3={name: trunk.vertebrae[name].bmd for name in names},
    )


def plausible(trunk: Trunk) -> Trunk:
    """Return ``trunk`` with bodies alike, inside the field of view, without what health-check subjects rarely have."""
    trunk = replace(trunk, arms=False, body_distractors=[], neighbours=[])
    model = trunk.vertebrae["L1"]
    for name, vertebra in trunk.vertebrae.items():
        vertebra.patches.clear()
        vertebra.osteophytes.clear()
        thoracic = THORACIC_WIDTH if name.startswith("T") else 1.0
        vertebra.half_width = model.half_width * LEVEL_SCALE[name] * thoracic
        vertebra.half_depth = model.half_depth * LEVEL_SCALE[name]
        vertebra.waist, vertebra.cortex_hu, vertebra.cortex_mm = model.waist, model.cortex_hu, model.cortex_mm
    radii = (min(trunk.wall_radii[0], 170.0), min(trunk.wall_radii[1], 120.0))
    fat = min(trunk.fat_mm, 25.0)
    # The tips of the spinous processes have to stay under the skin.
    centre = (trunk.wall_centre[0], max(trunk.wall_centre[1], SPINE_TO_BACK_MM + fat - radii[1]))
    return replace(trunk, wall_radii=radii, wall_centre=centre, fat_mm=fat, wall_power=min(trunk.wall_power, 2.4))


def _fade(fields: list[Irregularity], z: float) -> Irregularity:
    """Return the fields' mixture at height ``z``, continuous in it and of constant variance."""
    place = z / FIELD_MM
    first = int(np.floor(place))
    share = (place - first) * np.pi / 2
    a, b = fields[first % len(fields)], fields[(first + 1) % len(fields)]
    wa, wb = np.float32(np.cos(share)), np.float32(np.sin(share))
    return Irregularity(wa * a.bend_x + wb * b.bend_x, wa * a.bend_y + wb * b.bend_y, wa * a.marbling + wb * b.marbling)
