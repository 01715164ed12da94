"""From a localised spine to suggested levels: what is suggested, what is refused, and why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from phantom_ct import CENTRES, ORIGIN_RAS, SLICE_MM, make_phantom

from OsteoScreenLib.ct import ct_from_array
from OsteoScreenLib.levels.suggestion import CONFIDENT, suggest_levels
from OsteoScreenLib.localisation import LocalisedSpine, LocalisedVertebra, Naming


@pytest.fixture(scope="module")
def ct():
    phantom = make_phantom()
    return ct_from_array(phantom.hu, phantom.ijk_to_ras)


def z_of(name):
    return ORIGIN_RAS[2] + SLICE_MM * CENTRES[name]


def vertebra(name, off_mm=0.0, probability=0.99, whole=True, lean_mm=0.0):
    z = z_of(name) + off_mm
    return LocalisedVertebra(
        name=name,
        probability=probability,
        up=("T11", 1 - probability),
        down=("L3", 0.0),
        centre=(0.5, -25.0, z),
        upper=(0.5, -25.0 + lean_mm, z + 13),
        lower=(0.5, -25.0 - lean_mm, z - 13),
        whole=whole,
        ribs=(0.0, 0.0),
    )


def spine(*vertebrae, abstains=None):
    names = tuple(v.name for v in vertebrae)
    return LocalisedSpine(
        np.array([[0.0, -25.0, 0.0]]), vertebrae, (Naming(0, names, 0.99),), ("It is a phantom.",), abstains
    )


def test_levels_are_suggested_for_a_reader_to_confirm(ct):
    found = suggest_levels(ct, spine(vertebra("T12"), vertebra("L1"), vertebra("L2")))
    assert set(found.levels) == {"L1", "L2"} and not found.refused
    for name, suggested in found.levels.items():
        assert suggested.level.set_by == "suggested"
        assert suggested.level.confirmed is False
        assert abs(suggested.level.z_mm - z_of(name)) <= SLICE_MM
        assert suggested.tilt_deg < 1
        assert suggested.probability == 0.99
    assert found.reasons == ("It is a phantom.",)


def test_a_level_beside_the_middle_is_moved_to_it(ct):
    found = suggest_levels(ct, spine(vertebra("T12"), vertebra("L1", off_mm=3.5)), ("L1",)).levels["L1"]
    assert found.snapped
    assert abs(found.level.z_mm - z_of("L1")) <= SLICE_MM / 2


def test_endplates_far_from_where_the_localiser_is_are_another_bodys(ct):
    found = suggest_levels(ct, spine(vertebra("T12"), vertebra("L1", off_mm=7.0)), ("L1",)).levels["L1"]
    assert not found.snapped
    assert abs(found.level.z_mm - (z_of("L1") + 7.0)) <= SLICE_MM / 2


def test_where_no_endplates_are_seen_the_localiser_is_believed():
    blank = ct_from_array(np.full((40, 64, 64), 40, np.int16), make_phantom().ijk_to_ras)
    found = suggest_levels(blank, spine(vertebra("L1")), ("L1",))
    assert not found.levels["L1"].snapped
    assert found.levels["L1"].level.slice_index == CENTRES["L1"]
    assert found.levels["L1"].level.set_by == "suggested"


def test_the_tilt_of_the_body_is_told(ct):
    blank = ct_from_array(np.full((40, 64, 64), 40, np.int16), make_phantom().ijk_to_ras)
    leaning = spine(vertebra("L1", lean_mm=13 * np.tan(np.radians(15))))
    assert suggest_levels(blank, leaning, ("L1",)).levels["L1"].tilt_deg == pytest.approx(15, abs=0.1)
    # The phantom's endplates lie flat, and count half as much as how the spine runs.
    assert suggest_levels(ct, leaning, ("L1",)).levels["L1"].tilt_deg == pytest.approx(10, abs=0.5)


def test_an_uncertain_name_is_refused_with_its_rivals(ct):
    found = suggest_levels(ct, spine(vertebra("L1", probability=CONFIDENT - 0.1), vertebra("L2")))
    assert list(found.levels) == ["L2"]
    assert "T11 has 15 %" in found.refused["L1"]


def test_a_cut_vertebra_is_refused(ct):
    found = suggest_levels(ct, spine(vertebra("L1"), vertebra("L2", whole=False)))
    assert list(found.levels) == ["L1"]
    assert "cut by the end of the scan" in found.refused["L2"]


def test_what_is_not_in_view_is_not_claimed(ct):
    thoracic = spine(replace(vertebra("T12"), name="T11"), vertebra("T12"))
    found = suggest_levels(ct, thoracic)
    assert not found.levels
    assert found.refused["L1"] == "L1 is not in the field of view, which shows T11 to T12."


def test_who_abstains_suggests_nothing(ct):
    found = suggest_levels(ct, spine(vertebra("L1"), vertebra("L2"), abstains="Nothing fixes the count."))
    assert not found.levels
    assert set(found.refused.values()) == {"Nothing fixes the count."}
