"""Confidence intervals: Wilson's of a proportion, and the bootstrap's that resamples subjects."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from OsteoScreenLib.errors import UsageError

#: All intervals are of this level.
LEVEL = 0.95
#: Its two-sided normal quantile, 1.959964.
Z_95 = float(stats.norm.ppf(0.5 + LEVEL / 2))


@dataclass(frozen=True)
class Proportion:
    """``successes`` of ``n`` with the 95 % interval of Wilson; value and interval are NaN where n is 0."""

    value: float
    low: float
    high: float
    successes: int
    n: int


@dataclass(frozen=True)
class BootstrapInterval:
    """A statistic with its 95 % percentile interval.

    Attributes:
        value: the statistic of the data as they are.
        low, high: the 2.5th and 97.5th percentile of the resamples in which the statistic exists.
        repeats: how many resamples were drawn.
        undefined: in how many of them the statistic does not exist.
    """

    value: float
    low: float
    high: float
    repeats: int
    undefined: int


def wilson(successes: int, n: int) -> Proportion:
    """Return a proportion with its 95 % Wilson score interval (Wilson 1927, without continuity correction).

    Raises:
        UsageError: ``successes`` is not between 0 and ``n``.
    """
    if not 0 <= successes <= n:
        raise UsageError(f"{successes} of {n} is no proportion.")
    if n == 0:
        return Proportion(math.nan, math.nan, math.nan, 0, 0)
    interval = stats.binomtest(int(successes), int(n)).proportion_ci(LEVEL, method="wilson")
    return Proportion(successes / n, float(interval.low), float(interval.high), int(successes), int(n))


def bootstrap_interval(
    statistic: Callable[[np.ndarray], float], subjects: Any, *, seed: int, repeats: int = 2000
) -> BootstrapInterval:
    """Return the percentile bootstrap interval (Efron 1979) of a statistic of clustered rows.

    Args:
        statistic: takes the numbers of rows, (m,) int, some of them more than once, and returns a number. It may
            return NaN or raise UsageError where it does not exist (an AUC when only one class was drawn); such
            resamples are counted, not replaced.
        subjects: (n,) whose row each is. Subjects are drawn, each with all rows, because slices of one subject are
            not independent.
        seed: of the random draws; the same seed gives the same interval.
        repeats: number of resamples.

    Raises:
        UsageError: there are no rows or fewer than one repeat, or the statistic does not exist for the data.
    """
    owners = np.asarray(subjects)
    if owners.ndim != 1 or not len(owners) or repeats < 1:
        raise UsageError("A bootstrap needs one row of subjects and at least one repeat.")
    _, owner, sizes = np.unique(owners, return_inverse=True, return_counts=True)
    rows = np.split(np.argsort(owner, kind="stable"), np.cumsum(sizes)[:-1])
    value = float(statistic(np.arange(len(owners))))
    rng = np.random.default_rng(seed)
    drawn = np.array([_resample(statistic, rows, rng) for _ in range(repeats)])
    exists = drawn[~np.isnan(drawn)]
    low, high = np.percentile(exists, [2.5, 97.5]) if len(exists) else (math.nan, math.nan)
    return BootstrapInterval(value, float(low), float(high), repeats, repeats - len(exists))


def _resample(statistic: Callable[[np.ndarray], float], rows: list[np.ndarray], rng: np.random.Generator) -> float:
    chosen = rng.integers(len(rows), size=len(rows))
    try:
        return float(statistic(np.concatenate([rows[subject] for subject in chosen])))
    except UsageError:
        return math.nan
