"""Agreement of two measurements of the same quantity, such as the BMD of two methods in mg/cm3."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from OsteoScreenLib.errors import UsageError

from .checks import finite_numbers
from .intervals import LEVEL, Z_95


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval, in the unit of the measurements."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class BlandAltman:
    """Differences measured - reference: their mean, sample SD, and limits of agreement, bias -/+ 1.96 SD."""

    n: int
    bias: Estimate
    sd: float
    lower_limit: Estimate
    upper_limit: Estimate


@dataclass(frozen=True)
class Agreement:
    """How well two measurements agree.

    Attributes:
        bland_altman: of measured - reference.
        mae, rmse: mean absolute and root mean square difference.
        pearson_r: NaN where one of them is constant.
        concordance: Lin's coefficient; NaN where both are the same constant.
    """

    bland_altman: BlandAltman
    mae: float
    rmse: float
    pearson_r: float
    concordance: float


def bland_altman(measured: Any, reference: Any) -> BlandAltman:
    """Return bias and limits of agreement of two (n,) arrays, with intervals.

    The variance of the bias is s^2 / n and of a limit s^2 (1 / n + 1.96^2 / (2 (n - 1))), both with Student's t of
    n - 1 degrees of freedom (Bland and Altman, Statistical Methods in Medical Research 1999;8:135-160, section 2).

    Raises:
        UsageError: there are fewer than two pairs, or a value is not finite.
    """
    first, second = _pairs(measured, reference)
    difference = first - second
    n, bias, sd = len(difference), float(difference.mean()), float(difference.std(ddof=1))
    quantile = float(stats.t.ppf(0.5 + LEVEL / 2, n - 1))
    around_bias = quantile * sd / math.sqrt(n)
    around_limit = quantile * sd * math.sqrt(1 / n + Z_95**2 / (2 * (n - 1)))
    return BlandAltman(
        n=n,
        bias=_estimate(bias, around_bias),
        sd=sd,
        lower_limit=_estimate(bias - Z_95 * sd, around_limit),
        upper_limit=_estimate(bias + Z_95 * sd, around_limit),
    )


def _estimate(value: float, half: float) -> Estimate:
    return Estimate(value, value - half, value + half)


def agreement(measured: Any, reference: Any) -> Agreement:
    """Return all measures of agreement of two (n,) arrays in the same unit.

    Raises:
        UsageError: there are fewer than two pairs, or a value is not finite.
    """
    first, second = _pairs(measured, reference)
    difference = first - second
    constant = np.ptp(first) == 0 or np.ptp(second) == 0
    return Agreement(
        bland_altman=bland_altman(first, second),
        mae=float(np.abs(difference).mean()),
        rmse=float(np.sqrt((difference**2).mean())),
        pearson_r=math.nan if constant else float(stats.pearsonr(first, second).statistic),
        concordance=_concordance(first, second),
    )


def _concordance(first: np.ndarray, second: np.ndarray) -> float:
    """Return Lin's coefficient with the 1 / n moments of Lin, Biometrics 1989;45:255-268."""
    (variance_first, covariance), (_, variance_second) = np.cov(first, second, ddof=0)
    spread = float(variance_first + variance_second + (first.mean() - second.mean()) ** 2)
    return float(2 * covariance / spread) if spread > 0 else math.nan


def _pairs(measured: Any, reference: Any) -> tuple[np.ndarray, np.ndarray]:
    first = finite_numbers(measured, name="Measurements")
    second = finite_numbers(reference, len(first), "Reference values")
    if len(first) < 2:
        raise UsageError("Agreement needs at least two pairs of measurements.")
    return first, second
