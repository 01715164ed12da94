"""From a simulated person to CT slices: their trunk on their scanner, any height, the same pixels each time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..canvas import Grid
from ..painting import Irregularity, cut_plane
from ..trunk import Trunk
from ..volume import plausible
from .population import Person
from .scanners import ScannerModel

SIZE = 512
SLICE_MM = 2.0
#: How far from the body's middle a reader's centre slice of L1 lies, one SD in mm: half a slice.
CENTRE_SD_MM = 1.0
#: A series for a subject runs from this far above L1's centre to this far below L2's, mm: T12 to the top of L3.
ABOVE_MM, BELOW_MM = 42.0, 26.0


@dataclass(frozen=True)
class RenderedSlice:
    """HU (rows, columns) int16 and the compartment's coverage uint8 0..255, on square pixels of ``pixel_mm``."""

    hu: NDArray[np.int16]
    coverage: NDArray[np.uint8]
    pixel_mm: float


class SubjectScan:
    """One subject's scan; slices are numbered from L1's centre slice, 0, upwards.

    The pixels of a slice follow from the cohort's seed, the subject and the slice's number alone, so that the slices
    of a data set and those of its DICOM series are the same.
    """

    def __init__(self, person: Person, model: ScannerModel, seed: int):
        self.person, self.model, self._seed = person, model, seed
        rng = np.random.default_rng([seed, 23, person.number])
        self.trunk = plausible(
            Trunk.random(rng, wild=0.0, bmd=person.true_bmd["L1"], contrast=False, scale=person.scale)
        )
        for level, bmd in person.true_bmd.items():
            self.trunk.vertebrae[level].set_bmd(bmd)
        self.acquisition = model.acquisition(rng, person.scale)
        pixel = float(np.round(rng.uniform(0.62, 0.84), 4))
        half = pixel * SIZE / 2
        left, top = (centre - half + rng.normal(0, 6) for centre in self.trunk.wall_centre)
        self.grid = Grid(SIZE, pixel, float(left), float(top))
        self._first_mm = float(np.clip(rng.normal(0, CENTRE_SD_MM), -2.5, 2.5))

    @cached_property
    def _irregularity(self) -> Irregularity:
        # Drawn when the first slice is: most of what is asked of a scan is no pixel.
        return Irregularity.random(np.random.default_rng([self._seed, 26, self.person.number]), self.trunk, SIZE)

    def height_mm(self, number: int) -> float:
        """Return a slice's height over the centre of L1's body."""
        return self._first_mm + SLICE_MM * number

    def centre_slice(self, level: str) -> int:
        """Return the number of the slice that a reader would choose for a level."""
        height = self.trunk.centres[level][2] - self.trunk.centres["L1"][2]
        return round((height - self._first_mm) / SLICE_MM)

    def extent(self) -> range:
        """Return the numbers of the slices of the subject's series, from foot to head."""
        lowest = self.trunk.centres["L2"][2] - self.trunk.centres["L1"][2] - BELOW_MM
        return range(int(np.ceil(lowest / SLICE_MM)), int(ABOVE_MM / SLICE_MM) + 1)

    def slice(self, number: int) -> RenderedSlice:
        """Return one slice."""
        # Negative numbers are below L1; a seed takes none.
        rng = np.random.default_rng([self._seed, 24, self.person.number, number + 1000])
        z = self.height_mm(number)
        edge = self.acquisition.edge_sd_mm(self.grid.pixel_mm)
        ideal, truth, _ = cut_plane(
            self.trunk, z, self.grid, rng, self._irregularity, thickness_mm=SLICE_MM, edge_mm=edge
        )
        seen = self.model.respond(ideal, self.person.study_date)
        hu = self.acquisition.acquire(seen, self.grid.pixel_mm, rng)
        return RenderedSlice(np.round(hu).astype(np.int16), np.round(truth * 255).astype(np.uint8), self.grid.pixel_mm)
