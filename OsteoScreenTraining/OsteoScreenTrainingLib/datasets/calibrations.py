"""The line from a subject's HU to BMD, and to the HU of the nominal scanner."""

from __future__ import annotations

import math

from OsteoScreenLib.densitometry import standardised_hu
from OsteoScreenLib.densitometry.calibration import NOMINAL_INTERCEPT, NOMINAL_SLOPE, NOMINAL_UNCERTAINTY_MG_CM3
from OsteoScreenLib.results import Calibration

from .manifest import Subject


def subject_line(subject: Subject) -> Calibration:
    """Return the line from a subject's HU to BMD: that of the manifest, else the nominal one.

    How uncertain a line is, a manifest does not say: then it is NaN, and nothing here depends on it.
    """
    mineral = subject.mineral or "CaHA"
    if subject.calibration_slope is None or subject.calibration_intercept is None:
        return Calibration("nominal", NOMINAL_SLOPE, NOMINAL_INTERCEPT, mineral, NOMINAL_UNCERTAINTY_MG_CM3)
    return Calibration("user", subject.calibration_slope, subject.calibration_intercept, mineral, math.nan)


def standardising_line(subject: Subject) -> tuple[float, float]:
    """Return (slope, offset): what turns a subject's HU into those of the nominal scanner, as screening does."""
    line = subject_line(subject)
    offset = float(standardised_hu(0.0, line))
    return float(standardised_hu(1.0, line)) - offset, offset
