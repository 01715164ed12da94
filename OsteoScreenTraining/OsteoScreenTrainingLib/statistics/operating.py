"""A yes-or-no test at an operating point: sensitivity, specificity, predictive values and accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from OsteoScreenLib.errors import UsageError

from .checks import binary_labels, class_indices, class_probabilities, labels_of_both_kinds, numbers
from .intervals import Proportion, wilson


@dataclass(frozen=True)
class BinaryMetrics:
    """The fourfold table of a test and its rates, each with a 95 % Wilson interval (NaN where there is no subject)."""

    tp: int
    fp: int
    fn: int
    tn: int
    sensitivity: Proportion
    specificity: Proportion
    ppv: Proportion
    npv: Proportion
    accuracy: Proportion


def metrics_from_counts(tp: int, fp: int, fn: int, tn: int) -> BinaryMetrics:
    """Return the rates of a fourfold table.

    Raises:
        UsageError: a count is negative.
    """
    if min(tp, fp, fn, tn) < 0:
        raise UsageError("The counts of a fourfold table cannot be negative.")
    return BinaryMetrics(
        tp=tp,
        fp=fp,
        fn=fn,
        tn=tn,
        sensitivity=wilson(tp, tp + fn),
        specificity=wilson(tn, tn + fp),
        ppv=wilson(tp, tp + fp),
        npv=wilson(tn, tn + fn),
        accuracy=wilson(tp + tn, tp + fp + fn + tn),
    )


def binary_metrics(truth: Any, predicted: Any) -> BinaryMetrics:
    """Return the rates of a test from two (n,) bool arrays.

    Raises:
        UsageError: the lengths differ, or something is not a yes or no.
    """
    true, said = binary_labels(truth), binary_labels(predicted)
    if len(true) != len(said):
        raise UsageError(f"There are {len(true)} truths but {len(said)} predictions.")
    counts = [int(cell.sum()) for cell in (true & said, ~true & said, true & ~said, ~true & ~said)]
    return metrics_from_counts(*counts)


def at_argmax(truth: Any, probabilities: Any, k: int) -> BinaryMetrics:
    """Return class ``k`` against the rest where the most probable class is predicted (the paper's operating point).

    Of equally probable classes the first one, which is the healthier one, is predicted.

    Args:
        truth: (n,) class numbers.
        probabilities: (n, 3).

    Raises:
        UsageError: the arrays are not what they should be, or do not fit.
    """
    true = class_indices(truth)
    return binary_metrics(true == k, class_probabilities(probabilities, len(true)).argmax(axis=1) == k)


def at_threshold(labels: Any, scores: Any, threshold: float) -> BinaryMetrics:
    """Return the rates of "positive where score >= threshold".

    Raises:
        UsageError: the arrays do not fit, or a score or the threshold is NaN.
    """
    true = binary_labels(labels)
    if np.isnan(threshold):
        raise UsageError("A threshold cannot be NaN.")
    return binary_metrics(true, numbers(scores, len(true)) >= threshold)


def youden_threshold(labels: Any, scores: Any) -> float:
    """Return the observed score at which "positive where score >= threshold" has the largest Youden index.

    Youden 1950: J = sensitivity + specificity - 1. Of thresholds with the same J the lowest is returned: as good by J,
    and a screening test had rather be sensitive. Fix it on the validation set; on the data that are scored it flatters.

    Raises:
        UsageError: the arrays do not fit, a score is NaN, or there is one class only.
    """
    true = labels_of_both_kinds(labels)
    values, place = np.unique(numbers(scores, len(true)), return_inverse=True)
    positives = np.bincount(place[true], minlength=len(values))
    negatives = np.bincount(place[~true], minlength=len(values))
    # J times both group sizes is an integer: ties are exact, which they are not in fractions.
    tp, fp = positives[::-1].cumsum()[::-1], negatives[::-1].cumsum()[::-1]
    gain = tp * int(negatives.sum()) - fp * int(positives.sum())
    return float(values[int(gain.argmax())])
