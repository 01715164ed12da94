"""How much a reader should look at a result first: one number, to put a list in order and for nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..densitometry.bmd import limits_within_uncertainty
from ..results import ScreeningResult

# What each cause is worth by itself: conventions of this program, so that the order is that of a reader's questions
# (is it the right vertebra, is it the right outline, do the two methods agree), not probabilities of an error.
#: A level that nobody confirmed, at least; and where nothing says how probable its name is.
UNCONFIRMED_AT_LEAST, UNCONFIRMED_UNKNOWN = 0.2, 0.5
#: Class and measured category are not the same.
DISAGREEMENT = 0.5
#: Of a class whose two highest probabilities are equal; it falls to nothing as the highest nears 1.
UNDECIDED = 0.4
#: The BMD lies within its uncertainty of a limit between two categories.
NEAR_LIMIT = 0.2
#: One check that gave a warning, or that would have refused the study had it not been forced.
WARNING = 0.05


def doubt_of(result: ScreeningResult) -> float | None:
    """Return the doubt of a result, 0 (nothing to ask) to 1; None for a refused study, of which nothing was measured.

    Each cause has a share d of its own: a level that nobody confirmed, 1 less the probability of its name (at least
    0.2; 0.5 where none is known); an outline, 1 less its confidence; class and category that differ, 0.5; a class, 0.4
    less as much as its highest probability leads; a BMD within its uncertainty of a limit, 0.2; each warning, 0.05.
    They join as if each could spoil the result by itself: 1 - (1 - d1)(1 - d2)…

    It is 0 for a result that a reader has decided on.
    """
    if result.status != "screened":
        return None
    if result.decisions:
        return 0.0
    return round(1.0 - math.prod(1.0 - min(max(cause, 0.0), 1.0) for cause in _causes(result)), 4)


def _causes(result: ScreeningResult) -> Iterator[float]:
    named = result.numbering.levels if result.numbering is not None else {}
    for name, level in result.levels.items():
        if not level.confirmed:
            probability = named[name].probability if name in named else 1.0 - UNCONFIRMED_UNKNOWN
            yield max(UNCONFIRMED_AT_LEAST, 1.0 - probability)
    for roi in result.roi.values():
        yield 1.0 - roi.confidence
    if result.agreement is False:
        yield DISAGREEMENT
    probabilities = (result.classification and result.classification.probabilities) or {}
    if len(probabilities) > 1:
        first, second = sorted(probabilities.values(), reverse=True)[:2]
        yield UNDECIDED * (1.0 - (first - second))
    if result.densitometry is not None and limits_within_uncertainty(result.densitometry):
        yield NEAR_LIMIT
    for check in result.eligibility:
        if check.outcome != "pass":
            yield WARNING
