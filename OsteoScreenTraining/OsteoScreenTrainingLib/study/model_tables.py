"""How good the classifiers are: the paper's Tables 3 and 4, and what it does not print."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from OsteoScreenLib.results import BONE_STATUSES

from ..datasets.splits import PARTS, Part
from ..paper import MODELS
from ..statistics.agreement import agreement
from ..statistics.bone_status import BoneStatusScore, compare_models, score_probabilities
from ..statistics.calibration import brier_score, log_loss, top_label_calibration_error
from ..statistics.intervals import Proportion
from ..statistics.operating import BinaryMetrics
from ..statistics.subgroups import Subgroup, by_subgroup
from ..tables import fixed, p_value, plus_minus, with_interval
from .results import Classifier, StudyResults
from .study_table import Row, StudyTable

WORDS = {"model1": "Model 1", "model2": "Model 2"}
RATES = ("sensitivity", "specificity", "ppv", "npv", "accuracy")
SHORT_RATES = ("Se", "Sp", "PPV", "NPV", "Ac")
#: For the note under a table that has the short ones.
RATES_MEAN = "Se: sensitivity; Sp: specificity; PPV, NPV: positive and negative predictive value; Ac: accuracy."


def score(classifier: Classifier, part: Part) -> BoneStatusScore:
    """Score a classifier on a part, with the thresholds of the validation part."""
    rows = classifier.of(part)
    return score_probabilities(classifier.truth[rows], classifier.probabilities[rows], classifier.thresholds)


def table_3(results: StudyResults, youden: bool = False) -> StudyTable:
    """Return AUC and rates of both models on each part, one class against the rest, at the argmax or at Youden's
    thresholds."""
    values: list[Row] = []
    rows: list[Row] = []
    for name in MODELS:
        for part in PARTS:
            found = score(results.classifiers[name], part)
            for status in BONE_STATUSES:
                one = found.classes[status]
                metrics = one.at_youden if youden else one.at_argmax
                if metrics is None or one.auc is None:
                    continue
                auc = [one.auc.value, one.auc.low, one.auc.high]
                threshold = one.youden_threshold if youden else None
                values.append([name, part, status, *auc, *_flat(metrics), threshold])
                shown = with_interval(one.auc.value, one.auc.low, one.auc.high, 3)
                rows.append([WORDS[name], part, status, shown, *(_rate(metrics, rate) for rate in RATES)])
    at = "Youden's thresholds, fixed on the validation part" if youden else "the most probable class, as in the paper"
    return StudyTable(
        "table-3-youden" if youden else "table-3",
        f"The two models (the paper's Table 3), at {at}",
        ["model", "part", "class", "auc", "auc_low", "auc_high", *_flat_names(), "threshold"],
        values,
        ["model", "part", "class", "AUC (95 % CI)", *SHORT_RATES],
        rows,
        f"AUC with DeLong's 95 % CI; rates with Wilson's in the CSV. {RATES_MEAN}",
    )


def _flat_names() -> list[str]:
    return [f"{rate}{end}" for rate in RATES for end in ("", "_low", "_high")]


def _flat(metrics: BinaryMetrics) -> Row:
    rates: list[Proportion] = [getattr(metrics, rate) for rate in RATES]
    return [number for rate in rates for number in (rate.value, rate.low, rate.high)]


def _rate(metrics: BinaryMetrics, rate: str) -> str:
    return fixed(getattr(metrics, rate).value, 3)


def table_4(results: StudyResults) -> StudyTable:
    """Return DeLong's paired test of Model 1 against Model 2 on the test subjects."""
    names = results.judged()
    truth = results.statuses(names)
    first, second = (results.answers(model, names) for model in MODELS)
    tests = compare_models(truth, first, second)
    scores = [score_probabilities(truth, answers) for answers in (first, second)]
    values: list[Row] = []
    for status in BONE_STATUSES:
        aucs, test = [found.classes[status].auc for found in scores], tests[status]
        if test is not None and aucs[0] is not None and aucs[1] is not None:
            values.append([status, aucs[0].value, aucs[1].value, test.difference, test.z, test.p])
    rows = [[s, fixed(a, 3), fixed(b, 3), fixed(z, 3), p_value(p)] for s, a, b, _, z, p in values]
    return StudyTable(
        "table-4",
        "Model 1 against Model 2 on the test subjects (the paper's Table 4)",
        ["class", "auc_model1", "auc_model2", "difference", "z", "p"],
        values,
        ["class", "AUC of Model 1", "AUC of Model 2", "Z", "P"],
        rows,
        "DeLong's paired test.",
    )


def overall_table(results: StudyResults) -> StudyTable:
    """Return accuracy, balanced accuracy, macro-F1 and quadratic kappa of both models on each part."""
    values: list[Row] = []
    for name in MODELS:
        for part in PARTS:
            found = score(results.classifiers[name], part).overall
            accuracy = found.accuracy
            values.append(
                [name, part, accuracy.n, accuracy.value, accuracy.low, accuracy.high, found.balanced_accuracy]
                + [found.macro_f1, found.quadratic_kappa]
            )
    rows = [
        [WORDS[str(v[0])], v[1], v[2], with_interval(v[3], v[4], v[5], 3), *(fixed(x, 3) for x in v[6:])]
        for v in values
    ]
    return StudyTable(
        "overall",
        "All three classes together",
        ["model", "part", "subjects", "accuracy", "accuracy_low", "accuracy_high", "balanced_accuracy", "macro_f1"]
        + ["quadratic_kappa"],
        values,
        ["model", "part", "subjects", "accuracy (95 % CI)", "balanced accuracy", "macro-F1", "quadratic κ"],
        rows,
    )


def calibration_table(results: StudyResults) -> StudyTable:
    """Return how far the probabilities can be believed, on the test subjects, before and after the temperature."""
    values: list[Row] = []
    for name in MODELS:
        classifier = results.classifiers[name]
        rows = classifier.of("test")
        truth = classifier.truth[rows]
        for step, table in (("before", classifier.uncalibrated), ("after", classifier.probabilities)):
            found = score_probabilities(truth, table[rows])
            slopes = [found.classes[status].calibration.slope for status in BONE_STATUSES]
            values.append(
                [name, step, classifier.temperature, brier_score(truth, table[rows]), log_loss(truth, table[rows])]
                + [top_label_calibration_error(truth, table[rows]), *slopes]
            )
    shown = [
        [WORDS[str(v[0])], v[1], "none" if v[2] is None else fixed(v[2], 2)]
        + [fixed(x, 3) if x is not None else "" for x in v[3:]]
        for v in values
    ]
    return StudyTable(
        "calibration",
        "Probabilities on the test subjects, before and after the temperature",
        ["model", "temperature_step", "temperature", "brier", "log_loss", "ece"]
        + [f"slope_{status}" for status in BONE_STATUSES],
        values,
        ["model", "temperature", "T", "Brier (0–2)", "log-loss", "ECE", *(f"slope, {s}" for s in BONE_STATUSES)],
        shown,
        "T is fitted on the validation subjects. ECE is of the most probable class, ten bins.",
    )


def comparison_table(results: StudyResults) -> StudyTable:
    """Return what differs from Model 1 or 2 in one thing, on the test subjects that both have an answer for."""
    values: list[Row] = []
    for classifier in results.classifiers.values():
        if not classifier.elsewhere:
            values += _comparison(results, classifier)
    return StudyTable(
        "comparisons",
        "What else was tried",
        ["classifier", "subjects", "class", "auc", "auc_low", "auc_high", "accuracy", "ece", "difference", "p"],
        values,
        ["classifier", "class", "AUC (95 % CI)", "accuracy", "ECE", "AUC less the study's own", "P"],
        _comparison_rows(results, values),
        "Each differs from Model 1 or Model 2 in one thing; every one is tested on the outlines that the study's own "
        "network draws. DeLong's paired test.",
    )


def _comparison(results: StudyResults, classifier: Classifier) -> list[Row]:
    names = [name for name in results.split.parts["test"] if name in set(classifier.names)]
    names = [name for name in names if name in set(results.classifiers[classifier.model].names)]
    truth = results.statuses(names)
    own, other = results.answers(classifier.name, names), results.answers(classifier.model, names)
    found, tests = score_probabilities(truth, own), compare_models(truth, own, other)
    rows: list[Row] = []
    for status in BONE_STATUSES:
        auc, test = found.classes[status].auc, tests[status]
        if auc is None or test is None:
            continue
        same = classifier.name == classifier.model
        difference: Row = [None, None] if same else [test.difference, test.p]
        accuracy = found.overall.accuracy.value
        rows.append(
            [classifier.name, len(names), status, auc.value, auc.low, auc.high, accuracy, found.ece, *difference]
        )
    return rows


def _comparison_rows(results: StudyResults, values: Sequence[Row]) -> list[Row]:
    rows: list[Row] = []
    for name, _, status, auc, low, high, accuracy, ece, difference, p in values:
        words = results.classifiers[str(name)].words if status == BONE_STATUSES[0] else ""
        rest = ["", ""] if difference is None else [fixed(difference, 4), p_value(p)]
        rows.append([words, status, with_interval(auc, low, high, 3)] + [fixed(accuracy, 3), fixed(ece, 3), *rest])
    return rows


def scanner_table(results: StudyResults) -> StudyTable | None:
    """Return a classifier that learned on one scanner, on the others, with and without standardised HU."""
    found = [classifier for classifier in results.classifiers.values() if classifier.elsewhere]
    if not found:
        return None
    values: list[Row] = []
    for classifier in found:
        result = score_probabilities(classifier.truth, classifier.probabilities)
        for status in BONE_STATUSES:
            auc = result.classes[status].auc
            if auc is not None:
                values.append(
                    [classifier.name, classifier.trained_on, len(classifier.truth), status, auc.value, auc.low]
                    + [auc.high, result.overall.accuracy.value, result.overall.balanced_accuracy, result.ece]
                )
    words = {classifier.name: classifier.words for classifier in found}
    rows = [
        [words[str(v[0])] if v[3] == BONE_STATUSES[0] else "", v[3], with_interval(v[4], v[5], v[6], 3)]
        + [fixed(x, 3) for x in v[7:]]
        for v in values
    ]
    return StudyTable(
        "scanners",
        f"Trained on {found[0].trained_on} alone, tested on the other scanners",
        ["classifier", "trained_on", "subjects", "class", "auc", "auc_low", "auc_high", "accuracy"]
        + ["balanced_accuracy", "ece"],
        values,
        ["classifier", "class", "AUC (95 % CI)", "accuracy", "balanced accuracy", "ECE"],
        rows,
        f"{len(found[0].truth)} test subjects of scanners that the network never saw.",
    )


def subgroup_table(results: StudyResults) -> StudyTable:
    """Return Model 1's accuracy and AUC, and the error of the measured BMD, by sex, age, scanner and noise."""
    names = results.judged()
    truth, answers = results.statuses(names), results.answers("model1", names)
    measured = np.array([results.measured["model"].bmd[name] for name in names])
    reference = np.array([results.data.subject(name).bmd for name in names], float)

    def judge(rows: np.ndarray) -> Row:
        found = score_probabilities(truth[rows], answers[rows])
        aucs = [found.classes[status].auc for status in BONE_STATUSES]
        error = agreement(measured[rows], reference[rows])
        accuracy = found.overall.accuracy
        return [accuracy.value, accuracy.low, accuracy.high, *(None if auc is None else auc.value for auc in aucs)] + [
            error.bland_altman.bias.value,
            error.mae,
        ]

    values: list[Row] = []
    for kind, labels in _groupings(results, names).items():
        for group in by_subgroup(judge, labels, truth):
            values.append([kind, group.name, group.n, *_judged(group)])
    rows = [_subgroup_row(row) for row in values]
    return StudyTable(
        "subgroups",
        "Model 1 in subgroups of the test subjects",
        ["grouping", "group", "subjects", "accuracy", "accuracy_low", "accuracy_high"]
        + [f"auc_{status}" for status in BONE_STATUSES]
        + ["bmd_bias", "bmd_mae"],
        values,
        ["by", "group", "n", "accuracy (95 % CI)", *(f"AUC, {s}" for s in BONE_STATUSES), "bias of BMD", "MAE of BMD"],
        rows,
        "BMD as measured less the reference, mg/cm³. Groups of fewer than 20 subjects or one class are not judged.",
    )


def _judged(group: Subgroup[Row]) -> Row:
    return [None] * 8 if group.value is None else group.value


def _subgroup_row(row: Row) -> Row:
    kind, name, n, accuracy, low, high, *rest = row
    if accuracy is None:
        return [kind, name, n, "not judged", *([""] * 5)]
    shown = [("" if x is None else fixed(x, 3)) for x in rest[:3]]
    errors = [fixed(x, 1) for x in rest[3:]]
    return [kind, name, n, with_interval(accuracy, low, high, 3), *shown, *errors]


def _groupings(results: StudyResults, names: Sequence[str]) -> dict[str, list[str | None]]:
    subjects = [results.data.subject(name) for name in names]
    noise = np.array([results.measured["model"].sd[name, "L1"] for name in names])
    terciles = np.quantile(noise, [1 / 3, 2 / 3])
    bands = [f"below {terciles[0]:.0f} HU", f"{terciles[0]:.0f} to {terciles[1]:.0f} HU", f"above {terciles[1]:.0f} HU"]
    by_noise: Callable[[float], str] = lambda value: bands[int(np.searchsorted(terciles, value))]  # noqa: E731
    return {
        "sex": [subject.sex for subject in subjects],
        "age": ["below 50" if (s.age_years or 0) < 50 else "50 and older" for s in subjects],
        "scanner": [subject.scanner for subject in subjects],
        "SD of HU in L1": [by_noise(value) for value in noise],
    }


def bmd_table(results: StudyResults) -> StudyTable:
    """Return how the measured BMD agrees with the reference, and with the truth where it is known."""
    values: list[Row] = []
    for outline, words in (("model", "the network's outlines"), ("drawn", "the drawn outlines")):
        measured = results.measured[outline].bmd
        names = [name for name in results.split.parts["test"] if name in measured]
        against = {"reference": [results.data.subject(name).bmd for name in names]}
        if results.truth is not None:
            against["truth"] = [results.truth[name]["bmd_individual"] for name in names]
        for other, numbers in against.items():
            found = agreement([measured[name] for name in names], numbers)
            limits = found.bland_altman
            values.append(
                [words, other, limits.n, limits.bias.value, limits.sd, limits.lower_limit.value]
                + [limits.upper_limit.value, found.mae, found.rmse, found.pearson_r, found.concordance]
            )
    rows = [
        [v[0], v[1], v[2], plus_minus(v[3], v[4], 2)]
        + [f"{fixed(v[5], 1)} to {fixed(v[6], 1)}"]
        + [fixed(v[7], 2), fixed(v[9], 4)]
        for v in values
    ]
    return StudyTable(
        "bmd-agreement",
        "The measured BMD against the reference, test subjects",
        ["measured_in", "against", "subjects", "bias", "sd", "lower_limit", "upper_limit", "mae", "rmse", "pearson_r"]
        + ["concordance"],
        values,
        ["measured inside", "against", "subjects", "bias ± SD", "limits of agreement", "MAE", "r"],
        rows,
        "mg/cm³; mean HU 2 mm inside the outline, through each scan's calibration.",
    )
