"""Wilson's interval, the bootstrap by subject, subgroups, and the way to JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest

from OsteoScreenLib.errors import UsageError
from OsteoScreenTrainingLib.statistics.delong import auc_with_interval
from OsteoScreenTrainingLib.statistics.intervals import bootstrap_interval, wilson
from OsteoScreenTrainingLib.statistics.plain import plain
from OsteoScreenTrainingLib.statistics.subgroups import by_subgroup


def test_wilson_against_published_values():
    # Newcombe, Stat Med 1998;17:857-872, Table I, method 3.
    for successes, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = wilson(successes, n)
        assert (found.successes, found.n) == (successes, n)
        assert found.value == successes / n
        assert round(found.low, 4) == low
        assert round(found.high, 4) == high


def test_wilson_of_nothing_does_not_exist_and_nonsense_is_told():
    nothing = wilson(0, 0)
    assert nothing.n == 0
    assert math.isnan(nothing.value) and math.isnan(nothing.low) and math.isnan(nothing.high)
    for successes, n in ((3, 2), (-1, 2)):
        with pytest.raises(UsageError, match="is no proportion"):
            wilson(successes, n)


def test_the_bootstrap_of_a_mean_is_the_normal_interval():
    values = np.random.default_rng(0).normal(10, 2, 400)
    found = bootstrap_interval(lambda rows: float(values[rows].mean()), np.arange(400), seed=1, repeats=4000)
    half = 1.96 * values.std() / 20
    assert found.value == values.mean()
    assert found.low == pytest.approx(values.mean() - half, abs=0.02)
    assert found.high == pytest.approx(values.mean() + half, abs=0.02)
    assert (found.repeats, found.undefined) == (4000, 0)


def test_the_bootstrap_draws_subjects_not_rows():
    """Ten copies of each subject say nothing new: the interval has to stay that of the subjects."""
    values = np.random.default_rng(0).normal(0, 1, 60)
    subjects = np.random.default_rng(1).permutation(np.repeat(np.arange(60), 10))
    copies = values[subjects]

    def width(owners):
        found = bootstrap_interval(lambda rows: float(copies[rows].mean()), owners, seed=2, repeats=2000)
        return found.high - found.low

    assert width(subjects) == pytest.approx(2 * 1.96 * values.std() / math.sqrt(60), rel=0.08)
    assert width(np.arange(600)) < 0.4 * width(subjects)
    names = np.array([f"subject {number}" for number in subjects])
    assert width(names) == pytest.approx(width(subjects), rel=0.1)


def test_the_bootstrap_repeats_and_counts_where_there_is_no_statistic():
    labels, scores = np.array([1, 0, 0, 0, 0]), np.array([3.0, 1, 2, 4, 0])

    def auc(rows):
        return auc_with_interval(labels[rows], scores[rows]).value

    first, second = (bootstrap_interval(auc, np.arange(5), seed=7, repeats=1000) for _ in range(2))
    assert first == second
    # Without the positive in a resample, (4/5)^5, or with it alone, (1/5)^5, there is no AUC.
    assert first.undefined / 1000 == pytest.approx(0.8**5 + 0.2**5, abs=0.05)
    assert 0 <= first.low <= first.value <= first.high <= 1
    assert bootstrap_interval(auc, np.arange(5), seed=8, repeats=1000) != first
    with pytest.raises(UsageError):
        bootstrap_interval(lambda rows: auc_with_interval(labels[rows] * 0, scores[rows]).value, np.arange(5), seed=1)
    with pytest.raises(UsageError, match="one row of subjects"):
        bootstrap_interval(auc, [], seed=1)


def test_subgroups_get_their_statistic_or_the_reason_why_not():
    groups = np.array(["women"] * 30 + ["men"] * 25 + [None] * 3 + ["other"] * 22, object)
    truth = np.concatenate([np.arange(55) % 2, [0, 1, 0], np.full(22, 2)])
    found = {part.name: part for part in by_subgroup(lambda rows: float(truth[rows].mean()), groups, truth)}
    assert list(found) == ["men", "other", "unknown", "women"]
    assert found["women"].value == truth[:30].mean() and found["women"].skipped is None
    assert found["men"].value == truth[30:55].mean()
    assert sum(part.n for part in found.values()) == 80
    assert found["unknown"].value is None and found["unknown"].skipped == "has 3 subjects, fewer than 20"
    assert found["other"].value is None and found["other"].skipped == "has one class only (2)"
    unasked = by_subgroup(lambda rows: rows.tolist(), [40.0, math.nan, 40.0, math.nan], [0, 0, 1, 1], least=2)
    assert [(part.name, part.value) for part in unasked] == [("40.0", [0, 2]), ("unknown", [1, 3])]
    with pytest.raises(UsageError, match="3 subgroup labels for 2 subjects"):
        by_subgroup(len, ["a", "b", "c"], [0, 1])


@dataclass(frozen=True)
class _Found:
    value: float
    table: np.ndarray
    parts: dict[str, tuple[float, ...]]


def test_what_does_not_exist_is_null_in_json():
    found = _Found(math.nan, np.array([[1, 2], [3, 4]]), {"a": (1.5, -math.inf), "b": ()})
    text = json.dumps(plain(found), allow_nan=False)
    assert json.loads(text) == {"value": None, "table": [[1, 2], [3, 4]], "parts": {"a": [1.5, None], "b": []}}
    assert plain({"flag": np.bool_(True), "number": np.float32(0.5), "nothing": None}) == {
        "flag": True,
        "number": 0.5,
        "nothing": None,
    }
    with pytest.raises(TypeError, match="no plain form"):
        plain(object())
