"""Which vertebra is which: the exact decoding of a chain of candidates, by forward and backward sums.

Every candidate is a vertebra, or spurious (a body found twice, or none). Names follow each other as vertebrae do; a
vertebra that was not found may be passed over. What speaks for a naming is the evidence for every name at every
candidate, the distances between the centres against those of a person of one size, whose size is summed over, and how
often spines have thirteen thoracic, four or six lumbar vertebrae. Pure numpy; a test compares it with all sequences
written out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from .channels import NAMES
from .priors import SIZE_SD, SIZES, STEP_MM, STRAY_SHARE, STRAY_SHARE_PASSED, log_step, transitions

#: Share of vertebrae that are not found, and of candidates that are none (judged, after the simulation).
MISSED, SPURIOUS = 0.01, 0.01
#: Vertebrae in a row that may be missed.
MOST_MISSED = 2
#: A spurious candidate's distances say nothing: the density of a logarithm anywhere within this range.
ANY_STEP = -float(np.log(3.0))
#: A spurious candidate's names say nothing either.
ANY_NAME = -float(np.log(len(NAMES)))

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ChainPosterior:
    """What is known of the names after decoding.

    names : the most probable sequence; None for a spurious candidate
    marginals : (candidates, names), probability of every name
    spurious : (candidates,), probability of being none
    size : the mean of the person's size, 1 for the average
    """

    names: tuple[str | None, ...]
    marginals: Array
    spurious: Array
    size: float

    def probability(self, candidate: int, name: str) -> float:
        """Return the probability that a candidate is the vertebra ``name``."""
        return float(self.marginals[candidate, NAMES.index(name)])


@dataclass(frozen=True, eq=False)
class Sums:
    """Forward-backward and the best path of a chain: states' marginals (n, states), log of the sum, path, its log."""

    marginals: Array
    log_sum: float
    path: tuple[int, ...]
    log_best: float


def decode(names: Array, distances_mm: Sequence[float]) -> ChainPosterior:
    """Decode a chain of n candidates, from head to foot.

    Args:
        names: (n, names) log-evidence of every name at every candidate, up to a constant of each candidate.
        distances_mm: (n - 1) between neighbouring centres.

    Raises:
        ValueError: the numbers do not belong together, or there is no candidate.
    """
    names = np.asarray(names, float)
    if names.ndim != 2 or names.shape[1] != len(NAMES) or not len(names):
        raise ValueError(f"the evidence must be (candidates, {len(NAMES)}) with a candidate at least")
    if len(distances_mm) != len(names) - 1:
        raise ValueError("there must be one distance fewer than candidates")
    emissions = np.concatenate([names, np.full_like(names, ANY_NAME)], axis=1)
    priors = np.exp(-0.5 * (np.log(SIZES) / SIZE_SD) ** 2)
    priors = priors / priors.sum()
    runs = [_of_size(emissions, distances_mm, size) for size in SIZES]
    logs = np.array([run.log_sum for run in runs]) + np.log(priors)
    total = float(np.logaddexp.reduce(logs))
    weights = np.exp(logs - total)
    marginals = np.einsum("s,snk->nk", weights, np.stack([run.marginals for run in runs]))
    best = runs[int(np.argmax([run.log_best + np.log(prior) for run, prior in zip(runs, priors, strict=True)]))]
    count = len(NAMES)
    return ChainPosterior(
        names=tuple(NAMES[state] if state < count else None for state in best.path),
        marginals=marginals[:, :count],
        spurious=marginals[:, count:].sum(axis=1),
        size=float(weights @ SIZES),
    )


def _of_size(emissions: Array, distances_mm: Sequence[float], size: float) -> Sums:
    start, moves = _start(), _moves()
    expected = _expected() * size
    log_moves = (
        np.stack([moves + _step_terms(distance, expected) for distance in distances_mm])
        if len(distances_mm)
        else np.empty((0, *moves.shape))
    )
    return sum_chain(start, log_moves, emissions)


def _start() -> Array:
    """Return the log-probability of each state at the first candidate: every name alike, or spurious before it."""
    count = len(NAMES)
    names = np.full(count, np.log((1 - SPURIOUS) / count))
    return np.concatenate([names, np.full(count, np.log(SPURIOUS / count))])


@cache
def _moves() -> Array:
    """Return log P(next state | state), (2 names, 2 names): name or spurious after name, to the same.

    A spurious candidate remembers the last name before it; at the chain's beginning, the one before the first.
    """
    count = len(NAMES)
    follow = transitions()
    passed, reached = follow.copy(), np.zeros_like(follow)
    for missed in range(MOST_MISSED + 1):
        reached += passed * MISSED**missed * (1 - MISSED)
        passed = passed @ follow
    table = np.zeros((2 * count, 2 * count))
    for block in (slice(0, count), slice(count, 2 * count)):
        table[block, :count] = (1 - SPURIOUS) * reached
        table[block, count:] = SPURIOUS * np.eye(count)
    with np.errstate(divide="ignore"):
        return np.log(table)


@cache
def _expected() -> Array:
    """Return the expected distance in mm between two names, (names, names); infinite where none is reached."""
    count = len(NAMES)
    follow = transitions() > 0
    expected = np.full((count, count), np.inf)
    for a in range(count):
        reach = {a: 0.0}
        for _ in range(MOST_MISSED + 1):
            # By the shorter way where there are two (past T13 and L6, or not).
            further: dict[int, float] = {}
            for b, mm in reach.items():
                for c in np.flatnonzero(follow[b]).tolist():
                    further[c] = min(further.get(c, np.inf), mm + STEP_MM[NAMES[b]])
            for c, mm in further.items():
                expected[a, c] = min(expected[a, c], mm)
            reach = further
    return expected


def _step_terms(distance_mm: float, expected_mm: Array) -> Array:
    """Return the log-density of a distance for every pair of states, (2 names, 2 names)."""
    count = len(expected_mm)
    terms = np.full((2 * count, 2 * count), ANY_STEP)
    reached = np.isfinite(expected_mm)
    stray = np.where(transitions() > 0, STRAY_SHARE, STRAY_SHARE_PASSED)
    terms[:count, :count][reached] = log_step(distance_mm, expected_mm[reached], stray[reached])
    return terms


def sum_chain(start: Array, moves: Array, emissions: Array) -> Sums:
    """Sum over all sequences of states exactly, and find the best one.

    Args:
        start: (states,) log-probabilities of the first state.
        moves: (n - 1, states, states) log-weights from each state to each.
        emissions: (n, states) log-weights of each state at each place.
    """
    n = len(emissions)
    forward, backward = np.empty_like(emissions), np.zeros_like(emissions)
    best, came = np.empty_like(emissions), np.zeros(emissions.shape, np.intp)
    forward[0] = best[0] = start + emissions[0]
    for k in range(1, n):
        forward[k] = np.logaddexp.reduce(forward[k - 1][:, None] + moves[k - 1], axis=0) + emissions[k]
        reached = best[k - 1][:, None] + moves[k - 1]
        came[k] = reached.argmax(axis=0)
        best[k] = reached.max(axis=0) + emissions[k]
    for k in range(n - 2, -1, -1):
        backward[k] = np.logaddexp.reduce(moves[k] + (emissions[k + 1] + backward[k + 1])[None, :], axis=1)
    log_sum = float(np.logaddexp.reduce(forward[-1]))
    path = [int(best[-1].argmax())]
    for k in range(n - 1, 0, -1):
        path.append(int(came[k, path[-1]]))
    return Sums(np.exp(forward + backward - log_sum), log_sum, tuple(path[::-1]), float(best[-1].max()))
