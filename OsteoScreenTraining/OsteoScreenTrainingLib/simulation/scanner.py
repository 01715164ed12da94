"""What a scanner makes of an ideal plane: blur, kernel, noise, streaks, beam hardening, quantisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .canvas import AIR_HU, Plane, smooth_field


@dataclass(frozen=True)
class Scanner:
    """How a slice was acquired and reconstructed; lengths in mm, noise in HU.

    ``sharpening`` adds that share of (image - blurred image), as edge-enhancing kernels do; ``coarse_mm`` is the pixel
    of a resampled or binned image, or 0.
    """

    blur_sd_mm: float
    sharpening: float
    sharpening_sd_mm: float
    noise_sd: float
    noise_sd_mm: float
    streak_sd: float
    drift_hu: float
    coarse_mm: float
    gain: float
    offset_hu: float
    truncation: bool

    @classmethod
    def random(cls, rng: np.random.Generator, *, wild: float = 1.0) -> Scanner:
        """Draw a scanner; in-plane FWHM is about 0.8-2.4 mm and noise SD 3-65 HU when ``wild`` is 1."""
        u = rng.uniform
        sharp = rng.random() < 0.25
        noise = float(np.exp(u(np.log(4), np.log(34 + 26 * wild))))
        return cls(
            blur_sd_mm=u(0.32, 0.85 + 0.2 * wild),
            sharpening=u(0.4, 2.0) if sharp else 0.0,
            sharpening_sd_mm=u(0.7, 1.8),
            noise_sd=noise * (1.3 if sharp else 1.0),
            noise_sd_mm=u(0.0, 0.45) if sharp else u(0.25, 1.1),
            streak_sd=u(2, 30) if rng.random() < 0.3 else 0.0,
            drift_hu=u(0, 12),
            coarse_mm=u(1.2, 3.4) if rng.random() < 0.2 * wild else 0.0,
            gain=float(rng.normal(1, 0.02)),
            offset_hu=float(rng.normal(0, 5)),
            truncation=bool(rng.random() < 0.35),
        )

    def edge_sd_mm(self, pixel_mm: float) -> float:
        """Return the SD (mm) of the blur at an edge: the scanner's, and that of a square pixel (width / sqrt 12)."""
        pixel = max(pixel_mm, self.coarse_mm)
        return float(np.sqrt(self.blur_sd_mm**2 / (1 + 0.5 * self.sharpening) + pixel**2 / 12))

    def acquire(self, ideal: Plane, pixel_mm: float, rng: np.random.Generator) -> Plane:
        """Return the slice (rows, columns), float32 HU, that this scanner makes of ``ideal``."""
        hu = ndimage.gaussian_filter(ideal, self.blur_sd_mm / pixel_mm, truncate=3.0)
        if self.sharpening:
            hu += self.sharpening * (hu - ndimage.gaussian_filter(hu, self.sharpening_sd_mm / pixel_mm, truncate=2.5))
        hu = hu * self.gain + self.offset_hu + smooth_field(rng, hu.shape[0], 4, self.drift_hu * 0.5)
        hu += self.noise(hu.shape, pixel_mm, rng)
        if self.coarse_mm > pixel_mm:
            hu = _coarsen(hu, self.coarse_mm / pixel_mm)
        if self.truncation:
            hu[_outside_circle(hu.shape[0])] = AIR_HU - 24
        return np.clip(hu, -1024, 3071)

    def noise(self, shape: tuple[int, ...], pixel_mm: float, rng: np.random.Generator) -> Plane:
        """Return correlated noise of SD ``noise_sd``, stronger in the middle of the body, with level streaks."""
        field = rng.standard_normal(shape, dtype=np.float32)
        if self.noise_sd_mm > 0.1:
            field = ndimage.gaussian_filter(field, self.noise_sd_mm / pixel_mm, truncate=2.5)
            field /= field.std()
        field *= np.float32(self.noise_sd)
        if self.streak_sd:
            streaks = rng.standard_normal((shape[0], max(shape[1] // 12, 2)), dtype=np.float32)
            streaks = ndimage.gaussian_filter1d(streaks, 0.5 / pixel_mm, axis=0)
            streaks = ndimage.zoom(streaks, (1, shape[1] / streaks.shape[1]), order=1)[:, : shape[1]]
            field += streaks * np.float32(self.streak_sd / max(float(streaks.std()), 1e-6))
        return field


def _coarsen(hu: Plane, factor: float) -> Plane:
    """Return ``hu`` as if it had been stored at ``factor`` times its pixel size and interpolated back."""
    size = hu.shape[0]
    small = ndimage.zoom(ndimage.uniform_filter(hu, factor), 1 / factor, order=1, grid_mode=True, mode="nearest")
    large = ndimage.zoom(small, size / small.shape[0], order=1, grid_mode=True, mode="nearest")
    return np.ascontiguousarray(large[:size, :size])


def _outside_circle(size: int) -> np.ndarray:
    offset = (np.arange(size, dtype=np.float32) - (size - 1) / 2) ** 2
    return offset[:, None] + offset[None, :] > (size / 2) ** 2
