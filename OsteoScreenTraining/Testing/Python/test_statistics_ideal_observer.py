"""The ideal observer: closed forms against brute force and a Monte Carlo of the noisy reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from OsteoScreenLib.densitometry.bmd import qct_category
from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.results import BONE_STATUSES
from OsteoScreenTrainingLib.statistics.ideal_observer import class_posteriors, expected_auc, expected_aucs


def test_posteriors_at_the_limits_and_far_from_them():
    found = class_posteriors([80.0, 120.0, 200.0, 10.0, 100.0], 10.0)
    assert found.sum(axis=1) == pytest.approx(1)
    assert found[0] == pytest.approx([0.0, 0.5, 0.5], abs=1e-4)
    assert found[1] == pytest.approx([0.5, 0.5, 0.0], abs=1e-4)
    assert found[2] == pytest.approx([1, 0, 0], abs=1e-12)
    assert found[3] == pytest.approx([0, 0, 1], abs=1e-11)
    assert found[4] == pytest.approx([0.02275, 0.9545, 0.02275], abs=1e-5)


def test_without_error_the_classes_are_the_qct_categories():
    bmd = [79.999, 80.0, 100.0, 120.0, 120.001]
    certain = class_posteriors(bmd, 0.0)
    assert [BONE_STATUSES[k] for k in certain.argmax(axis=1)] == [qct_category(value) for value in bmd]
    assert set(certain.ravel()) == {0.0, 1.0}
    assert list(expected_aucs(certain, certain).values()) == [1.0, 1.0, 1.0]


def _by_pairs(p, scores):
    wins = (scores[:, None] > scores) + 0.5 * (scores[:, None] == scores)
    weights = p[:, None] * (1 - p)
    np.fill_diagonal(weights, 0)
    return float((weights * wins).sum() / weights.sum())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40))
def test_the_expected_auc_is_the_weighted_concordance_of_all_pairs(seed, count):
    rng = np.random.default_rng(seed)
    p, scores = rng.random(count), rng.integers(0, 6, count)
    assert expected_auc(p, scores) == pytest.approx(_by_pairs(p, scores), abs=1e-12)


def _mean_auc(drawn, scores):
    """Return the mean Mann-Whitney AUC of one score for many draws of the labels (draws, n)."""
    positives = drawn.sum(axis=1)
    above = drawn @ stats.rankdata(scores) - positives * (positives + 1) / 2
    return float((above / (positives * (drawn.shape[1] - positives))).mean())


def test_the_expected_auc_is_the_mean_of_many_drawn_references():
    """A cohort like the study's, reference error 8 mg/cm3, and an observer who is blurred by 10 mg/cm3 more."""
    rng = np.random.default_rng(7)
    true = rng.normal(130, 43, 418)
    blurred = true + rng.normal(0, 10, 418)
    labels = class_posteriors(true, 8.0)
    # What the blurred one knows of the reference: the regression of true on blurred, and what it leaves open.
    slope = 43**2 / (43**2 + 10**2)
    left = math.sqrt(43**2 * (1 - slope) + 8.0**2)
    observer = class_posteriors(130 + slope * (blurred - 130), left)
    ideal, seen = expected_aucs(labels, labels), expected_aucs(labels, observer)
    reference = true + rng.normal(0, 8, (4000, 418))
    drawn = (reference > 120, (reference >= 80) & (reference <= 120), reference < 80)
    for k, status in enumerate(BONE_STATUSES):
        assert ideal[status] == pytest.approx(_mean_auc(drawn[k], labels[:, k]), abs=0.001)
        assert seen[status] == pytest.approx(_mean_auc(drawn[k], observer[:, k]), abs=0.001)
        assert seen[status] < ideal[status] < 1


def test_more_noise_lowers_the_ceiling_and_osteopenia_is_hardest():
    true = np.linspace(20, 240, 2001)
    ceilings = [expected_aucs(p, p) for p in (class_posteriors(true, sd) for sd in (2.0, 8.0, 15.0))]
    for status in BONE_STATUSES:
        values = [ceiling[status] for ceiling in ceilings]
        assert values == sorted(values, reverse=True) and values[0] < 1
    assert min(ceilings[1], key=ceilings[1].get) == "osteopenia"


def test_what_has_no_ceiling_is_told():
    with pytest.raises(UsageError, match="certainly of one kind"):
        expected_auc([1.0, 1.0], [1, 2])
    with pytest.raises(UsageError, match="0 or more"):
        class_posteriors([100.0], -1.0)
    with pytest.raises(UsageError, match="between 0 and 1"):
        expected_auc([1.5, 0.0], [1, 2])
