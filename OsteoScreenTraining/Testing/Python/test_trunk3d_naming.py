"""Names of columns that are not the usual one, and how often such columns are drawn."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from OsteoScreenTrainingLib.simulation.trunk3d.anomalies import Anomalies
from OsteoScreenTrainingLib.simulation.trunk3d.levels import BODY_LABELS, CERVICAL, LUMBAR, THORACIC, label_names
from OsteoScreenTrainingLib.simulation.trunk3d.naming import ambiguities


def _column(pairs=12, lumbar=5):
    return (*CERVICAL, *THORACIC[: max(pairs, 12)], *LUMBAR[:lumbar], "S1")


def _ribs(pairs=12, **others):
    return {name: {"left": 1.0, "right": 1.0} for name in THORACIC[:pairs]} | others


def test_the_usual_column_is_not_ambiguous():
    assert ambiguities(_column(), _ribs(), False, False) == ({}, ())


def test_without_a_twelfth_rib_t12_may_be_l1():
    other, notes = ambiguities(_column(), _ribs(11), False, False)
    assert other["T12"] == ("L1",) and other["T11"] == ("T12",) and other["L5"] == ("L6",)
    assert len(notes) == 1


def test_a_short_rib_on_one_side_still_shows_the_way():
    assert not ambiguities(_column(), _ribs(T12={"left": 0.2, "right": 1.0}), False, False)[0]
    assert ambiguities(_column(), _ribs(T12={"left": 0.2, "right": 0.3}), False, False)[0]["T12"] == ("L1",)


def test_a_thirteenth_pair():
    other, _ = ambiguities(_column(13, 4), _ribs(13), False, False)
    assert other["T13"] == ("L1", "T12")
    assert other["T12"] == ("T11",)
    assert "L2" in other["L1"] and "L5" in other["L4"]


def test_six_and_four_lumbar_bodies_are_counted_from_the_sacrum_too():
    assert ambiguities(_column(lumbar=6), _ribs(), False, False)[0]["L6"] == ("L5",)
    assert ambiguities(_column(lumbar=4), _ribs(), False, False)[0]["L4"] == ("L5",)


def test_a_transition_is_told_at_its_own_vertebra():
    assert ambiguities(_column(), _ribs(), True, False)[0] == {"L5": ("S1",)}
    assert ambiguities(_column(), _ribs(), False, True)[0] == {"S1": ("L6",)}


def test_a_lumbar_rib():
    other, notes = ambiguities(_column(), _ribs(L1={"left": 0.3}), False, False)
    assert other["L1"] == ("T12",) and other["L2"] == ("L1",) and "T12" in notes[0]


@pytest.fixture(scope="module")
def drawn():
    return [Anomalies.random(np.random.default_rng([3, number]), 70.0) for number in range(1200)]


def test_columns_are_whole_and_ribs_belong_to_them(drawn):
    for column in drawn:
        assert column.names[:19] == (*CERVICAL, *THORACIC[:12]) and column.names[-1] == "S1"
        assert set(column.names) <= set(BODY_LABELS)
        touched = {*column.ribs, *column.fractures, *column.cement, *column.dish, *column.screws, *column.alternatives}
        assert touched <= set(column.names)
        assert all(upper in column.names and lower in column.names for upper, lower in column.fused)


def test_every_anomaly_is_drawn_about_as_often_as_it_says(drawn):
    count = Counter()
    for column in drawn:
        count["13"] += "T13" in column.names
        count["11"] += "T12" not in column.ribs
        count["six"] += "L6" in column.names
        count["four"] += "L5" not in column.names
        count["sacralised"] += column.sacralised > 0
        count["lumbarised"] += column.lumbarised > 0
        count["fractures"] += bool(column.fractures)
        count["dish"] += bool(column.dish)
        count["fused"] += bool(column.fused)
        count["cement"] += bool(column.cement)
        count["screws"] += bool(column.screws)
        count["lumbar ribs"] += "L1" in column.ribs
        count["cervical ribs"] += "C7" in column.ribs
        count["usual"] += not column.alternatives
    shares = {name: number / len(drawn) for name, number in count.items()}
    assert all(0.005 < share < 0.3 for name, share in shares.items() if name != "usual"), shares
    assert 0.55 < shares["usual"] < 0.8
    assert shares["13"] == pytest.approx(0.05, abs=0.02)
    assert shares["sacralised"] == pytest.approx(0.06, abs=0.02)


def test_labels_have_one_name_each():
    names = label_names()
    assert len(set(names.values())) == len(names)
    assert max(names) <= 255 and 0 not in names
