"""The checks by name: adding one is adding one function with a decorator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...results import Level, RoiMeasures
from ..verdicts import Verdict, named, passed, refused, warned

if TYPE_CHECKING:
    from ..study import CT

__all__ = [
    "PAIR_CHECKS",
    "SCAN_CHECKS",
    "SLICE_CHECKS",
    "LevelPair",
    "OutlinedSlice",
    "Scan",
    "Verdict",
    "named",
    "pair_check",
    "passed",
    "refused",
    "scan_check",
    "slice_check",
    "warned",
]


@dataclass(frozen=True)
class Scan:
    """What a check of the acquisition sees: the CT, and what the user says of the patient."""

    ct: CT
    age_years: float | None
    sex: str | None


@dataclass(frozen=True, eq=False)
class OutlinedSlice:
    """What a check of one level sees: the slice (rows, columns) in HU, its outline (bool), and its measures."""

    ct: CT
    level: Level
    hu: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_]
    roi: RoiMeasures

    @property
    def row_column_mm(self) -> tuple[float, float]:
        """Distance of neighbouring rows and columns."""
        return self.ct.geometry.pixel_spacing_mm


@dataclass(frozen=True)
class LevelPair:
    """What a check of two levels sees: the measures of L1 and of L2."""

    upper: RoiMeasures
    lower: RoiMeasures


ScanCheck = Callable[[Scan], Verdict]
SliceCheck = Callable[[OutlinedSlice], Verdict]
PairCheck = Callable[[LevelPair], Verdict]

SCAN_CHECKS: dict[str, ScanCheck] = {}
SLICE_CHECKS: dict[str, SliceCheck] = {}
PAIR_CHECKS: dict[str, PairCheck] = {}


def scan_check(name: str) -> Callable[[ScanCheck], ScanCheck]:
    """Register a check of the whole scan under ``name``."""

    def register(function: ScanCheck) -> ScanCheck:
        SCAN_CHECKS[name] = function
        return function

    return register


def slice_check(name: str) -> Callable[[SliceCheck], SliceCheck]:
    """Register a check of one outlined level under ``name``; the level's name is added in the result."""

    def register(function: SliceCheck) -> SliceCheck:
        SLICE_CHECKS[name] = function
        return function

    return register


def pair_check(name: str) -> Callable[[PairCheck], PairCheck]:
    """Register a check of L1 against L2 under ``name``."""

    def register(function: PairCheck) -> PairCheck:
        PAIR_CHECKS[name] = function
        return function

    return register
