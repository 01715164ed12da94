"""Tests of a cohort's description, from the summaries that papers print or from the values themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from OsteoScreenLib.errors import UsageError

from .checks import finite_numbers


@dataclass(frozen=True)
class Group:
    """Mean, sample SD (n - 1) and number of a group's values; the SD of a single value is 0."""

    mean: float
    sd: float
    n: int

    @classmethod
    def of(cls, values: Any) -> Group:
        """Return the summary of values (n,).

        Raises:
            UsageError: there are none, or one is not finite.
        """
        array = finite_numbers(values, name="Values")
        return cls(float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else 0.0, len(array))


@dataclass(frozen=True)
class ChiSquare:
    """Pearson's chi-square, its degrees of freedom, and P."""

    chi2: float
    df: int
    p: float


@dataclass(frozen=True)
class TTest:
    """Student's or Welch's t (positive where the first mean is larger), degrees of freedom, and two-sided P."""

    t: float
    df: float
    p: float


@dataclass(frozen=True)
class Anova:
    """F of a one-way analysis of variance, its degrees of freedom, and P."""

    f: float
    df_between: int
    df_within: int
    p: float


def chi_square(table: Any) -> ChiSquare:
    """Return Pearson's chi-square test of a table of counts (r, c), without Yates's correction.

    Raises:
        UsageError: it is not a table of counts with at least two rows and columns, or a row or column is empty.
    """
    counts = np.asarray(table)
    if counts.ndim != 2 or min(counts.shape) < 2 or (counts < 0).any():
        raise UsageError("A chi-square test needs a table of counts with at least two rows and two columns.")
    if not counts.sum(axis=0).all() or not counts.sum(axis=1).all():
        raise UsageError("A row or column of the table is empty; leave it out.")
    found = stats.chi2_contingency(counts, correction=False)
    return ChiSquare(float(found.statistic), int(found.dof), float(found.pvalue))


def t_test(first: Group, second: Group) -> TTest:
    """Return Student's two-sample t-test with pooled variance.

    Raises:
        UsageError: there are fewer than three values in all, or none of the groups varies.
    """
    _enough((first, second))
    found = stats.ttest_ind_from_stats(first.mean, first.sd, first.n, second.mean, second.sd, second.n)
    return TTest(float(found.statistic), float(first.n + second.n - 2), float(found.pvalue))


def welch_test(first: Group, second: Group) -> TTest:
    """Return Welch's two-sample t-test, which lets the variances differ, with Satterthwaite's degrees of freedom.

    Raises:
        UsageError: a group has fewer than two values, or neither varies.
    """
    _enough((first, second))
    if min(first.n, second.n) < 2:
        raise UsageError("Welch's test needs at least two values in each group.")
    a, b = first.sd**2 / first.n, second.sd**2 / second.n
    df = (a + b) ** 2 / (a**2 / (first.n - 1) + b**2 / (second.n - 1))
    t = (first.mean - second.mean) / float(np.sqrt(a + b))
    return TTest(t, df, float(2 * stats.t.sf(abs(t), df)))


def anova(groups: Sequence[Group]) -> Anova:
    """Return the one-way analysis of variance of groups.

    Raises:
        UsageError: there are fewer than two groups, no more values than groups, or no group varies.
    """
    _enough(groups)
    means, sds, counts = (np.array([getattr(group, name) for group in groups], float) for name in ("mean", "sd", "n"))
    grand = (means * counts).sum() / counts.sum()
    between, within = len(groups) - 1, int(counts.sum()) - len(groups)
    f = ((counts * (means - grand) ** 2).sum() / between) / (((counts - 1) * sds**2).sum() / within)
    return Anova(float(f), between, within, float(stats.f.sf(f, between, within)))


def pooled(groups: Sequence[Group]) -> Group:
    """Return the summary of all values of several groups together.

    Raises:
        UsageError: there are no groups.
    """
    if not groups:
        raise UsageError("There are no groups to put together.")
    n = sum(group.n for group in groups)
    mean = sum(group.n * group.mean for group in groups) / n
    squares = sum((group.n - 1) * group.sd**2 + group.n * (group.mean - mean) ** 2 for group in groups)
    return Group(mean, float(np.sqrt(squares / (n - 1))) if n > 1 else 0.0, n)


def _enough(groups: Sequence[Group]) -> None:
    if len(groups) < 2 or min(group.n for group in groups) < 1:
        raise UsageError("A comparison needs at least two groups with values.")
    if sum(group.n for group in groups) <= len(groups):
        raise UsageError("A comparison needs more values than groups.")
    if not any(group.sd > 0 and group.n > 1 for group in groups):
        raise UsageError("The values do not vary within any group; there is nothing to compare with.")
