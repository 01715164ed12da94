"""Calibration: simulated probabilities of known calibration give the known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from OsteoScreenLib.errors import UsageError
from OsteoScreenTrainingLib.statistics.calibration import (
    binary_brier_score,
    brier_score,
    calibration_line,
    expected_calibration_error,
    log_loss,
    reliability_curve,
    top_label_calibration_error,
)
from OsteoScreenTrainingLib.statistics.temperature import apply_temperature, fit_temperature


def _drawn(count, temperature=1.0, seed=0):
    """Return classes drawn from softmax(logits / temperature), and the logits."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, 3))
    cumulated = special.softmax(logits / temperature, axis=1).cumsum(axis=1)
    return (rng.random((count, 1)) > cumulated).sum(axis=1).clip(max=2), logits


def test_brier_and_log_loss_by_hand():
    truth = [0, 1, 2, 2]
    probabilities = [[0.8, 0.1, 0.1], [0.3, 0.4, 0.3], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    by_hand = [0.04 + 0.01 + 0.01, 0.09 + 0.36 + 0.09, 0.0, 2.0]
    assert brier_score(truth, probabilities) == pytest.approx(sum(by_hand) / 4)
    assert binary_brier_score([0, 0, 1, 1], [0.1, 0.3, 1.0, 0.0]) == pytest.approx((0.01 + 0.09 + 0 + 1) / 4)
    assert log_loss(truth[:3], probabilities[:3]) == pytest.approx(-(math.log(0.8) + math.log(0.4)) / 3)
    # The one that was called impossible counts as 2.2e-16.
    assert log_loss(truth, probabilities) == pytest.approx((-math.log(0.32) + 36.04) / 4, abs=0.01)
    # Classes that do not occur do not shift the others.
    assert log_loss([2, 2], [[0.1, 0.4, 0.5], [0.0, 0.75, 0.25]]) == pytest.approx(-(math.log(0.125)) / 2)


def test_reliability_bins_by_hand():
    labels = [0, 1, 1, 0, 1, 1]
    said = [0.04, 0.06, 0.1, 0.55, 0.55, 1.0]
    curve = reliability_curve(labels, said)
    assert [(part.low, part.high, part.observed.n, part.observed.successes) for part in curve] == [
        (0.0, 0.1, 2, 1),
        (0.1, 0.2, 1, 1),
        (0.5, 0.6, 2, 1),
        (0.9, 1.0, 1, 1),
    ]
    assert [part.mean_predicted for part in curve] == pytest.approx([0.05, 0.1, 0.55, 1.0])
    assert 0 < curve[0].observed.low < 0.5 < curve[0].observed.high < 1
    by_hand = (2 * 0.45 + 1 * 0.9 + 2 * 0.05 + 0) / 6
    assert expected_calibration_error(labels, said) == pytest.approx(by_hand)
    assert expected_calibration_error(labels, said, bins=1) == pytest.approx(abs(4 / 6 - 2.3 / 6))
    assert top_label_calibration_error([0, 1], [[0.7, 0.2, 0.1], [0.7, 0.2, 0.1]]) == pytest.approx(0.2)


def test_calibrated_probabilities_have_a_small_error_and_overconfident_ones_a_large():
    truth, logits = _drawn(20000)
    right = special.softmax(logits, axis=1)
    sharp = special.softmax(3 * logits, axis=1)
    assert top_label_calibration_error(truth, right) < 0.015
    assert top_label_calibration_error(truth, sharp) > 0.1
    assert brier_score(truth, right) < brier_score(truth, sharp)
    assert log_loss(truth, right) < log_loss(truth, sharp)
    for k in range(3):
        assert expected_calibration_error(truth == k, right[:, k]) < 0.015
        assert expected_calibration_error(truth == k, sharp[:, k]) > 0.05


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, 0.3), (2.0, -1.0)])
def test_the_calibration_line_is_found(slope, intercept):
    rng = np.random.default_rng(4)
    logit = rng.normal(0, 1.5, 60000)
    labels = rng.random(60000) < special.expit(intercept + slope * logit)
    found = calibration_line(labels, special.expit(logit))
    assert found.slope == pytest.approx(slope, abs=0.04)
    assert found.intercept == pytest.approx(intercept, abs=0.04)
    shifted = special.expit(logit + found.in_the_large).mean()
    assert shifted == pytest.approx(labels.mean(), abs=1e-9)


def test_the_intercept_in_the_large_is_the_shift():
    rng = np.random.default_rng(4)
    logit = rng.normal(0, 1.5, 60000)
    labels = rng.random(60000) < special.expit(logit + 0.7)
    assert calibration_line(labels, special.expit(logit)).in_the_large == pytest.approx(0.7, abs=0.04)


def test_there_is_no_line_where_the_classes_do_not_overlap():
    for labels, said in (
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]),
        ([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9]),
        ([0, 0, 1, 1], [0.1, 0.5, 0.5, 0.9]),
        ([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5]),
    ):
        found = calibration_line(labels, said)
        assert math.isnan(found.slope) and math.isnan(found.intercept)
        assert math.isfinite(found.in_the_large)
    alone = calibration_line([1, 1], [0.4, 0.6])
    assert math.isnan(alone.slope) and math.isnan(alone.in_the_large)
    # One pair the wrong way round is enough for a line; certain probabilities are no infinite logits.
    overlap = calibration_line([0, 0, 1, 0, 1, 1], [0.0, 0.2, 0.3, 0.6, 0.8, 1.0])
    assert math.isfinite(overlap.slope) and 0 < overlap.slope < 2


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found_again(temperature):
    truth, logits = _drawn(40000, temperature)
    found = fit_temperature(logits, truth)
    assert found == pytest.approx(temperature, rel=0.03)
    assert fit_temperature(special.log_softmax(logits, axis=1), truth) == pytest.approx(found, rel=1e-5)
    scaled = apply_temperature(logits, found)
    assert scaled.sum(axis=1) == pytest.approx(1)
    assert (scaled.argmax(axis=1) == logits.argmax(axis=1)).all()
    for other in (0.9 * found, 1.1 * found):
        assert log_loss(truth, scaled) < log_loss(truth, apply_temperature(logits, other))


def test_a_temperature_that_the_data_leave_open_does_not_exist():
    right = np.array([[3.0, 0, 0], [0, 3.0, 0], [0, 1.0, 2.0]])
    assert math.isnan(fit_temperature(right, [0, 1, 2]))
    assert math.isnan(fit_temperature(right, [1, 0, 0]))
    assert math.isnan(fit_temperature(np.zeros((3, 3)), [0, 1, 2]))
    # Two right with a lead of 3 and one wrong: best where the leader has 2/3, exp(3/T) / (exp(3/T) + 2) = 2/3.
    logits = [[3.0, 0, 0], [0, 3.0, 0], [0, 0, 3.0]]
    assert fit_temperature(logits, [0, 1, 0]) == pytest.approx(3 / math.log(4), rel=1e-9)
    with pytest.raises(UsageError, match="above 0"):
        apply_temperature(logits, math.nan)


def test_what_cannot_be_calibrated_is_told():
    with pytest.raises(UsageError, match="Logits must be finite"):
        fit_temperature([[0.0, -math.inf, 0.0]], [0])
    with pytest.raises(UsageError, match="above 0"):
        apply_temperature([[0.0, 1.0, 2.0]], 0)
    with pytest.raises(UsageError, match="between 0 and 1"):
        calibration_line([0, 1], [0.5, 1.2])
    with pytest.raises(UsageError, match="at least one bin"):
        reliability_curve([0, 1], [0.5, 0.6], bins=0)
