"""Bone statuses scored as a whole: the pieces agree, thresholds come from elsewhere, and JSON takes the result."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import special

from OsteoScreenLib.densitometry.bmd import qct_category
from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.results import BONE_STATUSES
from OsteoScreenTrainingLib.statistics.bone_status import (
    baseline_scores,
    compare_models,
    hu_threshold_tests,
    score_measured,
    score_probabilities,
    youden_thresholds,
)
from OsteoScreenTrainingLib.statistics.delong import auc_with_interval, paired_test
from OsteoScreenTrainingLib.statistics.operating import at_threshold
from OsteoScreenTrainingLib.statistics.plain import plain


def _cohort(count, blur, seed=0):
    """Return reference classes, a BMD that is off by ``blur``, and probabilities from it."""
    rng = np.random.default_rng(seed)
    bmd = rng.normal(115, 40, count)
    truth = np.array([BONE_STATUSES.index(qct_category(value)) for value in bmd])
    measured = bmd + rng.normal(0, blur, count)
    logits = np.column_stack([(measured - 120) / 8, 2 - np.abs(measured - 100) / 20, (80 - measured) / 8])
    return truth, measured, special.softmax(logits, axis=1)


def test_the_score_is_made_of_the_pieces():
    truth, _, table = _cohort(400, 10.0)
    thresholds = youden_thresholds(*_cohort(300, 10.0, seed=1)[::2])
    assert set(thresholds) == set(BONE_STATUSES)
    found = score_probabilities(truth, table, thresholds)
    assert found.n == 400
    for k, status in enumerate(BONE_STATUSES):
        part = found.classes[status]
        assert part.subjects == (truth == k).sum()
        assert part.auc == auc_with_interval(truth == k, table[:, k])
        assert part.youden_threshold == thresholds[status]
        assert part.at_youden == at_threshold(truth == k, table[:, k], thresholds[status])
        assert part.at_argmax.tp == found.overall.confusion[k][k]
        assert part.at_argmax != part.at_youden
        assert sum(bin_.observed.n for bin_ in part.reliability) == 400
        assert math.isfinite(part.calibration.slope)
    assert found.overall.accuracy.value == (table.argmax(axis=1) == truth).mean()
    assert found.brier == pytest.approx(sum(part.brier for part in found.classes.values()))
    assert 0 < found.ece < 0.5 and 0 < found.log_loss < 1
    without = score_probabilities(truth, table)
    assert all(part.at_youden is None and part.youden_threshold is None for part in without.classes.values())


def test_json_takes_the_score_even_of_a_set_without_osteoporosis():
    truth, measured, table = _cohort(60, 5.0)
    keep = truth != 2
    found = score_probabilities(truth[keep], table[keep], youden_thresholds(truth[keep], table[keep]))
    assert found.classes["osteoporosis"].auc is None and found.classes["normal"].auc is not None
    assert found.classes["osteoporosis"].at_youden is None
    everything = plain(
        {
            "score": found,
            "measured": score_measured(truth[keep], measured[keep]),
            "thresholds": hu_threshold_tests(measured[keep], truth[keep]),
            "comparison": compare_models(truth[keep], table[keep], baseline_scores(measured[keep])),
        }
    )
    read = json.loads(json.dumps(everything, allow_nan=False))
    assert read["score"]["classes"]["osteoporosis"]["at_argmax"]["sensitivity"]["value"] is None
    assert read["score"]["overall"]["balanced_accuracy"] is None
    assert read["comparison"]["osteoporosis"] is None
    assert read["score"]["classes"]["normal"]["auc"]["value"] > 0.9


def test_a_blurred_model_is_worse_and_the_test_says_so():
    truth, _, sharp = _cohort(500, 5.0)
    _, _, blurred = _cohort(500, 40.0)
    found = compare_models(truth, sharp, blurred)
    for k, status in enumerate(BONE_STATUSES):
        assert found[status] == paired_test(truth == k, sharp[:, k], blurred[:, k])
        assert found[status].z > 3 and found[status].p < 0.01
    same = compare_models(truth, sharp, sharp)
    assert all((test.z, test.p) == (0, 1) for test in same.values())


def test_a_perfect_bmd_is_a_perfect_baseline_but_for_the_shape_of_osteopenia():
    truth, _, _ = _cohort(300, 0.0)
    _, bmd, _ = _cohort(300, 0.0)
    scores = baseline_scores([70.0, 100.0, 130.0])
    assert scores.tolist() == [[70, -30, -70], [100, 0, -100], [130, -30, -130]]
    found = score_measured(truth, bmd)
    assert [found.aucs[status].value for status in BONE_STATUSES] == [1, 1, 1]
    assert found.overall.accuracy.value == 1
    # Limits themselves are osteopenia.
    edge = score_measured([2, 1, 1, 0], [79.999, 80.0, 120.0, 120.001])
    assert edge.overall.accuracy.value == 1 and edge.limits == (80.0, 120.0)
    hu = score_measured(truth, 1.4 * bmd + 5, limits=(117.0, 173.0))
    assert hu.overall.accuracy.value == 1 and hu.aucs["osteopenia"].value == 1
    assert baseline_scores([145.0], limits=(117.0, 173.0))[0].tolist() == [145, 0, -145]


def test_published_hu_thresholds_are_tests_for_osteoporosis():
    truth = np.array([2, 2, 2, 1, 1, 0, 0, 0])
    hu = np.array([90, 110, 150, 104, 160, 161, 200, 169.0])
    found = {test.threshold_hu: test for test in hu_threshold_tests(hu, truth)}
    assert set(found) == {160, 135, 110, 169, 104}
    cells = {at: (t.metrics.tp, t.metrics.fp, t.metrics.fn, t.metrics.tn) for at, t in found.items()}
    assert cells == {160: (3, 2, 0, 3), 135: (2, 1, 1, 4), 110: (2, 1, 1, 4), 169: (3, 4, 0, 1), 104: (1, 1, 2, 4)}
    assert found[160].metrics.sensitivity.low == pytest.approx(0.4385, abs=1e-4)
    assert "Pickhardt" in found[160].source and "90 % sensitive" in found[160].source
    assert "British" in found[104].source and "DXA" in found[104].source


def test_what_cannot_be_scored_is_told():
    truth, measured, table = _cohort(20, 5.0)
    with pytest.raises(UsageError, match="no class osteopaenia; known are normal"):
        score_probabilities(truth, table, {"osteopaenia": 0.5})
    with pytest.raises(UsageError, match="one row for each of the 20 subjects"):
        score_probabilities(truth, table[:-1])
    with pytest.raises(UsageError, match="two rising numbers, not 120 and 80"):
        baseline_scores(measured, (120.0, 80.0))
    with pytest.raises(UsageError, match="1 of 20 are NaN"):
        hu_threshold_tests(np.r_[measured[:-1], np.nan], truth)
