"""What the networks have to be better than: measured BMD, published HU thresholds, the ideal observer, the paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from OsteoScreenLib.results import BONE_STATUSES

from ..paper import MODELS, paper
from ..statistics.bone_status import (
    BASELINE,
    baseline_scores,
    compare_models,
    hu_threshold_tests,
    score_measured,
    score_probabilities,
)
from ..statistics.delong import auc_with_interval
from ..statistics.ideal_observer import expected_aucs
from ..tables import fixed, p_value, with_interval
from .model_tables import RATES, RATES_MEAN, SHORT_RATES, WORDS, score
from .results import StudyResults
from .study_table import Row, StudyTable

#: Who answers as well as the reference's error allows, with the true BMD of both levels, or of one.
IDEAL, IDEAL_OF_L1 = "ideal observer", "ideal observer of L1 alone"


def baseline(results: StudyResults, names: Sequence[str]) -> np.ndarray:
    """Return the measured BMD of some subjects, (n,) mg/cm3."""
    return np.array([results.measured["model"].bmd[name] for name in names])


def baseline_table(results: StudyResults) -> StudyTable:
    """Return both models against the category of the measured BMD, and whether either is better."""
    names = results.judged()
    truth, measured = results.statuses(names), baseline(results, names)
    found = score_measured(truth, measured)
    values: list[Row] = []
    for status in BONE_STATUSES:
        auc = found.aucs[status]
        if auc is not None:
            values.append([BASELINE, status, auc.value, auc.low, auc.high, found.overall.accuracy.value, None, None])
    for model in MODELS:
        answers = results.answers(model, names)
        scored, tests = score_probabilities(truth, answers), compare_models(truth, answers, baseline_scores(measured))
        for status in BONE_STATUSES:
            auc, test = scored.classes[status].auc, tests[status]
            if auc is not None and test is not None:
                values.append(
                    [WORDS[model], status, auc.value, auc.low, auc.high, scored.overall.accuracy.value]
                    + [test.difference, test.p]
                )
    rows = [
        [v[0] if v[1] == BONE_STATUSES[0] else "", v[1], with_interval(v[2], v[3], v[4], 3)]
        + [fixed(v[5], 3)]
        + (["", ""] if v[6] is None else [fixed(v[6], 4), p_value(v[7])])
        for v in values
    ]
    return StudyTable(
        "baselines",
        "The networks beside the measured BMD",
        ["method", "class", "auc", "auc_low", "auc_high", "accuracy", "difference", "p"],
        values,
        ["method", "class", "AUC (95 % CI)", "accuracy", "AUC less that of the BMD", "P"],
        rows,
        verdict(values),
    )


def verdict(values: Sequence[Row]) -> str:
    """Say in a sentence whether the networks are better than the measurement, from the rows of the table."""
    tested = [(str(v[0]), str(v[1]), v[6], v[7]) for v in values if v[6] is not None]
    better = [f"{model} for {status}" for model, status, difference, p in tested if difference > 0 and p < 0.05]
    worse = [f"{model} for {status}" for model, status, difference, p in tested if difference < 0 and p < 0.05]
    if not better and not worse:
        return "No network differs from the mean HU through the calibration (P ≥ .05 for every class)."
    parts = []
    if better:
        parts.append(f"Better than the measured BMD at P < .05: {', '.join(better)}.")
    if worse:
        parts.append(f"Worse than the measured BMD at P < .05: {', '.join(worse)}.")
    if not better:
        parts.append("No network is better than the mean HU through the calibration.")
    return " ".join(parts)


def hu_table(results: StudyResults) -> StudyTable:
    """Return the published L1-HU thresholds as tests for osteoporosis by the reference."""
    names = results.judged()
    hu = [results.measured["model"].hu[name, "L1"] for name in names]
    values: list[Row] = []
    rows: list[Row] = []
    sources: dict[str, list[str]] = {}
    for test in hu_threshold_tests(hu, results.statuses(names)):
        rates = [getattr(test.metrics, rate) for rate in RATES]
        values.append([test.threshold_hu, *(x for r in rates for x in (r.value, r.low, r.high)), test.source])
        whose, _, meant = test.source.rpartition("; ")
        sources.setdefault(whose, []).append(f"{test.threshold_hu:g}")
        rows.append([f"{test.threshold_hu:g} HU", meant, *(fixed(rate.value, 3) for rate in rates)])
    return StudyTable(
        "hu-thresholds",
        "Published thresholds of L1 HU, as tests for osteoporosis",
        ["threshold_hu", *(f"{rate}{end}" for rate in RATES for end in ("", "_low", "_high")), "source"],
        values,
        ["L1 at most", "there", *SHORT_RATES],
        rows,
        f"{RATES_MEAN} HU as measured, on whichever scanner. The thresholds were set against DXA; the reference here "
        "is QCT. " + " ".join(f"{' and '.join(numbers)} HU: {whose}." for whose, numbers in sources.items()),
    )


def ceiling_table(results: StudyResults) -> StudyTable | None:
    """Return the models beside the ideal observers, who know the true BMD; None for real data."""
    names = results.judged()
    ideal = results.ideal(names)
    one_level = results.ideal(names, "L1")
    if ideal is None or one_level is None:
        return None
    truth = results.statuses(names)
    everyone = [subject.subject for subject in results.subjects()]
    posterior = results.ideal(everyone)
    assert posterior is not None
    observers = {IDEAL: ideal, IDEAL_OF_L1: one_level}
    answers = observers | {WORDS[model]: results.answers(model, names) for model in MODELS}
    expected = {
        IDEAL: expected_aucs(posterior, posterior),
        IDEAL_OF_L1: expected_aucs(posterior, results.ideal(everyone, "L1")),
    }
    own = {WORDS["model1"]: IDEAL, WORDS["model2"]: IDEAL_OF_L1}
    values: list[Row] = []
    for who, table in answers.items():
        for k, status in enumerate(BONE_STATUSES):
            auc = auc_with_interval(truth == k, table[:, k]).value
            best = auc_with_interval(truth == k, ideal[:, k]).value
            same = auc_with_interval(truth == k, answers[own.get(who, who)][:, k]).value
            in_all = expected[who][status] if who in expected else None
            values.append([who, status, auc, auc - best, auc - same if who in own else None, in_all])
    rows = [
        [v[0] if v[1] == BONE_STATUSES[0] else "", v[1], *("" if x is None else fixed(x, 4) for x in v[2:])]
        for v in values
    ]
    sd = results.data.header.reference_sd_mg_cm3
    return StudyTable(
        "ceiling",
        "The ceiling: what an observer reaches who knows the true BMD",
        ["observer", "class", "auc", "less_ideal", "less_ideal_of_same_levels", "expected_auc"],
        values,
        ["observer", "class", "AUC", "less the ideal's", "less that of the ideal who knows the same levels"]
        + ["expected over all subjects"],
        rows,
        f"The reference has an error of SD {sd:g} mg/cm³, so that even the truth does not tell every class. AUC on the "
        "test subjects; the last column is the mean over all errors that the reference might have made.",
    )


def paper_table(results: StudyResults) -> StudyTable:
    """Return the paper's numbers beside ours, test subjects."""
    published = paper()
    values: list[Row] = []
    for model in MODELS:
        found = score(results.classifiers[model], "test")
        for status in BONE_STATUSES:
            theirs, ours = published.performance[model, "test", status], found.classes[status]
            if ours.auc is not None:
                values.append(
                    [f"{WORDS[model]}, {status}: AUC", theirs.auc, theirs.low, theirs.high]
                    + [ours.auc.value, ours.auc.low, ours.auc.high]
                )
            for rate, short in zip(RATES, SHORT_RATES, strict=True):
                one = getattr(ours.at_argmax, rate)
                values.append(
                    [f"{WORDS[model]}, {status}: {short}", getattr(theirs, rate), None, None]
                    + [one.value, one.low, one.high]
                )
    dsc = results.network("dcnn").column("dsc")
    values.append(["DSC of the DCNN, mean", published.dsc_range.mean, None, None, float(dsc.mean()), None, None])
    values.append(["DSC of the DCNN, SD over slices", published.dsc.sd, None, None, float(dsc.std(ddof=1)), None, None])
    rows = [[v[0], _shown(v[1:4]), _shown(v[4:7])] for v in values]
    return StudyTable(
        "paper-and-ours",
        "The paper's numbers and ours, test subjects",
        ["quantity", "paper", "paper_low", "paper_high", "ours", "ours_low", "ours_high"],
        values,
        ["", "the paper", "here"],
        rows,
        f"{RATES_MEAN} The paper gives intervals for AUC only. "
        + ("Its subjects are people, ours are simulated." if results.simulated else ""),
    )


def contradictions_table() -> StudyTable:
    """Return where the paper contradicts itself, and what was taken instead."""
    values: list[Row] = [[c.where, c.printed, c.correct, c.why] for c in paper().contradictions]
    header = ["where", "printed", "taken", "why"]
    return StudyTable(
        "paper-contradictions", "Where the paper contradicts itself", header, values, header, values, kind="published"
    )


def _shown(numbers: Row) -> str:
    value, low, high = numbers
    if value is None:
        return ""
    if low is None or high is None:
        return fixed(value, 3)
    return with_interval(value, low, high, 3)
