"""What the statistics demand of the arrays they are given, said once and in words."""

from __future__ import annotations

from typing import Any

import numpy as np

from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.results import BONE_STATUSES

#: How far a row of probabilities may be from a sum of 1; softmax in float16 stays within it.
_SUM_TOLERANCE = 1e-2


def binary_labels(labels: Any) -> np.ndarray:
    """Return labels as (n,) bool.

    Raises:
        UsageError: they are not one row of 0 and 1 (or booleans), or there are none.
    """
    array = np.asarray(labels)
    if array.ndim != 1 or not len(array):
        raise UsageError(f"Labels must be one row with at least one subject, not of shape {array.shape}.")
    if array.dtype != bool and not np.isin(array, (0, 1)).all():
        raise UsageError("Labels must be 0 or 1; turn the class of interest into a yes or no first.")
    return array.astype(bool)


def labels_of_both_kinds(labels: Any) -> np.ndarray:
    """Return labels as (n,) bool that hold at least one positive and one negative.

    Raises:
        UsageError: as :func:`binary_labels`, or all subjects are of one kind.
    """
    array = binary_labels(labels)
    if array.all() or not array.any():
        kind = "positive" if array.all() else "negative"
        raise UsageError(f"All {len(array)} subjects are {kind}; give data with both kinds.")
    return array


def numbers(values: Any, count: int | None = None, name: str = "Scores") -> np.ndarray:
    """Return (n,) float64 without NaN; infinite values may be ranked and pass.

    Raises:
        UsageError: the shape is wrong, the number of values is not ``count``, or a value is NaN.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not len(array):
        raise UsageError(f"{name} must be one row with at least one value, not of shape {array.shape}.")
    if count is not None and len(array) != count:
        raise UsageError(f"{name} must have one value for each of the {count} subjects, not {len(array)}.")
    missing = int(np.isnan(array).sum())
    if missing:
        raise UsageError(f"{name}: {missing} of {len(array)} are NaN; leave those subjects out, and say how many.")
    return array


def finite_numbers(values: Any, count: int | None = None, name: str = "Scores") -> np.ndarray:
    """Return (n,) float64, all finite.

    Raises:
        UsageError: as :func:`numbers`, or a value is infinite.
    """
    array = numbers(values, count, name)
    if np.isinf(array).any():
        raise UsageError(f"{name}: {int(np.isinf(array).sum())} of {len(array)} are infinite; leave them out.")
    return array


def class_indices(truth: Any, name: str = "The truth") -> np.ndarray:
    """Return (n,) int64 indices into ``BONE_STATUSES``.

    Raises:
        UsageError: they are not one row of 0, 1 and 2, or there are none.
    """
    array = np.asarray(truth)
    if array.ndim != 1 or not len(array):
        raise UsageError(f"{name} must be one row with at least one subject, not of shape {array.shape}.")
    if not np.isin(array, range(len(BONE_STATUSES))).all():
        meaning = ", ".join(f"{number} {status}" for number, status in enumerate(BONE_STATUSES))
        raise UsageError(f"{name} must hold class numbers ({meaning}) and nothing else.")
    return array.astype(np.int64)


def class_probabilities(probabilities: Any, count: int | None = None) -> np.ndarray:
    """Return (n, 3) float64 probabilities, as given: rows are not rescaled.

    Raises:
        UsageError: the shape is wrong, a value is outside [0, 1], or a row does not sum to 1.
    """
    array = score_table(probabilities, count, "Probabilities")
    if (array < 0).any() or (array > 1).any():
        raise UsageError("Probabilities must lie between 0 and 1; take the softmax of a network's outputs first.")
    if (np.abs(array.sum(axis=1) - 1) > _SUM_TOLERANCE).any():
        raise UsageError("The three probabilities of each subject must sum to 1.")
    return array


def score_table(scores: Any, count: int | None = None, name: str = "Scores") -> np.ndarray:
    """Return (n, 3) float64, one column per class, without NaN.

    Raises:
        UsageError: the shape is wrong or a value is NaN.
    """
    array = np.asarray(scores, np.float64)
    if array.ndim != 2 or array.shape[1] != len(BONE_STATUSES) or not len(array):
        raise UsageError(f"{name} must have one row per subject and {len(BONE_STATUSES)} columns, not {array.shape}.")
    if count is not None and len(array) != count:
        raise UsageError(f"{name} must have one row for each of the {count} subjects, not {len(array)}.")
    if np.isnan(array).any():
        raise UsageError(f"{name}: {int(np.isnan(array).any(axis=1).sum())} subjects have NaN; leave them out.")
    return array
