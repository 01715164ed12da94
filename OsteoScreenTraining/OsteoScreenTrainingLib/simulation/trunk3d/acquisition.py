"""What a scanner and a reconstruction make of an ideal volume: blur, slice thickness, noise, drift, streaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..canvas import AIR_HU
from ..scanner import Scanner
from .canvas import Grid
from .fields import SmoothField

#: What HU are clipped to: what scanners store.
LOWEST_HU, HIGHEST_HU = -1024.0, 3071.0
#: Thickness of slices and how often (judged).
THICKNESS_MM = {1.0: 0.17, 1.5: 0.12, 2.0: 0.16, 2.5: 0.16, 3.0: 0.17, 4.0: 0.08, 5.0: 0.12, 7.0: 0.02}
#: No scanner reconstructs pixels this large: such a grid is a resampled one.
RESAMPLED_MM = 1.5
#: SD of a box against its width: sqrt(1 / 12).
BOX_SD = 12**-0.5


@dataclass(frozen=True)
class Acquisition:
    """One examination's acquisition: the in-plane behaviour of :class:`Scanner`, and what the third axis adds.

    thickness_mm : of the slices, whatever their spacing
    resampling : SD of the blur that bringing a scan to a coarser grid adds, against that grid's spacing
    shoulder_noise : how much stronger noise is where the body is widest
    """

    scanner: Scanner
    thickness_mm: float
    resampling: float
    shoulder_noise: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> Acquisition:
        """Draw an acquisition; slices 1 to 5 mm thick, now and then 7."""
        scanner = Scanner.random(rng, wild=float(rng.choice([0.3, 0.7, 1.0])))
        thick = float(rng.choice(list(THICKNESS_MM), p=list(THICKNESS_MM.values())))
        return cls(scanner, thick, float(rng.uniform(0.1, 0.55)), float(rng.uniform(0, 1.5)))

    def acquire(self, hu: np.ndarray, grid: Grid, rng: np.random.Generator) -> np.ndarray:
        """Return the volume (slices, rows, columns) that is measured; ``hu`` is used up."""
        s, (dz, dy, dx) = self.scanner, grid.spacing
        self._blur(hu, dz, dy)
        if s.sharpening and s.sharpening_sd_mm > 0.3 * dy:
            smooth = ndimage.gaussian_filter(hu, (0, s.sharpening_sd_mm / dy, s.sharpening_sd_mm / dx), truncate=2.5)
            hu += np.float32(min(s.sharpening, 1.0)) * (hu - smooth)
        hu *= np.float32(s.gain)
        hu += np.float32(s.offset_hu)
        x, y, z = (grid.axis(n) for n in range(3))
        low, high = np.array([x[0], y[0], z[0]]), np.array([x[-1], y[-1], z[-1]])
        hu += SmoothField(rng, low, high, 120.0, 0.6 * s.drift_hu).on(z, y, x)
        self._add_noise(hu, grid, rng)
        return np.clip(hu, LOWEST_HU, HIGHEST_HU, out=hu)

    def _blur(self, hu: np.ndarray, dz: float, dy: float) -> None:
        """Blur by the scanner's point spread, and by as much of the slices' thickness as the grid has not."""
        plane = max(self.scanner.blur_sd_mm, 0.5 * self.scanner.coarse_mm)
        if plane > 0.25 * dy:
            for axis in (1, 2):
                ndimage.gaussian_filter1d(hu, plane / dy, axis=axis, output=hu, truncate=3.0)
        if dy > RESAMPLED_MM:
            for axis in range(3):
                ndimage.gaussian_filter1d(hu, self.resampling, axis=axis, output=hu, truncate=3.0)
        across = max(self.thickness_mm**2 - dz**2, 0.0) ** 0.5 * BOX_SD
        if across > 0.2 * dz:
            ndimage.gaussian_filter1d(hu, across / dz, axis=0, output=hu, truncate=3.0)

    def _add_noise(self, hu: np.ndarray, grid: Grid, rng: np.random.Generator) -> None:
        """Add noise as it is after averaging to the grid's voxels, stronger where rays cross more of the body."""
        dz, dy, dx = grid.spacing
        s = self.scanner
        # Noise of SD noise_sd belongs to voxels of the scanner, 0.8 mm and the slices' thickness; a coarser voxel is
        # a mean of several of them, not all independent: in the real CT at 3 mm (shared/data) soft tissue's SD is 6-10.
        averaged = max(dy / 0.8, 1.0) ** -0.5 * min(max(self.thickness_mm, 1.0) / max(dz, 1.0), 1.0) ** 0.5
        tissue = (hu > -400).mean(axis=(1, 2)) * grid.shape[1] * dy * grid.shape[2] * dx
        wide = np.sqrt(tissue / max(float(np.median(tissue)), 1.0))
        sd = s.noise_sd * averaged * np.clip(wide ** (1 + self.shoulder_noise), 0.5, 2.5)
        correlation = s.noise_sd_mm / dy
        for k in range(grid.shape[0]):
            plane = rng.standard_normal(grid.shape[1:], dtype=np.float32)
            if correlation > 0.3:
                plane = ndimage.gaussian_filter(plane, correlation, truncate=2.5)
                plane /= plane.std()
            hu[k] += plane * np.float32(sd[k])
            if s.streak_sd:
                # Photons are short along the line through both shoulders: level streaks there.
                rows = ndimage.gaussian_filter1d(rng.standard_normal(grid.shape[1], dtype=np.float32), 0.6)
                hu[k] += rows[:, None] * np.float32(0.5 * s.streak_sd * averaged * max(wide[k] - 0.9, 0.0))


def outside_circle(grid: Grid) -> np.ndarray:
    """Return the (rows, columns) mask of what a circular field of view leaves out."""
    x, y = grid.axis(0), grid.axis(1)
    u, v = x - (x[0] + x[-1]) / 2, y - (y[0] + y[-1]) / 2
    radius = max(u[-1], v[-1]) + grid.spacing[2] / 2
    return v[:, None] ** 2 + u[None, :] ** 2 > radius**2


OUTSIDE_HU = AIR_HU - 24
