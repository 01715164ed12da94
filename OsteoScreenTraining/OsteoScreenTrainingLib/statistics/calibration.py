"""Whether predicted probabilities mean what they say.

Probabilities are those of one class, (n,), with labels (n,) bool, unless a function says (n, 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, special
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.results import BONE_STATUSES

from .checks import binary_labels, class_indices, class_probabilities, finite_numbers
from .intervals import Proportion, wilson

#: Equal-width bins of a reliability curve (Guo et al. 2017 use 15; with some hundred subjects 10 leave fewer empty).
BINS = 10
#: Probabilities nearer to 0 or 1 than this have their logit taken here: float32 cannot tell 1 - 1e-8 from 1.
_NEAREST = 1e-7
#: Where the intercept of calibration in the large is looked for: the logits of 1e-7 and its rest, and as much again.
_INTERCEPTS = (-40.0, 40.0)


@dataclass(frozen=True)
class ReliabilityBin:
    """The subjects whose predicted probability is in [low, high) (the last bin includes 1)."""

    low: float
    high: float
    mean_predicted: float
    observed: Proportion


@dataclass(frozen=True)
class CalibrationLine:
    """Logistic recalibration, logit P(label) = intercept + slope * logit(probability) (Cox 1958).

    Attributes:
        slope: 1 when calibrated, below 1 when overconfident; NaN where no finite line is the most likely one
            (the class is separated completely, or all probabilities are equal).
        intercept: of the same fit; 0 when calibrated.
        in_the_large: the intercept with the slope held at 1; above 0 where the class is predicted too seldom. NaN
            with one class only.
    """

    slope: float
    intercept: float
    in_the_large: float


def brier_score(truth: Any, probabilities: Any) -> float:
    """Return the multiclass Brier score: the mean of sum_k (p_k - y_k)^2, from 0 to 2 (Brier 1950).

    Args:
        truth: (n,) class numbers.
        probabilities: (n, 3).

    Raises:
        UsageError: the arrays are not what they should be, or do not fit.
    """
    true = class_indices(truth)
    said = class_probabilities(probabilities, len(true))
    return float(((said - np.eye(len(BONE_STATUSES))[true]) ** 2).sum(axis=1).mean())


def binary_brier_score(labels: Any, probabilities: Any) -> float:
    """Return the Brier score of one class: the mean of (p - y)^2, from 0 to 1.

    Raises:
        UsageError: the arrays are not what they should be, or do not fit.
    """
    true, said = _checked(labels, probabilities)
    return float(((said - true) ** 2).mean())


def log_loss(truth: Any, probabilities: Any) -> float:
    """Return the mean of -log p(true class) in nats, for probabilities (n, 3).

    Rows are rescaled to sum to 1 exactly. As in scikit-learn a probability of 0 counts as the resolution of float64,
    2.2e-16, so that the loss stays finite.

    Raises:
        UsageError: the arrays are not what they should be, or do not fit.
    """
    true = class_indices(truth)
    said = class_probabilities(probabilities, len(true))
    said = said / said.sum(axis=1, keepdims=True)
    return float(metrics.log_loss(true, said, labels=list(range(len(BONE_STATUSES)))))


def reliability_curve(labels: Any, probabilities: Any, bins: int = BINS) -> list[ReliabilityBin]:
    """Return the equal-width bins that hold subjects, with the observed fraction of each.

    Raises:
        UsageError: the arrays are not what they should be, or there is no bin.
    """
    true, said = _checked(labels, probabilities)
    if bins < 1:
        raise UsageError("A reliability curve needs at least one bin.")
    place = np.minimum((said * bins).astype(int), bins - 1)
    inside = [(number, place == number) for number in np.unique(place)]
    return [
        ReliabilityBin(
            low=float(number / bins),
            high=float((number + 1) / bins),
            mean_predicted=float(said[here].mean()),
            observed=wilson(int(true[here].sum()), int(here.sum())),
        )
        for number, here in inside
    ]


def expected_calibration_error(labels: Any, probabilities: Any, bins: int = BINS) -> float:
    """Return the ECE of one class: the mean over subjects of |observed - mean predicted| of their bin.

    Naeini et al. 2015; equal-width bins.

    Raises:
        UsageError: the arrays are not what they should be, or there is no bin.
    """
    curve = reliability_curve(labels, probabilities, bins)
    gaps = [part.observed.n * abs(part.observed.value - part.mean_predicted) for part in curve]
    return math.fsum(gaps) / sum(part.observed.n for part in curve)


def top_label_calibration_error(truth: Any, probabilities: Any, bins: int = BINS) -> float:
    """Return the ECE of the confidence: of whether the most probable class is the true one (Guo et al. 2017).

    Args:
        truth: (n,) class numbers.
        probabilities: (n, 3).

    Raises:
        UsageError: the arrays are not what they should be, or there is no bin.
    """
    true = class_indices(truth)
    said = class_probabilities(probabilities, len(true))
    return expected_calibration_error(said.argmax(axis=1) == true, said.max(axis=1), bins)


def calibration_line(labels: Any, probabilities: Any) -> CalibrationLine:
    """Return slope and intercept of the logistic recalibration of one class.

    Probabilities within 1e-7 of 0 or 1 have the logit of 1e-7 or of its rest.

    Raises:
        UsageError: the arrays are not what they should be, or do not fit.
    """
    true, said = _checked(labels, probabilities)
    logit = special.logit(np.clip(said, _NEAREST, 1 - _NEAREST))
    slope, intercept = _recalibration(true, logit)
    return CalibrationLine(slope, intercept, _in_the_large(true, logit))


def _recalibration(true: np.ndarray, logit: np.ndarray) -> tuple[float, float]:
    # In one dimension the likelihood has a finite maximum exactly when the two groups overlap (Albert and Anderson
    # 1984); without this check the fit would stop wherever its iterations end.
    if true.all() or not true.any():
        return math.nan, math.nan
    yes, no = logit[true], logit[~true]
    if yes.min() >= no.max() or no.min() >= yes.max():
        return math.nan, math.nan
    fit = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    fit.fit(logit[:, np.newaxis], true)
    return float(fit.coef_[0, 0]), float(fit.intercept_[0])


def _in_the_large(true: np.ndarray, logit: np.ndarray) -> float:
    if true.all() or not true.any():
        return math.nan
    return float(optimize.brentq(lambda shift: special.expit(logit + shift).mean() - true.mean(), *_INTERCEPTS))


def _checked(labels: Any, probabilities: Any) -> tuple[np.ndarray, np.ndarray]:
    true = binary_labels(labels)
    said = finite_numbers(probabilities, len(true), "Probabilities")
    if (said < 0).any() or (said > 1).any():
        raise UsageError("Probabilities must lie between 0 and 1.")
    return true, said
