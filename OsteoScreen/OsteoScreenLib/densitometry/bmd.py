"""From the HU of the levels to BMD, and to the QCT category."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import StudyRefused, UsageError
from ..results import BoneStatus, Calibration, Check, Densitometry, RoiMeasures
from .calibration import REFERENCE_KVP, UserCalibration, choose_calibration, fits_kvp

if TYPE_CHECKING:
    from ..ct.acquisition import Acquisition

#: What vertebral HU at a tube voltage (kV) are multiplied by to be those at 120 kVp (Docs/sources.md; there
#: is no verified factor for another voltage).
KVP_FACTORS = {100.0: 0.927, 120.0: 1.0, 140.0: 1.053}

#: QCT categories (ACR, ISCD; Docs/sources.md): osteoporosis below the first, normal above the second, in mg/cm3, not
#: rounded.
OSTEOPOROSIS_BELOW_MG_CM3 = 80.0
NORMAL_ABOVE_MG_CM3 = 120.0


def kvp_factor(kvp: float) -> float:
    """Return what vertebral HU at `kvp` kV are multiplied by to be those at 120 kVp.

    Raises StudyRefused when no factor is known for it.
    """
    for known, factor in KVP_FACTORS.items():
        if fits_kvp(kvp, known):
            return factor
    known_ones = ", ".join(f"{known:g}" for known in KVP_FACTORS)
    raise StudyRefused(
        f"No factor is known that takes HU at {kvp:g} kVp to 120 kVp (known: {known_ones}); give a calibration of your "
        "scanner at that voltage with --calibration."
    )


def bmd(hu: float, calibration: Calibration, factor: float = 1.0) -> float:
    """Return the BMD in mg/cm3 of the calibration's mineral; `factor` is what `hu` is multiplied by before."""
    return calibration.slope * (hu * factor) + calibration.intercept


def qct_category(bmd_mg_cm3: float) -> BoneStatus:
    """Return the QCT category of an unrounded BMD in mg/cm3: 80 and 120 themselves are osteopenia.

    Raises UsageError when the BMD is not a finite number.
    """
    if not math.isfinite(bmd_mg_cm3):
        raise UsageError(f"A BMD of {bmd_mg_cm3} has no category.")
    if bmd_mg_cm3 < OSTEOPOROSIS_BELOW_MG_CM3:
        return "osteoporosis"
    if bmd_mg_cm3 > NORMAL_ABOVE_MG_CM3:
        return "normal"
    return "osteopenia"


def limits_within_uncertainty(found: Densitometry) -> list[float]:
    """Return the limits of the QCT criterion, in mg/cm3, that lie within one SD of the individual's BMD."""
    reach, value = found.calibration.uncertainty_mg_cm3, found.bmd_mg_cm3["individual"]
    return [limit for limit in (OSTEOPOROSIS_BELOW_MG_CM3, NORMAL_ABOVE_MG_CM3) if abs(value - limit) <= reach]


def densitometry(
    rois: Mapping[str, RoiMeasures], acquisition: Acquisition, user_calibration: UserCalibration | None = None
) -> tuple[Densitometry, list[Check]]:
    """Return the BMD of L1, of L2 if measured, and of the individual (their mean, or L1 alone), and the checks of it.

    Raises StudyRefused when the tube voltage can be neither calibrated nor corrected, UsageError without an L1.
    """
    if "L1" not in rois:
        raise UsageError("The BMD of an individual needs L1; give its level.")
    line, checks = choose_calibration(acquisition, user_calibration)
    factor, factor_checks = _factor(acquisition.kvp, user_calibration)
    values = {level: bmd(rois[level].mean_hu, line, factor) for level in ("L1", "L2") if level in rois}
    individual = math.fsum(values.values()) / len(values)
    found = Densitometry(
        calibration=line,
        bmd_mg_cm3={**values, "individual": individual},
        category=qct_category(individual),
        kvp_factor=factor,
    )
    return found, checks + factor_checks


def _factor(kvp: float | None, user: UserCalibration | None) -> tuple[float, list[Check]]:
    """Return what the HU are multiplied by before the line, and what is to be said about it."""
    if user is not None:
        # The user's line is for HU as its own tube voltage gives them; that of another voltage is refused.
        return 1.0, []
    if kvp is None:
        message = (
            f"The tube voltage is not known; the HU were taken as if made at {REFERENCE_KVP:g} kVp, and the BMD is "
            "off by 5 to 8 % where it was 100 or 140."
        )
        return 1.0, [Check("kvp_correction", "warn", message)]
    factor = kvp_factor(kvp)
    if factor == 1.0:
        return factor, []
    message = (
        f"The HU at {kvp:g} kVp were multiplied by {factor:g} to be those at {REFERENCE_KVP:g} kVp, which adds to the "
        "uncertainty of the BMD."
    )
    return factor, [Check("kvp_correction", "warn", message, kvp)]
