"""Areas under ROC curves with DeLong's covariance, and the tests that follow from it.

DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating characteristic
curves", Biometrics 1988;44:837-845, computed from midranks in O(n log n) as in Sun and Xu, "Fast implementation of
DeLong's algorithm", IEEE Signal Processing Letters 2014;21:1389-1393. A tie between a positive and a negative counts
one half. Higher scores speak for the positive class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from OsteoScreenLib.errors import UsageError

from .checks import labels_of_both_kinds, numbers
from .intervals import Z_95

#: Eigenvalues of a covariance below this part of the largest are rounding.
_RANK_TOLERANCE = 1e-10


@dataclass(frozen=True)
class Auc:
    """An area under the ROC curve.

    Attributes:
        value: in [0, 1].
        standard_error: DeLong's; NaN with fewer than two positives or negatives, as are ``low`` and ``high``.
        low, high: 95 % interval, value +/- 1.959964 standard errors, clipped to [0, 1].
        positives, negatives: numbers of subjects.
    """

    value: float
    standard_error: float
    low: float
    high: float
    positives: int
    negatives: int


@dataclass(frozen=True)
class AucTest:
    """Two AUCs compared: the first less the second, Z, and the two-sided P."""

    difference: float
    z: float
    p: float


@dataclass(frozen=True)
class JointAucTest:
    """The hypothesis that several AUCs are equal: chi-square, its degrees of freedom, and P."""

    chi2: float
    df: int
    p: float


@dataclass(frozen=True)
class _Placements:
    """How many negatives each positive beats (k, positives), and how many positives beat each negative
    (k, negatives), ties as half. They are halves of integers, so that differences of equal scores are exactly 0."""

    positives: np.ndarray
    negatives: np.ndarray

    @property
    def pairs(self) -> int:
        return self.positives.shape[1] * self.negatives.shape[1]

    @property
    def aucs(self) -> np.ndarray:
        total: np.ndarray = self.positives.sum(axis=1) / self.pairs
        return total

    def covariance(self, contrasts: np.ndarray) -> np.ndarray:
        """Return the covariance matrix of contrasts (c, k) of the AUCs; all NaN where DeLong's does not exist."""
        m, n = self.positives.shape[1], self.negatives.shape[1]
        if min(m, n) < 2:
            return np.full((len(contrasts),) * 2, math.nan)
        among_positives = np.atleast_2d(np.cov(contrasts @ self.positives)) / n**2
        among_negatives = np.atleast_2d(np.cov(contrasts @ self.negatives)) / m**2
        total: np.ndarray = among_positives / m + among_negatives / n
        return total


def _placements(labels: Any, scores: Any) -> _Placements:
    positive = labels_of_both_kinds(labels)
    rows = np.asarray(scores, np.float64)
    if rows.ndim != 2:
        raise UsageError(f"Scores must have one row per score and one column per subject, not shape {rows.shape}.")
    table = np.stack([numbers(row, len(positive)) for row in rows])
    ranks = stats.rankdata(table, axis=1)
    beaten = ranks[:, positive] - stats.rankdata(table[:, positive], axis=1)
    lost = ranks[:, ~positive] - stats.rankdata(table[:, ~positive], axis=1)
    return _Placements(beaten, int(positive.sum()) - lost)


def auc_covariance(labels: Any, scores: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the AUCs (k,) of ``scores`` (k, n) of the same subjects and their covariance matrix (k, k).

    The covariance is NaN with fewer than two positives or two negatives.

    Args:
        labels: (n,) bool.
        scores: (k, n).

    Raises:
        UsageError: the shapes do not fit, a score is NaN, or there is one class only.
    """
    placements = _placements(labels, scores)
    return placements.aucs, placements.covariance(np.eye(len(placements.aucs)))


def auc_with_interval(labels: Any, scores: Any) -> Auc:
    """Return the AUC of one score (n,) with DeLong's standard error and 95 % interval.

    Raises:
        UsageError: the shapes do not fit, a score is NaN, or there is one class only.
    """
    placements = _placements(labels, np.asarray(scores)[np.newaxis])
    value = float(placements.aucs[0])
    error = math.sqrt(float(placements.covariance(np.eye(1))[0, 0]))
    low, high = (min(1.0, max(0.0, end)) if not math.isnan(end) else end for end in _ends(value, error))
    return Auc(value, error, low, high, placements.positives.shape[1], placements.negatives.shape[1])


def _ends(value: float, error: float) -> tuple[float, float]:
    return value - Z_95 * error, value + Z_95 * error


def paired_test(labels: Any, a: Any, b: Any) -> AucTest:
    """Compare the AUCs of two scores (n,) of the same subjects; Z = difference / sqrt(v1 + v2 - 2 cov).

    A variance of 0 leaves nothing to test with: Z = 0 and P = 1, also when the AUCs differ, as between perfect and
    perfectly wrong. Z and P are NaN with fewer than two positives or negatives.

    Raises:
        UsageError: the shapes do not fit, a score is NaN, or there is one class only.
    """
    count = np.shape(labels)[0] if np.ndim(labels) else 0
    placements = _placements(labels, np.stack([numbers(a, count), numbers(b, count)]))
    contrast = np.array([[1.0, -1.0]])
    difference = float((contrast @ placements.aucs)[0])
    return _z_test(difference, float(placements.covariance(contrast)[0, 0]))


def unpaired_test(first: Auc, second: Auc) -> AucTest:
    """Compare the AUCs of two separate groups of subjects; Z = difference / sqrt(v1 + v2).

    Variance 0 and NaN as in :func:`paired_test`.
    """
    variance = first.standard_error**2 + second.standard_error**2
    return _z_test(first.value - second.value, variance)


def _z_test(difference: float, variance: float) -> AucTest:
    if variance == 0:
        return AucTest(difference, 0.0, 1.0)
    z = difference / math.sqrt(variance)
    return AucTest(difference, z, float(2 * stats.norm.sf(abs(z))))


def joint_test(labels: Any, scores: Any) -> JointAucTest:
    """Test that the AUCs of k >= 2 scores (k, n) of the same subjects are all equal.

    The chi-square is that of the k - 1 differences from the first AUC. Where they depend on each other (two scores
    that rank alike) the degrees of freedom are the rank of their covariance; chi-square 0 and P = 1 at rank 0.

    Raises:
        UsageError: there are fewer than two scores, the shapes do not fit, a score is NaN, or there is one class only.
    """
    placements = _placements(labels, scores)
    count = len(placements.aucs)
    if count < 2:
        raise UsageError("A joint test needs at least two scores.")
    contrasts = np.column_stack([np.ones(count - 1), -np.eye(count - 1)])
    covariance = placements.covariance(contrasts)
    if np.isnan(covariance).any():
        return JointAucTest(math.nan, count - 1, math.nan)
    differences = contrasts @ placements.aucs
    rank = int(np.linalg.matrix_rank(covariance, rtol=_RANK_TOLERANCE, hermitian=True))
    inverse = np.linalg.pinv(covariance, rcond=_RANK_TOLERANCE, hermitian=True)
    chi2 = float(differences @ inverse @ differences)
    return JointAucTest(chi2, rank, float(stats.chi2.sf(chi2, rank)) if rank else 1.0)
