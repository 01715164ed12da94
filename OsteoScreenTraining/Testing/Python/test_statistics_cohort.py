"""Tests of a cohort: the same from summaries as from the values, and as SciPy has them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from OsteoScreenLib.errors import UsageError
from OsteoScreenTrainingLib.statistics.cohort_tests import (
    Group,
    anova,
    chi_square,
    pooled,
    t_test,
    welch_test,
)

RNG = np.random.default_rng(0)
VALUES = [RNG.normal(mean, sd, n) for mean, sd, n in ((130, 40, 53), (125, 25, 11), (140, 43, 42))]
GROUPS = [Group.of(values) for values in VALUES]


def test_summaries_give_what_the_values_give():
    expected = stats.ttest_ind(VALUES[0], VALUES[1])
    found = t_test(GROUPS[0], GROUPS[1])
    assert (found.t, found.p, found.df) == pytest.approx((expected.statistic, expected.pvalue, 62))
    expected = stats.ttest_ind(VALUES[0], VALUES[1], equal_var=False)
    found = welch_test(GROUPS[0], GROUPS[1])
    assert (found.t, found.p, found.df) == pytest.approx((expected.statistic, expected.pvalue, expected.df))
    expected = stats.f_oneway(*VALUES)
    found = anova(GROUPS)
    assert (found.f, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert (found.df_between, found.df_within) == (2, 103)
    assert anova(GROUPS[:2]).f == pytest.approx(t_test(*GROUPS[:2]).t ** 2)


def test_groups_put_together_are_the_group_of_all_values():
    everyone = Group.of(np.concatenate(VALUES))
    together = pooled(GROUPS)
    assert (together.mean, together.sd, together.n) == pytest.approx((everyone.mean, everyone.sd, 106))
    assert Group.of([5.0]) == Group(5.0, 0.0, 1)


def test_chi_square_without_yates():
    # (20 * 30 - 10 * 40)^2 * 100 / (30 * 70 * 60 * 40) by hand.
    found = chi_square([[20, 10], [40, 30]])
    assert found.chi2 == pytest.approx(200**2 * 100 / (30 * 70 * 60 * 40))
    assert found.df == 1
    assert found.p == pytest.approx(stats.chi2.sf(found.chi2, 1))


def test_what_cannot_be_compared_is_told():
    with pytest.raises(UsageError, match="row or column of the table is empty"):
        chi_square([[1, 0], [2, 0]])
    with pytest.raises(UsageError, match="table of counts"):
        chi_square([1, 2, 3])
    with pytest.raises(UsageError, match="more values than groups"):
        t_test(Group(1, 0, 1), Group(2, 0, 1))
    with pytest.raises(UsageError, match="do not vary"):
        anova([Group(1, 0, 5), Group(2, 0, 5)])
    with pytest.raises(UsageError, match="at least two groups"):
        anova([Group(1, 2, 5)])
    with pytest.raises(UsageError, match="at least two values in each"):
        welch_test(Group(1, 1, 5), Group(2, 0, 1))
    with pytest.raises(UsageError, match="no groups"):
        pooled([])
