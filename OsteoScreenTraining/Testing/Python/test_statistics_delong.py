"""DeLong's AUCs: the published example to its printed digits, and the fast way equal to the definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from OsteoScreenLib.errors import UsageError
from OsteoScreenTrainingLib.statistics.delong import (
    Auc,
    auc_covariance,
    auc_with_interval,
    joint_test,
    paired_test,
    unpaired_test,
)

# The ovarian-cancer data of DeLong et al. 1988 as in the SAS LOGISTIC documentation: albumin, total protein, total
# score, event.
_PRINTED = """
3.0 5.8 10 0   3.2 6.3  5 1   3.9 6.8  3 1   2.8 4.8  6 0   3.2 5.8  3 1   0.9 4.0  5 0   2.5 5.7  8 0
1.6 5.6  5 1   3.8 5.7  5 1   3.7 6.7  6 1   3.2 5.4  4 1   3.8 6.6  6 1   4.1 6.6  5 1   3.6 5.7  5 1
4.3 7.0  4 1   3.6 6.7  4 0   2.3 4.4  6 1   4.2 7.6  4 0   4.0 6.6  6 0   3.5 5.8  6 1   3.8 6.8  7 1
3.0 4.7  8 0   4.5 7.4  5 1   3.7 7.4  5 1   3.1 6.6  6 1   4.1 8.2  6 1   4.3 7.0  5 1   4.3 6.5  4 1
3.2 5.1  5 1   2.6 4.7  6 1   3.3 6.8  6 0   1.7 4.0  7 0   3.7 6.1  5 1   3.3 6.3  7 1   4.2 7.7  6 1
3.5 6.2  5 1   2.9 5.7  9 0   2.1 4.8  7 1   2.8 6.2  8 0   4.0 7.0  7 1   3.3 5.7  6 1   3.7 6.9  5 1
3.6 6.6  5 1
"""
OVARIAN = np.array([float(number) for number in _PRINTED.split()]).reshape(-1, 4)
EVENT = OVARIAN[:, 3] == 1
SCORES = np.stack([OVARIAN[:, 0], OVARIAN[:, 1], 10 - OVARIAN[:, 2]])


def _by_definition(labels, scores):
    """Structural components from all pairs, as DeLong et al. define them."""
    yes, no = scores[:, labels], scores[:, ~labels]
    psi = (yes[:, :, None] > no[:, None, :]) + 0.5 * (yes[:, :, None] == no[:, None, :])
    aucs = psi.mean(axis=(1, 2))
    v10, v01 = psi.mean(axis=2) - aucs[:, None], psi.mean(axis=1) - aucs[:, None]
    m, n = yes.shape[1], no.shape[1]
    return aucs, v10 @ v10.T / (m - 1) / m + v01 @ v01.T / (n - 1) / n


def test_the_ovarian_example_is_that_of_the_paper_to_its_digits():
    assert len(OVARIAN) == 43 and EVENT.sum() == 31
    albumin, protein, kg = (auc_with_interval(EVENT, score) for score in SCORES)
    assert [round(auc.value, 4) for auc in (albumin, protein, kg)] == [0.7366, 0.6478, 0.7258]
    assert [round(auc.standard_error, 4) for auc in (albumin, protein, kg)] == [0.0927, 0.1000, 0.1028]
    assert (round(albumin.low, 4), round(albumin.high, 4)) == (0.5549, 0.9182)
    assert (albumin.positives, albumin.negatives) == (31, 12)
    joint = joint_test(EVENT, SCORES)
    assert joint.df == 2
    assert round(joint.chi2, 4) == 2.5340
    assert round(joint.p, 4) == 0.2817


def test_the_joint_test_of_two_scores_is_the_square_of_the_paired_one():
    pair = paired_test(EVENT, SCORES[0], SCORES[1])
    joint = joint_test(EVENT, SCORES[:2])
    assert joint.df == 1
    assert joint.chi2 == pytest.approx(pair.z**2, rel=1e-9)
    assert joint.p == pytest.approx(pair.p, rel=1e-9)
    values, covariance = auc_covariance(EVENT, SCORES[:2])
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert pair.z == pytest.approx((values[0] - values[1]) / math.sqrt(variance), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 25), st.integers(2, 25), st.integers(1, 8))
def test_the_fast_way_equals_the_definition_with_ties(seed, positives, negatives, levels):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat([True, False], [positives, negatives]))
    scores = rng.integers(0, levels + 1, (3, len(labels))) + labels * rng.integers(0, 2, (3, 1))
    aucs, covariance = auc_covariance(labels, scores)
    expected_aucs, expected = _by_definition(labels, scores.astype(float))
    assert aucs == pytest.approx(expected_aucs, abs=1e-12)
    assert covariance == pytest.approx(expected, abs=1e-12)
    assert aucs[0] == pytest.approx(roc_auc_score(labels, scores[0]), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_exchanging_the_scores_turns_the_sign_and_nothing_else(seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(30) % 3 == 0
    a, b = rng.normal(size=(2, 30)).round(1) + labels
    there, back = paired_test(labels, a, b), paired_test(labels, b, a)
    assert there.difference == -back.difference
    assert there.z == -back.z
    assert there.p == back.p


def test_scores_that_rank_alike_leave_nothing_to_test():
    rng = np.random.default_rng(1)
    labels = np.arange(40) % 4 == 0
    score = rng.normal(size=40) + labels
    alike = paired_test(labels, score, np.exp(score))
    assert (alike.difference, alike.z, alike.p) == (0.0, 0.0, 1.0)
    joint = joint_test(labels, np.stack([score, score * 2, score + 1]))
    assert (joint.chi2, joint.df, joint.p) == (0.0, 0, 1.0)
    # A copy among three scores takes one degree of freedom and changes nothing else.
    other = rng.normal(size=40)
    with_copy = joint_test(labels, np.stack([score, other, score * 3]))
    without = joint_test(labels, np.stack([score, other]))
    assert with_copy.df == 1
    assert with_copy.chi2 == pytest.approx(without.chi2, rel=1e-9)
    # Perfect and perfectly wrong: both without variance.
    apart = paired_test(labels, labels * 1.0, labels * -1.0)
    assert (apart.difference, apart.z, apart.p) == (1.0, 0.0, 1.0)


def test_on_independent_groups_the_tests_agree():
    """Independent scores of the same subjects have covariance near 0: then the paired test is the unpaired one."""
    rng = np.random.default_rng(3)
    labels = rng.random(20000) < 0.3
    a, b = rng.normal(size=20000) + 1.0 * labels, rng.normal(size=20000) + 1.05 * labels
    paired = paired_test(labels, a, b)
    unpaired = unpaired_test(auc_with_interval(labels, a), auc_with_interval(labels, b))
    assert unpaired.difference == pytest.approx(paired.difference, abs=1e-12)
    assert unpaired.z == pytest.approx(paired.z, rel=0.03)
    by_hand = unpaired_test(Auc(0.9, 0.03, 0, 1, 9, 9), Auc(0.8, 0.04, 0, 1, 9, 9))
    assert by_hand.z == pytest.approx(2.0)
    assert by_hand.p == pytest.approx(0.04550, abs=1e-5)


def test_the_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(5)
    truth = float(stats.norm.cdf(1 / math.sqrt(2)))
    labels = np.repeat([True, False], [60, 140])
    aucs = [auc_with_interval(labels, rng.normal(size=200) + labels) for _ in range(1000)]
    covered = np.mean([auc.low <= truth <= auc.high for auc in aucs])
    assert 0.925 < covered < 0.965
    assert np.std([auc.value for auc in aucs]) == pytest.approx(np.mean([auc.standard_error for auc in aucs]), rel=0.08)


@pytest.mark.filterwarnings("error")
def test_intervals_are_clipped_and_do_not_exist_with_one_positive():
    perfect = auc_with_interval([0, 0, 1, 1], [1, 2, 3, 4])
    assert (perfect.value, perfect.standard_error, perfect.low, perfect.high) == (1, 0, 1, 1)
    near = auc_with_interval([0, 0, 0, 1, 1, 1], [1, 2, 4, 3, 5, 6])
    assert near.value == pytest.approx(8 / 9)
    assert near.high == 1 and near.low == pytest.approx(near.value - 1.959964 * near.standard_error, abs=1e-6)
    single = auc_with_interval([0, 0, 1], [1, 3, 2])
    assert single.value == 0.5
    assert all(math.isnan(x) for x in (single.standard_error, single.low, single.high))
    assert math.isnan(paired_test([0, 0, 1], [1, 3, 2], [1, 2, 3]).p)
    assert math.isnan(joint_test([0, 0, 1], [[1, 3, 2], [1, 2, 3]]).p)


def test_a_hundred_thousand_subjects_take_no_time():
    rng = np.random.default_rng(0)
    labels = rng.random(100_000) < 0.1
    auc = auc_with_interval(labels, rng.normal(size=100_000) + labels)
    assert auc.value == pytest.approx(0.7602, abs=0.01)


@pytest.mark.parametrize(
    ("labels", "scores", "sentence"),
    [
        ([1, 1, 1], [1, 2, 3], "All 3 subjects are positive"),
        ([0, 0], [1, 2], "All 2 subjects are negative"),
        ([0, 1, 1], [1, 2, math.nan], "1 of 3 are NaN"),
        ([0, 1, 1], [1, 2], "one value for each of the 3 subjects, not 2"),
        ([0, 1, 2], [1, 2, 3], "must be 0 or 1"),
        ([], [], "at least one subject"),
    ],
)
def test_what_has_no_auc_is_told(labels, scores, sentence):
    with pytest.raises(UsageError, match=sentence):
        auc_with_interval(labels, scores)
    with pytest.raises(UsageError):
        paired_test(labels, scores, scores)


def test_a_joint_test_needs_two_scores():
    with pytest.raises(UsageError, match="at least two scores"):
        joint_test(EVENT, SCORES[:1])
    with pytest.raises(UsageError, match="one row per score"):
        auc_covariance(EVENT, SCORES[0])
