"""How much a reader should look at a result first."""

from __future__ import annotations

import math

from ..densitometry.bmd import limits_within_uncertainty
from ..reports.opinion import UNDECIDED_WITHIN
from ..results import ScreeningResult

# Conventions that order a list, and no probabilities: what the study itself can be wrong about weighs most.
_DISAGREES, _UNDECIDED, _NEAR_LIMIT, _WARNING = 0.5, 0.2, 0.2, 0.05


def doubt(result: ScreeningResult) -> float | None:
    """Return 0 (nothing speaks against it) to 1 for a screened study, None for a refused one.

    What speaks against a result is joined as if each were independent: the outlines' lack of confidence, that of the
    names of suggested levels, a class that parts from the BMD's, a network that is undecided, a BMD within its
    uncertainty of a limit, and each warning.
    """
    if result.status != "screened":
        return None
    reasons = [1.0 - roi.confidence for roi in result.roi.values()]
    if result.numbering is not None:
        reasons += [1.0 - level.probability for level in result.numbering.levels.values()]
    if result.agreement is False:
        reasons.append(_DISAGREES)
    if _is_undecided(result):
        reasons.append(_UNDECIDED)
    if result.densitometry is not None and limits_within_uncertainty(result.densitometry):
        reasons.append(_NEAR_LIMIT)
    reasons += [_WARNING for check in result.eligibility if check.outcome != "pass"]
    return round(1.0 - math.prod(1.0 - min(max(reason, 0.0), 1.0) for reason in reasons), 4)


def _is_undecided(result: ScreeningResult) -> bool:
    shares = (result.classification and result.classification.probabilities) or {}
    ranked = sorted(shares.values(), reverse=True)
    return len(ranked) > 1 and ranked[0] - ranked[1] < UNDECIDED_WITHIN
