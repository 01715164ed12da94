"""Scores of predicted bone statuses against the reference: networks, and measured BMD or HU beside them.

Classes are numbered in the order of ``BONE_STATUSES``. The argmax is the paper's operating point; Youden thresholds
are reported separately and come from the validation set. Numbers that do not exist are NaN in here and ``None`` after
:func:`OsteoScreenTrainingLib.statistics.plain.plain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from OsteoScreenLib.densitometry.bmd import NORMAL_ABOVE_MG_CM3, OSTEOPOROSIS_BELOW_MG_CM3
from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.results import BONE_STATUSES, BoneStatus

from .calibration import (
    CalibrationLine,
    ReliabilityBin,
    binary_brier_score,
    brier_score,
    calibration_line,
    expected_calibration_error,
    log_loss,
    reliability_curve,
    top_label_calibration_error,
)
from .checks import class_indices, class_probabilities, finite_numbers, score_table
from .delong import Auc, AucTest, auc_with_interval, paired_test
from .multiclass import MulticlassMetrics, confusion_matrix, multiclass_metrics
from .operating import BinaryMetrics, at_argmax, at_threshold, binary_metrics, youden_threshold

#: What the measured BMD is called beside the networks.
BASELINE = "measured BMD"
#: QCT limits of osteopenia in mg/cm3.
BMD_LIMITS = (OSTEOPOROSIS_BELOW_MG_CM3, NORMAL_ABOVE_MG_CM3)

_PICKHARDT = "Pickhardt et al., Ann Intern Med 2013;158:588-595: L1, 120 kVp, against DXA osteoporosis in 1867 adults; "
_BRITISH = (
    "Opportunistic screening for osteoporosis by abdominal CT in a British population, Insights Imaging 2023, "
    "doi:10.1186/s13244-023-01400-1: L1, against DXA osteoporosis in 536 patients; "
)
#: Published thresholds of L1 HU: osteoporosis is suspected at this HU or less. All were set against DXA, not QCT.
#: The 135 HU stands in no abstract and is quoted as others quote it.
HU_THRESHOLDS: tuple[tuple[float, str], ...] = (
    (160.0, _PICKHARDT + "90 % sensitive"),
    (135.0, _PICKHARDT + "balanced (as commonly quoted)"),
    (110.0, _PICKHARDT + "more than 90 % specific"),
    (169.0, _BRITISH + "90 % sensitive"),
    (104.0, _BRITISH + "90 % specific"),
)


@dataclass(frozen=True)
class ClassScore:
    """One class against the rest.

    Attributes:
        subjects: how many truly are of the class.
        auc: None where the truth has no such class, or only it.
        at_argmax: where the most probable class is predicted.
        youden_threshold, at_youden: positive where the probability reaches the threshold; None without a threshold.
        brier, ece: of the class's probability.
        calibration, reliability: its recalibration line and reliability curve.
    """

    subjects: int
    auc: Auc | None
    at_argmax: BinaryMetrics
    youden_threshold: float | None
    at_youden: BinaryMetrics | None
    brier: float
    ece: float
    calibration: CalibrationLine
    reliability: list[ReliabilityBin]


@dataclass(frozen=True)
class BoneStatusScore:
    """A model on ``n`` subjects: each class against the rest, and the three together at the argmax.

    ``brier`` is the multiclass one (0 to 2), ``ece`` that of the most probable class, ``log_loss`` is in nats.
    """

    n: int
    classes: dict[BoneStatus, ClassScore]
    overall: MulticlassMetrics
    brier: float
    ece: float
    log_loss: float


@dataclass(frozen=True)
class MeasuredScore:
    """A measured BMD or HU as a classifier: AUC of each class, and the categories between ``limits``."""

    n: int
    limits: tuple[float, float]
    aucs: dict[BoneStatus, Auc | None]
    overall: MulticlassMetrics


@dataclass(frozen=True)
class HuThresholdTest:
    """A published HU threshold as a test for osteoporosis, and where it was published."""

    threshold_hu: float
    source: str
    metrics: BinaryMetrics


def youden_thresholds(truth: Any, probabilities: Any) -> dict[BoneStatus, float]:
    """Return the Youden threshold of each class; fix them on the validation set. Absent classes have none.

    Raises:
        UsageError: the arrays are not what they should be, or do not fit.
    """
    true = class_indices(truth)
    table = class_probabilities(probabilities, len(true))
    return {
        status: youden_threshold(true == k, table[:, k])
        for k, status in enumerate(BONE_STATUSES)
        if _both_kinds(true == k)
    }


def score_probabilities(
    truth: Any, probabilities: Any, thresholds: Mapping[BoneStatus, float] | None = None
) -> BoneStatusScore:
    """Score the probabilities of one model.

    Args:
        truth: (n,) class numbers.
        probabilities: (n, 3).
        thresholds: Youden thresholds that were fixed on the validation set, by class.

    Raises:
        UsageError: the arrays are not what they should be, do not fit, or a threshold is of no known class.
    """
    true = class_indices(truth)
    table = class_probabilities(probabilities, len(true))
    fixed = dict(thresholds or {})
    unknown = sorted(set(fixed) - set(BONE_STATUSES))
    if unknown:
        raise UsageError(f"There is no class {', '.join(unknown)}; known are {', '.join(BONE_STATUSES)}.")
    return BoneStatusScore(
        n=len(true),
        classes={status: _class(true, table, k, fixed.get(status)) for k, status in enumerate(BONE_STATUSES)},
        overall=multiclass_metrics(confusion_matrix(true, table.argmax(axis=1))),
        brier=brier_score(true, table),
        ece=top_label_calibration_error(true, table),
        log_loss=log_loss(true, table),
    )


def _class(true: np.ndarray, table: np.ndarray, k: int, threshold: float | None) -> ClassScore:
    labels, said = true == k, table[:, k]
    return ClassScore(
        subjects=int(labels.sum()),
        auc=_auc(labels, said),
        at_argmax=at_argmax(true, table, k),
        youden_threshold=threshold,
        at_youden=None if threshold is None else at_threshold(labels, said, threshold),
        brier=binary_brier_score(labels, said),
        ece=expected_calibration_error(labels, said),
        calibration=calibration_line(labels, said),
        reliability=reliability_curve(labels, said),
    )


def compare_models(truth: Any, first: Any, second: Any) -> dict[BoneStatus, AucTest | None]:
    """Return DeLong's paired test of each class's AUC, first less second; None for a class absent from the truth.

    Args:
        truth: (n,) class numbers.
        first, second: (n, 3) probabilities, or the scores of :func:`baseline_scores`.

    Raises:
        UsageError: the arrays are not what they should be, or do not fit.
    """
    true = class_indices(truth)
    a, b = score_table(first, len(true)), score_table(second, len(true))
    return {
        status: paired_test(true == k, a[:, k], b[:, k]) if _both_kinds(true == k) else None
        for k, status in enumerate(BONE_STATUSES)
    }


def class_aucs(truth: Any, scores: Any) -> list[tuple[float, float, float]]:
    """Return the AUC of each class against the rest with its 95 % interval, (value, low, high).

    Args:
        truth: (n,) class numbers.
        scores: (n, 3) probabilities, or the scores of :func:`baseline_scores`.

    Raises:
        UsageError: the arrays are not what they should be, do not fit, or a class is absent from the truth.
    """
    true = class_indices(truth)
    table = score_table(scores, len(true))
    aucs = [auc_with_interval(true == k, table[:, k]) for k in range(len(BONE_STATUSES))]
    return [(auc.value, auc.low, auc.high) for auc in aucs]


def baseline_scores(values: Any, limits: tuple[float, float] = BMD_LIMITS) -> np.ndarray:
    """Return one-vs-rest scores (n, 3) of a measured BMD or HU (n,): normal the value, osteoporosis its negative,
    osteopenia minus its distance from the middle of ``limits``.

    Args:
        values: (n,) BMD in mg/cm3, or HU.
        limits: of osteopenia in the unit of the values; for HU give two HU cut-offs.

    Raises:
        UsageError: a value is not finite, or the limits are not in order.
    """
    measured = finite_numbers(values, name="Measurements")
    low, high = _in_order(limits)
    return np.column_stack([measured, -np.abs(measured - (low + high) / 2), -measured])


def score_measured(truth: Any, values: Any, limits: tuple[float, float] = BMD_LIMITS) -> MeasuredScore:
    """Score a measured BMD or HU; below the limits is osteoporosis, above normal, the limits themselves osteopenia.

    Args:
        truth: (n,) class numbers.
        values: (n,) BMD in mg/cm3, or HU.
        limits: of osteopenia in the unit of the values.

    Raises:
        UsageError: the arrays do not fit, a value is not finite, or the limits are not in order.
    """
    true = class_indices(truth)
    measured = finite_numbers(values, len(true), "Measurements")
    low, high = _in_order(limits)
    scores = baseline_scores(measured, (low, high))
    category = np.where(measured > high, 0, np.where(measured < low, 2, 1))
    aucs = {status: _auc(true == k, scores[:, k]) for k, status in enumerate(BONE_STATUSES)}
    return MeasuredScore(len(true), (low, high), aucs, multiclass_metrics(confusion_matrix(true, category)))


def hu_threshold_tests(hu_l1: Any, truth: Any) -> list[HuThresholdTest]:
    """Return the published L1 HU thresholds as tests for osteoporosis: positive at the threshold or less.

    Args:
        hu_l1: (n,) mean HU of L1 at 120 kVp without contrast agent.
        truth: (n,) class numbers.

    Raises:
        UsageError: the arrays do not fit, or a HU is not finite.
    """
    true = class_indices(truth)
    hu = finite_numbers(hu_l1, len(true), "L1 HU")
    positive = true == BONE_STATUSES.index("osteoporosis")
    return [HuThresholdTest(at, source, binary_metrics(positive, hu <= at)) for at, source in HU_THRESHOLDS]


def _auc(labels: np.ndarray, scores: np.ndarray) -> Auc | None:
    return auc_with_interval(labels, scores) if _both_kinds(labels) else None


def _both_kinds(labels: np.ndarray) -> bool:
    return bool(labels.any() and not labels.all())


def _in_order(limits: tuple[float, float]) -> tuple[float, float]:
    low, high = map(float, limits)
    if not low < high:
        raise UsageError(f"The limits of osteopenia must be two rising numbers, not {low:g} and {high:g}.")
    return low, high
