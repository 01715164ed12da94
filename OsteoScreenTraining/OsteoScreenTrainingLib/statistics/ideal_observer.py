"""The ceiling of any classifier whose reference is itself a noisy measurement.

A reference BMD is the true one plus measurement error, reference = true + N(0, sd), and the class is that of the
reference. Even who knew the true BMD could only give the probabilities of the classes, and so has an AUC below 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from OsteoScreenLib.densitometry.bmd import NORMAL_ABOVE_MG_CM3, OSTEOPOROSIS_BELOW_MG_CM3
from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.results import BONE_STATUSES, BoneStatus

from .checks import class_probabilities, finite_numbers, numbers, score_table


def class_posteriors(mean_mg_cm3: Any, sd_mg_cm3: float) -> np.ndarray:
    """Return the probabilities (n, 3) of the classes of a reference that is N(mean, sd).

    Knowing the true BMD, the mean is it and the SD that of the reference's error. An observer who knows less (L1 alone)
    has the conditional mean of the individual BMD and the total SD: that of the reference's error and of what L1 leaves
    open, added in squares.

    Args:
        mean_mg_cm3: (n,) BMD in mg/cm3.
        sd_mg_cm3: in mg/cm3; at 0 the classes are certain.

    Raises:
        UsageError: a BMD is not finite, or the SD is negative or not finite.
    """
    mean = finite_numbers(mean_mg_cm3, name="BMD")
    if not 0 <= sd_mg_cm3 < np.inf:
        raise UsageError(f"The SD of a reference must be 0 or more, not {sd_mg_cm3}.")
    if sd_mg_cm3 == 0:
        low = (mean < OSTEOPOROSIS_BELOW_MG_CM3).astype(float)
        high = (mean > NORMAL_ABOVE_MG_CM3).astype(float)
    else:
        low = stats.norm.cdf((OSTEOPOROSIS_BELOW_MG_CM3 - mean) / sd_mg_cm3)
        high = stats.norm.sf((NORMAL_ABOVE_MG_CM3 - mean) / sd_mg_cm3)
    # Rounding may leave the middle a hair below 0.
    return np.column_stack([high, np.maximum(0.0, 1 - high - low), low])


def expected_auc(positive_probability: Any, scores: Any) -> float:
    """Return the AUC to be expected of ``scores`` (n,) when subject i is positive with probability p_i, independently.

    The concordance weighted with p_i (1 - p_j) over all pairs of two different subjects, ties as half: the ratio of
    the expected numbers of concordant and of all pairs, in O(n log n) and without random draws.

    Raises:
        UsageError: the arrays do not fit, a probability is outside [0, 1], or no pair can be expected (all subjects
            certainly of one kind).
    """
    positive = finite_numbers(positive_probability, name="Probabilities")
    if (positive < 0).any() or (positive > 1).any():
        raise UsageError("Probabilities must lie between 0 and 1.")
    negative = 1 - positive
    _, place = np.unique(numbers(scores, len(positive)), return_inverse=True)
    yes, no = np.bincount(place, positive), np.bincount(place, negative)
    # A subject is not compared with itself; its weight sits in the tied half.
    itself = float(positive @ negative)
    concordant = float(yes @ (no.cumsum() - no / 2)) - itself / 2
    pairs = float(positive.sum() * negative.sum()) - itself
    if not pairs > 0:
        raise UsageError("All subjects are certainly of one kind; an AUC needs both.")
    return concordant / pairs


def expected_aucs(label_probabilities: Any, scores: Any) -> dict[BoneStatus, float]:
    """Return the expected AUC of each class against the rest.

    Args:
        label_probabilities: (n, 3) how the reference falls: ``class_posteriors`` of the true BMD.
        scores: (n, 3) what the observer says of each class; for the ideal observer the same table, for a blurred one
            the ``class_posteriors`` of its own mean and SD.

    Raises:
        UsageError: the tables do not fit, or a class is certain or impossible for everyone.
    """
    labels = class_probabilities(label_probabilities)
    table = score_table(scores, len(labels))
    return {status: expected_auc(labels[:, k], table[:, k]) for k, status in enumerate(BONE_STATUSES)}
