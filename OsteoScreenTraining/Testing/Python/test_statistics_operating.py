"""Operating points and confusion matrices, against values by hand and a second way of counting."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from OsteoScreenLib.errors import UsageError
from OsteoScreenTrainingLib.statistics.multiclass import confusion_matrix, multiclass_metrics, one_vs_rest
from OsteoScreenTrainingLib.statistics.operating import (
    at_argmax,
    at_threshold,
    binary_metrics,
    metrics_from_counts,
    youden_threshold,
)


def test_the_rates_of_a_fourfold_table():
    truth = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    said = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0, 0])
    found = binary_metrics(truth, said)
    assert (found.tp, found.fp, found.fn, found.tn) == (3, 1, 1, 5)
    assert found.sensitivity.value == 3 / 4
    assert found.specificity.value == 5 / 6
    assert found.ppv.value == 3 / 4
    assert found.npv.value == 5 / 6
    assert found.accuracy.value == 8 / 10
    assert found.sensitivity.low == pytest.approx(0.3006, abs=1e-4)
    nobody = binary_metrics([0, 0, 1], [0, 0, 0])
    assert math.isnan(nobody.ppv.value) and nobody.npv.value == 2 / 3 and nobody.sensitivity.value == 0
    with pytest.raises(UsageError, match="2 truths but 1 predictions"):
        binary_metrics([0, 1], [1])
    with pytest.raises(UsageError, match="cannot be negative"):
        metrics_from_counts(1, -1, 2, 3)


def test_a_threshold_includes_itself():
    found = at_threshold([1, 1, 0, 0], [0.7, 0.5, 0.5, 0.2], 0.5)
    assert (found.tp, found.fp, found.fn, found.tn) == (2, 1, 0, 1)
    with pytest.raises(UsageError, match="cannot be NaN"):
        at_threshold([1, 0], [1, 0], math.nan)


def test_youden_of_a_known_curve_and_its_ties():
    labels = [0, 0, 1, 0, 1, 1]
    scores = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    # J is 2/3 at 0.5 (Se 2/3, Sp 1) and at 0.3 (Se 1, Sp 2/3): the sensitive one is taken.
    assert youden_threshold(labels, scores) == 0.3
    assert youden_threshold([0, 1, 0, 1], [1, 2, 3, 4]) in (2, 4)
    assert youden_threshold([0, 1, 0, 1], [1, 2, 3, 4]) == 2
    assert youden_threshold([1, 0], [0.0, 1.0]) == 0.0
    with pytest.raises(UsageError, match="All 2 subjects are positive"):
        youden_threshold([1, 1], [0, 1])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40))
def test_no_threshold_has_a_larger_youden_index(seed, count):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3 == 0
    labels[1] = False
    scores = rng.integers(0, 10, count) + 2 * labels
    chosen = youden_threshold(labels, scores)

    def index(threshold):
        found = at_threshold(labels, scores, threshold)
        return round(found.sensitivity.value + found.specificity.value - 1, 12)

    best = max(index(threshold) for threshold in np.unique(scores))
    assert index(chosen) == best
    assert all(index(threshold) < best for threshold in np.unique(scores) if threshold < chosen)


def test_at_argmax_is_the_confusion_matrix_against_the_rest():
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, 200)
    probabilities = rng.dirichlet([1, 1, 1], 200)
    probabilities = (probabilities + np.eye(3)[truth]) / 2
    matrix = confusion_matrix(truth, probabilities.argmax(axis=1))
    assert matrix.sum() == 200 and matrix.sum(axis=1).tolist() == np.bincount(truth).tolist()
    for k in range(3):
        assert at_argmax(truth, probabilities, k) == one_vs_rest(matrix, k)
    # A tie goes to the healthier class.
    assert at_argmax([0, 1, 2], [[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 1]], 1).tp == 1


def test_a_confusion_matrix_has_the_truth_in_its_rows():
    assert confusion_matrix([0, 0, 1, 2], [0, 1, 1, 0]).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    found = multiclass_metrics([[8, 2, 0], [1, 3, 1], [0, 2, 3]])
    assert found.accuracy.value == 14 / 20
    assert found.balanced_accuracy == pytest.approx((0.8 + 0.6 + 0.6) / 3)
    assert found.macro_f1 == pytest.approx((16 / 19 + 6 / 12 + 6 / 9) / 3)
    # 1 - sum w O / sum w E with w = (i - j)^2: (2 + 1 + 1 + 2) / 20 against the chance table.
    rows, columns = np.array([10, 5, 5]) / 20, np.array([9, 7, 4]) / 20
    w = (np.arange(3)[:, None] - np.arange(3)) ** 2
    assert found.quadratic_kappa == pytest.approx(1 - (6 / 20) / float((w * np.outer(rows, columns)).sum()))


def test_measures_that_an_absent_class_takes_away_do_not_exist():
    found = multiclass_metrics([[5, 1, 0], [1, 5, 0], [0, 0, 0]])
    assert found.accuracy.value == 10 / 12
    assert math.isnan(found.balanced_accuracy) and math.isnan(found.macro_f1)
    assert found.quadratic_kappa == pytest.approx(2 / 3)
    assert math.isnan(multiclass_metrics([[5, 0, 0], [0, 0, 0], [0, 0, 0]]).quadratic_kappa)
    assert multiclass_metrics([[0, 5, 0], [0, 0, 0], [0, 0, 0]]).quadratic_kappa == 0


@pytest.mark.parametrize("matrix", [[[1, 2], [3, 4]], [[0] * 3] * 3, [[-1, 1, 1]] * 3, [[0.5] * 3] * 3])
def test_what_is_no_confusion_matrix_is_told(matrix):
    with pytest.raises(UsageError, match="3 x 3 table of whole numbers"):
        multiclass_metrics(matrix)
    with pytest.raises(UsageError, match="3 x 3 table of whole numbers"):
        one_vs_rest(matrix, 0)


def test_class_numbers_and_probabilities_are_checked():
    with pytest.raises(UsageError, match=r"0 normal, 1 osteopenia, 2 osteoporosis"):
        confusion_matrix([0, 3], [0, 1])
    with pytest.raises(UsageError, match="must sum to 1"):
        at_argmax([0], [[0.5, 0.1, 0.1]], 0)
    with pytest.raises(UsageError, match="softmax"):
        at_argmax([0], [[2.0, -0.5, -0.5]], 0)
    with pytest.raises(UsageError, match="one row for each of the 2 subjects, not 1"):
        at_argmax([0, 1], [[1.0, 0, 0]], 0)
