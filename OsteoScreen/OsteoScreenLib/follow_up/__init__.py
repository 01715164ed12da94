"""Follow-up: the change in BMD since earlier results of the same patient, and when two results must not be compared."""

from __future__ import annotations

from .comparing import THIS_RESULT, compared, refreshed
from .earlier import EarlierResults, EarlierStudy, read_earlier
from .precision import (
    LSC_FACTOR,
    PRECISION_ERROR_MG_CM3,
    least_significant_change,
    least_significant_change_of_level,
)
from .scans import ComparedScan, parsed_date, scan_of_result

__all__ = [
    "LSC_FACTOR",
    "PRECISION_ERROR_MG_CM3",
    "THIS_RESULT",
    "ComparedScan",
    "EarlierResults",
    "EarlierStudy",
    "compared",
    "least_significant_change",
    "least_significant_change_of_level",
    "parsed_date",
    "read_earlier",
    "refreshed",
    "scan_of_result",
]
