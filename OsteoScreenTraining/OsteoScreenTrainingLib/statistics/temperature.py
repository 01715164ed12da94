"""Temperature scaling: one number that makes a network as confident as it is right (Guo et al. 2017)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import optimize, special

from OsteoScreenLib.errors import UsageError

from .checks import class_indices, score_table

#: Where 1 / T is looked for; logits of networks are far from needing more.
_INVERSES = (1e-3, 1e3)


def fit_temperature(logits: Any, truth: Any) -> float:
    """Return the T at which softmax(logits / T) has the smallest log-loss on ``truth``; fit it on the validation set.

    NaN where no T is best because the loss falls for ever: towards 0 where every subject is predicted rightly, towards
    infinity where the logits say nothing, or the opposite, of the truth.

    Args:
        logits: (n, 3) network outputs, or logarithms of its probabilities: both give the same T.
        truth: (n,) class numbers.

    Raises:
        UsageError: the arrays are not what they should be, or a logit is infinite.
    """
    true = class_indices(truth)
    table = _finite(logits, len(true))
    ahead = table - table[np.arange(len(true)), true][:, np.newaxis]

    def slope(inverse: float) -> float:
        return float((special.softmax(ahead * inverse, axis=1) * ahead).sum(axis=1).mean())

    # The loss is convex in 1 / T, so the root of its slope is its one minimum, if there is a root.
    if slope(_INVERSES[0]) >= 0 or slope(_INVERSES[1]) <= 0:
        return math.nan
    return float(1 / optimize.brentq(slope, *_INVERSES, xtol=1e-12))


def apply_temperature(logits: Any, temperature: float) -> np.ndarray:
    """Return the probabilities (n, 3) of logits (n, 3) at a temperature; the most probable class does not change.

    Raises:
        UsageError: the logits are not a finite (n, 3) table, or the temperature is not above 0.
    """
    table = _finite(logits)
    if not (0 < temperature < np.inf):
        raise UsageError(f"A temperature must be above 0, not {temperature}.")
    scaled: np.ndarray = special.softmax(table / temperature, axis=1)
    return scaled


def _finite(logits: Any, count: int | None = None) -> np.ndarray:
    table = score_table(logits, count, "Logits")
    if np.isinf(table).any():
        raise UsageError("Logits must be finite; give the network's outputs, not logarithms of probabilities of 0.")
    return table
