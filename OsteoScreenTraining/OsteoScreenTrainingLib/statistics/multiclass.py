"""Three classes at once: the confusion matrix and what follows from it.

Matrices are 3 x 3 counts, rows the truth, columns the prediction, in the order of ``BONE_STATUSES``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import metrics

from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.results import BONE_STATUSES

from .checks import class_indices
from .intervals import Proportion, wilson
from .operating import BinaryMetrics, metrics_from_counts

_CLASSES = range(len(BONE_STATUSES))


@dataclass(frozen=True)
class MulticlassMetrics:
    """What a confusion matrix says.

    Attributes:
        confusion: rows of counts, truth by prediction.
        accuracy: with its Wilson interval.
        balanced_accuracy: mean sensitivity of the three classes; NaN where a class is absent from the truth.
        macro_f1: mean F1 of the three classes; NaN likewise.
        quadratic_kappa: Cohen's kappa with quadratic weights (Cohen 1968); NaN where chance alone agrees fully.
    """

    confusion: tuple[tuple[int, ...], ...]
    accuracy: Proportion
    balanced_accuracy: float
    macro_f1: float
    quadratic_kappa: float


def confusion_matrix(truth: Any, predicted: Any) -> np.ndarray:
    """Return the (3, 3) int64 confusion matrix of two (n,) arrays of class numbers.

    Raises:
        UsageError: the lengths differ, or something is not a class number.
    """
    true, said = class_indices(truth), class_indices(predicted, "The prediction")
    if len(true) != len(said):
        raise UsageError(f"There are {len(true)} truths but {len(said)} predictions.")
    matrix: np.ndarray = metrics.confusion_matrix(true, said, labels=list(_CLASSES)).astype(np.int64)
    return matrix


def multiclass_metrics(matrix: Any) -> MulticlassMetrics:
    """Return the measures of a confusion matrix, for instance one that a paper printed.

    Raises:
        UsageError: it is not a 3 x 3 table of counts, or it is empty.
    """
    counts = _checked(matrix)
    true, said = (cells.ravel() for cells in np.indices(counts.shape))
    cells = {"y_true": true, "y_pred": said, "sample_weight": counts.ravel()}
    complete = bool(counts.sum(axis=1).all())
    return MulticlassMetrics(
        confusion=tuple(tuple(int(cell) for cell in row) for row in counts),
        accuracy=wilson(int(counts.trace()), int(counts.sum())),
        balanced_accuracy=float(metrics.balanced_accuracy_score(**cells)) if complete else math.nan,
        macro_f1=float(metrics.f1_score(**cells, average="macro")) if complete else math.nan,
        quadratic_kappa=_quadratic_kappa(counts, true, said),
    )


def _quadratic_kappa(counts: np.ndarray, true: np.ndarray, said: np.ndarray) -> float:
    rows, columns = np.nonzero(counts.sum(axis=1))[0], np.nonzero(counts.sum(axis=0))[0]
    if len(rows) == len(columns) == 1 and rows[0] == columns[0]:
        return math.nan
    return float(metrics.cohen_kappa_score(true, said, weights="quadratic", sample_weight=counts.ravel()))


def one_vs_rest(matrix: Any, k: int) -> BinaryMetrics:
    """Return class ``k`` of a confusion matrix against the other two.

    Raises:
        UsageError: it is not a 3 x 3 table of counts, or it is empty.
    """
    counts = _checked(matrix)
    tp = int(counts[k, k])
    fn, fp = int(counts[k].sum()) - tp, int(counts[:, k].sum()) - tp
    return metrics_from_counts(tp, fp, fn, int(counts.sum()) - tp - fp - fn)


def _checked(matrix: Any) -> np.ndarray:
    counts = np.asarray(matrix)
    whole = counts.shape == (len(BONE_STATUSES),) * 2 and np.issubdtype(counts.dtype, np.integer)
    if not whole or (counts < 0).any() or not counts.any():
        raise UsageError("A confusion matrix is a 3 x 3 table of whole numbers, truth by prediction, not all 0.")
    return counts.astype(np.int64)
