"""Labelled axial slices from simulated trunks: one at a time by seed, or a memory-mapped data set of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from OsteoScreenLib.progress import Progress, silent

from ..datasets.slice_writing import SliceSetWriter
from ..parallel import in_order
from .canvas import Grid, Plane, capsule, superellipse
from .painting import Irregularity, cut_plane
from .scanner import Scanner
from .trunk import Trunk

#: Raise it whenever the same seed gives another slice.
GENERATOR = "osteoscreen-slices 4"
SIZE = 512
#: Levels a slice is drawn from, with their weights: T11 to L3 (the issue), L1 and L2 most of all.
LEVEL_WEIGHTS = {"T10": 0.05, "T11": 0.13, "T12": 0.2, "L1": 0.27, "L2": 0.22, "L3": 0.13}
#: A compartment smaller than this (mm2) is no body to outline: the plane runs through a disc or an endplate.
SMALLEST_COMPARTMENT_MM2 = 250.0
#: A reader stops following the blur inwards at about one millimetre: beyond that the wall is drawn where it must be.
LARGEST_EDGE_SD_MM = 1.0


@dataclass(frozen=True)
class SliceTruth:
    """What is known of a simulated slice; lengths in mm, attenuation in HU, BMD in mg/cm3 of CaHA."""

    index: int
    seed: int
    pixel_spacing_mm: float
    level: str
    height_mm: float
    has_body: int
    body_row: float
    body_column: float
    area_mm2: float
    trabecular_hu: float
    bmd: float
    noise_sd: float
    blur_sd_mm: float
    thickness_mm: float
    contrast: int
    implant: int


@dataclass(frozen=True)
class SimulatedSlice:
    """A slice (rows, columns) of int16 HU, the compartment's coverage as uint8 0..255, and the truth behind them."""

    hu: NDArray[np.int16]
    coverage: NDArray[np.uint8]
    truth: SliceTruth


def simulate_slice(seed: int, index: int = 0, *, size: int = SIZE) -> SimulatedSlice:
    """Return slice ``index`` of the stream ``seed``: the same numbers give the same slice on every machine."""
    rng = np.random.default_rng([seed, index])
    wild = float(rng.choice([0.3, 0.7, 1.0]))
    trunk = Trunk.random(rng, wild=wild)
    scanner = Scanner.random(rng, wild=wild)
    grid = _grid(rng, trunk, size)
    thickness = float(rng.choice([0.7, 1.0, 1.25, 2.0, 2.5, 3.0, 5.0]))
    z = _height(rng, trunk)
    edge = min(scanner.edge_sd_mm(grid.pixel_mm), LARGEST_EDGE_SD_MM)
    irregularity = Irregularity.random(rng, trunk, size)
    ideal, truth, level = cut_plane(trunk, z, grid, rng, irregularity, thickness_mm=thickness, edge_mm=edge)
    implant = rng.random() < 0.025
    if implant:
        _paint_implant(ideal, grid, trunk, z, rng)
        truth[:] = 0
    hu = scanner.acquire(ideal, grid.pixel_mm, rng)
    area = float(truth.sum()) * grid.pixel_mm**2
    has_body = area >= SMALLEST_COMPARTMENT_MM2
    if not has_body:
        truth[:] = 0
    row, column = ndimage.center_of_mass(truth) if has_body else (float("nan"), float("nan"))
    vertebra = trunk.vertebrae[level]
    return SimulatedSlice(
        hu=np.round(hu).astype(np.int16),
        coverage=np.round(truth * 255).astype(np.uint8),
        truth=SliceTruth(
            index=index,
            seed=seed,
            pixel_spacing_mm=grid.pixel_mm,
            level=level,
            height_mm=z - trunk.centres[level][2],
            has_body=int(has_body),
            body_row=float(row),
            body_column=float(column),
            area_mm2=area if has_body else 0.0,
            trabecular_hu=vertebra.trabecular_hu,
            bmd=vertebra.bmd,
            noise_sd=scanner.noise_sd,
            blur_sd_mm=scanner.blur_sd_mm,
            thickness_mm=thickness,
            contrast=int(trunk.contrast),
            implant=int(implant),
        ),
    )


def _grid(rng: np.random.Generator, trunk: Trunk, size: int) -> Grid:
    """Return a field of view: usually the whole trunk about its middle, sometimes a spine protocol's small one."""
    pixel = float(rng.uniform(0.45, 0.98)) * 512 / size
    field = pixel * size
    if field > 330:
        middle_x, middle_y = trunk.wall_centre[0] + rng.normal(0, 14), trunk.wall_centre[1] + rng.normal(0, 20)
    else:
        middle_x, middle_y = rng.normal(0, 25), rng.normal(-20, 30)
    return Grid(size, pixel, middle_x - field / 2, middle_y - field / 2)


def _height(rng: np.random.Generator, trunk: Trunk) -> float:
    """Return a height: near the middle of a body mostly, sometimes near its ends, sometimes in a disc."""
    level = str(rng.choice(list(LEVEL_WEIGHTS), p=list(LEVEL_WEIGHTS.values())))
    half = trunk.vertebrae[level].half_height
    kind = rng.choice(3, p=[0.68, 0.22, 0.10])
    share = (rng.uniform(-0.35, 0.35), rng.choice([-1, 1]) * rng.uniform(0.35, 0.8), rng.uniform(1.05, 1.3))[kind]
    return float(trunk.centres[level][2] + share * half)


def _paint_implant(ideal: Plane, grid: Grid, trunk: Trunk, z: float, rng: np.random.Generator) -> None:
    """Fill the body with cement, or put screws through its pedicles, with dark and bright streaks beside them."""
    sx, sy = trunk.spine_at(z)
    x, y = grid.x[None, :] - np.float32(sx), grid.y[:, None] - np.float32(sy)
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 4)):
            blob = superellipse(x - rng.normal(0, 6), y - rng.normal(0, 5), (rng.uniform(4, 11), rng.uniform(4, 10)))
            ideal += np.clip(blob + 0.5, 0, 1) * (rng.uniform(1200, 2800) - ideal)
        return
    for side in (-1, 1):
        screw = capsule(x, y, (side * 22, 34), (side * rng.uniform(5, 12), -rng.uniform(2, 12)), rng.uniform(2.2, 3.6))
        ideal += np.clip(screw + 0.5, 0, 1) * (3071 - ideal)
        ideal -= 500 * np.exp(-np.abs(y - 10 - side * 0.25 * x) / 4) * np.exp(-np.hypot(x, y) / 60)


def write_slices(
    folder: Path, count: int, seed: int, *, workers: int = 1, size: int = SIZE, progress: Progress = silent
) -> None:
    """Write ``count`` slices into a new data set ``folder``: images.npy, masks.npy, slices.csv, dataset.json.

    dataset.json is written last: a folder without it is unfinished.

    Raises:
        FileExistsError: ``folder`` already holds a finished data set.
    """
    with SliceSetWriter(folder, count, size, "simulated", GENERATOR, seed=seed) as slices:
        for done, simulated in enumerate(_simulate_all(seed, count, workers, size), 1):
            slices.add(simulated.hu, simulated.coverage, asdict(simulated.truth))
            progress("Simulating the slices", done, count)


def _simulate_all(seed: int, count: int, workers: int, size: int) -> Iterator[SimulatedSlice]:
    return in_order(partial(simulate_slice, seed, size=size), range(count), workers)
