"""Decision curves: what acting on a predicted probability is worth.

Vickers and Elkin, "Decision curve analysis", Medical Decision Making 2006;26:565-574.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from OsteoScreenLib.errors import UsageError

from .checks import binary_labels, finite_numbers

#: Threshold probabilities at which curves are drawn.
THRESHOLDS = np.arange(1, 100) / 100


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit, in true positives per subject, at threshold probabilities (t,).

    Attributes:
        thresholds: probabilities at which one would act.
        model: acting where the predicted probability reaches the threshold.
        treat_all, treat_none: acting on everyone; on no one, which is 0.
    """

    thresholds: np.ndarray
    model: np.ndarray
    treat_all: np.ndarray
    treat_none: np.ndarray


def decision_curve(labels: Any, probabilities: Any) -> DecisionCurve:
    """Return the decision curve of one class at thresholds 0.01 to 0.99.

    Net benefit = TP / n - FP / n * t / (1 - t), positive where probability >= t.

    Args:
        labels: (n,) bool.
        probabilities: (n,) in [0, 1].

    Raises:
        UsageError: the arrays do not fit, or a probability is outside [0, 1].
    """
    true = binary_labels(labels)
    said = finite_numbers(probabilities, len(true), "Probabilities")
    if (said < 0).any() or (said > 1).any():
        raise UsageError("A decision curve needs probabilities between 0 and 1; a BMD or HU has no net benefit.")
    odds = THRESHOLDS / (1 - THRESHOLDS)
    tp, fp = _reaching(said[true]), _reaching(said[~true])
    prevalence = true.mean()
    return DecisionCurve(
        thresholds=THRESHOLDS.copy(),
        model=(tp - fp * odds) / len(true),
        treat_all=prevalence - (1 - prevalence) * odds,
        treat_none=np.zeros(len(THRESHOLDS)),
    )


def _reaching(said: np.ndarray) -> np.ndarray:
    return len(said) - np.searchsorted(np.sort(said), THRESHOLDS, side="left")
