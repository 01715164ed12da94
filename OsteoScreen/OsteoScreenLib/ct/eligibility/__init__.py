"""May this study be screened? Named checks, each pass, warn or refuse, with the value, the reason and what to do.

What the header does not say is never taken as normal: it is a warning. A study is refused when any check refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...results import Check, Level, RoiMeasures
from . import acquisition, cortex, level_pair, outlined_slice  # noqa: F401 (importing them registers their checks)
from .registry import PAIR_CHECKS, SCAN_CHECKS, SLICE_CHECKS, LevelPair, OutlinedSlice, Scan, named

if TYPE_CHECKING:
    from ..study import CT

__all__ = ["acquisition_checks", "is_refused", "pair_checks", "slice_checks"]


def acquisition_checks(ct: CT, *, age_years: float | None = None, sex: str | None = None) -> list[Check]:
    """Judge header and geometry, and add what reading itself found (``ct.findings``: gaps, tilt, series, ...).

    ``age_years`` and ``sex`` are what the user says of the patient; they go before the header's.
    """
    scan = Scan(ct, age_years, sex)
    # Reading saw more of the series than is left of it (gaps, tilt), so what it found stands.
    found = {finding.check for finding in ct.findings}
    checks = [named(name, check(scan)) for name, check in SCAN_CHECKS.items() if name not in found]
    return [*checks, *ct.findings]


def slice_checks(
    ct: CT, level: Level, hu: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], roi: RoiMeasures
) -> list[Check]:
    """Judge one outlined level: ``hu`` and ``mask`` are (rows, columns) of its slice in canonical orientation.

    Each check's name ends in the level's ("noise_L1").
    """
    outlined = OutlinedSlice(ct, level, np.asarray(hu), np.asarray(mask) > 0.5, roi)
    return [named(f"{name}_{level.name}", check(outlined)) for name, check in SLICE_CHECKS.items()]


def pair_checks(rois: Mapping[str, RoiMeasures]) -> list[Check]:
    """Judge L1 against L2; nothing to judge where one of them is missing."""
    if not {"L1", "L2"} <= set(rois):
        return []
    pair = LevelPair(rois["L1"], rois["L2"])
    return [named(name, check(pair)) for name, check in PAIR_CHECKS.items()]


def is_refused(checks: Iterable[Check]) -> bool:
    """Whether any check refuses the study."""
    return any(check.outcome == "refuse" for check in checks)
