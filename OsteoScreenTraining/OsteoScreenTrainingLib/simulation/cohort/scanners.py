"""The scanners of a simulated cohort: how each responds to bone, how it drifts, and when it was calibrated."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import numpy as np

from ..canvas import Plane
from ..scanner import Scanner
from ..tissue import TRABECULAR_HU_AT_ZERO, TRABECULAR_HU_PER_BMD

#: Days between two measurements of the phantom.
CALIBRATION_DAYS = 91
#: One SD of what a phantom measurement misses: of the slope (same-model scanners agree to 1.4 %, Docs/sources.md),
#: half of that within one scanner, assumed; of the intercept in mg/cm3, assumed.
CALIBRATION_SLOPE_SD, CALIBRATION_INTERCEPT_SD = 0.007, 1.0
#: The day from which drift counts.
INSTALLED = datetime.date(2020, 10, 1)


@dataclass(frozen=True)
class ScannerModel:
    """One scanner: HU of bone are ``gain`` times the ideal ones, plus ``offset_hu``, plus ``drift_hu_per_year``.

    ``share`` of the subjects are scanned on it; ``noise_hu`` (low, high) is the SD of the noise, ``blur_sd_mm`` the
    in-plane blur, ``sharpening`` that of its kernel.
    """

    name: str
    kernel: str
    share: float
    gain: float
    offset_hu: float
    drift_hu_per_year: float
    noise_hu: tuple[float, float]
    blur_sd_mm: float
    sharpening: float

    def offset_on(self, day: datetime.date) -> float:
        """Return the offset in HU on a day."""
        return self.offset_hu + self.drift_hu_per_year * (day - INSTALLED).days / 365.25

    def line_on(self, day: datetime.date) -> tuple[float, float]:
        """Return slope and intercept that turn this scanner's HU into BMD (mg/cm3 of CaHA) without error."""
        slope = 1 / (self.gain * TRABECULAR_HU_PER_BMD)
        return slope, -(self.gain * TRABECULAR_HU_AT_ZERO + self.offset_on(day)) * slope

    def respond(self, ideal: Plane, day: datetime.date) -> Plane:
        """Return what the scanner shows of ideal HU: air and water stay, bone is scaled."""
        return np.where(ideal > 0, ideal * np.float32(self.gain), ideal) + np.float32(self.offset_on(day))

    def acquisition(self, rng: np.random.Generator, scale: float) -> Scanner:
        """Return how one subject is acquired; a larger subject is noisier."""
        low, high = self.noise_hu
        return Scanner(
            blur_sd_mm=self.blur_sd_mm * float(rng.uniform(0.95, 1.05)),
            sharpening=self.sharpening,
            sharpening_sd_mm=1.0,
            noise_sd=float(rng.uniform(low, high)) * scale,
            noise_sd_mm=float(rng.uniform(0.45, 0.75)),
            streak_sd=float(rng.uniform(3, 10)) if rng.random() < 0.15 else 0.0,
            drift_hu=float(rng.uniform(0, 3)),
            coarse_mm=0.0,
            gain=1.0,
            offset_hu=0.0,
            truncation=True,
        )


#: Three scanners that differ as much as scanners do: eight of them misread another's calibration by -9.2 +/- 14 %, and
#: they drift by -0.55 to -2.29 HU a year (Docs/sources.md). Noise and blur are those of low-dose chest CT at 2 mm
#: (SD 15-30 HU, FWHM 1.0-1.3 mm, the same page).
MODELS = (
    ScannerModel("SIM-A", "STANDARD", 0.5, 1.0, 0.0, -0.6, (15, 25), 0.45, 0.0),
    ScannerModel("SIM-B", "SOFT", 0.3, 0.91, 4.0, -2.2, (17, 28), 0.55, 0.0),
    ScannerModel("SIM-C", "DETAIL", 0.2, 1.1, -3.0, -1.2, (18, 30), 0.5, 0.3),
)


class Fleet:
    """The scanners of one cohort, with the phantom measurements that were made of each."""

    def __init__(self, seed: int, models: tuple[ScannerModel, ...] = MODELS):
        self.models = models
        rng = np.random.default_rng([seed, 22])
        self._errors = rng.normal(
            0, (CALIBRATION_SLOPE_SD, CALIBRATION_INTERCEPT_SD), (len(models), self._measurements(), 2)
        )

    def draw(self, rng: np.random.Generator) -> ScannerModel:
        """Return the scanner of one subject."""
        shares = np.array([model.share for model in self.models])
        return self.models[int(rng.choice(len(self.models), p=shares / shares.sum()))]

    def calibration(self, model: ScannerModel, day: datetime.date) -> tuple[float, float]:
        """Return slope and intercept of the last phantom measurement before ``day``, with its error."""
        place = (day - INSTALLED).days // CALIBRATION_DAYS
        measured_on = INSTALLED + datetime.timedelta(place * CALIBRATION_DAYS)
        slope, intercept = model.line_on(measured_on)
        slope_error, intercept_error = self._errors[self.models.index(model), place]
        return slope * (1 + float(slope_error)), intercept + float(intercept_error)

    @staticmethod
    def _measurements() -> int:
        # Enough for any date that a cohort is given.
        return 2 + 3 * 366 // CALIBRATION_DAYS
