"""The decoding of a chain: exact, by comparison with all sequences written out, and what it makes of odd spines."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from OsteoScreenLib.localisation import chain
from OsteoScreenLib.localisation.chain import decode, sum_chain
from OsteoScreenLib.localisation.channels import NAMES
from OsteoScreenLib.localisation.priors import SIZE_SD, SIZES, STEP_MM, transitions

USUAL = [name for name in NAMES if name not in ("T13", "L6")]


def column(first, last, left_out=()):
    part = USUAL[USUAL.index(first) : USUAL.index(last) + 1]
    return [name for name in part if name not in left_out]


def evidence(names, sure=3.0):
    """Log-evidence that favours each name by ``sure``; None says nothing."""
    table = np.zeros((len(names), len(NAMES)))
    for row, name in zip(table, names, strict=True):
        if name is not None:
            row[NAMES.index(name)] = sure
    return table - np.logaddexp.reduce(table, axis=1, keepdims=True)


def distances(names, scale=1.0):
    """Distances of the centres of ``names`` in a column that has the usual ones too, whether they are named or not."""
    place, at = 0.0, {}
    order = [name for name in NAMES if name in set(USUAL) | set(names)]
    if "S1" in names and "L5" not in names:
        order.remove("L5")
    for name in order:
        at[name] = place
        place += STEP_MM.get(name, 0.0) * scale
    return np.diff([at[name] for name in names]).tolist()


def test_the_sums_are_those_of_all_sequences():
    rng = np.random.default_rng(5)
    places, states = 5, 4
    start, emissions = rng.normal(size=states), rng.normal(size=(places, states))
    moves = rng.normal(size=(places - 1, states, states))
    moves[1, 2, :] = -np.inf
    weights, best = np.zeros((places, states)), (-np.inf, ())
    total = 0.0
    for sequence in itertools.product(range(states), repeat=places):
        log = start[sequence[0]] + sum(emissions[k, s] for k, s in enumerate(sequence))
        log += sum(moves[k, a, b] for k, (a, b) in enumerate(itertools.pairwise(sequence)))
        total += np.exp(log)
        best = max(best, (log, sequence))
        for k, state in enumerate(sequence):
            weights[k, state] += np.exp(log)
    found = sum_chain(start, moves, emissions)
    assert found.log_sum == pytest.approx(np.log(total))
    np.testing.assert_allclose(found.marginals, weights / total, atol=1e-12)
    assert found.path == best[1]
    assert found.log_best == pytest.approx(best[0])


def test_the_posterior_is_that_of_all_namings_and_sizes():
    rng = np.random.default_rng(6)
    names, steps = rng.normal(size=(3, len(NAMES))), [31.0, 36.0]
    prior = np.exp(-0.5 * (np.log(SIZES) / SIZE_SD) ** 2)
    prior /= prior.sum()
    emissions = np.concatenate([names, np.full_like(names, chain.ANY_NAME)], axis=1)
    total = np.zeros((3, emissions.shape[1]))
    for size, share in zip(SIZES, prior, strict=True):
        a, b = (chain._moves() + chain._step_terms(mm, chain._expected() * size) for mm in steps)
        first = chain._start() + emissions[0]
        joint = first[:, None, None] + a[:, :, None] + emissions[1][None, :, None]
        weights = share * np.exp(joint + b[None, :, :] + emissions[2][None, None, :])
        for place in range(3):
            total[place] += weights.sum(axis=tuple(axis for axis in range(3) if axis != place))
    total /= total.sum(axis=1, keepdims=True)
    found = decode(names, steps)
    np.testing.assert_allclose(found.marginals, total[:, : len(NAMES)], atol=1e-10)
    np.testing.assert_allclose(found.spurious, total[:, len(NAMES) :].sum(axis=1), atol=1e-10)


def test_every_vertebra_is_followed_by_one():
    table = transitions()
    np.testing.assert_allclose(table.sum(axis=1), [1.0] * (len(NAMES) - 1) + [0.0])


@pytest.mark.parametrize(
    "names",
    [
        column("T1", "L2"),
        column("C3", "S1"),
        column("T10", "L5"),
        [*column("T8", "T12"), "T13", *column("L1", "L4"), "S1"],
        [*column("T9", "L4"), "S1"],
        [*column("T9", "L5"), "L6", "S1"],
    ],
)
def test_evidence_for_a_column_names_it(names):
    found = decode(evidence(names, 6.0), distances(names))
    assert found.names == tuple(names)
    assert found.marginals.max(axis=1).min() > 0.9
    np.testing.assert_allclose(found.marginals.sum(axis=1) + found.spurious, 1.0)


def test_an_odd_count_needs_more_evidence_than_a_usual_one():
    names = [*column("T9", "L4"), "S1"]
    assert decode(evidence(names, 1.5), distances(names)).names[-1] == "L5"


def test_one_sure_vertebra_names_those_that_say_nothing():
    names = column("T6", "L3")
    said = [name if name == "T12" else None for name in names]
    assert decode(evidence(said, 6.0), distances(names)).names == tuple(names)


def test_nothing_sure_leaves_the_neighbouring_namings_open():
    names = column("T4", "T9")
    found = decode(evidence([None] * len(names)), distances(names))
    assert found.marginals.max() < 0.5


def test_distances_alone_tell_the_neck_from_the_loins():
    names = column("C3", "T2")
    found = decode(evidence([None] * len(names)), distances(names))
    lumbar = [NAMES.index(name) for name in ("L1", "L2", "L3", "L4", "L5")]
    assert found.marginals[:, lumbar].sum() < 0.01


@pytest.mark.parametrize("missing", [["T11"], ["T7", "T8"]])
def test_a_body_that_was_not_found_is_passed_over(missing):
    names = column("T4", "L3", missing)
    assert decode(evidence(names), distances(names)).names == tuple(names)


def test_a_missed_body_does_not_shift_the_names_below_it():
    names = column("T4", "L3", ["T9"])
    said = [name if USUAL.index(name) < USUAL.index("T9") else None for name in names]
    assert decode(evidence(said), distances(names)).names == tuple(names)


def test_a_body_found_twice_is_spurious_once():
    names = column("T5", "L2")
    steps = distances(names)
    at = names.index("T10")
    said = [*names[: at + 1], "T10", *names[at + 1 :]]
    doubled = [*steps[:at], 9.0, steps[at] - 9.0, *steps[at + 1 :]]
    found = decode(evidence(said), doubled)
    assert [name for name in found.names if name is not None] == names
    assert found.spurious.sum() == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.25])
def test_the_size_of_the_person_is_found(scale):
    names = column("T3", "L4")
    found = decode(evidence(names), distances(names, scale))
    assert found.names == tuple(names)
    assert found.size == pytest.approx(scale, rel=0.08)


def test_a_single_candidate_is_what_it_looks_like():
    found = decode(evidence(["L1"], 2.0), [])
    assert found.names == ("L1",)
    assert found.probability(0, "L1") < 0.5


def test_numbers_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="one distance fewer"):
        decode(evidence(["L1", "L2"]), [])
    with pytest.raises(ValueError, match="candidate"):
        decode(np.empty((0, len(NAMES))), [])
