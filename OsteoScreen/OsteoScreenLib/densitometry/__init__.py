"""ROI statistics, calibration and BMD."""

from __future__ import annotations

from .bmd import bmd, densitometry, kvp_factor, qct_category
from .calibration import UserCalibration, calibration_schema, choose_calibration, load_calibration
from .roi import INSET_MM, measure_roi
from .standardised import standardised_hu

__all__ = [
    "INSET_MM",
    "UserCalibration",
    "bmd",
    "calibration_schema",
    "choose_calibration",
    "densitometry",
    "kvp_factor",
    "load_calibration",
    "measure_roi",
    "qct_category",
    "standardised_hu",
]
