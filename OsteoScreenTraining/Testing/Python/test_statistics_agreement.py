"""Bland-Altman and its company by hand, and the decision curve's formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from OsteoScreenLib.errors import UsageError
from OsteoScreenTrainingLib.statistics.agreement import agreement, bland_altman
from OsteoScreenTrainingLib.statistics.decision_curve import decision_curve


def test_bland_altman_by_hand():
    measured, reference = [102.0, 98, 121, 77, 63], [100.0, 100, 118, 78, 60]
    # Differences 2, -2, 3, -1, 3: mean 1, squares about it 1 + 9 + 4 + 4 + 4 = 22, SD sqrt(5.5).
    found = bland_altman(measured, reference)
    assert found.n == 5
    assert found.bias.value == pytest.approx(1.0)
    assert found.sd == pytest.approx(math.sqrt(5.5))
    assert found.lower_limit.value == pytest.approx(1 - 1.959964 * math.sqrt(5.5), abs=1e-5)
    assert found.upper_limit.value == pytest.approx(1 + 1.959964 * math.sqrt(5.5), abs=1e-5)
    # Student's t of 4 degrees of freedom is 2.776.
    assert found.bias.high - 1 == pytest.approx(2.776 * math.sqrt(5.5 / 5), abs=1e-3)
    half = 2.776 * math.sqrt(5.5 * (1 / 5 + 1.959964**2 / 8))
    assert found.upper_limit.high - found.upper_limit.value == pytest.approx(half, abs=1e-3)
    assert found.lower_limit.value - found.lower_limit.low == pytest.approx(half, abs=1e-3)
    everything = agreement(measured, reference)
    assert everything.bland_altman == found
    assert everything.mae == pytest.approx(11 / 5)
    assert everything.rmse == pytest.approx(math.sqrt(27 / 5))


def test_the_limits_hold_95_percent_and_their_intervals_the_true_limit():
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(600):
        found = bland_altman(rng.normal(3, 10, 50), np.zeros(50))
        inside.append(found.upper_limit.low <= 3 + 19.6 <= found.upper_limit.high)
    assert 0.92 < np.mean(inside) < 0.98


def test_correlation_does_not_see_a_bias_but_concordance_does():
    rng = np.random.default_rng(1)
    reference = rng.normal(130, 40, 5000)
    same = agreement(reference, reference)
    assert same.pearson_r == pytest.approx(1) and same.concordance == pytest.approx(1) and same.rmse == 0
    shifted = agreement(reference + 40, reference)
    assert shifted.pearson_r == pytest.approx(1)
    # 2 s^2 / (2 s^2 + shift^2).
    s2 = reference.var()
    assert shifted.concordance == pytest.approx(2 * s2 / (2 * s2 + 1600), rel=1e-9)
    other = reference + rng.normal(0, 12, 5000)
    assert agreement(other, reference).pearson_r == pytest.approx(stats.pearsonr(other, reference)[0])
    constant = agreement([1.0, 1.0], [1.0, 2.0])
    assert math.isnan(constant.pearson_r) and constant.concordance == 0
    assert math.isnan(agreement([1.0, 1.0], [1.0, 1.0]).concordance)


def test_agreement_needs_pairs():
    with pytest.raises(UsageError, match="at least two pairs"):
        bland_altman([1.0], [2.0])
    with pytest.raises(UsageError, match="are NaN"):
        agreement([1.0, math.nan], [1.0, 2.0])
    with pytest.raises(UsageError, match="not 3"):
        agreement([1.0, 2.0], [1.0, 2.0, 3.0])


def test_the_decision_curve_is_its_formula():
    rng = np.random.default_rng(2)
    labels = rng.random(400) < 0.2
    said = np.clip(0.2 + 0.4 * labels + rng.normal(0, 0.2, 400), 0, 1).round(2)
    found = decision_curve(labels, said)
    assert found.thresholds == pytest.approx(np.linspace(0.01, 0.99, 99))
    for place in (0, 19, 49, 98):
        t = found.thresholds[place]
        positive = said >= t
        tp, fp = (positive & labels).sum(), (positive & ~labels).sum()
        assert found.model[place] == pytest.approx(tp / 400 - fp / 400 * t / (1 - t))
        prevalence = labels.mean()
        assert found.treat_all[place] == pytest.approx(prevalence - (1 - prevalence) * t / (1 - t))
    assert (found.treat_none == 0).all()


def test_treating_all_is_what_a_model_that_says_yes_is_worth():
    labels = np.arange(50) % 5 == 0
    found = decision_curve(labels, np.ones(50))
    assert found.model == pytest.approx(found.treat_all)
    assert found.treat_all[19] == pytest.approx(0.0)  # at a threshold of the prevalence, 0.2
    perfect = decision_curve(labels, labels.astype(float))
    assert perfect.model == pytest.approx(0.2)
    with pytest.raises(UsageError, match="no net benefit"):
        decision_curve(labels, np.linspace(50, 200, 50))
