"""The checks by name: adding one is adding one function with a decorator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...results import Check, Level, Outcome, RoiMeasures

if TYPE_CHECKING:
    from ..study import CT


@dataclass(frozen=True)
class Verdict:
    """What one check found: the outcome, the reason with what to do, and the value judged."""

    outcome: Outcome
    message: str
    value: Any = None


def passed(message: str, value: Any = None) -> Verdict:
    """Nothing stands against screening."""
    return Verdict("pass", message, value)


def warned(message: str, value: Any = None) -> Verdict:
    """The study is screened, and the reader has to know this."""
    return Verdict("warn", message, value)


def refused(message: str, value: Any = None) -> Verdict:
    """The study must not be screened as it is."""
    return Verdict("refuse", message, value)


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


def named(name: str, verdict: Verdict) -> Check:
    """The verdict as the result holds it."""
    return Check(name, verdict.outcome, verdict.message, verdict.value)
